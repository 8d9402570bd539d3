//! `upgrade` in a service of hyper's own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;

use http_body_util::{Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use switchboard_testkit::frame;
use switchboard_ws::{
    AcceptError, CloseCode, Config, Context, Handler, Hub, MessageRef, OutboxLimits, Outcome, PeerAddr, Prepared,
    Upgrade, is_upgrade, upgrade,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::rules;
use crate::wire::{Client, UPGRADE, Wire, closing_code, connect, echo, hear, leave, listen, say};

/// Serves each connection by this service.
async fn serve<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    addr
}

/// Serves WebSockets only.
async fn serve_upgrades(config: &Config, open: impl Fn(Upgrade) + Clone + Send + 'static) -> SocketAddr {
    let config = config.clone();
    serve(move |mut request| {
        let response = match upgrade(&mut request, &config) {
            Ok((response, upgrade)) => {
                open(upgrade);
                response
            }
            Err(rejection) => rejection.into_response().map(Full::new),
        };
        async { response }
    })
    .await
}

fn raw_request() -> Request<()> {
    let headers = UPGRADE.lines().map(|line| line.split_once(": ").unwrap());
    headers.fold(Request::get("/"), |request, (name, value)| request.header(name, value)).body(()).unwrap()
}

#[tokio::test]
async fn the_rules_hold_and_refusals_are_counted() {
    let config = Config::default();
    let addr = serve_upgrades(&config, |upgrade| upgrade.spawn(echo)).await;
    rules::check(addr, "/").await;
    rules::refuses_ordinary_requests(addr, "/").await;
    config.connections().wait_closed().await;
    let snapshot = config.get_metrics().snapshot();
    assert_eq!((snapshot.total, snapshot.closes["1000"] + snapshot.closes.get("1005").unwrap_or(&0)), (2, 2));
    for (name, count) in [("method", 1), ("http_version", 1), ("origin", 1), ("body", 1), ("upgrade", 1)] {
        assert_eq!(snapshot.refused.get(name), Some(&count), "{name}");
    }
}

#[test]
fn only_those_who_ask_for_a_websocket_do() {
    for (value, asks) in [("websocket", true), ("h2c , WebSocket", true), ("h2c", false), ("websockets", false)] {
        let request = Request::get("/").header("upgrade", value).body(()).unwrap();
        assert_eq!(is_upgrade(request.headers()), asks, "{value}");
    }
    assert!(!is_upgrade(Request::new(()).headers()));
}

struct Greeter(mpsc::UnboundedSender<Outcome>);

impl Handler for Greeter {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        let greeting = format!("{} {}", cx.info().uri(), cx.info().headers()["host"].to_str().unwrap());
        cx.send(&*greeting);
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }

    fn on_close(&mut self, outcome: &Outcome) {
        self.0.send(outcome.clone()).unwrap();
    }
}

#[tokio::test]
async fn a_handler_is_served_to_the_end() {
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let addr = serve_upgrades(&Config::default(), move |upgrade| {
        let handler = Greeter(sender.clone());
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(upgrade.serve(handler).await.unwrap()).unwrap() });
    })
    .await;
    let mut client = connect(addr, "/greet?me").await;
    assert_eq!(hear(&mut client).await, format!("/greet?me {addr}"));
    say(&mut client, "back").await;
    assert_eq!(hear(&mut client).await, "back");
    leave(&mut client).await;
    for _ in ["on_close", "serve"] {
        assert!(outcomes.recv().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn a_handler_is_run_by_a_shard_without_the_caller() {
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let config = Config::default();
    let addr = serve_upgrades(&config, move |upgrade| upgrade.spawn_handler(Greeter(sender.clone()))).await;
    let mut client = connect(addr, "/").await;
    assert_eq!(hear(&mut client).await, format!("/ {addr}"));
    say(&mut client, "back").await;
    assert_eq!(hear(&mut client).await, "back");
    assert_eq!(config.get_metrics().snapshot().unsharded, 0);
    leave(&mut client).await;
    assert!(outcomes.recv().await.unwrap().is_clean());
}

/// Joins the room and greets; tells how it ended.
struct Member(mpsc::UnboundedSender<Outcome>);

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("room").unwrap();
        cx.publish_to_all("room", MessageRef::Text("own"));
        cx.send("hello");
    }

    fn on_message(&mut self, _: &mut Context<'_>, _: MessageRef<'_>) {}

    fn on_close(&mut self, outcome: &Outcome) {
        self.0.send(outcome.clone()).unwrap();
    }
}

