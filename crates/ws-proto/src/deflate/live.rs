//! How many contexts of this process are kept ready for the next message. The others are their last bytes only, out of
//! which a state is made for each message.

use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The right to keep one context ready. Dropped, it goes to another.
#[derive(Debug)]
pub(super) struct Live(());

impl Live {
    /// `None` when `most` contexts are ready already.
    pub(super) fn claim(most: usize) -> Option<Self> {
        // A count and nothing else: no other memory is read by its light.
        let claimed = LIVE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| (live < most).then_some(live + 1));
        // Not `then_some`, which would make one to drop.
        claimed.ok().map(|_| Self(()))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many contexts are ready now, in all connections of the process together. A connection with context takeover has
/// two: its own and its peer's.
#[must_use]
pub fn live_contexts() -> usize {
    LIVE.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests claim as well, so only what holds among any number of them can be told.
    #[test]
    fn a_claim_is_counted_until_it_is_dropped() {
        assert!(Live::claim(0).is_none());
        let claimed: Vec<_> = (0..10).map(|_| Live::claim(usize::MAX).unwrap()).collect();
        assert!(live_contexts() >= 10);
        assert!(Live::claim(10).is_none());
        drop(claimed);
    }
}
