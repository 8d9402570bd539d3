//! Realtime for Rust, under one name: WebSocket servers and clients, topics and fan-out.
//!
//! * [`ws`]: sockets to `await` and handlers to call, over TCP, TLS and Unix sockets, and inside hyper, axum and tower.
//! * [`hub`]: topics, publishing, bounded outboxes, without a runtime.
//! * [`io`](https://docs.rs/switchboard-io): Socket.IO servers, for the stock clients.
//! * [`ws_proto`]: the WebSocket protocol as a state machine, without a socket, for drivers of one's own.
//!
//! The server that needs no code is the binary `switchboard` of the package `switchboard-server`.
//!
//! ```no_run
//! use switchboard::ws::{Config, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Server::bind("127.0.0.1:3000", Config::default()).await?;
//! loop {
//!     let mut socket = server.accept().await;
//!     tokio::spawn(async move {
//!         while let Some(message) = socket.recv().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok::<(), switchboard::ws::Error>(())
//!     });
//! }
//! # }
//! ```
#![forbid(unsafe_code)]

pub use switchboard_hub as hub;
#[cfg(feature = "io")]
pub use switchboard_io as io;
pub use switchboard_ws as ws;
pub use switchboard_ws_proto as ws_proto;
