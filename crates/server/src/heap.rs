//! Gives memory back to the system when most of what was held for clients is gone. The allocator of glibc keeps what was
//! freed between things that are still in use, and so nearly all that the most at once ever needed.
//!
//! The one file of the server with unsafe code.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use switchboard_ws::Budget;

/// It takes a lock of the allocator for as long as it goes through its free pieces: not worth it for less than this.
const WORTH_IT: usize = 512 << 10;

/// How often memory was given back since the process began, of which there is one heap.
static GIVEN_BACK: AtomicU64 = AtomicU64::new(0);

/// Looks every so often how much is held for clients, and gives memory back. Ends never; without a limit of the budget,
/// where nothing is counted, at once.
pub(crate) async fn look_after(budget: Budget, every: Duration) {
    let mut tide = Tide::default();
    while let Some(usage) = budget.usage() {
        if tide.has_gone_out(usage.used) {
            tracing::debug!(held = usage.used, "giving memory back");
            trim();
            GIVEN_BACK.fetch_add(1, Relaxed);
        }
        tokio::time::sleep(every).await;
    }
}

/// How often memory was given back.
pub(crate) fn given_back() -> u64 {
    GIVEN_BACK.load(Relaxed)
}

/// The most that was seen to be held since memory was last given back.
#[derive(Debug, Default)]
struct Tide {
    highest: usize,
}

impl Tide {
    /// Half of it is gone. So of what comes and goes all the time nothing is given back, and what leaves slowly is given
    /// back in steps, each half of the one before.
    fn has_gone_out(&mut self, held: usize) -> bool {
        self.highest = self.highest.max(held);
        let has = held <= self.highest / 2 && self.highest - held >= WORTH_IT;
        if has {
            self.highest = held;
        }
        has
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator has no safe interface")]
fn trim() {
    // SAFETY: `malloc_trim` has no conditions; any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves what they think fit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn memory_is_given_back_when_half_is_gone_and_then_half_of_that() {
        let mut tide = Tide::default();
        let held = [0, 40, 100, 60, 51, 50, 50, 30, 25, 24, 3, 2, 1, 0];
        let given: Vec<usize> = held.into_iter().filter(|held| tide.has_gone_out(held * MIB)).collect();
        assert_eq!(given, [50, 25, 3, 1, 0]);
    }

    #[test]
    fn nothing_is_done_for_little() {
        let mut tide = Tide::default();
        assert!(!tide.has_gone_out(WORTH_IT - 1) && !tide.has_gone_out(0));
        assert!(!tide.has_gone_out(WORTH_IT) && tide.has_gone_out(0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_heap_is_asked_once_for_one_departure() {
        let budget = Budget::new(64 * MIB);
        let before = given_back();
        tokio::spawn(look_after(budget.clone(), Duration::from_secs(10)));
        let mut hold = budget.hold(switchboard_ws::BudgetPart::Reading);
        hold.set(8 * MIB);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(given_back(), before);
        drop(hold);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(given_back(), before + 1);
    }
}
