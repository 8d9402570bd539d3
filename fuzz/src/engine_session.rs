//! An Engine.IO session in virtual time. An input is options and then operations: those of a driver that keeps the
//! contract, with a client that does what it likes, or, for the sake of panics only, in any order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_io_proto::engine::{
    CloseReason, Config, Data, Event, Known, Out, Packet, PacketError, Protocol, Session, Transport, Transports,
};

use crate::script::Script;

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (flags, sizes) = (script.byte(), script.byte());
    let config = Arc::new(Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        upgrade_timeout: Duration::from_millis(500),
        close_timeout: Duration::from_millis(700),
        max_payload: if sizes & 1 == 0 { 1_000_000 } else { 40 },
        transports: Transports::default(),
        allow_upgrades: flags & 1 == 0,
        allow_eio3: true,
        initial_packet: (flags & 2 != 0).then(|| Data::text("hello")),
        max_queued: if sizes & 2 == 0 { 1024 } else { 3 },
        max_queued_bytes: if sizes & 4 == 0 { 4 << 20 } else { 100 },
    });
    let known = Known {
        transport: if flags & 4 == 0 { Transport::Polling } else { Transport::WebSocket },
        protocol: if flags & 8 == 0 { Protocol::V4 } else { Protocol::V3 },
    };
    let now = Instant::now();
    let mut model = Model {
        session: Session::open(&config, known, flags & 16 != 0, now),
        config,
        now,
        lawless: flags & 32 != 0,
        websocket: known.transport == Transport::WebSocket,
        poll: false,
        post: false,
        accepted: 0,
        written: 0,
        greeted: 0,
        pinged: false,
        said_close: false,
        weights: Vec::new(),
    };
    while let Some(step) = script.step() {
        let before = model.session.ended();
        let closing = before.is_none() && !model.session.is_open();
        model.step(step, &mut script);
        model.check(before, closing);
    }
}

struct Model {
    session: Session<usize>,
    config: Arc<Config>,
    now: Instant,
    /// The contract is not kept.
    lawless: bool,
    /// There is a WebSocket, in use or a candidate.
    websocket: bool,
    /// A GET is open.
    poll: bool,
    /// A POST is open.
    post: bool,
    /// Messages that were queued; each is its number.
    accepted: usize,
    written: usize,
    /// What of the greeting was written.
    greeted: usize,
    /// A ping was written and no pong came.
    pinged: bool,
    said_close: bool,
    weights: Vec<usize>,
}

