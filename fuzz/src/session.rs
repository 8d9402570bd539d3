//! A server and a client of Socket.IO that do all that is right: packets with attachments and acks both ways, by
//! polling, by WebSocket and by an upgrade between the two, as bytes. An input is options and what happens when:
//! everything must arrive, once, unchanged and in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchboard_io_proto::engine::payload::{self, Payload};
use switchboard_io_proto::engine::{
    CloseReason, Config, Data, Encoding, Event, Frame as WebSocketFrame, Known, Out, Packet as EnginePacket,
    PacketError, Protocol, Session, Transport,
};
use switchboard_io_proto::socket::{
    Args, Decoder, EventHead, Frame, Frames, Incoming, Kind, Limits, Namespace, Packet, Parser, Spread, Value,
};

use crate::script::Script;
use crate::values::{assert_same, value};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(script.byte());
    while let Some(step) = script.step() {
        world.step(step, &mut script);
    }
    world.settle();
}

/// One message of Engine.IO. Text is without its type.
type Message = Data<'static>;

/// What either end knows of Socket.IO.
struct End {
    parser: Parser,
    namespace: Namespace,
    decoder: Decoder,
    /// What the other end was sent and has not met: names of events and their arguments.
    expected: VecDeque<(Option<u64>, String, Vec<Value>)>,
    /// Answers that are awaited, in order.
    awaited: VecDeque<(u64, Vec<Value>)>,
    next_id: u64,
    /// Answers that are still to be sent.
    answers: VecDeque<(u64, Args)>,
}

impl End {
    fn new(parser: Parser, namespace: Namespace) -> Self {
        Self {
            parser,
            namespace,
            decoder: Decoder::new(),
            expected: VecDeque::new(),
            awaited: VecDeque::new(),
            next_id: 0,
            answers: VecDeque::new(),
        }
    }

    fn emit(&mut self, script: &mut Script<'_>) -> Frames {
        let how = script.byte();
        let name = String::from_utf8_lossy(script.take(usize::from(how & 3))) + "e";
        let args: Vec<Value> = (0..how >> 2 & 3).map(|_| value(script, 3)).collect();
        let id = (how & 0x80 != 0).then(|| {
            self.next_id += 1;
            self.next_id
        });
        let args = Args::new(self.parser, &Spread(args)).expect("values can be written");
        let head = EventHead { id, ..EventHead::new(&self.namespace, &name) };
        let frames = self.parser.event(&head, &args).expect("no reserved name ends in e, and values can be written");
        let values = args.values();
        self.awaited.extend(id.map(|id| (id, values.clone())));
        self.expected.push_back((id, name.into(), values));
        frames
    }

    fn answer(&mut self) -> Option<Frames> {
        let (id, args) = self.answers.pop_front()?;
        Some(self.parser.ack(&self.namespace, id, &args).expect("what came can be sent back"))
    }

    /// Takes what the other end sent.
    fn meet(&mut self, other: &mut Self, message: Message) {
        let message = match message {
            Data::Text(text) => Incoming::OwnedText(Bytes::from(text.into_owned())),
            Data::Binary(bytes) => Incoming::Binary(bytes.into_owned().into()),
        };
        let mut limits = Limits::default();
        limits.attachments = 1000;
        let packet = self.parser.decode(&mut self.decoder, &limits, message).expect("what the other end encoded");
        let Some(Packet { namespace, kind }) = packet else { return };
        assert_eq!(namespace, self.namespace);
        match kind {
            Kind::Event { name, args, id } => {
                let (sent_id, sent_name, sent) = other.expected.pop_front().expect("an event that nobody sent");
                assert_eq!((id, name.as_str()), (sent_id, &*sent_name), "out of order");
                assert_same(&args.values(), &sent);
                self.answers.extend(id.map(|id| (id, args)));
            }
            Kind::Ack { args, id } => {
                let (awaited, sent) = self.awaited.pop_front().expect("an answer to nothing");
                assert_eq!(id, awaited, "answers out of order");
                assert_same(&args.values(), &sent);
            }
            other => panic!("nobody sent {other:?}"),
        }
    }
}

/// How the client stands to an upgrade.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Upgrade {
    None,
    /// The WebSocket is there and the probe sent.
    Probed,
    /// The probe was answered: polling pauses.
    Answered,
    Done,
}

struct World {
    config: Arc<Config>,
    session: Session<Message>,
    now: Instant,
    encoding: Encoding,
    upgrade: Upgrade,
    polling: bool,
    server: End,
    client: End,
    /// What the client is to send, by a POST or by the WebSocket.
    outgoing: VecDeque<Message>,
    closed: bool,
}

