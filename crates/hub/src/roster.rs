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
pub(crate) struct Seat<P: Parcel> {
    pub(crate) id: u64,
    pub(crate) outbox: Arc<Outbox<P>>,
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
        self.0.len()
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

    /// One member by another, in one step.
    pub(crate) fn exchange(&mut self, old: &Door<P>, new: &Door<P>) {
        self.remove(old);
        self.insert(new);
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
    fn len(&self) -> usize {
        self.outboxes.len() + self.ports.iter().map(|section| section.slots.len()).sum::<usize>()
    }

    fn place(&self, port: &Arc<Port<P>>) -> Option<usize> {
        self.ports.iter().position(|section| Arc::ptr_eq(&section.port, port))
    }

    fn slots(&self, port: &Arc<Port<P>>) -> Option<&List<SlotId>> {
        self.place(port).map(|place| &self.ports[place].slots)
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
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, id: MemberId) -> bool {
        let among_slots =
            |section: &Section<P>| id.slot_of(&section.port).is_some_and(|slot| section.slots.contains(slot.key()));
        id.outbox().is_some_and(|id| self.0.outboxes.contains(id)) || self.0.ports.iter().any(among_slots)
    }

    pub(crate) fn outboxes(&self) -> &List<Seat<P>> {
        &self.0.outboxes
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = &Arc<Port<P>>> {
        self.0.ports.iter().map(|section| &section.port)
    }

    /// Those who are reached through this port, if there are any.
    pub(crate) fn slots(&self, port: &Arc<Port<P>>) -> Option<&List<SlotId>> {
        self.0.slots(port)
    }

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
