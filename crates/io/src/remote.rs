//! Sockets that may be on another server of a cluster, and what can be done with many at once. These are asynchronous,
//! and can fail, because a cluster has to be asked; a server alone answers at once.

use std::time::Duration;

use serde::de::DeserializeOwned;
use switchboard_io_proto::socket::{ArgsError, Arguments, Name};

use crate::broadcast::{Broadcast, Rooms};
use crate::engine::Handshake;
use crate::error::{AckError, ClusterError, EmitError, JoinError};
use crate::socket::{Emitter, Socket};

/// A socket found by [`Broadcast::fetch_sockets`], perhaps of another server.
#[derive(Debug, Clone)]
pub struct RemoteSocket(Socket);

impl RemoteSocket {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Name {
        self.0.id()
    }

    /// The request by which its client came.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.0.handshake()
    }

    /// The rooms that it is in.
    #[must_use]
    pub fn rooms(&self) -> Vec<Name> {
        self.0.rooms()
    }

    /// What was kept with it; see [`Socket::data`].
    ///
    /// # Errors
    /// It does not read as `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.0.data()
    }

    /// Sends it an event.
    ///
    /// # Errors
    /// The event cannot be written, or the socket is gone.
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<(), EmitError> {
        self.0.emit(event, args)
    }

    /// Sends it a `message` event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<(), EmitError> {
        self.0.send(args)
    }

    /// Sends it an event and waits for its client's ack; see [`Socket::emit_with_ack`].
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
        self.0.emit_with_ack(event, args).await
    }

    /// How long [`Emitter::emit_with_ack`] waits.
    pub fn timeout(&self, timeout: Duration) -> Emitter {
        self.0.timeout(timeout)
    }

    /// What is sent by this may be lost; see [`Socket::volatile`].
    pub fn volatile(&self) -> Emitter {
        self.0.volatile()
    }

    /// Whether what is sent by this is compressed, where compression is on.
    pub fn compress(&self, compress: bool) -> Emitter {
        self.0.compress(compress)
    }

    /// Has it join rooms.
    ///
    /// # Errors
    /// See [`Socket::join`].
    pub fn join<R: Rooms>(&self, rooms: R) -> Result<(), JoinError> {
        self.0.join(rooms)
    }

    /// Has it leave rooms.
    pub fn leave<R: Rooms>(&self, rooms: R) {
        self.0.leave(rooms);
    }

    /// Takes it out of its namespace; or, with `close`, closes its client's connection.
    pub fn disconnect(&self, close: bool) {
        if close { self.0.disconnect_all() } else { self.0.disconnect() }
    }

    /// The socket itself, if it is one of this server.
    #[must_use]
    pub fn local(&self) -> Option<&Socket> {
        Some(&self.0)
    }
}

impl From<&RemoteSocket> for Emitter {
    fn from(socket: &RemoteSocket) -> Self {
        Self::from(&socket.0)
    }
}

/// What is done with all sockets that are meant, on all servers.
impl Broadcast {
    /// The sockets.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    #[expect(clippy::unused_async, reason = "a cluster will have to be asked")]
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        Ok(self.peers().into_iter().map(|peer| RemoteSocket(Socket(peer))).collect())
    }

    /// Has the sockets join rooms. One that is in too many rooms is left out; the hub counts that.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// Done with the first poll.
    #[expect(clippy::unused_async, reason = "a cluster will have to be asked")]
    pub async fn sockets_join<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        let rooms: Vec<Name> = rooms.names().collect();
        for peer in self.peers() {
            let _ = Socket(peer).join(rooms.clone());
        }
        Ok(())
    }

    /// Has the sockets leave rooms.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// Done with the first poll.
    #[expect(clippy::unused_async, reason = "a cluster will have to be asked")]
    pub async fn sockets_leave<R: Rooms>(&self, rooms: R) -> Result<(), ClusterError> {
        let rooms: Vec<Name> = rooms.names().collect();
        for peer in self.peers() {
            Socket(peer).leave(rooms.clone());
        }
        Ok(())
    }

    /// Takes the sockets out of the namespace; or, with `close`, closes their clients' connections.
    ///
    /// # Errors
    /// See [`ClusterError`].
    ///
    /// # Cancel safety
    /// Done with the first poll.
    #[expect(clippy::unused_async, reason = "a cluster will have to be asked")]
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), ClusterError> {
        for peer in self.peers() {
            RemoteSocket(Socket(peer)).disconnect(close);
        }
        Ok(())
    }
}
