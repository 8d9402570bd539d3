//! A namespace, and a parent of namespaces, as the application has them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use switchboard_hub::Delivery;
use switchboard_io_proto::socket::{Args, Arguments, EncodeError, Name};

use crate::answers::Answers;
use crate::broadcast::{Broadcast, Rooms};
use crate::error::{ClusterError, EmitError, ServerAckError};
use crate::handler::{Erased, Handler, Middleware};
use crate::peer::{self, Peer};
use crate::remote::RemoteSocket;
use crate::router::Parent;
use crate::server_events;
use crate::socket::Socket;
use crate::space::Space;
use crate::watch::RoomEvent;

/// A namespace: a channel of its own over the same connections, with its own sockets, rooms, handlers and middlewares.
/// A cheap handle.
#[derive(Clone)]
pub struct Namespace(pub(crate) Arc<Space<Peer>>);

impl Namespace {
    /// Its name, with its `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// Calls a handler for each client that joins, after it was told so. Any number may be added. What the client said
    /// for itself comes by [`Auth`](crate::Auth).
    ///
    /// Clients that joined before are not told of: add handlers before the server listens.
    pub fn on_connect<M: 'static>(&self, handler: impl Handler<M>) -> &Self {
        self.0.rules.add_on_connect(Erased::new(handler));
        self
    }

    /// Asks a middleware about each client that wants to join, in the order in which middlewares were added. One that
    /// returns a [`Refusal`](crate::Refusal) keeps it out: the client gets `connect_error`.
    pub fn use_<M: 'static>(&self, middleware: impl Middleware<M>) -> &Self {
        self.0.rules.add_guard(Erased::new(middleware));
        self
    }

    /// Calls a function when a room is made, joined, left or gone. It is called by whoever does that, and should not
    /// block. A panic in it is logged, and changes nothing.
    pub fn on_room(&self, watch: impl Fn(RoomEvent<'_>) + Send + Sync + 'static) -> &Self {
        self.0.watchers.add(watch);
        self
    }

    // Sending.

    /// Sends an event to everyone here.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.all().emit(event, args)
    }

    /// Sends a `message` event to everyone here.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<Delivery, EmitError> {
        self.all().send(args)
    }

    /// Sends an event that everyone here is to answer.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<Answers<T>, EmitError> {
        self.all().emit_with_ack(event, args)
    }

    /// Everyone here.
    pub fn all(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0), None)
    }

    /// Those in these rooms.
    pub fn to<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn within<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().to(rooms)
    }

    /// Everyone but those in these rooms.
    pub fn except<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().except(rooms)
    }

    /// Everyone here; what is sent may be lost.
    pub fn volatile(&self) -> Broadcast {
        self.all().volatile()
    }

    /// Everyone here who is on this server.
    pub fn local(&self) -> Broadcast {
        self.all().local()
    }

    /// Everyone here, and whether to compress.
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.all().compress(compress)
    }

    /// Everyone here, and how long to wait for acks.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.all().timeout(timeout)
    }

    // Who is here.

    /// The socket of this id, if it is here and on this server.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.roll().get(id).cloned().map(Socket)
    }

    /// All sockets here that are on this server.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.roll().iter().cloned().map(Socket).collect()
    }

    /// How many sockets of this server are here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.roll().len()
    }

    /// How many members a room has on this server. Others than sockets count where rooms are shared with plain
    /// WebSockets.
    #[must_use]
    pub fn count_in(&self, room: &str) -> usize {
        peer::count_in(&self.0, room)
    }

    /// All sockets here, on all servers.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        self.all().fetch_sockets().await
    }

    /// Has all sockets here join rooms.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::sockets_join`].
    pub async fn sockets_join<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        self.all().sockets_join(rooms).await
    }

    /// Has all sockets here leave rooms.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::sockets_leave`].
    pub async fn sockets_leave<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        self.all().sockets_leave(rooms).await
    }

    /// Takes all sockets out of the namespace; or, with `close`, closes their clients' connections.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// As [`Broadcast::disconnect_sockets`].
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), ClusterError> {
        self.all().disconnect_sockets(close).await
    }

    // Servers among themselves.

    /// Sends an event to the other servers of the cluster; they hear it by [`on_server_event`](Self::on_server_event).
    /// This server does not.
    ///
    /// # Errors
    /// It does not serialise, or is called `connect`, `connection` or `new_namespace`, which Node reserves.
    pub fn server_side_emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<(), EncodeError> {
        self.server_event(event, args).map(drop)
    }

    /// [`server_side_emit`](Self::server_side_emit), and waits for one answer of each of the other servers. A server
    /// alone gets none.
    ///
    /// # Errors
    /// As [`server_side_emit`](Self::server_side_emit); or not all of them answered in time, see [`ServerAckError`].
    ///
    /// # Cancel safety
    /// Sent with the first poll; dropped after that, the answers are lost.
    #[expect(clippy::unused_async, reason = "a cluster will have to be asked")]
    pub async fn server_side_emit_with_ack<A: Arguments + ?Sized>(
        &self,
        event: &str,
        args: &A,
    ) -> Result<Vec<Args>, ServerAckError> {
        self.server_event(event, args)?;
        // There are no other servers.
        Ok(Vec::new())
    }

    /// Calls a function for each event of this name that another server of the cluster sends. What it returns is the
    /// answer.
    ///
    /// # Panics
    /// No server can send an event of this name: `connect`, `connection` or `new_namespace`. What Node tells by these,
    /// [`on_connect`](Self::on_connect) and [`on_new_namespace`](crate::SocketIo::on_new_namespace) do.
    #[track_caller]
    pub fn on_server_event<Fut>(
        &self,
        event: impl Into<Name>,
        hear: impl Fn(Args) -> Fut + Send + Sync + 'static,
    ) -> &Self
    where
        Fut: Future<Output = Args> + Send + 'static,
    {
        let event = event.into();
        assert!(!server_events::is_reserved(&event), "`{event}` is reserved: no server can send an event of this name");
        self.0.server_events.add(event, Arc::new(move |args| Box::pin(hear(args))));
        self
    }

    /// What a cluster's driver calls when another server has sent an event: the answers of those who listen here.
    ///
    /// # Cancel safety
    /// Dropped, listeners may not have finished.
    pub async fn hear_server_event(&self, event: &str, args: &Args) -> Vec<Args> {
        let mut answers = Vec::new();
        for answering in self.0.server_events.hear(event, args) {
            answers.push(answering.await);
        }
        answers
    }

    /// The arguments of an event for the other servers, if it can be sent.
    fn server_event<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Args, EncodeError> {
        if server_events::is_reserved(event) {
            return Err(EncodeError::ReservedEvent);
        }
        Args::new(self.0.settings.parser, args)
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Namespace {}

impl Socket {
    /// Its namespace (Node: `socket.nsp`).
    #[must_use]
    pub fn nsp(&self) -> Namespace {
        Namespace(Arc::clone(&self.0.space))
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.name()).field("sockets", &self.count()).finish()
    }
}

