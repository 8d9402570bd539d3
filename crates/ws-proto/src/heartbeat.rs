//! Pings and what they tell: whether the peer lives, and how long a round trip takes.
//!
//! Each ping carries a number of its own; "a Pong frame sent in response to a Ping frame must have identical
//! Application data" (RFC 6455 §5.5.3), so that a pong names the ping that it answers.

use std::time::Duration;

use crate::clock::Span;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// When the next ping is due.
    due: Option<Span>,
    /// The oldest heartbeat ping that was sent and since which nothing came.
    unanswered: Option<Span>,
    /// When the newest ping was sent, unless it is answered.
    newest_sent: Option<Span>,
    latency: Option<Span>,
    /// The number of the newest ping.
    newest: u32,
    /// A ping that waits for room in the output.
    pending: bool,
    /// A ping that is in the output and not yet with the transport: a peer cannot answer what it has not been sent.
    unsent: bool,
}

impl Heartbeat {
    pub(crate) fn new(interval: Option<Duration>, now: Span) -> Self {
        let due = interval.and_then(|interval| now.checked_add(interval));
        Self { due, pending: false, unsent: false, unanswered: None, newest: 0, newest_sent: None, latency: None }
    }

    /// Bytes came from the peer: any byte counts as life.
    #[inline]
    pub(crate) fn heard(&mut self) {
        self.unanswered = None;
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.map(Duration::from)
    }

    /// When something falls due: the next ping, or the end of the peer's time to show life.
    pub(crate) fn deadline(&self, pong_timeout: Duration) -> Option<Span> {
        let answer_by = self.unanswered.and_then(|sent| sent.checked_add(pong_timeout));
        [self.due, answer_by].into_iter().flatten().min()
    }

    /// Makes a ping due if its time has come. `false`: the peer did not show life in time.
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, interval: Option<Duration>, pong_timeout: Duration, now: Span) -> bool {
        if self.unanswered.is_some_and(|sent| Duration::from(now.since(sent)) >= pong_timeout) {
            return false;
        }
        if let (Some(due), Some(interval)) = (self.due, interval)
            && now >= due
        {
            self.pending = true;
            self.due = now.checked_add(interval);
        }
        true
    }

    /// A heartbeat ping was sent and nothing came since.
    #[inline]
    pub(crate) fn awaits_answer(&self) -> bool {
        self.unanswered.is_some()
    }

    /// A ping is due.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// The payload of a ping that is due, to be sent now.
    pub(crate) fn take_pending(&mut self, now: impl FnOnce() -> Span) -> Option<[u8; 8]> {
        let due = std::mem::take(&mut self.pending);
        self.unsent |= due;
        due.then(|| self.next(now()).to_be_bytes())
    }

    /// Everything that was in the output is with the transport: the peer's time to answer begins.
    #[inline]
    pub(crate) fn sent(&mut self, now: impl FnOnce() -> Span) {
        if std::mem::take(&mut self.unsent) {
            self.unanswered.get_or_insert_with(now);
        }
    }

    /// The number of a new ping, to be sent now.
    pub(crate) fn next(&mut self, now: Span) -> u64 {
        // A ping every second for 136 years.
        self.newest = self.newest.wrapping_add(1);
        self.newest_sent = Some(now);
        self.newest.into()
    }

    /// A pong came. Its round trip, if it answers the newest ping.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Span) -> Option<Duration> {
        if payload != u64::from(self.newest).to_be_bytes() {
            return None;
        }
        let rtt = now.since(self.newest_sent.take()?);
        self.latency = Some(rtt);
        Some(rtt.into())
    }
}
