//! How many tasks there are, in all runtimes of the server together: a number that does not come down again when
//! everyone has left is a leak.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, RuntimeMetrics};

/// The runtimes. Clones know the same ones.
#[derive(Debug, Clone, Default)]
pub struct Tasks(Arc<Mutex<Vec<RuntimeMetrics>>>);

impl Tasks {
    /// Counts those of another runtime, too.
    pub fn watch(&self, runtime: &Handle) {
        // Whoever panicked here left a whole list behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(runtime.metrics());
    }

    /// Those that have not ended.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(RuntimeMetrics::num_alive_tasks).sum()
    }
}
