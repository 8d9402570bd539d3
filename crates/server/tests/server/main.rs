//! The binary `switchboard` as its users meet it: started with flags, talked to over sockets, stopped by signals.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod curl;
mod echo;
mod faults;
mod limits;
mod listening;
mod metrics;
mod origins;
mod pages;
mod rooms;
mod server;
mod smuggling;
mod socketio;
mod socketio_http;
mod socketio_rooms;
mod stopping;
mod tls;
mod workers;
