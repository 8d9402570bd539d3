//! The main namespace, `/`, by way of the server itself, as in Node: what a server with one namespace needs is said
//! without naming it. Each method is the [`Namespace`](crate::Namespace)'s of the same name.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use switchboard_hub::Delivery;
use switchboard_io_proto::socket::{Args, Arguments, EncodeError, Name};

use crate::answers::Answers;
use crate::broadcast::{Broadcast, Rooms};
use crate::error::{ClusterError, EmitError, ServerAckError};
use crate::handler::{Handler, Middleware};
use crate::remote::RemoteSocket;
use crate::server::SocketIo;

/// The main namespace.
impl SocketIo {
    /// [`Namespace::on_connect`](crate::Namespace::on_connect) of the main namespace.
    pub fn on_connect<M: 'static>(&self, handler: impl Handler<M>) -> &Self {
        self.root().on_connect(handler);
        self
    }

    /// [`Namespace::use_`](crate::Namespace::use_) of the main namespace.
    pub fn use_<M: 'static>(&self, middleware: impl Middleware<M>) -> &Self {
        self.root().use_(middleware);
        self
    }

    // Sending.

    /// Sends an event to everyone in the main namespace.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.root().emit(event, args)
    }

    /// Sends a `message` event to everyone in the main namespace.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<Delivery, EmitError> {
        self.root().send(args)
    }

    /// Sends an event that everyone in the main namespace is to answer.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<Answers<T>, EmitError> {
        self.root().emit_with_ack(event, args)
    }

    /// Everyone in the main namespace.
    pub fn all(&self) -> Broadcast {
        self.root().all()
    }

    /// Those in these rooms of the main namespace.
    pub fn to<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.root().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn within<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.root().within(rooms)
    }

    /// Everyone in the main namespace but those in these rooms.
    pub fn except<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.root().except(rooms)
    }

    /// Everyone in the main namespace; what is sent may be lost.
    pub fn volatile(&self) -> Broadcast {
        self.root().volatile()
    }

    /// Everyone in the main namespace who is on this server.
    pub fn local(&self) -> Broadcast {
        self.root().local()
    }

    /// Everyone in the main namespace, and whether to compress.
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.root().compress(compress)
    }

    /// Everyone in the main namespace, and how long to wait for acks.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.root().timeout(timeout)
    }

    // Who is there.

    /// All sockets of the main namespace, on all servers.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        self.root().fetch_sockets().await
    }

    /// Has all sockets of the main namespace join rooms.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::sockets_join`].
    pub async fn sockets_join<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        self.root().sockets_join(rooms).await
    }

    /// Has all sockets of the main namespace leave rooms.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::sockets_leave`].
    pub async fn sockets_leave<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        self.root().sockets_leave(rooms).await
    }

    /// Takes all sockets out of the main namespace; or, with `close`, closes their clients' connections.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::disconnect_sockets`].
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), ClusterError> {
        self.root().disconnect_sockets(close).await
    }

    // Servers among themselves.

    /// [`Namespace::server_side_emit`](crate::Namespace::server_side_emit) of the main namespace.
    ///
    /// # Errors
    /// As that.
    pub fn server_side_emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<(), EncodeError> {
        self.root().server_side_emit(event, args)
    }

    /// [`Namespace::server_side_emit_with_ack`](crate::Namespace::server_side_emit_with_ack) of the main namespace.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Cancel safety
    /// As that.
    pub async fn server_side_emit_with_ack<A: Arguments + ?Sized>(
        &self,
        event: &str,
        args: &A,
    ) -> Result<Vec<Args>, ServerAckError> {
        self.root().server_side_emit_with_ack(event, args).await
    }

    /// [`Namespace::on_server_event`](crate::Namespace::on_server_event) of the main namespace.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub fn on_server_event<Fut>(
        &self,
        event: impl Into<Name>,
        hear: impl Fn(Args) -> Fut + Send + Sync + 'static,
    ) -> &Self
    where
        Fut: Future<Output = Args> + Send + 'static,
    {
        self.root().on_server_event(event, hear);
        self
    }
}
