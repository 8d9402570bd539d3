//! Listeners on a shard: accepting, and sharing out what was accepted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::{Pass, Reason};
use crate::info::PeerAddr;

use super::opening::{Door, visit};
use super::transport::{Listener, Socket};
use super::{Arrival, Shard};

/// So many clients are accepted in a row, then connections have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// A client that was accepted and has not said anything yet.
pub(crate) struct Client {
    pub(super) socket: Socket,
    pub(super) peer: PeerAddr,
    pub(super) pass: Pass,
    pub(super) door: Arc<Door>,
}

/// A listener with what is done with its clients.
pub(crate) struct Reception {
    pub(super) id: u64,
    pub(super) listener: Listener,
    pub(super) door: Arc<Door>,
    /// The shards of the runtime, that of the listener among them: each has its turn.
    shards: Vec<Shard>,
    /// Which of them the listener is on.
    home: usize,
    next: usize,
}

/// Keeps a listener open.
pub(crate) struct Listening {
    id: u64,
    shard: Shard,
}

/// What came of accepting.
pub(super) enum Accepted {
    /// Nobody else is there.
    All,
    /// There may be more.
    Some,
    /// The listener failed.
    Failed(io::Error),
}

impl Reception {
    /// Has the first of these shards listen, for all of them.
    ///
    /// # Errors
    /// The shards' runtime is gone.
    pub(crate) fn open(listener: Listener, door: Door, shards: Vec<Shard>, home: usize) -> io::Result<Listening> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let shard = shards[home].clone();
        let reception = Self { id, listener, door: Arc::new(door), next: home, home, shards };
        match shard.send(Arrival::Listen(Box::new(reception))) {
            Ok(()) => Ok(Listening { id, shard }),
            Err(_) => Err(io::Error::other("the runtime is shutting down")),
        }
    }

    /// Accepts whoever waits. Clients that are for the listener's own shard are given to `take`.
    pub(super) fn accept(&mut self, mut take: impl FnMut(Client)) -> Accepted {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer, &mut take),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Accepted::All,
                    // It was the client that failed.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
                    _ => return Accepted::Failed(error),
                },
            }
        }
        Accepted::Some
    }

    fn admit(&mut self, socket: Socket, peer: PeerAddr, take: &mut impl FnMut(Client)) {
        let Some(pass) = self.door.gate.admit(peer) else {
            visit(&self.door, socket, Vec::new(), peer, None, Reason::NoRoom);
            return;
        };
        let client = Client { socket, peer, pass, door: Arc::clone(&self.door) };
        self.next = (self.next + 1) % self.shards.len();
        if self.next == self.home {
            return take(client);
        }
        // A shard that is gone takes its runtime, and this shard, with it.
        let _ = self.shards[self.next].send(Arrival::Client(Box::new(client)));
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // A shard that is gone has closed its listeners.
        let _ = self.shard.send(Arrival::Hush(self.id));
    }
}
