//! A client of Socket.IO that compares whatever it meets with what the model says, and says right and wrong things.

use std::collections::BTreeMap;

use bytes::Bytes;
use switchboard_io::{Parser, Socket, SocketIo, Spread, Value};
use switchboard_io_proto::engine::{Data, Packet as EnginePacket, Protocol};
use switchboard_io_proto::socket::{Decoder, EventHead, Frame, Frames, Incoming, Kind, Namespace, Packet};
use switchboard_testkit::frame;

use super::model::{Model, Said, What, are_same};
use super::server::REFUSE;
use super::wire::Wire;
use crate::values::{same, wide};

pub(super) struct Client {
    pub(super) line: usize,
    pub(super) protocol: Protocol,
    model: Model,
    parser: Parser,
    wire: Wire,
    decoder: Decoder,
    /// Where it is, or has asked to be.
    pub(super) places: BTreeMap<String, Place>,
    /// Questions that it may answer.
    owed: Vec<(String, u64, u32)>,
    next_id: u64,
    /// It broke a rule, and is to be closed for that.
    pub(super) is_doomed: bool,
    /// It does not answer pings.
    pub(super) is_deaf: bool,
    /// The server has closed it.
    pub(super) is_over: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) is_in: bool,
    pub(super) id: String,
    pub(super) pid: Option<String>,
    offset: Option<String>,
    /// The last event that it has met and that can be recovered.
    tag: Option<u32>,
    manner: u8,
}

impl Client {
    pub(super) fn new(line: usize, protocol: Protocol, parser: Parser, wire: Wire, model: &Model) -> Self {
        let mut places = BTreeMap::new();
        if protocol == Protocol::V3 {
            // They are there without asking.
            places.insert("/".to_owned(), Place::default());
        }
        Self {
            line,
            protocol,
            model: model.clone(),
            parser,
            wire,
            decoder: Decoder::new(),
            places,
            owed: Vec::new(),
            next_id: 0,
            is_doomed: false,
            is_deaf: false,
            is_over: false,
        }
    }

    /// Nothing is known of what it says.
    pub(super) fn is_wild(&self) -> bool {
        self.model.lock().lines[self.line].is_wild
    }

    /// Its socket in a namespace.
    pub(super) fn socket(&self, io: &SocketIo, namespace: &str) -> Socket {
        let sockets = io.of(namespace).sockets();
        let number = self.line.to_string();
        let is_it = |socket: &Socket| socket.handshake().query().any(|it| it.0 == "c" && it.1 == number);
        sockets.into_iter().find(is_it).expect("its socket is there")
    }

    // What it says.

    /// Asks for a namespace.
    pub(super) async fn ask(&mut self, namespace: &str, manner: u8, back: Option<&Place>, tells_offset: bool) {
        if self.places.contains_key(namespace) || self.is_wild() {
            return;
        }
        let manner = if self.protocol == Protocol::V3 { 0 } else { manner };
        let mut place = Place { manner, ..Place::default() };
        let mut auth = vec![("manner".to_owned(), Value::from(manner))];
        if let Some(Place { id, pid: Some(pid), offset, tag, .. }) = back {
            auth.extend([("pid".to_owned(), pid.as_str().into()), ("id".to_owned(), id.as_str().into())]);
            auth.extend(tag.map(|tag| ("tag".to_owned(), tag.into())));
            let offset = offset.clone().filter(|_| tells_offset);
            auth.extend(offset.as_ref().map(|offset| ("offset".to_owned(), offset.as_str().into())));
            // Without an offset it may be given again what it had, and has still had it.
            (place.offset, place.tag) = (offset, *tag);
        }
        self.places.insert(namespace.to_owned(), place);
        let name = name(namespace);
        let frames = match self.protocol {
            Protocol::V4 => self.parser.connect(&name, &Value::Object(auth)),
            Protocol::V3 => self.parser.connect(&name, &()),
        };
        self.send(&frames.expect("words can be written")).await;
    }

    /// Says something where it is.
    pub(super) async fn say(&mut self, namespace: &str, args: Vec<Value>, asks: bool) {
        if !self.places.get(namespace).is_some_and(|place| place.is_in) || self.is_wild() {
            return;
        }
        self.next_id += u64::from(asks);
        let id = asks.then_some(self.next_id);
        let name = name(namespace);
        let head = EventHead { id, ..EventHead::new(&name, "do") };
        let frames = self.parser.event(&head, &Spread(args.clone())).expect("values can be written");
        if frames.attachments.len() > 10 {
            // More than may be.
            return;
        }
        let said = Said { id, args };
        self.model.lock().lines[self.line].said.entry(namespace.to_owned()).or_default().push_back(said);
        self.send(&frames).await;
    }

