//! Bytes that many queues share, counted once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::budget::Budget;
use crate::part::Part;

/// Belongs to something that is shared: counted when it is first held somewhere, and until it is dropped.
#[derive(Debug, Default)]
pub struct Charge(OnceLock<Counted>);

#[derive(Debug)]
struct Counted {
    budget: Budget,
    bytes: AtomicUsize,
}

impl Charge {
    /// Counts the bytes in this budget unless that was done before. `false`: they are counted in another budget, and
    /// whoever holds them should count them for himself.
    pub fn count(&self, budget: &Budget, bytes: impl FnOnce() -> usize) -> bool {
        let counted = self.0.get_or_init(|| {
            let bytes = bytes();
            budget.take(Part::Queued, bytes);
            Counted { budget: budget.clone(), bytes: AtomicUsize::new(bytes) }
        });
        counted.budget == *budget
    }

    /// It has grown. Nothing is counted before it is first held.
    pub fn grow(&self, bytes: usize) {
        if let Some(counted) = self.0.get() {
            counted.budget.take(Part::Queued, bytes);
            counted.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.give(Part::Queued, *self.bytes.get_mut());
    }
}
