//! Socket.IO on tokio. [`engine`] carries sessions of messages over HTTP long polling and WebSockets.
#![forbid(unsafe_code)]

pub mod engine;
