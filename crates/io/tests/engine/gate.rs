//! An engine behind a gate: its WebSockets are opened by shards, and everything else goes to the HTTP service.
#![cfg(unix)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::{Engine, EngineConfig, Hooks, Limit, Transport};
use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{Config, Gate, GatedListener, Handler, Limits, NoRoom, Pass, PeerAddr, PerAddress, Visitor};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::support::{Client, Heard, Host, POLLING, WEBSOCKET, engine, gets_the_first_subprotocol, post, sid, text};

struct Porter {
    engine: Engine,
    ws: Config,
    runtime: Handle,
}

impl Gate for Porter {
    fn admit(&self, _: PeerAddr) -> Result<Pass, NoRoom> {
        Ok(Box::new(()))
    }

    fn config(&self, request: &Request<()>) -> Option<Config> {
        self.engine.opens(request).then(|| self.ws.clone())
    }

    fn open(&self, request: &Request<()>, peer: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        self.engine.open(request, peer, pass)
    }

    fn visit(&self, visitor: Visitor) {
        let service = TowerToHyperService::new(self.engine.service());
        let (read, io) = (std::io::Cursor::new(visitor.read), visitor.io);
        let (reader, writer) = tokio::io::split(io);
        let io = tokio::io::join(read.chain(reader), writer);
        let serving = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades();
        self.runtime.spawn(serving);
    }
}

async fn host(config: EngineConfig) -> Host {
    let (engine, heard) = engine(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let served = Config::default();
    let porter = Porter { engine: engine.clone(), ws: engine.ws_config(&served), runtime: Handle::current() };
    tokio::spawn(async move { served.serve_gate(GatedListener::Tcp(listener), Arc::new(porter)).await });
    Host::of(engine, address, heard)
}

#[tokio::test]
async fn websockets_and_upgrades_are_opened_by_the_shard() {
    let mut host = host(EngineConfig::default()).await;
    let (mut wire, session) = host.websocket().await;
    assert!(matches!(session.handshake().peer(), PeerAddr::Ip(_)));
    wire.say(&frame::text("4hello").masked()).await;
    assert_eq!(text(&mut wire).await, "4hello");
    assert_eq!(host.heard().await, Heard::Message("hello".into()));
    let (client, session) = host.polling().await;
    let mut wire = client.websocket().await;
    wire.say(&frame::text("2probe").masked()).await;
    assert_eq!(text(&mut wire).await, "3probe");
    wire.say(&frame::text("5").masked()).await;
    wire.say(&frame::text("4hi").masked()).await;
    assert_eq!(text(&mut wire).await, "4hi");
    assert_eq!(session.transport(), Transport::WebSocket);
}

#[tokio::test]
async fn a_shard_answers_the_first_subprotocol_that_is_offered() {
    gets_the_first_subprotocol(&mut host(EngineConfig::default()).await).await;
}

#[tokio::test]
async fn refusals_and_hooks_are_the_services() {
    let mut plain = host(EngineConfig::default()).await;
    let response = Wire::ask(plain.address, "/engine.io/?EIO=3&transport=websocket", "").await.response().await;
    assert_eq!((response.status, &*response.body), (400, "Unsupported protocol version"));
    plain.websocket().await;
    let hooks = Hooks::default().headers(|headers, _| drop(headers.insert("x-each", "1".parse().expect("a value"))));
    let hooked = host(EngineConfig { hooks, ..EngineConfig::default() }).await;
    let head = Wire::ask(hooked.address, WEBSOCKET, "").await.head().await;
    assert!(head.contains("x-each: 1"), "{head}");
}

/// As sessions on polling need no connection of their own.
#[tokio::test]
async fn an_address_has_so_many_sessions_over_however_few_connections() {
    let config = EngineConfig { sessions_per_address: PerAddress::Every(2), ..EngineConfig::default() };
    let (engine, heard) = engine(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let mut host = Host::of(engine, address, heard);
    let from_there = || Wire::connect_from(address, [127, 0, 0, 9], 64 << 10);
    let mut wire = from_there().await;
    let mut opened = Vec::new();
    for _ in 0..2 {
        opened.push(sid(&wire.get(POLLING).await.body));
        host.session().await;
    }
    let refused = wire.get(POLLING).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(refused.body, r#"{"code":4,"message":"Your address has as many sessions as it may have"}"#);
    let mut other = from_there().await;
    other.request(WEBSOCKET, "").await;
    let refused = other.response().await;
    assert_eq!((refused.status, &*refused.body), (429, "Your address has as many sessions as it may have"));
    assert_eq!(host.engine.metrics().limit(Limit::AddressSessions), 2);
    // A session that goes over to a WebSocket is still one.
    let mut upgraded = from_there().await;
    upgraded.request(&format!("{WEBSOCKET}&sid={}", opened[0]), "").await;
    assert!(upgraded.head().await.starts_with("http/1.1 101 "));
    for word in ["2probe", "5", "4hi"] {
        upgraded.say(&frame::text(word).masked()).await;
    }
    assert_eq!([text(&mut upgraded).await, text(&mut upgraded).await], ["3probe", "4hi"]);
    assert_eq!(host.heard().await, Heard::Message("hi".into()));
    // Others have their own, and one that is over makes room.
    host.polling().await;
    host.websocket().await;
    wire.send(post(&format!("{POLLING}&sid={}", opened[1]), "", "1")).await;
    assert_eq!(wire.response().await.body, "ok");
    assert_eq!(wire.get(POLLING).await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_the_answer_to_its_poll_is_cut_off() {
    /// More than the kernel takes for somebody who does not read.
    const LONG: usize = 32 << 20;
    let limits = Limits { write_timeout: Some(Duration::from_millis(50)), ..Limits::default() };
    let config = EngineConfig {
        websockets: Config::default().limits(limits),
        http_compression: None,
        ..EngineConfig::default()
    };
    let (engine, heard) = engine(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let mut host = Host::of(engine, address, heard);
    let mut client = Client::open(address, POLLING).await;
    host.session().await.send_text(&format!("4{}", "x".repeat(LONG)));
    client.ask().await;
    within("the limit", async {
        while host.engine.metrics().limit(Limit::WriteTime) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The session is not concerned: its client may come again, until its heartbeat fails.
    assert_eq!(host.engine.sessions(), 1);
}
