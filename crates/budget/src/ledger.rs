//! Bytes by part, added up in lanes that threads do not share, and a sum that follows in steps.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crate::part::Part;

/// More than there are workers, mostly; two threads in one lane are slower and not wrong.
const LANES: usize = 16;
/// A lane is added to the sum when it has moved by so much.
pub(crate) const STEP: i64 = 16 << 10;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    lanes: [Lane; LANES],
    sum: AtomicI64,
}

/// Two cache lines: processors fetch them in pairs. A lane may be below zero: what one thread took, another gives back.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    parts: [AtomicI64; Part::ALL.len()],
    /// What is not in the sum yet.
    rest: AtomicI64,
}

impl Ledger {
    /// The sum, at most `LANES * STEP` behind.
    #[inline]
    pub(crate) fn sum(&self) -> i64 {
        self.sum.load(Relaxed)
    }

    pub(crate) fn part(&self, part: Part) -> i64 {
        self.lanes.iter().map(|lane| lane.parts[part as usize].load(Relaxed)).sum()
    }

    pub(crate) fn add(&self, part: Part, bytes: i64) {
        let lane = self.lane();
        lane.parts[part as usize].fetch_add(bytes, Relaxed);
        let rest = lane.rest.fetch_add(bytes, Relaxed) + bytes;
        if rest.abs() >= STEP {
            // Of two who come here at once one takes all, the other nothing.
            self.sum.fetch_add(lane.rest.swap(0, Relaxed), Relaxed);
        }
    }

    /// Adds `bytes` if the sum stays within `limit`. Two who ask for a `STEP` or more at once cannot both have what is
    /// there for one: they change the same number.
    pub(crate) fn try_add(&self, part: Part, bytes: i64, limit: i64) -> bool {
        if bytes < STEP {
            let fits = self.sum() + bytes <= limit;
            if fits {
                self.add(part, bytes);
            }
            return fits;
        }
        // What does not fit is never in the sum: others would be refused, or made to go, for it.
        let fits = |sum| (sum + bytes <= limit).then_some(sum + bytes);
        let taken = self.sum.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if taken {
            self.lane().parts[part as usize].fetch_add(bytes, Relaxed);
        }
        taken
    }

    /// The lane of this thread.
    fn lane(&self) -> &Lane {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let number = LANE.try_with(|lane| match lane.get() {
            usize::MAX => {
                let number = THREADS.fetch_add(1, Relaxed) % LANES;
                lane.set(number);
                number
            }
            number => number,
        });
        // A thread that is ending has no number any more.
        &self.lanes[number.unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_sum_follows_in_steps_and_loses_nothing() {
        let ledger = Ledger::default();
        ledger.add(Part::Queued, STEP - 1);
        assert_eq!((ledger.sum(), ledger.part(Part::Queued)), (0, STEP - 1));
        ledger.add(Part::Queued, 1);
        assert_eq!(ledger.sum(), STEP);
        ledger.add(Part::Queued, -STEP);
        assert_eq!((ledger.sum(), ledger.part(Part::Queued)), (0, 0));
    }

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let ledger = Ledger::default();
        assert!(ledger.try_add(Part::Reading, 3 * STEP, 4 * STEP));
        assert!(!ledger.try_add(Part::Reading, 2 * STEP, 4 * STEP));
        assert!(ledger.try_add(Part::Reading, STEP, 4 * STEP));
        assert!(!ledger.try_add(Part::Reading, 1, 4 * STEP));
        assert_eq!((ledger.sum(), ledger.part(Part::Reading)), (4 * STEP, 4 * STEP));
    }

    /// Nobody is told that there is no room, or made to go, for what was never had.
    #[test]
    fn what_does_not_fit_is_at_no_time_in_the_sum() {
        let ledger = Ledger::default();
        assert!(ledger.try_add(Part::Reading, 3 * STEP, 4 * STEP));
        let seen = AtomicBool::new(false);
        let most = std::thread::scope(|scope| {
            let refused = scope.spawn(|| {
                while !seen.load(Relaxed) {
                    assert!(!ledger.try_add(Part::Reading, 2 * STEP, 4 * STEP));
                }
            });
            let sums = (0..200).map(|_| {
                // Wherever the other stands when it is interrupted.
                std::thread::yield_now();
                ledger.sum()
            });
            let most = sums.max();
            seen.store(true, Relaxed);
            refused.join().expect("it is refused each time");
            most
        });
        assert_eq!(most, Some(3 * STEP));
    }

    /// Threads that take and give back, some of it for others, in steps small and large: in the end nothing is held,
    /// and at no time did more fit than there was room for.
    #[test]
    fn threads_agree_in_the_end() {
        let ledger = Ledger::default();
        let limit = 40 * STEP;
        std::thread::scope(|scope| {
            for thread in 0..4_i64 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let bytes = if (round + thread) % 3 == 0 { 15 * STEP } else { 100 + round };
                        if ledger.try_add(Part::Reading, bytes, limit) {
                            // Four lanes may be a step behind.
                            let large = ledger.part(Part::Reading);
                            assert!(large <= limit + 4 * STEP, "{large}");
                            ledger.add(Part::Reading, -bytes);
                        }
                    }
                });
            }
        });
        assert_eq!(ledger.part(Part::Reading), 0);
        let rest: i64 = ledger.lanes.iter().map(|lane| lane.rest.load(Relaxed)).sum();
        assert_eq!(ledger.sum() + rest, 0);
    }
}
