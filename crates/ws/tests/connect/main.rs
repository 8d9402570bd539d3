//! Clients against servers: ours on both sides, raw bytes, and tokio-tungstenite. Only on loopback and in memory.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod basics;
mod cancel;
mod compression;
mod peers;
mod refusal;
mod support;
#[cfg(feature = "tls")]
mod tls;