/// Members of the room, each with so many who publish before its client is answered: on shards and in tasks, run by the
/// connection and by the caller.
async fn early(config: &Config, published: usize, check: impl AsyncFn(Wire, &Hub)) {
    for (tasks, spawned) in [(false, true), (false, false), (true, true), (true, false)] {
        let config = if tasks { config.clone().task_per_connection() } else { config.clone() };
        let hub = Hub::default();
        let (sender, mut ends) = mpsc::unbounded_channel();
        let room = hub.clone();
        let addr = serve_upgrades(&config.hub(hub.clone()), move |upgrade| {
            let member = Member(sender.clone());
            if spawned {
                upgrade.spawn_handler(member);
            } else {
                tokio::spawn(upgrade.serve(member));
            }
            assert_eq!(room.count("room"), 1, "before the response is returned");
            for _ in 0..published {
                room.publish("room", Prepared::text("early").into());
            }
        })
        .await;
        let mut wire = Wire::ask(addr, "/", "").await;
        assert!(wire.head().await.starts_with("http/1.1 101 "));
        for text in ["own", "hello"] {
            assert_eq!(wire.frame().await, frame::text(text));
        }
        check(wire, &hub).await;
        ends.recv().await.unwrap();
        while hub.members() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_handler_is_subscribed_before_its_client_is_answered() {
    early(&Config::default(), 3, async |mut wire, hub| {
        assert_eq!(hub.publish("room", Prepared::text("then").into()).reached, 1);
        for text in ["early", "early", "early", "then"] {
            assert_eq!(wire.frame().await, frame::text(text));
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_missed_something_before_the_answer_is_closed() {
    let outbox = OutboxLimits { messages: 2, ..OutboxLimits::default() };
    early(&Config::default().outbox(outbox), 3, async |mut wire, _| {
        assert_eq!(wire.frame().await, frame::close(1013, "the peer does not keep up"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_client_was_never_answered_leaves_everything() {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let (sender, mut ends) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::unbounded_channel();
    let (room, settings) = (hub.clone(), config.clone());
    let addr = serve(move |mut request| {
        let (_, upgrade) = upgrade::<_, ()>(&mut request, &settings).unwrap();
        upgrade.spawn_handler(Member(sender.clone()));
        tell.send(room.count("room")).unwrap();
        pending()
    })
    .await;
    let _wire = Wire::ask(addr, "/", "").await;
    assert_eq!(told.recv().await, Some(1));
    assert!(!ends.recv().await.unwrap().is_clean());
    while hub.members() > 0 {
        tokio::task::yield_now().await;
    }
    let snapshot = config.get_metrics().snapshot();
    assert_eq!((snapshot.refused["io"], snapshot.total, snapshot.open), (1, 0, 0));
    assert_eq!((snapshot.closes, snapshot.failures), (BTreeMap::new(), BTreeMap::new()), "it was never open");
}

#[tokio::test]
async fn a_handler_that_is_told_late_is_told_when_the_client_was() {
    let hub = Hub::default();
    let (sender, mut ends) = mpsc::unbounded_channel();
    let room = hub.clone();
    let addr = serve_upgrades(&Config::default().hub(hub.clone()), move |upgrade| {
        upgrade.spawn_handler_late(Member(sender.clone()));
        assert_eq!(room.count("room"), 0);
    })
    .await;
    let mut client = connect(addr, "/").await;
    for text in ["own", "hello"] {
        assert_eq!(hear(&mut client).await, text);
    }
    assert_eq!(hub.count("room"), 1);
    leave(&mut client).await;
    assert!(ends.recv().await.unwrap().is_clean());
}

#[tokio::test]
async fn the_peer_is_what_the_server_says() {
    let (sender, mut peers) = mpsc::unbounded_channel();
    let addr = serve(move |mut request| {
        let told = PeerAddr::from(SocketAddr::from(([10, 0, 0, 1], 7)));
        let unknown = upgrade::<_, Empty<Bytes>>(&mut request, &Config::default()).unwrap().1.info().peer();
        request.extensions_mut().insert(told);
        // The transport is spent by now.
        let rejection = upgrade::<_, ()>(&mut request, &Config::default()).unwrap_err();
        sender.send((unknown, rejection.status().as_u16())).unwrap();
        async { rejection.into_response().map(Full::new) }
    })
    .await;
    let (status, _, body) = Wire::ask(addr, "/", "").await.response().await;
    assert_eq!((status, &*body), (500, "The server failed to open this connection.\n"));
    assert_eq!(peers.recv().await.unwrap(), (PeerAddr::Unknown, 500));

    let told = SocketAddr::from(([10, 0, 0, 1], 7));
    let addr = serve(move |mut request| {
        request.extensions_mut().insert(PeerAddr::from(told));
        let (response, upgrade) = upgrade(&mut request, &Config::default()).unwrap();
        let first = upgrade.info().peer();
        let upgrade = upgrade.peer(PeerAddr::Unix);
        upgrade.spawn(async move |mut socket| {
            socket.send(format!("{first} {}", socket.info().peer())).await.unwrap();
        });
        async { response }
    })
    .await;
    assert_eq!(hear(&mut connect(addr, "/").await).await, "10.0.0.1:7 unix");
}

#[tokio::test]
async fn a_request_that_hyper_did_not_read_has_no_transport() {
    let config = Config::default();
    let rejection = upgrade::<_, ()>(&mut raw_request(), &config).unwrap_err();
    assert_eq!((rejection.status().as_u16(), rejection.error()), (500, None));
    assert_eq!(config.get_metrics().snapshot().refused["application"], 1);
}

/// Opens by a service that never answers, and gives the error.
async fn never_answered(config: &Config) -> (SocketAddr, mpsc::UnboundedReceiver<Result<(), AcceptError>>) {
    let (sender, errors) = mpsc::unbounded_channel();
    let config = config.clone();
    let addr = serve(move |mut request| {
        let (_, upgrade) = upgrade::<_, ()>(&mut request, &config).unwrap();
        let sender = sender.clone();
        let opening = tokio::spawn(async move { sender.send(upgrade.socket().await.map(|_| ())) });
        async move {
            drop(opening);
            pending().await
        }
    })
    .await;
    (addr, errors)
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer() {
    let config = Config::default();
    let (addr, mut errors) = never_answered(&config).await;
    let mut wire = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut wire, request.as_bytes()).await.unwrap();
    drop(wire);
    let error = errors.recv().await.unwrap().unwrap_err();
    assert!(matches!(error, AcceptError::Disconnected), "{error}");
    let snapshot = config.get_metrics().snapshot();
    assert_eq!((snapshot.refused["disconnected"], snapshot.total), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_comes_is_given_up() {
    let config = Config::default();
    let (addr, mut errors) = never_answered(&config).await;
    let start = tokio::time::Instant::now();
    let _wire = Wire::ask(addr, "/", "").await;
    let error = errors.recv().await.unwrap().unwrap_err();
    assert!(matches!(&error, AcceptError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut), "{error}");
    assert!(start.elapsed() >= config.get_handshake().limits.timeout, "by the clock of the test");
    assert_eq!(config.get_metrics().snapshot().refused["io"], 1);
}

#[tokio::test]
async fn hyper_without_upgrades_is_an_error_of_the_server() {
    let (listener, addr) = listen().await;
    let (sender, mut errors) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (response, upgrade) = upgrade::<_, Empty<Bytes>>(&mut request, &Config::default()).unwrap();
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(upgrade.socket().await.map(|_| ())) });
            async { Ok::<_, Infallible>(response) }
        });
        let stream = listener.accept().await.unwrap().0;
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    let mut wire = Wire::ask(addr, "/", "").await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
    let error = errors.recv().await.unwrap().unwrap_err();
    assert!(matches!(error, AcceptError::Io(_)), "{error}");
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn an_upgrade_that_is_dropped_ends_the_connection() {
    let addr = serve_upgrades(&Config::default(), drop).await;
    let mut wire = Wire::ask(addr, "/", "").await;
    assert!(wire.head().await.starts_with("http/1.1 101 "));
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn a_shutdown_reaches_everyone() {
    let config = Config::default();
    let addr = serve_upgrades(&config, |upgrade| upgrade.spawn(echo)).await;
    let mut clients = Vec::<Client>::new();
    for _ in 0..3 {
        let mut client = connect(addr, "/").await;
        say(&mut client, "here").await;
        assert_eq!(hear(&mut client).await, "here");
        clients.push(client);
    }
    assert_eq!(config.connections().count(), 3);
    config.connections().close_all(CloseCode(1001), "going away").unwrap();
    for client in &mut clients {
        assert_eq!(closing_code(client).await, 1001);
    }
    config.connections().wait_closed().await;

    let mut late = Wire::ask(addr, "/", "").await;
    late.head().await;
    assert_eq!(late.frame().await, frame::close(1001, "going away"));
}
