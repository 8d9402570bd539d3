//! Counters of everything that happens to connections, kept per endpoint and read whenever someone asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use switchboard_ws_proto::CloseCode;

use crate::error::Error;

/// The counters of one endpoint. They only grow, but for [`open`](Snapshot::open), and wrap never.
#[derive(Debug, Default)]
pub struct Metrics {
    opened: AtomicU64,
    ended: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    dropped: AtomicU64,
    inbox_full: AtomicU64,
    unsharded: AtomicU64,
    labelled: Mutex<Labelled>,
}

/// Counters by label. They are touched when something ends or goes wrong, never per message.
#[derive(Debug, Default, Clone)]
struct Labelled {
    closes: BTreeMap<&'static str, u64>,
    limits: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections open now.
    pub open: u64,
    /// Connections opened so far.
    pub total: u64,
    /// Messages received, fragments put together.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Bytes read after the handshake, framing included.
    pub bytes_in: u64,
    /// Bytes written after the handshake, framing included.
    pub bytes_out: u64,
    /// Messages that a full outbox threw away.
    pub dropped: u64,
    /// How often reading stopped because the application had not taken what was read before.
    pub inbox_full: u64,
    /// Connections with a handler that got a task of their own because their transport is no plain socket.
    pub unsharded: u64,
    /// Connections ended, by the code of the Close frame that ended them: ours if we failed or closed first, else the
    /// peer's. Private codes are counted together as `3xxx` and `4xxx`.
    pub closes: BTreeMap<&'static str, u64>,
    /// Connections ended by a limit, a deadline or a broken rule, by its name.
    pub limits: BTreeMap<&'static str, u64>,
    /// Connections that ended for want of the transport or by a fault of ours: `disconnected`, `io`, `panic`,
    /// `terminated`.
    pub failures: BTreeMap<&'static str, u64>,
    /// Connections refused before they were open, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

impl Metrics {
    /// All counters, each read once.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Labelled { closes, limits, failures, refused } = self.labelled().clone();
        // `ended` is read first: a connection that ends in between counts as open, never as less than nothing.
        let ended = self.ended.load(Relaxed);
        let total = self.opened.load(Relaxed);
        Snapshot {
            open: total.saturating_sub(ended),
            total,
            messages_in: self.messages_in.load(Relaxed),
            messages_out: self.messages_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            inbox_full: self.inbox_full.load(Relaxed),
            unsharded: self.unsharded.load(Relaxed),
            closes,
            limits,
            failures,
            refused,
        }
    }

    /// Counts a connection that was refused before it was open. For servers that refuse on grounds of their own.
    pub fn refuse(&self, reason: &'static str) {
        *self.labelled().refused.entry(reason).or_default() += 1;
    }

    #[cfg(unix)]
    pub(crate) fn unsharded(&self) {
        self.unsharded.fetch_add(1, Relaxed);
    }

    pub(crate) fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn inbox_full(&self) {
        self.inbox_full.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, code: CloseCode, error: Option<&Error>) {
        self.ended.fetch_add(1, Relaxed);
        let mut labelled = self.labelled();
        *labelled.closes.entry(label(code)).or_default() += 1;
        let Some(error) = error else { return };
        let by_name = match error {
            Error::Protocol(_) | Error::Timeout(_) | Error::Overflowed => &mut labelled.limits,
            _ => &mut labelled.failures,
        };
        *by_name.entry(error.name()).or_default() += 1;
    }

    pub(crate) fn add(&self, tally: &Tally) {
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Relaxed);
            }
        };
        add(&self.messages_in, tally.messages_in);
        add(&self.messages_out, tally.messages_out);
        add(&self.bytes_in, tally.bytes_in);
        add(&self.bytes_out, tally.bytes_out);
        add(&self.dropped, tally.dropped);
    }

    fn labelled(&self) -> std::sync::MutexGuard<'_, Labelled> {
        self.labelled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one turn of a driver counted: added to the shared counters once per turn, not once per message.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) dropped: u64,
}

fn label(code: CloseCode) -> &'static str {
    match code.0 {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1010 => "1010",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        1014 => "1014",
        3000..=3999 => "3xxx",
        4000..=4999 => "4xxx",
        _ => "other",
    }
}
