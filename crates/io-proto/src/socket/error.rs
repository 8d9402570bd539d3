//! What a peer did wrong, and what cannot be read or written: plain data that names the rule broken.
//!
//! A leaf: this file imports nothing from its own crate, so that every other file may use it.

use std::fmt;

/// A rule of the protocol that the peer broke. Node closes the whole connection for any of them ("parse error").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An empty message: there is no packet type.
    Empty,
    /// The packet type is none of 0–6 (msgpack: 0–4), or msgpack names none.
    UnknownType,
    /// The number of attachments is not an integer of at least 1 followed by `-`.
    AttachmentCount,
    /// More attachments than [`Limits::attachments`](crate::socket::Limits::attachments).
    TooManyAttachments {
        /// The limit that it broke.
        limit: usize,
    },
    /// A namespace that does not begin with `/`, or that holds a comma (msgpack only: text cannot say it).
    Namespace,
    /// An ack id that is no integer of 64 bits.
    AckId,
    /// An ACK that does not say what it answers.
    MissingAckId,
    /// Text that is not UTF-8.
    Utf8,
    /// The data is not JSON.
    Json {
        /// Where in the message the first wrong byte stands.
        at: usize,
    },
    /// The message is not msgpack, is cut short, or goes on after its end.
    Msgpack {
        /// Where in the message the first wrong byte stands.
        at: usize,
    },
    /// Arrays and objects inside each other deeper than [`Limits::depth`](crate::socket::Limits::depth).
    TooDeep {
        /// The limit that it broke, in levels.
        limit: u8,
    },
    /// The packet with its attachments is longer than [`Limits::bytes`](crate::socket::Limits::bytes).
    TooBig {
        /// The limit that it broke, in bytes.
        limit: usize,
    },
    /// The data of a CONNECT is not an object.
    ConnectData,
    /// A DISCONNECT with data.
    DisconnectData,
    /// The data of an EVENT is missing, not an array, or an empty one.
    EventData,
    /// The name of an EVENT is neither a string nor a number.
    EventName,
    /// The name of an EVENT is one of those that the library itself uses.
    ReservedEvent,
    /// The data of an ACK is missing or not an array.
    AckData,
    /// The data of a `CONNECT_ERROR` is missing, or neither a string nor an object.
    ConnectErrorData,
    /// A placeholder for an attachment that is not there.
    Placeholder,
    /// A text message while attachments are missing.
    ExpectedAttachment,
    /// A binary message while no attachment is missing.
    UnexpectedAttachment,
    /// A text message to the msgpack parser, which knows binary ones only.
    UnexpectedText,
}

impl DecodeError {
    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownType => "unknown_type",
            Self::AttachmentCount => "attachment_count",
            Self::TooManyAttachments { .. } => "too_many_attachments",
            Self::Namespace => "namespace",
            Self::AckId => "ack_id",
            Self::MissingAckId => "missing_ack_id",
            Self::Utf8 => "utf8",
            Self::Json { .. } => "json",
            Self::Msgpack { .. } => "msgpack",
            Self::TooDeep { .. } => "too_deep",
            Self::TooBig { .. } => "too_big",
            Self::ConnectData => "connect_data",
            Self::DisconnectData => "disconnect_data",
            Self::EventData => "event_data",
            Self::EventName => "event_name",
            Self::ReservedEvent => "reserved_event",
            Self::AckData => "ack_data",
            Self::ConnectErrorData => "connect_error_data",
            Self::Placeholder => "placeholder",
            Self::ExpectedAttachment => "expected_attachment",
            Self::UnexpectedAttachment => "unexpected_attachment",
            Self::UnexpectedText => "unexpected_text",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the peer sent an empty packet"),
            Self::UnknownType => f.write_str("the peer sent a packet of an unknown type"),
            Self::AttachmentCount => f.write_str("the peer did not say how many attachments follow"),
            Self::TooManyAttachments { limit } => write!(f, "the peer announced more than {limit} attachments"),
            Self::Namespace => f.write_str("the peer named a namespace that cannot exist"),
            Self::AckId => f.write_str("the peer sent an ack id that is no 64-bit integer"),
            Self::MissingAckId => f.write_str("the peer sent an ack without an id"),
            Self::Utf8 => f.write_str("the peer sent text that is not UTF-8"),
            Self::Json { at } => write!(f, "the peer sent data that is not JSON (byte {at})"),
            Self::Msgpack { at } => write!(f, "the peer sent data that is not msgpack (byte {at})"),
            Self::TooDeep { limit } => write!(f, "the peer nested data deeper than {limit} levels"),
            Self::TooBig { limit } => write!(f, "the peer sent a packet of more than {limit} bytes"),
            Self::ConnectData => f.write_str("the peer sent a CONNECT whose data is not an object"),
            Self::DisconnectData => f.write_str("the peer sent a DISCONNECT with data"),
            Self::EventData => f.write_str("the peer sent an EVENT that is not a filled array"),
            Self::EventName => f.write_str("the peer sent an EVENT whose name is neither a string nor a number"),
            Self::ReservedEvent => f.write_str("the peer sent an EVENT with a reserved name"),
            Self::AckData => f.write_str("the peer sent an ACK that is not an array"),
            Self::ConnectErrorData => f.write_str("the peer sent a CONNECT_ERROR without a string or an object"),
            Self::Placeholder => f.write_str("the peer named an attachment that is not there"),
            Self::ExpectedAttachment => f.write_str("the peer sent text while attachments were missing"),
            Self::UnexpectedAttachment => f.write_str("the peer sent binary data that no packet asked for"),
            Self::UnexpectedText => f.write_str("the peer sent text; the msgpack parser takes binary messages only"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Arguments that do not fit the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgsError {
    message: Box<str>,
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ArgsError {}

impl serde::de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string().into() }
    }
}

/// A packet that cannot be written. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event's name is one of those that the library itself uses; every decoder would refuse it.
    ReservedEvent,
    /// A namespace with a comma in its name: the text parser ends names there.
    Namespace,
    /// A map with the key `_placeholder` beside binary data: the peer would take it for an attachment, or for a fraud.
    Placeholder,
    /// The value's own `Serialize` failed, or it holds something that neither JSON nor msgpack can say.
    Serialize(Box<str>),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedEvent => f.write_str("this event name is reserved"),
            Self::Namespace => f.write_str("a namespace may not hold a comma"),
            Self::Placeholder => f.write_str("a map with the key `_placeholder` cannot travel beside binary data"),
            Self::Serialize(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for EncodeError {}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Serialize(message.to_string().into())
    }
}