/// Namespaces that come into being when a client asks for them. They have the handlers and middlewares of their parent.
#[derive(Clone)]
pub struct ParentNamespace(pub(crate) Arc<Parent>);

impl ParentNamespace {
    /// Calls a handler for each client that joins one of the children.
    pub fn on_connect<M: 'static>(&self, handler: impl Handler<M>) -> &Self {
        self.0.rules.add_on_connect(Erased::new(handler));
        self
    }

    /// Asks a middleware about each client that wants to join one of the children.
    pub fn use_<M: 'static>(&self, middleware: impl Middleware<M>) -> &Self {
        self.0.rules.add_guard(Erased::new(middleware));
        self
    }

    /// Sends an event to everyone in all the children that there are now.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.all().emit(event, args)
    }

    /// Sends a `message` event to everyone in all the children.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<Delivery, EmitError> {
        self.all().send(args)
    }

    /// Sends an event that everyone in all the children is to answer.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<Answers<T>, EmitError> {
        self.all().emit_with_ack(event, args)
    }

    /// Everyone in all the children: those that there are when something is sent, or done with them.
    pub fn all(&self) -> Broadcast {
        Broadcast::to_children(Arc::clone(&self.0))
    }

    /// Those in these rooms of any child.
    pub fn to<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn within<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().to(rooms)
    }

    /// Everyone in all the children but those in these rooms.
    pub fn except<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.all().except(rooms)
    }

    /// Everyone in all the children; what is sent may be lost.
    pub fn volatile(&self) -> Broadcast {
        self.all().volatile()
    }

    /// Everyone in all the children who is on this server.
    pub fn local(&self) -> Broadcast {
        self.all().local()
    }

    /// Everyone in all the children, and whether to compress.
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.all().compress(compress)
    }

    /// Everyone in all the children, and how long to wait for acks.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.all().timeout(timeout)
    }

    /// The children that there are now.
    #[must_use]
    pub fn children(&self) -> Vec<Namespace> {
        self.0.children().into_iter().map(Namespace).collect()
    }
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentNamespace").field("children", &self.children().len()).finish()
    }
}
