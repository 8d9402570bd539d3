//! `WebSocketUpgrade` among ordinary routes, on one port.

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use http::HeaderName;
use switchboard_testkit::frame;
use switchboard_ws::{
    AcceptError, CloseCode, Config, Context, DeflateConfig, Limits, MessageRef, OnMessage, Origins, PeerAddr,
    ServerOptions, Socket, UpgradeRejection, WebSocketUpgrade,
};
use tokio::sync::{Notify, mpsc};

use crate::rules;
use crate::wire::{UPGRADE, Wire, closing_code, connect, echo, header, hear, leave, listen, refused, say};

async fn serve(app: Router) -> SocketAddr {
    let (listener, addr) = listen().await;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

async fn page(addr: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = Wire::send(addr, request).await.response().await;
    (status, body)
}

/// An app with one route, which echoes after this was done to its upgrade.
fn echo_with(change: impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/", any(async move |upgrade: WebSocketUpgrade| change(upgrade).on_upgrade(echo)))
}

#[tokio::test]
async fn pages_and_websockets_on_one_port() {
    async fn room(
        Path(room): Path<String>,
        Query(query): Query<HashMap<String, String>>,
        State(motto): State<&'static str>,
        upgrade: WebSocketUpgrade,
    ) -> Response {
        upgrade.on_upgrade(async move |mut socket: Socket| {
            socket.send(format!("{motto}: {} in {room}", query["who"])).await.unwrap();
            echo(socket).await;
        })
    }
    async fn both(upgrade: Option<WebSocketUpgrade>) -> Response {
        match upgrade {
            Some(upgrade) => upgrade.on_upgrade(echo),
            None => "for browsers without".into_response(),
        }
    }
    let app = Router::new()
        .route("/", get("the page"))
        .route("/rooms/{room}", any(room))
        .route("/both", any(both))
        .route("/echo", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)))
        .with_state("hello");
    let addr = serve(app).await;

    rules::check(addr, "/echo").await;
    rules::refuses_ordinary_requests(addr, "/echo").await;
    rules::check(addr, "/both").await;
    assert_eq!(page(addr, "/").await, (200, "the page".into()));
    assert_eq!(page(addr, "/both").await, (200, "for browsers without".into()));
    assert_eq!(page(addr, "/nowhere").await, (404, String::new()));
    let mut client = connect(addr, "/rooms/blue%20room?who=me").await;
    assert_eq!(hear(&mut client).await, "hello: me in blue room");
    say(&mut client, "hi").await;
    assert_eq!(hear(&mut client).await, "hi");
    leave(&mut client).await;
}

#[tokio::test]
async fn a_configuration_for_the_app_and_one_for_the_route() {
    let open = ServerOptions { origins: Origins::Any, ..ServerOptions::default() };
    let of_route = Config::default().handshake(open);
    let of_app = Config::default();
    let app = echo_with({
        let of_route = of_route.clone();
        move |upgrade| upgrade.config(of_route.clone())
    });
    let app = app.route("/app", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)));
    let addr = serve(app.layer(Extension(of_app.clone()))).await;

    let foreign = "Origin: https://other.example\r\n";
    assert!(Wire::ask(addr, "/", foreign).await.head().await.starts_with("http/1.1 101 "));
    assert_eq!(Wire::ask(addr, "/app", foreign).await.response().await.0, 403);
    assert_eq!(page(addr, "/").await.0, 426);
    let refused = of_app.get_metrics().snapshot().refused;
    assert_eq!((refused["origin"], refused["upgrade"]), (1, 1));
    assert!(of_route.get_metrics().snapshot().refused.is_empty());

    let mut client = connect(addr, "/app").await;
    say(&mut client, "here").await;
    assert_eq!(hear(&mut client).await, "here");
    of_app.connections().close_all(CloseCode(1001), "going away").unwrap();
    assert_eq!(closing_code(&mut client).await, 1001);
    of_app.connections().wait_closed().await;
}

