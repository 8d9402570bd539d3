//! The frame header (RFC 6455 §5.2): decoding with every rule that a header alone can break, and encoding.

use std::ops::Range;

use crate::error::ProtocolError;
use crate::mask::MaskKey;
use crate::message::Kind;

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const MAX_HEADER: usize = 14;
/// The longest payload of a control frame (§5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// Ends the connection.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping, or comes unasked.
    Pong = 10,
}

impl Opcode {
    /// Close, Ping and Pong: never fragmented, 125 bytes at most, allowed between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            // "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
            reserved => return Err(ProtocolError::ReservedOpcode(reserved)),
        })
    }
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}

/// A decoded header. RSV2 and RSV3 are refused by the decoder: no extension known here uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// The first frame of a compressed message (RFC 7692 §6).
    pub rsv1: bool,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The key, when the payload is masked.
    pub mask: Option<MaskKey>,
    /// The length of the payload, below 2^63.
    pub len: u64,
}

impl FrameHeader {
    /// Decodes a header from the front of `bytes`: the header and its own length, or `None` while bytes are missing.
    ///
    /// # Errors
    /// A broken rule, as soon as the byte that breaks it is there.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let &[first, ref rest @ ..] = bytes else { return Ok(None) };
        let (fin, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values" (§5.2).
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        if opcode.is_control() {
            // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented" (§5.5).
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            // RFC 7692 §6.1 gives RSV1 a meaning on the first frame of a message only.
            if rsv1 {
                return Err(ProtocolError::UnexpectedRsv1);
            }
        }
        let &[second, ref rest @ ..] = rest else { return Ok(None) };
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((len, rest)) = decode_len(short, rest)? else { return Ok(None) };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            (Some(*key), rest)
        };
        Ok(Some((Self { fin, rsv1, opcode, mask, len }, bytes.len() - rest.len())))
    }

    /// Decodes the header of a message in a single, uncompressed frame of less than 64 KiB: a short way for what is by
    /// far the most common. `None` for all else, right or wrong, which [`decode`](Self::decode) is for.
    #[inline]
    pub(crate) fn decode_plain(bytes: &[u8], masked: bool) -> Option<(Kind, Option<MaskKey>, Range<usize>)> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let kind = match first {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return None,
        };
        if (second & 0x80 != 0) != masked {
            return None;
        }
        let (len, from) = match second & 0x7f {
            127 => return None,
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            short => (usize::from(short), 2),
        };
        if from == 4 && len < 126 {
            return None;
        }
        let (key, from) = match masked {
            true => (Some(*bytes.get(from..)?.first_chunk()?), from + 4),
            false => (None, from),
        };
        (from + len <= bytes.len()).then_some((kind, key, from..from + len))
    }

    /// Writes the header and returns its bytes.
    #[inline]
    pub fn encode<'o>(&self, out: &'o mut [u8; MAX_HEADER]) -> &'o [u8] {
        out[0] = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8;
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        // "the minimal number of bytes MUST be used to encode the length" (§5.2).
        let mut at = if self.len <= 125 {
            out[1] = mask_bit | self.len.to_be_bytes()[7];
            2
        } else if let Ok(len) = u16::try_from(self.len) {
            out[1] = mask_bit | 126;
            out[2..4].copy_from_slice(&len.to_be_bytes());
            4
        } else {
            out[1] = mask_bit | 127;
            out[2..10].copy_from_slice(&self.len.to_be_bytes());
            10
        };
        if let Some(key) = self.mask {
            out[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        &out[..at]
    }
}

