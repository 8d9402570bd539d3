//! Frames to messages, under limits: fragments, inflating, UTF-8. A message that lies whole in one read is handed out
//! where it lies; everything else is appended to one buffer that grows with the bytes that arrive, never by the length
//! that a header declares. The driver may read the bytes of a large message straight into that buffer.

use switchboard_budget::Exhausted;

use crate::buffer::{Buffer, Growth, LARGE};
use crate::clock::Span;
use crate::config::Config;
use crate::deflate::{InflateError, Inflater};
use crate::error::ProtocolError;
use crate::event::{Data, Event, Piece, Received};
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::mask::Unmasked;
use crate::message::{Kind, Message, MessageRef};
use crate::reader::{Chunk, Reader};
use crate::utf8::{self, Utf8Bytes, Utf8Stream};

/// A message is read into its buffer when it is at least so long.
const ROOM_FROM: usize = 32 << 10;
/// So much of a long message must have been read for there to be room for the rest.
pub(crate) const HEAD: usize = LARGE + MAX_HEADER;
/// … and only while at least so much of the frame is missing: less is cheaper to copy than to read by itself.
const ROOM_TO: usize = 4 << 10;
/// What was read into the room is worked on in blocks, so that a byte is in the processor's cache when it has been
/// unmasked and is validated.
const BLOCK: usize = 16 << 10;

/// Nothing but a pointer between two messages.
#[derive(Debug, Default)]
pub(crate) struct Assembler(Option<Box<Open>>);

/// What a message is read by.
pub(crate) struct Terms<'a> {
    pub(crate) config: &'a Config,
    /// When permessage-deflate was negotiated.
    pub(crate) inflater: Option<&'a mut Inflater>,
    /// A message that begins now is handed out in pieces.
    pub(crate) pieces: bool,
    pub(crate) now: Span,
}

/// The message that is being read.
#[derive(Debug)]
struct Open {
    compressed: bool,
    /// It is handed out in pieces.
    pieces: bool,
    started: Span,
    fragments: u32,
    /// Bytes of the message so far, as they came.
    wire_len: u64,
    meter: Meter,
    buffer: Buffer,
}

/// The rules for what a message consists of, inflated.
#[derive(Debug)]
struct Meter {
    kind: Kind,
    /// Bytes of the message so far; in pieces mode more than `buffer` holds.
    len: usize,
    utf8: Utf8Stream,
}

impl Assembler {
    /// No message is unfinished.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// When the unfinished message began, if there is one.
    pub(crate) fn started(&self) -> Option<Span> {
        self.0.as_ref().map(|open| open.started)
    }

    /// Gives the unfinished message its whole time again.
    pub(crate) fn postpone(&mut self, now: Span) {
        if let Some(open) = &mut self.0 {
            open.started = now;
        }
    }

    /// Bytes held for the unfinished message.
    pub(crate) fn buffered(&self) -> usize {
        self.0.as_ref().map_or(0, |open| open.buffer.capacity())
    }

    /// Forgets the unfinished message: the connection failed or closes.
    pub(crate) fn abandon(&mut self) {
        self.0 = None;
    }

