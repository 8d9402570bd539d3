//! What is held for a session while it polls, for when memory is short. Known to the budget without the session: it is
//! asked under whatever locks, and so takes none but those of the outbox and the clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use switchboard_hub::Outbox;
use switchboard_ws::{BudgetHolder, Parcel};

pub(crate) struct Holding {
    outbox: Arc<Outbox<Parcel>>,
    /// For the session as such.
    own: usize,
    /// Of the body of a POST that is under way.
    posted: AtomicUsize,
    /// By the conversation.
    kept: AtomicUsize,
    stranger: AtomicBool,
    evicted: AtomicBool,
    /// Has the session look whether it is to go.
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Holding {
    /// `own`: what goes with the session and not before.
    pub(crate) fn new(outbox: &Arc<Outbox<Parcel>>, own: usize, ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            own,
            posted: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            stranger: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            ring: Box::new(ring),
        }
    }

    pub(crate) fn set_posted(&self, bytes: usize) {
        self.posted.store(bytes, Relaxed);
    }

    pub(crate) fn is_posting(&self) -> bool {
        self.posted.load(Relaxed) > 0
    }

    pub(crate) fn set_kept(&self, bytes: usize) {
        self.kept.store(bytes, Relaxed);
    }

    pub(crate) fn set_stranger(&self, stranger: bool) {
        self.stranger.store(stranger, Relaxed);
    }

    /// Whether it was told to go since this was asked last.
    pub(crate) fn take_evicted(&self) -> bool {
        self.evicted.swap(false, Relaxed)
    }
}

impl BudgetHolder for Holding {
    fn held(&self) -> usize {
        self.own + self.outbox.bytes() + self.posted.load(Relaxed) + self.kept.load(Relaxed)
    }

    fn is_stranger(&self) -> bool {
        self.stranger.load(Relaxed)
    }

    fn evict(&self) {
        self.evicted.store(true, Relaxed);
        (self.ring)();
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holding").field("held", &self.held()).finish_non_exhaustive()
    }
}
