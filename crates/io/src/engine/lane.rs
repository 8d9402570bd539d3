//! The shortest way out. While a conversation is called on the thread that drives its WebSocket, what it sends is kept
//! here and leaves in one write when the call returns: no queue is locked and nobody is woken.
//!
//! That would overtake what the thread has published and the shard has not delivered yet. So the lane is open only
//! while there is nothing of the kind; once something went the long way, the rest of the call's sends do as well.

use std::cell::RefCell;
use std::ops::Range;

use switchboard_ws::Parcel;

thread_local! {
    static LANE: RefCell<Lane> = const { RefCell::new(Lane { owner: 0, open: false, items: Vec::new(), text: String::new() }) };
}

/// Room that an idle lane keeps.
const TEXT_KEPT: usize = 64 << 10;
const ITEMS_KEPT: usize = 256;

struct Lane {
    /// The address of the session whose connection this thread holds; 0 for none.
    owner: usize,
    open: bool,
    items: Vec<Item>,
    /// The texts of the items, one behind the other.
    text: String,
}

/// What leaves after the call, in order.
pub(crate) enum Item {
    Parcel(Parcel),
    /// A place in the lane's text.
    Text(Range<usize>),
    Close,
}

/// What a call has left behind, to be given back by [`restore`].
pub(crate) struct Load {
    pub(crate) items: Vec<Item>,
    pub(crate) text: String,
}

/// Runs `call` while what `owner` sends is kept here, and returns that.
pub(crate) fn within<R>(owner: usize, open: bool, call: impl FnOnce() -> R) -> (R, Load) {
    let _leave = LANE.with_borrow_mut(|lane| {
        lane.open = open;
        let before = std::mem::replace(&mut lane.owner, owner);
        // What is there is another connection's. Without one there is only room, which is used again.
        Leave { before, load: (before != 0).then(|| lane.take()) }
    });
    let result = call();
    (result, LANE.with_borrow_mut(Lane::take))
}

/// Gives the room back that the load took.
pub(crate) fn restore(mut load: Load) {
    load.items.clear();
    load.text.clear();
    if load.items.capacity() <= ITEMS_KEPT && load.text.capacity() <= TEXT_KEPT {
        LANE.with_borrow_mut(|lane| {
            // A lane that is in use has what it needs.
            if lane.owner == 0 {
                (lane.items, lane.text) = (load.items, load.text);
            }
        });
    }
}

/// Whether this thread holds the connection of this session, in a call.
pub(crate) fn is_held(owner: usize) -> bool {
    LANE.with_borrow(|lane| lane.owner == owner)
}

/// Keeps a parcel for later, or gives it back. `waits` tells whether something published may be on its way.
pub(crate) fn offer(owner: usize, parcel: Parcel, waits: impl FnOnce() -> bool) -> Option<Parcel> {
    LANE.with_borrow_mut(|lane| {
        if !lane.takes(owner, waits) {
            return Some(parcel);
        }
        lane.items.push(Item::Parcel(parcel));
        None
    })
}

/// Keeps a text for later; `false` if it has to go the long way.
pub(crate) fn offer_text(owner: usize, text: &str, waits: impl FnOnce() -> bool) -> bool {
    LANE.with_borrow_mut(|lane| {
        let takes = lane.takes(owner, waits);
        if takes {
            let start = lane.text.len();
            lane.text.push_str(text);
            lane.items.push(Item::Text(start..lane.text.len()));
        }
        takes
    })
}

/// Keeps a close for later; `false` if it has to go the long way.
pub(crate) fn offer_close(owner: usize, waits: impl FnOnce() -> bool) -> bool {
    LANE.with_borrow_mut(|lane| {
        let takes = lane.takes(owner, waits);
        if takes {
            lane.items.push(Item::Close);
        }
        takes
    })
}

impl Lane {
    fn takes(&mut self, owner: usize, waits: impl FnOnce() -> bool) -> bool {
        self.owner == owner && self.open && {
            self.open = !waits();
            self.open
        }
    }

    fn take(&mut self) -> Load {
        Load { items: std::mem::take(&mut self.items), text: std::mem::take(&mut self.text) }
    }
}

/// Puts the lane back into the hands of whoever had it before, with what is theirs. Also when the call panics: what it
/// has left behind is lost with it, and nobody else's.
struct Leave {
    before: usize,
    load: Option<Load>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let left = LANE.with_borrow_mut(|lane| {
            lane.owner = self.before;
            // A lane within a lane: the outer one's order is not known any more.
            lane.open = false;
            let left = lane.take();
            if let Some(load) = self.load.take() {
                (lane.items, lane.text) = (load.items, load.text);
            }
            left
        });
        // Nothing, but after a panic. A parcel's end may be anybody's code, and is not for under a borrow.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(load: &Load) -> Vec<&str> {
        let text = |item: &Item| if let Item::Text(range) = item { &load.text[range.clone()] } else { "" };
        load.items.iter().map(text).collect()
    }

    #[test]
    fn the_owner_sends_by_it_and_nobody_else() {
        let ((), load) = within(7, true, || {
            assert!(is_held(7) && !is_held(8));
            assert!(offer_text(7, "one", || false));
            assert!(!offer_text(8, "stranger", || false));
            assert!(offer_text(7, "two", || false));
            assert!(offer_close(7, || false));
        });
        assert_eq!(texts(&load), ["one", "two", ""]);
        assert!(!is_held(7) && !offer_text(7, "late", || false));
        restore(load);
    }

    #[test]
    fn what_a_panic_leaves_behind_is_nobody_elses() {
        let panicked = std::panic::catch_unwind(|| {
            within(7, true, || {
                assert!(offer_text(7, "secret", || false) && offer(7, "parcel".into(), || false).is_none());
                panic!("as the test wants it");
            })
        });
        assert!(panicked.is_err() && !is_held(7));
        let ((), load) = within(8, true, || assert!(offer_text(8, "own", || false)));
        assert_eq!(texts(&load), ["own"]);
    }

    #[test]
    fn a_lane_within_a_lane_takes_nothing_of_it() {
        let ((), outer) = within(7, true, || {
            assert!(offer_text(7, "outer", || false));
            let ((), inner) = within(8, true, || assert!(offer_text(8, "inner", || false)));
            assert_eq!(texts(&inner), ["inner"]);
            restore(inner);
            assert!(is_held(7) && !offer_text(7, "its order is not known", || false));
        });
        assert_eq!(texts(&outer), ["outer"]);
    }

    #[test]
    fn once_shut_it_stays_shut_for_the_call() {
        let ((), load) = within(7, true, || {
            assert!(offer_text(7, "one", || false));
            assert!(!offer_text(7, "after a publish", || true));
            assert!(!offer_text(7, "later", || false));
            assert!(offer(7, "parcel".into(), || false).is_some());
        });
        assert_eq!(texts(&load), ["one"]);
        let ((), load) = within(7, false, || assert!(!offer_text(7, "never open", || false)));
        assert!(load.items.is_empty());
    }
}
