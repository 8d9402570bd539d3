//! What a driver lends to a session while it has its turn: the time, somewhere to write, and counters. None of it is a
//! connection's own, so that an idle one is small, and shared counters are touched once for many messages.

use std::time::Instant;

use switchboard_ws_proto::Output;

use crate::metrics::Tally;

#[derive(Debug)]
pub(crate) struct Turn {
    /// The time, read once.
    pub(crate) now: Instant,
    /// Where frames go: empty, or what the transport has refused of earlier ones.
    pub(crate) out: Output,
    /// What is counted until the driver adds it to the endpoint's metrics.
    pub(crate) tally: Tally,
}
