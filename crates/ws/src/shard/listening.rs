//! Listeners on a shard: accepting, and sharing out what was accepted.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::event::Source;

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
    listener: SharedListener,
    pub(super) door: Arc<Door>,
    /// The shards of the runtime, that of the listener among them: each has its turn.
    shards: Vec<Shard>,
    /// Which of them the listener is on.
    home: usize,
    next: usize,
}

/// Keeps a listener open.
pub(crate) struct Listening {
    listener: SharedListener,
    door: Arc<Door>,
    shards: Vec<Shard>,
}

/// A listener until it is closed. Whoever closes it need not wait for the shard: when that is done, nobody comes in.
#[derive(Clone)]
struct SharedListener(Arc<Mutex<Option<Listener>>>);

impl SharedListener {
    fn lock(&self) -> MutexGuard<'_, Option<Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let listener = SharedListener(Arc::new(Mutex::new(Some(listener))));
        let listening = Listening { listener: listener.clone(), door: Arc::new(door), shards: shards.clone() };
        let shard = shards[home].clone();
        let reception = Self { listener, door: Arc::clone(&listening.door), next: home, home, shards };
        match shard.send(Arrival::Listen(Box::new(reception))) {
            Ok(()) => Ok(listening),
            Err(_) => Err(io::Error::other("the runtime is shutting down")),
        }
    }

    /// Has the listener watched, unless it was closed before that.
    ///
    /// # Errors
    /// The kernel will not have it.
    pub(super) fn register(&self, register: impl FnOnce(&mut dyn Source) -> io::Result<()>) -> io::Result<()> {
        self.listener.lock().as_mut().map_or(Ok(()), |listener| register(listener.source()))
    }

    /// Accepts whoever waits. Clients that are for the listener's own shard are given to `take`.
    pub(super) fn accept(&mut self, mut take: impl FnMut(Client)) -> Accepted {
        for _ in 0..ACCEPTS_PER_TURN {
            let accepted = match &*self.listener.lock() {
                Some(listener) => listener.accept(),
                None => return Accepted::All,
            };
            match accepted {
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
        let pass = match catch_unwind(AssertUnwindSafe(|| self.door.gate.admit(peer))) {
            Ok(Some(pass)) => pass,
            Ok(None) => {
                visit(&self.door, socket, Vec::new(), peer, None, Reason::NoRoom);
                return;
            }
            Err(_) => return tracing::error!(%peer, "the gate panicked over a client, who is dropped"),
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
        // All that the kernel knew of it goes with it, the shard's watching included.
        drop(self.listener.lock().take());
        for shard in &self.shards {
            // A shard that is gone has nobody waiting.
            let _ = shard.send(Arrival::Shut(Arc::clone(&self.door)));
        }
    }
}
