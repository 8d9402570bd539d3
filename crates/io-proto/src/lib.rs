//! Engine.IO and Socket.IO without a socket, a clock or a task: messages in, packets out.
#![forbid(unsafe_code)]

pub mod socket;
