//! Packets: a type and what it carries, and how one packet is a WebSocket frame. In text a packet is a digit and its
//! data; a binary packet is always a message, and v4 does not even say so.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::engine::error::PacketError;

/// Standard base64, whether or not it is padded: what clients send.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The version of the protocol that a client speaks, `EIO` in its queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Socket.IO 2. The client sends the pings.
    V3,
    /// Socket.IO 3 and 4. The server sends the pings.
    V4,
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long polling.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// The name in queries and in the `upgrades` of the handshake.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// How packets are written for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// The version of the protocol.
    pub protocol: Protocol,
    /// The client asked for base64 (`b64` in its query) where the transport could carry bytes.
    pub b64: bool,
}

impl Encoding {
    /// What a client of today wants: v4, bytes as bytes.
    pub const V4: Self = Self { protocol: Protocol::V4, b64: false };
}

/// The type of a packet, a digit on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// The server's handshake.
    Open = 0,
    /// The sender ends the session.
    Close = 1,
    /// Half of the heartbeat, or a probe.
    Ping = 2,
    /// The other half.
    Pong = 3,
    /// The application's.
    Message = 4,
    /// The client takes the probed WebSocket into use.
    Upgrade = 5,
    /// Nothing; it ends a poll.
    Noop = 6,
}

impl PacketType {
    /// The digit.
    #[must_use]
    pub const fn digit(self) -> char {
        (b'0' + self as u8) as char
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Open,
            1 => Self::Close,
            2 => Self::Ping,
            3 => Self::Pong,
            4 => Self::Message,
            5 => Self::Upgrade,
            6 => Self::Noop,
            _ => return None,
        })
    }
}

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Data<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes: borrowed where the transport carried bytes, owned where they came as base64.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Data<'a> {
    /// Borrowed text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Borrowed bytes.
    #[must_use]
    pub fn binary(bytes: &'a [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }

    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Data<'static> {
        match self {
            Self::Text(text) => Data::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Data::Binary(Cow::Owned(bytes.into_owned())),
        }
    }
}

