//! Engine.IO and Socket.IO as state machines: packets in, events out.
//!
//! Nothing here owns a socket, reads a clock or spawns a task: a driver hands packets and the time in, and takes
//! events, packets and deadlines out.
#![forbid(unsafe_code)]

pub mod engine;
pub mod socket;
