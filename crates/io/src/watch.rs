//! Whoever wants to know when rooms are made, joined, left and gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

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

type Watcher = Arc<dyn Fn(RoomEvent<'_>) + Send + Sync>;

/// Those who watch the rooms of a namespace.
#[derive(Default)]
pub(crate) struct Watchers {
    watchers: RwLock<Vec<Watcher>>,
    /// Held while a room changes and somebody watches, so that the first and the last of a room are told apart.
    changing: Mutex<()>,
}

impl Watchers {
    pub(crate) fn add(&self, watcher: Watcher) {
        self.watchers.write().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    /// Who watches; none in nearly all namespaces.
    pub(crate) fn all(&self) -> Vec<Watcher> {
        self.watchers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
