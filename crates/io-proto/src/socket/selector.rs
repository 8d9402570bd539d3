//! Who is to hear a message, and how it is to be sent: plain data, which a cluster can carry.

use std::collections::HashSet;
use std::time::Duration;

use super::name::Name;

/// Which sockets of a namespace are meant. No room means all of them; several rooms mean their union, each socket once.
///
/// Built fluently, each step giving a new value: `Selector::new().to("lobby").except("muted").volatile()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Sockets in any of these rooms; everybody if empty. No room stands here twice.
    pub rooms: Vec<Name>,
    /// … but not those in any of these.
    pub except: Vec<Name>,
    /// How to send.
    pub flags: Flags,
}

/// How a message is to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// May be dropped for a socket that is not ready to take it.
    pub volatile: bool,
    /// Only for the sockets of this process.
    pub local: bool,
    /// Whether to compress; unset leaves it to the transport's settings.
    pub compress: Option<bool>,
    /// How long to wait for answers.
    pub timeout: Option<Duration>,
}

impl Selector {
    /// Everybody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also those in this room.
    #[must_use]
    pub fn to(mut self, room: impl Into<Name>) -> Self {
        add(&mut self.rooms, room.into());
        self
    }

    /// Also those in these rooms. Of many it takes the time of each, and not of each with all others.
    #[must_use]
    pub fn to_each(mut self, rooms: impl IntoIterator<Item = Name>) -> Self {
        add_all(&mut self.rooms, rooms);
        self
    }

    /// Not those in this room.
    #[must_use]
    pub fn except(mut self, room: impl Into<Name>) -> Self {
        add(&mut self.except, room.into());
        self
    }

    /// Not those in these rooms.
    #[must_use]
    pub fn except_each(mut self, rooms: impl IntoIterator<Item = Name>) -> Self {
        add_all(&mut self.except, rooms);
        self
    }

    /// May be dropped for a socket that is not ready to take it.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Only for the sockets of this process.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// Whether to compress.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = Some(compress);
        self
    }

    /// How long to wait for answers.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.timeout = Some(timeout);
        self
    }

    /// Whether a socket is meant that says of a room whether it is in it.
    pub fn selects(&self, is_in: impl Fn(&str) -> bool) -> bool {
        let in_any = |list: &[Name]| list.iter().any(|room| is_in(room));
        (self.rooms.is_empty() || in_any(&self.rooms)) && !in_any(&self.except)
    }
}

/// So many names are looked through sooner than a set of them is made.
const FEW: usize = 16;

fn add(list: &mut Vec<Name>, room: Name) {
    if !list.contains(&room) {
        list.push(room);
    }
}

fn add_all(list: &mut Vec<Name>, rooms: impl IntoIterator<Item = Name>) {
    let mut known: Option<HashSet<Name>> = None;
    for room in rooms {
        if list.len() < FEW {
            add(list, room);
        } else if known.get_or_insert_with(|| list.iter().cloned().collect()).insert(room.clone()) {
            list.push(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_a_union_minus_the_exceptions() {
        let selector = Selector::new().to("a").to("b").to("a").except("c");
        assert_eq!(selector.rooms, ["a", "b"]);
        assert!(selector.selects(|room| ["b", "x"].contains(&room)));
        assert!(!selector.selects(|room| room == "x"));
        assert!(!selector.selects(|room| ["a", "c"].contains(&room)));
        assert!(Selector::new().selects(|_| false));
        assert!(!Selector::new().except("a").selects(|room| room == "a"));
    }

    #[test]
    fn of_many_rooms_none_is_meant_twice_either() {
        let names = |range: std::ops::Range<usize>| range.map(|number| Name::from(number.to_string()));
        let selector = Selector::new().to("3").to_each(names(0..100)).to_each(names(50..120)).except_each(names(0..2));
        let mut rooms: Vec<usize> = selector.rooms.iter().map(|room| room.parse().expect("a number")).collect();
        rooms.sort_unstable();
        assert!(rooms.into_iter().eq(0..120));
        assert_eq!(selector.except, ["0", "1"]);
    }
}
