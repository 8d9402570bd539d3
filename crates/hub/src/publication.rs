//! One publish as a shard hears of it: the parcel, and a snapshot of the shard's members that it goes to.

use std::fmt;

use crate::list::{Keyed, List};
use crate::parcel::Parcel;
use crate::slot::SlotId;

/// A parcel for some members of one [`Port`](crate::Port), all of them at once.
///
/// It shares the list of receivers with the topic: while it is held, changes of the topic's members work on copies of
/// what they change. So a shard drops it when it has delivered it.
#[derive(Clone)]
pub struct Publication<P: Parcel> {
    parcel: P,
    members: List<SlotId>,
    /// One of `members`, who is not to get it.
    except: Option<SlotId>,
}

impl<P: Parcel> Publication<P> {
    pub(crate) fn new(parcel: P, members: List<SlotId>, except: Option<SlotId>) -> Self {
        let except = except.filter(|slot| members.contains(slot.key()));
        Self { parcel, members, except }
    }

    /// What was published.
    #[must_use]
    pub fn parcel(&self) -> &P {
        &self.parcel
    }

    /// The members that this goes to, in ascending order. They were subscribed at one moment during the publish: one
    /// that has left since is still among them, and its place may have been given to another, whose
    /// [generation](SlotId::generation) is another one.
    pub fn receivers(&self) -> impl Iterator<Item = SlotId> {
        self.members.iter().copied().filter(|slot| Some(*slot) != self.except)
    }

    /// The one member that does not get it, if it is among those who would.
    #[must_use]
    pub fn excepted(&self) -> Option<SlotId> {
        self.except
    }

    /// Whether both go to the same members, but for those excepted, and this can be told at once: publications of one
    /// topic that nobody joined or left in between. A shard can then write several to each receiver together.
    #[must_use]
    pub fn shares_receivers(&self, other: &Self) -> bool {
        self.members.is_same(&other.members)
    }

    /// All members of whom [`receivers`](Self::receivers) leaves out the one that is [excepted](Self::excepted).
    pub fn members(&self) -> impl Iterator<Item = SlotId> {
        self.members.iter().copied()
    }

    /// How many [receivers](Self::receivers) there are. Takes constant time.
    #[must_use]
    pub fn reach(&self) -> usize {
        self.members.len() - usize::from(self.except.is_some())
    }
}

impl<P: Parcel> fmt::Debug for Publication<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").field("reach", &self.reach()).finish_non_exhaustive()
    }
}
