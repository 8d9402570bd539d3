//! The namespaces that one client is in, and those that it has asked for and is not in yet. Generic, because sockets
//! are made above and know this.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use switchboard_io_proto::socket::Namespace;

use crate::recovery::Place;

pub(crate) struct Seats<P>(Mutex<Table<P>>);

struct Table<P> {
    /// Most often one.
    seats: SmallVec<[Seat<P>; 1]>,
    asked: SmallVec<[Namespace; 1]>,
    /// Out of these it was taken, which it may not know yet. The latest last.
    left: Vec<Namespace>,
    /// It has been in a namespace.
    was_in: bool,
    is_over: bool,
    /// What had been sent when the last pong came: the next one confirms it.
    sent: Place,
}

/// A place that is taken until whoever has it has left all else: rooms are the session's, and a follower that came
/// earlier would be taken out of its own.
struct Seat<P> {
    namespace: Namespace,
    peer: Arc<P>,
    /// The client has said that it leaves.
    is_given_up: bool,
    /// The client has asked to come again.
    next: Option<Next>,
}

/// Lets a client in that has asked for it.
pub(crate) type Next = Box<dyn FnOnce() + Send>;

/// When a client that asks for a namespace may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Now,
    /// When the one who was there before has left.
    Later,
}

/// Why a client may not ask for a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    Twice,
    TooMany,
}

impl<P> Seats<P> {
    /// The client asks for a namespace. `is_leaving`: of one who is there. `next` is what is called when it has left.
    pub(crate) fn ask(
        &self,
        name: &Namespace,
        limit: usize,
        is_leaving: impl Fn(&P) -> bool,
        next: impl FnOnce() -> Next,
    ) -> Result<Asked, Unasked> {
        let mut table = self.lock();
        if table.asked.contains(name) {
            return Err(Unasked::Twice);
        }
        let before = table.seats.iter_mut().find(|seat| seat.namespace == *name);
        if let Some(seat) = before {
            if !is_leaving(&seat.peer) {
                return Err(Unasked::Twice);
            }
            seat.next = Some(next());
            table.asked.push(name.clone());
            return Ok(Asked::Later);
        }
        let staying = table.seats.iter().filter(|seat| !is_leaving(&seat.peer)).count();
        if staying + table.asked.len() >= limit {
            return Err(Unasked::TooMany);
        }
        table.asked.push(name.clone());
        Ok(Asked::Now)
    }

    /// The client is in. `false`: it is gone meanwhile.
    pub(crate) fn admit(&self, namespace: &Namespace, peer: &Arc<P>) -> bool {
        let mut table = self.lock();
        table.asked.retain(|name| name != namespace);
        if table.is_over {
            return false;
        }
        table.left.retain(|name| name != namespace);
        let (namespace, peer) = (namespace.clone(), Arc::clone(peer));
        table.seats.push(Seat { namespace, peer, is_given_up: false, next: None });
        table.was_in = true;
        true
    }

    /// The client is not let in.
    pub(crate) fn refuse(&self, name: &Namespace) {
        self.lock().asked.retain(|other| other != name);
    }

    /// The client leaves a namespace. `None`: it is not there, or has said so before.
    pub(crate) fn give_up(&self, name: &Namespace) -> Option<Arc<P>> {
        let mut table = self.lock();
        let seat = table.seats.iter_mut().find(|seat| seat.is_of(name))?;
        seat.is_given_up = true;
        Some(Arc::clone(&seat.peer))
    }

    /// It has left a namespace. Who was taken out of it may still speak to it: so many of those are remembered. Returns
    /// what lets its follower in.
    #[must_use = "somebody may wait for that"]
    pub(crate) fn leave(&self, peer: &Arc<P>, limit: usize) -> Option<Next> {
        let mut table = self.lock();
        let place = table.seats.iter().position(|seat| Arc::ptr_eq(&seat.peer, peer))?;
        let Seat { namespace, peer: _peer, is_given_up, next } = table.seats.remove(place);
        if !is_given_up {
            if table.left.len() >= limit {
                table.left.remove(0);
            }
            table.left.push(namespace);
        }
        drop(table);
        next
    }

