//! WebSocket as a state machine: RFC 6455 and RFC 7692, bytes in, events out.
//!
//! Nothing here owns a socket, reads a clock or spawns a task: a driver hands bytes and the time in, and takes events,
//! bytes and deadlines out. The same machine serves either role, under any runtime or none.

pub mod close;
pub mod config;
pub mod deflate;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod message;
pub mod utf8;
