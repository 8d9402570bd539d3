//! The closing handshake (RFC 6455 §7): who said what, and when the connection may be dropped.
//!
//! ```text
//!              we close                      the peer closes
//!   Open ─────────────────▶ (out: pending) ◀───────────────── (in: Some)
//!                                  │ poll_transmit
//!                                  ▼
//!                           (out: sent) ── in: Some ──▶ both said it: drop the connection
//! ```

use std::time::Instant;

use crate::close::{CloseCode, CloseFrame};
use crate::error::{ProtocolError, Timeout};
use crate::utf8::Utf8Bytes;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The peer closed first.
    Peer,
    /// We closed first.
    Local,
    /// The peer broke a rule.
    Protocol(ProtocolError),
    /// A deadline passed.
    Timeout(Timeout),
    /// The transport ended without a Close frame from the peer.
    Eof,
}

impl Cause {
    /// Whether the connection was failed (RFC 6455 §7.1.7), in place of being closed: then the peer's Close frame is not
    /// waited for. An idle connection is closed politely.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Protocol(_) | Self::Timeout(_) => self != Self::Timeout(Timeout::Idle),
            Self::Peer | Self::Local | Self::Eof => false,
        }
    }
}

/// How a connection ended, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The Close frame that the peer sent.
    pub received: Option<CloseFrame>,
    /// The Close frame that we sent.
    pub sent: Option<CloseFrame>,
    /// What ended it.
    pub cause: Cause,
}

impl Ended {
    /// The code as the WebSocket API reports it: the peer's, 1005 when its Close frame had none, 1006 without one.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.received.as_ref().map_or(CloseCode::ABNORMAL, |frame| frame.code)
    }

    /// The peer's reason, empty without one.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.received.as_ref().map_or("", |frame| frame.reason.as_str())
    }

    /// Both sides said Close and neither broke a rule.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.received.is_some() && self.sent.is_some() && !self.cause.is_failure()
    }
}

/// What the driver should do with the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// Keep it.
    No,
    /// Write what waits, shut the write side down, and read (and forget) until the peer's end of stream or the deadline:
    /// to drop a socket with unread bytes would reset it, and the peer would miss our Close frame.
    Linger,
    /// Write what waits, then drop it.
    AfterFlush,
    /// Drop it.
    Now,
}

#[derive(Debug, Default)]
pub(crate) struct Closing {
    out: Option<CloseFrame>,
    out_sent: bool,
    received: Option<CloseFrame>,
    cause: Option<Cause>,
    eof: bool,
    /// The transport must be given up at this time.
    pub(crate) deadline: Option<Instant>,
}

impl Closing {
    /// Neither side has begun.
    pub(crate) fn is_open(&self) -> bool {
        self.cause.is_none()
    }

    /// The peer may still say something that matters.
    pub(crate) fn is_listening(&self) -> bool {
        self.received.is_none() && !self.has_failed() && !self.eof
    }

    /// We may still send messages: we have not said Close, nor asked to. A failure is the peer's doing, and what it said
    /// before may be answered until the Close frame is out.
    pub(crate) fn may_send(&self) -> bool {
        (self.out.is_none() || self.has_failed()) && !self.out_sent && !self.eof
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.out_sent
    }

    fn has_failed(&self) -> bool {
        self.cause.is_some_and(Cause::is_failure)
    }

    /// We want to close, or must. What is being closed already stays so.
    pub(crate) fn begin(&mut self, frame: CloseFrame, cause: Cause, deadline: Option<Instant>) {
        if self.out.is_some() {
            // A failure during our own closing handshake changes the cause, not the frame that is out already.
            if cause.is_failure() && !self.has_failed() {
                self.cause = Some(cause);
            }
            return;
        }
        self.out = Some(frame);
        // The cause that came first stands, but a failure outweighs a farewell.
        if self.cause.is_none() || cause.is_failure() {
            self.cause = Some(cause);
        }
        self.deadline = self.deadline.or(deadline);
    }

    /// The peer's Close frame.
    pub(crate) fn receive(&mut self, frame: CloseFrame, deadline: Option<Instant>) {
        self.received = Some(frame);
        self.cause.get_or_insert(Cause::Peer);
        self.deadline = self.deadline.or(deadline);
    }

    pub(crate) fn receive_eof(&mut self) {
        self.eof = true;
        self.cause.get_or_insert(Cause::Eof);
    }

    /// The Close frame to send now, if one is due: our own, or the answer to the peer's.
    pub(crate) fn take_due(&mut self) -> Option<&CloseFrame> {
        if self.out.is_none()
            && let Some(received) = &self.received
        {
            // "When sending a Close frame in response, the endpoint typically echos the status code it received" (§5.5.1).
            self.out = Some(CloseFrame { code: received.code, reason: Utf8Bytes::default() });
        }
        if self.out_sent || self.eof {
            return None;
        }
        self.out_sent = self.out.is_some();
        self.out.as_ref()
    }

    /// The time for the closing handshake is over. `true`: the peer never said its part.
    pub(crate) fn give_up(&mut self) -> bool {
        let owed = self.received.is_none() && !self.has_failed();
        if owed {
            self.cause = Some(Cause::Timeout(Timeout::Close));
        }
        self.eof = true;
        owed
    }

    /// The transport is beyond use: the peer takes nothing.
    pub(crate) fn abort(&mut self, cause: Cause) {
        if !self.has_failed() {
            self.cause = Some(cause);
        }
        self.eof = true;
    }

    pub(crate) fn disconnect(&self, is_server: bool) -> Disconnect {
        if self.eof {
            return Disconnect::Now;
        }
        match (self.out_sent, &self.received) {
            (true, _) if self.has_failed() => Disconnect::Linger,
            // "the server ... SHOULD close the underlying TCP connection first", the client waits for that (§7.1.1).
            (true, Some(_)) if is_server => Disconnect::AfterFlush,
            _ => Disconnect::No,
        }
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        let sent = self.out.clone().filter(|_| self.out_sent);
        Some(Ended { received: self.received.clone(), sent, cause: self.cause? })
    }
}
