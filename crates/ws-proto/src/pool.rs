//! Large buffers that a thread keeps for the messages to come: what they cost is paid once and not per message (an
//! allocation of this size is fresh memory from the system, a page fault per 4 KiB).
//!
//! A buffer goes to the pool of the thread that drops it. It keeps the bytes of its last message: whoever takes it
//! writes before it reads.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::BytesMut;

/// Buffers of these capacities are kept. Smaller ones the allocator recycles as well as we could.
const KEPT: RangeInclusive<usize> = 64 << 10..=4 << 20;
/// A thread keeps so many bytes at most. For a new buffer the oldest go.
pub(crate) const LIMIT: usize = 8 << 20;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { buffers: VecDeque::new(), bytes: 0 }) };
}

struct Pool {
    /// The newest last: most likely to be in the processor's cache.
    buffers: VecDeque<BytesMut>,
    bytes: usize,
}

/// Whether a buffer of this capacity may be kept.
pub(crate) fn keeps(capacity: usize) -> bool {
    KEPT.contains(&capacity)
}

/// A buffer of at least `least` bytes, `wanted` if there is such a one. Never more than twice of what is wanted: who
/// keeps a message keeps its buffer. It is initialised up to its length.
pub(crate) fn take(least: usize, wanted: usize) -> Option<BytesMut> {
    // While the thread ends there is no pool.
    POOL.try_with(|pool| pool.borrow_mut().take(least, wanted)).ok().flatten()
}

/// Gives a buffer back; one that is not to be kept is freed.
pub(crate) fn give(buffer: BytesMut) {
    if keeps(buffer.capacity()) {
        let _ = POOL.try_with(|pool| pool.borrow_mut().give(buffer));
    }
}

impl Pool {
    fn take(&mut self, least: usize, wanted: usize) -> Option<BytesMut> {
        let mut best: Option<(usize, usize)> = None;
        for (index, capacity) in self.buffers.iter().map(BytesMut::capacity).enumerate().rev() {
            if capacity < least || capacity / 2 > wanted.max(*KEPT.start()) {
                continue;
            }
            // The smallest that is large enough, or else the largest.
            let better = best.is_none_or(|(_, best)| match best >= wanted {
                true => (wanted..best).contains(&capacity),
                false => capacity > best,
            });
            if better {
                best = Some((index, capacity));
            }
        }
        let buffer = self.buffers.remove(best?.0)?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn give(&mut self, buffer: BytesMut) {
        self.bytes += buffer.capacity();
        self.buffers.push_back(buffer);
        while self.bytes > LIMIT {
            let Some(oldest) = self.buffers.pop_front() else { break };
            self.bytes -= oldest.capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(capacities: &[usize]) -> Pool {
        let mut pool = Pool { buffers: VecDeque::new(), bytes: 0 };
        for &kib in capacities {
            pool.give(BytesMut::with_capacity(kib << 10));
        }
        pool
    }

    fn take(pool: &mut Pool, least: usize, wanted: usize) -> Option<usize> {
        pool.take(least << 10, wanted << 10).map(|buffer| buffer.capacity() >> 10)
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_taken() {
        let mut pool = pool(&[1024, 64, 256, 512]);
        assert_eq!(take(&mut pool, 100, 200), Some(256));
        assert_eq!(take(&mut pool, 100, 200), None, "512 KiB are too many for a message of 200");
        assert_eq!(take(&mut pool, 100, 4096), Some(1024), "the largest, when none is large enough");
        assert_eq!(take(&mut pool, 100, 4096), Some(512));
        assert_eq!(take(&mut pool, 100, 4096), None, "too small for what is there already");
        assert_eq!(take(&mut pool, 10, 20), Some(64));
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut pool = pool(&[4096, 64, 4096]);
        assert_eq!(pool.bytes, (4096 + 64) << 10);
        assert_eq!(take(&mut pool, 4096, 4096), Some(4096));
        assert_eq!(take(&mut pool, 4096, 4096), None);
    }

    #[test]
    fn what_is_small_or_huge_is_not_kept() {
        give(BytesMut::with_capacity(32 << 10));
        give(BytesMut::with_capacity(8 << 20));
        assert!(super::take(1, 1).is_none() && super::take(5 << 20, 5 << 20).is_none());
    }
}
