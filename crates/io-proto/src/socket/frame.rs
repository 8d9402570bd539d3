//! The Engine.IO messages that packets travel in: what one becomes on its way out, and what comes in.

use bytes::Bytes;

/// One message for Engine.IO to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message, UTF-8, its Engine.IO type `4` already in front: a WebSocket text frame's payload, and one packet
    /// of a polling payload.
    Text(Bytes),
    /// A binary message, bare: Engine.IO protocol 4 puts nothing in front of it on WebSocket.
    Binary(Bytes),
}

/// An encoded packet: the messages to send, in this order and with nothing of the same parser between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// The packet itself.
    pub first: Frame,
    /// Its attachments; empty for nearly all packets, and always for msgpack.
    pub attachments: Vec<Bytes>,
}

impl Frames {
    pub(crate) fn one(first: Frame) -> Self {
        Self { first, attachments: Vec::new() }
    }

    /// How many messages it is.
    #[expect(clippy::len_without_is_empty, reason = "there is always a first one")]
    #[must_use]
    pub fn len(&self) -> usize {
        1 + self.attachments.len()
    }

    /// Bytes of all the messages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (Frame::Text(first) | Frame::Binary(first)) = &self.first;
        first.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The messages, in the order in which they are to be sent. Cheap: the bytes are shared.
    pub fn iter(&self) -> impl Iterator<Item = Frame> + '_ {
        std::iter::once(self.first.clone()).chain(self.attachments.iter().cloned().map(Frame::Binary))
    }
}
/// A message that Engine.IO brought, without its packet type.
#[derive(Debug, Clone)]
pub enum Incoming<'a> {
    /// A text message; what is to be kept of it is copied.
    Text(&'a str),
    /// A text message whose buffer may be kept; checked to be UTF-8.
    OwnedText(Bytes),
    /// A binary message, kept without a copy.
    Binary(Bytes),
}
