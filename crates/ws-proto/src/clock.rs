//! Time in eight bytes. A connection remembers up to six moments, and there may be a million of connections: what an
//! `Instant` takes twice the space for is kept as the time since an epoch, which all connections of a process share.
//!
//! The epoch is no reading of a clock: it follows from the first time that anybody passes in.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A length of time of at most 584 years, exact to the nanosecond. (One more than the nanoseconds, so that `None` costs
/// no space.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(NonZeroU64);

impl Span {
    pub(crate) const ZERO: Self = Self(NonZeroU64::MIN);

    /// `None` beyond 584 years, which for a deadline means never.
    pub(crate) fn checked_add(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
    }

    /// The time from `earlier` to here; none when it is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self(NonZeroU64::MIN.saturating_add(self.0.get().saturating_sub(earlier.0.get())))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self::ZERO.checked_add(duration).unwrap_or(Self(NonZeroU64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_nanos(span.0.get() - 1)
    }
}

/// A day before the first moment that was read: what a driver passes in may lie a little before that.
static EPOCH: OnceLock<Instant> = OnceLock::new();
const BEFORE: Duration = Duration::from_secs(86_400);

/// A moment as a span since the epoch. What was before counts as then.
#[inline]
pub(crate) fn read(now: Instant) -> Span {
    let epoch = EPOCH.get_or_init(|| now.checked_sub(BEFORE).unwrap_or(now));
    now.saturating_duration_since(*epoch).into()
}

/// The moment again. `None` when the system's clock does not reach so far.
pub(crate) fn instant(at: Span) -> Option<Instant> {
    EPOCH.get()?.checked_add(at.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_to_the_nanosecond() {
        let began = Instant::now();
        let first = read(began);
        for later in [Duration::ZERO, Duration::from_nanos(1), Duration::new(86_400 * 365, 999_999_999)] {
            let now = began + later;
            assert_eq!(instant(read(now)), Some(now));
            assert_eq!(Duration::from(read(now).since(first)), later);
        }
        assert_eq!(first.since(read(began + Duration::from_secs(1))), Span::ZERO);
    }

    #[test]
    fn a_deadline_beyond_all_times_is_none() {
        assert_eq!(Span::ZERO.checked_add(Duration::MAX), None);
        assert_eq!(size_of::<Option<Span>>(), 8);
    }
}
