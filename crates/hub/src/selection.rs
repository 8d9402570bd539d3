//! Who an audience of several topics comes to: worked out once for a publish, from the rosters of one moment.

use std::iter;
use std::sync::Arc;

use crate::door::MemberId;
use crate::list::{Keyed, List};
use crate::outcome::Delivery;
use crate::parcel::Parcel;
use crate::port::Port;
use crate::publication::Publication;
use crate::roster::{Seat, Snapshot};
use crate::slot::SlotId;

/// The rosters of an audience's topics, all at one moment.
pub(crate) enum Moment<P: Parcel> {
    /// Of at most one topic that exists, and nobody is left out but perhaps one member.
    One(Option<Snapshot<P>>),
    Several {
        include: Vec<Snapshot<P>>,
        except: Vec<Snapshot<P>>,
    },
}

/// Members by the way they are reached; each once, in the order of their keys.
pub(crate) struct Selection<'a, P: Parcel> {
    outboxes: Vec<&'a Seat<P>>,
    /// At least one slot each.
    ports: Vec<(&'a Arc<Port<P>>, Vec<&'a SlotId>)>,
}

impl<P: Parcel> Moment<P> {
    /// `except` and all but one of `include` are often topics that nobody is in.
    pub(crate) fn of_several(mut include: Vec<Snapshot<P>>, except: Vec<Snapshot<P>>) -> Self {
        match (include.len(), except.len()) {
            (0 | 1, 0) => Self::One(include.pop()),
            _ => Self::Several { include, except },
        }
    }

    /// Pushes the parcel to everyone but one. Runs code of the parcel's and of wakers: no lock may be held.
    pub(crate) fn deliver(&self, skip: Option<MemberId>, parcel: P) -> Delivery {
        match self {
            Self::One(one) => one.as_ref().map(|one| one.deliver(skip, parcel)).unwrap_or_default(),
            Self::Several { include, except } => Selection::new(include, except, skip).deliver(parcel),
        }
    }

    pub(crate) fn count(&self, skip: Option<MemberId>) -> usize {
        match self {
            Self::One(one) => {
                one.as_ref().map_or(0, |one| one.len() - usize::from(skip.is_some_and(|id| one.contains(id))))
            }
            Self::Several { include, except } => Selection::new(include, except, skip).len(),
        }
    }

    pub(crate) fn ids(&self, skip: Option<MemberId>) -> Vec<MemberId> {
        match self {
            Self::One(one) => Selection::new(one.as_slice(), &[], skip).ids().collect(),
            Self::Several { include, except } => Selection::new(include, except, skip).ids().collect(),
        }
    }
}

impl<'a, P: Parcel> Selection<'a, P> {
    fn new(include: &'a [Snapshot<P>], except: &[Snapshot<P>], skip: Option<MemberId>) -> Self {
        let excluded: Vec<_> = except.iter().map(Snapshot::outboxes).collect();
        let outboxes = union(include.iter().map(Snapshot::outboxes), &excluded, skip.and_then(MemberId::outbox));
        let mut ports: Vec<(&Arc<Port<P>>, Vec<&SlotId>)> = Vec::new();
        for port in include.iter().flat_map(Snapshot::ports) {
            if ports.iter().any(|(known, _)| Arc::ptr_eq(known, port)) {
                continue;
            }
            let excluded: Vec<_> = except.iter().filter_map(|except| except.slots(port)).collect();
            let skip = skip.and_then(|id| id.slot_of(port)).map(|slot| slot.key());
            ports.push((port, union(include.iter().filter_map(|include| include.slots(port)), &excluded, skip)));
        }
        ports.retain(|(_, slots)| !slots.is_empty());
        Self { outboxes, ports }
    }

    /// Pushes the parcel to all of them. Runs code of the parcel's and of wakers: no lock may be held.
    fn deliver(&self, parcel: P) -> Delivery {
        let mut delivery = Delivery::default();
        // The last one to take it gets the parcel itself.
        let mut parcels = iter::repeat_n(parcel, self.outboxes.len() + self.ports.len());
        for (seat, parcel) in self.outboxes.iter().zip(&mut parcels) {
            delivery.count(seat.outbox.push(parcel), 1);
        }
        for ((port, slots), parcel) in self.ports.iter().zip(parcels) {
            let pushed = match slots[..] {
                [only] => port.push(Publication::to_one(parcel, *only)),
                _ => {
                    let publication = Publication::new(parcel, List::from_sorted(slots), None);
                    port.push_with_list(publication, slots.len() * size_of::<SlotId>())
                }
            };
            delivery.count(pushed, slots.len());
        }
        delivery
    }

    fn len(&self) -> usize {
        self.outboxes.len() + self.ports.iter().map(|(_, slots)| slots.len()).sum::<usize>()
    }

    fn ids(&self) -> impl Iterator<Item = MemberId> {
        let outboxes = self.outboxes.iter().map(|seat| MemberId::of_outbox(seat.id));
        let slots =
            self.ports.iter().flat_map(|(port, slots)| slots.iter().map(|slot| MemberId::of_slot(port, **slot)));
        outboxes.chain(slots)
    }
}

/// What is in at least one of the first and in none of the others, each once, sorted.
fn union<'a, T: Keyed>(
    include: impl Iterator<Item = &'a List<T>>,
    except: &[&List<T>],
    skip: Option<u64>,
) -> Vec<&'a T> {
    let meant = |item: &&T| Some(item.key()) != skip && !except.iter().any(|list| list.contains(item.key()));
    let mut items: Vec<_> = include.flat_map(List::iter).filter(meant).collect();
    // Sorted runs behind each other, which this sort recognises.
    items.sort_by_key(|item| item.key());
    items.dedup_by_key(|item| item.key());
    items
}
