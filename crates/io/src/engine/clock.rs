//! Deadlines of sessions that no WebSocket keeps the time for: one task for all of them. A deadline that has moved on
//! since is found to be none when its time comes; one of a session that is over is forgotten, since it would keep the
//! session's place in memory until then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The clock that sockets go by, which tests may hold still.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Something that wants to be looked at when a time has come.
pub(crate) trait Timed: Send + Sync + 'static {
    /// Tells it from others: [given](Clock::number) by the clock.
    fn number(&self) -> u64;

    /// The time has come, or was one that holds no more.
    fn time_passed(self: Arc<Self>, now: Instant);
}

/// How a deadline has moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) from: Option<Instant>,
    pub(crate) to: Instant,
}

pub(crate) struct Clock<T> {
    shared: Arc<Shared<T>>,
    /// The task, from the first deadline on. It runs on the runtime that the first session came by.
    task: OnceLock<AbortHandle>,
    count: AtomicU64,
}

struct Shared<T> {
    /// By time, and then by number.
    deadlines: Mutex<BTreeMap<(Instant, u64), Weak<T>>>,
    /// There is an earlier one than before.
    earlier: Notify,
}

impl<T: Timed> Clock<T> {
    /// Has it looked at, at this time and not at the one before.
    pub(crate) fn arm(&self, timed: &Arc<T>, Moved { from, to }: Moved) {
        self.task.get_or_init(|| tokio::spawn(run(Arc::clone(&self.shared))).abort_handle());
        let number = timed.number();
        let mut deadlines = self.shared.lock();
        let before = from.and_then(|from| deadlines.remove(&(from, number)));
        deadlines.insert((to, number), Arc::downgrade(timed));
        let is_first = deadlines.first_key_value().is_some_and(|(first, _)| *first == (to, number));
        drop(deadlines);
        drop(before);
        if is_first {
            self.shared.earlier.notify_one();
        }
    }
}

impl<T> Clock<T> {
    /// A number that nobody has had.
    pub(crate) fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets what is over.
    pub(crate) fn disarm(&self, number: u64, at: Instant) {
        let timed = self.shared.lock().remove(&(at, number));
        drop(timed);
    }

    /// Has it looked at now, by whoever looks at it anyway: something that was [armed](Self::arm) once.
    pub(crate) fn ring(&self, number: u64, timed: Weak<T>) {
        self.shared.lock().insert((now(), number), timed);
        self.shared.earlier.notify_one();
    }
}

impl<T> Drop for Clock<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl<T> Default for Clock<T> {
    fn default() -> Self {
        let shared = Shared { deadlines: Mutex::default(), earlier: Notify::new() };
        Self { shared: Arc::new(shared), task: OnceLock::new(), count: AtomicU64::new(0) }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Instant, u64), Weak<T>>> {
        // Nothing that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has come by now, and when the next comes.
    fn take(&self, now: Instant) -> (Vec<Weak<T>>, Option<Instant>) {
        let mut deadlines = self.lock();
        let later = deadlines.split_off(&(now, u64::MAX));
        let come = std::mem::replace(&mut *deadlines, later);
        (come.into_values().collect(), deadlines.first_key_value().map(|((at, _), _)| *at))
    }
}

async fn run<T: Timed>(shared: Arc<Shared<T>>) {
    loop {
        let now = now();
        let (come, next) = shared.take(now);
        for timed in come.iter().filter_map(Weak::upgrade) {
            timed.time_passed(now);
        }
        drop(come);
        let earlier = shared.earlier.notified();
        match next {
            Some(next) => {
                tokio::select! {
                    () = earlier => {}
                    () = tokio::time::sleep_until(next.into()) => {}
                }
            }
            None => earlier.await,
        }
    }
}
