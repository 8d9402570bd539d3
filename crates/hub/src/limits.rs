//! How much may be queued and subscribed, and what happens when a queue is full.

/// The bounds of one [`Outbox`](crate::Outbox). Both hold at once.
///
/// A parcel is always accepted when the queue is empty, however heavy it is: otherwise a parcel heavier than `bytes`
/// could never be sent. So a queue holds at most `bytes`, or one parcel that alone is heavier. (While room is set
/// aside for senders that were told to go on and have not run yet, a [`push`](crate::Outbox::push) into an empty queue
/// still gets in; the queue can then exceed its bounds by that one parcel.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parcels queued at most. Default 1024. Zero acts as one, because an empty queue always accepts.
    pub messages: usize,
    /// Bytes queued at most, as told by [`Parcel::weight`](crate::Parcel::weight). Default 1 MiB. This is what one peer
    /// that does not read can make the process hold, besides what its driver and its kernel buffers hold.
    pub bytes: usize,
    /// What a full queue does with a parcel that cannot wait. Default [`Overflow::Close`].
    pub overflow: Overflow,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 1024, bytes: 1 << 20, overflow: Overflow::Close }
    }
}

/// What a full queue does with a parcel whose publisher cannot wait.
///
/// This concerns [`Outbox::push`](crate::Outbox::push) (and so every publish) only: those who can take an answer use
/// [`try_push`](crate::Outbox::try_push) or [`send`](crate::Outbox::send), which lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The oldest queued parcels make room. For state that a newer message supersedes.
    DropOldest,
    /// The new parcel is thrown away. For streams where a gap at the end is better than one in the middle.
    DropNewest,
    /// The queue is emptied and the connection is to be closed (1013 on WebSocket). For streams where a gap is wrong:
    /// the client reconnects and starts afresh.
    #[default]
    Close,
}

/// The bounds of one [`Port`](crate::Port). Both hold at once, except that an empty queue always accepts.
///
/// They bound what a shard that falls behind can make the process hold. Besides the parcels, a publication holds its
/// list of receivers; that is shared with the topic and with other publications until a member comes or goes, and then
/// a copy of about 2 KiB and 8 bytes per 256 members of the topic stays with it. One to several topics, or with
/// exceptions, has a list of its own, of 8 bytes for each receiver, which counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// Publications queued at most. Default 65,536. Zero acts as one.
    pub publications: usize,
    /// Bytes queued at most: each publication's parcel by its [weight](crate::Parcel::weight), once, however many
    /// receive it, and the list of receivers if it was made for this publication. Default 64 MiB.
    pub bytes: usize,
}

impl Default for PortLimits {
    fn default() -> Self {
        Self { publications: 1 << 16, bytes: 64 << 20 }
    }
}

/// The bounds of one [`Hub`](crate::Hub).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Topics that one member may be subscribed to at the same time, but for those that are
    /// [exempt](crate::Member::subscribe_exempt). Default 1024. Each costs about 50 bytes, or 350
    /// when nobody else is in it, and a long name more; a client that chooses its own topics can make the hub hold this
    /// much per connection.
    pub topics_per_member: usize,
    /// Length of a topic's name in bytes. Default 256.
    pub topic_bytes: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { topics_per_member: 1024, topic_bytes: 256 }
    }
}
