//! Clients that poll a listener of ours: served without an HTTP library, until they ask for something else.
#![cfg(unix)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use switchboard_io::engine::{CloseReason, Cors, Engine, EngineConfig, Hooks, Limit, Secure, Transport};
use switchboard_io::http1::{Connection, End, Terms};
use switchboard_testkit::{Response, Wire, frame, within};
use switchboard_ws::{BudgetHold, HttpIo, PeerAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{Heard, Host, POLLING, WEBSOCKET, engine, post, sid, text};

async fn host(config: EngineConfig) -> Host {
    let (engine, heard) = engine(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    Host::of(engine, address, heard)
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// No answer to a plain request ends the connection, and each has its date and length.
fn fine(response: &Response, body: &str) {
    assert_eq!((response.status, &*response.body), (200, body), "{response:?}");
    assert!(response.header("date").is_some() && response.header("connection").is_none(), "{response:?}");
}

#[tokio::test]
async fn polls_and_posts_go_on_over_one_connection() {
    let mut host = host(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    for round in 0..3 {
        client.gets.send(post(&client.path, "", &format!("4round {round}"))).await;
        fine(&client.gets.response().await, "ok");
        fine(&client.poll().await, &format!("4round {round}"));
        // And one that waits.
        client.ask().await;
        session.send_text("4late");
        fine(&client.gets.response().await, "4late");
    }
    client.gets.send(get(&client.path, "Connection: close\r\n")).await;
    session.send_text("4last");
    let last = client.gets.response().await;
    assert_eq!((&*last.body, last.header("connection")), ("4last", Some("close")));
    assert!(client.gets.rest().await.is_empty());
}

#[tokio::test]
async fn what_is_sent_ahead_is_answered_in_order() {
    let mut host = host(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let pair = format!("{}{}", post(&client.path, "", "4a"), get(&client.path, ""));
    client.gets.send(pair).await;
    fine(&client.gets.response().await, "ok");
    fine(&client.gets.response().await, "4a");
    // Behind a poll that waits, and torn.
    let pair = format!("{}{}", get(&client.path, ""), post(&client.path, "", "4b"));
    for byte in pair.as_bytes().chunks(7) {
        client.gets.send(byte).await;
        tokio::task::yield_now().await;
    }
    session.send_text("4first");
    fine(&client.gets.response().await, "4first");
    fine(&client.gets.response().await, "ok");
    fine(&client.poll().await, "4b");
}

#[tokio::test]
async fn a_client_that_goes_during_its_poll_ends_its_session() {
    let mut host = host(EngineConfig::default()).await;
    for ahead in ["", "GET /health HTTP/1.1\r\n"] {
        let (mut client, _) = host.polling().await;
        client.ask().await;
        client.gets.send(ahead).await;
        drop(client.gets);
        assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    }
    // Between polls it may be anybody's.
    let (client, session) = host.polling().await;
    drop(client.gets);
    session.send_text("4still");
    fine(&Wire::connect(host.address).await.get(&client.path).await, "4still");
}

#[tokio::test]
async fn a_client_that_goes_during_its_post_ends_its_session() {
    let mut host = host(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let whole = post(&client.path, "", "4hello");
    client.posts.send(&whole[..whole.len() - 1]).await;
    drop(client.posts);
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
}

#[tokio::test]
async fn other_requests_are_for_hyper_and_lose_nothing() {
    let mut host = host(EngineConfig::default()).await;
    for size in [1, 10, 1000] {
        let (mut client, session) = host.polling().await;
        session.send_text("4a");
        let path = client.path.clone();
        let chunks = "Transfer-Encoding: chunked\r\n\r\n2\r\n4c\r\n0\r\n";
        let all = [
            get(&path, ""),
            get("/health", ""),
            post(&path, "", "4b"),
            // Only hyper knows where it ends: it is the last.
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{chunks}\r\n"),
        ]
        .concat();
        for piece in all.as_bytes().chunks(size) {
            client.gets.send(piece).await;
        }
        fine(&client.gets.response().await, "4a");
        assert_eq!(client.gets.response().await.status, 404);
        fine(&client.gets.response().await, "ok");
        assert_eq!(host.heard().await, Heard::Message("b".into()));
        let last = client.gets.response().await;
        assert_eq!((&*last.body, last.header("connection")), ("ok", Some("close")));
        assert_eq!(host.heard().await, Heard::Message("c".into()));
    }
}

#[tokio::test]
async fn a_connection_that_has_polled_can_become_a_websocket() {
    let mut host = host(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    session.send_text("4polled");
    fine(&client.poll().await, "4polled");
    client.gets.request(&format!("{WEBSOCKET}&sid={}", client.sid), "").await;
    client.gets.say(&frame::text("2probe").masked()).await;
    assert!(client.gets.head().await.starts_with("http/1.1 101 "));
    assert_eq!(text(&mut client.gets).await, "3probe");
    client.gets.say(&frame::text("5").masked()).await;
    client.gets.say(&frame::text("4hi").masked()).await;
    assert_eq!(text(&mut client.gets).await, "4hi");
    assert_eq!(session.transport(), Transport::WebSocket);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_has_come() {
    let mut host = host(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n", client.path);
    client.posts.send(format!("{head}and so on")).await;
    assert_eq!(client.posts.response().await.status, 413);
    // Whoever goes on writing is read to the end, and may go on.
    client.posts.send("x".repeat(1_000_001 - "and so on".len())).await;
    assert_eq!(client.post("4quiet").await.status, 200);
    session.send_text("4still here");
    fine(&client.poll().await, "4still here");
    // But not whatever is announced.
    let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", client.path, 9 << 20);
    client.posts.send(head).await;
    let refused = client.posts.response().await;
    assert_eq!((refused.status, refused.header("connection")), (413, Some("close")));
    session.send_text("4still here");
    fine(&client.poll().await, "4still here");
}

#[tokio::test]
async fn a_poll_that_has_waited_is_answered_with_all_headers() {
    let hooks = Hooks::default()
        .headers(|headers, request| drop(headers.insert("x-path", request.uri.path().parse().expect("a value"))))
        .middleware(async |_| {
            Ok(HeaderMap::from_iter([("x-extra".parse().expect("a name"), "1".parse().expect("a value"))]))
        });
    let cors = Cors { origin: switchboard_io::engine::AllowOrigin::Reflect, ..Cors::default() };
    let mut host = host(EngineConfig { hooks, cors: Some(cors), ..EngineConfig::default() }).await;
    let (mut client, session) = host.polling().await;
    let headers = "Origin: https://a.example\r\nAccept-Encoding: gzip\r\nUser-Agent: Trident/7\r\n";
    client.gets.send(get(&format!("{}&j=3", client.path), headers)).await;
    // The answer does not come before there is something to tell.
    client.posts.send(post(&client.path, "", "4hello")).await;
    assert_eq!(host.heard().await, Heard::Message("hello".into()));
    let told = client.gets.response().await;
    assert_eq!(told.body, "___eio[3](\"4hello\");");
    for (name, value) in [
        ("x-path", "/engine.io/"),
        ("x-extra", "1"),
        ("access-control-allow-origin", "https://a.example"),
        ("x-xss-protection", "0"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(told.header(name), Some(value), "{told:?}");
    }
    client.gets.send(get(&client.path, headers)).await;
    session.send_text(&format!("4{}", "long ".repeat(1000)));
    assert!(client.gets.head().await.contains("content-encoding: gzip"));
}

/// A connection without a listener.
struct Bare {
    wire: Wire<DuplexStream>,
    serving: JoinHandle<std::io::Result<End>>,
    stop: watch::Sender<bool>,
}

fn bare(engine: &Engine) -> Bare {
    let (ours, theirs) = duplex(64 << 10);
    let (stop, stopping) = watch::channel(false);
    let terms = Terms {
        engine: engine.clone(),
        secure: Secure(true),
        head_timeout: Duration::from_secs(15),
        max_head: 16 << 10,
        headers: |headers| drop(headers.insert("x-hard", "1".parse().expect("a value"))),
        stopping: Some(stopping),
    };
    let io = HttpIo::new(Box::new(ours), Vec::new(), None, Some(Duration::from_secs(30)));
    let mut connection = Connection::new(io, BudgetHold::default(), PeerAddr::Unknown, Arc::new(terms));
    let serving = tokio::spawn(async move { connection.serve().await });
    Bare { wire: Wire::new(theirs), serving, stop }
}

impl Bare {
    async fn end(self) -> std::io::Result<End> {
        within("the end", self.serving).await.expect("no panic")
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_with_a_head_is_cut_off() {
    let (engine, _heard) = engine(EngineConfig::default());
    for begun in ["", "GET /engine.io/?EI"] {
        let mut bare = bare(&engine);
        let began = tokio::time::Instant::now();
        bare.wire.send(begun).await;
        assert!(bare.wire.rest().await.is_empty());
        assert_eq!(bare.serving.await.expect("no panic").expect("no error"), End::TooSlow, "{begun:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    }
    // Between two requests nobody waits longer either; but whoever asks for nothing more is not slow, unless it began to.
    for (begun, end) in [("", End::Closed), ("G", End::TooSlow)] {
        let mut bare = bare(&engine);
        assert_eq!(bare.wire.get(POLLING).await.status, 200);
        let began = tokio::time::Instant::now();
        bare.wire.send(begun).await;
        assert!(bare.wire.rest().await.is_empty());
        assert_eq!(bare.serving.await.expect("no panic").expect("no error"), end, "{begun:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_with_a_body_is_told_and_cut_off() {
    let (engine, mut heard) = engine(EngineConfig::default());
    let mut bare = bare(&engine);
    let opened = bare.wire.get(POLLING).await;
    assert_eq!(opened.header("x-hard"), Some("1"));
    let Some(Heard::Open(session)) = heard.recv().await else { panic!("it opens") };
    assert!(session.handshake().secure());
    let whole = post(&format!("{POLLING}&sid={}", sid(&opened.body)), "", "4hello");
    bare.wire.send(&whole[..whole.len() - 2]).await;
    let told = bare.wire.response().await;
    assert_eq!((told.status, told.header("connection")), (408, Some("close")));
    assert!(bare.wire.rest().await.is_empty());
    assert_eq!(bare.end().await.expect("no error"), End::Closed);
    assert_eq!(engine.metrics().limit(Limit::BodyTime), 1);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_was_asked_and_nothing_more() {
    let (tell, mut asked) = unbounded_channel();
    let hooks = Hooks::default().middleware(move |_| {
        tell.send(()).expect("the test listens");
        async { Ok(HeaderMap::new()) }
    });
    let (engine, mut heard) = engine(EngineConfig { hooks, ..EngineConfig::default() });
    let between = bare(&engine);
    between.stop.send_replace(true);
    assert_eq!(between.end().await.expect("no error"), End::Closed);
    let mut polling = bare(&engine);
    let opened = polling.wire.get(POLLING).await;
    let Some(Heard::Open(session)) = heard.recv().await else { panic!("it opens") };
    let path = format!("{POLLING}&sid={}", sid(&opened.body));
    polling.wire.send(get(&path, "").repeat(2)).await;
    // That of the handshake, and that of the poll that waits now.
    for _ in 0..2 {
        asked.recv().await.expect("a request");
    }
    polling.stop.send_replace(true);
    session.send_text("4last");
    let last = polling.wire.response().await;
    assert_eq!((&*last.body, last.header("connection")), ("4last", Some("close")));
    assert!(polling.wire.rest().await.is_empty());
    assert_eq!(polling.end().await.expect("no error"), End::Closed);
}

#[tokio::test]
async fn anything_else_comes_back_whole() {
    let (engine, _heard) = engine(EngineConfig::default());
    let (ours, mut theirs) = duplex(1 << 10);
    let terms = Terms {
        engine,
        secure: Secure(false),
        head_timeout: Duration::from_secs(15),
        max_head: 16 << 10,
        headers: |_| {},
        stopping: None,
    };
    let foreign = "PUT /engine.io/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /";
    let io = HttpIo::new(Box::new(ours), foreign[..9].into(), None, None);
    theirs.write_all(&foreign.as_bytes()[9..]).await.expect("room");
    let mut connection = Connection::new(io, BudgetHold::default(), PeerAddr::Unknown, Arc::new(terms));
    assert_eq!(connection.serve().await.expect("no error"), End::Foreign);
    drop(theirs);
    let mut read = String::new();
    connection.into_io().read_to_string(&mut read).await.expect("text");
    assert_eq!(read, foreign);
}

/// As tools do that send what they have been given and then say that this was all.
#[tokio::test]
async fn a_client_that_ends_its_half_gets_its_answers_from_either() {
    let mut host = host(EngineConfig::default()).await;
    let (client, session) = host.polling().await;
    session.send_text("4polled");
    let poll = get(&client.path, "");
    for (requests, expected) in [
        (poll, &["4polled"][..]),
        (post(&client.path, "", "4quiet"), &["ok"]),
        (get("/other", ""), &["404"]),
        (
            format!("{}{}{}", post(&client.path, "", "4quiet"), get("/other", ""), post(&client.path, "", "4quiet")),
            &["ok", "404", "ok"],
        ),
    ] {
        let mut stream = TcpStream::connect(host.address).await.expect("someone listens");
        stream.write_all(requests.as_bytes()).await.expect("room");
        stream.shutdown().await.expect("an end");
        let mut told = String::new();
        within("the end", stream.read_to_string(&mut told)).await.expect("text");
        let answers: Vec<_> = told.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(answers.len(), expected.len(), "{requests:?}: {told}");
        for (answer, expected) in answers.iter().zip(expected) {
            assert!(answer.starts_with(expected) || answer.ends_with(expected), "{requests:?}: {told}");
        }
    }
    assert_eq!(host.engine.sessions(), 1);
}
