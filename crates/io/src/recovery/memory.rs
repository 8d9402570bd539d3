//! What was sent of late and whom we lost, under one lock; and what is known of it without that. When memory is short
//! the budget asks for it first. That may be in the midst of a publish, by which it is locked: then it goes when the
//! lock is let go of.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use switchboard_ws::{Budget, BudgetHold, BudgetPart, BudgetReserve};

use super::lost::Absent;
use super::packets::{self, Packets, Place};

/// How often recovery did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryCounters {
    /// Clients that came back and were given what they missed.
    pub recovered: u64,
    /// Clients that came back in vain: too late, or what they missed is gone.
    pub failed: u64,
    /// Packets that a limit threw away before their time.
    pub packets_dropped: u64,
    /// Lost clients that a limit threw away before their time.
    pub sessions_dropped: u64,
}

#[derive(Debug)]
pub(super) struct Memory {
    log: Mutex<Log>,
    about: About,
}

/// What is known without the lock.
#[derive(Debug, Default)]
struct About {
    /// The place of the newest packet that was handed on.
    newest: AtomicU64,
    /// What is held, as of when the lock was let go of last.
    bytes: AtomicUsize,
    /// So much was asked for while it was locked.
    asked: AtomicUsize,
}

/// The memory, in the hands of one. What is recorded with it is handed on before it is let go of.
pub(crate) struct Locked<'a> {
    log: MutexGuard<'a, Log>,
    about: &'a About,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(super) packets: Packets,
    pub(super) lost: Absent,
    hold: BudgetHold,
    pub(super) counters: RecoveryCounters,
}

impl Memory {
    pub(super) fn new(budget: &Budget) -> Self {
        let log = Log { hold: budget.hold(BudgetPart::Recovery), ..Log::default() };
        Self { log: Mutex::new(log), about: About::default() }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked { log: self.log.lock().unwrap_or_else(PoisonError::into_inner), about: &self.about }
    }

    /// `None`: somebody has it.
    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        let log = match self.log.try_lock() {
            Ok(log) => log,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Locked { log, about: &self.about })
    }

    pub(super) fn newest(&self) -> Place {
        self.about.newest.load(Ordering::Acquire)
    }
}

impl BudgetReserve for Memory {
    fn shrink(&self, bytes: usize) -> usize {
        if let Some(mut log) = self.try_lock() {
            return log.shrink(bytes);
        }
        // Should it be let go of just now, it is asked again, by who locks it next or a little later by the budget.
        self.about.asked.fetch_max(bytes, Ordering::Relaxed);
        bytes.min(self.about.bytes.load(Ordering::Relaxed))
    }
}

impl Deref for Locked<'_> {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.log
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Log {
        &mut self.log
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let asked = self.about.asked.swap(0, Ordering::Relaxed);
        if asked > 0 {
            self.log.shrink(asked);
        }
        self.about.bytes.store(self.log.hold.bytes(), Ordering::Relaxed);
        self.about.newest.store(self.log.newest(), Ordering::Release);
    }
}

impl Log {
    pub(super) fn count_bytes(&mut self) {
        self.hold.set(self.packets.bytes() + self.lost.bytes());
    }

    /// Lets go of so many bytes, or of all: the oldest first, of packets and of the lost by turns, so that neither goes
    /// for what the other takes. Returns how many it were.
    pub(super) fn shrink(&mut self, bytes: usize) -> usize {
        self.count_bytes();
        let before = self.hold.bytes();
        let enough = before.saturating_sub(bytes);
        while self.packets.bytes() + self.lost.bytes() > enough {
            if self.packets.bytes() > self.lost.bytes() {
                self.packets.drop_oldest();
                self.counters.packets_dropped += 1;
            } else {
                self.lost.drop_oldest();
                self.counters.sessions_dropped += 1;
            }
        }
        self.count_bytes();
        before - self.hold.bytes()
    }

    /// The place of the newest packet.
    pub(crate) fn newest(&self) -> Place {
        self.packets.newest()
    }

    /// What a packet carries that is not recorded: everything before it was.
    pub(crate) fn offset(&self) -> String {
        packets::offset(self.newest())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};
    use std::time::Instant;

