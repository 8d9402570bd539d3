//! An engine with an application that tells the test all that it hears, and clients of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::{
    App, CloseReason, Conversation, Engine, EngineConfig, ParcelOptions, Session, SessionConfig, parcel,
};
use switchboard_testkit::{Response, Wire, within};
use switchboard_ws::{Hub, Message, MessageRef};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The prefix of every request for a new session.
pub(crate) const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

/// What an application hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Open(Session),
    Message(Message),
    Alive,
    Closed(CloseReason),
}

/// Echoes, after telling.
struct Echo {
    heard: UnboundedSender<Heard>,
}

impl App<Session> for Echo {
    fn open(&self, session: &Session) -> Box<dyn Conversation<Session>> {
        self.heard.send(Heard::Open(session.clone())).expect("the test listens");
        Box::new(Self { heard: self.heard.clone() })
    }
}

impl Conversation<Session> for Echo {
    fn message(&mut self, session: &Session, message: MessageRef<'_>) {
        self.owned_message(session, message.to_owned());
    }

    fn owned_message(&mut self, session: &Session, message: Message) {
        // Whoever drops the receiver has heard enough.
        let _ = self.heard.send(Heard::Message(message.clone()));
        match message.as_text() {
            Some("panic") => panic!("as the test wants it"),
            Some("quiet") => {}
            Some(text) => drop(session.send_text(&format!("4{text}"))),
            None => drop(session.send(parcel([message], ParcelOptions::default()))),
        }
    }

    fn alive(&mut self, _: &Session) {
        let _ = self.heard.send(Heard::Alive);
    }

    fn closed(&mut self, _: &Session, reason: CloseReason) {
        let _ = self.heard.send(Heard::Closed(reason));
    }
}

/// A server.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    heard: UnboundedReceiver<Heard>,
}

pub(crate) fn engine(config: EngineConfig) -> (Engine, UnboundedReceiver<Heard>) {
    let (tell, heard) = unbounded_channel();
    (Engine::new(config, Arc::new(Echo { heard: tell }), Hub::default()), heard)
}

impl Host {
    pub(crate) async fn new(config: EngineConfig) -> Self {
        let (engine, heard) = engine(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let service = engine.service();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
                tokio::spawn(serving);
            }
        });
        Self { engine, address, heard }
    }

    pub(crate) fn of(engine: Engine, address: SocketAddr, heard: UnboundedReceiver<Heard>) -> Self {
        Self { engine, address, heard }
    }

    pub(crate) async fn heard(&mut self) -> Heard {
        within("the application to hear", self.heard.recv()).await.expect("the application is there")
    }

    pub(crate) async fn session(&mut self) -> Session {
        match self.heard().await {
            Heard::Open(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// A polling client that has its handshake.
    pub(crate) async fn polling(&mut self) -> (Client, Session) {
        let client = Client::open(self.address, POLLING).await;
        (client, self.session().await)
    }

    /// A WebSocket client that has its handshake.
    pub(crate) async fn websocket(&mut self) -> (Wire, Session) {
        let mut wire = Wire::open(self.address, WEBSOCKET).await;
        let text = text(&mut wire).await;
        assert!(text.starts_with(r#"0{"sid":""#), "{text}");
        (wire, self.session().await)
    }
}

/// A polling client: one connection for its GETs and one for its POSTs.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) sid: String,
    pub(crate) gets: Wire,
    pub(crate) posts: Wire,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let mut gets = Wire::connect(address).await;
        let response = gets.get(path).await;
        assert_eq!(response.status, 200, "{response:?}");
        let sid = sid(&response.body);
        let path = format!("{path}&sid={sid}");
        Self { address, path, sid, gets, posts: Wire::connect(address).await }
    }

    pub(crate) async fn poll(&mut self) -> Response {
        self.gets.get(&self.path).await
    }

    /// Asks, without waiting for the answer.
    pub(crate) async fn ask(&mut self) {
        self.gets.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.path)).await;
    }

    pub(crate) async fn post(&mut self, body: &str) -> Response {
        self.posts.send(post(&self.path, "", body)).await;
        self.posts.response().await
    }

    /// A WebSocket for the session.
    pub(crate) async fn websocket(&self) -> Wire {
        Wire::open(self.address, &format!("{WEBSOCKET}&sid={}", self.sid)).await
    }
}

/// A WebSocket that is offered these subprotocols gets the first, as by Node's server, new or for an upgrade.
pub(crate) async fn gets_the_first_subprotocol(host: &mut Host) {
    let (client, _) = host.polling().await;
    for path in [WEBSOCKET.to_owned(), format!("{WEBSOCKET}&sid={}", client.sid)] {
        let offer = "Sec-WebSocket-Protocol: v2.example, v1\r\nSec-WebSocket-Protocol: v3\r\n";
        let head = Wire::ask(host.address, &path, offer).await.head().await;
        assert!(head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-protocol: v2.example\r\n"), "{head}");
        let head = Wire::ask(host.address, &path, "").await.head().await;
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("sec-websocket-protocol"), "{head}");
    }
    let no_token = "Sec-WebSocket-Protocol: a b\r\n";
    assert_eq!(Wire::ask(host.address, WEBSOCKET, no_token).await.response().await.status, 400);
}

pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

pub(crate) fn sid(handshake: &str) -> String {
    let at = handshake.find(r#""sid":""#).expect("an id") + 7;
    handshake[at..at + 20].to_owned()
}

/// The next text frame.
pub(crate) async fn text(wire: &mut Wire) -> String {
    let frame = wire.frame().await;
    assert_eq!(frame.first, 0x81, "{frame:?}");
    String::from_utf8(frame.payload).expect("text")
}

/// Settings whose times are short.
pub(crate) fn quick() -> EngineConfig {
    let session = SessionConfig {
        ping_interval: Duration::from_millis(50),
        ping_timeout: Duration::from_millis(50),
        ..SessionConfig::default()
    };
    EngineConfig { session, ..EngineConfig::default() }
}
