//! The connection: one machine for either role and any driver. See [`Connection`] for its contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::assembler::{self, Assembler, Terms};
use crate::clock::{self, Span};
use crate::close::{CloseCode, CloseFrame};
use crate::closing::{Cause, Closing, Disconnect, Ended, ReadyState};
use crate::compression::Compression;
use crate::config::Config;
use crate::control::Control;
use crate::deflate::DeflateParams;
use crate::error::{ProtocolError, SendError, Timeout};
use crate::event::Event;
use crate::frame::{MAX_CONTROL, Opcode};
use crate::heartbeat::Heartbeat;
use crate::input::Input;
use crate::mask::{self, MaskSource};
use crate::message::{Kind, Message, MessageRef};
use crate::output::Output;
use crate::prepared::Prepared;
use crate::reader::{Chunk, Masking, Reader};
use crate::role::Role;
use crate::writer::{self, Means, SendOptions, Writer};

/// An open WebSocket connection, after the opening handshake, without a transport.
///
/// A driver owes it four things, in any order and as often as it likes:
/// * **bytes in**: [`receive`](Self::receive) until it returns `None`, then drop the buffer; [`receive_eof`](Self::receive_eof)
///   at the end of the stream;
/// * **bytes out**: after anything else, [`poll_transmit`](Self::poll_transmit), then write the output and report how far
///   that got with [`wrote`](Self::wrote). While the transport takes nothing, `poll_transmit` should not be called:
///   what it would send is merged meanwhile (only the newest ping is answered);
/// * **time**: [`handle_timeout`](Self::handle_timeout) at the instant that [`poll_timeout`](Self::poll_timeout) names. It
///   may change after every call;
/// * **the end**: [`disconnect`](Self::disconnect) says what to do with the transport.
///
/// Commands (`send`, `ping`, `close` …) append finished frames to the output that they are given, in call order. No
/// method blocks, reads a clock or fails for want of room.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    /// Where masking keys come from: a client's, who masks what it sends. A server has none.
    masks: Option<MaskSource>,
    /// When permessage-deflate was negotiated.
    compression: Option<Box<Compression>>,
    reader: Reader,
    assembler: Assembler,
    /// Messages are handed out in pieces, from the next one on.
    pieces: bool,
    writer: Writer,
    closing: Closing,
    heartbeat: Heartbeat,
    control: Control,
    /// Since when bytes wait and none of them moved.
    stalled: Option<Span>,
    /// When a message last went either way. Kept only where there is an `idle_timeout`.
    active: Span,
}

impl Connection {
    /// When so much of a long message has come, there is [room](Self::room) for the rest of it: 16 KiB and a header.
    pub const LONG_HEAD: usize = assembler::HEAD;

    /// A server's end. `deflate`: what the handshake agreed on.
    #[must_use]
    pub fn server(config: Arc<Config>, deflate: Option<DeflateParams>, now: Instant) -> Self {
        Self::new(None, config, deflate, now)
    }

    /// A client's end, with masking keys from the system's secure random numbers.
    #[must_use]
    pub fn client(config: Arc<Config>, deflate: Option<DeflateParams>, now: Instant) -> Self {
        Self::client_with_masks(config, deflate, now, mask::random_key)
    }

    /// A client's end with masking keys from elsewhere: for tests that compare bytes. Predictable keys let a page that
    /// controls the messages control the bytes on the wire, and so poison caches on the way (RFC 6455 §10.3).
    #[must_use]
    pub fn client_with_masks(
        config: Arc<Config>,
        deflate: Option<DeflateParams>,
        now: Instant,
        masks: MaskSource,
    ) -> Self {
        Self::new(Some(masks), config, deflate, now)
    }

