//! A shard from outside, and what it can be sent.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::listening::{Client, Listening, Neighbour, Reception};
use super::mailbox::Mailbox;
use super::opening::Door;
use super::slot::NewSlot;
use super::transport::Listener;

/// A handle to a shard.
#[derive(Clone)]
pub(crate) struct Shard(Arc<Mailbox<Arrival>>);

/// What a shard is sent.
pub(crate) enum Arrival {
    /// A connection that was opened elsewhere.
    Connection(Box<NewSlot>),
    /// A client that another shard has accepted.
    Client(Box<Client>),
    /// A listener to accept from.
    Listen(Box<Reception<Shard>>),
    /// A door that was closed: nobody comes in by it any more.
    Shut(Arc<Door>),
}

impl Shard {
    pub(super) fn new(mailbox: Arc<Mailbox<Arrival>>) -> Self {
        Self(mailbox)
    }

    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Hands something over.
    ///
    /// # Errors
    /// It is given back: the shard's runtime is gone.
    pub(crate) fn send(&self, arrival: Arrival) -> Result<(), Arrival> {
        self.0.send(arrival)
    }

    /// Listens for all of these shards, of which this is the one at `home`.
    ///
    /// # Errors
    /// The shards' runtime is gone.
    pub(crate) fn listen(
        &self,
        listener: Listener,
        door: Door,
        shards: Vec<Self>,
        home: usize,
    ) -> io::Result<Listening<Self>> {
        let (listening, reception) = Reception::new(listener, door, shards, home);
        match self.send(Arrival::Listen(Box::new(reception))) {
            Ok(()) => Ok(listening),
            Err(_) => Err(io::Error::other("the runtime is shutting down")),
        }
    }
}

// To a shard that is gone nothing matters any more.
impl Neighbour for Shard {
    fn take(&self, client: Client) {
        let _ = self.send(Arrival::Client(Box::new(client)));
    }

    fn shut(&self, door: Arc<Door>) {
        let _ = self.send(Arrival::Shut(door));
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shard")
    }
}
