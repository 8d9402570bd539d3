//! A wheel of deadlines for very many connections: coarse, constant in cost, and without a clock of its own.
//!
//! Time is cut into ticks; a key is put into the bucket of its deadline's tick, or into the farthest bucket when it is
//! beyond the wheel, to be looked at again when that comes round. Nothing is ever moved or cancelled: whoever owns the
//! key looks, when it comes up, whether its deadline has passed.

use std::time::{Duration, Instant};

/// Deadlines are told up to this much late, never early.
pub(crate) const TICK: Duration = Duration::from_millis(64);
/// A turn of the wheel: about a minute.
const BUCKETS: u32 = 1024;
/// An empty bucket keeps room for so many keys. Heartbeats pass through all buckets in time: if each kept the room for
/// as many connections as were once due together, a wheel would grow to a thousand times that.
const KEPT: usize = 16;

/// When a key comes up, in ticks since the wheel was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

impl Tick {
    /// Not at all, as far as anybody knows.
    pub(crate) const NEVER: Self = Self(u32::MAX);
}

#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Box<[Vec<u32>]>,
    start: Instant,
    /// Ticks before this one are done.
    done: u32,
    /// No bucket before this one holds anything: a shard asks often, and mostly nothing has changed.
    soonest: u32,
    len: usize,
}

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        Self { buckets: vec![Vec::new(); BUCKETS as usize].into_boxed_slice(), start: now, done: 0, soonest: 0, len: 0 }
    }

    /// The tick in which a deadline is seen to have passed.
    pub(crate) fn tick_after(&self, deadline: Instant) -> Tick {
        // The last one that there is, in eight years, is as good as never.
        Tick(ticks(deadline.saturating_duration_since(self.start)).saturating_add(1).min(u32::MAX - 1))
    }

    /// Puts a key in. It comes up at this tick, or before when that is more than a turn away. Returns when that will
    /// be.
    pub(crate) fn insert(&mut self, key: u32, tick: Tick) -> Tick {
        let tick = tick.0.clamp(self.done, self.done.saturating_add(BUCKETS - 1));
        self.buckets[bucket(tick)].push(key);
        self.soonest = self.soonest.min(tick);
        self.len += 1;
        Tick(tick)
    }

    /// The next key that has come up by `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<u32> {
        let elapsed = ticks(now.saturating_duration_since(self.start));
        while self.done <= elapsed {
            if self.len == 0 {
                self.done = elapsed.saturating_add(1);
                return None;
            }
            let keys = &mut self.buckets[bucket(self.done)];
            if let Some(key) = keys.pop() {
                self.len -= 1;
                if keys.is_empty() {
                    keys.shrink_to(KEPT);
                }
                return Some(key);
            }
            self.done += 1;
        }
        None
    }

    /// Whether what was to come up at this tick has come up.
    pub(crate) fn has_come(&self, tick: Tick) -> bool {
        tick.0 <= self.done
    }

    /// When a key comes up next.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        let from = self.soonest.max(self.done);
        let last = self.done.saturating_add(BUCKETS - 1);
        self.soonest = (from..=last).find(|&tick| !self.buckets[bucket(tick)].is_empty())?;
        Some(self.start + TICK * self.soonest)
    }
}

/// Whole ticks; the remainder is cut off.
fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
}

fn bucket(tick: u32) -> usize {
    (tick % BUCKETS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that comes up by then.
    fn pop_all(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop(now)).collect()
    }

    fn insert(wheel: &mut Wheel, key: u32, deadline: Instant) -> Instant {
        let tick = wheel.insert(key, wheel.tick_after(deadline));
        wheel.start + TICK * tick.0
    }

    #[test]
    fn keys_come_up_after_their_deadline_and_never_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for (key, after) in [(1u32, 1u64), (2, 63), (3, 64), (4, 1000), (5, 60_000)] {
            let deadline = start + Duration::from_millis(after);
            let at = insert(&mut wheel, key, deadline);
            assert!(at > deadline && at <= deadline + TICK, "{key}");
        }
        let mut seen = Vec::new();
        for millis in 0..70_000 {
            let now = start + Duration::from_millis(millis);
            seen.extend(pop_all(&mut wheel, now).into_iter().map(|key| (key, millis)));
        }
        assert_eq!(seen, [(2, 64), (1, 64), (3, 128), (4, 1024), (5, 60_032)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_up_to_be_looked_at_again() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let deadline = start + Duration::from_secs(3600);
        let mut looks = 0;
        let mut at = insert(&mut wheel, 7, deadline);
        while at <= deadline {
            assert_eq!(wheel.next(), Some(at));
            assert_eq!(pop_all(&mut wheel, at), [7]);
            at = insert(&mut wheel, 7, deadline);
            looks += 1;
        }
        assert!((50..60).contains(&looks), "once a turn: {looks}");
        assert!(pop_all(&mut wheel, deadline).is_empty());
        assert_eq!(pop_all(&mut wheel, deadline + TICK), [7]);
    }

    #[test]
    fn buckets_give_their_room_back() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for round in 1..=3 * BUCKETS {
            let now = start + TICK * round;
            for key in 0..100 {
                insert(&mut wheel, key, now);
            }
            assert_eq!(pop_all(&mut wheel, now + TICK).len(), 100);
        }
        let room: usize = wheel.buckets.iter().map(Vec::capacity).sum();
        assert!(room <= BUCKETS as usize * KEPT, "{room}");
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for key in 0..5000 {
            insert(&mut wheel, key, start + Duration::from_millis(u64::from(key) * 7));
        }
        let mut keys = pop_all(&mut wheel, start + Duration::from_secs(1_000_000));
        keys.sort_unstable();
        assert_eq!(keys, (0..5000).collect::<Vec<_>>());
        // And what comes next is not taken for something long past.
        let now = start + Duration::from_secs(1_000_000);
        assert!(insert(&mut wheel, 9, now) > now);
        assert!(pop_all(&mut wheel, now).is_empty());
    }
}