/// The payload length that `short` announces and what follows it; `None` while bytes are missing.
#[inline]
fn decode_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    Ok(match short {
        126 => {
            let Some((len, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            let len = u64::from(u16::from_be_bytes(*len));
            if len < 126 {
                return Err(ProtocolError::NonMinimalLength(len));
            }
            Some((len, rest))
        }
        127 => {
            let Some((len, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            let len = u64::from_be_bytes(*len);
            // "the most significant bit MUST be 0" (§5.2): refused before the number is used for anything.
            if len >> 63 != 0 {
                return Err(ProtocolError::LengthOverflow);
            }
            if len <= u64::from(u16::MAX) {
                return Err(ProtocolError::NonMinimalLength(len));
            }
            Some((len, rest))
        }
        len => Some((u64::from(len), rest)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        FrameHeader::decode(bytes)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 6455 §5.7.
        let hello = FrameHeader { fin: true, rsv1: false, opcode: Opcode::Text, mask: None, len: 5 };
        assert_eq!(decode(b"\x81\x05Hello"), Ok(Some((hello, 2))));
        let masked = FrameHeader { mask: Some([0x37, 0xfa, 0x21, 0x3d]), ..hello };
        assert_eq!(decode(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), Ok(Some((masked, 6))));
        let first = FrameHeader { fin: false, len: 3, ..hello };
        assert_eq!(decode(b"\x01\x03Hel"), Ok(Some((first, 2))));
        let ping = FrameHeader { opcode: Opcode::Ping, ..hello };
        assert_eq!(decode(b"\x89\x05Hello"), Ok(Some((ping, 2))));
        let k256 = FrameHeader { opcode: Opcode::Binary, len: 256, ..hello };
        assert_eq!(decode(b"\x82\x7E\x01\x00"), Ok(Some((k256, 4))));
        let k64 = FrameHeader { len: 65536, ..k256 };
        assert_eq!(decode(b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00"), Ok(Some((k64, 10))));
    }

    #[test]
    fn a_broken_rule_is_told_by_the_byte_that_breaks_it() {
        assert_eq!(decode(b"\xa1"), Err(ProtocolError::ReservedBits));
        assert_eq!(decode(b"\x91"), Err(ProtocolError::ReservedBits));
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(decode(&[0x80 | opcode]), Err(ProtocolError::ReservedOpcode(opcode)));
        }
        assert_eq!(decode(b"\x09"), Err(ProtocolError::FragmentedControl));
        assert_eq!(decode(b"\xc9"), Err(ProtocolError::UnexpectedRsv1));
        assert_eq!(decode(b"\x88\x7e"), Err(ProtocolError::ControlTooLong));
        assert_eq!(decode(b"\x82\x7e\x00\x7d"), Err(ProtocolError::NonMinimalLength(125)));
        assert_eq!(decode(b"\x82\x7f\0\0\0\0\0\0\xff\xff"), Err(ProtocolError::NonMinimalLength(65535)));
        // CVE-2020-27813, CVE-2026-27889: a length that overflows a signed or a 32-bit number.
        assert_eq!(decode(b"\x82\x7f\x80\0\0\0\0\0\0\0"), Err(ProtocolError::LengthOverflow));
        assert_eq!(decode(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Err(ProtocolError::LengthOverflow));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            fin: bool,
            rsv1: bool,
            opcode in prop_oneof![Just(Opcode::Continuation), Just(Opcode::Text), Just(Opcode::Binary)],
            mask: Option<MaskKey>,
            len in prop_oneof![0u64..200, 65_000u64..66_000, 0u64..i64::MAX as u64],
        ) {
            let header = FrameHeader { fin, rsv1, opcode, mask, len };
            let mut out = [0; MAX_HEADER];
            let bytes = header.encode(&mut out);
            prop_assert_eq!(decode(bytes), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), Ok(None));
            }
        }

        #[test]
        fn the_short_way_says_what_the_long_way_says(
            first in prop_oneof![Just(0x81), Just(0x82), any::<u8>()],
            second in prop_oneof![Just(126), Just(254), any::<u8>()],
            rest in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..400),
            masked: bool,
        ) {
            let bytes = [&[first, second], &rest[..]].concat();
            let Ok(Some((header, len))) = decode(&bytes) else {
                prop_assert_eq!(FrameHeader::decode_plain(&bytes, masked), None);
                return Ok(());
            };
            let FrameHeader { fin, rsv1, opcode, mask, len: payload } = header;
            let kind = match opcode {
                Opcode::Text => Some(Kind::Text),
                Opcode::Binary => Some(Kind::Binary),
                _ => None,
            };
            let end = usize::try_from(payload).map_or(usize::MAX, |payload| len.saturating_add(payload));
            let plain = kind.filter(|_| fin && !rsv1 && mask.is_some() == masked && end <= bytes.len());
            prop_assert_eq!(FrameHeader::decode_plain(&bytes, masked), plain.map(|kind| (kind, mask, len..end)));
        }
    }
}
