//! Conversations with an engine over loopback: real HTTP, real WebSockets, and what each side sees of the other.

mod closing;
mod faults;
mod foreign;
mod gate;
mod handshake;
mod heartbeat;
mod http;
mod http1;
mod order;
mod polling;
mod smuggling;
mod support;
mod upgrade;
mod v3;