#[tokio::test]
async fn subprotocols_are_listed_and_chosen() {
    let (sender, mut offers) = mpsc::unbounded_channel();
    let addr = serve(echo_with(move |upgrade| {
        let offered: Vec<_> = upgrade.requested_protocols().map(str::to_owned).collect();
        sender.send(offered).unwrap();
        // In this order, so that the configuration does not undo the protocols.
        upgrade.protocols(["v2", "v1"]).config(Config::default())
    }))
    .await;
    for (headers, offered, chosen) in [
        ("Sec-WebSocket-Protocol: v0 ,v1\r\nSec-WebSocket-Protocol: ,v2\r\n", &["v0", "v1", "v2"][..], Some("v2")),
        ("Sec-WebSocket-Protocol: v0\r\n", &["v0"], None),
        ("", &[], None),
    ] {
        let head = Wire::ask(addr, "/", headers).await.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert_eq!(header(&head, "sec-websocket-protocol"), chosen);
        assert_eq!(offers.recv().await.unwrap(), offered);
    }
}

#[tokio::test]
async fn compression_is_negotiated() {
    let limits = Limits { deflate: Some(DeflateConfig::default()), ..Limits::default() };
    let config = Config::default().limits(limits);
    let addr = serve(echo_with(|upgrade| upgrade).layer(Extension(config))).await;
    let mut wire = Wire::ask(addr, "/", "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let head = wire.head().await;
    assert!(header(&head, "sec-websocket-extensions").unwrap().starts_with("permessage-deflate"), "{head}");
    // "Hello" as in RFC 7692 §7.2.3.1.
    wire.write(&frame::text([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).rsv1().masked()).await;
    assert_eq!(wire.frame().await, frame::text("Hello"), "too short to be compressed again");

    let head = Wire::ask(addr, "/", "").await.head().await;
    assert_eq!(header(&head, "sec-websocket-extensions"), None, "not without an offer");
}

#[tokio::test]
async fn headers_of_the_configuration_and_of_the_route() {
    let mut options = ServerOptions::default();
    options.headers.append(HeaderName::from_static("x-app"), "1".parse().unwrap()).unwrap();
    let config = Config::default().handshake(options);
    let route = async |upgrade: WebSocketUpgrade| ([("x-route", "2")], upgrade.on_upgrade(echo));
    let addr = serve(Router::new().route("/", any(route)).layer(Extension(config))).await;
    let head = Wire::ask(addr, "/", "").await.head().await;
    assert_eq!((header(&head, "x-app"), header(&head, "x-route")), (Some("1"), Some("2")));
}

#[tokio::test]
async fn the_peer_and_the_target_are_those_of_the_client() {
    async fn tell(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            let told = format!("{} {}", socket.info().peer(), socket.info().uri());
            socket.send(told).await.unwrap();
        })
    }
    let addressed = async |upgrade: WebSocketUpgrade| tell(upgrade.peer(PeerAddr::Unix)).await;
    let inner = Router::new().route("/inner", any(tell)).route("/unix", any(addressed));
    let addr = serve(Router::new().nest("/outer", inner)).await;
    let mut client = connect(addr, "/outer/inner?q=1").await;
    let local = match client.get_ref() {
        tokio_tungstenite::MaybeTlsStream::Plain(stream) => stream.local_addr().unwrap(),
        other => panic!("not plain: {other:?}"),
    };
    assert_eq!(hear(&mut client).await, format!("{local} /outer/inner?q=1"));
    assert_eq!(hear(&mut connect(addr, "/outer/unix").await).await, "unix /outer/unix");
}

#[tokio::test]
async fn a_handler_is_made_from_what_was_agreed() {
    let route = async |upgrade: WebSocketUpgrade| {
        upgrade.protocols(["v1"]).serve(|info| {
            let protocol = info.protocol().unwrap_or("none").to_owned();
            OnMessage::new(move |cx, message| {
                assert!(!matches!(message, MessageRef::Text("panic")), "a bug for the test to find");
                cx.send(&*protocol);
                cx.send(message);
            })
        })
    };
    let addr = serve(Router::new().route("/", any(route))).await;
    let mut wire = Wire::ask(addr, "/", "Sec-WebSocket-Protocol: v1\r\n").await;
    wire.head().await;
    wire.write(&frame::text("hi").masked()).await;
    assert_eq!((wire.frame().await, wire.frame().await), (frame::text("v1"), frame::text("hi")));

    let mut unlucky = connect(addr, "/").await;
    say(&mut unlucky, "panic").await;
    assert_eq!(closing_code(&mut unlucky).await, 1011);
    wire.write(&frame::text("again").masked()).await;
    assert_eq!((wire.frame().await, wire.frame().await), (frame::text("v1"), frame::text("again")));
}

