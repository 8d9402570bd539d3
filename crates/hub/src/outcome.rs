//! What became of a parcel, as told to the one who sent it.

/// What [`Outbox::push`](crate::Outbox::push) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Queued, and the peer keeps up.
    Sent,
    /// Queued, but the peer lags: its driver could not write, or older parcels were dropped to make room.
    Buffered,
    /// Thrown away: the queue is full and its policy is [`Overflow::DropNewest`](crate::Overflow::DropNewest), or the
    /// parcel is [volatile](crate::Parcel::is_volatile) and the peer lags.
    Dropped,
    /// The queue was full and its policy is [`Overflow::Close`](crate::Overflow::Close): this call closed the outbox.
    Overflowed,
    /// The outbox was closed before this call.
    Closed,
}

/// How a parcel was accepted by [`Outbox::try_push`](crate::Outbox::try_push) or [`Outbox::send`](crate::Outbox::send).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Queued, and the peer keeps up.
    Sent,
    /// Queued, but the peer lags: its driver could not write. A sender that can slow down should.
    Buffered,
}

/// What one publish did, in members. Members whose outbox or port was already closed are in none of the figures.
///
/// Of a member that is reached through a [`Port`](crate::Port) the publisher learns only whether the port took the
/// parcel. Whether the member lags, drops it or overflows is known when its shard gets to it, which tells the hub by
/// [`Hub::record`](crate::Hub::record).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Members whose outbox or port took the parcel.
    pub reached: usize,
    /// Those of `reached` whose peer lags ([`Pushed::Buffered`]).
    pub lagging: usize,
    /// Members whose outbox was full and threw the parcel away ([`Pushed::Dropped`]), or whose port was full.
    pub dropped: usize,
    /// Members whose outbox was full and was closed by this publish ([`Pushed::Overflowed`]).
    pub overflowed: usize,
}

impl Delivery {
    /// Adds what became of the parcel for this many members.
    pub(crate) fn count(&mut self, pushed: Pushed, members: usize) {
        match pushed {
            Pushed::Sent => self.reached += members,
            Pushed::Buffered => {
                self.reached += members;
                self.lagging += members;
            }
            Pushed::Dropped => self.dropped += members,
            Pushed::Overflowed => self.overflowed += members,
            Pushed::Closed => {}
        }
    }
}
