//! Pings and what they tell: whether the peer lives, and how long a round trip takes.
//!
//! Each ping carries a number of its own; "a Pong frame sent in response to a Ping frame must have identical Application
//! data" (RFC 6455 §5.5.3), so that a pong names the ping that it answers.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// When the next ping is due.
    due: Option<Instant>,
    /// A ping that waits for room in the output.
    pending: bool,
    /// A ping that is in the output and not yet with the transport: a peer cannot answer what it has not been sent.
    unsent: bool,
    /// The oldest heartbeat ping that was sent and since which nothing came.
    unanswered: Option<Instant>,
    /// The number of the newest ping, and when it was sent.
    newest: u64,
    newest_sent: Option<Instant>,
    latency: Option<Duration>,
}

impl Heartbeat {
    pub(crate) fn new(interval: Option<Duration>, now: Instant) -> Self {
        let due = interval.and_then(|interval| now.checked_add(interval));
        Self { due, pending: false, unsent: false, unanswered: None, newest: 0, newest_sent: None, latency: None }
    }

    /// Bytes came from the peer: any byte counts as life.
    #[inline]
    pub(crate) fn heard(&mut self) {
        self.unanswered = None;
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// When something falls due: the next ping, or the end of the peer's time to show life.
    pub(crate) fn deadline(&self, pong_timeout: Duration) -> Option<Instant> {
        let answer_by = self.unanswered.and_then(|sent| sent.checked_add(pong_timeout));
        [self.due, answer_by].into_iter().flatten().min()
    }

    /// Makes a ping due if its time has come. `false`: the peer did not show life in time.
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, interval: Option<Duration>, pong_timeout: Duration, now: Instant) -> bool {
        if self.unanswered.is_some_and(|sent| now.saturating_duration_since(sent) >= pong_timeout) {
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

    /// The payload of a ping that is due, to be sent now.
    pub(crate) fn take_pending(&mut self, now: Instant) -> Option<[u8; 8]> {
        let due = std::mem::take(&mut self.pending);
        self.unsent |= due;
        due.then(|| self.next(now).to_be_bytes())
    }

    /// Everything that was in the output is with the transport: the peer's time to answer begins.
    pub(crate) fn sent(&mut self, now: Instant) {
        if std::mem::take(&mut self.unsent) {
            self.unanswered.get_or_insert(now);
        }
    }

    /// The number of a new ping, to be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> u64 {
        self.newest += 1;
        self.newest_sent = Some(now);
        self.newest
    }

    /// A pong came. Its round trip, if it answers the newest ping.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        if payload != self.newest.to_be_bytes() {
            return None;
        }
        let rtt = now.saturating_duration_since(self.newest_sent.take()?);
        self.latency = Some(rtt);
        Some(rtt)
    }
}