    pub(crate) fn get(&self, name: &Namespace) -> Option<Arc<P>> {
        self.lock().seats.iter().find(|seat| seat.is_of(name)).map(|seat| Arc::clone(&seat.peer))
    }

    /// Whether it was taken out of this namespace.
    pub(crate) fn has_left(&self, name: &Namespace) -> bool {
        self.lock().left.contains(name)
    }

    pub(crate) fn all(&self) -> SmallVec<[Arc<P>; 1]> {
        self.lock().seats.iter().map(|seat| Arc::clone(&seat.peer)).collect()
    }

    /// Whether the client has ever been in a namespace.
    pub(crate) fn was_in(&self) -> bool {
        self.lock().was_in
    }

    /// The client is gone.
    pub(crate) fn end(&self) -> SmallVec<[Arc<P>; 1]> {
        let mut table = self.lock();
        table.is_over = true;
        let seats = std::mem::take(&mut table.seats);
        drop(table);
        seats.into_iter().map(|seat| seat.peer).collect()
    }

    /// The client has answered a ping, and `newest` is the last that was sent by now. Returns what is known to be
    /// received: all that was sent before the ping before. What was sent since may not have been.
    pub(crate) fn confirm(&self, newest: Place) -> Place {
        std::mem::replace(&mut self.lock().sent, newest)
    }

    fn lock(&self) -> MutexGuard<'_, Table<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Seat<P> {
    /// Whether the client is in this namespace, and means to stay.
    fn is_of(&self, name: &Namespace) -> bool {
        self.namespace == *name && !self.is_given_up
    }
}

// By hand: a derive would ask for `P: Default`.
impl<P> Default for Seats<P> {
    fn default() -> Self {
        let (seats, asked, left) = (SmallVec::new(), SmallVec::new(), Vec::new());
        Self(Mutex::new(Table { seats, asked, left, was_in: false, is_over: false, sent: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Whether it leaves.
    type Leaving = AtomicBool;

    fn ask(seats: &Seats<Leaving>, name: &str) -> Result<Asked, Unasked> {
        let name = Namespace::new(name).expect("a proper name");
        seats.ask(&name, 1, |peer| peer.load(Ordering::Relaxed), || Box::new(|| ()))
    }

    fn seated(seats: &Seats<Leaving>) -> Arc<Leaving> {
        let peer = Arc::new(Leaving::new(false));
        assert_eq!(ask(seats, "/"), Ok(Asked::Now));
        assert!(seats.admit(&Namespace::ROOT, &peer));
        peer
    }

    #[test]
    fn a_place_is_taken_until_all_else_is_left() {
        let seats = Seats::default();
        let peer = seated(&seats);
        assert_eq!((ask(&seats, "/"), ask(&seats, "/a")), (Err(Unasked::Twice), Err(Unasked::TooMany)));
        peer.store(true, Ordering::Relaxed);
        assert_eq!((ask(&seats, "/"), ask(&seats, "/")), (Ok(Asked::Later), Err(Unasked::Twice)));
        assert_eq!(ask(&seats, "/a"), Err(Unasked::TooMany), "who comes again counts");
        assert!(seats.leave(&peer, 1).is_some() && seats.leave(&peer, 1).is_none());
        assert!(seats.has_left(&Namespace::ROOT));
    }

    #[test]
    fn one_that_leaves_does_not_count_and_who_says_so_is_gone_for_its_client() {
        let seats = Seats::default();
        let peer = seated(&seats);
        peer.store(true, Ordering::Relaxed);
        assert!(seats.give_up(&Namespace::ROOT).is_some() && seats.give_up(&Namespace::ROOT).is_none());
        assert!(seats.get(&Namespace::ROOT).is_none());
        assert_eq!(ask(&seats, "/a"), Ok(Asked::Now));
        assert!(seats.leave(&peer, 1).is_none() && !seats.has_left(&Namespace::ROOT));
    }

    #[test]
    fn nobody_follows_when_the_client_is_gone() {
        let seats = Seats::default();
        let peer = seated(&seats);
        peer.store(true, Ordering::Relaxed);
        assert_eq!(ask(&seats, "/"), Ok(Asked::Later));
        assert_eq!(seats.end().len(), 1);
        assert!(seats.leave(&peer, 1).is_none());
    }
}
