//! The msgpack parser (`socket.io-msgpack-parser` 3): a packet is one binary message, a map of `type`, `data`, `nsp`
//! and `id`. Other keys are passed over, and keys may come in any order.

use std::ops::Range;

use bytes::Bytes;

use super::args::Args;
use super::encoding::Parser;
use super::error::{DecodeError, EncodeError};
use super::limits::Limits;
use super::name::Name;
use super::namespace::Namespace;
use super::packet::{AckId, Kind, Packet, Type, is_reserved};
use super::text::Head;
use super::unpack::{Cursor, Item};
use super::writer::{Open, Writer};

/// Appends a packet with data. On an error nothing is left behind.
pub(super) fn encode(
    out: &mut Vec<u8>,
    attachments: &mut Vec<Bytes>,
    head: &Head<'_>,
    data: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut writer = Writer::new(Parser::Msgpack, out, attachments);
    let written = write(&mut writer, head, |writer, open| {
        writer.key(open, "data")?;
        data(writer)
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends a packet without data.
pub(super) fn encode_empty(out: &mut Vec<u8>, head: &Head<'_>) {
    let written = write(&mut Writer::new(Parser::Msgpack, out, &mut Vec::new()), head, |_, _| Ok(()));
    debug_assert!(written.is_ok(), "only a namespace of 4 GiB cannot be written");
}

fn write(
    writer: &mut Writer<'_>,
    head: &Head<'_>,
    data: impl FnOnce(&mut Writer<'_>, &mut Open) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut open = writer.begin_object();
    writer.key(&mut open, "type")?;
    writer.unsigned(head.kind as u64)?;
    data(writer, &mut open)?;
    writer.key(&mut open, "nsp")?;
    writer.string(head.namespace.as_str())?;
    if let Some(id) = head.id {
        writer.key(&mut open, "id")?;
        writer.unsigned(id)?;
    }
    writer.end_object(&open)
}

/// Reads a packet.
pub(super) fn decode(message: &Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    if message.is_empty() {
        return Err(DecodeError::Empty);
    }
    if message.len() > limits.bytes {
        return Err(DecodeError::TooBig { limit: limits.bytes });
    }
    let envelope = Envelope::read(message, limits.max_depth())?;
    let kind = envelope.kind.ok_or(DecodeError::UnknownType)?;
    let namespace = envelope.namespace.ok_or(DecodeError::Namespace)?;
    let data = envelope.data.map(|range| message.slice(range));
    let id = envelope.id;
    let kind = match (kind, data) {
        (Type::Connect, None) => Kind::Connect(None),
        (Type::Connect, Some(data)) => match head(&data) {
            Some(Item::Map(_)) => Kind::Connect(Some(Args::msgpack(data, 1))),
            _ => return Err(DecodeError::ConnectData),
        },
        (Type::Disconnect, None) => Kind::Disconnect,
        (Type::Disconnect, Some(_)) => return Err(DecodeError::DisconnectData),
        (Type::ConnectError, Some(data)) => match head(&data) {
            Some(Item::Map(_) | Item::String(_)) => Kind::ConnectError(Args::msgpack(data, 1)),
            _ => return Err(DecodeError::ConnectErrorData),
        },
        (Type::ConnectError, None) => return Err(DecodeError::ConnectErrorData),
        (Type::Event, Some(data)) => event(&data, id)?,
        (Type::Event, None) => return Err(DecodeError::EventData),
        (Type::Ack, Some(data)) => {
            let mut cursor = Cursor::new(&data);
            let Some(Item::Array(len)) = cursor.item() else {
                return Err(DecodeError::AckData);
            };
            let id = id.ok_or(DecodeError::MissingAckId)?;
            Kind::Ack { args: Args::msgpack(data.slice(cursor.pos()..), len), id }
        }
        (Type::Ack, None) => return Err(DecodeError::AckData),
        // Binary data stands in its place here: there is nothing for the other two to say.
        (Type::BinaryEvent | Type::BinaryAck, _) => return Err(DecodeError::UnknownType),
    };
    Ok(Packet { namespace, kind })
}

fn head(data: &Bytes) -> Option<Item<'_>> {
    Cursor::new(data).item()
}

/// The same rules as for text; Node's msgpack parser asks for an array only.
fn event(data: &Bytes, id: Option<AckId>) -> Result<Kind, DecodeError> {
    let mut cursor = Cursor::new(data);
    let Some(Item::Array(len @ 1..)) = cursor.item() else {
        return Err(DecodeError::EventData);
    };
    let name: Name = match cursor.item() {
        Some(Item::String(name)) => std::str::from_utf8(name).map_err(|_| DecodeError::Utf8)?.into(),
        Some(Item::Unsigned(number)) => Name::integer(number),
        Some(Item::Signed(number)) => Name::integer(number),
        Some(Item::Float(number)) => Name::float(number),
        _ => return Err(DecodeError::EventName),
    };
    if is_reserved(&name) {
        return Err(DecodeError::ReservedEvent);
    }
    Ok(Kind::Event { name, args: Args::msgpack(data.slice(cursor.pos()..), len - 1), id })
}

/// What the map says; the last of equal keys counts, as in JavaScript.
#[derive(Default)]
struct Envelope {
    kind: Option<Type>,
    namespace: Option<Namespace>,
    id: Option<AckId>,
    /// Where the data stands, checked; nil and `undefined` are no data.
    data: Option<Range<usize>>,
}

impl Envelope {
    fn read(message: &[u8], max_depth: u8) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(message);
        let Some(Item::Map(len)) = cursor.item() else {
            return Err(cursor.wrong());
        };
        let mut envelope = Self::default();
        for _ in 0..len {
            match cursor.item() {
                Some(Item::String(key)) => envelope.member(key, &mut cursor, max_depth)?,
                _ => return Err(cursor.wrong()),
            }
        }
        // Bytes after the end would be lost on whoever sent them; notepack.io refuses them too.
        if cursor.pos() == message.len() { Ok(envelope) } else { Err(cursor.wrong()) }
    }

    fn member(&mut self, key: &[u8], cursor: &mut Cursor<'_>, max_depth: u8) -> Result<(), DecodeError> {
        let start = cursor.pos();
        let mut value = cursor.clone();
        // The envelope is no level of the data, so that the limit is the same with both parsers.
        cursor.check(0, max_depth)?;
        let value = value.item().ok_or_else(|| cursor.wrong())?;
        match key {
            b"type" => {
                let Item::Unsigned(digit) = value else { return Err(DecodeError::UnknownType) };
                self.kind = u8::try_from(digit).ok().and_then(Type::new);
            }
            b"nsp" => {
                let Item::String(name) = value else { return Err(DecodeError::Namespace) };
                let name = std::str::from_utf8(name).map_err(|_| DecodeError::Utf8)?;
                self.namespace = Some(Namespace::received(name).ok_or(DecodeError::Namespace)?);
            }
            b"id" => {
                self.id = match value {
                    Item::Unsigned(id) => Some(id),
                    nothing if nothing.is_nothing() => None,
                    _ => return Err(DecodeError::AckId),
                }
            }
            b"data" => self.data = (!value.is_nothing()).then(|| start..cursor.pos()),
            _ => {}
        }
        Ok(())
    }
}
