//! Bytes that many queues share, counted once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

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
        let mut is_first = false;
        let counted = self.0.get_or_init(|| {
            is_first = true;
            Counted { budget: budget.clone(), bytes: AtomicUsize::new(0) }
        });
        if is_first {
            // Whoever makes it grow meanwhile sees that it is counted, or else its growth is seen here.
            fence(Ordering::SeqCst);
            counted.raise(bytes());
        }
        counted.budget == *budget
    }

    /// It may have grown, and `bytes` are all of it now: to be called when others can see the growth. Nothing is
    /// counted before it is first held.
    pub fn grow(&self, bytes: impl FnOnce() -> usize) {
        fence(Ordering::SeqCst);
        if let Some(counted) = self.0.get() {
            counted.raise(bytes());
        }
    }
}

impl Counted {
    /// It only grows: whoever saw less than others has nothing to say.
    fn raise(&self, bytes: usize) {
        let before = self.bytes.fetch_max(bytes, Ordering::Relaxed);
        self.budget.take(Part::Queued, bytes.saturating_sub(before));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.give(Part::Queued, *self.bytes.get_mut());
    }
}
