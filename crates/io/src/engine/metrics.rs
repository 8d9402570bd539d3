//! Counters of an engine, as plain atomics: whoever exports them reads them when asked.

use std::sync::atomic::{AtomicU64, Ordering};

use switchboard_io_proto::engine::{CloseReason, HandshakeError, Transport};

use super::limit::Limit;

/// What happened so far. All figures only grow.
#[derive(Debug, Default)]
pub struct Metrics {
    opened: [AtomicU64; 2],
    refused: [AtomicU64; 6],
    closed: [AtomicU64; 6],
    upgrades_begun: AtomicU64,
    upgrades_done: AtomicU64,
    upgrades_dropped: AtomicU64,
    payloads_too_large: AtomicU64,
    overflowed: AtomicU64,
    limits: [AtomicU64; Limit::ALL.len()],
    panics: AtomicU64,
}

impl Metrics {
    /// Sessions that were opened by this transport.
    #[must_use]
    pub fn opened(&self, transport: Transport) -> u64 {
        get(&self.opened[by_transport(transport)])
    }

    /// Requests that were refused with this of Node's codes, 0–5. Other codes: 0.
    #[must_use]
    pub fn refused(&self, code: u8) -> u64 {
        self.refused.get(usize::from(code)).map_or(0, get)
    }

    /// Sessions that ended for this reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        get(&self.closed[by_reason(reason)])
    }

    /// WebSockets that came for a polling session.
    #[must_use]
    pub fn upgrades_begun(&self) -> u64 {
        get(&self.upgrades_begun)
    }

    /// Of those, the ones that took their session over.
    #[must_use]
    pub fn upgrades_done(&self) -> u64 {
        get(&self.upgrades_done)
    }

    /// Of those, the ones that did not: refused, gone, or not claimed in time.
    #[must_use]
    pub fn upgrades_dropped(&self) -> u64 {
        get(&self.upgrades_dropped)
    }

    /// POSTs that were longer than the largest payload (413).
    #[must_use]
    pub fn payloads_too_large(&self) -> u64 {
        get(&self.payloads_too_large)
    }

    /// Sessions that ended because their client did not take what waited for it, by polls or on its WebSocket.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        get(&self.overflowed)
    }

    /// How often a limit has bitten.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> u64 {
        get(&self.limits[limit as usize])
    }

    /// Panics of the application: of an [`App`](crate::engine::App), and of Socket.IO's handlers and middlewares. Not
    /// those of functions that are merely told of something, as of rooms or of what is sent, which are logged.
    #[must_use]
    pub fn panics(&self) -> u64 {
        get(&self.panics)
    }

    pub(crate) fn open(&self, transport: Transport) {
        add(&self.opened[by_transport(transport)]);
    }

    pub(crate) fn refuse(&self, error: &HandshakeError) {
        add(&self.refused[usize::from(error.code())]);
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        add(&self.closed[by_reason(reason)]);
    }

    pub(crate) fn begin_upgrade(&self) {
        add(&self.upgrades_begun);
    }

    pub(crate) fn finish_upgrade(&self) {
        add(&self.upgrades_done);
    }

    pub(crate) fn drop_upgrade(&self) {
        add(&self.upgrades_dropped);
    }

    pub(crate) fn too_large(&self) {
        add(&self.payloads_too_large);
    }

    pub(crate) fn overflow(&self) {
        add(&self.overflowed);
    }

    pub(crate) fn hit(&self, limit: Limit) {
        add(&self.limits[limit as usize]);
    }

    pub(crate) fn panicked(&self) {
        add(&self.panics);
    }
}

fn by_transport(transport: Transport) -> usize {
    match transport {
        Transport::Polling => 0,
        Transport::WebSocket => 1,
    }
}

fn by_reason(reason: CloseReason) -> usize {
    match reason {
        CloseReason::TransportError => 0,
        CloseReason::TransportClose => 1,
        CloseReason::ForcedClose => 2,
        CloseReason::PingTimeout => 3,
        CloseReason::ParseError => 4,
        CloseReason::ServerShuttingDown => 5,
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
