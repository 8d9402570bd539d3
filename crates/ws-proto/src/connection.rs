//! The connection: one machine for either role and any driver. See [`Connection`] for its contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::assembler::Assembler;
use crate::close::{CloseCode, CloseFrame};
use crate::closing::{Cause, Closing, Disconnect, Ended};
use crate::config::Config;
use crate::deflate::{DeflateParams, Deflater, Inflater};
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
use crate::writer::{Compression, Writer};

/// Which end of the connection the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames and sends unmasked ones; closes the transport first.
    Server,
    /// Sends masked frames and takes unmasked ones.
    Client,
}

/// The state in the words of the WebSocket API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyState {
    /// Messages go both ways.
    Open,
    /// One side has said Close, or the connection failed.
    Closing,
    /// The transport may be dropped.
    Closed,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendOptions {
    /// Compress it, where that was negotiated and the message is long enough. Default: yes.
    pub compress: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { compress: true }
    }
}

/// An open WebSocket connection, after the opening handshake, without a transport.
///
/// A driver owes it four things, in any order and as often as it likes:
/// * **bytes in**: [`receive`](Self::receive) until it returns `None`, then drop the buffer; [`receive_eof`](Self::receive_eof)
///   at the end of the stream;
/// * **bytes out**: after anything else, [`poll_transmit`](Self::poll_transmit), then write the output and report how far
///   that got with [`wrote`](Self::wrote). While the transport takes nothing, `poll_transmit` should not be called: what it
///   would send is merged meanwhile (only the newest ping is answered);
/// * **time**: [`handle_timeout`](Self::handle_timeout) at the instant that [`poll_timeout`](Self::poll_timeout) names. It
///   may change after every call;
/// * **the end**: [`disconnect`](Self::disconnect) says what to do with the transport.
///
/// Commands (`send`, `ping`, `close` …) append finished frames to the output that they are given, in call order. No method
/// blocks, reads a clock or fails for want of room.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    role: Role,
    deflate: Option<DeflateParams>,
    reader: Reader,
    assembler: Assembler,
    writer: Writer,
    closing: Closing,
    heartbeat: Heartbeat,
    /// The payload of a control frame that a read cut.
    control: Vec<u8>,
    /// The newest ping that is not answered yet. "If an endpoint receives a Ping frame and has not yet sent Pong
    /// frame(s) in response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most
    /// recently processed Ping frame" (§5.5.3): a flood of pings costs one pong.
    pong: Option<Bytes>,
    /// Since when bytes wait and none of them moved.
    stalled: Option<Instant>,
    /// When a message last went either way.
    active: Instant,
}

impl Connection {
    /// A server's end. `deflate`: what the handshake agreed on.
    #[must_use]
    pub fn server(config: Arc<Config>, deflate: Option<DeflateParams>, now: Instant) -> Self {
        let masking = if config.accept_unmasked { Masking::Optional } else { Masking::Required };
        Self::new(Role::Server, masking, None, config, deflate, now)
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
        Self::new(Role::Client, Masking::Forbidden, Some(masks), config, deflate, now)
    }