impl World {
    fn new(flags: u8) -> Self {
        let protocol = if flags & 1 == 0 { Protocol::V4 } else { Protocol::V3 };
        let parser = if flags & 2 == 0 { Parser::Json } else { Parser::Msgpack };
        let transport = if flags & 4 == 0 { Transport::Polling } else { Transport::WebSocket };
        let encoding = Encoding { protocol, b64: flags & 8 != 0 };
        let namespace = Namespace::new(if flags & 16 == 0 { "/" } else { "/röom?a=1" }).expect("no comma");
        let config = Config {
            allow_eio3: true,
            max_payload: if flags & 32 == 0 { 1_000_000 } else { 60 },
            max_queued: usize::MAX,
            max_queued_bytes: usize::MAX,
            ..Config::default()
        };
        let now = Instant::now();
        let config = Arc::new(config);
        Self {
            session: Session::open(&config, Known { transport, protocol }, encoding.b64, now),
            config,
            now,
            encoding,
            upgrade: if transport == Transport::WebSocket { Upgrade::Done } else { Upgrade::None },
            polling: false,
            server: End::new(parser, namespace.clone()),
            client: End::new(parser, namespace),
            outgoing: VecDeque::new(),
            closed: false,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 10 {
            0 | 1 => {
                let frames = self.server.emit(script);
                self.serve(&frames);
            }
            2 | 3 => {
                let frames = self.client.emit(script);
                self.outgoing.extend(frames.iter().map(message));
            }
            4 => {
                if let Some(frames) = self.server.answer() {
                    self.serve(&frames);
                }
                if let Some(frames) = self.client.answer() {
                    self.outgoing.extend(frames.iter().map(message));
                }
            }
            5 => self.poll(),
            6 => self.flush_client(usize::from(step / 10)),
            7 => self.next_of_upgrade(),
            8 => self.pass(Duration::from_millis(u64::from(script.byte()) * 5)),
            _ => self.read(),
        }
        assert_eq!(self.session.ended(), None, "a client that does all that is right");
    }

    fn serve(&mut self, frames: &Frames) {
        for frame in frames.iter() {
            let message = message(frame);
            let weight = match &message {
                Data::Text(text) => text.len(),
                Data::Binary(bytes) => bytes.len(),
            };
            self.session.send(message, weight).expect("no limits");
        }
    }

    /// The client polls, if it may, and reads what there is.
    fn poll(&mut self) {
        if !self.polling && matches!(self.upgrade, Upgrade::None | Upgrade::Probed) {
            self.session.poll_begin(self.now).expect("one poll at a time");
            self.polling = true;
        }
        self.read();
    }

    /// What the server writes reaches the client.
    fn read(&mut self) {
        let mut outs = Vec::new();
        let encoding = Encoding { b64: self.encoding.b64, ..self.session.encoding() };
        if self.session.answer_poll(|out| outs.push(out)) {
            self.polling = false;
            let packets: Vec<EnginePacket<'static>> = outs.into_iter().map(|out| self.packet(out)).collect();
            let payload = payload::encode(&packets, encoding);
            let read: Vec<Result<EnginePacket<'_>, PacketError>> = match &payload {
                Payload::Text(text) => payload::decode(encoding.protocol, text).collect(),
                Payload::Binary(bytes) => payload::decode_binary_v3(bytes).collect(),
            };
            for packet in read {
                self.client_meets(packet.expect("a payload of ours").into_owned());
            }
        }
        while let Some(out) = self.session.next_frame() {
            if out == Out::Close {
                self.closed = true;
                break;
            }
            let packet = self.packet(out);
            let encoding = self.session.encoding();
            let read = match packet.frame(encoding) {
                WebSocketFrame::Text(text) => {
                    EnginePacket::from_text(encoding.protocol, &text).map(EnginePacket::into_owned)
                }
                WebSocketFrame::Binary(bytes) => {
                    EnginePacket::from_binary(encoding.protocol, &bytes).map(EnginePacket::into_owned)
                }
            };
            self.client_meets(read.expect("a frame of ours"));
        }
    }

