//! One publish as a shard hears of it: the parcel, and a snapshot of the shard's members that it goes to.

use std::fmt;

use crate::list::{Keyed, List};
use crate::parcel::Parcel;
use crate::slot::SlotId;

/// A parcel for some members of one [`Port`](crate::Port), all of them at once.
///
/// One for a single topic shares the list of receivers with it: while it is held, changes of the topic's members work
/// on copies of what they change. So a shard drops it when it has delivered it.
#[derive(Clone)]
pub struct Publication<P: Parcel> {
    parcel: P,
    members: Members,
    /// One of `members`, who is not to get it.
    except: Option<SlotId>,
}

#[derive(Clone)]
enum Members {
    Listed(List<SlotId>),
    /// What is for one alone needs no list.
    One(SlotId),
}

impl Members {
    fn iter(&self) -> impl Iterator<Item = SlotId> {
        let (one, listed) = match self {
            Self::One(slot) => (Some(*slot), None),
            Self::Listed(list) => (None, Some(list)),
        };
        one.into_iter().chain(listed.into_iter().flat_map(List::iter).copied())
    }
}

impl<P: Parcel> Publication<P> {
    pub(crate) fn new(parcel: P, members: List<SlotId>, except: Option<SlotId>) -> Self {
        let except = except.filter(|slot| members.contains(slot.key()));
        Self { parcel, members: Members::Listed(members), except }
    }

    pub(crate) fn to_one(parcel: P, slot: SlotId) -> Self {
        Self { parcel, members: Members::One(slot), except: None }
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
        self.members.iter().filter(|slot| Some(*slot) != self.except)
    }

    /// The one member that does not get it, if it is among those who would.
    #[must_use]
    pub fn excepted(&self) -> Option<SlotId> {
        self.except
    }

    /// Whether both go to the same members, but for those excepted, and this can be told at once: publications of one
    /// topic that nobody joined or left in between, or those for one and the same member. A shard can then write
    /// several to each receiver together.
    #[must_use]
    pub fn shares_receivers(&self, other: &Self) -> bool {
        match (&self.members, &other.members) {
            (Members::Listed(list), Members::Listed(other)) => list.is_same(other),
            (Members::One(slot), Members::One(other)) => slot == other,
            _ => false,
        }
    }

    /// All members of whom [`receivers`](Self::receivers) leaves out the one that is [excepted](Self::excepted).
    pub fn members(&self) -> impl Iterator<Item = SlotId> {
        self.members.iter()
    }

    /// How many [receivers](Self::receivers) there are. Takes constant time.
    #[must_use]
    pub fn reach(&self) -> usize {
        let members = match &self.members {
            Members::Listed(list) => list.len(),
            Members::One(_) => 1,
        };
        members - usize::from(self.except.is_some())
    }
}

impl<P: Parcel> fmt::Debug for Publication<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").field("reach", &self.reach()).finish_non_exhaustive()
    }
}
