//! What a client asks for, what it is told, and the ways to a server.

use std::io;
use std::net::SocketAddr;

use http::HeaderMap;
use switchboard_testkit::frame::{self, Frame};
use switchboard_ws::{
    Client, CloseCode, Config, ConnectError, ConnectStep, Connections, Context, DeflateConfig, Handler, Limits,
    MessageRef, PeerAddr, Server, Socket, accept, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

use crate::support::{check_echo, echo, echo_server, header, read_head, switching};

#[tokio::test]
async fn a_client_talks_to_a_server_and_knows_whom() {
    let address = echo_server(Config::default()).await;
    let url = format!("ws://{address}/echo?a=1");
    let mut socket = connect(&url).await.unwrap();
    check_echo(&mut socket).await;
    let info = socket.info();
    assert_eq!(info.peer(), PeerAddr::Ip(address));
    assert_eq!(*info.uri(), *url);
    assert_eq!(info.headers()["upgrade"], "websocket");
    assert_eq!((info.protocol(), info.deflate()), (None, None));
    let outcome = socket.close(1000, "bye").await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
}

#[tokio::test]
async fn a_name_leads_to_whichever_address_answers() {
    // Of the two addresses that the name may have, one listens.
    let address = echo_server(Config::default()).await;
    let mut socket = connect(format!("ws://localhost:{}/", address.port())).await.unwrap();
    check_echo(&mut socket).await;
    assert_eq!(socket.info().peer(), PeerAddr::Ip(address));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("connecting failed: {address}: ")), "{error}");
    assert_eq!(error.name(), "connect");
    let ConnectError::Io { step: ConnectStep::Connect, error } = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

/// Connects `client` to a server that answers with `answer`; with the request that it saw, and its end of the
/// transport.
async fn answered(client: &Client, answer: impl Fn(&str) -> Vec<u8>) -> (Socket, String, DuplexStream) {
    let (ours, mut theirs) = duplex(1 << 16);
    let serve = async {
        let request = read_head(&mut theirs).await;
        theirs.write_all(&answer(&request)).await.unwrap();
        request
    };
    let (socket, request) = tokio::join!(client.connect_over(ours), serve);
    (socket.unwrap(), request, theirs)
}

#[tokio::test]
async fn the_request_carries_what_was_asked_for() {
    let limits = Limits { deflate: Some(DeflateConfig::default()), ..Limits::default() };
    let client = Client::new("ws://example.org:8080/chat?room=1")
        .header("x-one", "1")
        .header(http::header::ORIGIN, http::HeaderValue::from_static("http://example.org"))
        .header("x-one", "2")
        .protocol("v2")
        .protocol("v1")
        .config(Config::default().limits(limits));
    let more = "Sec-WebSocket-Protocol: v1\r\nX-Two: 2\r\n";
    let (socket, request, _) = answered(&client, |request| switching(request, more).into_bytes()).await;
    assert!(request.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "host"), Some("example.org:8080"));
    assert_eq!(header(&request, "origin"), Some("http://example.org"));
    assert_eq!(header(&request, "sec-websocket-protocol"), Some("v2, v1"));
    assert!(header(&request, "sec-websocket-extensions").unwrap().starts_with("permessage-deflate"), "{request}");
    assert_eq!(request.to_lowercase().matches("\r\nx-one: ").count(), 2, "{request}");
    let info = socket.info();
    assert_eq!((info.protocol(), info.peer()), (Some("v1"), PeerAddr::Unknown));
    assert_eq!(info.headers()["x-two"], "2");
    assert_eq!(info.deflate(), None, "offered and not taken");
}

