//! Engine.IO, protocol v4, and v3 for old clients: one session of messages over HTTP polling, a WebSocket, or the first
//! and then the other.
//!
//! From bottom to top: [`error`] and [`config`] are plain data; [`sid`] names a session; [`packet`] and [`payload`]
//! know bytes; [`handshake`] judges a request and [`Session`] is what it opens.

pub mod config;
pub mod error;
mod event;
pub mod handshake;
mod heartbeat;
pub mod packet;
pub mod payload;
mod query;
mod queue;
pub mod session;
pub mod sid;
mod urlencoded;

pub use config::{Config, Transports};
pub use error::{AttachError, BadRequest, CloseReason, HandshakeError, IdError, PacketError, RequestError, SendError};
pub use event::{Event, Out};
pub use handshake::{Applicant, Known, Request, Verdict, judge, open_packet};
pub use packet::{Data, Encoding, Frame, Packet, PacketType, Protocol, Transport};
pub use query::{Query, SessionId};
pub use session::Session;
pub use sid::{Sid, generate_id};
