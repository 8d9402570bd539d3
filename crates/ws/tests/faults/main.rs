//! Whole conversations over transports that fail, and futures that are dropped, at every step there is: nobody panics
//! or waits, what was told as delivered is whole and in order, the fault is laid to whom it belongs, and nothing is
//! left behind. A case that fails prints its number; `FAULT=<number>` repeats it alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conversation;
mod dropped;
#[cfg(unix)]
mod peers;
mod transports;
