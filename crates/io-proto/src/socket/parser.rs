//! The two parsers behind one surface: packets to Engine.IO messages, and with a [`Decoder`] back.

use bytes::Bytes;

use super::args::{Args, Arguments};
use super::binary::Decoder;
use super::encoding::Parser;
use super::error::{DecodeError, EncodeError};
use super::frame::{Frame, Frames, Incoming};
use super::limits::Limits;
use super::msgpack;
use super::namespace::Namespace;
use super::packet::{AckId, Kind, Packet, Type, is_reserved};
use super::text::{self, Head};
use super::writer::Writer;

/// Which revision of the Socket.IO protocol the peer speaks. Only refusals differ in what they carry; that a server of
/// revision 4 connects `/` by itself and says nothing in CONNECT is up to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// Clients of Socket.IO 1 and 2 (`EIO=3`).
    V4,
    /// Clients of Socket.IO 3 and 4 (`EIO=4`).
    #[default]
    V5,
}

/// What an EVENT says besides its arguments.
#[derive(Debug, Clone, Copy)]
pub struct EventHead<'a> {
    /// Which namespace it speaks to.
    pub namespace: &'a Namespace,
    /// Its name; not a reserved one.
    pub name: &'a str,
    /// The name is written as a number, if it is the text of a finite one.
    pub is_number: bool,
    /// Set to ask for an ack.
    pub id: Option<AckId>,
    /// A last argument after the others: where a client is to resume from (connection state recovery).
    pub offset: Option<&'a str>,
}

impl<'a> EventHead<'a> {
    /// An event without ack and offset.
    #[must_use]
    pub fn new(namespace: &'a Namespace, name: &'a str) -> Self {
        Self { namespace, name, is_number: false, id: None, offset: None }
    }
}

fn write_name(writer: &mut Writer<'_>, head: &EventHead<'_>) -> Result<(), EncodeError> {
    if !head.is_number {
        return writer.string(head.name);
    }
    let (unsigned, signed, float) = (head.name.parse(), head.name.parse(), head.name.parse::<f64>());
    match (unsigned, signed, float) {
        (Ok(number), _, _) => writer.unsigned(number),
        (_, Ok(number), _) => writer.signed(number),
        (_, _, Ok(number)) if number.is_finite() => writer.float(number),
        _ => writer.string(head.name),
    }
}

impl Parser {
    /// Writes an EVENT.
    ///
    /// # Errors
    /// A reserved name, or arguments that cannot be written.
    pub fn event(self, head: &EventHead<'_>, args: &(impl Arguments + ?Sized)) -> Result<Frames, EncodeError> {
        let size = 32 + head.name.len() + args.size_hint();
        self.frames(size, |out, attachments| self.event_into(head, args, out, attachments))
    }

    /// Appends an EVENT to `out`: the text with the Engine.IO type in front, or the msgpack message. `attachments` must
    /// be empty, and gets the binary messages that are to follow.
    ///
    /// # Errors
    /// As [`event`](Self::event); `out` is then as it was.
    pub fn event_into(
        self,
        head: &EventHead<'_>,
        args: &(impl Arguments + ?Sized),
        out: &mut Vec<u8>,
        attachments: &mut Vec<Bytes>,
    ) -> Result<(), EncodeError> {
        if is_reserved(head.name) {
            return Err(EncodeError::ReservedEvent);
        }
        let line = Head { kind: Type::Event, namespace: head.namespace, id: head.id };
        self.packet_into(&line, out, attachments, |writer| {
            let mut open = writer.begin_array();
            writer.element(&mut open);
            write_name(writer, head)?;
            args.write(writer, &mut open)?;
            if let Some(offset) = head.offset {
                writer.element(&mut open);
                writer.string(offset)?;
            }
            writer.end_array(&open)
        })
    }

    /// Writes an ACK.
    ///
    /// # Errors
    /// Arguments that cannot be written.
    pub fn ack(
        self,
        namespace: &Namespace,
        id: AckId,
        args: &(impl Arguments + ?Sized),
    ) -> Result<Frames, EncodeError> {
        let size = 32 + args.size_hint();
        self.frames(size, |out, attachments| self.ack_into(namespace, id, args, out, attachments))
    }

    /// Appends an ACK, as [`event_into`](Self::event_into) appends an EVENT.
    ///
    /// # Errors
    /// As [`ack`](Self::ack); `out` is then as it was.
    pub fn ack_into(
        self,
        namespace: &Namespace,
        id: AckId,
        args: &(impl Arguments + ?Sized),
        out: &mut Vec<u8>,
        attachments: &mut Vec<Bytes>,
    ) -> Result<(), EncodeError> {
        let line = Head { kind: Type::Ack, namespace, id: Some(id) };
        self.packet_into(&line, out, attachments, |writer| {
            let mut open = writer.begin_array();
            args.write(writer, &mut open)?;
            writer.end_array(&open)
        })
    }

    /// Writes a CONNECT; `data` is one object, or `()` for none.
    ///
    /// # Errors
    /// Data that is anything else, or (default parser only) that holds binary data.
    pub fn connect(self, namespace: &Namespace, data: &(impl Arguments + ?Sized)) -> Result<Frames, EncodeError> {
        let data = Args::new(self, data)?;
        if data.len() > 1 || (data.len() == 1 && !data.is_object()) {
            return Err(EncodeError::Serialize("the data of a CONNECT is one object, or nothing".into()));
        }
        self.single(Type::Connect, namespace, &data)
    }

