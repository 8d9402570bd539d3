//! Conversations with an Engine.IO session in virtual time: what the client does, and what it hears then.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod closing;
mod heartbeat;
mod payloads;
mod polling;
mod talk;
mod upgrade;
mod v3;