impl Model {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step & 0x0F {
            0 | 1 => self.receive(script),
            2 => self.poll_begin(),
            3 if self.lawless || self.poll => {
                self.session.poll_abort();
                self.poll = false;
            }
            4 => self.post = self.session.post_begin().is_ok() || self.post && self.session.ended().is_none(),
            5 if self.lawless || self.post => {
                if step & 0x10 == 0 {
                    self.session.post_end();
                } else {
                    self.session.post_abort();
                }
                self.post = false;
            }
            6 => {
                let attached = self.session.attach(step & 0x10 != 0, self.now).is_ok();
                assert!(self.lawless || !(attached && self.websocket), "two WebSockets");
                self.websocket |= attached;
            }
            7 if self.lawless || self.websocket => {
                self.session.detach(step & 0x10 != 0);
                self.websocket = false;
            }
            8 | 9 => self.send(usize::from(script.byte())),
            10 => self.answer_poll(),
            11 if self.lawless || self.websocket => self.frames(),
            12 | 13 => self.pass(Duration::from_millis(u64::from(script.byte()) * 4)),
            14 if step & 0xF0 == 0 => self.session.abort(CloseReason::ServerShuttingDown),
            14 => self.session.close(CloseReason::ForcedClose, self.now),
            _ => {}
        }
    }

    fn receive(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let from = if choice & 0x80 == 0 { self.session.transport() } else { Transport::WebSocket };
        if !self.lawless && !(if from == Transport::Polling { self.post } else { self.websocket }) {
            return;
        }
        let packet = match choice & 0x0F {
            0..=4 => Ok(Packet::text("m")),
            5 => Ok(Packet::binary(b"b")),
            6 => Ok(Packet::Ping("probe".into())),
            7 => Ok(Packet::Ping("".into())),
            8 | 9 => Ok(Packet::Pong("".into())),
            10 | 11 => Ok(Packet::Upgrade),
            12 => Ok(Packet::Noop),
            13 => Ok(Packet::Open("{}".into())),
            14 => Ok(Packet::Close),
            _ => Err(PacketError::Empty),
        };
        let (open, current) = (self.session.is_open(), from == self.session.transport());
        let event = self.session.receive(from, packet.clone(), self.now);
        if let (true, true, Ok(Packet::Message(data))) = (open, current, &packet) {
            assert_eq!(event, Some(Event::Message(data.clone())), "a message in was lost");
        }
        if packet == Ok(Packet::Pong("".into())) && current {
            self.pinged = false;
        }
        self.happened(event);
    }

    fn happened(&mut self, event: Option<Event<'_>>) {
        match event {
            Some(Event::Message(_)) => assert!(self.session.is_open(), "a message after the end"),
            Some(Event::Upgrading) => assert!(self.session.has_candidate()),
            Some(Event::Upgraded) => {
                assert_eq!(self.session.transport(), Transport::WebSocket);
                assert!(!self.session.has_candidate());
            }
            Some(Event::CloseCandidate) => {
                assert!(!self.session.has_candidate());
                self.websocket = false;
            }
            None => {}
        }
    }

    fn poll_begin(&mut self) {
        match self.session.poll_begin(self.now) {
            Ok(()) => {
                assert!(!self.poll || self.lawless, "two polls");
                self.poll = true;
            }
            Err(error) => assert!(
                self.session.ended().is_some() || self.session.transport() == Transport::WebSocket,
                "{error:?} to a session that polls"
            ),
        }
    }

    fn send(&mut self, weight: usize) {
        let (count, bytes) = self.session.queued();
        let open = self.session.is_open();
        if self.session.send(self.accepted, weight).is_ok() {
            assert!(open, "a message was taken after the end");
            assert!(count == 0 || count < self.config.max_queued && bytes + weight <= self.config.max_queued_bytes);
            self.accepted += 1;
            self.weights.push(weight);
        } else if open {
            assert!(count > 0, "an empty queue was full");
            assert!(count >= self.config.max_queued || bytes + weight > self.config.max_queued_bytes);
        }
    }

    fn answer_poll(&mut self) {
        let due = self.session.polling_due();
        let ended = self.session.ended().is_some();
        let mut outs = Vec::new();
        assert_eq!(self.session.answer_poll(|out| outs.push(out)), due, "polling_due said something else");
        assert_eq!(outs.is_empty(), !due, "an empty answer");
        if !due {
            return;
        }
        assert!(self.lawless || self.poll, "an answer to no poll");
        self.poll = false;
        if ended {
            assert!(matches!(outs[..], [Out::Close | Out::Noop]), "more than a goodbye: {outs:?}");
        }
        let messages: Vec<usize> =
            outs.iter().filter_map(|out| if let Out::Message(it) = out { Some(*it) } else { None }).collect();
        let weight: usize = messages.iter().map(|number| self.weights[*number] + 1).sum();
        assert!(weight <= self.config.max_payload || messages.len() == 1, "{weight} bytes in an answer");
        for out in outs {
            self.wrote(&out);
        }
    }

    fn frames(&mut self) {
        while let Some(out) = self.session.next_frame() {
            if self.session.transport() == Transport::Polling {
                assert_eq!(out, Out::Pong { probe: true }, "a candidate is told nothing else");
            }
            self.wrote(&out);
        }
    }

    fn wrote(&mut self, out: &Out<usize>) {
        // A poll that an upgrade has left behind ends when the driver gets to it.
        let left_behind = *out == Out::Noop && self.session.transport() == Transport::WebSocket;
        assert!(self.lawless || !self.said_close || left_behind, "{out:?} after Close");
        match out {
            Out::Open => {
                assert_eq!((self.greeted, self.written), (0, 0));
                self.greeted = 1;
            }
            Out::Initial => {
                assert_eq!((self.greeted, self.written), (1, 0));
                self.greeted = 2;
            }
            Out::Ping => {
                assert!(!self.pinged, "a second ping before the pong");
                assert_eq!(self.session.known().protocol, Protocol::V4);
                self.pinged = true;
            }
            Out::Message(number) => {
                assert!(self.greeted > 0, "a message before the greeting");
                assert_eq!(*number, self.written, "lost, or out of order");
                self.written += 1;
            }
            Out::Close => self.said_close = true,
            Out::Pong { .. } | Out::Noop => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let event = self.session.handle_timeout(self.now);
            self.happened(event);
            let next = self.session.poll_timeout();
            if next.is_some_and(|next| next <= self.now) {
                // Once more is right: two things may fall due together.
                let event = self.session.handle_timeout(self.now);
                self.happened(event);
            }
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed is still the next");
        }
        self.now = until;
    }

    fn check(&mut self, before: Option<CloseReason>, closing: bool) {
        let ended = self.session.ended();
        if before.is_some() {
            assert_eq!(ended, before, "an end that changed");
        } else if ended.is_none() {
            assert_eq!(self.session.queued().0, self.accepted - self.written);
            assert!(!self.session.is_direct() || self.accepted == self.written);
            assert!(self.lawless || !self.session.has_candidate() || self.websocket);
        } else if closing && self.said_close && ended == Some(CloseReason::ForcedClose) {
            assert_eq!(self.written, self.accepted, "closed with messages unsent");
        }
        if let Some(reason) = ended {
            assert!(!self.session.is_open() && !self.session.is_direct());
            assert_eq!((self.session.poll_timeout(), self.session.queued().0), (None, 0), "{reason}");
            assert!(self.session.next_frame().is_none());
            assert!(self.session.send(usize::MAX, 1).is_err());
            assert!(self.session.poll_begin(self.now).is_err());
            assert!(self.session.attach(false, self.now).is_err());
            assert!(self.session.receive(self.session.transport(), Ok(Packet::text("late")), self.now).is_none());
            assert!(self.session.handle_timeout(self.now).is_none());
        }
    }
}
