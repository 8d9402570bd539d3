//! A session with a client that says whatever a test lets it say. Everything is text: what polls are answered with,
//! what frames the WebSocket gets, and what the server hears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_io_proto::engine::payload::{self, Payload};
use switchboard_io_proto::engine::{
    Config, Data, Encoding, Event, Frame, Known, Out, Packet, Protocol, RequestError, Session, Transport,
};

/// What the open packet is written as here; its fields are tested where it is made.
pub(crate) const OPEN: &str = "0{}";

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) struct Talk {
    pub(crate) session: Session<&'static str>,
    config: Arc<Config>,
    now: Instant,
    /// What the server heard and no test has looked at yet.
    heard: Vec<String>,
}

impl Talk {
    /// A v4 client that has just polled and read its handshake.
    pub(crate) fn polling() -> Self {
        Self::polling_with(Protocol::V4, Config::default())
    }

    pub(crate) fn polling_with(protocol: Protocol, config: Config) -> Self {
        let mut talk = Self::new(Transport::Polling, protocol, config);
        talk.poll();
        assert!(talk.answer().unwrap().contains(OPEN));
        talk
    }

    /// A v4 client that came by WebSocket and has read its handshake.
    pub(crate) fn websocket() -> Self {
        Self::websocket_with(Protocol::V4, Config::default())
    }

    pub(crate) fn websocket_with(protocol: Protocol, config: Config) -> Self {
        let mut talk = Self::new(Transport::WebSocket, protocol, config);
        assert_eq!(talk.frames()[0], OPEN);
        talk
    }

    pub(crate) fn new(transport: Transport, protocol: Protocol, config: Config) -> Self {
        let now = Instant::now();
        let config = Arc::new(config);
        let session = Session::open(&config, Known { transport, protocol }, false, now);
        Self { session, config, now, heard: Vec::new() }
    }

    /// A GET that waits.
    pub(crate) fn poll(&mut self) {
        self.session.poll_begin(self.now).unwrap();
    }

    pub(crate) fn poll_refused(&mut self) -> RequestError {
        self.session.poll_begin(self.now).unwrap_err()
    }

    /// The answer to the GET, if it has one by now.
    pub(crate) fn answer(&mut self) -> Option<String> {
        let due = self.session.polling_due();
        let encoding = self.session.encoding();
        let mut packets = Vec::new();
        assert_eq!(self.session.answer_poll(|out| packets.push(packet(&self.config, out))), due);
        if packets.is_empty() {
            return None;
        }
        let Payload::Text(text) = payload::encode(&packets, encoding) else { panic!("a payload of bytes") };
        Some(text)
    }

    /// A GET and its immediate answer.
    pub(crate) fn fetch(&mut self) -> Option<String> {
        self.poll();
        self.answer()
    }

    /// A POST from its begin to its end.
    pub(crate) fn post(&mut self, body: &str) {
        self.session.post_begin().unwrap();
        self.post_body(body);
        self.session.post_end();
    }

    /// What the body of a POST brings.
    pub(crate) fn post_body(&mut self, body: &str) {
        for packet in payload::decode(self.session.encoding().protocol, body) {
            let event = self.session.receive(Transport::Polling, packet, self.now);
            self.heard.extend(event.map(told));
        }
    }

    /// A WebSocket comes for the session.
    pub(crate) fn attach(&mut self) {
        self.session.attach(false, self.now).unwrap();
    }

    /// A text frame comes on it.
    pub(crate) fn says(&mut self, text: &str) {
        let packet = Packet::from_text(self.session.encoding().protocol, text);
        let event = self.session.receive(Transport::WebSocket, packet, self.now);
        self.heard.extend(event.map(told));
    }

    /// A WebSocket comes, is probed and taken into use; the frames that it gets then.
    pub(crate) fn upgrades(&mut self) -> Vec<String> {
        self.attach();
        self.says("2probe");
        assert_eq!(self.frames(), ["3probe"]);
        self.says("5");
        assert_eq!(self.heard(), ["upgrading", "upgraded"]);
        self.frames()
    }

    /// The frames that the WebSocket is given by now.
    pub(crate) fn frames(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(out) = self.session.next_frame() {
            let Frame::Text(text) = packet(&self.config, out).frame(Encoding::V4) else { panic!("a frame of bytes") };
            frames.push(text);
        }
        frames
    }

    /// What the server has heard since the last look.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    /// The server queues messages.
    pub(crate) fn send(&mut self, messages: &[&'static str]) {
        for message in messages {
            self.session.send(message, message.len() + 1).unwrap();
        }
    }

    pub(crate) fn close(&mut self, reason: switchboard_io_proto::engine::CloseReason) {
        self.session.close(reason, self.now);
    }

    /// Time passes; the session is woken whenever it asked for it.
    pub(crate) fn waits(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.session.poll_timeout().filter(|&at| at <= end) {
            let before = (at, self.session.ended());
            self.now = self.now.max(at);
            let event = self.session.handle_timeout(self.now);
            self.heard.extend(event.map(told));
            assert_ne!((self.session.poll_timeout(), self.session.ended()), (Some(before.0), before.1), "it spins");
        }
        self.now = end;
    }
}

fn packet(config: &Config, out: Out<&'static str>) -> Packet<'static> {
    out.control().unwrap_or_else(|| match out {
        Out::Open => Packet::Open(OPEN[1..].into()),
        Out::Initial => Packet::Message(config.initial_packet.clone().unwrap()),
        Out::Message(text) => Packet::text(text),
        other => unreachable!("{other:?} is a control packet"),
    })
}

fn told(event: Event<'_>) -> String {
    match event {
        Event::Message(Data::Text(text)) => text.into_owned(),
        Event::Message(Data::Binary(bytes)) => format!("{bytes:?}"),
        Event::Upgrading => "upgrading".into(),
        Event::Upgraded => "upgraded".into(),
        Event::CloseCandidate => "close the candidate".into(),
    }
}
