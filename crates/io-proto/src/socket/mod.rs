//! Socket.IO protocol 5 (and 4, for clients of Socket.IO 2): packets, the two parsers, acks and selectors.
//!
//! From bottom to top: [`error`] and [`Limits`] are plain data; [`Args`] is what an event carries, kept as it came
//! until somebody asks for a type; [`Value`] is that for code that knows no type; [`Packet`] is one packet; [`Parser`]
//! turns packets into Engine.IO messages ([`Frames`]) and, with a [`Decoder`] per connection, back; [`Acks`] and
//! [`Selector`] are what a server and a client build upon.

mod acks;
mod args;
mod binary;
mod date;
mod de;
mod encoding;
pub mod error;
mod frame;
mod json;
mod limits;
mod msgpack;
mod name;
mod namespace;
mod packet;
mod parser;
mod reader;
mod selector;
mod ser;
mod spread;
mod text;
mod token;
mod unpack;
mod value;
mod writer;

pub use acks::{Acks, Refused};
pub use args::{Args, Arguments};
pub use binary::Decoder;
pub use encoding::Parser;
pub use error::{ArgsError, DecodeError, EncodeError};
pub use frame::{Frame, Frames, Incoming};
pub use limits::Limits;
pub use name::Name;
pub use namespace::Namespace;
pub use packet::{AckId, Kind, Packet, is_reserved};
pub use parser::{EventHead, Protocol};
pub use selector::{Flags, Selector};
pub use spread::Spread;
pub use value::{Number, Value};
