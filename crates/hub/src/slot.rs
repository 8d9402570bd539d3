//! The name of a place in a shard's table of connections.

use std::fmt;

use crate::list::Keyed;

/// Where a shard keeps one of its connections. The shard chooses both numbers; the hub only hands them back.
///
/// Ordered by key, then by generation. Two members of one [`Port`](crate::Port) at the same time must not have the same
/// `SlotId`: the hub could not tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The place in the table.
    pub key: u32,
    /// Which of those that have had this place one after another. A publication made before a place changed hands is
    /// recognised by it, so it should differ from the ones before for as long as publications may be queued.
    pub generation: u32,
}

impl Keyed for SlotId {
    fn key(&self) -> u64 {
        u64::from(self.key) << 32 | u64::from(self.generation)
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key, self.generation)
    }
}
