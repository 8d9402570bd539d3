//! A client in a namespace.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use switchboard_io_proto::engine::{Protocol, Transport};
use switchboard_io_proto::socket::{Args, ArgsError, Arguments, EncodeError, Flags, Name, Parser};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answers::Awaited;
use crate::broadcast::{Broadcast, Rooms};
use crate::depart;
use crate::engine::{Handshake, Session};
use crate::error::{AckError, EmitError, JoinError};
use crate::peer::Peer;
use crate::publish::{self, Event};
use crate::waiter::{Then, Waiter};

/// A client in a namespace. A cheap handle: clones are the same socket.
///
/// Sending never waits. What is sent is queued within bounds, and leaves in the order in which one thread sends and
/// broadcasts it.
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<Peer>);

impl Socket {
    /// The public name of this socket: 20 characters, also a room that it alone is in. Another one than the id of its
    /// Engine.IO session, which is a secret. (Clients of Socket.IO 2 know no other id than that, and so it is theirs.)
    #[must_use]
    pub fn id(&self) -> &Name {
        &self.0.id
    }

    /// The name of its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.space.name.as_str()
    }

    /// The Engine.IO session that it shares with the client's sockets in other namespaces (Node: `socket.conn`).
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Whether it can be sent to.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether it came back and was given all that it missed.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }

    /// What is known from its first request: address, headers, query, time.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.0.session.handshake()
    }

    /// What it said for itself when it joined the namespace (`auth` in the client's options).
    ///
    /// # Errors
    /// That does not read as `T`. A client that said nothing reads as null.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.0.auth.get(0)
    }

    /// How it is connected now; an upgrade changes that.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.session.transport()
    }

    /// The Engine.IO protocol of its client.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.session.protocol()
    }

    // Sending.

    /// Sends an event. A tuple is several arguments, `()` is none, everything else one; bytes (`bytes::Bytes`,
    /// `serde_bytes`, [`Value::Binary`](crate::Value::Binary)) travel as binary data, anywhere in them.
    ///
    /// # Errors
    /// It cannot be written, or the socket is not connected.
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Sends an event on, as [`Broadcast::relay`].
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn relay<A: Arguments + ?Sized>(&self, event: &Name, args: &A) -> Result<(), EmitError> {
        self.emitter().relay(event, args)
    }

    /// Sends a `message` event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for the client's ack, by [`ack_timeout`](crate::Builder::ack_timeout) at most: the
    /// answer as `T`, a tuple for several arguments, else the first one.
    ///
    /// # Errors
    /// It was not sent, no answer came, or one of another type.
    ///
    /// # Cancel safety
    /// Sent with the first poll. Dropped after that, the answer is lost.
    pub async fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<T, AckError> {
        self.emitter().emit_with_ack(event, args).await
    }

    /// Sends an event and calls a function with the client's ack, as Node calls callbacks: when it comes, before
    /// anything that the client sent after it is heard. So functions are called in the order in which acks come, which
    /// cannot be said of tasks that await [`emit_with_ack`](Self::emit_with_ack). It should not block.
    ///
    /// # Errors
    /// It was not sent; the function is not called then. All else that goes wrong it is called with.
    pub fn emit_then<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
        then: impl FnOnce(Result<T, AckError>) + Send + 'static,
    ) -> Result<(), EmitError> {
        self.emitter().emit_then(event, args, then)
    }

    /// What is sent by this may be lost: if the client is not ready to take it, it does not get it later.
    pub fn volatile(&self) -> Emitter {
        Emitter { flags: Flags { volatile: true, ..Flags::default() }, ..self.emitter() }
    }

    /// Whether what is sent by this is compressed, where compression is on.
    pub fn compress(&self, compress: bool) -> Emitter {
        self.emitter().compress(compress)
    }

    /// How long [`Emitter::emit_with_ack`] waits.
    pub fn timeout(&self, timeout: Duration) -> Emitter {
        self.emitter().timeout(timeout)
    }

    /// Everyone in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.0.space), Some(Arc::clone(&self.0)))
    }

    /// Everyone in these rooms but this socket.
    pub fn to<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to). (Node: `socket.in`.)
    pub fn within<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.to(rooms)
    }

    /// Everyone in the namespace who is on this server, but this socket.
    pub fn local(&self) -> Broadcast {
        self.broadcast().local()
    }

    /// Everyone in the namespace but those in these rooms and this socket.
    pub fn except<R: Rooms>(&self, rooms: R) -> Broadcast {
        self.broadcast().except(rooms)
    }

    // Rooms.

    /// Joins rooms, all of them or none. Every broadcast that begins after this returns reaches it, also while a
    /// middleware still decides whether to let it in; stock clients keep what comes before they are told that they are
    /// in. One that [comes back](Self::recovered) gets that with what it missed, so nothing that is volatile or asks for
    /// an answer. One that has left joins nothing.
    ///
    /// # Errors
    /// A name is too long, or the client would be in too many rooms; see [`HubLimits`](crate::HubLimits). What it is in
    /// without having joined, its namespaces and the rooms of its ids, does not count.
    pub fn join<R: Rooms>(&self, rooms: R) -> Result<(), JoinError> {
        let rooms: Vec<Name> = rooms.names().collect();
        self.0.join(&rooms)
    }

    /// Leaves rooms. One that leaves the room of its own id is not reached by that any more.
    pub fn leave<R: Rooms>(&self, rooms: R) {
        rooms.names().for_each(|room| self.0.leave(&room));
    }

    /// The rooms that it is in, the one that bears its id first, unless it has left that; none once it is disconnected.
    #[must_use]
    pub fn rooms(&self) -> Vec<Name> {
        self.0.rooms()
    }

    // Data.

    /// What was [kept](Self::set_data) with this socket; it reads as null if nothing was.
    ///
    /// # Errors
    /// It does not read as `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        Args::new(Parser::Msgpack, &(self.0.data(),)).unwrap_or_default().get(0)
    }

    /// Keeps data with this socket, for everyone who has a handle to it: also on other servers of a cluster, and when
    /// the client comes back. [`extension`](Self::extension) keeps what is for this process alone.
    ///
    /// # Errors
    /// It does not serialise; what was kept before is still there.
    pub fn set_data(&self, data: impl Serialize) -> Result<(), EncodeError> {
        let args = Args::new(Parser::Msgpack, &(data,))?;
        self.0.set_data(args.values().into_iter().next().unwrap_or_default());
        Ok(())
    }

    /// The value of this type that was [kept](Self::set_extension) with this socket.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.extension(TypeId::of::<T>())?.downcast().ok()
    }

    /// Keeps one value of each type with this socket.
    pub fn set_extension<T: Any + Send + Sync>(&self, value: T) {
        self.0.set_extension(TypeId::of::<T>(), Arc::new(value));
    }

    // The end.

    /// Takes this socket out of its namespace. The client is told, after what was sent so far and before listeners are;
    /// its connection and its sockets in other namespaces stay.
    pub fn disconnect(&self) {
        depart::dismiss(&self.0);
    }

    /// Disconnects the client's sockets in all namespaces, and closes its connection.
    pub fn disconnect_all(&self) {
        depart::close(&self.0);
    }

    fn emitter(&self) -> Emitter {
        Emitter { socket: self.clone(), flags: Flags::default() }
    }
}

