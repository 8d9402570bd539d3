//! How a member is reached: by an outbox of its own, or through the port of the shard that serves it.

use std::sync::Arc;

use crate::outbox::{self, Outbox};
use crate::outcome::Pushed;
use crate::parcel::{Offered, Parcel};
use crate::port::{self, Port};
use crate::publication::Publication;
use crate::slot::SlotId;

/// Names a member within its hub, by its door: a member that is [relocated](crate::Member::relocate) has another name
/// from then on. Never used twice by the same hub, as long as a shard does not use a [`SlotId`] twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Name);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Outbox(u64),
    /// The port's number, and the slot.
    Slot(u64, SlotId),
}

#[derive(Clone)]
pub(crate) enum Door<P: Parcel> {
    Outbox { id: u64, outbox: Arc<Outbox<P>> },
    Slot { slot: SlotId, port: Arc<Port<P>> },
}

impl<P: Parcel> Door<P> {
    pub(crate) fn id(&self) -> MemberId {
        match self {
            Self::Outbox { id, .. } => MemberId::of_outbox(*id),
            Self::Slot { slot, port } => MemberId::of_slot(port, *slot),
        }
    }

    /// Sends a parcel to this member alone.
    pub(crate) fn push(&self, parcel: P) -> Pushed {
        match self {
            Self::Outbox { outbox, .. } => outbox.push(parcel),
            Self::Slot { slot, port } => port.push(Publication::to_one(parcel, *slot)),
        }
    }

    /// Makes a parcel ready for [`put`](Self::put), of this door or of one that the member has moved to since.
    pub(crate) fn offer(&self, parcel: P) -> Offered<P> {
        match self {
            Self::Outbox { outbox, .. } => outbox.offer(parcel),
            Self::Slot { port, .. } => {
                let (weighed, volatile) = (port.weigh(&parcel), parcel.is_volatile());
                Offered { parcel, weighed, volatile }
            }
        }
    }

    /// [`push`](Self::push) by somebody who holds a lock: what follows of it comes with [`Put::finish`], and then the
    /// budget is to be [relieved](Self::relieve).
    pub(crate) fn put(&self, offered: Offered<P>) -> Put<P> {
        match self {
            Self::Outbox { outbox, .. } => Put::Outbox(outbox.put(offered)),
            Self::Slot { slot, port } => {
                Put::Port(port.put(Publication::to_one(offered.parcel, *slot), offered.weighed))
            }
        }
    }

    /// Has those go who hold most, where the budget has nothing left.
    pub(crate) fn relieve(&self) {
        match self {
            Self::Outbox { outbox, .. } => outbox.budget().relieve(),
            Self::Slot { port, .. } => port.budget().relieve(),
        }
    }

    /// Whether it is this outbox.
    pub(crate) fn is(&self, other: &Outbox<P>) -> bool {
        matches!(self, Self::Outbox { outbox, .. } if std::ptr::eq(&raw const **outbox, other))
    }
}

/// What became of a parcel, and what is left to do about it outside of locks.
#[must_use = "somebody may have to be woken"]
pub(crate) enum Put<P: Parcel> {
    Outbox(outbox::Put<P>),
    Port(port::Put<P>),
}

impl<P: Parcel> Put<P> {
    /// Does what is left to do.
    pub(crate) fn finish(self) -> Pushed {
        match self {
            Self::Outbox(put) => put.finish(),
            Self::Port(put) => put.finish(),
        }
    }
}

impl MemberId {
    pub(crate) fn of_outbox(id: u64) -> Self {
        Self(Name::Outbox(id))
    }

    pub(crate) fn of_slot<P: Parcel>(port: &Port<P>, slot: SlotId) -> Self {
        Self(Name::Slot(port.number(), slot))
    }

    /// The number of a member that has an outbox of its own.
    pub(crate) fn outbox(self) -> Option<u64> {
        match self.0 {
            Name::Outbox(id) => Some(id),
            Name::Slot(..) => None,
        }
    }

    /// The slot of a member that is reached through this port.
    pub(crate) fn slot_of<P: Parcel>(self, port: &Port<P>) -> Option<SlotId> {
        match self.0 {
            Name::Slot(number, slot) if number == port.number() => Some(slot),
            _ => None,
        }
    }
}
