//! What is HTTP's alone: CORS, cookies, compression, old browsers, and other services on the same port.

use std::io::{Cursor, Read};
use std::net::Ipv4Addr;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::{AllowOrigin, Cookie, Cors, EngineConfig, HttpCompression, ParcelOptions, parcel};
use switchboard_testkit::{Wire, within};
use switchboard_ws::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;

use crate::support::{Host, POLLING, WEBSOCKET, engine};

fn cors() -> EngineConfig {
    let origin = AllowOrigin::List(vec!["http://a.example".into()]);
    EngineConfig { cors: Some(Cors { origin, credentials: true, ..Cors::default() }), ..EngineConfig::default() }
}

async fn ask(host: &Host, method: &str, headers: &str) -> switchboard_testkit::Response {
    let mut wire = Wire::connect(host.address).await;
    wire.send(format!("{method} {POLLING} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
    wire.response().await
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_what_it_may() {
    let host = Host::new(cors()).await;
    let origin = "Origin: http://a.example\r\n";
    let response = ask(&host, "GET", origin).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("http://a.example"));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(ask(&host, "GET", "Origin: http://b\r\n").await.header("access-control-allow-origin"), None);
    let mut wire = Wire::connect(host.address).await;
    wire.send(format!(
        "OPTIONS {POLLING} HTTP/1.1\r\nHost: localhost\r\n{origin}Access-Control-Request-Headers: x-one\r\n\r\n"
    ))
    .await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 204 "), "{head}");
    assert!(head.contains("access-control-allow-methods: get,head,put,patch,post,delete\r\n"), "{head}");
    assert!(head.contains("access-control-allow-headers: x-one\r\n"), "{head}");
    let plain = Host::new(EngineConfig::default()).await;
    assert_eq!(ask(&plain, "OPTIONS", origin).await.body, r#"{"code":2,"message":"Bad handshake method"}"#);
}

#[tokio::test]
async fn errors_are_readable_for_pages_too() {
    let host = Host::new(cors()).await;
    let response = ask(&host, "POST", "Origin: http://a.example\r\nContent-Length: 0\r\n").await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (400, Some("http://a.example")));
}

#[tokio::test]
async fn websockets_are_for_the_pages_that_may_read() {
    let host = Host::new(cors()).await;
    let plain = Host::new(EngineConfig::default()).await;
    for (host, origin, opens) in [
        (&host, "http://a.example", true),
        (&host, "http://b.example", false),
        (&plain, "http://localhost", true),
        (&plain, "http://a.example", false),
    ] {
        let head = Wire::ask(host.address, WEBSOCKET, &format!("Origin: {origin}\r\n")).await.head().await;
        let status = if opens { "http/1.1 101 " } else { "http/1.1 400 " };
        assert!(head.starts_with(status), "{origin}: {head}");
    }
}

#[tokio::test]
async fn a_cookie_comes_with_the_first_answer_only() {
    let config = EngineConfig { cookie: Some(Cookie::default()), ..EngineConfig::default() };
    let mut host = Host::new(config).await;
    let mut wire = Wire::connect(host.address).await;
    let response = wire.get(POLLING).await;
    let session = host.session().await;
    let sid = session.sid().as_str();
    let cookie = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax").to_ascii_lowercase();
    assert_eq!(response.header("set-cookie"), Some(&*cookie));
    session.send_text("4x");
    assert_eq!(wire.get(&format!("{POLLING}&sid={sid}")).await.header("set-cookie"), None);
}

/// The head and the body of the answer to a poll by a client that takes this coding.
async fn fetch(host: &Host, path: &str, coding: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(host.address).await.expect("someone listens");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    within("the answer", stream.read_to_end(&mut bytes)).await.expect("read");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = bytes.split_off(end);
    (String::from_utf8_lossy(&bytes).to_ascii_lowercase(), body)
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_want_it() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (client, session) = host.polling().await;
    let message = format!("4{}", "hello ".repeat(500));
    for (coding, read) in [
        ("gzip", (|bytes| Box::new(GzDecoder::new(bytes))) as fn(Cursor<Vec<u8>>) -> Box<dyn Read>),
        ("deflate", |bytes| Box::new(ZlibDecoder::new(bytes))),
    ] {
        session.send_text(&message);
        let (head, body) = fetch(&host, &client.path, coding).await;
        assert!(head.contains(&format!("content-encoding: {coding}\r\n")), "{head}");
        let mut text = String::new();
        read(Cursor::new(body)).read_to_string(&mut text).expect(coding);
        assert_eq!(text, message);
    }
    session.send_text(&message);
    let (head, body) = fetch(&host, &client.path, "identity").await;
    assert!(!head.contains("content-encoding") && body == message.as_bytes(), "{head}");
}

#[tokio::test]
async fn an_answer_goes_plain_if_short_or_if_all_in_it_is_to() {
    let compression = HttpCompression { threshold: 100, ..HttpCompression::default() };
    let mut host = Host::new(EngineConfig { http_compression: Some(compression), ..EngineConfig::default() }).await;
    let mut off = Host::new(EngineConfig { http_compression: None, ..EngineConfig::default() }).await;
    let text = |length: usize| Message::from("4".to_owned() + &"a".repeat(length - 1));
    let plain = ParcelOptions { compress: false, ..ParcelOptions::default() };
    for (is_on, messages, compressed) in [
        (true, vec![(99, ParcelOptions::default())], false),
        (true, vec![(100, ParcelOptions::default())], true),
        (true, vec![(100, plain)], false),
        // As in Node: one packet that may be compressed is enough.
        (true, vec![(100, plain), (10, ParcelOptions::default())], true),
        (false, vec![(5000, ParcelOptions::default())], false),
    ] {
        let host = if is_on { &mut host } else { &mut off };
        let (client, session) = host.polling().await;
        for (length, options) in &messages {
            session.send(parcel([text(*length)], *options));
        }
        let (head, _) = fetch(host, &client.path, "gzip").await;
        assert_eq!(head.contains("content-encoding: gzip\r\n"), compressed, "{messages:?}: {head}");
    }
}

#[tokio::test]
async fn a_preflight_is_told_all_that_was_set() {
    let cors = Cors {
        origin: AllowOrigin::Exactly("http://good.example".into()),
        methods: vec!["GET".into(), "PUT".into(), "POST".into()],
        allowed_headers: Some(vec!["my-header".into()]),
        exposed_headers: vec!["my-exposed-header".into()],
        credentials: true,
        max_age: Some(Duration::from_secs(123)),
    };
    let host = Host::new(EngineConfig { cors: Some(cors), ..EngineConfig::default() }).await;
    let mut wire = Wire::connect(host.address).await;
    wire.send(format!("OPTIONS {POLLING} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://good.example\r\n\r\n")).await;
    let head = wire.head().await;
    for line in [
        "access-control-allow-origin: http://good.example",
        "access-control-allow-methods: get,put,post",
        "access-control-allow-headers: my-header",
        "access-control-expose-headers: my-exposed-header",
        "access-control-allow-credentials: true",
        "access-control-max-age: 123",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    // What is for preflights alone is not said to others.
    let actual = ask(&host, "GET", "Origin: http://good.example\r\n").await;
    assert_eq!(actual.header("access-control-allow-methods"), None);
    assert_eq!(actual.header("access-control-allow-headers"), None);
    assert_eq!(actual.header("access-control-expose-headers"), Some("my-exposed-header"));
}

#[tokio::test]
async fn internet_explorer_is_told_to_trust() {
    let host = Host::new(EngineConfig::default()).await;
    let response = ask(&host, "GET", "User-Agent: Mozilla/5.0 (Windows; Trident/7.0; rv:11.0)\r\n").await;
    assert_eq!(response.header("x-xss-protection"), Some("0"));
}

#[tokio::test]
async fn as_a_layer_it_leaves_other_paths_alone() {
    let (engine, _heard) = engine(EngineConfig::default());
    let inner =
        tower_of(|request: Request<Incoming>| Response::new(Full::from(Bytes::from(request.uri().path().to_owned()))));
    let service = engine.layer().layer(inner);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    let mut wire = Wire::connect(address).await;
    assert_eq!(wire.get("/other").await.body, "/other");
    assert_eq!(wire.get("/engine.io?EIO=4").await.body, "/engine.io");
    assert!(wire.get(POLLING).await.body.starts_with("0{"));
    assert!(Wire::ask(address, WEBSOCKET, "").await.head().await.starts_with("http/1.1 101 "));
}

#[derive(Clone)]
struct Inner<F>(F);

fn tower_of<F>(answer: F) -> Inner<F>
where
    F: Fn(Request<Incoming>) -> Response<Full<Bytes>>,
{
    Inner(answer)
}

impl<F> tower_service::Service<Request<Incoming>> for Inner<F>
where
    F: Fn(Request<Incoming>) -> Response<Full<Bytes>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        std::future::ready(Ok((self.0)(request)))
    }
}
