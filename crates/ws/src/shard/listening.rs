//! Listeners on a shard: accepting, and sharing out what was accepted.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::event::Source;

use crate::gate::Pass;
use crate::info::PeerAddr;

use super::opening::Door;
use super::transport::{Listener, Socket};

/// So many clients are accepted in a row, then connections have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// A client that was accepted and has not said anything yet.
pub(crate) struct Client {
    pub(super) socket: Socket,
    pub(super) peer: PeerAddr,
    pub(super) pass: Pass,
    pub(super) door: Arc<Door>,
}

/// A shard that clients are shared out to.
pub(crate) trait Neighbour {
    /// Has it serve a client.
    fn take(&self, client: Client);

    /// Nobody comes in by this door any more.
    fn shut(&self, door: Arc<Door>);
}

/// A listener with what is done with its clients.
pub(crate) struct Reception<S> {
    listener: SharedListener,
    pub(super) door: Arc<Door>,
    /// The shards of the runtime, that of the listener among them: each has its turn.
    shards: Vec<S>,
    /// Which of them the listener is on.
    home: usize,
    next: usize,
}

/// Keeps a listener open.
pub(crate) struct Listening<S: Neighbour> {
    listener: SharedListener,
    door: Arc<Door>,
    shards: Vec<S>,
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

impl<S: Neighbour + Clone> Reception<S> {
    /// A listener for all of these shards, to be served by the one at `home` for as long as the other half is kept.
    pub(super) fn new(listener: Listener, door: Door, shards: Vec<S>, home: usize) -> (Listening<S>, Self) {
        let listener = SharedListener(Arc::new(Mutex::new(Some(listener))));
        let door = Arc::new(door);
        let listening = Listening { listener: listener.clone(), door: Arc::clone(&door), shards: shards.clone() };
        (listening, Self { listener, door, shards, home, next: home })
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
            Ok(Ok(pass)) => pass,
            Ok(Err(no_room)) => {
                return match socket.into_io() {
                    Ok(io) => self.door.config.turn_away(io, no_room),
                    Err(error) => tracing::debug!(%peer, %error, "a socket could not be given to the runtime"),
                };
            }
            Err(_) => return tracing::error!(%peer, "the gate panicked over a client, who is dropped"),
        };
        let client = Client { socket, peer, pass, door: Arc::clone(&self.door) };
        self.next = (self.next + 1) % self.shards.len();
        if self.next == self.home {
            return take(client);
        }
        self.shards[self.next].take(client);
    }
}

impl<S: Neighbour> Drop for Listening<S> {
    fn drop(&mut self) {
        // All that the kernel knew of it goes with it, the shard's watching included.
        drop(self.listener.lock().take());
        self.door.shut();
        for shard in &self.shards {
            shard.shut(Arc::clone(&self.door));
        }
    }
}
