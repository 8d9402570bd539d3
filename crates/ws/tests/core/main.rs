//! The driver, the socket and the handler, talked to by a raw peer that writes and reads frames over a pipe in memory.
//! tokio's clock is stopped: deadlines pass as soon as nothing else can happen.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepting;
mod asynchronous;
mod cancel;
mod closing;
mod deadlines;
mod forms;
mod gate;
mod handler;
mod hub;
mod membership;
mod opening;
mod panics;
mod peer;
mod pressure;
mod serving;
mod shards;
mod stream;
