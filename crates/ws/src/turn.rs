//! What a driver lends to a session while it has its turn: the time, somewhere to write, and counters. None of it is a
//! connection's own, so that an idle one is small, and shared counters are touched once for many messages.

use std::sync::Arc;
use std::time::Instant;

use switchboard_hub::{Port, SlotId};
use switchboard_ws_proto::Output;

use crate::metrics::Tally;
use crate::parcel::Parcel;

#[derive(Debug)]
pub(crate) struct Turn {
    /// The time, read once.
    pub(crate) now: Instant,
    /// Where frames go: empty, or what the transport has refused of earlier ones.
    pub(crate) out: Output,
    /// How publications reach the connection, where not by an outbox of its own.
    pub(crate) place: Option<Place>,
    /// Of what has left the port some was not delivered yet, to this connection or to others.
    pub(crate) delivering: bool,
    /// What is counted until the driver adds it to the endpoint's metrics.
    pub(crate) tally: Tally,
}

impl Turn {
    /// Whose turn it is, on a shard.
    #[cfg(unix)]
    pub(crate) fn set_slot(&mut self, slot: SlotId) {
        if let Some(place) = &mut self.place {
            place.slot = slot;
        }
    }
}

/// Where a connection is: on which shard, and in which slot of it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) port: Arc<Port<Parcel>>,
    pub(crate) slot: SlotId,
}

/// The time by tokio's clock, which tests may stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
