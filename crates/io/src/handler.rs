//! Asynchronous closures as handlers: whatever they ask for is extracted, and what they return is understood.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use switchboard_io_proto::socket::Args;

use crate::error::{Failure, Refusal};
use crate::extract::{Call, CallError, FromCall};
use crate::hearing::fail;
use crate::listeners::{Deciding, Guard, Heard, Listener, Pending};
use crate::peer::Peer;

/// A handler: an asynchronous closure or function with up to eight arguments that are each [`FromCall`], that returns
/// nothing or a `Result`.
///
/// Handlers of one socket start in the order in which its events came, and each runs to its first await before the next
/// starts. An error that one returns is logged, and told to the socket's [`on_error`](crate::Socket::on_error)
/// listeners. So is an argument that cannot be had; the handler is then not called. A panic takes the socket out of its
/// namespace.
///
/// An `async` closure that captures cannot lend what it captured to its future. Write `move |socket: Socket| { let db =
/// db.clone(); async move { … } }`, or keep what is shared in the server's [state](crate::State).
pub trait Handler<Marker>: Send + Sync + 'static {
    /// Begins to handle a call.
    ///
    /// # Errors
    /// One of the arguments cannot be had.
    #[doc(hidden)]
    fn call(&self, call: &Call<'_>) -> Result<impl Future<Output = Result<(), Failure>> + Send + 'static, CallError>;
}

/// A middleware: like a [`Handler`], but it returns `Result<(), Refusal>`.
pub trait Middleware<Marker>: Send + Sync + 'static {
    /// Begins to decide.
    ///
    /// # Errors
    /// One of the arguments cannot be had.
    #[doc(hidden)]
    fn call(&self, call: &Call<'_>) -> Result<impl Future<Output = Result<(), Refusal>> + Send + 'static, CallError>;
}

/// What a handler may return.
pub trait Outcome {
    /// Whether it worked.
    #[doc(hidden)]
    fn outcome(self) -> Result<(), Failure>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<T, E: fmt::Display> Outcome for Result<T, E> {
    fn outcome(self) -> Result<(), Failure> {
        self.map(drop).map_err(|error| Failure(error.to_string()))
    }
}

macro_rules! handlers {
    ($($x:ident),*) => {
        impl<F, Fut, $($x,)*> Handler<($($x,)*)> for F
        where
            F: Fn($($x),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Outcome,
            $($x: FromCall,)*
        {
            fn call(
                &self,
                call: &Call<'_>,
            ) -> Result<impl Future<Output = Result<(), Failure>> + Send + 'static, CallError> {
                let _ = call; // A handler without arguments asks for nothing.
                let future = self($($x::from_call(call)?),*);
                Ok(async move { future.await.outcome() })
            }
        }

        impl<F, Fut, $($x,)*> Middleware<($($x,)*)> for F
        where
            F: Fn($($x),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
            $($x: FromCall,)*
        {
            fn call(
                &self,
                call: &Call<'_>,
            ) -> Result<impl Future<Output = Result<(), Refusal>> + Send + 'static, CallError> {
                let _ = call;
                Ok(self($($x::from_call(call)?),*))
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);
handlers!(A, B, C, D, E);
handlers!(A, B, C, D, E, G);
handlers!(A, B, C, D, E, G, H);
handlers!(A, B, C, D, E, G, H, I);

/// A handler among the listeners of a socket.
pub(crate) struct Erased<H, Marker>(H, PhantomData<fn() -> Marker>);

impl<H, Marker> Erased<H, Marker> {
    pub(crate) fn new(handler: H) -> Arc<Self> {
        Arc::new(Self(handler, PhantomData))
    }
}

impl<H: Handler<Marker>, Marker: 'static> Listener<Peer> for Erased<H, Marker> {
    fn hear(&self, peer: &Arc<Peer>, heard: &Heard) -> Option<Pending> {
        match self.0.call(&Call::new(peer, heard)) {
            Ok(future) => Some(Box::pin(future)),
            Err(error) => {
                fail(peer, heard, &error, &Args::default());
                None
            }
        }
    }
}

impl<M: Middleware<Marker>, Marker: 'static> Guard<Peer> for Erased<M, Marker> {
    fn decide(&self, peer: &Arc<Peer>, heard: &Heard) -> Deciding {
        match self.0.call(&Call::new(peer, heard)) {
            Ok(future) => Box::pin(future),
            Err(error) => Box::pin(std::future::ready(Err(Refusal::new(error.to_string())))),
        }
    }
}
