//! Frames to messages, under limits: fragments, inflating, UTF-8. A message that lies whole in one read is handed out
//! where it lies; everything else is appended to one buffer that grows with the bytes that arrive, never by the length
//! that a header declares.

use std::time::Instant;

use bytes::BytesMut;

use crate::config::Config;
use crate::deflate::{InflateError, Inflater};
use crate::error::ProtocolError;
use crate::event::{Data, Event, Piece, Received};
use crate::frame::Opcode;
use crate::message::{Kind, Message, MessageRef};
use crate::reader::Chunk;
use crate::utf8::{Utf8Bytes, Utf8Stream};

#[derive(Debug, Default)]
pub(crate) struct Assembler {
    inflater: Option<Box<Inflater>>,
    /// Hand out pieces instead of whole messages.
    pieces: bool,
    open: Option<Box<Open>>,
}

/// The message that is being read.
#[derive(Debug)]
struct Open {
    kind: Kind,
    compressed: bool,
    started: Instant,
    fragments: u32,
    /// Bytes of the message so far, inflated; in pieces mode more than `buffer` holds.
    len: usize,
    /// Bytes of the message so far, as they came.
    wire_len: u64,
    utf8: Utf8Stream,
    buffer: BytesMut,
}

impl Assembler {
    /// `inflater`: permessage-deflate was negotiated.
    pub(crate) fn new(inflater: Option<Box<Inflater>>) -> Self {
        Self { inflater, pieces: false, open: None }
    }

    pub(crate) fn set_pieces(&mut self, pieces: bool) {
        self.pieces = pieces;
    }

    /// When the unfinished message began, if there is one.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.started)
    }

    /// Gives the unfinished message its whole time again.
    pub(crate) fn postpone(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            open.started = now;
        }
    }

    /// Bytes held for the unfinished message.
    pub(crate) fn buffered(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.buffer.capacity())
    }

    /// Forgets the unfinished message: the connection failed or closes.
    pub(crate) fn abandon(&mut self) {
        self.open = None;
    }

    /// Takes a chunk of a data frame.
    #[inline]
    pub(crate) fn accept<'b>(
        &mut self,
        chunk: Chunk<'b>,
        config: &Config,
        now: Instant,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if chunk.first {
            self.check_frame(&chunk, config)?;
            if chunk.opcode != Opcode::Continuation {
                let kind = kind_of(chunk.opcode, config)?;
                let whole = chunk.fin && chunk.last && !chunk.rsv1;
                if whole && !self.pieces {
                    return borrowed(kind, chunk.data).map(Some);
                }
                self.open = Some(Box::new(Open::new(kind, chunk.rsv1, now)));
            }
        }
        self.append(chunk, config)
    }

    /// The rules for the header of a data frame, before any of its payload is kept.
    fn check_frame(&mut self, chunk: &Chunk<'_>, config: &Config) -> Result<(), ProtocolError> {
        if chunk.frame_len > config.max_frame as u64 {
            return Err(ProtocolError::FrameTooBig { limit: config.max_frame });
        }
        let mut so_far = 0;
        match (&mut self.open, chunk.opcode) {
            (None, Opcode::Continuation) => return Err(ProtocolError::UnexpectedContinuation),
            (None, _) => {
                if chunk.rsv1 && self.inflater.is_none() {
                    return Err(ProtocolError::UnexpectedRsv1);
                }
            }
            (Some(open), Opcode::Continuation) => {
                // "an endpoint MUST NOT set the 'Per-Message Compressed' bit of ... non-first fragments" (RFC 7692 §6.1).
                if chunk.rsv1 {
                    return Err(ProtocolError::UnexpectedRsv1);
                }
                open.fragments += 1;
                if open.fragments > config.max_fragments {
                    return Err(ProtocolError::TooManyFragments { limit: config.max_fragments });
                }
                so_far = open.len;
            }
            // "The fragments of one message MUST NOT be interleaved between the fragments of another" (§5.4).
            (Some(_), _) => return Err(ProtocolError::ExpectedContinuation),
        }
        let compressed = chunk.rsv1 || self.open.as_ref().is_some_and(|open| open.compressed);
        if !compressed && chunk.frame_len > config.max_message.saturating_sub(so_far) as u64 {
            return Err(ProtocolError::MessageTooBig { limit: config.max_message });
        }
        Ok(())
    }

    fn append<'b>(&mut self, chunk: Chunk<'b>, config: &Config) -> Result<Option<Event<'b>>, ProtocolError> {
        let Chunk { fin, last, data, .. } = chunk;
        let ends = fin && last;
        // A chunk belongs to a message that `check_frame` let begin.
        let Some(open) = self.open.as_deref_mut() else { return Ok(None) };
        let data: &'b [u8] = if open.compressed {
            open.inflate(self.inflater.as_deref_mut(), data, ends, config.max_message)?;
            &[]
        } else {
            open.len += data.len();
            if open.kind == Kind::Text {
                open.utf8.push(data)?;
            }
            if !self.pieces {
                open.buffer.extend_from_slice(data);
            }
            data
        };
        if ends && open.kind == Kind::Text {
            open.utf8.finish()?;
        }
        let event = if self.pieces { open.piece(data, ends) } else { ends.then(|| open.message()) };
        if ends {
            self.open = None;
        }
        Ok(event)
    }
}