/// The socket is taken back out of hyper, with what hyper has read of the frames behind the request.
#[tokio::test]
async fn a_handler_on_a_plain_socket_is_driven_by_a_shard() {
    let config = Config::default();
    let route = async |upgrade: WebSocketUpgrade| {
        upgrade.serve(|_| {
            OnMessage::new(|cx, message| {
                cx.send(message);
            })
        })
    };
    let app = Router::new().route("/", any(route)).layer(Extension(config.clone()));
    let addr = serve(app).await;
    let mut request = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
    request.extend(frame::text("glued").masked().bytes());
    let mut wire = Wire::send(addr, request).await;
    assert!(wire.head().await.contains(" 101 "));
    assert_eq!(wire.frame().await, frame::text("glued"));
    wire.write(&frame::text("later").masked()).await;
    assert_eq!(wire.frame().await, frame::text("later"));
    let counted = config.get_metrics().snapshot();
    assert_eq!((counted.total, counted.unsharded), (1, 0));
}

/// A future that panics and keeps its socket.
struct Keeper(Option<Socket>);

impl Future for Keeper {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        assert!(self.0.is_none(), "a bug for the test to find");
        std::task::Poll::Ready(())
    }
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let making = async |upgrade: WebSocketUpgrade| {
        upgrade.serve(|_| -> OnMessage<fn(&mut Context<'_>, MessageRef<'_>)> { panic!("a bug for the test to find") })
    };
    let calling = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(|socket| -> std::future::Ready<()> {
            panic!("{:?} is a bug for the test to find", socket.info())
        })
    };
    let running = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket: Socket| {
            let message = socket.recv().await;
            panic!("{message:?} is a bug for the test to find");
        })
    };
    let keeping = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|socket| Keeper(Some(socket)));
    let app = echo_with(|upgrade| upgrade)
        .route("/making", any(making))
        .route("/calling", any(calling))
        .route("/running", any(running))
        .route("/keeping", any(keeping));
    let addr = serve(app).await;

    let mut other = connect(addr, "/").await;
    let mut client = connect(addr, "/running").await;
    say(&mut client, "boo").await;
    assert_eq!(closing_code(&mut client).await, 1011);
    for path in ["/calling", "/keeping"] {
        assert_eq!(closing_code(&mut connect(addr, path).await).await, 1011, "{path}");
    }
    assert_eq!(refused(addr, "/making").await.0, 500);
    say(&mut other, "still here").await;
    assert_eq!(hear(&mut other).await, "still here");
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_is_reported() {
    let (sender, mut errors) = mpsc::unbounded_channel();
    let asked = Arc::new(Notify::new());
    let route = {
        let asked = Arc::clone(&asked);
        async move |upgrade: WebSocketUpgrade| -> Response {
            let _response = upgrade.on_failed(move |error| sender.send(error).unwrap()).on_upgrade(echo);
            asked.notify_one();
            pending().await
        }
    };
    let addr = serve(Router::new().route("/", any(route))).await;
    let wire = Wire::ask(addr, "/", "").await;
    asked.notified().await;
    drop(wire);
    let error = errors.recv().await.unwrap();
    assert!(matches!(error, AcceptError::Disconnected), "{error}");
}

#[tokio::test]
async fn a_rejection_can_be_caught_and_told_otherwise() {
    let route = async |upgrade: Result<WebSocketUpgrade, UpgradeRejection>| match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(echo),
        Err(rejection) => format!("we would say: {rejection}").into_response(),
    };
    let addr = serve(Router::new().route("/", any(route))).await;
    let (status, body) = page(addr, "/").await;
    assert_eq!(status, 200);
    assert!(body.starts_with("we would say: refused with 426: this address speaks WebSocket"), "{body}");
}
