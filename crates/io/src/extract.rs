//! What a handler can ask for: each of its arguments is made from the event by its type.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use switchboard_io_proto::socket::{Args, ArgsError, Name};

use crate::ack::Ack;
use crate::listeners::Heard;
use crate::peer::Peer;
use crate::reason::DisconnectReason;
use crate::socket::Socket;

/// One call of a handler: whom it is about, and what was heard.
pub struct Call<'a> {
    peer: &'a Arc<Peer>,
    heard: &'a Heard,
}

impl<'a> Call<'a> {
    pub(crate) fn new(peer: &'a Arc<Peer>, heard: &'a Heard) -> Self {
        Self { peer, heard }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> Socket {
        Socket(Arc::clone(self.peer))
    }

    /// The name of the event.
    #[must_use]
    pub fn event(&self) -> &Name {
        &self.heard.name
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> &Args {
        &self.heard.args
    }

    /// The answer to it.
    #[must_use]
    pub fn ack(&self) -> Ack {
        Ack::new(self.peer, self.heard.ack, self.heard.answered.clone())
    }

    /// The server's state of this type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.peer.space.settings.state.get().cloned()
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("socket", &self.socket()).field("event", self.event()).finish_non_exhaustive()
    }
}

/// Something that a handler can have as an argument.
///
/// | type | what it gets |
/// |---|---|
/// | [`Socket`] | the socket |
/// | [`Data<T>`] | the arguments: a tuple all of them, another type the first one |
/// | [`Auth<T>`] | what the client said for itself when it joined the namespace |
/// | [`Ack`] | the answer to the event |
/// | [`Event`] | its name |
/// | [`Args`] | its arguments as they came, which can be sent on without being read |
/// | [`State<T>`] | the state of this type that the server was built with |
/// | [`DisconnectReason`] | in listeners for the end, why |
/// | `Result<X, CallError>` | `X`, or why it cannot be had; without `Result` the handler would not be called |
pub trait FromCall: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    /// Why the handler cannot be called.
    fn from_call(call: &Call<'_>) -> Result<Self, CallError>;
}

/// Why a handler was not called.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The client's arguments are not what the handler asks for.
    Args(ArgsError),
    /// What the client said for itself is not what the handler asks for.
    Auth(ArgsError),
    /// The server was built without a state of this type.
    NoState(&'static str),
    /// The handler is not one for the end of a socket, and asks why it ended.
    NoReason,
}

/// The arguments of an event, read as `T`: a tuple gets all of them, `()` none, every other type the first one. What
/// was not sent reads as null, so that an `Option` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

/// What the client said for itself when it joined the namespace, read as `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<T>(pub T);

/// The state of this type that the server was built with, by [`Builder::state`](crate::Builder::state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

/// The name of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(pub Name);

impl FromCall for Socket {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(call.socket())
    }
}

impl<T: DeserializeOwned> FromCall for Data<T> {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        call.args().extract().map(Self).map_err(CallError::Args)
    }
}

impl<T: DeserializeOwned> FromCall for Auth<T> {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        call.peer.auth.get(0).map(Self).map_err(CallError::Auth)
    }
}

impl FromCall for Ack {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(call.ack())
    }
}

impl FromCall for Event {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(Self(call.event().clone()))
    }
}

impl FromCall for Args {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(call.args().clone())
    }
}

impl<T: Clone + Send + Sync + 'static> FromCall for State<T> {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        call.state().map(Self).ok_or_else(|| CallError::NoState(std::any::type_name::<T>()))
    }
}

impl FromCall for DisconnectReason {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        let word: String = call.args().get(0).map_err(|_| CallError::NoReason)?;
        Self::from_word(&word).ok_or(CallError::NoReason)
    }
}

impl<X: FromCall> FromCall for Result<X, CallError> {
    fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(X::from_call(call))
    }
}

impl<T> Deref for Data<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Deref for Event {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Args(error) => write!(f, "the client's arguments are not what the handler asks for: {error}"),
            Self::Auth(error) => write!(f, "the client's auth is not what the handler asks for: {error}"),
            Self::NoState(kind) => write!(f, "the server was built without a state of type {kind}"),
            Self::NoReason => f.write_str("only listeners for the end of a socket are told why it ended"),
        }
    }
}

impl std::error::Error for CallError {}
