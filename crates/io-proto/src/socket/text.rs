//! The default parser: `<type>[<attachments>-][<namespace>,][<id>][JSON]` (Socket.IO protocol, "Packet encoding"),
//! behind the `4` of an Engine.IO message on the way out.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::args::Args;
use super::encoding::Parser;
use super::error::{DecodeError, EncodeError};
use super::json::{Elements, JsonReader, Scanner, check_placeholders};
use super::limits::Limits;
use super::name::Name;
use super::namespace::Namespace;
use super::packet::{AckId, Kind, Packet, Type, is_reserved};
use super::token::Token;
use super::writer::Writer;

/// What stands in front of the data.
pub(super) struct Head<'a> {
    pub(super) kind: Type,
    pub(super) namespace: &'a Namespace,
    pub(super) id: Option<AckId>,
}

/// Appends a packet, the Engine.IO type in front. An EVENT or ACK becomes its binary variant when its data has
/// attachments. On an error nothing is left behind.
pub(super) fn encode(
    out: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    head: &Head<'_>,
    data: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_head(out, head);
    let mut writer = Writer::new(Parser::Json, out, attachments);
    let written = data(&mut writer).and_then(|()| writer.finish());
    if written.is_err() {
        out.truncate(start);
        attachments.clear();
    } else if !attachments.is_empty() {
        // Their number is known only now; binary packets are few.
        out[start + 1] += Type::BinaryEvent as u8 - Type::Event as u8;
        out.splice(start + 2..start + 2, format!("{}-", attachments.len()).into_bytes());
    }
    written
}

pub(super) fn write_head(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend_from_slice(&[b'4', b'0' + head.kind as u8]);
    if !head.namespace.is_root() {
        out.extend_from_slice(head.namespace.as_str().as_bytes());
        out.push(b',');
    }
    if let Some(id) = head.id {
        write_decimal(out, id);
    }
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A packet's text, and whether its bytes may be kept.
pub(super) enum Source<'a> {
    Owned(Bytes),
    Borrowed(&'a [u8]),
}

impl Source<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Borrowed(bytes) => bytes,
        }
    }

    /// A part of it, to keep: a copy only if it must be.
    fn keep(self, range: Range<usize>) -> Bytes {
        match self {
            Self::Owned(mut bytes) => {
                bytes.truncate(range.end);
                bytes.advance(range.start.min(bytes.len()));
                bytes
            }
            Self::Borrowed(bytes) => Bytes::copy_from_slice(&bytes[range]),
        }
    }
}

/// Reads a packet (UTF-8, without the Engine.IO type), and how many attachments are to follow.
pub(super) fn decode(source: Source<'_>, limits: &Limits) -> Result<(Packet, usize), DecodeError> {
    let text = source.bytes();
    let mut cursor = Cursor { text, pos: 0 };
    let kind = cursor.kind()?;
    let attachments = if kind.is_binary() { cursor.attachments(limits.attachments)? } else { 0 };
    let namespace = cursor.namespace()?;
    let id = cursor.id()?;
    let mut scanner = Scanner::new(text, cursor.pos, limits.max_depth());
    let has_data = cursor.pos < text.len();
    let kind = match kind {
        Type::Connect if !has_data => Kind::Connect(None),
        Type::Connect => {
            let data = single(text, scanner, b"{", DecodeError::ConnectData)?;
            Kind::Connect(Some(Args::json(source.keep(data), Vec::new(), 1)))
        }
        // The decoder of Node refuses any data here.
        Type::Disconnect if has_data => return Err(DecodeError::DisconnectData),
        Type::Disconnect => Kind::Disconnect,
        Type::ConnectError => {
            let data = single(text, scanner, b"{\"", DecodeError::ConnectErrorData)?;
            Kind::ConnectError(Args::json(source.keep(data), Vec::new(), 1))
        }
        Type::Event | Type::BinaryEvent => {
            let elements = array(&mut scanner, DecodeError::EventData)?;
            let name = event_name(&text[elements.first.clone()])?;
            Kind::Event { name, args: rest(source, &elements, attachments)?, id }
        }
        Type::Ack | Type::BinaryAck => {
            let elements = array(&mut scanner, DecodeError::AckData)?;
            // Node lets it pass and then finds nobody who waits; no encoder writes it.
            let id = id.ok_or(DecodeError::MissingAckId)?;
            Kind::Ack { args: all(source, &elements, attachments)?, id }
        }
    };
    Ok((Packet { namespace, kind }, attachments))
}