impl From<&Socket> for Emitter {
    fn from(socket: &Socket) -> Self {
        socket.emitter()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("namespace", &self.namespace()).field("id", &self.id()).finish()
    }
}

/// A socket, and how to send to it.
#[derive(Debug, Clone)]
#[must_use = "it sends nothing until `emit`"]
pub struct Emitter {
    socket: Socket,
    flags: Flags,
}

impl Emitter {
    /// May be lost, as by [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether to compress.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = Some(compress);
        self
    }

    /// How long to wait for an ack.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.timeout = Some(timeout);
        self
    }

    /// Sends an event.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        // The timeout concerns who waits, not how it is sent.
        let flags = Flags { timeout: None, ..self.flags };
        publish::emit(&self.socket.0, flags, &Event::new(event, args))
    }

    /// Sends an event on, as [`Broadcast::relay`].
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn relay<A: Arguments + ?Sized>(&self, event: &Name, args: &A) -> Result<(), EmitError> {
        let flags = Flags { timeout: None, ..self.flags };
        publish::emit(&self.socket.0, flags, &Event::called(event, args))
    }

    /// Sends an event and waits for the ack.
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`].
    ///
    /// # Cancel safety
    /// As [`Socket::emit_with_ack`].
    pub async fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<T, AckError> {
        let peer = &self.socket.0;
        let id = peer.space.next_ack();
        let wait = self.flags.timeout.or(peer.space.settings.ack_timeout);
        let until = wait.map(|wait| Instant::now() + wait);
        let (task, answer) = oneshot::channel();
        peer.expect_ack(id, Waiter::Task(task)).map_err(|(error, _)| error)?;
        let awaited = Awaited { answer, peer: Arc::clone(peer), id, until };
        let flags = Flags { timeout: None, ..self.flags };
        publish::emit(peer, flags, &Event::new(event, args).with_id(id))?;
        Ok(awaited.args().await?.extract()?)
    }

    /// Sends an event and calls a function with the ack.
    ///
    /// # Errors
    /// As [`Socket::emit_then`].
    pub fn emit_then<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
        then: impl FnOnce(Result<T, AckError>) + Send + 'static,
    ) -> Result<(), EmitError> {
        let peer = &self.socket.0;
        let id = peer.space.next_ack();
        let wait = self.flags.timeout.or(peer.space.settings.ack_timeout);
        let (called, over) = wait.map(|_| oneshot::channel::<()>()).unzip();
        let then = Then::new(move |answer| {
            drop(called);
            then(answer.and_then(|args| Ok(args.extract()?)));
        });
        let expected = peer.expect_ack(id, Waiter::Function(then));
        let flags = Flags { timeout: None, ..self.flags };
        let sent = match expected {
            Ok(()) => publish::emit(peer, flags, &Event::new(event, args).with_id(id))
                .map_err(|error| (error, peer.take_ack(id))),
            Err((error, waiter)) => Err((error, Some(waiter))),
        };
        if let Err((error, waiter)) = sent {
            if let Some(Waiter::Function(then)) = waiter {
                then.disarm();
            }
            return Err(error);
        }
        if let (Some(wait), Some(over)) = (wait, over) {
            let peer = Arc::downgrade(peer);
            tokio::spawn(async move {
                // Ends with the answer, or with the socket.
                if tokio::time::timeout(wait, over).await.is_ok() {
                    return;
                }
                if let Some(Waiter::Function(then)) = peer.upgrade().and_then(|peer| peer.take_ack(id)) {
                    then.call(Err(AckError::Timeout));
                }
            });
        }
        Ok(())
    }
}
