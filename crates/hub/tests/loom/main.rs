//! Models of where threads meet. Loom runs each of them in all orders in which its threads can take turns, but for
//! those with very many interruptions, and fails it when nobody can go on, because a wake was lost, say.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p switchboard-hub --release --test loom`
#![cfg(loom)]

mod hub;
mod outbox;
mod port;
mod support;
