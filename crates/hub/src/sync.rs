//! The locks and counters of this crate: those of `std`, or loom's in a build for the models (`--cfg loom`). `Arc` is
//! always that of `std`: loom's cannot copy on write, and none of our orders hangs on a reference count.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicU64};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicU64};