    /// Writes a DISCONNECT.
    #[must_use]
    pub fn disconnect(self, namespace: &Namespace) -> Frames {
        let line = Head { kind: Type::Disconnect, namespace, id: None };
        let mut out = Vec::with_capacity(32);
        Frames::one(match self {
            Self::Json => {
                text::write_head(&mut out, &line);
                Frame::Text(out.into())
            }
            Self::Msgpack => {
                msgpack::encode_empty(&mut out, &line);
                Frame::Binary(out.into())
            }
        })
    }

    /// Writes a `CONNECT_ERROR`: `{"message":…}`, and `"data"` if `data` is not `()`. Revision 4 calls it ERROR, and
    /// gets the data by itself, or else the message.
    ///
    /// # Errors
    /// Data that cannot be written, that is more than one value, or (default parser only) that holds binary data.
    pub fn connect_error(
        self,
        protocol: Protocol,
        namespace: &Namespace,
        message: &str,
        data: &(impl Arguments + ?Sized),
    ) -> Result<Frames, EncodeError> {
        let data = Args::new(self, data)?;
        if data.len() > 1 {
            return Err(EncodeError::Serialize("the data of a CONNECT_ERROR is one value, or nothing".into()));
        }
        no_binary(&data)?;
        let line = Head { kind: Type::ConnectError, namespace, id: None };
        self.frames(64, |out, attachments| {
            self.packet_into(&line, out, attachments, |writer| match protocol {
                Protocol::V4 if data.is_empty() => writer.string(message),
                Protocol::V4 => {
                    writer.raw(data.raw());
                    Ok(())
                }
                Protocol::V5 => {
                    let mut open = writer.begin_object();
                    writer.key(&mut open, "message")?;
                    writer.string(message)?;
                    if !data.is_empty() {
                        writer.key(&mut open, "data")?;
                        writer.raw(data.raw());
                    }
                    writer.end_object(&open)
                }
            })
        })
    }

    /// Writes any packet.
    ///
    /// # Errors
    /// As the methods for each kind.
    pub fn encode(self, packet: &Packet) -> Result<Frames, EncodeError> {
        let namespace = &packet.namespace;
        match &packet.kind {
            Kind::Connect(None) => self.connect(namespace, &()),
            Kind::Connect(Some(data)) => self.connect(namespace, data),
            Kind::Disconnect => Ok(self.disconnect(namespace)),
            Kind::Event { name, args, id } => {
                self.event(&EventHead { is_number: name.is_number(), id: *id, ..EventHead::new(namespace, name) }, args)
            }
            Kind::Ack { args, id } => self.ack(namespace, *id, args),
            Kind::ConnectError(data) => self.single(Type::ConnectError, namespace, &data.convert(self)?),
        }
    }

    /// Takes a message; gives a packet when one is whole. `decoder` belongs to one connection, and holds what waits for
    /// its attachments.
    ///
    /// # Errors
    /// The rule that the peer broke. Node closes the connection then; the decoder holds nothing any more.
    pub fn decode(
        self,
        decoder: &mut Decoder,
        limits: &Limits,
        message: Incoming<'_>,
    ) -> Result<Option<Packet>, DecodeError> {
        match (self, message) {
            (Self::Json, message) => decoder.accept(limits, message),
            (Self::Msgpack, Incoming::Binary(message)) => msgpack::decode(&message, limits).map(Some),
            (Self::Msgpack, _) => Err(DecodeError::UnexpectedText),
        }
    }

    /// A packet whose data is one value or none, in this encoding.
    fn single(self, kind: Type, namespace: &Namespace, data: &Args) -> Result<Frames, EncodeError> {
        no_binary(data)?;
        let line = Head { kind, namespace, id: None };
        self.frames(64, |out, attachments| {
            if data.is_empty() && self == Self::Msgpack {
                msgpack::encode_empty(out, &line);
                return Ok(());
            }
            self.packet_into(&line, out, attachments, |writer| {
                writer.raw(data.raw());
                Ok(())
            })
        })
    }

    fn packet_into(
        self,
        head: &Head<'_>,
        out: &mut Vec<u8>,
        attachments: &mut Vec<Bytes>,
        data: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => text::encode(out, attachments, head, data),
            Self::Msgpack => msgpack::encode(out, attachments, head, data),
        }
    }

    fn frames(
        self,
        size: usize,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
    ) -> Result<Frames, EncodeError> {
        let (mut out, mut attachments) = (Vec::with_capacity(size), Vec::new());
        write(&mut out, &mut attachments)?;
        let first = match self {
            Self::Json => Frame::Text(out.into()),
            Self::Msgpack => Frame::Binary(out.into()),
        };
        Ok(Frames { first, attachments })
    }
}

/// CONNECT and `CONNECT_ERROR` have no binary variant in text.
fn no_binary(data: &Args) -> Result<(), EncodeError> {
    if data.attachments().is_empty() {
        return Ok(());
    }
    Err(EncodeError::Serialize("only events and acks carry binary data".into()))
}