impl Open {
    fn new(kind: Kind, compressed: bool, started: Instant) -> Self {
        let (utf8, buffer) = (Utf8Stream::default(), BytesMut::new());
        Self { kind, compressed, started, fragments: 1, len: 0, wire_len: 0, utf8, buffer }
    }

    /// Inflates into `buffer`; the limit holds while inflating, not after.
    fn inflate(
        &mut self,
        inflater: Option<&mut Inflater>,
        data: &[u8],
        ends: bool,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        let inflater = inflater.ok_or(ProtocolError::UnexpectedRsv1)?;
        // DEFLATE can spend bytes on nothing: empty blocks without end would never reach the limit on what comes out.
        // No compressor makes a message an eighth longer.
        self.wire_len += data.len() as u64;
        if self.wire_len > limit.saturating_add(limit / 8).saturating_add(1024) as u64 {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        let before = self.buffer.len();
        let room = limit.saturating_sub(self.len);
        let mut result = inflater.push(data, &mut self.buffer, room);
        if ends && result.is_ok() {
            result = inflater.finish();
        }
        result.map_err(|error| match error {
            InflateError::Invalid => ProtocolError::InvalidDeflate,
            InflateError::TooBig => ProtocolError::MessageTooBig { limit },
        })?;
        self.len += self.buffer.len() - before;
        if self.kind == Kind::Text {
            self.utf8.push(&self.buffer[before..])?;
        }
        Ok(())
    }

    fn piece<'b>(&mut self, data: &'b [u8], last: bool) -> Option<Event<'b>> {
        let data = match self.buffer.is_empty() {
            true => Data::Borrowed(data),
            false => Data::Owned(self.buffer.split().freeze()),
        };
        (last || !data.is_empty()).then_some(Event::Piece(Piece { kind: self.kind, data, last }))
    }

    fn message<'b>(&mut self) -> Event<'b> {
        let bytes = self.buffer.split().freeze();
        Event::Message(Received::Owned(match self.kind {
            Kind::Text => Message::Text(Utf8Bytes::from_validated(bytes)),
            Kind::Binary => Message::Binary(bytes),
        }))
    }
}

fn kind_of(opcode: Opcode, config: &Config) -> Result<Kind, ProtocolError> {
    let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
    match (config.only, kind) {
        (Some(Kind::Binary), Kind::Text) => Err(ProtocolError::UnwantedText),
        (Some(Kind::Text), Kind::Binary) => Err(ProtocolError::UnwantedBinary),
        _ => Ok(kind),
    }
}

#[inline]
fn borrowed<'b>(kind: Kind, data: &'b [u8]) -> Result<Event<'b>, ProtocolError> {
    let message = match kind {
        Kind::Binary => MessageRef::Binary(data),
        Kind::Text => MessageRef::Text(simdutf8::basic::from_utf8(data).map_err(|_| ProtocolError::InvalidUtf8)?),
    };
    Ok(Event::Message(Received::Borrowed(message)))
}