    fn packet(&self, out: Out<Message>) -> EnginePacket<'static> {
        match out {
            Out::Open => EnginePacket::Open("{}".into()),
            Out::Message(message) => EnginePacket::Message(message),
            other => other.control().expect("no initial packet is set"),
        }
    }

    fn client_meets(&mut self, packet: EnginePacket<'static>) {
        match packet {
            EnginePacket::Message(message) => self.client.meet(&mut self.server, message),
            EnginePacket::Ping(_) => self.client_says(EnginePacket::Pong("".into())),
            EnginePacket::Pong(data) if data == "probe" => {
                assert_eq!(self.upgrade, Upgrade::Probed);
                self.upgrade = Upgrade::Answered;
            }
            EnginePacket::Close => self.closed = true,
            EnginePacket::Open(_) | EnginePacket::Pong(_) | EnginePacket::Noop => {}
            EnginePacket::Upgrade => panic!("a server does not upgrade"),
        }
    }

    /// By the transport that the client uses: a POST of its own, or a frame.
    fn client_says(&mut self, packet: EnginePacket<'static>) {
        if self.upgrade == Upgrade::Done {
            self.frame(&packet);
        } else {
            self.post(&[packet]);
        }
    }

    fn post(&mut self, packets: &[EnginePacket<'static>]) {
        self.session.post_begin().expect("one POST at a time");
        let payload = payload::encode(packets, self.encoding);
        let read: Vec<_> = match &payload {
            Payload::Text(text) => payload::decode(self.encoding.protocol, text).collect(),
            Payload::Binary(bytes) => payload::decode_binary_v3(bytes).collect(),
        };
        for packet in read {
            let event = self.session.receive(Transport::Polling, packet, self.now);
            self.server_meets(event.map(owned));
        }
        self.session.post_end();
    }

    fn frame(&mut self, packet: &EnginePacket<'static>) {
        let protocol = self.encoding.protocol;
        let frame = packet.frame(self.encoding);
        let read = match &frame {
            WebSocketFrame::Text(text) => EnginePacket::from_text(protocol, text),
            WebSocketFrame::Binary(bytes) => EnginePacket::from_binary(protocol, bytes),
        };
        let event = self.session.receive(Transport::WebSocket, read, self.now);
        self.server_meets(event.map(owned));
    }

    fn server_meets(&mut self, event: Option<Event<'static>>) {
        match event {
            Some(Event::Message(message)) => self.server.meet(&mut self.client, message),
            Some(Event::CloseCandidate) => self.upgrade = Upgrade::None,
            Some(Event::Upgrading | Event::Upgraded) | None => {}
        }
    }

    /// A part of what the client has to send leaves, by what it uses at the moment. While it changes over, it waits.
    fn flush_client(&mut self, most: usize) {
        let most = (most + 1).min(self.outgoing.len());
        let messages: Vec<Message> = match self.upgrade {
            Upgrade::Answered => return,
            _ => self.outgoing.drain(..most).collect(),
        };
        let packets: Vec<EnginePacket<'static>> = messages.into_iter().map(EnginePacket::Message).collect();
        if self.upgrade == Upgrade::Done {
            packets.iter().for_each(|packet| self.frame(packet));
        } else if !packets.is_empty() {
            self.post(&packets);
        }
    }

    fn next_of_upgrade(&mut self) {
        match self.upgrade {
            Upgrade::None if self.session.attach(self.encoding.b64, self.now).is_ok() => {
                self.upgrade = Upgrade::Probed;
                self.frame(&EnginePacket::Ping("probe".into()));
            }
            // It waits for its poll to end, and then takes over.
            Upgrade::Answered if !self.polling => {
                self.frame(&EnginePacket::Upgrade);
                self.upgrade = Upgrade::Done;
            }
            _ => {}
        }
    }

    /// Time in steps small enough for pings to be answered.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.session.poll_timeout().is_some_and(|at| at <= self.now) {
            let event = self.session.handle_timeout(self.now);
            self.server_meets(event);
        }
        if self.encoding.protocol == Protocol::V3 && self.upgrade != Upgrade::Answered {
            self.client_says(EnginePacket::Ping("".into()));
        }
        self.poll();
    }

    /// The client finishes what it began, all that is on its way arrives, and then the server closes.
    fn settle(&mut self) {
        while self.upgrade == Upgrade::Probed || self.upgrade == Upgrade::Answered {
            self.pass(Duration::from_millis(100));
            self.next_of_upgrade();
        }
        loop {
            self.flush_client(usize::MAX - 1);
            self.poll();
            let answers = [self.server.answer(), self.client.answer()];
            if let Some(frames) = &answers[0] {
                self.serve(frames);
            }
            if let Some(frames) = &answers[1] {
                self.outgoing.extend(frames.iter().map(message));
            }
            if answers.iter().all(Option::is_none) && self.outgoing.is_empty() && self.session.queued().0 == 0 {
                break;
            }
        }
        self.session.close(CloseReason::ForcedClose, self.now);
        self.poll();
        self.poll_once_more();
        assert!(self.closed, "no goodbye");
        assert_eq!(self.session.ended(), Some(CloseReason::ForcedClose));
        for end in [&self.server, &self.client] {
            assert!(end.expected.is_empty() && end.awaited.is_empty(), "something was lost");
            assert!(!end.decoder.is_waiting());
        }
        assert!(self.config.max_payload > 0);
    }

    /// The first poll may have been answered with what was left.
    fn poll_once_more(&mut self) {
        if self.session.ended().is_none() {
            self.poll();
        }
    }
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Message(data) => Event::Message(data.into_owned()),
        Event::Upgrading => Event::Upgrading,
        Event::Upgraded => Event::Upgraded,
        Event::CloseCandidate => Event::CloseCandidate,
    }
}

/// A message of Engine.IO, as the session queues it.
fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => {
            let text = std::str::from_utf8(&text).expect("text is UTF-8");
            Data::text(text.strip_prefix('4').expect("with the type in front")).into_owned()
        }
        Frame::Binary(bytes) => Data::binary(&bytes).into_owned(),
    }
}
