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
    /// As many acks as may be are awaited from this socket already; see
    /// [`Builder::max_acks`](crate::Builder::max_acks).
    TooManyAcks,
    /// It has more pieces of binary data than clients take; see
    /// [`Builder::outgoing_attachments`](crate::Builder::outgoing_attachments).
    TooManyAttachments {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
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

/// Whatever can go wrong between this server and its sockets: what `?` makes of all of it, in a handler that does
/// several things.
///
/// ```
/// use switchboard_io::{Ack, Data, Error, Socket, SocketIo};
///
/// let io = SocketIo::new();
/// io.on_connect(async |socket: Socket| {
///     socket.on("enter", async |socket: Socket, Data(room): Data<String>, ack: Ack| {
///         socket.join(&room)?;
///         let name: String = socket.emit_with_ack("who are you", &()).await?;
///         socket.to(&room).emit("entered", &name)?;
///         ack.send("welcome")?;
///         Ok::<_, Error>(())
///     });
/// });
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An event was not sent.
    Emit(EmitError),
    /// An event was not answered.
    Ack(AckError),
    /// A room was not joined.
    Join(JoinError),
    /// Data is not what was asked for.
    Args(ArgsError),
    /// Data cannot be written.
    Encode(EncodeError),
    /// Other servers could not be asked.
    Cluster(ClusterError),
    /// Other servers have not answered an event.
    ServerAck(ServerAckError),
}

/// Why the servers of a cluster could not be asked. A server alone never fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterError {
    /// Not all servers have answered in time: so many are missing.
    Timeout {
        /// How many have not answered.
        missing: usize,
    },
}

/// Why not every other server of a cluster has answered an event. A server alone never fails, but for what it cannot
/// write.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServerAckError {
    /// The event cannot be written: a reserved name, or data that does not serialise. It was not sent.
    Encode(EncodeError),
    /// Not all servers have answered in time.
    Timeout {
        /// The answers that did come, one of each server.
        answers: Vec<Args>,
        /// How many servers have not answered.
        missing: usize,
    },
}

/// A refusal, by a middleware of a namespace or of a socket. The client gets it as the `connect_error` event:
/// `message`, and `data` if there is some.
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

impl From<EncodeError> for ServerAckError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<ArgsError> for AckError {
    fn from(error: ArgsError) -> Self {
        Self::Args(error)
    }
}

macro_rules! from {
    ($($kind:ident: $error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$kind(error)
            }
        }
    )*};
}

from!(
    Emit: EmitError,
    Ack: AckError,
    Join: JoinError,
    Args: ArgsError,
    Encode: EncodeError,
    Cluster: ClusterError,
    ServerAck: ServerAckError
);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emit(error) => error.fmt(f),
            Self::Ack(error) => error.fmt(f),
            Self::Join(error) => error.fmt(f),
            Self::Args(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::Cluster(error) => error.fmt(f),
            Self::ServerAck(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the socket is not connected"),
            Self::TooManyAcks => f.write_str("the socket owes as many acks as may be awaited from one"),
            Self::TooManyAttachments { count, limit } => {
                write!(f, "it has {count} pieces of binary data, and clients take {limit}")
            }
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

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { missing } => late(f, *missing),
        }
    }
}

impl fmt::Display for ServerAckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Timeout { missing, .. } => late(f, *missing),
        }
    }
}

fn late(f: &mut fmt::Formatter<'_>, missing: usize) -> fmt::Result {
    write!(f, "{missing} servers of the cluster have not answered in time")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
impl std::error::Error for EmitError {}
impl std::error::Error for AckError {}
impl std::error::Error for ClusterError {}
impl std::error::Error for ServerAckError {}
impl std::error::Error for Refusal {}
