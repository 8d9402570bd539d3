//! The line of senders that wait for room in one outbox: first come, first served. Room is set aside for the first one
//! before it is woken, so that nobody can take it in the meantime, and given on when that sender gives up.

use std::collections::BTreeMap;
use std::task::Waker;

/// A place in the line. Tickets are numbered as they are drawn, so their order is the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

struct Waiting {
    weight: usize,
    waker: Waker,
}

#[derive(Default)]
pub(crate) struct Line {
    waiting: BTreeMap<Ticket, Waiting>,
    /// Those who were woken because there is room for them and have not come to use it, with their parcels' weight.
    granted: BTreeMap<Ticket, usize>,
    granted_bytes: usize,
    drawn: u64,
}

impl Line {
    /// Whether a newcomer would be the first.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Parcels that room is set aside for.
    pub(crate) fn granted(&self) -> usize {
        self.granted.len()
    }

    /// Bytes that room is set aside for.
    pub(crate) fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    pub(crate) fn join(&mut self, weight: usize, waker: Waker) -> Ticket {
        let ticket = Ticket(self.drawn);
        self.drawn += 1;
        self.waiting.insert(ticket, Waiting { weight, waker });
        ticket
    }

    /// Whom to wake for this place from now on. Returns the waker that it displaces: dropping one may drop a task, so
    /// that must happen after the lock is released.
    pub(crate) fn rewake(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let place = self.waiting.get_mut(&ticket)?;
        if place.waker.will_wake(waker) {
            return None;
        }
        Some(std::mem::replace(&mut place.waker, waker.clone()))
    }

    /// The weight of the parcel that is first in line.
    pub(crate) fn first(&self) -> Option<usize> {
        self.waiting.first_key_value().map(|(_, place)| place.weight)
    }

    /// Sets room aside for the first in line, and says whom to wake.
    pub(crate) fn grant_first(&mut self) -> Option<Waker> {
        let (ticket, Waiting { weight, waker }) = self.waiting.pop_first()?;
        self.granted.insert(ticket, weight);
        self.granted_bytes += weight;
        Some(waker)
    }

    /// Gives up the room that was set aside for this ticket, if it was: to use it, or to leave.
    pub(crate) fn redeem(&mut self, ticket: Ticket) -> bool {
        let Some(weight) = self.granted.remove(&ticket) else { return false };
        self.granted_bytes -= weight;
        true
    }

    /// Leaves the line without having sent. The waker is for dropping outside the lock.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        self.redeem(ticket);
        self.waiting.remove(&ticket).map(|place| place.waker)
    }

    /// Sends everyone away; those who were not yet woken are to be woken.
    pub(crate) fn dissolve(&mut self) -> impl Iterator<Item = Waker> {
        self.granted.clear();
        self.granted_bytes = 0;
        std::mem::take(&mut self.waiting).into_values().map(|place| place.waker)
    }
}
