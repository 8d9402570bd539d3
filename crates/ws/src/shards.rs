//! The shards of an endpoint: as many as its runtime has workers, made when the first connection comes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::connections::Connections;
use crate::metrics::Metrics;
use crate::shard::{NewSlot, Shard};

/// Clones are the same shards.
#[derive(Clone, Default)]
pub(crate) struct Shards(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    shards: Vec<Shard>,
    next: usize,
}

impl Shards {
    /// Hands a connection to the next shard.
    ///
    /// # Errors
    /// The connection, when no shard can be had.
    pub(crate) fn adopt(&self, connections: &Connections, metrics: &Arc<Metrics>, mut new: Box<NewSlot>) -> Result<(), Box<NewSlot>> {
        // Shards end with their runtime; an endpoint that outlives it makes new ones.
        for _ in 0..2 {
            let Some(shard) = self.pick(connections, metrics) else { return Err(new) };
            match shard.adopt(new) {
                Ok(()) => return Ok(()),
                Err(back) => new = back,
            }
            self.0.lock().unwrap_or_else(PoisonError::into_inner).shards.clear();
        }
        Err(new)
    }

    fn pick(&self, connections: &Connections, metrics: &Arc<Metrics>) -> Option<Shard> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.shards.is_empty() {
            let workers = tokio::runtime::Handle::current().metrics().num_workers().max(1);
            let shards = (0..workers).map(|_| Shard::spawn(connections.watch(), Arc::clone(metrics))).collect::<Result<_, _>>();
            match shards {
                Ok(shards) => state.shards = shards,
                Err(error) => {
                    tracing::warn!(%error, "no shard could be made; connections have tasks of their own");
                    return None;
                }
            }
        }
        state.next = (state.next + 1) % state.shards.len();
        state.shards.get(state.next).cloned()
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shards")
    }
}
