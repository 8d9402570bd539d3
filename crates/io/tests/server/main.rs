//! The whole server, spoken to as clients do: on loopback, packet by packet. The areas are those of Node's own tests,
//! whose behaviours are shown here in our words; what differs is in COMPATIBILITY.md.

mod attachment;
mod attacks;
mod client;
mod close;
mod compression;
mod handlers;
mod handshake;
mod limits;
mod listeners;
mod messaging_many;
mod middleware;
mod msgpack;
mod namespaces;
mod panics;
mod recovery;
mod room_events;
mod socket;
mod tasks;
mod timeouts;
mod typed_events;
mod utility_methods;
mod v2_compatibility;
mod welcome;
