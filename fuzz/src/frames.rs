//! A WebSocket connection. An input is options, and then frames (right ones, and anything else), with commands between
//! them. The same is done three times, with the peer's bytes cut differently: what the machine tells and sends must be
//! the same, within the limits, and what it sends must be what a machine of the other role takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use switchboard_ws_proto::config::Config;
use switchboard_ws_proto::frame::FrameHeader;
use switchboard_ws_proto::{
    CloseCode, Connection, DeflateConfig, DeflateParams, Disconnect, Event, Input, Kind, Message, Output, Prepared,
    ProtocolError, ReadyState, Role, SendOptions, Timeout,
};

use crate::script::{Script, chunks};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let setup = Setup::read(&mut script);
    let seed = script.byte();
    let steps = read_steps(&mut script, &setup);
    let bytes: usize = steps.iter().map(|step| if let Step::Bytes(bytes) = step { bytes.len() } else { 0 }).sum();
    let whole = converse(&setup, &steps, || usize::MAX, false);
    // Long messages in small chunks would take all the time.
    let (mut chunk, scale) = (chunks(seed), if bytes < 4096 { 1 } else { 100 });
    assert_same(&setup, &whole, &converse(&setup, &steps, || chunk() * scale, true));
    if bytes < 4096 {
        assert_same(&setup, &whole, &converse(&setup, &steps, || 1, false));
    }
    compare(&setup, &steps, &whole);
    hear(&setup, &whole);
}

struct Setup {
    role: Role,
    config: Arc<Config>,
    deflate: Option<DeflateParams>,
    /// The peer has to mask its frames.
    masks: bool,
}

impl Setup {
    fn read(script: &mut Script<'_>) -> Self {
        let (flags, limits) = (script.byte(), script.byte());
        let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
        let takeover = flags & 4 != 0;
        let settings = DeflateConfig {
            own_context_takeover: takeover,
            peer_context_takeover: takeover,
            threshold: 8,
            max_live: usize::from(flags >> 3 & 1),
            ..DeflateConfig::default()
        };
        let deflate = (flags & 2 != 0).then(|| DeflateParams {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            ..DeflateParams::default()
        });
        let max_message = match limits & 3 {
            0 => 16 << 20,
            1 => 200,
            2 => 5000,
            _ => 300_000,
        };
        let config = Config {
            max_message,
            max_frame: if limits & 4 == 0 { max_message } else { max_message / 2 },
            max_fragments: if limits & 8 == 0 { 128 << 10 } else { 5 },
            only: match limits >> 4 & 7 {
                6 => Some(Kind::Text),
                7 => Some(Kind::Binary),
                _ => None,
            },
            accept_unmasked: flags & 16 != 0,
            idle_timeout: (flags & 32 != 0).then_some(Duration::from_secs(40)),
            deflate: deflate.map(|_| settings),
            ..Config::default()
        };
        Self { role, config: Arc::new(config), deflate, masks: role == Role::Server }
    }

    fn connection(&self, role: Role, config: &Arc<Config>, now: Instant) -> Connection {
        match role {
            Role::Server => Connection::server(Arc::clone(config), self.deflate, now),
            Role::Client => {
                Connection::client_with_masks(Arc::clone(config), self.deflate, now, || [0x37, 0xfa, 0x21, 0x3d])
            }
        }
    }
}

enum Step {
    /// From the peer.
    Bytes(Vec<u8>),
    Text(String),
    Binary(Bytes, SendOptions),
    Prepared(Prepared),
    Piece {
        text: String,
        last: bool,
    },
    Ping,
    PingWith(Vec<u8>),
    PongWith(Vec<u8>),
    Close(u16, String),
    Transmit,
    Wrote {
        all: bool,
    },
    Pieces(bool),
    Rest,
    NotReading,
    Time(Duration),
    Eof,
    Terminate,
    /// The connection is dropped, whatever it is in the middle of.
    Drop,
}

