//! The shards of an endpoint: for each runtime that it runs on as many as that has workers, made when the first
//! connection comes.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::config::Config;
use crate::gate::{Gate, GatedListener};
use crate::shard::{self, Arrival, Door, Listener, Listening, NewSlot, Shard};

/// Clones are the same shards.
#[derive(Clone, Default)]
pub(crate) struct Shards(Arc<Mutex<Vec<Group>>>);

/// The shards of a runtime.
struct Group {
    runtime: Id,
    shards: Vec<Shard>,
    next: usize,
}

impl Shards {
    /// Those of an endpoint.
    pub(crate) fn of(config: &Config) -> &Self {
        config.shards().get()
    }

    /// Hands a connection to the next shard of the caller's runtime.
    ///
    /// # Errors
    /// The connection, when no shard can be had.
    pub(crate) fn adopt(&self, config: &Config, new: Box<NewSlot>) -> Result<(), Box<NewSlot>> {
        let mut arrival = Arrival::Connection(new);
        // Shards end with their runtime, of which the number may be given to another one.
        for _ in 0..2 {
            let (shard, _) = match self.pick(config) {
                Ok(picked) => picked,
                Err(error) => {
                    tracing::error!(%error, "no shard could be made");
                    break;
                }
            };
            match shard.send(arrival) {
                Ok(()) => return Ok(()),
                Err(back) => arrival = back,
            }
            self.lock().retain(|group| group.runtime != Handle::current().id());
        }
        match arrival {
            Arrival::Connection(new) => Err(new),
            _ => unreachable!("what is given back is what was sent"),
        }
    }

    /// Has the caller's runtime accept from this listener.
    ///
    /// # Errors
    /// The kernel will not have it.
    pub(crate) fn listen(
        &self,
        config: &Config,
        listener: GatedListener,
        gate: Arc<dyn Gate>,
    ) -> io::Result<Listening<Shard>> {
        let listener = Listener::take(listener)?;
        let (shard, shards) = self.pick(config)?;
        let home = shards.iter().position(|other| other.is(&shard)).unwrap_or(0);
        shard.listen(listener, Door::new(config.clone(), gate), shards, home)
    }

    /// The next shard of the caller's runtime, and all of them.
    fn pick(&self, config: &Config) -> io::Result<(Shard, Vec<Shard>)> {
        let runtime = Handle::current().id();
        let mut groups = self.lock();
        let place = match groups.iter().position(|group| group.runtime == runtime) {
            Some(place) => place,
            None => {
                let workers = Handle::current().metrics().num_workers().max(1);
                let shards = (0..workers).map(|_| shard::spawn(config)).collect::<Result<_, _>>()?;
                groups.push(Group { runtime, shards, next: 0 });
                groups.len() - 1
            }
        };
        let group = &mut groups[place];
        group.next = (group.next + 1) % group.shards.len();
        Ok((group.shards[group.next].clone(), group.shards.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Config {
    /// Accepts clients of this listener on a shard of the caller's runtime, until the future is dropped; connections
    /// that are open go on. One listener is served by one shard, which shares the connections out among all of its
    /// runtime: to accept on several cores, give each a runtime and a listener of its own (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// The kernel will not have it. Connections that fail later are logged and counted, and bother nobody.
    ///
    /// # Cancel safety
    /// Dropped, the listener is closed.
    pub async fn serve_gate(&self, listener: GatedListener, gate: Arc<dyn Gate>) -> io::Result<()> {
        let listening = Shards::of(self).listen(self, listener, gate)?;
        std::future::pending::<()>().await;
        drop(listening);
        Ok(())
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shards")
    }
}