/// A packet. What closes, upgrades and does nothing has no data of use: it is dropped when decoding, as in Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the handshake, JSON.
    Open(Cow<'a, str>),
    /// `1`
    Close,
    /// `2`, with `probe` on a candidate for an upgrade.
    Ping(Cow<'a, str>),
    /// `3`, with `probe` to answer one.
    Pong(Cow<'a, str>),
    /// `4`
    Message(Data<'a>),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

/// What a packet becomes on a WebSocket: the payload of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text frame.
    Text(String),
    /// A binary frame. v4: the message itself, not copied.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Packet<'a> {
    /// A text message.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Message(Data::text(text))
    }

    /// A binary message.
    #[must_use]
    pub fn binary(bytes: &'a [u8]) -> Self {
        Self::Message(Data::binary(bytes))
    }

    /// The type.
    #[must_use]
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Open(_) => PacketType::Open,
            Self::Close => PacketType::Close,
            Self::Ping(_) => PacketType::Ping,
            Self::Pong(_) => PacketType::Pong,
            Self::Message(_) => PacketType::Message,
            Self::Upgrade => PacketType::Upgrade,
            Self::Noop => PacketType::Noop,
        }
    }

    /// The packet with nothing borrowed.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        match self {
            Self::Open(data) => Packet::Open(Cow::Owned(data.into_owned())),
            Self::Close => Packet::Close,
            Self::Ping(data) => Packet::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Packet::Pong(Cow::Owned(data.into_owned())),
            Self::Message(data) => Packet::Message(data.into_owned()),
            Self::Upgrade => Packet::Upgrade,
            Self::Noop => Packet::Noop,
        }
    }

    pub(crate) fn as_binary(&self) -> Option<&[u8]> {
        if let Self::Message(Data::Binary(bytes)) = self { Some(bytes) } else { None }
    }

    /// The packet as one WebSocket frame.
    #[must_use]
    pub fn frame(&self, encoding: Encoding) -> Frame<'_> {
        match (self.as_binary(), encoding) {
            (Some(bytes), Encoding { protocol: Protocol::V4, b64: false }) => Frame::Binary(Cow::Borrowed(bytes)),
            (Some(bytes), Encoding { protocol: Protocol::V3, b64: false }) => {
                Frame::Binary(Cow::Owned([&[PacketType::Message as u8], bytes].concat()))
            }
            _ => {
                let mut text = String::new();
                self.write_text(encoding.protocol, &mut text);
                Frame::Text(text)
            }
        }
    }

    /// Appends the packet as text: a digit and the data; for bytes `b` (v4) or `b4` (v3) and base64.
    pub fn write_text(&self, protocol: Protocol, out: &mut String) {
        if let Some(bytes) = self.as_binary() {
            out.push_str(match protocol {
                Protocol::V3 => "b4",
                Protocol::V4 => "b",
            });
            BASE64.encode_string(bytes, out);
            return;
        }
        let text = self.text_data();
        out.reserve(1 + text.len());
        out.push(self.packet_type().digit());
        out.push_str(text);
    }

    /// The text after the type. Nothing for bytes.
    pub(crate) fn text_data(&self) -> &str {
        match self {
            Self::Open(text) | Self::Ping(text) | Self::Pong(text) | Self::Message(Data::Text(text)) => text,
            Self::Close | Self::Upgrade | Self::Noop | Self::Message(Data::Binary(_)) => "",
        }
    }

    /// A packet of text: a text frame, or one packet of a payload.
    ///
    /// # Errors
    /// Names the rule that it breaks.
    pub fn from_text(protocol: Protocol, text: &'a str) -> Result<Self, PacketError> {
        // By bytes, not characters: the first may be one of several (a slice in the middle of one was a remote panic in
        // an earlier server).
        let (&first, _) = text.as_bytes().split_first().ok_or(PacketError::Empty)?;
        if first == b'b' {
            return Self::from_base64(protocol, &text[1..]);
        }
        let kind = first.checked_sub(b'0').and_then(PacketType::from_number).ok_or(PacketError::UnknownType(first))?;
        let data = Cow::Borrowed(&text[1..]);
        Ok(match kind {
            PacketType::Open => Self::Open(data),
            PacketType::Close => Self::Close,
            PacketType::Ping => Self::Ping(data),
            PacketType::Pong => Self::Pong(data),
            PacketType::Message => Self::Message(Data::Text(data)),
            PacketType::Upgrade => Self::Upgrade,
            PacketType::Noop => Self::Noop,
        })
    }

    /// What follows the `b`: base64, before which v3 has a type.
    fn from_base64(protocol: Protocol, text: &str) -> Result<Self, PacketError> {
        let base64 = match protocol {
            Protocol::V4 => text,
            Protocol::V3 => match text.as_bytes().first() {
                Some(b'4') => &text[1..],
                Some(b'0'..=b'6') => return Err(PacketError::BinaryControl),
                Some(&other) => return Err(PacketError::UnknownType(other)),
                None => return Err(PacketError::Empty),
            },
        };
        let bytes = BASE64.decode(base64).unwrap_or_else(|_| lenient_base64(base64));
        Ok(Self::Message(Data::Binary(Cow::Owned(bytes))))
    }

    /// A binary frame. v4: all of it is a message; v3: the type stands before it, as a byte.
    ///
    /// # Errors
    /// v3 only: no type, or another one than a message's.
    pub fn from_binary(protocol: Protocol, bytes: &'a [u8]) -> Result<Self, PacketError> {
        if protocol == Protocol::V4 {
            return Ok(Self::binary(bytes));
        }
        let (&kind, message) = bytes.split_first().ok_or(PacketError::Empty)?;
        match PacketType::from_number(kind) {
            Some(PacketType::Message) => Ok(Self::binary(message)),
            Some(_) => Err(PacketError::BinaryControl),
            None => Err(PacketError::UnknownType(kind)),
        }
    }
}

