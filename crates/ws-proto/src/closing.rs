//! The closing handshake (RFC 6455 §7): who said what, and when the connection may be dropped.
//!
//! ```text
//!              we close                      the peer closes
//!   Open ─────────────────▶ (out: pending) ◀───────────────── (in: Some)
//!                                  │ poll_transmit
//!                                  ▼
//!                           (out: sent) ── in: Some ──▶ both said it: drop the connection
//! ```

use crate::clock::Span;
use crate::close::{CloseCode, CloseFrame};
use crate::error::{ProtocolError, Timeout};
use crate::utf8::Utf8Bytes;

/// The state in the words of the WebSocket API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyState {
    /// Messages go both ways.
    Open,
    /// One side has said Close, or the connection failed.
    Closing,
    /// The transport may be dropped.
    Closed,
}

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
    /// Whether the connection was failed (RFC 6455 §7.1.7), in place of being closed: then the peer's Close frame is
    /// not waited for. An idle connection is closed politely.
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
    /// Write what waits, shut the write side down, and read (and forget) until the peer's end of stream or the
    /// deadline: to drop a socket with unread bytes would reset it, and the peer would miss our Close frame.
    Linger,
    /// Write what waits, then drop it.
    AfterFlush,
    /// Drop it.
    Now,
}

/// Nothing but a pointer while the connection is open.
#[derive(Debug, Default)]
pub(crate) struct Closing(Option<Box<State>>);

#[derive(Debug)]
struct State {
    cause: Cause,
    out: Option<CloseFrame>,
    out_sent: bool,
    received: Option<CloseFrame>,
    eof: bool,
    /// The transport must be given up at this time.
    deadline: Option<Span>,
}

impl State {
    fn has_failed(&self) -> bool {
        self.cause.is_failure()
    }
}

impl Closing {
    /// Neither side has begun.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// The peer may still say something that matters.
    #[inline]
    pub(crate) fn is_listening(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.received.is_none() && !state.has_failed() && !state.eof)
    }

    /// We may still send messages: we have not said Close, nor asked to. A failure is the peer's doing, and what it
    /// said before may be answered until the Close frame is out.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        self.0.as_ref().is_none_or(|state| (state.out.is_none() || state.has_failed()) && !state.out_sent && !state.eof)
    }

    #[inline]
    pub(crate) fn is_sent(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.out_sent)
    }

    pub(crate) fn deadline(&self) -> Option<Span> {
        self.0.as_ref()?.deadline
    }

    /// We want to close, or must. What is being closed already stays so.
    pub(crate) fn begin(&mut self, frame: CloseFrame, cause: Cause, deadline: Option<Span>) {
        let state = self.state(cause);
        // The cause that came first stands, but a failure outweighs a farewell; a failure during our own closing
        // handshake changes the cause, not the frame that is out already.
        if cause.is_failure() && !state.has_failed() {
            state.cause = cause;
        }
        if state.out.is_none() {
            state.out = Some(frame);
            state.deadline = state.deadline.or(deadline);
        }
    }

    /// The peer's Close frame.
    pub(crate) fn receive(&mut self, frame: CloseFrame, deadline: Option<Span>) {
        let state = self.state(Cause::Peer);
        state.received = Some(frame);
        state.deadline = state.deadline.or(deadline);
    }

    pub(crate) fn receive_eof(&mut self) {
        self.state(Cause::Eof).eof = true;
    }

    /// The Close frame to send now, if one is due: our own, or the answer to the peer's.
    pub(crate) fn take_due(&mut self) -> Option<&CloseFrame> {
        let state = self.0.as_deref_mut()?;
        if state.out.is_none()
            && let Some(received) = &state.received
        {
            // "When sending a Close frame in response, the endpoint typically echos the status code it received"
            // (§5.5.1).
            state.out = Some(CloseFrame { code: received.code, reason: Utf8Bytes::default() });
        }
        if state.out_sent || state.eof {
            return None;
        }
        state.out_sent = state.out.is_some();
        state.out.as_ref()
    }

    /// The time for the closing handshake is over. `true`: the peer never said its part.
    pub(crate) fn give_up(&mut self) -> bool {
        let Some(state) = &mut self.0 else { return false };
        let owed = state.received.is_none() && !state.has_failed();
        if owed {
            state.cause = Cause::Timeout(Timeout::Close);
        }
        state.eof = true;
        owed
    }

    /// The transport is beyond use: the peer takes nothing.
    pub(crate) fn abort(&mut self, cause: Cause) {
        let state = self.state(cause);
        if !state.has_failed() {
            state.cause = cause;
        }
        state.eof = true;
    }

    pub(crate) fn disconnect(&self, is_server: bool) -> Disconnect {
        let Some(state) = &self.0 else { return Disconnect::No };
        if state.eof {
            return Disconnect::Now;
        }
        match (state.out_sent, &state.received) {
            (true, _) if state.has_failed() => Disconnect::Linger,
            // "the server ... SHOULD close the underlying TCP connection first", the client waits for that (§7.1.1).
            (true, Some(_)) if is_server => Disconnect::AfterFlush,
            _ => Disconnect::No,
        }
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        let State { cause, out, out_sent, received, .. } = self.0.as_deref()?;
        let sent = out.clone().filter(|_| *out_sent);
        Some(Ended { received: received.clone(), sent, cause: *cause })
    }

    /// How it stands; it ends by `cause` if it was open.
    fn state(&mut self, cause: Cause) -> &mut State {
        self.0.get_or_insert_with(|| {
            Box::new(State { cause, out: None, out_sent: false, received: None, eof: false, deadline: None })
        })
    }
}
