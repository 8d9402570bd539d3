//! Engine.IO: sessions of messages over HTTP long polling, a WebSocket, or first the one and then the other.
//!
//! [`Engine`] is the whole; [`App`] and [`Conversation`] are what speaks over its sessions, by [`Session`]. What a
//! session decides is decided by [`switchboard_io_proto::engine`]; here are the sockets, the clock and the threads.

mod answer;
mod app;
mod client_files;
mod clock;
mod compression;
mod config;
mod cookie;
mod core;
mod cors;
#[expect(clippy::module_inception, reason = "one file, one noun: this one's is the folder's")]
mod engine;
mod forms;
#[cfg(unix)]
mod gate;
mod handshake;
mod holding;
mod hooks;
mod lane;
mod layer;
mod limit;
mod metrics;
mod polling;
mod posting;
mod registry;
mod service;
mod session;
mod state;
mod unread;
mod websocket;

pub use answer::EngineBody;
pub use app::{App, Conversation};
pub use client_files::ClientFiles;
pub(crate) use clock::now;
pub use compression::HttpCompression;
pub use config::EngineConfig;
pub use cookie::{Cookie, SameSite};
pub use cors::{AllowOrigin, Cors};
pub use engine::Engine;
pub(crate) use forms::Made;
pub use forms::{B64, PLAIN, ParcelOptions, V3, V4, parcel, parcel_with_plain};
pub use handshake::{Handshake, Secure};
pub use hooks::{ConnectionError, Hooks, Parts, Refusal, Stop};
pub use layer::{EngineLayer, EngineOr};
pub use limit::Limit;
pub use metrics::Metrics;
pub use service::EngineService;
pub(crate) use service::{Begun, begin};
pub use session::Session;
pub use state::{BACKLOG_BYTES, BACKLOG_CALLS};
pub use switchboard_io_proto::engine::{
    BadRequest, CloseReason, Config as SessionConfig, Data, HandshakeError, IdError, Protocol, Sid, Transport,
    Transports,
};
pub use unread::{MOST_UNREAD, Unread};