/// The bytes that Node reads from what is no proper base64: in the alphabet of URLs too, to the first `=`, and past all
/// that is of neither alphabet. Bits that make no whole byte are dropped.
fn lenient_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.bytes().take_while(|byte| *byte != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3: Encoding = Encoding { protocol: Protocol::V3, b64: false };

    #[test]
    fn text_packets_are_a_digit_and_data() {
        for (wire, packet) in [
            ("0{}", Packet::Open("{}".into())),
            ("1", Packet::Close),
            ("2", Packet::Ping("".into())),
            ("2probe", Packet::Ping("probe".into())),
            ("3probe", Packet::Pong("probe".into())),
            ("4", Packet::text("")),
            ("4€uro", Packet::text("€uro")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
        ] {
            for protocol in [Protocol::V3, Protocol::V4] {
                assert_eq!(Packet::from_text(protocol, wire), Ok(packet.clone()));
                assert_eq!(packet.frame(Encoding { protocol, b64: false }), Frame::Text(wire.into()));
            }
        }
    }

    #[test]
    fn bytes_are_a_frame_or_base64() {
        let packet = Packet::binary(&[1, 2, 3, 250]);
        assert_eq!(packet.frame(Encoding::V4), Frame::Binary(Cow::Borrowed(&[1, 2, 3, 250])));
        assert_eq!(packet.frame(V3), Frame::Binary(Cow::Borrowed(&[4, 1, 2, 3, 250])));
        assert_eq!(packet.frame(Encoding { b64: true, ..Encoding::V4 }), Frame::Text("bAQID+g==".into()));
        assert_eq!(packet.frame(Encoding { b64: true, ..V3 }), Frame::Text("b4AQID+g==".into()));
        assert_eq!(Packet::from_text(Protocol::V4, "bAQID+g=="), Ok(packet.clone()));
        assert_eq!(Packet::from_text(Protocol::V4, "bAQID+g"), Ok(packet.clone()));
        assert_eq!(Packet::from_text(Protocol::V3, "b4AQID+g=="), Ok(packet.clone()));
        assert_eq!(Packet::from_binary(Protocol::V4, &[1, 2, 3, 250]), Ok(packet.clone()));
        assert_eq!(Packet::from_binary(Protocol::V3, &[4, 1, 2, 3, 250]), Ok(packet));
        assert_eq!(Packet::from_binary(Protocol::V4, &[]), Ok(Packet::binary(&[])));
    }

    #[test]
    fn what_is_no_packet_names_the_rule() {
        let v3 = |text| Packet::from_text(Protocol::V3, text).unwrap_err();
        let v4 = |text| Packet::from_text(Protocol::V4, text).unwrap_err();
        assert_eq!(v4(""), PacketError::Empty);
        assert_eq!(v4("7"), PacketError::UnknownType(b'7'));
        assert_eq!(v4("/"), PacketError::UnknownType(b'/'));
        assert_eq!(v4("x1"), PacketError::UnknownType(b'x'));
        assert_eq!(v3("b"), PacketError::Empty);
        assert_eq!(v3("b1"), PacketError::BinaryControl);
        assert_eq!(v3("bx"), PacketError::UnknownType(b'x'));
        assert_eq!(Packet::from_binary(Protocol::V3, &[]), Err(PacketError::Empty));
        assert_eq!(Packet::from_binary(Protocol::V3, &[2]), Err(PacketError::BinaryControl));
        assert_eq!(Packet::from_binary(Protocol::V3, &[52]), Err(PacketError::UnknownType(52)));
    }

    /// What `Buffer.from(text, "base64")` of Node 20 gives.
    #[test]
    fn what_is_no_base64_is_read_as_node_reads_it() {
        for (text, bytes) in [
            ("!!", &b""[..]),
            ("YQ==YQ==", b"a"),
            ("YQ=YQ", b"a"),
            ("YWJj YWJj", b"abcabc"),
            ("Y", b""),
            ("YW", b"a"),
            ("YWJjY", b"abc"),
            ("YW-_", &[0x61, 0x6f, 0xbf]),
            ("Y!W!J!j", b"abc"),
            ("é", b""),
            ("YWé=Jj", b"a"),
            ("=YWJj", b""),
            ("YW=Jj", b"a"),
        ] {
            let wire = format!("b{text}");
            assert_eq!(Packet::from_text(Protocol::V4, &wire), Ok(Packet::binary(bytes)), "{text}");
            let wire = format!("b4{text}");
            assert_eq!(Packet::from_text(Protocol::V3, &wire), Ok(Packet::binary(bytes)), "{text}");
        }
    }

    /// Attack: a first character of several bytes panicked a server that sliced after one (engineioxide PR 794).
    #[test]
    fn a_first_character_of_several_bytes_is_an_unknown_type() {
        for text in ["é", "€", "🦀"] {
            for protocol in [Protocol::V3, Protocol::V4] {
                assert!(Packet::from_text(protocol, text).is_err(), "{text}");
            }
        }
        assert!(Packet::from_text(Protocol::V3, "bé").is_err());
        assert!(Packet::from_text(Protocol::V4, "bé").is_ok());
    }
}
