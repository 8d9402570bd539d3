//! A set of members that can be changed in constant time and read without a lock: a publish takes a snapshot, and a
//! change made while a snapshot is out works on a copy. A publish costs one step per member anyway, and it causes one
//! copy at most, so the copies at most double that.

use std::collections::HashMap;
use std::sync::Arc;

use crate::outbox::Outbox;
use crate::outcome::Delivery;
use crate::parcel::Parcel;

/// Names a member within its hub. Never used twice by the same hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub(crate) u64);

pub(crate) struct Roster<P: Parcel> {
    seats: Arc<Vec<Seat<P>>>,
    /// Where each member sits.
    index: HashMap<MemberId, usize>,
}

#[derive(Clone)]
pub(crate) struct Seat<P: Parcel> {
    pub(crate) id: MemberId,
    pub(crate) outbox: Arc<Outbox<P>>,
}

/// The members at one moment.
pub(crate) struct Snapshot<P: Parcel>(Arc<Vec<Seat<P>>>);

impl<P: Parcel> Roster<P> {
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Adds a member that is not in yet.
    pub(crate) fn insert(&mut self, seat: Seat<P>) {
        self.index.insert(seat.id, self.seats.len());
        Arc::make_mut(&mut self.seats).push(seat);
    }

    /// Removes a member; no effect if it is not in. The member's own handle still holds its outbox, so nothing of the
    /// user's is dropped here, under the hub's lock.
    pub(crate) fn remove(&mut self, id: MemberId) {
        let Some(place) = self.index.remove(&id) else { return };
        let seats = Arc::make_mut(&mut self.seats);
        seats.swap_remove(place);
        if let Some(moved) = seats.get(place) {
            self.index.insert(moved.id, place);
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot<P> {
        Snapshot(Arc::clone(&self.seats))
    }
}

// By hand: a derive would ask for `P: Default`.
impl<P: Parcel> Default for Roster<P> {
    fn default() -> Self {
        Self { seats: Arc::default(), index: HashMap::new() }
    }
}

impl<P: Parcel> Snapshot<P> {
    /// Pushes the parcel to everyone but one. Runs code of the parcel's and of wakers: no lock may be held.
    pub(crate) fn deliver(&self, except: Option<MemberId>, parcel: P) -> Delivery {
        let mut delivery = Delivery::default();
        let receivers = self.0.iter().filter(|seat| Some(seat.id) != except);
        for (seat, parcel) in receivers.zip(std::iter::repeat_n(parcel, self.0.len())) {
            delivery.count(seat.outbox.push(parcel));
        }
        delivery
    }
}
