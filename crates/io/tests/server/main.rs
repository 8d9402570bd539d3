//! The whole server, spoken to as clients do: on loopback, packet by packet. The areas are those of Node's own tests, whose
//! behaviours are shown here in our words; what differs is in COMPATIBILITY.md.

mod client;
mod listeners;
mod messaging_many;
mod middleware;
mod namespaces;
mod socket;
