//! What a driver lends to a session while it has its turn: the time, somewhere to write, and counters. None of it is a
//! connection's own, so that an idle one is small, and shared counters are touched once for many messages.

use std::sync::Arc;
use std::time::Instant;

use switchboard_hub::{Port, SlotId};
use switchboard_ws_proto::Output;

use crate::backlog::Backlog;
use crate::config::Config;
use crate::metrics::Tally;
use crate::parcel::Parcel;
use crate::scratch;

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
    /// A turn of one connection, with the thread's output, which has what is left of earlier turns.
    pub(crate) fn begin(backlog: &mut Backlog) -> Self {
        let mut turn =
            Self { now: now(), out: scratch::take_output(), place: None, delivering: false, tally: Tally::default() };
        backlog.lend(&mut turn.out);
        turn
    }

    /// What it counted is added up, and what of the output is left is kept.
    pub(crate) fn end(mut self, backlog: &mut Backlog, config: &Config) {
        config.get_metrics().add(&self.tally);
        backlog.keep(&mut self.out, config.get_budget());
        scratch::put_output(self.out);
        config.get_budget().relieve();
    }

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
