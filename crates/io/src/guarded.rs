//! Calls of what an application wants to be told, beside the handlers of a socket. A panic is logged, and is nobody
//! else's: what it was told of has happened, and goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls it. `None` after a panic of `what`.
pub(crate) fn guarded<R>(what: &'static str, call: impl FnOnce() -> R) -> Option<R> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        tracing::error!("{what} panicked");
    }
    called.ok()
}