    /// Takes a chunk of a data frame.
    #[inline]
    pub(crate) fn accept<'b>(
        &mut self,
        chunk: Chunk<'b>,
        terms: Terms<'_>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if let Some(header) = chunk.header {
            self.check_frame(&header, &terms)?;
            if header.opcode != Opcode::Continuation {
                let kind = kind_of(header.opcode, terms.config)?;
                if chunk.ends_message() && !header.rsv1 && !terms.pieces {
                    return borrowed(kind, chunk.data).map(Some);
                }
                self.0 = Some(Box::new(Open::new(kind, header.rsv1, &terms)));
            }
        }
        self.append(chunk, terms)
    }

    /// The open message lies in a buffer that is worth reading to.
    #[inline]
    pub(crate) fn is_reading_long(&self) -> bool {
        self.0.as_ref().is_some_and(|open| !open.compressed && !open.pieces && open.buffer.len() >= LARGE)
    }

    /// Where the next bytes of the open frame may be read to, if that is worth while: never further than the frame
    /// goes.
    pub(crate) fn room(&mut self, reader: &Reader, config: &Config) -> Option<&mut [u8]> {
        let frame = reader.frame().filter(|frame| !frame.opcode.is_control())?;
        let open = self.0.as_deref_mut().filter(|open| !open.compressed && !open.pieces)?;
        // A frame that is longer than the address space is refused by its header.
        let left = usize::try_from(frame.left).ok()?;
        if open.buffer.len() < LARGE || left < ROOM_TO || open.buffer.len().saturating_add(left) < ROOM_FROM {
            return None;
        }
        // Where there is none to be had, the next bytes are read elsewhere, and fail the connection.
        open.buffer.room(left, open.growth(left, config)).ok()
    }

    /// `count` bytes were read into the [room](Self::room).
    pub(crate) fn accept_in_room(
        &mut self,
        reader: &mut Reader,
        mut count: usize,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        while count > 0 {
            let Some(open) = self.0.as_deref_mut() else { break };
            let Some(chunk) = reader.resume(open.buffer.fill(count.min(BLOCK))) else { break };
            count -= chunk.data.as_bytes().len();
            let ends = chunk.ends_message();
            open.meter.count(chunk.data)?;
            if ends {
                return self.end(true, &[]);
            }
        }
        Ok(None)
    }

    /// The rules for the header of a data frame, before any of its payload is kept.
    fn check_frame(&mut self, header: &FrameHeader, terms: &Terms<'_>) -> Result<(), ProtocolError> {
        let config = terms.config;
        if header.len > config.max_frame as u64 {
            return Err(ProtocolError::FrameTooBig { limit: config.max_frame });
        }
        let mut so_far = 0;
        match (&mut self.0, header.opcode) {
            (None, Opcode::Continuation) => return Err(ProtocolError::UnexpectedContinuation),
            (None, _) => {
                if header.rsv1 && terms.inflater.is_none() {
                    return Err(ProtocolError::UnexpectedRsv1);
                }
            }
            (Some(open), Opcode::Continuation) => {
                // "an endpoint MUST NOT set the 'Per-Message Compressed' bit of ... non-first fragments" (RFC 7692
                // §6.1).
                if header.rsv1 {
                    return Err(ProtocolError::UnexpectedRsv1);
                }
                open.fragments += 1;
                if open.fragments > config.max_fragments {
                    return Err(ProtocolError::TooManyFragments { limit: config.max_fragments });
                }
                so_far = open.meter.len;
            }
            // "The fragments of one message MUST NOT be interleaved between the fragments of another" (§5.4).
            (Some(_), _) => return Err(ProtocolError::ExpectedContinuation),
        }
        let compressed = header.rsv1 || self.0.as_ref().is_some_and(|open| open.compressed);
        if !compressed && header.len > config.max_message.saturating_sub(so_far) as u64 {
            return Err(ProtocolError::MessageTooBig { limit: config.max_message });
        }
        Ok(())
    }

    fn append<'b>(&mut self, chunk: Chunk<'b>, terms: Terms<'_>) -> Result<Option<Event<'b>>, ProtocolError> {
        let ends = chunk.ends_message();
        let (left, data) = (chunk.left, chunk.data.as_bytes());
        // A chunk belongs to a message that `check_frame` let begin.
        let Some(open) = self.0.as_deref_mut() else { return Ok(None) };
        if open.compressed {
            open.inflate(data, ends, terms)?;
            return self.end(ends, &[]);
        }
        open.meter.count(chunk.data)?;
        if !open.pieces {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let growth = open.growth(data.len().saturating_add(left), terms.config);
            open.buffer.extend(data, growth).map_err(|Exhausted| ProtocolError::OutOfMemory)?;
        }
        self.end(ends, data)
    }

    /// What there is to tell after `data`, which belongs to the open message.
    fn end<'b>(&mut self, ends: bool, data: &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        let Some(open) = self.0.as_deref_mut() else { return Ok(None) };
        if ends {
            open.meter.finish()?;
        }
        let event = if open.pieces { open.piece(data, ends) } else { ends.then(|| open.message()) };
        if ends {
            self.0 = None;
        }
        Ok(event)
    }
}

