//! What the machine tells its driver about the peer's bytes.

use std::time::Duration;

use bytes::Bytes;

use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::message::{Kind, Message, MessageRef};

/// Something that the peer did. `'b` is the read buffer.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A whole message.
    Message(Received<'b>),
    /// A piece of a message, in place of [`Message`](Self::Message) when pieces were asked for.
    Piece(Piece<'b>),
    /// A ping. The pong is sent without the application's help.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong {
        /// What the peer sent back.
        payload: Bytes,
        /// The round trip, when it answers the newest ping that the machine made.
        rtt: Option<Duration>,
    },
    /// The peer's Close frame, the last thing it says. It is answered without the application's help.
    Close(CloseFrame),
    /// The peer broke a rule. Nothing more is read; a Close frame with the right code goes out.
    Failed(ProtocolError),
}

/// A whole message: borrowed when it lay whole and uncompressed in the read buffer, else owned.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'b> {
    /// Lies in the read buffer.
    Borrowed(MessageRef<'b>),
    /// Was put together from several reads or frames, or inflated.
    Owned(Message),
}

impl Received<'_> {
    /// The message, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Self::Borrowed(message) => *message,
            Self::Owned(message) => message.as_ref(),
        }
    }

    /// The message with a payload of its own; copies only what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message {
        match self {
            Self::Borrowed(message) => message.to_owned(),
            Self::Owned(message) => message,
        }
    }
}

/// A part of a message, as it arrived. The pieces of a text message are UTF-8 in all, but a piece may begin or end
/// within a character.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'b> {
    /// Of which kind the message is.
    pub kind: Kind,
    /// The bytes, inflated and unmasked. Empty only in the last piece.
    pub data: Data<'b>,
    /// The message ends here.
    pub last: bool,
}

/// Bytes in the read buffer, or, when they were inflated, of their own.
#[derive(Debug, PartialEq, Eq)]
pub enum Data<'b> {
    /// Lies in the read buffer.
    Borrowed(&'b [u8]),
    /// Was inflated.
    Owned(Bytes),
}

impl std::ops::Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}