fn read_steps(script: &mut Script<'_>, setup: &Setup) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut peer = Peer { masks: setup.masks, compress: setup.deflate.map(|params| (params, compressor())) };
    let mut budget = 300 << 10;
    while let Some(step) = script.step() {
        steps.push(match step & 0x1F {
            0x00..=0x0B => Step::Bytes(peer.frame(script, &mut budget)),
            0x0C => Step::Bytes(script.bytes().to_vec()),
            0x0D | 0x0E => Step::Bytes(peer.compressed(script, step & 0x1F == 0x0E)),
            0x0F => Step::Text(text(script)),
            0x10 => Step::Binary(Bytes::copy_from_slice(script.bytes()), SendOptions { compress: step & 0x20 == 0 }),
            0x11 => Step::Prepared(Prepared::text(&text(script))),
            0x12 | 0x13 => Step::Piece { text: text(script), last: step & 0x1F == 0x13 },
            0x14 => Step::Ping,
            0x15 => Step::PingWith(script.bytes().to_vec()),
            0x16 => Step::PongWith(script.bytes().to_vec()),
            0x17 => Step::Close(script.number(), text(script)),
            0x18 => Step::Wrote { all: step & 0x20 == 0 },
            0x19 => Step::Pieces(step & 0x20 == 0),
            0x1A => Step::Rest,
            0x1B => Step::NotReading,
            0x1C => Step::Time(Duration::from_millis(u64::from(script.number()))),
            0x1D if step & 0x20 == 0 => Step::Eof,
            0x1D => Step::Terminate,
            0x1E if step & 0xE0 == 0 => Step::Drop,
            _ => Step::Transmit,
        });
    }
    steps
}

fn text(script: &mut Script<'_>) -> String {
    String::from_utf8_lossy(script.bytes()).into_owned()
}

fn compressor() -> Compress {
    Compress::new(Compression::fast(), false)
}

/// Whoever is at the other end: knows how frames look, and sends what it likes in them.
struct Peer {
    masks: bool,
    compress: Option<(DeflateParams, Compress)>,
}

impl Peer {
    /// A frame whose length is right: the first byte of its header, how it is, its payload.
    fn frame(&self, script: &mut Script<'_>, budget: &mut usize) -> Vec<u8> {
        let (first, how) = (script.byte(), script.byte());
        let payload = script.bytes();
        // Some are long: they are read into a room of their own.
        let times = if how & 0xF == 0xF { 1 + usize::from(how >> 4) * 50 } else { 1 };
        let times = if times * payload.len() <= *budget { times } else { 1 };
        *budget = budget.saturating_sub(times * payload.len());
        let masks = self.masks != (how & 0xF == 0xE);
        encode(first, masks, &payload.repeat(times))
    }

    /// A compressed message, cut into two frames or not.
    fn compressed(&mut self, script: &mut Script<'_>, cut: bool) -> Vec<u8> {
        let opcode = 1 + (script.byte() & 1);
        let payload = script.bytes();
        let Some((params, compress)) = &mut self.compress else { return encode(0xC0 | opcode, self.masks, payload) };
        if params.client_no_context_takeover {
            compress.reset();
        }
        let mut wire = Vec::with_capacity(payload.len() + 100);
        let compressed = compress.compress_vec(payload, &mut wire, FlushCompress::Sync);
        compressed.expect("zlib compresses anything");
        wire.truncate(wire.len().saturating_sub(4));
        if !cut {
            return encode(0xC0 | opcode, self.masks, &wire);
        }
        let (first, second) = wire.split_at(wire.len() / 2);
        [encode(0x40 | opcode, self.masks, first), encode(0x80, self.masks, second)].concat()
    }
}

