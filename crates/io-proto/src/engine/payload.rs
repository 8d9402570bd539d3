//! Payloads: the packets of one polling request or response, and JSON-P's way to carry them in scripts and forms.
//! Reading is one pass whatever the packets look like (CVE-2020-36048 was a quadratic one).

use crate::engine::error::PacketError;
use crate::engine::packet::{Encoding, Packet, PacketType, Protocol};
use crate::engine::urlencoded;

/// What stands between two packets of v4.
const SEPARATOR: char = '\x1e';
/// v3, binary: the end of a packet's length.
const LENGTH_END: u8 = 0xff;
/// Digits of a length: more than the largest body has.
const MAX_DIGITS: usize = 10;

/// The body of a response to a poll, or of a client's POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `text/plain; charset=UTF-8`
    Text(String),
    /// v3 only: `application/octet-stream`
    Binary(Vec<u8>),
}

/// Writes packets as one payload. v4: text with a separator between packets; v3: each packet with its length before it,
/// in bytes instead of text if one of them is binary and the client takes bytes.
#[must_use]
pub fn encode<'a, I>(packets: I, encoding: Encoding) -> Payload
where
    I: IntoIterator<Item = &'a Packet<'a>, IntoIter: Clone>,
{
    let packets = packets.into_iter();
    match encoding {
        Encoding { protocol: Protocol::V4, .. } => Payload::Text(encode_v4(packets)),
        Encoding { b64: false, .. } if packets.clone().any(|packet| packet.as_binary().is_some()) => {
            Payload::Binary(encode_v3_binary(packets))
        }
        _ => Payload::Text(encode_v3(packets)),
    }
}

fn encode_v4<'a>(packets: impl Iterator<Item = &'a Packet<'a>>) -> String {
    let mut out = String::new();
    for (index, packet) in packets.enumerate() {
        if index > 0 {
            out.push(SEPARATOR);
        }
        packet.write_text(Protocol::V4, &mut out);
    }
    out
}

/// `<length>:<packet>`, the length in what JavaScript counts: UTF-16 units.
fn encode_v3<'a>(packets: impl Iterator<Item = &'a Packet<'a>>) -> String {
    let mut out = String::new();
    let mut text = String::new();
    for packet in packets {
        text.clear();
        packet.write_text(Protocol::V3, &mut text);
        out.push_str(&text.encode_utf16().count().to_string());
        out.push(':');
        out.push_str(&text);
    }
    // An old client takes an empty body for an error.
    if out.is_empty() { "0:".into() } else { out }
}

/// `0` for text or `1` for bytes, the length in bytes as one byte per decimal digit, 255, the packet.
fn encode_v3_binary<'a>(packets: impl Iterator<Item = &'a Packet<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for packet in packets {
        let (tag, kind, data) = match packet.as_binary() {
            Some(bytes) => (1, PacketType::Message as u8, bytes),
            None => (0, packet.packet_type().digit() as u8, packet.text_data().as_bytes()),
        };
        out.push(tag);
        out.extend((data.len() + 1).to_string().bytes().map(|digit| digit - b'0'));
        out.push(LENGTH_END);
        out.push(kind);
        out.extend_from_slice(data);
    }
    out
}

/// Reads a body of text; where it came as bytes that are no UTF-8, Node reads U+FFFD in their place. The packets come
/// in order; at the first bad one comes its error and then nothing more, so that what was good before it counts, as in
/// Node. A body is one packet at least: an empty one is an error.
///
/// The driver bounds the body ([`max_payload`](crate::engine::Config::max_payload)), and with it every packet: the most
/// memory that a packet takes beside the body is three quarters of its base64.
#[must_use]
pub fn decode(protocol: Protocol, body: &str) -> Packets<'_> {
    let rest = match protocol {
        Protocol::V4 => Rest::V4(body),
        Protocol::V3 if body.is_empty() => Rest::Bad(PacketError::Empty),
        Protocol::V3 => Rest::V3(body),
    };
    Packets { rest }
}

