//! What a peer did wrong: plain data that names the rule broken and the close code that answers it.
//!
//! A leaf: this file imports nothing from its own crate, so that every other file may use it.

use std::fmt;

/// A rule that the peer broke, or what we hold against it. The connection is failed with
/// [`close_code`](Self::close_code) (RFC 6455 §7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1 was set although no negotiated extension gives it a meaning, or on a frame that must not carry it (§5.2).
    UnexpectedRsv1,
    /// RSV2 or RSV3 was set (§5.2).
    ReservedBits,
    /// A reserved opcode: 3–7 or 11–15 (§5.2).
    ReservedOpcode(u8),
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes of payload (§5.5).
    ControlTooLong,
    /// A payload length not written in the fewest bytes possible (§5.2).
    NonMinimalLength(u64),
    /// A 64-bit payload length with its most significant bit set (§5.2).
    LengthOverflow,
    /// A client sent a frame without a mask (§5.1).
    UnmaskedFrame,
    /// A server sent a masked frame (§5.1).
    MaskedFrame,
    /// A continuation frame while no message was open (§5.4).
    UnexpectedContinuation,
    /// A new message began while another was unfinished (§5.4).
    ExpectedContinuation,
    /// A Close frame with a payload of a single byte (§5.5.1).
    CloseTooShort,
    /// A Close frame with a code that must not appear on the wire (§7.4).
    InvalidCloseCode(u16),
    /// A text message, or the reason of a Close frame, that is not UTF-8 (§8.1).
    InvalidUtf8,
    /// A compressed message that is not a DEFLATE stream (RFC 7692 §7.2.2).
    InvalidDeflate,
    /// A frame longer than `max_frame` bytes.
    FrameTooBig {
        /// The limit that it broke, in bytes.
        limit: usize,
    },
    /// A message longer than `max_message` bytes, counted after inflating.
    MessageTooBig {
        /// The limit that it broke, in bytes.
        limit: usize,
    },
    /// A message of more than `max_fragments` frames; empty ones count.
    TooManyFragments {
        /// The limit that it broke, in frames.
        limit: u32,
    },
    /// A text message to an endpoint that takes binary ones only.
    UnwantedText,
    /// A binary message to an endpoint that takes text ones only.
    UnwantedBinary,
    /// No rule: the endpoint is short of memory, and this peer had it hold too much of that. It may try again later.
    OutOfMemory,
}

impl ProtocolError {
    /// The code for the Close frame that answers this offence (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::UnwantedText | Self::UnwantedBinary => 1003,
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            // Not one of the sizes that 1009 speaks of, but a policy of ours.
            Self::TooManyFragments { .. } => 1008,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => 1009,
            Self::OutOfMemory => 1013,
            _ => 1002,
        }
    }

    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnexpectedRsv1 => "unexpected_rsv1",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode(_) => "reserved_opcode",
            Self::FragmentedControl => "fragmented_control",
            Self::ControlTooLong => "control_too_long",
            Self::NonMinimalLength(_) => "non_minimal_length",
            Self::LengthOverflow => "length_overflow",
            Self::UnmaskedFrame => "unmasked_frame",
            Self::MaskedFrame => "masked_frame",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::ExpectedContinuation => "expected_continuation",
            Self::CloseTooShort => "close_too_short",
            Self::InvalidCloseCode(_) => "invalid_close_code",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidDeflate => "invalid_deflate",
            Self::FrameTooBig { .. } => "frame_too_big",
            Self::MessageTooBig { .. } => "message_too_big",
            Self::TooManyFragments { .. } => "too_many_fragments",
            Self::UnwantedText => "unwanted_text",
            Self::UnwantedBinary => "unwanted_binary",
            Self::OutOfMemory => "memory_budget",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedRsv1 => f.write_str("the peer set RSV1 where no negotiated extension uses it"),
            Self::ReservedBits => f.write_str("the peer set RSV2 or RSV3"),
            Self::ReservedOpcode(opcode) => write!(f, "the peer sent the reserved opcode {opcode:#x}"),
            Self::FragmentedControl => f.write_str("the peer fragmented a control frame"),
            Self::ControlTooLong => f.write_str("the peer sent a control frame of more than 125 bytes"),
            Self::NonMinimalLength(len) => write!(f, "the peer wrote the length {len} in more bytes than it needs"),
            Self::LengthOverflow => f.write_str("the peer sent a payload length above 2^63 - 1"),
            Self::UnmaskedFrame => f.write_str("the client sent an unmasked frame"),
            Self::MaskedFrame => f.write_str("the server sent a masked frame"),
            Self::UnexpectedContinuation => f.write_str("the peer continued a message that was never begun"),
            Self::ExpectedContinuation => f.write_str("the peer began a message inside another"),
            Self::CloseTooShort => f.write_str("the peer sent a Close frame with half a code"),
            Self::InvalidCloseCode(code) => write!(f, "the peer closed with the code {code}, which may not be sent"),
            Self::InvalidUtf8 => f.write_str("the peer sent text that is not UTF-8"),
            Self::InvalidDeflate => f.write_str("the peer sent a compressed message that does not inflate"),
            Self::FrameTooBig { limit } => write!(f, "the peer sent a frame of more than {limit} bytes"),
            Self::MessageTooBig { limit } => write!(f, "the peer sent a message of more than {limit} bytes"),
            Self::TooManyFragments { limit } => write!(f, "the peer cut a message into more than {limit} frames"),
            Self::UnwantedText => f.write_str("the peer sent text; only binary messages are accepted here"),
            Self::UnwantedBinary => f.write_str("the peer sent binary; only text messages are accepted here"),
            Self::OutOfMemory => f.write_str("the server is short of memory, and held much of it for this connection"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// A deadline that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The opening handshake was not finished in time.
    Handshake,
    /// Nothing came from the peer after a heartbeat ping.
    Pong,
    /// No message went either way for `idle_timeout`.
    Idle,
    /// A message was begun and not finished in time.
    Message,
    /// The peer took none of our bytes for `write_timeout`.
    Write,
    /// The peer did not answer our Close frame in time.
    Close,
}

impl Timeout {
    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake_timeout",
            Self::Pong => "pong_timeout",
            Self::Idle => "idle_timeout",
            Self::Message => "message_timeout",
            Self::Write => "write_timeout",
            Self::Close => "close_timeout",
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the opening handshake was not finished in time",
            Self::Pong => "the peer did not answer a ping in time",
            Self::Idle => "no message for too long",
            Self::Message => "a message was begun and not finished in time",
            Self::Write => "the peer stopped reading",
            Self::Close => "the peer did not answer the Close frame in time",
        })
    }
}

impl std::error::Error for Timeout {}

/// Why a command to a connection was refused. Nothing was sent; the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A Close frame was already sent: nothing may follow it (RFC 6455 §5.5.1).
    Closed,
    /// A control frame may carry 125 bytes at most (§5.5).
    ControlTooLong,
    /// This close code may not be sent (§7.4).
    InvalidCloseCode(u16),
    /// A whole message inside a message sent piece by piece that is not finished (§5.4).
    MessageOpen,
    /// A further piece of a message that was never begun (§5.4).
    NoMessageOpen,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closing; nothing more can be sent"),
            Self::ControlTooLong => f.write_str("a control frame carries 125 bytes at most"),
            Self::InvalidCloseCode(code) => write!(f, "the close code {code} may not be sent"),
            Self::MessageOpen => f.write_str("a message sent in pieces is not finished yet"),
            Self::NoMessageOpen => f.write_str("no message sent in pieces is open"),
        }
    }
}

impl std::error::Error for SendError {}
