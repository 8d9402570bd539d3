//! Events whose types are written down once: a constant has the name of an event, what travels with it, and what
//! answers it. No trait to implement and no macro; everything is done by the constant, and what does not fit does not
//! compile.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use switchboard_hub::Delivery;
use switchboard_io_proto::socket::Arguments;

use crate::ack::Ack;
use crate::answers::Answers;
use crate::broadcast::Broadcast;
use crate::error::{AckError, EmitError};
use crate::extract::Data;
use crate::handler::Handler;
use crate::listeners::ListenerId;
use crate::namespace::{Namespace, ParentNamespace};
use crate::remote::RemoteSocket;
use crate::server::SocketIo;
use crate::socket::{Emitter, Socket};

/// An event by its name, with the type `A` of its arguments and the type `R` of the answer to it.
///
/// Both are read and written as everywhere: a tuple is several arguments, `()` is none, every other type is one. An
/// event that nobody answers has `R = ()`.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use switchboard_io::{Socket, SocketIo, TypedEvent};
///
/// #[derive(Serialize, Deserialize)]
/// struct Move { piece: String, to: (u8, u8) }
///
/// /// A player moves; the answer is the number of the move.
/// const MOVE: TypedEvent<Move, u32> = TypedEvent::new("move");
/// /// Everyone is told of it: two arguments, who and what.
/// const MOVED: TypedEvent<(String, Move)> = TypedEvent::new("moved");
///
/// let io = SocketIo::new();
/// io.on_connect(async |socket: Socket| {
///     MOVE.on(&socket, async |socket: Socket, step: Move| {
///         MOVED.emit(&socket.to("game"), &(socket.id().to_string(), step))?;
///         Ok::<u32, switchboard_io::EmitError>(1)
///     });
/// });
/// ```
pub struct TypedEvent<A, R = ()> {
    name: &'static str,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> TypedEvent<A, R> {
    /// The event of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Sends it: to a [`Socket`], to whom a [`Broadcast`] means, or to all of a [`Namespace`].
    ///
    /// # Errors
    /// As the `emit` of whom it is sent to.
    pub fn emit<T: Emit>(&self, to: &T, args: &A) -> Result<T::Sent, EmitError>
    where
        A: Serialize,
    {
        to.emit(self.name, args)
    }

    /// Sends it to one socket and waits for the answer. A `&Socket` or `&RemoteSocket` will do, or an [`Emitter`] for
    /// another [timeout](Socket::timeout).
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`].
    ///
    /// # Cancel safety
    /// As [`Socket::emit_with_ack`].
    pub async fn ask(&self, socket: impl Into<Emitter>, args: &A) -> Result<R, AckError>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        socket.into().emit_with_ack(self.name, args).await
    }

    /// Sends it to many, who are each to answer.
    ///
    /// # Errors
    /// As [`Broadcast::emit_with_ack`].
    pub fn ask_all(&self, broadcast: &Broadcast, args: &A) -> Result<Answers<R>, EmitError>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        broadcast.emit_with_ack(self.name, args)
    }
}

impl<A: DeserializeOwned + 'static, R: Serialize + 'static> TypedEvent<A, R> {
    /// Calls a handler for each of these events that comes from this socket; what it returns is the answer, for clients
    /// that want one. It returns `R` or a `Result` of it. An error is no answer: it goes to the
    /// [`on_error`](Socket::on_error) listeners. So do arguments that are no `A`; the handler is not called then.
    ///
    /// # Panics
    /// As [`Socket::on`].
    pub fn on<F, Fut>(&self, socket: &Socket, handler: F) -> ListenerId
    where
        F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Reply<R>> + Send + 'static,
    {
        socket.on(self.name, Self::answering(handler))
    }

    /// [`on`](Self::on), for the next one only.
    ///
    /// # Panics
    /// As [`Socket::on`].
    pub fn once<F, Fut>(&self, socket: &Socket, handler: F) -> ListenerId
    where
        F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Reply<R>> + Send + 'static,
    {
        socket.once(self.name, Self::answering(handler))
    }

    /// The handler as sockets take it.
    fn answering<F, Fut>(handler: F) -> impl Handler<(Socket, Data<A>, Ack)>
    where
        F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Reply<R>> + Send + 'static,
    {
        move |socket: Socket, Data(args): Data<A>, ack: Ack| {
            let reply = handler(socket, args);
            async move {
                let answer = reply.await.reply()?;
                ack.send(&answer).map_err(|error| error.to_string())
            }
        }
    }
}

/// What a handler of a [`TypedEvent`] returns: the answer, or a `Result` of it.
pub trait Reply<R> {
    /// The answer.
    ///
    /// # Errors
    /// There is none, for this reason.
    #[doc(hidden)]
    fn reply(self) -> Result<R, String>;
}

impl<R> Reply<R> for R {
    fn reply(self) -> Result<R, String> {
        Ok(self)
    }
}

impl<R, E: fmt::Display> Reply<R> for Result<R, E> {
    fn reply(self) -> Result<R, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Whom an event can be sent to.
pub trait Emit {
    /// What is known of it then.
    type Sent;

    /// Sends it.
    ///
    /// # Errors
    /// It cannot be written, or nobody can be sent to any more.
    #[doc(hidden)]
    fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Self::Sent, EmitError>;
}

macro_rules! emit {
    ($($who:ty => $sent:ty),*) => {$(
        impl Emit for $who {
            type Sent = $sent;

            fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<$sent, EmitError> {
                <$who>::emit(self, event, args)
            }
        }
    )*};
}

emit!(Socket => (), Emitter => (), RemoteSocket => ());
emit!(Broadcast => Delivery, Namespace => Delivery, ParentNamespace => Delivery, SocketIo => Delivery);

impl<A, R> Clone for TypedEvent<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for TypedEvent<A, R> {}

impl<A, R> fmt::Debug for TypedEvent<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedEvent").field(&self.name).finish()
    }
}