    fn new(
        role: Role,
        masking: Masking,
        masks: Option<MaskSource>,
        config: Arc<Config>,
        deflate: Option<DeflateParams>,
        now: Instant,
    ) -> Self {
        let is_server = role == Role::Server;
        let inflater = deflate.map(|params| Box::new(Inflater::new(&params, is_server)));
        let compression = deflate.map(|params| {
            let settings = config.deflate.clone().unwrap_or_default();
            let window = if is_server { params.server_max_window_bits } else { params.client_max_window_bits };
            let deflater = Deflater::new(&params, &settings, is_server);
            Box::new(Compression { deflater, window, threshold: settings.threshold })
        });
        Self {
            role,
            deflate,
            reader: Reader::new(masking),
            assembler: Assembler::new(inflater),
            writer: Writer::new(masks, compression),
            closing: Closing::default(),
            heartbeat: Heartbeat::new(config.ping_interval, now),
            control: Vec::new(),
            pong: None,
            stalled: None,
            active: now,
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
        loop {
            if !self.closing.is_listening() {
                input.take(usize::MAX);
                return None;
            }
            let event = match self.reader.next(input) {
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

    /// Where the driver may read the next bytes to, in place of its own buffer: `Some` while a long message arrives, of
    /// which enough is there already. What is read there is told by [`receive_in_room`](Self::receive_in_room) and not
    /// copied again. The room ends with the frame at the latest. To ignore it is fine: [`receive`](Self::receive) takes all
    /// bytes at all times.
    ///
    /// The buffer grows with what has arrived and never by the length that a header declares, unless one of that size lies
    /// unused in the thread's pool (8 MiB at most), where it goes back to when the message is dropped. The room may hold
    /// bytes of earlier messages.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        if !self.closing.is_listening() {
            return None;
        }
        self.assembler.room(&self.reader, &self.config)
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
                    self.active = now;
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
        self.assembler.set_pieces(pieces);
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
        self.writer.message(message.into(), options.compress, out)
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
        self.writer.shared(message, options.compress, out)
    }

    /// Appends a message that was encoded before: compressed as the connection wants it, else plain.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared, now: Instant, out: &mut Output) -> Result<(), SendError> {
        self.check_open(now)?;
        self.writer.prepared(prepared, out)
    }

    /// Appends a piece of a message. The first piece begins it, `last` ends it; in between no other message can be sent,
    /// only control frames. The pieces of a text message must be UTF-8 in all: cut them where you like.
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
        self.writer.piece(kind, data, last, options.compress, out)
    }

    /// Appends a ping and returns its number: the pong that answers it carries the number in eight bytes, big-endian,
    /// and comes with its round trip unless a newer ping was made meanwhile.
    ///
    /// # Errors
    /// [`SendError::Closed`] after Close.
    pub fn ping(&mut self, now: Instant, out: &mut Output) -> Result<u64, SendError> {
        self.check_sendable()?;
        let number = self.heartbeat.next(now);
        self.writer.control(Opcode::Ping, &number.to_be_bytes(), out);
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
        self.closing.begin(frame, Cause::Local, now.checked_add(self.config.close_timeout));
        Ok(())
    }

