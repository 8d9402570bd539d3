//! The members of a topic, those of each port together. A publish takes a snapshot; a change made while one is out
//! works on a copy of what it changes.

use std::iter;
use std::sync::Arc;

use crate::door::{Door, MemberId};
use crate::list::{Keyed, List};
use crate::outbox::Outbox;
use crate::outcome::{Delivery, Pushed};
use crate::parcel::Parcel;
use crate::port::Port;
use crate::publication::Publication;
use crate::slot::SlotId;

pub(crate) struct Roster<P: Parcel>(Arc<Seats<P>>);

/// The members at one moment.
pub(crate) struct Snapshot<P: Parcel>(Arc<Seats<P>>);

#[derive(Clone)]
struct Seats<P: Parcel> {
    outboxes: List<Seat<P>>,
    /// Few: there are about as many shards as processors.
    ports: Vec<Section<P>>,
}

#[derive(Clone)]
struct Seat<P: Parcel> {
    id: u64,
    outbox: Arc<Outbox<P>>,
}

/// The members that are reached through one port; at least one.
#[derive(Clone)]
struct Section<P: Parcel> {
    port: Arc<Port<P>>,
    slots: List<SlotId>,
}

impl<P: Parcel> Keyed for Seat<P> {
    fn key(&self) -> u64 {
        self.id
    }
}

impl<P: Parcel> Roster<P> {
    pub(crate) fn len(&self) -> usize {
        self.0.outboxes.len() + self.0.ports.iter().map(|section| section.slots.len()).sum::<usize>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.outboxes.is_empty() && self.0.ports.is_empty()
    }

    /// Adds a member that is not in yet.
    pub(crate) fn insert(&mut self, door: &Door<P>) {
        let seats = Arc::make_mut(&mut self.0);
        match door {
            Door::Outbox { id, outbox } => seats.outboxes.insert(Seat { id: *id, outbox: Arc::clone(outbox) }),
            Door::Slot { slot, port } => seats.section(port).slots.insert(*slot),
        }
    }

    /// Removes a member; no effect if it is not in. The member's own handle still holds its outbox or port, so nothing
    /// of the user's is dropped here, under the hub's lock.
    pub(crate) fn remove(&mut self, door: &Door<P>) {
        let seats = Arc::make_mut(&mut self.0);
        match door {
            Door::Outbox { id, .. } => seats.outboxes.remove(*id),
            Door::Slot { slot, port } => {
                let Some(place) = seats.place(port) else { return };
                let slots = &mut seats.ports[place].slots;
                slots.remove(slot.key());
                if slots.is_empty() {
                    seats.ports.swap_remove(place);
                }
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot<P> {
        Snapshot(Arc::clone(&self.0))
    }
}

// By hand: a derive would ask for `P: Default`.
impl<P: Parcel> Default for Roster<P> {
    fn default() -> Self {
        Self(Arc::new(Seats { outboxes: List::default(), ports: Vec::new() }))
    }
}

impl<P: Parcel> Seats<P> {
    fn place(&self, port: &Arc<Port<P>>) -> Option<usize> {
        self.ports.iter().position(|section| Arc::ptr_eq(&section.port, port))
    }

    fn section(&mut self, port: &Arc<Port<P>>) -> &mut Section<P> {
        let place = self.place(port).unwrap_or_else(|| {
            self.ports.reserve_exact(1); // Most topics need one; a `Vec` would begin with four.
            self.ports.push(Section { port: Arc::clone(port), slots: List::default() });
            self.ports.len() - 1
        });
        &mut self.ports[place]
    }
}

impl<P: Parcel> Snapshot<P> {
    /// Pushes the parcel to everyone but one. Runs code of the parcel's and of wakers: no lock may be held.
    pub(crate) fn deliver(&self, except: Option<MemberId>, parcel: P) -> Delivery {
        let Seats { outboxes, ports } = &*self.0;
        let mut delivery = Delivery::default();
        // The last one to take it gets the parcel itself.
        let mut parcels = iter::repeat_n(parcel, outboxes.len() + ports.len());
        let except_id = except.and_then(MemberId::outbox);
        let seats = outboxes.iter().filter(|seat| Some(seat.id) != except_id);
        for (seat, parcel) in seats.zip(&mut parcels) {
            delivery.count(seat.outbox.push(parcel), 1);
        }
        for (section, parcel) in ports.iter().zip(parcels) {
            let except = except.and_then(|id| id.slot_of(&section.port));
            let publication = Publication::new(parcel, section.slots.clone(), except);
            let reach = publication.reach();
            let pushed = if reach > 0 { section.port.push(publication) } else { Pushed::Closed };
            delivery.count(pushed, reach);
        }
        delivery
    }
}
