//! HTTP/1.1 for clients that poll, and for them alone: their requests are served by a small loop that holds next to
//! nothing while a poll waits. A connection on which anything else is asked for goes to hyper, with all of its bytes,
//! and there too no request is read whose end is in doubt.
//!
//! For servers that accept connections by themselves, as [`Engine::serve`](crate::engine::Engine::serve) and the binary
//! do.

mod connection;
mod foreign;
mod framed;
mod framing;
mod linger;
mod reply;
mod request;
mod stop;
mod wire;

pub use connection::{Connection, End, Terms};
pub use foreign::Foreign;
pub use wire::{READ, READ_AHEAD};