/// Where the data stands that is one value, which begins with one of these.
fn single(
    text: &[u8],
    mut scanner: Scanner<'_>,
    begins: &[u8],
    wrong: DecodeError,
) -> Result<Range<usize>, DecodeError> {
    let value = scanner.value(0)?;
    scanner.end()?;
    if begins.contains(&text[value.start]) { Ok(value) } else { Err(wrong) }
}

fn array(scanner: &mut Scanner<'_>, wrong: DecodeError) -> Result<Elements, DecodeError> {
    if !scanner.take(b'[') {
        return Err(wrong);
    }
    let elements = scanner.elements()?;
    scanner.end()?;
    Ok(elements)
}

fn event_name(json: &[u8]) -> Result<Name, DecodeError> {
    if let [b'"', name @ .., b'"'] = json
        && !name.contains(&b'\\')
    {
        // What nearly every name is: a string without escapes.
        let name = std::str::from_utf8(name).map_err(|_| DecodeError::Utf8)?;
        return if is_reserved(name) { Err(DecodeError::ReservedEvent) } else { Ok(name.into()) };
    }
    let name: Name = match JsonReader::new(json, &[]).token() {
        _ if json.is_empty() => return Err(DecodeError::EventData),
        Token::String(name) => (&*name).into(),
        Token::Unsigned(number) => Name::integer(number),
        Token::Signed(number) => Name::integer(number),
        Token::Float(number) => Name::float(number),
        // CVE-2023-32695: an object's `toString` could be anything.
        _ => return Err(DecodeError::EventName),
    };
    if is_reserved(&name) { Err(DecodeError::ReservedEvent) } else { Ok(name) }
}

/// The elements after the first.
fn rest(source: Source<'_>, elements: &Elements, attachments: usize) -> Result<Args, DecodeError> {
    args(source, elements.rest.clone(), elements.len.saturating_sub(1), attachments)
}

fn all(source: Source<'_>, elements: &Elements, attachments: usize) -> Result<Args, DecodeError> {
    let end = elements.first.end.max(elements.rest.end);
    let range = if elements.len == 0 { end..end } else { elements.first.start..end };
    args(source, range, elements.len, attachments)
}

fn args(source: Source<'_>, range: Range<usize>, len: usize, attachments: usize) -> Result<Args, DecodeError> {
    if attachments > 0 {
        check_placeholders(&source.bytes()[range.clone()], attachments)?;
    }
    let elements = if len == 0 { Bytes::new() } else { source.keep(range) };
    // By what is announced only up to the usual limit: whoever raises that has nothing reserved for what may never
    // come.
    Ok(Args::json(elements, Vec::with_capacity(attachments.min(Limits::default().attachments)), len))
}

/// Reads what stands in front of the data.
struct Cursor<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn kind(&mut self) -> Result<Type, DecodeError> {
        let digit = self.text.first().ok_or(DecodeError::Empty)?;
        self.pos = 1;
        Type::new(digit.wrapping_sub(b'0')).ok_or(DecodeError::UnknownType)
    }

    fn digits(&mut self) -> &'a [u8] {
        let rest = &self.text[self.pos..];
        let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.pos += len;
        &rest[..len]
    }

    /// CVE-2026-33151: a number that nothing bounds lets a peer have anything buffered.
    fn attachments(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let digits = self.digits();
        if digits.is_empty() || self.text.get(self.pos) != Some(&b'-') {
            return Err(DecodeError::AttachmentCount);
        }
        self.pos += 1;
        match decimal(digits) {
            Some(0) => Err(DecodeError::AttachmentCount),
            Some(count) if count <= limit as u64 => Ok(usize::try_from(count).unwrap_or(limit)),
            _ => Err(DecodeError::TooManyAttachments { limit }),
        }
    }

    /// To the comma, or to the end if there is none.
    fn namespace(&mut self) -> Result<Namespace, DecodeError> {
        let rest = &self.text[self.pos..];
        if rest.first() != Some(&b'/') {
            return Ok(Namespace::ROOT);
        }
        let end = rest.iter().position(|byte| *byte == b',');
        self.pos = end.map_or(self.text.len(), |end| self.pos + end + 1);
        let name = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).map_err(|_| DecodeError::Utf8)?;
        Namespace::received(name).ok_or(DecodeError::Namespace)
    }

    fn id(&mut self) -> Result<Option<AckId>, DecodeError> {
        match self.digits() {
            [] => Ok(None),
            digits => decimal(digits).map(Some).ok_or(DecodeError::AckId),
        }
    }
}

/// `None` when it does not fit 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add((digit - b'0').into()))
}