fn encode(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let mask = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => frame.push(mask | len as u8),
        len @ 126..=0xFFFF => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if !masked {
        frame.extend_from_slice(payload);
        return frame;
    }
    let key = [0xA1, 0x00, 0x5B, payload.len() as u8];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What is to be the same however the bytes are cut.
#[derive(Debug, PartialEq)]
struct Log {
    heard: Vec<Heard>,
    timeouts: Vec<Timeout>,
    sent: Vec<Message>,
    written: Vec<u8>,
    state: (ReadyState, Disconnect),
    dropped: bool,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Message(Message),
    /// A whole message that came in pieces: how many they were, and how many came of one that turned out to be bad, is
    /// a matter of cuts.
    Pieces(Kind, Vec<u8>),
    Ping(Bytes),
    Pong(Bytes, Option<Duration>),
    Close(u16, String),
    Failed(ProtocolError),
}

fn assert_same(setup: &Setup, a: &Log, b: &Log) {
    let failures = |log: &Log| {
        log.heard.iter().find_map(|heard| if let Heard::Failed(error) = heard { Some(*error) } else { None })
    };
    let (first, second) = (failures(a), failures(b));
    if setup.deflate.is_some() && first != second {
        // A compressed message that breaks several rules breaks another one first when it comes in parts.
        let either = |error: Option<ProtocolError>| {
            use ProtocolError::{InvalidDeflate, InvalidUtf8, MessageTooBig};
            matches!(error, Some(InvalidDeflate | InvalidUtf8 | MessageTooBig { .. }))
        };
        assert!(either(first) && either(second), "{first:?}, {second:?}");
        return;
    }
    // Not by assert_eq, which would print megabytes.
    assert_eq!(a.heard.len(), b.heard.len());
    for (a, b) in a.heard.iter().zip(&b.heard) {
        assert!(a == b, "{a:.200?}, {b:.200?}");
    }
    assert_eq!((&a.timeouts, &a.state, a.dropped), (&b.timeouts, &b.state, b.dropped), "the same was heard");
    assert!(a.sent == b.sent, "the same was heard, and something else was taken to be sent");
    if setup.config.deflate.as_ref().is_some_and(|deflate| deflate.max_live == 1) {
        // Our compressor and our inflater want the one place among the contexts that are kept ready, and when the
        // peer's bytes come decides which has it. The other is made again from its last bytes, and may then find other
        // matches: other bytes for the same messages.
        return hear(setup, b);
    }
    let same = a.written.iter().zip(&b.written).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a.written[same..], &b.written[same..]);
    assert!(a == b, "the same was heard, and something else was written after {same} bytes: {a:.200?}, {b:.200?}");
}

fn converse(setup: &Setup, steps: &[Step], mut chunk: impl FnMut() -> usize, fitful: bool) -> Log {
    let start = Instant::now();
    let mut run = Run {
        connection: setup.connection(setup.role, &setup.config, start),
        config: &setup.config,
        out: Output::new(),
        log: Log {
            heard: Vec::new(),
            timeouts: Vec::new(),
            sent: Vec::new(),
            written: Vec::new(),
            state: (ReadyState::Open, Disconnect::No),
            dropped: false,
        },
        start,
        now: start,
        piece: String::new(),
        pieces: None,
        over: false,
        fitful,
    };
    for step in steps {
        if matches!(step, Step::Drop) {
            run.log.dropped = true;
            break;
        }
        match step {
            Step::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                let mut rest = &mut bytes[..];
                while !rest.is_empty() {
                    let (now, later) = rest.split_at_mut(chunk().min(rest.len()));
                    run.receive(now);
                    rest = later;
                }
            }
            command => run.command(command),
        }
        run.check();
    }
    run.finish()
}

struct Run<'s> {
    connection: Connection,
    config: &'s Config,
    out: Output,
    log: Log,
    start: Instant,
    now: Instant,
    /// What was sent of a message in pieces.
    piece: String,
    /// What was heard of one.
    pieces: Option<(Kind, Vec<u8>)>,
    /// Nothing more may be heard.
    over: bool,
    /// Reads into the room, and stops between events.
    fitful: bool,
}

