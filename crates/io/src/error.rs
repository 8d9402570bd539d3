//! What can go wrong between this server and a socket, as plain data.

use std::fmt;

use serde::Serialize;
use switchboard_io_proto::socket::{Args, ArgsError, EncodeError, Parser};

/// Why an event was not sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EmitError {
    /// It cannot be written: a reserved event name, or data that does not serialise.
    Encode(EncodeError),
    /// The socket is not connected (any more).
    Disconnected,
    /// As many acks as may be are awaited from this socket already; see `Settings::max_acks`.
    TooManyAcks,
}

/// Why there is no answer to an event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    Emit(EmitError),
    /// None came in time.
    Timeout,
    /// The socket was disconnected first.
    Disconnected,
    /// It is of another type than was asked for.
    Args(ArgsError),
}

/// What a handler failed with, in words.
#[derive(Debug)]
pub struct Failure(pub(crate) String);

/// A refusal, by a middleware of a namespace or of a socket. The client gets it as the `connect_error` event: `message`,
/// and `data` if there is some.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Args,
}

impl Refusal {
    /// A refusal in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: Args::default() }
    }

    /// Adds details, which the client finds as `error.data`.
    ///
    /// # Errors
    /// They do not serialise.
    pub fn with_data(mut self, data: impl Serialize) -> Result<Self, EncodeError> {
        self.data = Args::new(Parser::Json, &(data,))?;
        Ok(self)
    }

    /// The words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details: one argument, or none.
    #[must_use]
    pub fn data(&self) -> &Args {
        &self.data
    }
}

/// Why a room was not joined.
pub use switchboard_hub::HubError as JoinError;

impl From<EncodeError> for EmitError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<EmitError> for AckError {
    fn from(error: EmitError) -> Self {
        Self::Emit(error)
    }
}

impl From<ArgsError> for AckError {
    fn from(error: ArgsError) -> Self {
        Self::Args(error)
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the socket is not connected"),
            Self::TooManyAcks => f.write_str("the socket owes as many acks as may be awaited from one"),
        }
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emit(error) => error.fmt(f),
            Self::Timeout => f.write_str("no ack came in time"),
            Self::Disconnected => f.write_str("the socket was disconnected before its ack came"),
            Self::Args(error) => write!(f, "the ack is not what was asked for: {error}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EmitError {}
impl std::error::Error for AckError {}
impl std::error::Error for Refusal {}
