//! How an open connection can fail, and what it ended with.

use std::fmt;
use std::io;
use std::sync::Arc;

use switchboard_ws_proto::{Cause, CloseCode, CloseFrame, Ended, ProtocolError, SendError, Timeout};

/// Why an open connection ended other than by a clean closing handshake, or why a message was not taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the protocol, or one of our limits.
    Protocol(ProtocolError),
    /// A deadline passed.
    Timeout(Timeout),
    /// The transport failed.
    Io(Arc<io::Error>),
    /// The transport ended without a Close frame from the peer.
    Disconnected,
    /// The outbox was full and its policy is to close (1013).
    Overflowed,
    /// The handler panicked (1011).
    Panicked,
    /// The application cut the connection off.
    Terminated,
    /// The connection is closing or closed: nothing more can be sent.
    Closed,
    /// The command was not a legal one; nothing was sent.
    Refused(SendError),
}

impl Error {
    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.name(),
            Self::Timeout(timeout) => timeout.name(),
            Self::Io(_) => "io",
            Self::Disconnected => "disconnected",
            Self::Overflowed => "outbox_overflow",
            Self::Panicked => "panic",
            Self::Terminated => "terminated",
            Self::Closed => "closed",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Io(error) => write!(f, "the transport failed: {error}"),
            Self::Disconnected => f.write_str("the peer disconnected without a Close frame"),
            Self::Overflowed => f.write_str("the peer did not keep up and its outbox overflowed"),
            Self::Panicked => f.write_str("the connection's handler panicked"),
            Self::Terminated => f.write_str("the application cut the connection off"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Timeout(timeout) => Some(timeout),
            Self::Io(error) => Some(error.as_ref()),
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::Io(inner) => inner.kind(),
            Error::Disconnected => io::ErrorKind::UnexpectedEof,
            Error::Closed => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// How a connection ended: the closing handshake as both sides saw it, and the error, if it was not a clean end.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) error: Option<Error>,
}

impl Outcome {
    pub(crate) fn new(ended: Ended, error: Option<Error>) -> Self {
        let error = error.or_else(|| match ended.cause {
            Cause::Protocol(error) => Some(Error::Protocol(error)),
            Cause::Timeout(timeout) => Some(Error::Timeout(timeout)),
            // A peer that said Close may drop the transport without waiting for our answer.
            Cause::Peer | Cause::Local if ended.received.is_some() => None,
            _ => Some(Error::Disconnected),
        });
        Self { ended, error }
    }

    /// The code that the peer closed with: 1005 when its Close frame had none, 1006 when it sent no Close frame.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.ended.code()
    }

    /// The peer's reason, empty without one.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.ended.reason()
    }

    /// The Close frame that we sent, if we did.
    #[must_use]
    pub fn sent(&self) -> Option<&CloseFrame> {
        self.ended.sent.as_ref()
    }

    /// The Close frame that the peer sent, if it did.
    #[must_use]
    pub fn received(&self) -> Option<&CloseFrame> {
        self.ended.received.as_ref()
    }

    /// Whether the peer said Close and nobody broke a rule.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.error.is_none()
    }

    /// What went wrong; `None` after a clean end.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => error.fmt(f),
            None => write!(f, "closed with {} {:?}", self.code(), self.reason()),
        }
    }
}