    /// Leaves a namespace.
    pub(super) async fn leave(&mut self, namespace: &str) {
        if self.places.get(namespace).is_some_and(|place| place.is_in) && !self.is_wild() {
            // What is on its way to it is met all the same.
            self.places.remove(namespace);
            self.owed.retain(|(it, _, _)| it != namespace);
            self.send(&self.parser.disconnect(&name(namespace))).await;
        }
    }

    /// Answers one of the questions that it was asked. Like stock clients it waits until it is in: one that a middleware
    /// has put into a room may be asked before, and would be closed for an answer.
    pub(super) async fn answer(&mut self, number: u8, payload: Value) {
        let is_in = |namespace: &String| self.places.get(namespace).is_some_and(|place| place.is_in);
        let may: Vec<usize> = (0..self.owed.len()).filter(|place| is_in(&self.owed[*place].0)).collect();
        let Some(number) = usize::from(number).checked_rem(may.len()) else { return };
        let (namespace, id, tag) = self.owed.swap_remove(may[number]);
        let Ok(frames) = self.parser.ack(&name(&namespace), id, &(tag, &payload)) else { return };
        if frames.attachments.len() > 10 || self.is_wild() {
            return;
        }
        self.model.lock().answers.entry(tag).or_default().push(payload);
        self.send(&frames).await;
    }

    /// Says good-bye by its transport.
    pub(super) async fn close(&mut self) {
        self.model.lock().lines[self.line].is_over = true;
        match &self.wire {
            Wire::WebSocket(_) => self.wire.send_frame(frame::close(1000, "")).await,
            Wire::Polling(_) => self.wire.send(EnginePacket::Close).await,
        }
    }

    /// Says anything at all.
    pub(super) async fn rave(&mut self, kind: u8, bytes: &[u8]) {
        self.model.lock().lines[self.line].is_wild = true;
        let text = String::from_utf8_lossy(bytes).into_owned();
        match kind % 4 {
            0 => self.wire.send(EnginePacket::Message(Data::Text(text.into()))).await,
            1 => self.wire.send(EnginePacket::binary(bytes).into_owned()).await,
            2 => self.wire.send_frame(frame::text(text)).await,
            _ => self.wire.send_frame(frame::raw(kind, bytes)).await,
        }
    }

    /// Breaks a rule for which clients are closed.
    pub(super) async fn sin(&mut self, kind: u8) {
        if self.is_wild() {
            return;
        }
        self.model.lock().lines[self.line].is_wild = true;
        let never = name("/never");
        let other = self.places.keys().find(|place| *place != "/").filter(|_| kind.is_multiple_of(4));
        // One that was refused may ask again: it is not certain then that a rule was broken.
        self.is_doomed = other.is_none();
        match (kind % 4, other) {
            (_, Some(place)) => self.send(&self.parser.connect(&name(place), &()).expect("no words")).await,
            (0 | 1, None) => self.send(&self.parser.event(&EventHead::new(&never, "do"), &()).expect("no words")).await,
            (2, None) => self.send(&self.parser.ack(&never, 1, &()).expect("no words")).await,
            _ => {
                for _ in 0..2 {
                    self.wire.send(EnginePacket::Message(Data::Text("51-[\"do\"]".into()))).await;
                }
            }
        }
    }

    /// The ping of those who ping by themselves.
    pub(super) async fn ping(&mut self) {
        if self.protocol == Protocol::V3 && !self.is_deaf {
            self.wire.send(EnginePacket::Ping("".into())).await;
        }
    }

    async fn send(&mut self, frames: &Frames) {
        for frame in frames.iter() {
            let data = match frame {
                Frame::Text(text) => {
                    let text = String::from_utf8(text.to_vec()).expect("text is UTF-8");
                    Data::Text(text.strip_prefix('4').expect("with the type in front").to_owned().into())
                }
                Frame::Binary(bytes) => Data::binary(&bytes).into_owned(),
            };
            self.wire.send(EnginePacket::Message(data)).await;
        }
    }

    // What it hears.