impl Run<'_> {
    fn receive(&mut self, bytes: &mut [u8]) {
        let mut from = 0;
        if self.fitful
            && let Some(room) = self.connection.room()
        {
            from = room.len().min(bytes.len());
            room[..from].copy_from_slice(&bytes[..from]);
            let event = self.connection.receive_in_room(from, self.now);
            self.heard(event);
        }
        while from < bytes.len() {
            let len = bytes.len();
            let mut input = Input::new(&mut bytes[from..]);
            // A fitful driver lends the rest anew after each event.
            while let Some(event) = self.connection.receive(&mut input, self.now) {
                heard(&mut self.log.heard, &mut self.pieces, &mut self.over, event, self.config);
                if self.fitful {
                    break;
                }
            }
            let rest = input.rest().len();
            assert!(self.fitful || rest == 0, "input left without an event");
            from = len - rest;
        }
    }

    fn heard(&mut self, event: Option<Event<'_>>) {
        if let Some(event) = event {
            heard(&mut self.log.heard, &mut self.pieces, &mut self.over, event, self.config);
        }
    }

    fn command(&mut self, step: &Step) {
        let (connection, now, out) = (&mut self.connection, self.now, &mut self.out);
        let may_send = connection.may_send();
        let between = may_send && !connection.is_message_open();
        let sent = match step {
            Step::Text(text) => {
                connection.send(&**text, SendOptions::default(), now, out).ok().map(|()| Message::from(&**text))
            }
            Step::Binary(bytes, options) => {
                let message = Message::binary(bytes.clone());
                connection.send_shared(&message, *options, now, out).ok().map(|()| message)
            }
            Step::Prepared(prepared) => {
                let text = String::from_utf8(prepared.payload().to_vec()).expect("was text");
                connection.send_prepared(prepared, now, out).ok().map(|()| Message::from(text))
            }
            other => return self.other(other),
        };
        assert_eq!(sent.is_some(), between);
        self.log.sent.extend(sent);
    }

    fn other(&mut self, step: &Step) {
        let (connection, now, out) = (&mut self.connection, self.now, &mut self.out);
        let may_send = connection.may_send();
        match step {
            Step::Piece { text, last } => {
                let sent = connection.send_piece(Kind::Text, text.as_bytes(), *last, SendOptions::default(), now, out);
                assert_eq!(sent.is_ok(), may_send);
                if may_send {
                    self.piece.push_str(text);
                    if *last {
                        self.log.sent.push(std::mem::take(&mut self.piece).into());
                    }
                }
            }
            Step::Ping => assert_eq!(connection.ping(now, out).is_ok(), may_send),
            Step::PingWith(payload) => {
                assert_eq!(connection.ping_with(payload, out).is_ok(), may_send && payload.len() <= 125);
            }
            Step::PongWith(payload) => {
                assert_eq!(connection.pong_with(payload, out).is_ok(), may_send && payload.len() <= 125);
            }
            Step::Close(code, reason) => drop(connection.close(CloseCode(*code), reason, now)),
            Step::Transmit => connection.poll_transmit(now, out),
            Step::Wrote { all: true } => self.write(),
            Step::Wrote { all: false } => connection.wrote(0, out.len(), now),
            Step::Pieces(pieces) => connection.set_pieces(*pieces),
            Step::Rest => connection.rest(),
            Step::NotReading => connection.not_reading(now),
            Step::Time(passed) => {
                // In steps, as a driver would.
                let until = self.now + *passed;
                while self.connection.disconnect() != Disconnect::Now
                    && let Some(at) = self.connection.poll_timeout().filter(|at| *at <= until)
                {
                    self.time(at);
                }
                self.time(until);
            }
            Step::Eof => {
                connection.receive_eof();
                self.over = true;
            }
            Step::Terminate => {
                connection.terminate();
                self.over = true;
            }
            Step::Bytes(_) | Step::Text(_) | Step::Binary(..) | Step::Prepared(_) | Step::Drop => {}
        }
    }

    fn time(&mut self, at: Instant) {
        self.now = self.now.max(at);
        self.log.timeouts.extend(self.connection.handle_timeout(self.now));
        // What falls due may be put off by a ping that waits to be sent, but not by nothing.
        self.connection.poll_transmit(self.now, &mut self.out);
        self.write();
        assert!(
            self.connection.disconnect() == Disconnect::Now
                || self.connection.poll_timeout().is_none_or(|next| next > self.now),
            "a deadline that has passed is still the next"
        );
    }

    fn write(&mut self) {
        let count = self.out.len();
        self.log.written.extend_from_slice(&self.out.to_vec());
        self.out.advance(count);
        assert!(self.out.is_empty());
        self.connection.wrote(count, 0, self.now);
    }

    /// What must hold at any time.
    fn check(&self) {
        let connection = &self.connection;
        assert!(
            connection.buffered_input() <= 2 * self.config.max_message + (128 << 10),
            "{} bytes are held",
            connection.buffered_input()
        );
        assert_eq!(connection.ended().is_none(), connection.ready_state() == ReadyState::Open);
        if connection.ready_state() == ReadyState::Closed {
            assert_ne!(connection.disconnect(), Disconnect::No);
        }
        if connection.is_settled() {
            assert_eq!(connection.ready_state(), ReadyState::Open);
        }
        assert!(self.now >= self.start);
    }

    fn finish(mut self) -> Log {
        if !self.log.dropped {
            self.connection.poll_transmit(self.now, &mut self.out);
            self.write();
        }
        self.log.state = (self.connection.ready_state(), self.connection.disconnect());
        self.log
    }
}