/// Reads a body of bytes (`application/octet-stream`), which only v3 has. Node answers 400 to a v4 client that sends
/// one and ends its session with a transport error: [`abort`](crate::engine::Session::abort).
#[must_use]
pub fn decode_binary_v3(body: &[u8]) -> Packets<'_> {
    let rest = if body.is_empty() { Rest::Bad(PacketError::Empty) } else { Rest::V3Binary(body) };
    Packets { rest }
}

/// The packets of a body; see [`decode`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: Rest<'a>,
}

#[derive(Debug, Clone)]
enum Rest<'a> {
    V4(&'a str),
    V3(&'a str),
    V3Binary(&'a [u8]),
    Bad(PacketError),
    Done,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = match std::mem::replace(&mut self.rest, Rest::Done) {
            Rest::V4(text) => self.next_v4(text),
            Rest::V3(text) => self.next_v3(text).transpose()?,
            Rest::V3Binary([]) | Rest::Done => return None,
            Rest::V3Binary(bytes) => self.next_v3_binary(bytes),
            Rest::Bad(error) => Err(error),
        };
        if packet.is_err() {
            self.rest = Rest::Done;
        }
        Some(packet)
    }
}

impl<'a> Packets<'a> {
    fn next_v4(&mut self, text: &'a str) -> Result<Packet<'a>, PacketError> {
        let packet = match text.split_once(SEPARATOR) {
            Some((packet, text)) => {
                self.rest = Rest::V4(text);
                packet
            }
            None => text,
        };
        Packet::from_text(Protocol::V4, packet)
    }

    fn next_v3(&mut self, mut text: &'a str) -> Result<Option<Packet<'a>>, PacketError> {
        while !text.is_empty() {
            let (length, after) = text.split_once(':').ok_or(PacketError::InvalidLength)?;
            let length = decimal(length.bytes().map(|byte| byte.wrapping_sub(b'0')))?;
            let end = utf16_end(after, length).ok_or(PacketError::InvalidLength)?;
            let (packet, after) = after.split_at(end);
            text = after;
            // As in Node, a packet of no characters is passed over.
            if !packet.is_empty() {
                self.rest = Rest::V3(text);
                return Packet::from_text(Protocol::V3, packet).map(Some);
            }
        }
        Ok(None)
    }

    fn next_v3_binary(&mut self, bytes: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let (&tag, after) = bytes.split_first().ok_or(PacketError::Empty)?;
        let digits = after.iter().take(MAX_DIGITS + 1).position(|&byte| byte == LENGTH_END);
        let (length, after) = after.split_at(digits.ok_or(PacketError::InvalidLength)?);
        let length = decimal(length.iter().copied())?;
        let (packet, rest) = after[1..].split_at_checked(length).ok_or(PacketError::InvalidLength)?;
        self.rest = Rest::V3Binary(rest);
        match tag {
            0 => {
                let text = std::str::from_utf8(packet).map_err(|_| PacketError::InvalidUtf8)?;
                Packet::from_text(Protocol::V3, text)
            }
            1 => Packet::from_binary(Protocol::V3, packet),
            other => Err(PacketError::UnknownType(other)),
        }
    }
}

/// A length from its digits, as numbers.
fn decimal(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, PacketError> {
    if digits.len() == 0 || digits.len() > MAX_DIGITS {
        return Err(PacketError::InvalidLength);
    }
    let number = digits.into_iter().try_fold(0, |number: usize, digit| {
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(usize::from(digit))
    });
    number.ok_or(PacketError::InvalidLength)
}

/// Where the first `units` UTF-16 units end. `None`: there are fewer, or the last is half a character.
fn utf16_end(text: &str, units: usize) -> Option<usize> {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// A payload as the script that a JSON-P client loads, for the callback `j`. Everything that could end the string, or
/// the line in a JavaScript before 2019 (U+2028, U+2029), is escaped.
#[must_use]
pub fn jsonp_script(j: u32, payload: &str) -> String {
    let literal = serde_json::Value::from(payload).to_string();
    let literal = literal.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("___eio[{j}]({literal});")
}

/// The payload in the form that a JSON-P client posts, to be read by [`decode`].
///
/// Forms change line ends, so that the client writes a line feed as `\n` (backslash, n) and what was `\n` before as
/// `\\n`; both are turned back here.
///
/// `None`: the form has not exactly one field `d`. Node takes such a form for one that says nothing.
#[must_use]
pub fn decode_jsonp_form(body: &str) -> Option<String> {
    let mut fields = urlencoded::fields(body).filter(|(name, _)| *name == "d");
    let (Some((_, value)), None) = (fields.next(), fields.next()) else { return None };
    let mut rest = &*value;
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (read, written) = if rest.starts_with(r"\\n") {
            (3, r"\n")
        } else if rest.starts_with(r"\n") {
            (2, "\n")
        } else {
            (1, r"\")
        };
        out.push_str(written);
        rest = &rest[read..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3: Encoding = Encoding { protocol: Protocol::V3, b64: false };
    const V3_B64: Encoding = Encoding { protocol: Protocol::V3, b64: true };

    fn read(packets: Packets<'_>) -> (Vec<Packet<'_>>, Option<PacketError>) {
        let mut good = Vec::new();
        for packet in packets {
            match packet {
                Ok(packet) => good.push(packet),
                Err(error) => return (good, Some(error)),
            }
        }
        (good, None)
    }

    #[test]
    fn v4_has_separators_and_base64() {
        let packets = [Packet::text("a€"), Packet::binary(&[1, 2, 3, 4]), Packet::Ping("".into())];
        let payload = encode(&packets, Encoding::V4);
        assert_eq!(payload, Payload::Text("4a€\x1ebAQIDBA==\x1e2".into()));
        assert_eq!(encode(&packets, Encoding { b64: true, ..Encoding::V4 }), payload, "polling has no bytes in v4");
        let Payload::Text(text) = payload else { unreachable!() };
        assert_eq!(read(decode(Protocol::V4, &text)), (packets.to_vec(), None));
    }

    #[test]
    fn v3_counts_in_utf16() {
        let packets = [Packet::text("€🦀"), Packet::Noop];
        let payload = encode(&packets, V3);
        assert_eq!(payload, Payload::Text("4:4€🦀1:6".into()));
        let Payload::Text(text) = payload else { unreachable!() };
        assert_eq!(read(decode(Protocol::V3, &text)), (packets.to_vec(), None));
        assert_eq!(encode(&[], V3), Payload::Text("0:".into()));
        assert_eq!(read(decode(Protocol::V3, "0:")), (vec![], None));
    }

    #[test]
    fn v3_has_bytes_or_base64() {
        let packets = [Packet::text("€"), Packet::binary(&[1, 2, 3, 4])];
        assert_eq!(encode(&packets, V3_B64), Payload::Text("2:4€10:b4AQIDBA==".into()));
        let payload = encode(&packets, V3);
        let Payload::Binary(bytes) = payload else { panic!("{payload:?}") };
        assert_eq!(bytes, [&[0, 4, 255][..], "4€".as_bytes(), &[1, 5, 255, 4, 1, 2, 3, 4]].concat());
        assert_eq!(read(decode_binary_v3(&bytes)), (packets.to_vec(), None));
        let text = "2:4€10:b4AQIDBA==";
        assert_eq!(read(decode(Protocol::V3, text)), (packets.to_vec(), None));
        let long = Packet::Message(crate::engine::Data::Binary(vec![7; 299].into()));
        let Payload::Binary(bytes) = encode([&long], V3) else { panic!("not binary") };
        assert_eq!(bytes[..6], [1, 3, 0, 0, 255, 4]);
    }

    #[test]
    fn what_is_good_before_the_bad_is_delivered() {
        let good = vec![Packet::text("a")];
        for (body, error) in [
            ("4a\x1ex\x1e4b", PacketError::UnknownType(b'x')),
            ("4a\x1e", PacketError::Empty),
            ("4a\x1e\x1e4b", PacketError::Empty),
            ("4a\x1e\u{fffd}", PacketError::UnknownType(0xef)),
        ] {
            assert_eq!(read(decode(Protocol::V4, body)), (good.clone(), Some(error)), "{body:?}");
        }
        assert_eq!(decode(Protocol::V4, "x\x1e4b").count(), 1, "nothing after an error");
        assert_eq!(read(decode(Protocol::V4, "")), (vec![], Some(PacketError::Empty)));
    }

    #[test]
    fn v3_lengths_must_be_true() {
        let good = vec![Packet::text("a")];
        for (body, error) in [
            ("2:4a3:4b", PacketError::InvalidLength),
            ("2:4a:4b", PacketError::InvalidLength),
            ("2:4a2", PacketError::InvalidLength),
            ("2:4a-1:4b", PacketError::InvalidLength),
            ("2:4a99999999999:4b", PacketError::InvalidLength),
            ("2:4a2:4🦀", PacketError::InvalidLength),
            ("2:4a1:x", PacketError::UnknownType(b'x')),
        ] {
            assert_eq!(read(decode(Protocol::V3, body)), (good.clone(), Some(error)), "{body:?}");
        }
        assert_eq!(read(decode(Protocol::V3, "")), (vec![], Some(PacketError::Empty)));
    }

    #[test]
    fn v3_binary_lengths_must_be_true() {
        let length = Some(PacketError::InvalidLength);
        for (body, error) in [
            (&[][..], Some(PacketError::Empty)),
            (&[0], length),
            (&[0, 1], length),
            (&[0, 255], length),
            (&[0, 1, 255], length),
            (&[0, 10, 255, 52], length),
            (&[1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 255, 4], length),
            (&[0, 0, 255], Some(PacketError::Empty)),
            (&[0, 1, 255, 255], Some(PacketError::InvalidUtf8)),
            (&[2, 1, 255, 4], Some(PacketError::UnknownType(2))),
        ] {
            assert_eq!(read(decode_binary_v3(body)), (vec![], error), "{body:?}");
        }
    }

    /// Attack: CVE-2020-36048, a body that took Node minutes. A quadratic reader would hang here.
    #[test]
    fn a_full_body_of_the_smallest_packets_is_read() {
        const COUNT: usize = 250_000;
        assert_eq!(decode(Protocol::V4, &"6\x1e".repeat(COUNT)[..2 * COUNT - 1]).flatten().count(), COUNT);
        assert_eq!(decode(Protocol::V3, &"1:6".repeat(COUNT)).flatten().count(), COUNT);
        assert_eq!(decode(Protocol::V3, &"0:".repeat(COUNT)).count(), 0);
        assert_eq!(decode_binary_v3(&[0, 1, 255, b'6'].repeat(COUNT)).flatten().count(), COUNT);
        assert_eq!(decode(Protocol::V3, &"1".repeat(COUNT)).count(), 1);
    }

    #[test]
    fn scripts_escape_what_ends_a_string_or_a_line() {
        let script = jsonp_script(7, "2:4\"\\\n\u{2028}\u{2029}</script>");
        assert_eq!(script, r#"___eio[7]("2:4\"\\\n\u2028\u2029</script>");"#);
    }

    #[test]
    fn forms_give_line_feeds_back() {
        // What the client makes of `4a<line feed>b` and of `4a\nb` with a backslash and an n.
        assert_eq!(decode_jsonp_form(r"d=4a%5Cnb").unwrap(), "4a\nb");
        assert_eq!(decode_jsonp_form(r"d=4a%5C%5Cnb").unwrap(), r"4a\nb");
        assert_eq!(decode_jsonp_form(r"d=4a%5C%5C%5Cnb%5C%5Cc%5C").unwrap(), r"4a\\nb\\c\");
        assert_eq!(decode_jsonp_form("d=6%3A4a+b%26c").unwrap(), "6:4a b&c");
        assert_eq!(decode_jsonp_form("d=4%ff").unwrap(), "4\u{fffd}");
        for form in ["", "e=1", "d=1&d=2"] {
            assert_eq!(decode_jsonp_form(form), None);
        }
    }
}