    use bytes::Bytes;
    use switchboard_io_proto::engine::Sid;
    use switchboard_io_proto::socket::{Frame, Frames, Name, Namespace, Selector, Value};
    use switchboard_ws::{BudgetHolder, BudgetWatch};

    use super::super::lost::Lost;
    use super::*;

    const MIB: usize = 1 << 20;

    fn filled(budget: &Budget, packets: usize, lost: usize) -> (Arc<Memory>, BudgetWatch) {
        let memory = Arc::new(Memory::new(budget));
        let reserve: Weak<Memory> = Arc::downgrade(&memory);
        let watch = budget.reserve(reserve);
        let mut log = memory.lock();
        let now = Instant::now();
        for _ in 0..packets {
            let first = Frame::Binary(Bytes::from(vec![0; 100_000]));
            log.packets.push(now, Namespace::ROOT, Selector::new(), Frames { first, attachments: Vec::new() });
        }
        for _ in 0..lost {
            let (id, data) = (Name::from("id"), Value::String("d".repeat(100_000)));
            let pid = Sid::generate().expect("the system has random numbers");
            log.lost.insert(pid, Lost { id, namespace: Namespace::ROOT, rooms: Vec::new(), data, confirmed: 0 }, now);
        }
        log.count_bytes();
        drop(log);
        (memory, watch)
    }

    fn held(budget: &Budget) -> usize {
        budget.usage().expect("it has a limit").parts[BudgetPart::Recovery as usize]
    }

    /// A client that holds five megabytes.
    struct Large;

    impl BudgetHolder for Large {
        fn held(&self) -> usize {
            5 * MIB
        }

        fn evict(&self) {
            panic!("there was enough that nobody needs");
        }
    }

    #[test]
    fn it_goes_before_a_client_does_until_there_is_room_and_no_further() {
        let budget = Budget::new(16 * MIB);
        let (_memory, _reserve) = filled(&budget, 40, 40);
        let large: Arc<dyn BudgetHolder> = Arc::new(Large);
        let _watch = budget.watch(Arc::downgrade(&large));
        // Nobody records anything, and nobody is lost.
        budget.take(BudgetPart::Queued, 7 * MIB);
        budget.relieve();
        let used = budget.usage().expect("it has a limit").used;
        assert!(used <= 16 * MIB / 10 * 7 && used > 16 * MIB / 10 * 7 - 200_000, "{used}");
        budget.relieve();
        budget.take(BudgetPart::Queued, 4 * MIB);
        budget.relieve();
        assert!(held(&budget) < MIB, "{}", held(&budget));
    }

    #[test]
    fn it_goes_by_what_takes_most_and_all_of_it_if_it_must() {
        let budget = Budget::new(16 * MIB);
        let (memory, _reserve) = filled(&budget, 30, 10);
        assert!(memory.shrink(1_500_000) >= 1_500_000);
        let log = memory.lock();
        assert_eq!((log.counters.packets_dropped, log.counters.sessions_dropped), (15, 0));
        drop(log);
        assert!(memory.shrink(usize::MAX) >= 2_000_000);
        let log = memory.lock();
        assert_eq!((log.packets.len(), log.lost.len()), (0, 0));
        assert_eq!((log.counters.packets_dropped, log.counters.sessions_dropped), (30, 10));
        assert_eq!(held(&budget), 0);
    }

    #[test]
    fn what_is_asked_for_while_somebody_has_it_goes_when_that_one_is_done() {
        let budget = Budget::new(16 * MIB);
        let (memory, _reserve) = filled(&budget, 40, 0);
        let (before, log) = (held(&budget), memory.lock());
        assert_eq!(memory.shrink(2_000_000), 2_000_000);
        assert_eq!(memory.shrink(usize::MAX), before, "no more than there is");
        assert_eq!(memory.shrink(1_000_000), 1_000_000);
        assert_eq!((held(&budget), log.packets.len()), (before, 40), "it may be looking at them");
        drop(log);
        assert_eq!((held(&budget), memory.lock().counters.packets_dropped), (0, 40));
        // It is asked once.
        memory.lock().packets.push(
            Instant::now(),
            Namespace::ROOT,
            Selector::new(),
            Frames { first: Frame::Text(Bytes::new()), attachments: Vec::new() },
        );
        assert_eq!(memory.lock().packets.len(), 1);
    }
}
