//! Whoever wants to know when rooms are made, joined, left and gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::guarded::guarded;

/// Something happened to a room. The words are those of Node's adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent<'a> {
    /// `create-room`: somebody is the first in it.
    Create(&'a str),
    /// `join-room`: a socket joined, by its id.
    Join(&'a str, &'a str),
    /// `leave-room`: a socket left.
    Leave(&'a str, &'a str),
    /// `delete-room`: nobody is in it any more.
    Delete(&'a str),
}

/// One of those who watch.
#[derive(Clone)]
pub(crate) struct Watcher(Arc<dyn Fn(RoomEvent<'_>) + Send + Sync>);

impl Watcher {
    pub(crate) fn tell(&self, event: RoomEvent<'_>) {
        guarded("a watcher of rooms", || (self.0)(event));
    }
}

/// What there is to tell of one who has joined a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It is the first in it.
    First,
    Later,
    /// Nothing: it was there before, or nobody watches.
    Untold,
}

/// Those who watch the rooms of a namespace.
#[derive(Default)]
pub(crate) struct Watchers {
    watchers: RwLock<Vec<Watcher>>,
    /// Held while a room changes and somebody watches, so that the first and the last of a room are told apart.
    changing: Mutex<()>,
}

impl Watchers {
    pub(crate) fn add(&self, watch: impl Fn(RoomEvent<'_>) + Send + Sync + 'static) {
        self.watchers.write().unwrap_or_else(PoisonError::into_inner).push(Watcher(Arc::new(watch)));
    }

    /// Who watches; none in nearly all namespaces.
    pub(crate) fn all(&self) -> Vec<Watcher> {
        self.watchers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
