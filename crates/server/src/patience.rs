//! How long clients may take that are no WebSockets yet.

use std::time::Duration;

/// How long a client may take until it has become a WebSocket. All of these are for the whole, not for a read or write.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the connection's start, or the last answer, until the next request's head has come.
    pub request: Duration,
    /// Until it takes some of an answer; four times as long for all of it.
    pub write: Duration,
}