    /// Appends what the machine itself has to say: a pong, a ping that fell due, a Close frame or the answer to one.
    /// Call it when the transport has room.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Output) {
        if self.closing.is_sent() {
            return;
        }
        if let Some(payload) = self.pong.take() {
            self.writer.control(Opcode::Pong, &payload, out);
        }
        if let Some(payload) = self.heartbeat.take_pending(now) {
            self.writer.control(Opcode::Ping, &payload, out);
        }
        if let Some(frame) = self.closing.take_due() {
            let mut body = Vec::with_capacity(MAX_CONTROL);
            frame.write(&mut body);
            self.writer.control(Opcode::Close, &body, out);
        }
    }

    /// Gives the connection up without a Close frame: for peers that are not worth one. The transport is to be dropped.
    pub fn terminate(&mut self) {
        self.closing.abort(Cause::Local);
        self.assembler.abandon();
    }

    /// The transport took `count` bytes and `left` bytes of output still wait for it: how the write timeout is measured.
    pub fn wrote(&mut self, count: usize, left: usize, now: Instant) {
        if left == 0 {
            self.stalled = None;
            self.heartbeat.sent(now);
        } else if count > 0 || self.stalled.is_none() {
            self.stalled = Some(now);
        }
    }

    // Time.

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let config = &self.config;
        let write = after(self.stalled, config.write_timeout);
        if !self.closing.is_open() {
            return [self.closing.deadline, write].into_iter().flatten().min();
        }
        let message = after(self.assembler.started(), config.message_timeout);
        let idle = after(Some(self.active), config.idle_timeout);
        let heartbeat = self.heartbeat.deadline(config.pong_timeout);
        [write, message, idle, heartbeat].into_iter().flatten().min()
    }

    /// The driver does not read now, of its own will: what the peer may have sent meanwhile cannot be told from silence,
    /// and its time to show life, or to finish a message, begins anew. To be called before
    /// [`handle_timeout`](Self::handle_timeout).
    pub fn not_reading(&mut self, now: Instant) {
        self.heartbeat.heard();
        self.assembler.postpone(now);
    }

    /// Acts on the deadlines that have passed. Returns the one that ends the connection, if one does; the cause stands
    /// in [`ended`](Self::ended). To call it early, or often, does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        let config = Arc::clone(&self.config);
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        if passed(after(self.stalled, config.write_timeout)) {
            self.closing.abort(Cause::Timeout(Timeout::Write));
            return Some(Timeout::Write);
        }
        if !self.closing.is_open() {
            if !passed(self.closing.deadline) {
                return None;
            }
            return self.closing.give_up().then_some(Timeout::Close);
        }
        let timeout = if passed(after(self.assembler.started(), config.message_timeout)) {
            Timeout::Message
        } else if passed(after(Some(self.active), config.idle_timeout)) {
            Timeout::Idle
        } else if !self.heartbeat.handle_timeout(config.ping_interval, config.pong_timeout, now) {
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
        self.closing.disconnect(self.role == Role::Server)
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

    /// Whether a message may still be sent. After the peer's Close frame, and after a rule that it broke, that is so until
    /// our Close frame leaves: what the peer said before may still be answered.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.closing.may_send()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the handshake agreed on for permessage-deflate.
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref()
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

    #[inline]
    fn data_chunk<'b>(&mut self, chunk: Chunk<'b>, now: Instant) -> Result<Option<Event<'b>>, ProtocolError> {
        let event = self.assembler.accept(chunk, &self.config, now)?;
        if event.is_some() {
            self.active = now;
        }
        Ok(event)
    }

    fn control_chunk<'b>(&mut self, chunk: Chunk<'b>, now: Instant) -> Result<Option<Event<'b>>, ProtocolError> {
        let Chunk { opcode, header, left, data, .. } = chunk;
        if header.is_some() && left == 0 {
            return self.control_frame(opcode, data, now).map(Some);
        }
        self.control.extend_from_slice(data);
        if left > 0 {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        self.control_frame(opcode, &payload, now).map(Some)
    }

    fn control_frame(&mut self, opcode: Opcode, payload: &[u8], now: Instant) -> Result<Event<'static>, ProtocolError> {
        Ok(match opcode {
            Opcode::Close => {
                let frame = CloseFrame::parse(payload)?;
                self.closing.receive(frame.clone(), now.checked_add(self.config.close_timeout));
                self.assembler.abandon();
                Event::Close(frame)
            }
            Opcode::Ping => {
                let payload = Bytes::copy_from_slice(payload);
                self.pong = Some(payload.clone());
                Event::Ping(payload)
            }
            // Pong: a data opcode does not get here.
            _ => Event::Pong { payload: Bytes::copy_from_slice(payload), rtt: self.heartbeat.pong(payload, now) },
        })
    }

    fn fail_protocol<'b>(&mut self, error: ProtocolError, now: Instant) -> Event<'b> {
        self.fail(CloseCode(error.close_code()), &error.to_string(), Cause::Protocol(error), now);
        Event::Failed(error)
    }

    /// "_Fail the WebSocket Connection_" (§7.1.7): say why, then end it.
    fn fail(&mut self, code: CloseCode, reason: &str, cause: Cause, now: Instant) {
        self.assembler.abandon();
        self.control = Vec::new();
        let frame = CloseFrame::new(code, reason).expect("the codes of failures are sendable");
        self.closing.begin(frame, cause, now.checked_add(self.config.close_timeout));
    }

    fn check_open(&mut self, now: Instant) -> Result<(), SendError> {
        self.check_sendable()?;
        self.active = now;
        Ok(())
    }

    fn check_sendable(&self) -> Result<(), SendError> {
        // "The application MUST NOT send any more data frames after sending a Close frame" (§5.5.1).
        if self.closing.may_send() { Ok(()) } else { Err(SendError::Closed) }
    }

    fn unasked(&mut self, opcode: Opcode, payload: &[u8], out: &mut Output) -> Result<(), SendError> {
        self.check_sendable()?;
        if payload.len() > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        self.writer.control(opcode, payload, out);
        Ok(())
    }
}

fn after(since: Option<Instant>, timeout: Option<Duration>) -> Option<Instant> {
    since?.checked_add(timeout?)
}