#[tokio::test]
async fn frames_that_come_with_the_answer_are_not_lost() {
    let frames =
        [frame::text("first").bytes(), frame::binary([0; 5_000]).bytes(), frame::close(1001, "so soon").bytes()];
    let answer = |request: &str| [switching(request, "").as_bytes(), &frames.concat()].concat();
    let (mut socket, _, mut theirs) = answered(&Client::new("ws://example.org/"), answer).await;
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("first"));
    assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes(), [0; 5_000]);
    // The server hangs up when it is answered.
    let (end, answered) = tokio::join!(socket.recv(), async move { theirs.read_exact(&mut [0; 8]).await });
    assert!(answered.is_ok() && end.unwrap().is_none());
    let outcome = socket.outcome().unwrap();
    assert_eq!((outcome.code(), outcome.reason()), (CloseCode::GOING_AWAY, "so soon"));
}

/// What the first poll tells: an error that is there before anything is sent, and even before there is a runtime.
fn told_at_once(client: &Client) -> ConnectError {
    let mut connecting = std::pin::pin!(client.connect());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match connecting.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(result) => result.unwrap_err(),
        std::task::Poll::Pending => panic!("{client:?} went on"),
    }
}

#[test]
fn what_cannot_be_asked_for_is_told_before_anything_is_sent() {
    for (url, why) in [
        ("ftp://example.org/", "must begin with ws:// or wss://"),
        ("example.org", "must begin with ws:// or wss://"),
        ("ws:///path", "not a URL"),
        ("ws://user:secret@example.org/", "user name"),
        ("ws://example.org/#part", "fragment"),
        ("ws://example.org/a b", "not a URL"),
        ("ws://exa\u{308}mple.org/", "not a URL"),
        ("", "not a URL"),
    ] {
        let error = told_at_once(&Client::new(url));
        assert!(matches!(error, ConnectError::InvalidUrl(_)), "{url}: {error:?}");
        assert!(error.to_string().contains(why), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let good = Client::new("ws://example.org/");
    for (client, why) in [
        (good.clone().protocol("not a token"), "\"not a token\""),
        (good.clone().protocol("twice").protocol("twice"), "twice"),
        (good.clone().header("x y", "1"), "header name"),
        (good.clone().header("x-why", "a\nb"), "x-why"),
        (good.clone().header("Host", "else.where"), "host"),
        (good.clone().header("Sec-WebSocket-Key", "1"), "sec-websocket-key"),
        // The first of several faults is told.
        (good.clone().header("Upgrade", "h2c").protocol("").header("x y", "1"), "upgrade"),
        (good.clone().require_compression(true), "compression"),
    ] {
        let error = told_at_once(&client);
        assert!(matches!(error, ConnectError::InvalidRequest(_)), "{why}: {error:?}");
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    let both = told_at_once(&Client::new("ws://exam ple.org/").header("x y", "1"));
    assert!(matches!(both, ConnectError::InvalidUrl(_)), "{both:?}");
}

#[tokio::test]
async fn a_unix_socket_stands_in_for_the_host() {
    let path = std::env::temp_dir().join(format!("switchboard-connect-{}.sock", std::process::id()));
    let mut server = Server::bind_unix(&path, Config::default()).unwrap();
    let client = Client::new("ws://example.org/unix").unix(&path);
    let (socket, served) = tokio::join!(client.connect(), server.accept());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(served.info().headers()["host"], "example.org");
    tokio::spawn(echo(served));
    let mut socket = socket.unwrap();
    assert_eq!(socket.info().peer(), PeerAddr::Unix);
    check_echo(&mut socket).await;

    let error = Client::new("ws://example.org/").unix(&path).connect().await.unwrap_err();
    let ConnectError::Io { step: ConnectStep::Connect, error } = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn any_transport_will_do() {
    let (ours, theirs) = duplex(64);
    let (client, config) = (Client::new("ws://example.org/"), Config::default());
    let (socket, served) = tokio::join!(client.connect_over(ours), accept(theirs, &config));
    tokio::spawn(echo(served.unwrap()));
    check_echo(&mut socket.unwrap()).await;
}

/// Says something, and closes when it is said back.
struct Once;

impl Handler for Once {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send("hello");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        assert_eq!(message.as_text(), Some("hello"));
        cx.close(CloseCode(4000), "enough").unwrap();
    }
}

#[tokio::test]
async fn a_handler_is_served_in_the_caller_s_task() {
    let address = echo_server(Config::default()).await;
    let client = Client::new(format!("ws://{address}/"));
    let outcome = client.serve(Once).await.unwrap();
    assert_eq!((outcome.code(), outcome.is_clean()), (CloseCode(4000), true));

    let (ours, theirs) = duplex(1024);
    let config = Config::default();
    let serve = async { echo(accept(theirs, &config).await.unwrap()).await };
    let (outcome, _) = tokio::join!(client.serve_over(ours, Once), serve);
    assert_eq!(outcome.unwrap().code(), CloseCode(4000));
}

fn compressing() -> Config {
    Config::default().limits(Limits { deflate: Some(DeflateConfig::default()), ..Limits::default() })
}

/// RFC 6455 §7.4.1: 1010.
#[tokio::test]
async fn compression_that_is_required_and_not_granted_closes_with_1010() {
    let mut server = Server::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let config = compressing();
    let client = Client::new(url(server.local_addr().unwrap())).config(config.clone()).require_compression(true);
    let serve = async {
        let mut socket = server.accept().await;
        assert!(socket.recv().await.unwrap().is_none());
        socket.sender().ended().await
    };
    let (error, outcome) = tokio::join!(client.connect(), serve);
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::ExtensionRequired), "{error:?}");
    assert!(error.to_string().contains("permessage-deflate"), "{error}");
    let told = outcome.received().unwrap();
    assert_eq!((told.code, told.reason.as_str()), (CloseCode::EXTENSION_REQUIRED, "permessage-deflate"));
    // It was open, for as long as it took to close it.
    assert_eq!((config.get_metrics().snapshot().open, config.get_metrics().snapshot().total), (0, 1));

    let granted = Client::new(url(echo_server(compressing()).await)).config(config).require_compression(true);
    check_echo(&mut granted.connect().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_1010_holds_nobody_beyond_the_time_limit() {
    let (ours, mut theirs) = duplex(1 << 16);
    let client = Client::new("ws://example.org/").config(compressing()).require_compression(true);
    let serve = async {
        let request = read_head(&mut theirs).await;
        theirs.write_all(switching(&request, "").as_bytes()).await.unwrap();
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        said
    };
    let (error, said) = tokio::join!(client.connect_over(ours), serve);
    assert!(matches!(error, Err(ConnectError::ExtensionRequired)), "{error:?}");
    let said = Frame::parse_all(&said);
    assert_eq!(said[0].payload, frame::close(1010, "permessage-deflate").payload);
}

#[tokio::test]
async fn a_client_counts_and_closes_its_connections() {
    let config = Config::default();
    let connections: &Connections = config.connections();
    let client = Client::new(url(echo_server(Config::default()).await)).config(config.clone());
    let (mut one, mut two) = (client.connect().await.unwrap(), client.connect().await.unwrap());
    check_echo(&mut one).await;
    check_echo(&mut two).await;
    assert_eq!(connections.count(), 2);
    connections.close_all(CloseCode::GOING_AWAY, "").unwrap();
    connections.wait_closed().await;
    assert!(one.recv().await.unwrap().is_none());
    assert_eq!(two.outcome().unwrap().sent().unwrap().code, CloseCode::GOING_AWAY);
}

#[test]
fn secrets_are_not_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer hush".parse().unwrap());
    let client = Client::new("ws://example.org/?token=hush").header("authorization", headers["authorization"].clone());
    let shown = format!("{client:?}");
    assert!(shown.contains("example.org") && !shown.contains("hush"), "{shown}");
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_wss_is_refused_and_says_why() {
    let error = told_at_once(&Client::new("wss://example.org/"));
    assert!(matches!(&error, ConnectError::TlsUnavailable(why) if why.contains("feature `tls`")), "{error:?}");
}
