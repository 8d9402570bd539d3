//! Which sessions there are, by their ids.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use switchboard_io_proto::engine::Sid;
use tokio::sync::Notify;

/// So many locks, so that requests for different sessions seldom wait for each other.
const SHARDS: usize = 32;

/// Sessions by their ids. Generic, because sessions are made above and kept below.
pub(crate) struct Registry<S> {
    /// Ids are random: that their hasher is seeded at random as well costs little and nobody has to think about it.
    shards: [Mutex<HashMap<Sid, S>>; SHARDS],
    count: AtomicUsize,
    /// Told when the last session is gone.
    empty: Notify,
}

/// Why a session cannot be among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// There are as many as may be.
    Full,
    /// The id is taken: whoever makes ids has made one twice.
    Taken,
}

impl<S: Clone> Registry<S> {
    pub(crate) fn get(&self, sid: &Sid) -> Option<S> {
        self.shard(sid).get(sid).cloned()
    }

    /// On an error nothing has changed.
    pub(crate) fn insert(&self, sid: &Sid, session: &S, max: Option<usize>) -> Result<(), NoPlace> {
        // Reserved first: those who come at the same moment must not all find the last place free.
        let before = self.count.fetch_add(1, Ordering::AcqRel);
        let inserted = match max {
            Some(max) if before >= max => Err(NoPlace::Full),
            _ => self.insert_new(sid, session),
        };
        if inserted.is_err() {
            self.leave();
        }
        inserted
    }

    fn insert_new(&self, sid: &Sid, session: &S) -> Result<(), NoPlace> {
        match self.shard(sid).entry(*sid) {
            Entry::Occupied(_) => Err(NoPlace::Taken),
            Entry::Vacant(place) => {
                place.insert(session.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&self, sid: &Sid) {
        // Dropped after the lock: the last handle of a session leaves rooms.
        let removed = self.shard(sid).remove(sid);
        if removed.is_some() {
            self.leave();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Vec<S> {
        self.shards.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Waits until there is no session.
    pub(crate) async fn emptied(&self) {
        loop {
            let mut told = std::pin::pin!(self.empty.notified());
            told.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            told.await;
        }
    }

    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }

    fn shard(&self, sid: &Sid) -> MutexGuard<'_, HashMap<Sid, S>> {
        // The first characters are of random bytes; any of them would do.
        let place = sid.as_str().bytes().take(4).fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        lock(&self.shards[place % SHARDS])
    }
}

fn lock<S>(shard: &Mutex<HashMap<Sid, S>>) -> MutexGuard<'_, HashMap<Sid, S>> {
    // Nothing that may panic runs under the lock, so a poisoned one holds nothing half done.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

// By hand: a derive would ask for `S: Default`.
impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self { shards: Default::default(), count: AtomicUsize::new(0), empty: Notify::new() }
    }
}
