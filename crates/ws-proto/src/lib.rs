//! WebSocket as a state machine: RFC 6455 and RFC 7692, bytes in, events out.
//!
//! Nothing here owns a socket, reads a clock or spawns a task: a driver hands bytes and the time in, and takes events,
//! bytes and deadlines out. The same machine serves either role, under any runtime or none.
//!
//! From bottom to top: [`error`] and [`config`] are plain data; [`frame`], [`mask`] and [`utf8`] know bytes;
//! [`deflate`] is RFC 7692; [`handshake`] opens a connection and [`Connection`] runs it; [`Prepared`] is a message
//! encoded once for many of them.

mod assembler;
mod buffer;
mod clock;
pub mod close;
mod closing;
mod compression;
pub mod config;
pub mod connection;
mod control;
pub mod deflate;
pub mod error;
mod event;
pub mod frame;
pub mod handshake;
mod heartbeat;
mod input;
pub mod mask;
mod message;
mod output;
mod pool;
mod prepared;
mod reader;
mod role;
pub mod utf8;
mod writer;

/// Limits that no setting changes, for documents that list them.
#[doc(hidden)]
pub mod fixed {
    /// Final blocks of DEFLATE in a message.
    pub const FINAL_BLOCKS: u16 = crate::deflate::FINAL_BLOCKS;
    /// Idle codecs of each kind that a thread keeps.
    pub const IDLE_CODECS: usize = crate::deflate::IDLE_CODECS;
    /// Bytes of an inflater.
    pub const INFLATER: usize = crate::deflate::INFLATER;
    /// Bytes of a piece of what comes out of an inflater.
    pub const INFLATED_AT_ONCE: usize = crate::deflate::INFLATED_AT_ONCE;
    /// Bytes of large buffers that a thread keeps.
    pub const POOLED: usize = crate::pool::LIMIT;
}

pub use close::{CloseCode, CloseFrame};
pub use closing::{Cause, Disconnect, Ended, ReadyState};
pub use config::Config;
pub use connection::Connection;
pub use deflate::{DeflateConfig, DeflateParams, WindowBits};
pub use error::{ProtocolError, SendError, Timeout};
pub use event::{Data, Event, Piece, Received};
pub use input::Input;
pub use message::{Kind, Message, MessageRef};
pub use output::Output;
pub use prepared::Prepared;
pub use role::Role;
pub use switchboard_budget::Budget;
pub use utf8::Utf8Bytes;
pub use writer::SendOptions;
