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

struct Seat<P> {
    namespace: Namespace,
    peer: Arc<P>,
}

/// Why a client may not ask for a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    Twice,
    TooMany,
}

impl<P> Seats<P> {
    /// The client asks for a namespace.
    pub(crate) fn ask(&self, name: &Namespace, limit: usize) -> Result<(), Unasked> {
        let mut table = self.lock();
        if table.asked.contains(name) || table.seats.iter().any(|seat| seat.namespace == *name) {
            return Err(Unasked::Twice);
        }
        if table.seats.len() + table.asked.len() >= limit {
            return Err(Unasked::TooMany);
        }
        table.asked.push(name.clone());
        Ok(())
    }

    /// The client is in. `false`: it is gone meanwhile.
    pub(crate) fn admit(&self, namespace: &Namespace, peer: &Arc<P>) -> bool {
        let mut table = self.lock();
        table.asked.retain(|name| name != namespace);
        if table.is_over {
            return false;
        }
        table.left.retain(|name| name != namespace);
        table.seats.push(Seat { namespace: namespace.clone(), peer: Arc::clone(peer) });
        table.was_in = true;
        true
    }

    /// The client is not let in.
    pub(crate) fn refuse(&self, name: &Namespace) {
        self.lock().asked.retain(|other| other != name);
    }

    /// It was taken out of a namespace, and may still speak to it: so many of those are remembered.
    pub(crate) fn leave(&self, namespace: &Namespace, peer: &Arc<P>, limit: usize) {
        let mut table = self.lock();
        let Some(place) = table.seats.iter().position(|seat| Arc::ptr_eq(&seat.peer, peer)) else { return };
        let seat = table.seats.remove(place);
        if table.left.len() >= limit {
            table.left.remove(0);
        }
        table.left.push(namespace.clone());
        drop(table);
        drop(seat);
    }

    pub(crate) fn get(&self, name: &Namespace) -> Option<Arc<P>> {
        self.lock().seats.iter().find(|seat| seat.namespace == *name).map(|seat| Arc::clone(&seat.peer))
    }

    /// Whether it was taken out of this namespace.
    pub(crate) fn has_left(&self, name: &Namespace) -> bool {
        self.lock().left.contains(name)
    }

    pub(crate) fn all(&self) -> SmallVec<[Arc<P>; 1]> {
        self.lock().seats.iter().map(|seat| Arc::clone(&seat.peer)).collect()
    }

    pub(crate) fn remove(&self, name: &Namespace) -> Option<Arc<P>> {
        let mut table = self.lock();
        let place = table.seats.iter().position(|seat| seat.namespace == *name)?;
        Some(table.seats.remove(place).peer)
    }

    /// Whether the client has ever been in a namespace.
    pub(crate) fn was_in(&self) -> bool {
        self.lock().was_in
    }

    /// The client is gone.
    pub(crate) fn end(&self) -> SmallVec<[Arc<P>; 1]> {
        let mut table = self.lock();
        table.is_over = true;
        std::mem::take(&mut table.seats).into_iter().map(|seat| seat.peer).collect()
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

// By hand: a derive would ask for `P: Default`.
impl<P> Default for Seats<P> {
    fn default() -> Self {
        let (seats, asked, left) = (SmallVec::new(), SmallVec::new(), Vec::new());
        Self(Mutex::new(Table { seats, asked, left, was_in: false, is_over: false, sent: 0 }))
    }
}