/// Keeps an event, within the limits.
fn heard(
    log: &mut Vec<Heard>,
    pieces: &mut Option<(Kind, Vec<u8>)>,
    over: &mut bool,
    event: Event<'_>,
    config: &Config,
) {
    assert!(!*over, "something after the end: {event:?}");
    let heard = match event {
        Event::Message(message) => Heard::Message(message.into_owned()),
        Event::Piece(piece) => {
            let (kind, mut data) = pieces.take().unwrap_or((piece.kind, Vec::new()));
            assert_eq!(kind, piece.kind);
            assert!(piece.last || !piece.data.is_empty());
            data.extend_from_slice(&piece.data);
            assert!(data.len() <= config.max_message);
            if !piece.last {
                *pieces = Some((kind, data));
                return;
            }
            Heard::Pieces(kind, data)
        }
        Event::Ping(payload) => Heard::Ping(payload),
        Event::Pong { payload, rtt } => Heard::Pong(payload, rtt),
        Event::Close(frame) => Heard::Close(frame.code.0, frame.reason.as_str().to_owned()),
        Event::Failed(error) => Heard::Failed(error),
        other => panic!("an event that is new: {other:?}"),
    };
    match &heard {
        Heard::Message(message) => {
            assert!(message.len() <= config.max_message);
            assert!(config.only.is_none_or(|only| only == message.kind()));
            assert!(message.kind() == Kind::Binary || std::str::from_utf8(message.as_bytes()).is_ok());
        }
        Heard::Ping(payload) | Heard::Pong(payload, _) => assert!(payload.len() <= 125),
        Heard::Close(..) | Heard::Failed(_) => *over = true,
        Heard::Pieces(kind, data) => assert!(*kind == Kind::Binary || std::str::from_utf8(data).is_ok()),
    }
    log.push(heard);
}

/// What RFC 6455 says of well-formed frames, in the plainest words: the messages that were heard are those that the
/// frames hold, and within the limits.
fn compare(setup: &Setup, steps: &[Step], log: &Log) {
    let bytes: Vec<u8> = steps
        .iter()
        .take_while(|step| !matches!(step, Step::Drop | Step::Eof | Step::Terminate))
        .filter_map(|step| if let Step::Bytes(bytes) = step { Some(&bytes[..]) } else { None })
        .flatten()
        .copied()
        .collect();
    let mut rest = &bytes[..];
    let mut heard = log.heard.iter().filter_map(|heard| match heard {
        Heard::Message(message) => Some(message.as_bytes()),
        Heard::Pieces(_, data) => Some(&data[..]),
        _ => None,
    });
    let mut open: Option<(bool, u32, Vec<u8>)> = None;
    while let Ok(Some((header, len))) = FrameHeader::decode(rest) {
        let Some((payload, later)) = usize::try_from(header.len).ok().and_then(|end| rest[len..].split_at_checked(end))
        else {
            break;
        };
        rest = later;
        if header.opcode.is_control() {
            continue;
        }
        let (compressed, frames, message) = open.get_or_insert((header.rsv1, 0, Vec::new()));
        let key = header.mask.unwrap_or_default();
        message.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        *frames += 1;
        if header.fin {
            let Some(heard) = heard.next() else { return };
            assert!(*frames <= setup.config.max_fragments && payload.len() <= setup.config.max_frame);
            assert!(*compressed || heard == message, "another message than was sent");
            open = None;
        }
    }
    assert!(heard.next().is_none(), "a message that nobody sent");
}

/// The other role takes what was sent, and hears what was said.
fn hear(setup: &Setup, log: &Log) {
    let now = Instant::now();
    let role = if setup.role == Role::Server { Role::Client } else { Role::Server };
    let config = Arc::new(Config { deflate: setup.config.deflate.clone(), ..Config::default() });
    let mut other = setup.connection(role, &config, now);
    let mut written = log.written.clone();
    let mut input = Input::new(&mut written);
    let mut said = log.sent.iter();
    while let Some(event) = other.receive(&mut input, now) {
        match event {
            Event::Message(message) => assert_eq!(Some(&message.into_owned()), said.next()),
            Event::Failed(error) => panic!("we sent what we would refuse: {error}"),
            _ => {}
        }
    }
    assert!(log.dropped || said.next().is_none(), "something was lost");
}
