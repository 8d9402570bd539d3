//! HTTP/1.1 for clients that poll, and for them alone: their requests are served by a small loop that holds next to
//! nothing while a poll waits. A connection on which anything else is asked for goes to an HTTP library, with all of
//! its bytes.
//!
//! For servers that accept connections by themselves, as [`Engine::serve`](crate::engine::Engine::serve) and the binary
//! do.

mod connection;
mod framing;
mod reply;
mod request;
mod wire;

pub use connection::{Connection, End, Terms};
pub use framing::{Framing, REFUSED};
pub use wire::{READ, READ_AHEAD};
