//! The shard driver: one task drives very many plain sockets. Connections are small slots on a poller of the shard's own,
//! which the runtime watches through one descriptor; they share one read buffer, one output and one wheel of deadlines.
//! Per message that costs what the kernel costs and little more; per idle connection, a slot.

mod driver;
mod listening;
mod mailbox;
mod opening;
mod poller;
#[cfg(feature = "simulation")]
mod simulated;
mod slot;
mod transport;
mod wheel;

use std::io;
use std::sync::Arc;

#[cfg(feature = "simulation")]
pub use self::driver::simulation::Simulation;
pub(crate) use self::listening::{Client, Listening, Reception};
pub(crate) use self::opening::Door;
pub(crate) use self::slot::{NewSlot, Unread};
pub(crate) use self::transport::{Listener, Socket};

use self::driver::Driver;
use self::mailbox::Mailbox;
use crate::config::Config;

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
    Listen(Box<Reception>),
    /// A door that was closed: nobody comes in by it any more.
    Shut(Arc<Door>),
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shard")
    }
}

impl Shard {
    /// Spawns a shard on the runtime of the caller. It ends with the runtime.
    ///
    /// # Errors
    /// The kernel has no further poller to give.
    pub(crate) fn spawn(config: &Config) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::new());
        let driver = Driver::new(Arc::clone(&mailbox), config)?;
        tokio::spawn(driver.run());
        Ok(Self(mailbox))
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
}
