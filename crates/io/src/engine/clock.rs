//! Deadlines of sessions that no WebSocket keeps the time for: one task for all of them. A deadline that has moved on since
//! is found to be none when its time comes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::session::{Inner, Session};

/// The clock that sockets go by, which tests may hold still.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[derive(Default)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
    /// The task, from the first deadline on. It runs on the runtime that the first session came by.
    task: OnceLock<AbortHandle>,
    count: AtomicU64,
}

#[derive(Default)]
struct Shared {
    /// By time, and then by arrival.
    deadlines: Mutex<BTreeMap<(Instant, u64), Weak<Inner>>>,
    /// There is an earlier one than before.
    earlier: Notify,
}

impl Clock {
    /// Has the session looked at, at this time.
    pub(crate) fn arm(&self, session: &Session, at: Instant) {
        self.task.get_or_init(|| tokio::spawn(run(Arc::clone(&self.shared))).abort_handle());
        let key = (at, self.count.fetch_add(1, Ordering::Relaxed));
        let mut deadlines = self.shared.lock();
        deadlines.insert(key, session.downgrade());
        let is_first = deadlines.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(deadlines);
        if is_first {
            self.shared.earlier.notify_one();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Instant, u64), Weak<Inner>>> {
        // Nothing that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has come by now, and when the next comes.
    fn take(&self, now: Instant) -> (Vec<Weak<Inner>>, Option<Instant>) {
        let mut deadlines = self.lock();
        let later = deadlines.split_off(&(now, u64::MAX));
        let come = std::mem::replace(&mut *deadlines, later);
        (come.into_values().collect(), deadlines.first_key_value().map(|((at, _), _)| *at))
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        let now = now();
        let (come, next) = shared.take(now);
        for session in come.iter().filter_map(Weak::upgrade) {
            Session::from(session).time_passed(now);
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