    fn new(masks: Option<MaskSource>, config: Arc<Config>, deflate: Option<DeflateParams>, now: Instant) -> Self {
        let compression = deflate.map(|params| {
            let settings = config.deflate.clone().unwrap_or_default();
            Box::new(Compression::new(params, &settings, masks.is_none(), &config.budget))
        });
        Self {
            masks,
            compression,
            reader: Reader::new(),
            assembler: Assembler::default(),
            pieces: false,
            writer: Writer::default(),
            closing: Closing::default(),
            heartbeat: Heartbeat::new(config.ping_interval, clock::read(now)),
            control: Control::default(),
            stalled: None,
            active: clock::read(now),
            config,
        }
    }

    // What came in.

    /// Consumes input up to the next event. `None`: the input is used up. After the peer's Close frame, or a rule that
    /// it broke, all further input is dropped unread ("any further data ... MUST be discarded", §5.5.1 and §7.1.7).
    ///
    /// Nothing is lost when the caller stops between two events: the rest stays in `input`.
    #[inline]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Option<Event<'b>> {
        self.heartbeat.heard();
        match self.plain_message(input, now) {
            Some(Ok(event)) => Some(event),
            Some(Err(error)) => Some(self.fail_protocol(error, now)),
            None if input.is_empty() => None,
            None => self.receive_any(input, now),
        }
    }

    /// Where the driver may read the next bytes to, in place of its own buffer: `Some` while a long message arrives, of
    /// which enough is there already. What is read there is told by [`receive_in_room`](Self::receive_in_room) and not
    /// copied again. The room ends with the frame at the latest. To ignore it is fine: [`receive`](Self::receive) takes
    /// all bytes at all times.
    ///
    /// The buffer grows with what has arrived and never by the length that a header declares, unless one of that size
    /// lies unused in the thread's pool (8 MiB at most), where it goes back to when the message is dropped. The room
    /// may hold bytes of earlier messages.
    #[inline]
    pub fn room(&mut self) -> Option<&mut [u8]> {
        if self.assembler.is_idle() || !self.closing.is_listening() {
            return None;
        }
        self.assembler.room(&self.reader, &self.config)
    }

    /// A message is arriving that is long enough to be read to its [room](Self::room). After such a one the next may be
    /// as long: a driver that reads [`LONG_HEAD`](Self::LONG_HEAD) bytes of it first can read all others to where they
    /// stay.
    #[must_use]
    #[inline]
    pub fn is_reading_long(&self) -> bool {
        self.assembler.is_reading_long()
    }

    /// The first `count` bytes of the [room](Self::room) were just read. What they bring about is what
    /// [`receive`](Self::receive) would tell of them; there is no second event.
    ///
    /// # Panics
    /// When there was less room.
    pub fn receive_in_room(&mut self, count: usize, now: Instant) -> Option<Event<'static>> {
        self.heartbeat.heard();
        match self.assembler.accept_in_room(&mut self.reader, count) {
            Ok(event) => {
                if event.is_some() {
                    self.acted(now);
                }
                event
            }
            Err(error) => Some(self.fail_protocol(error, now)),
        }
    }

    /// The transport's end of stream, or an error that ended it. Without a Close frame from the peer, the connection
    /// ended abnormally (1006).
    pub fn receive_eof(&mut self) {
        self.closing.receive_eof();
        self.assembler.abandon();
    }

    /// From now on hand out messages in pieces as they arrive ([`Event::Piece`]), or whole again. Takes effect with the
    /// next message that begins; all limits go on counting whole messages.
    pub fn set_pieces(&mut self, pieces: bool) {
        self.pieces = pieces;
    }

    // What goes out.

    /// Appends a message; its payload is copied.
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close, [`SendError::MessageOpen`] inside a message sent in pieces. Nothing was sent.
    #[inline]
    pub fn send<'m>(
        &mut self,
        message: impl Into<MessageRef<'m>>,
        options: SendOptions,
        now: Instant,
        out: &mut Output,
    ) -> Result<(), SendError> {
        self.check_open(now)?;
        let (writer, means) = self.writer();
        writer.message(means, message.into(), options.compress, out)
    }

    /// Appends a message whose payload, when long and sent as it is by a server, is shared and not copied.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_shared(
        &mut self,
        message: &Message,
        options: SendOptions,
        now: Instant,
        out: &mut Output,
    ) -> Result<(), SendError> {
        self.check_open(now)?;
        let (writer, means) = self.writer();
        writer.shared(means, message, options.compress, out)
    }

    /// Appends a message that was encoded before: compressed as the connection wants it, else plain.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared, now: Instant, out: &mut Output) -> Result<(), SendError> {
        self.send_prepared_with(prepared, SendOptions::default(), now, out)
    }

    /// [`send_prepared`](Self::send_prepared) with options of the message's own.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared_with(
        &mut self,
        prepared: &Prepared,
        options: SendOptions,
        now: Instant,
        out: &mut Output,
    ) -> Result<(), SendError> {
        self.check_open(now)?;
        let (writer, means) = self.writer();
        writer.prepared(means, prepared, options.compress, out)
    }

    /// Appends a piece of a message. The first piece begins it, `last` ends it; in between no other message can be
    /// sent, only control frames. The pieces of a text message must be UTF-8 in all: cut them where you like.
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close, [`SendError::MessageOpen`] when a message of the other kind is open.
    pub fn send_piece(
        &mut self,
        kind: Kind,
        data: &[u8],
        last: bool,
        options: SendOptions,
        now: Instant,
        out: &mut Output,
    ) -> Result<(), SendError> {
        self.check_open(now)?;
        let (writer, means) = self.writer();
        writer.piece(means, kind, data, last, options.compress, out)
    }

    /// Appends a ping and returns its number: the pong that answers it carries the number in eight bytes, big-endian,
    /// and comes with its round trip unless a newer ping was made meanwhile.
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close.
    pub fn ping(&mut self, now: Instant, out: &mut Output) -> Result<u64, SendError> {
        self.check_sendable()?;
        let number = self.heartbeat.next(clock::read(now));
        writer::control(self.masks, Opcode::Ping, &number.to_be_bytes(), out);
        Ok(number)
    }

    /// Appends a ping with a payload of the caller's.
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close, [`SendError::ControlTooLong`] above 125 bytes.
    pub fn ping_with(&mut self, payload: &[u8], out: &mut Output) -> Result<(), SendError> {
        self.unasked(Opcode::Ping, payload, out)
    }

    /// Appends a pong that answers no ping: a one-way heartbeat (§5.5.3).
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close, [`SendError::ControlTooLong`] above 125 bytes.
    pub fn pong_with(&mut self, payload: &[u8], out: &mut Output) -> Result<(), SendError> {
        self.unasked(Opcode::Pong, payload, out)
    }

    /// Begins the closing handshake; the frame leaves with the next [`poll_transmit`](Self::poll_transmit). A reason
    /// longer than 123 bytes is cut. [`CloseCode::NO_STATUS`] sends a frame without a code. To close twice changes
    /// nothing.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        let frame = CloseFrame::new(code, reason)?;
        self.closing.begin(frame, Cause::Local, self.close_by(now));
        Ok(())
    }

    /// Appends what the machine itself has to say: a pong, a ping that fell due, a Close frame or the answer to one.
    /// Call it when the transport has room.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Output) {
        if self.control.owes_pong() || self.heartbeat.is_pending() || !self.closing.is_open() {
            self.speak(now, out);
        }
    }

    /// Gives the connection up without a Close frame: for peers that are not worth one. The transport is to be dropped.
    pub fn terminate(&mut self) {
        self.closing.abort(Cause::Local);
        self.assembler.abandon();
    }

    /// The transport took `count` bytes and `left` bytes of output still wait for it: how the write timeout is
    /// measured.
    #[inline]
    pub fn wrote(&mut self, count: usize, left: usize, now: Instant) {
        if let Some(compression) = &mut self.compression {
            // Whatever was compressed has left by here.
            compression.count();
        }
        if left == 0 {
            self.stalled = None;
            self.heartbeat.sent(|| clock::read(now));
        } else if count > 0 || self.stalled.is_none() {
            self.stalled = Some(clock::read(now));
        }
    }

    // Memory.

    /// Fails the connection because the endpoint is short of memory, with 1013: what was held of a message is given
    /// back at once. Returns what the peer is told.
    pub fn fail_for_memory(&mut self, now: Instant) -> ProtocolError {
        let error = ProtocolError::OutOfMemory;
        self.fail(CloseCode(error.close_code()), &error.to_string(), Cause::Protocol(error), now);
        error
    }

    /// Gives back the memory that only makes the next compressed message faster: for connections that are quiet, to be
    /// called after some time without messages. Of a context that is taken over the last bytes stay, at most a window
    /// in each direction, from which the next message in that direction makes the rest again: some µs for one that
    /// comes, up to about 50 µs for one that is sent. Does nothing without context takeover, and nothing for a message
    /// in hand.
    pub fn rest(&mut self) {
        if let Some(compression) = &mut self.compression {
            compression.rest();
        }
    }

    /// Bytes of memory that permessage-deflate holds for this connection now.
    #[must_use]
    pub fn deflate_memory(&self) -> usize {
        self.compression.as_ref().map_or(0, |compression| compression.memory())
    }

    // Time.

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let config = &self.config;
        let write = after(self.stalled, config.write_timeout);
        let deadline = if self.closing.is_open() {
            let message = after(self.assembler.started(), config.message_timeout);
            let idle = after(Some(self.active), config.idle_timeout);
            let heartbeat = self.heartbeat.deadline(config.pong_timeout);
            [write, message, idle, heartbeat].into_iter().flatten().min()
        } else {
            [self.closing.deadline(), write].into_iter().flatten().min()
        };
        clock::instant(deadline?)
    }

    /// Nothing is under way: no message half read or half written, no ping unanswered, no closing handshake. What
    /// [`poll_timeout`](Self::poll_timeout) said last still holds then, or says too early: a driver whose timer is set
    /// need not ask again.
    #[must_use]
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.stalled.is_none() && self.assembler.is_idle() && self.closing.is_open() && !self.heartbeat.awaits_answer()
    }

    /// The driver does not read now, of its own will: what the peer may have sent meanwhile cannot be told from
    /// silence, and its time to show life, or to finish a message, begins anew. To be called before
    /// [`handle_timeout`](Self::handle_timeout).
    pub fn not_reading(&mut self, now: Instant) {
        self.heartbeat.heard();
        self.assembler.postpone(clock::read(now));
    }

    /// Acts on the deadlines that have passed. Returns the one that ends the connection, if one does; the cause stands
    /// in [`ended`](Self::ended). To call it early, or often, does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        let config = Arc::clone(&self.config);
        let at = clock::read(now);
        let passed = |deadline: Option<Span>| deadline.is_some_and(|deadline| at >= deadline);
        if passed(after(self.stalled, config.write_timeout)) {
            self.closing.abort(Cause::Timeout(Timeout::Write));
            return Some(Timeout::Write);
        }
        if !self.closing.is_open() {
            if !passed(self.closing.deadline()) {
                return None;
            }
            return self.closing.give_up().then_some(Timeout::Close);
        }
        let timeout = if passed(after(self.assembler.started(), config.message_timeout)) {
            Timeout::Message
        } else if passed(after(Some(self.active), config.idle_timeout)) {
            Timeout::Idle
        } else if !self.heartbeat.handle_timeout(config.ping_interval, config.pong_timeout, at) {
            Timeout::Pong
        } else {
            return None;
        };
        // An idle peer has done no wrong and gets its closing handshake; the others have broken our policy.
        let code = if timeout == Timeout::Idle { CloseCode::GOING_AWAY } else { CloseCode::POLICY };
        self.fail(code, &timeout.to_string(), Cause::Timeout(timeout), now);
        Some(timeout)
    }

    // How it stands.

    /// What to do with the transport.
    #[must_use]
    pub fn disconnect(&self) -> Disconnect {
        self.closing.disconnect(self.masks.is_none())
    }

    /// The state in the words of the WebSocket API.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        match self.disconnect() {
            Disconnect::No if self.closing.is_open() => ReadyState::Open,
            Disconnect::No => ReadyState::Closing,
            _ => ReadyState::Closed,
        }
    }

    /// How the connection ended, or is ending: `None` while it is open.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.closing.ended()
    }

    /// Whether a message sent in pieces is unfinished: until it is, no other can be sent.
    #[must_use]
    pub fn is_message_open(&self) -> bool {
        self.writer.is_open()
    }

    /// Whether a message may still be sent. After the peer's Close frame, and after a rule that it broke, that is so
    /// until our Close frame leaves: what the peer said before may still be answered.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.closing.may_send()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.masks.is_none() { Role::Server } else { Role::Client }
    }

    /// What the handshake agreed on for permessage-deflate.
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.compression.as_ref().map(|compression| &compression.params)
    }

    /// The last round trip that a ping of ours measured.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.heartbeat.latency()
    }

    /// Bytes of memory held for the message that is being put together.
    #[must_use]
    pub fn buffered_input(&self) -> usize {
        self.assembler.buffered()
    }

    // Below: how it is done.

    /// The short way of what is by far the most common: a message of one uncompressed frame that lies in the input as a
    /// whole. `None`: nothing was consumed, and [`receive_any`](Self::receive_any) finds what it is.
    #[inline]
    fn plain_message<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Option<Result<Event<'b>, ProtocolError>> {
        let config = &*self.config;
        if !self.closing.is_open() || !self.assembler.is_idle() || self.pieces || config.only.is_some() {
            return None;
        }
        let limit = config.max_frame.min(config.max_message);
        let (kind, payload) = self.reader.plain(input, self.masks.is_none(), limit)?;
        self.acted(now);
        Some(assembler::borrowed(kind, payload))
    }

    fn receive_any<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Option<Event<'b>> {
        loop {
            if !self.closing.is_listening() {
                input.take(usize::MAX);
                return None;
            }
            let event = match self.reader.next(input, self.masking()) {
                Ok(None) => return None,
                Ok(Some(chunk)) if chunk.opcode.is_control() => self.control_chunk(chunk, now),
                Ok(Some(chunk)) => self.data_chunk(chunk, now),
                Err(error) => Err(error),
            };
            match event {
                Ok(None) => {}
                Ok(event) => return event,
                Err(error) => return Some(self.fail_protocol(error, now)),
            }
        }
    }

    #[inline]
    fn data_chunk<'b>(&mut self, chunk: Chunk<'b>, now: Instant) -> Result<Option<Event<'b>>, ProtocolError> {
        let terms = Terms {
            config: &self.config,
            inflater: self.compression.as_deref_mut().map(|compression| &mut compression.inflater),
            pieces: self.pieces,
            now: clock::read(now),
        };
        let event = self.assembler.accept(chunk, terms);
        if let Some(compression) = &mut self.compression {
            compression.count();
        }
        let event = event?;
        if event.is_some() {
            self.acted(now);
        }
        Ok(event)
    }

    /// Which frames the peer may send.
    #[inline]
    fn masking(&self) -> Masking {
        match self.masks {
            Some(_) => Masking::Forbidden,
            None if self.config.accept_unmasked => Masking::Optional,
            None => Masking::Required,
        }
    }

    #[inline]
    fn writer(&mut self) -> (&mut Writer, Means<'_>) {
        (&mut self.writer, Means { masks: self.masks, compression: self.compression.as_deref_mut() })
    }

    /// A message went.
    #[inline]
    fn acted(&mut self, now: Instant) {
        if self.config.idle_timeout.is_some() {
            self.active = clock::read(now);
        }
    }

    fn close_by(&self, now: Instant) -> Option<Span> {
        clock::read(now).checked_add(self.config.close_timeout)
    }

    fn speak(&mut self, now: Instant, out: &mut Output) {
        if self.closing.is_sent() {
            return;
        }
        if let Some(payload) = self.control.take_pong() {
            writer::control(self.masks, Opcode::Pong, payload.as_bytes(), out);
        }
        if let Some(payload) = self.heartbeat.take_pending(|| clock::read(now)) {
            writer::control(self.masks, Opcode::Ping, &payload, out);
        }
        if let Some(frame) = self.closing.take_due() {
            let mut body = Vec::with_capacity(MAX_CONTROL);
            frame.write(&mut body);
            writer::control(self.masks, Opcode::Close, &body, out);
        }
    }

    fn control_chunk<'b>(&mut self, chunk: Chunk<'b>, now: Instant) -> Result<Option<Event<'b>>, ProtocolError> {
        let Chunk { opcode, header, left, data, .. } = chunk;
        let data = data.as_bytes();
        if header.is_some() && left == 0 {
            return self.control_frame(opcode, data, now).map(Some);
        }
        if left > 0 {
            self.control.keep(data);
            return Ok(None);
        }
        let payload = self.control.complete(data);
        self.control_frame(opcode, payload.as_bytes(), now).map(Some)
    }

    fn control_frame(&mut self, opcode: Opcode, payload: &[u8], now: Instant) -> Result<Event<'static>, ProtocolError> {
        Ok(match opcode {
            Opcode::Close => {
                let frame = CloseFrame::parse(payload)?;
                self.closing.receive(frame.clone(), self.close_by(now));
                self.assembler.abandon();
                Event::Close(frame)
            }
            Opcode::Ping => {
                self.control.owe_pong(payload);
                Event::Ping(Bytes::copy_from_slice(payload))
            }
            // Pong: a data opcode does not get here.
            _ => Event::Pong {
                payload: Bytes::copy_from_slice(payload),
                rtt: self.heartbeat.pong(payload, clock::read(now)),
            },
        })
    }

    fn fail_protocol<'b>(&mut self, error: ProtocolError, now: Instant) -> Event<'b> {
        self.fail(CloseCode(error.close_code()), &error.to_string(), Cause::Protocol(error), now);
        Event::Failed(error)
    }

    /// "_Fail the WebSocket Connection_" (§7.1.7): say why, then end it.
    fn fail(&mut self, code: CloseCode, reason: &str, cause: Cause, now: Instant) {
        self.assembler.abandon();
        self.control.abandon_cut();
        // That memory is short is no fault of the peer's, who could not know.
        let is_short = matches!(cause, Cause::Protocol(ProtocolError::OutOfMemory));
        let reason = if self.config.explain || is_short { reason } else { "" };
        if let Some(compression) = self.compression.as_mut().filter(|_| cause.is_failure()) {
            // Nothing more is heard.
            compression.hang_up();
        }
        let frame = CloseFrame::new(code, reason).expect("the codes of failures are sendable");
        self.closing.begin(frame, cause, self.close_by(now));
    }

    #[inline]
    fn check_open(&mut self, now: Instant) -> Result<(), SendError> {
        self.check_sendable()?;
        self.acted(now);
        Ok(())
    }

    #[inline]
    fn check_sendable(&self) -> Result<(), SendError> {
        // "The application MUST NOT send any more data frames after sending a Close frame" (§5.5.1).
        if self.closing.may_send() { Ok(()) } else { Err(SendError::Closed) }
    }

    fn unasked(&mut self, opcode: Opcode, payload: &[u8], out: &mut Output) -> Result<(), SendError> {
        self.check_sendable()?;
        if payload.len() > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        writer::control(self.masks, opcode, payload, out);
        Ok(())
    }
}

fn after(since: Option<Span>, timeout: Option<Duration>) -> Option<Span> {
    since?.checked_add(timeout?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server holds one of these for each of its connections, and most of them do nothing at a time: with the
    /// driver's and the handler's share they are to cost 300 bytes. What only some connections need, or for a while, is
    /// boxed.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 128, "{} bytes", size_of::<Connection>());
    }
}
