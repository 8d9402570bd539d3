//! Which sessions there are, by their ids.

use std::collections::{HashMap, hash_map};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use switchboard_io_proto::engine::Sid;
use switchboard_ws::Admitted;
use tokio::sync::Notify;

/// So many locks, so that requests for different sessions seldom wait for each other.
const SHARDS: usize = 32;

/// Sessions by their ids. Generic, because sessions are made above and kept below.
pub(crate) struct Registry<S> {
    /// Ids are random: that their hasher is seeded at random as well costs little and nobody has to think about it.
    shards: [Mutex<Shard<S>>; SHARDS],
    count: AtomicUsize,
    /// Told when the last session is gone.
    empty: Notify,
}

type Shard<S> = HashMap<Sid, Entry<S>>;

/// A session among the others. Its place is free again when it is no more, however long the application keeps a handle
/// of it.
struct Entry<S> {
    session: S,
    _place: Admitted,
}

/// A session cannot be among them, as its id is taken: whoever makes ids has made one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken;

impl<S: Clone> Registry<S> {
    pub(crate) fn get(&self, sid: &Sid) -> Option<S> {
        self.shard(sid).get(sid).map(|entry| entry.session.clone())
    }

    /// On an error nothing has changed, and the session's place is free again.
    pub(crate) fn insert(&self, sid: &Sid, session: &S, place: Admitted) -> Result<(), Taken> {
        // Counted first: it may be removed as soon as it is there.
        self.count.fetch_add(1, Ordering::AcqRel);
        if let hash_map::Entry::Vacant(vacant) = self.shard(sid).entry(*sid) {
            vacant.insert(Entry { session: session.clone(), _place: place });
            return Ok(());
        }
        self.leave();
        Err(Taken)
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
        self.shards
            .iter()
            .flat_map(|shard| lock(shard).values().map(|entry| entry.session.clone()).collect::<Vec<_>>())
            .collect()
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

    fn shard(&self, sid: &Sid) -> MutexGuard<'_, Shard<S>> {
        // The first characters are of random bytes; any of them would do.
        let place = sid.as_str().bytes().take(4).fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        lock(&self.shards[place % SHARDS])
    }
}

fn lock<S>(shard: &Mutex<Shard<S>>) -> MutexGuard<'_, Shard<S>> {
    // Nothing that may panic runs under the lock, so a poisoned one holds nothing half done.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

// By hand: a derive would ask for `S: Default`.
impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self { shards: Default::default(), count: AtomicUsize::new(0), empty: Notify::new() }
    }
}