impl Open {
    fn new(kind: Kind, compressed: bool, terms: &Terms<'_>) -> Self {
        let meter = Meter { kind, len: 0, utf8: Utf8Stream::default() };
        let buffer = Buffer::new(&terms.config.budget);
        Self { compressed, pieces: terms.pieces, started: terms.now, fragments: 1, wire_len: 0, meter, buffer }
    }

    /// How the buffer may grow when the frame brings at least `more` bytes.
    fn growth(&self, more: usize, config: &Config) -> Growth {
        let limit = config.max_message;
        Growth { announced: self.buffer.len().saturating_add(more).min(limit), limit }
    }

    /// Inflates into `buffer`; the limit holds while inflating, not after.
    fn inflate(&mut self, data: &[u8], ends: bool, terms: Terms<'_>) -> Result<(), ProtocolError> {
        let inflater = terms.inflater.ok_or(ProtocolError::UnexpectedRsv1)?;
        let limit = terms.config.max_message;
        // DEFLATE can spend bytes on nothing: empty blocks without end would never reach the limit on what comes out.
        // No compressor makes a message an eighth longer.
        self.wire_len += data.len() as u64;
        if self.wire_len > limit.saturating_add(limit / 8).saturating_add(1024) as u64 {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        let before = self.buffer.len();
        let room = limit.saturating_sub(self.meter.len);
        inflater.push_into(data, ends, &mut self.buffer, room).map_err(|error| match error {
            InflateError::Invalid => ProtocolError::InvalidDeflate,
            InflateError::TooBig => ProtocolError::MessageTooBig { limit },
            InflateError::OutOfMemory => ProtocolError::OutOfMemory,
        })?;
        self.meter.count_inflated(self.buffer.since(before))
    }

    fn piece<'b>(&mut self, data: &'b [u8], last: bool) -> Option<Event<'b>> {
        let data = match self.buffer.len() {
            0 => Data::Borrowed(data),
            _ => Data::Owned(self.buffer.split()),
        };
        (last || !data.is_empty()).then_some(Event::Piece(Piece { kind: self.meter.kind, data, last }))
    }

    fn message<'b>(&mut self) -> Event<'b> {
        let bytes = self.buffer.split();
        Event::Message(Received::Owned(match self.meter.kind {
            Kind::Text => Message::Text(Utf8Bytes::from_validated(bytes)),
            Kind::Binary => Message::Binary(bytes),
        }))
    }
}

impl Meter {
    /// `data` belongs to the message, as it came.
    fn count(&mut self, data: Unmasked<'_>) -> Result<(), ProtocolError> {
        self.len += data.as_bytes().len();
        match self.kind {
            Kind::Text => self.utf8.push_unmasked(data),
            Kind::Binary => Ok(()),
        }
    }

    /// `data` belongs to the message, inflated.
    fn count_inflated(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        self.len += data.len();
        match self.kind {
            Kind::Text => self.utf8.push(data),
            Kind::Binary => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), ProtocolError> {
        match self.kind {
            Kind::Text => self.utf8.finish(),
            Kind::Binary => Ok(()),
        }
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

/// A whole message where it lies.
#[inline]
pub(crate) fn borrowed<'b>(kind: Kind, payload: Unmasked<'b>) -> Result<Event<'b>, ProtocolError> {
    let message = match kind {
        Kind::Binary => MessageRef::Binary(payload.as_bytes()),
        Kind::Text => MessageRef::Text(utf8::text(payload)?),
    };
    Ok(Event::Message(Received::Borrowed(message)))
}
