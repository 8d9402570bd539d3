//! One Socket.IO packet, its data not deserialised yet.

use super::args::Args;
use super::name::Name;
use super::namespace::Namespace;

/// What an ack answers. Node's are decimal runs of any length; ours must fit 64 bits, which no counter outruns.
pub type AckId = u64;

/// A packet. Its binary variants (5 and 6 on the wire) are EVENT and ACK whose arguments hold attachments.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Which namespace it speaks to.
    pub namespace: Namespace,
    /// What it says.
    pub kind: Kind,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// 0: a client asks to join, with what it has to say for itself (one object); a server welcomes it.
    Connect(Option<Args>),
    /// 1: either side leaves the namespace.
    Disconnect,
    /// 2 (5 with attachments): an event.
    Event {
        /// Never a reserved name. It may be [a number](Name::is_number).
        name: Name,
        /// The arguments that follow the name.
        args: Args,
        /// Set when the sender waits for an ack.
        id: Option<AckId>,
    },
    /// 3 (6 with attachments): the answer to an event.
    Ack {
        /// The arguments of the answer.
        args: Args,
        /// Which event it answers.
        id: AckId,
    },
    /// 4: a server refuses to connect: one argument, an object or a string (an ERROR of protocol 4: any value).
    ConnectError(Args),
}

/// Whether an event name is one that the library uses for its own events; no packet may carry it.
#[must_use]
pub fn is_reserved(event: &str) -> bool {
    matches!(event, "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener")
}

/// The digit that stands for a packet's type on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
    BinaryEvent = 5,
    BinaryAck = 6,
}

impl Type {
    pub(crate) fn new(digit: u8) -> Option<Self> {
        Some(match digit {
            0 => Self::Connect,
            1 => Self::Disconnect,
            2 => Self::Event,
            3 => Self::Ack,
            4 => Self::ConnectError,
            5 => Self::BinaryEvent,
            6 => Self::BinaryAck,
            _ => return None,
        })
    }

    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}