    /// Meets what has come. Returns whether there were messages.
    pub(super) async fn read(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        let news = self.wire.read().await;
        let (mut is_any, mut is_over) = (false, news.is_over);
        for packet in news.packets {
            match packet {
                EnginePacket::Message(data) => {
                    is_any = true;
                    self.hear(data);
                }
                EnginePacket::Ping(_) if !self.is_deaf => self.wire.send(EnginePacket::Pong("".into())).await,
                EnginePacket::Close => is_over = true,
                _ => {}
            }
        }
        if is_over {
            self.end();
        }
        is_any
    }

    /// The server has closed it.
    fn end(&mut self) {
        self.is_over = true;
        let mut state = self.model.lock();
        let line = &state.lines[self.line];
        assert!(line.is_due(), "{} was closed for nothing", self.line);
        if line.is_dismissed && !line.is_wild && !line.is_over {
            state.check_line(self.line);
        }
        state.lines[self.line].is_over = true;
    }

    fn hear(&mut self, data: Data<'static>) {
        let message = match data {
            Data::Text(text) => Incoming::OwnedText(Bytes::from(text.into_owned())),
            Data::Binary(bytes) => Incoming::Binary(bytes.into_owned().into()),
        };
        let packet = self.parser.decode(&mut self.decoder, &wide(), message).expect("servers send packets");
        let Some(Packet { namespace, kind }) = packet else { return };
        let namespace = namespace.as_str();
        let got = format!("{kind:?}");
        let (line, model) = (self.line, self.model.clone());
        let mut state = model.lock();
        if state.lines[line].is_wild && !matches!(kind, Kind::Event { .. }) {
            return;
        }
        let recovers = state.recovers;
        let mut meet = |is_it: &dyn Fn(&What) -> bool| state.meet(line, namespace, is_it, &got);
        match kind {
            Kind::Connect(auth) => {
                let auth: Value = auth.and_then(|auth| auth.get(0).ok()).unwrap_or_default();
                let word = |name| auth.get(name).and_then(Value::as_str).map(str::to_owned);
                let sid = word("sid");
                meet(&|what| matches!(what, What::Welcome { id } if sid.as_ref().is_none_or(|sid| sid == id)));
                let place = self.places.get_mut(namespace).expect("it has asked");
                assert_eq!((sid.is_some(), place.is_in), (self.protocol == Protocol::V4, false));
                (place.id, place.pid, place.is_in) = (sid.unwrap_or_default(), word("pid"), true);
            }
            Kind::ConnectError(args) => {
                let words: Value = args.get(0).unwrap_or_default();
                let words = words.get("message").cloned().unwrap_or(words);
                let place = self.places.remove(namespace).expect("it has asked");
                self.owed.retain(|(it, _, _)| it != namespace);
                if words.as_str() == Some("Invalid namespace") {
                    let is_none = namespace == "/nowhere" || namespace.starts_with("/f-") && place.manner & REFUSE != 0;
                    assert!(is_none, "{namespace} is a namespace");
                } else {
                    assert_eq!(words.as_str(), Some("not you"));
                    meet(&|what| matches!(what, What::Refused));
                }
            }
            Kind::Event { name, args, id } => {
                let mut values = args.values();
                let offset = (recovers && id.is_none()).then(|| values.pop()).flatten();
                let [tag, payload] = &values[..] else { panic!("{line} got {got}") };
                let tag = tag.as_number().and_then(|tag| u32::try_from(tag.as_u64()?).ok()).expect("a number");
                meet(&|what| match what {
                    What::Event { tag: it, payload: sent, asks } => {
                        *it == tag && *asks == id.is_some() && same(payload, sent)
                    }
                    _ => false,
                });
                if let Some(place) = self.places.get_mut(namespace) {
                    // It may be given something again, and has still had what came after that.
                    if let Some(offset) = offset.filter(|_| place.tag < Some(tag)) {
                        place.offset = offset.as_str().map(str::to_owned);
                        place.tag = if &*name == "news" { Some(tag) } else { place.tag };
                    }
                    self.owed.extend(id.map(|id| (namespace.to_owned(), id, tag)));
                }
            }
            Kind::Ack { args, id } => {
                let values = args.values();
                meet(&|what| matches!(what, What::Ack { id: it, args } if *it == id && are_same(&values, args)));
            }
            Kind::Disconnect => {
                meet(&|what| matches!(what, What::Disconnect));
                // It may have left by itself at the same moment, and asked again.
                if self.places.get(namespace).is_some_and(|place| place.is_in) {
                    self.places.remove(namespace);
                }
                self.owed.retain(|(it, _, _)| it != namespace);
            }
        }
    }
}

fn name(namespace: &str) -> Namespace {
    Namespace::new(namespace).expect("no comma")
}
