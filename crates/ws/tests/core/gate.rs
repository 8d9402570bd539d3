//! Clients that a shard accepts by itself: who is let in, who becomes a visitor, and who is not waited for.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;
use std::time::Duration;

use http::Request;
use switchboard_testkit::frame;
use switchboard_ws::{
    Budget, BudgetPart, CloseCode, Config, Context, Gate, GatedListener, Handler, HandshakeLimits, Limits, MessageRef,
    NoRoom, Pass, PeerAddr, Protocols, Reason, Rejection, ServerOptions, Visitor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::peer::{Peer, REQUEST, by_no_deadline, eventually};

/// Opens echoes at `/path`, panics at `/panic`, and passes visitors on.
struct Porter {
    /// Each pass is a clone.
    key: Arc<()>,
    visitors: UnboundedSender<Visitor>,
    full: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    /// The settings of `/strict`.
    strict: Config,
}

impl Gate for Porter {
    fn admit(&self, _: PeerAddr) -> Result<Pass, NoRoom> {
        assert!(!self.panics.load(Ordering::Relaxed), "on purpose");
        if self.full.load(Ordering::Relaxed) { Err(NoRoom::InAll) } else { Ok(Box::new(Arc::clone(&self.key))) }
    }

    fn open(&self, request: &Request<()>, _: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        match request.uri().path() {
            "/path" | "/strict" => Ok(Box::new(Echo(pass))),
            "/panic" => panic!("on purpose"),
            _ => Err(pass),
        }
    }

    fn config(&self, request: &Request<()>) -> Option<Config> {
        match request.uri().path() {
            "/strict" => Some(self.strict.clone()),
            "/unsettled" => panic!("on purpose"),
            _ => None,
        }
    }

    fn visit(&self, visitor: Visitor) {
        // A test that expects no visitors has dropped the receiver.
        let _ = self.visitors.send(visitor);
        assert!(!self.panics.load(Ordering::Relaxed), "on purpose");
    }
}

/// Gives everything back, and holds the client's pass.
struct Echo(#[expect(dead_code, reason = "held, to be counted")] Pass);

impl Handler for Echo {
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }
}

/// A gate, and what a test sees of it.
struct Gated {
    address: SocketAddr,
    config: Config,
    visitors: UnboundedReceiver<Visitor>,
    passes: Weak<()>,
    full: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Gated {
    async fn new(config: Config) -> Self {
        Self::with_strict(config, Config::default()).await
    }

    async fn with_strict(config: Config, strict: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, visitors) = unbounded_channel();
        let (key, full, panics) = (Arc::default(), Arc::default(), Arc::default());
        let passes = Arc::downgrade(&key);
        let gate =
            Arc::new(Porter { key, visitors: sender, full: Arc::clone(&full), panics: Arc::clone(&panics), strict });
        let served = config.clone();
        let serving = tokio::spawn(async move { served.serve_gate(GatedListener::Tcp(listener), gate).await });
        Self { address, config, visitors, passes, full, panics, serving }
    }

    async fn connect(&self) -> Peer {
        Peer::connect(self.address).await
    }

    async fn open(&self) -> Peer {
        Peer::open(self.address).await
    }

    async fn visitor(&mut self) -> Visitor {
        self.visitors.recv().await.expect("the gate is there")
    }

    /// All clients so far are accepted, and what they sent is read: another has come after them and had its answer.
    async fn has_read(&self) {
        by_no_deadline("another", async { echoes(&mut self.open().await, "here").await }).await;
    }

    /// How many clients are admitted now.
    fn admitted(&self) -> usize {
        self.passes.strong_count() - 1
    }

    /// Stops listening.
    async fn stop(&self) {
        self.serving.abort();
        eventually("the end of the listener", || self.serving.is_finished()).await;
    }
}

fn rejection(reason: Reason) -> Rejection {
    match reason {
        Reason::NotForUs(rejection) | Reason::Refused(rejection) | Reason::TooSlow(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// The client is there, and its connection works.
async fn echoes(peer: &mut Peer, text: &str) {
    peer.says(&[frame::text(text)]).await;
    peer.expects(frame::text(text)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_in_one_piece_opens_a_connection() {
    let gated = Gated::new(Config::default()).await;
    let mut peer = gated.open().await;
    echoes(&mut peer, "hello").await;
    assert_eq!((gated.admitted(), gated.config.connections().count()), (1, 1));
    assert_eq!(gated.config.get_metrics().snapshot().unsharded, 0);
    peer.says(&[frame::close(1000, "")]).await;
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
    gated.config.connections().wait_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_byte_by_byte_opens_a_connection() {
    let gated = Gated::new(Config::default()).await;
    let mut peer = gated.connect().await;
    let frames = [frame::text("a").masked().bytes(), frame::text("b").masked().bytes()].concat();
    for byte in REQUEST.bytes().chain(frames) {
        peer.sends([byte]).await;
        tokio::task::yield_now().await;
    }
    peer.is_let_in().await;
    peer.expects(frame::text("a")).await;
    peer.expects(frame::text("b")).await;
}

#[tokio::test(start_paused = true)]
async fn frames_glued_behind_the_request_are_heard() {
    let gated = Gated::new(Config::default()).await;
    let mut peer = gated.connect().await;
    let frames = [frame::text("a").masked().bytes(), frame::ping("b").masked().bytes()].concat();
    peer.sends([REQUEST.as_bytes(), &frames].concat()).await;
    peer.is_let_in().await;
    peer.expects(frame::text("a")).await;
    peer.expects(frame::pong("b")).await;
}

/// The kernel tells once that there is something to read. The first read fills the buffer, and is not all.
#[tokio::test(start_paused = true)]
async fn more_frames_behind_the_request_than_one_read_takes_are_heard() {
    let gated = Gated::new(Config::default()).await;
    let mut peer = gated.connect().await;
    let message = frame::binary([7; 1000]);
    peer.sends([REQUEST.as_bytes(), &message.clone().masked().bytes().repeat(200)].concat()).await;
    peer.is_let_in().await;
    for _ in 0..200 {
        peer.expects(message.clone()).await;
    }
}

/// The end of the stream is told together with the request, and never again.
#[tokio::test(start_paused = true)]
async fn a_client_that_ends_with_its_request_is_noticed() {
    let gated = Gated::new(Config::default()).await;
    by_no_deadline("the end", async {
        let mut peer = gated.connect().await;
        peer.sends([REQUEST.as_bytes(), &frame::text("last words").masked().bytes()].concat()).await;
        peer.io.shutdown().await.unwrap();
        peer.is_let_in().await;
        peer.expects(frame::text("last words")).await;
        assert_eq!(peer.hears().await, None);
    })
    .await;
    assert_eq!(gated.admitted(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_websocket_is_a_visitor_with_all_that_was_read() {
    let mut gated = Gated::new(Config::default()).await;
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /next HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let post = "POST /path HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nand a body.".to_owned();
    let garbage = "\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n".to_owned();
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(17 << 10));
    let elsewhere = REQUEST.replace("/path", "/elsewhere");
    for (sent, status) in [(page, 426), (post, 405), (garbage, 400), (large, 431), (elsewhere, 404)] {
        let mut peer = gated.connect().await;
        // In two pieces, so that what was read first is not forgotten.
        let (first, second) = sent.split_at(9);
        peer.sends(first).await;
        tokio::task::yield_now().await;
        peer.sends(second).await;
        let Visitor { mut io, mut read, pass, reason, .. } = gated.visitor().await;
        while read.len() < sent.len() {
            // It was found wanting before all of it was there.
            io.read_buf(&mut read).await.unwrap();
        }
        assert_eq!(String::from_utf8(read).unwrap(), sent);
        assert!(matches!(reason, Reason::NotForUs(_)), "{reason:?}");
        assert_eq!(rejection(reason).status(), status, "{sent:.20}");
        assert_eq!(gated.admitted(), 1);
        // The transport is the gate's now, both ways.
        peer.sends("more").await;
        let mut more = [0; 4];
        io.read_exact(&mut more).await.unwrap();
        assert_eq!(&more, b"more");
        io.write_all(b"answer").await.unwrap();
        drop((io, pass));
        assert_eq!(peer.hears_all().await, "answer");
        assert_eq!(gated.admitted(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_breaks_a_rule_is_a_visitor_to_be_refused() {
    let mut gated = Gated::new(Config::default()).await;
    let foreign = REQUEST.replace("X-Test: yes", "Origin: https://evil.example");
    let old = REQUEST.replace("Version: 13", "Version: 8");
    for (request, status) in [(foreign, 403), (old, 426)] {
        let mut peer = gated.connect().await;
        peer.sends(request).await;
        let visitor = gated.visitor().await;
        assert!(matches!(visitor.reason, Reason::Refused(_)), "{visitor:?}");
        let config = gated.config.clone();
        tokio::spawn(async move { visitor.refuse(&config).await });
        let response = peer.hears_all().await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    let refused = gated.config.get_metrics().snapshot().refused;
    assert_eq!(refused, [("origin", 1), ("version", 1)].into());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_dropped_without_a_word() {
    let gated = Gated::new(Config::default()).await;
    let before = tokio::time::Instant::now();
    let mut peer = gated.connect().await;
    assert_eq!(peer.hears_all().await, "");
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(10) && waited < Duration::from_millis(10_500), "{waited:?}");
    assert_eq!(gated.admitted(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_says_half_of_it_is_told_that_this_was_too_slow() {
    let mut gated = Gated::new(Config::default()).await;
    let before = tokio::time::Instant::now();
    let mut peer = gated.connect().await;
    peer.sends(&REQUEST[..50]).await;
    gated.has_read().await;
    let visitor = gated.visitor().await;
    assert!(before.elapsed() >= Duration::from_secs(10), "{:?}", before.elapsed());
    assert!(matches!(visitor.reason, Reason::TooSlow(_)), "{visitor:?}");
    assert_eq!(visitor.read, REQUEST.as_bytes()[..50]);
    tokio::spawn(async move { visitor.refuse(&Config::default()).await });
    assert!(peer.hears_all().await.starts_with("HTTP/1.1 408 "));
}

/// A shard's wheel of deadlines turns once a minute.
#[tokio::test(start_paused = true)]
async fn a_deadline_far_away_comes_too() {
    let timeout = Duration::from_secs(300);
    let limits = HandshakeLimits { timeout, ..HandshakeLimits::default() };
    let gated = Gated::new(Config::default().handshake(ServerOptions { limits, ..ServerOptions::default() })).await;
    let before = tokio::time::Instant::now();
    let mut peer = gated.connect().await;
    gated.has_read().await;
    // A deadline of the test's own, or nothing would be left that could end it.
    assert_eq!(tokio::time::timeout(2 * timeout, peer.hears_all()).await.unwrap(), "");
    assert!(before.elapsed() >= timeout, "{:?}", before.elapsed());
    assert!(before.elapsed() < timeout + Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_the_client_that_it_was_for() {
    let choose = Protocols::Choose(Arc::new(|_| panic!("on purpose")));
    let options = ServerOptions { protocols: choose, ..ServerOptions::default() };
    let mut gated = Gated::new(Config::default().handshake(options)).await;
    let mut open = gated.open().await;
    let in_open = REQUEST.replace("/path", "/panic");
    let in_choose = REQUEST.replace("X-Test: yes", "Sec-WebSocket-Protocol: any");
    for request in [in_open, in_choose] {
        let mut peer = gated.connect().await;
        peer.sends(request).await;
        let visitor = gated.visitor().await;
        tokio::spawn(async move { visitor.refuse(&Config::default()).await });
        let response = peer.hears_all().await;
        assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    }
    // Admitting it panics; then seeing it off does.
    let mut waiting = gated.connect().await;
    waiting.sends("GET / HTTP/1.1\r\n").await;
    tokio::task::yield_now().await;
    gated.panics.store(true, Ordering::Relaxed);
    assert_eq!(gated.connect().await.hears_all().await, "");
    waiting.sends("\r\n").await;
    drop(gated.visitor().await);
    assert_eq!(waiting.hears_all().await, "");
    gated.panics.store(false, Ordering::Relaxed);
    echoes(&mut open, "still here").await;
    echoes(&mut gated.open().await, "and a new one").await;
}

/// Panics as it is dropped.
struct Grenade;

impl Handler for Grenade {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        cx.terminate();
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_as_it_is_dropped_costs_nobody_else() {
    let config = Config::default();
    let server = switchboard_ws::Server::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(|_| Grenade));
    let mut others = [Peer::open(address).await, Peer::open(address).await];
    let mut one = Peer::open(address).await;
    one.says(&[frame::text("go")]).await;
    assert_eq!(one.hears().await, None);
    for other in &mut others {
        other.says(&[frame::ping("?")]).await;
        other.expects(frame::pong("?")).await;
    }
    // So that no panic is left for the end of the test.
    for mut other in others {
        other.says(&[frame::text("go")]).await;
        assert_eq!(other.hears().await, None);
    }
    config.connections().wait_closed().await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_is_told_to_come_back() {
    let gated = Gated::new(Config::default()).await;
    gated.full.store(true, Ordering::Relaxed);
    let told = gated.connect().await.hears_all().await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("Retry-After: 5\r\n"), "{told}");
    assert_eq!(gated.config.get_metrics().snapshot().refused["max_connections"], 1);
    gated.full.store(false, Ordering::Relaxed);
    echoes(&mut gated.open().await, "there is room now").await;
}

/// Nothing but the drop is waited for.
#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dropped_listens_no_more_and_what_is_open_goes_on() {
    let gated = Gated::new(Config::default()).await;
    let mut open = gated.open().await;
    let mut idle = gated.connect().await;
    let mut half = gated.connect().await;
    half.sends(&REQUEST[..50]).await;
    gated.has_read().await;
    gated.stop().await;
    let refused = TcpStream::connect(gated.address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    by_no_deadline("the end of one and the answers to others", async {
        assert_eq!(idle.hears_all().await, "");
        half.sends(&REQUEST[50..]).await;
        half.is_let_in().await;
        echoes(&mut half, "half").await;
        echoes(&mut open, "open").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dropped_at_once_is_closed() {
    for polls in 0..3 {
        let gated = Gated::new(Config::default()).await;
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        gated.stop().await;
        let refused = TcpStream::connect(gated.address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_all_reaches_those_who_open_later() {
    let gated = Gated::new(Config::default()).await;
    let mut open = [gated.open().await, gated.open().await];
    let mut half = gated.connect().await;
    half.sends(&REQUEST[..50]).await;
    echoes(&mut open[0], "here").await;
    gated.config.connections().close_all(CloseCode::GOING_AWAY, "bye").unwrap();
    for peer in &mut open {
        peer.expects(frame::close(1001, "bye")).await;
        peer.says(&[frame::close(1001, "")]).await;
        assert_eq!(peer.hears().await, None);
    }
    half.sends(&REQUEST[50..]).await;
    let mut late = gated.connect().await;
    late.sends(REQUEST).await;
    for mut peer in [half, late] {
        peer.is_let_in().await;
        peer.expects(frame::close(1001, "bye")).await;
        peer.says(&[frame::close(1001, "")]).await;
        assert_eq!(peer.hears().await, None);
    }
    gated.config.connections().wait_closed().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_vanish_at_any_step_leave_nothing_behind() {
    let gated = Gated::new(Config::default()).await;
    let mut stays = gated.open().await;
    let whole = [REQUEST.as_bytes(), &frame::text("half a message").masked().bytes()].concat();
    for cut in (0..whole.len()).step_by(7).chain([REQUEST.len() - 1, REQUEST.len(), REQUEST.len() + 1]) {
        for reset in [false, true] {
            let stream = TcpStream::connect(gated.address).await.unwrap();
            if reset {
                stream.set_zero_linger().unwrap();
            }
            let mut stream = stream;
            stream.write_all(&whole[..cut]).await.unwrap();
            if cut % 2 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    by_no_deadline("the end of the others", async {
        while gated.admitted() > 1 || gated.config.connections().count() > 1 {
            echoes(&mut stays, "still here").await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn settings_by_path_are_kept_and_their_connections_are_the_listeners() {
    let protocols = Protocols::Preference(vec!["chat".to_owned()]);
    let stricter = |config: Config| {
        let options = ServerOptions { protocols: protocols.clone(), ..ServerOptions::default() };
        config.limits(Limits { max_message: 10, ..Limits::default() }).handshake(options)
    };
    for made_of_the_listeners in [true, false] {
        let config = Config::default();
        let base = if made_of_the_listeners { config.clone() } else { Config::default() };
        let gated = Gated::with_strict(config, stricter(base)).await;
        let mut loose = gated.open().await;
        echoes(&mut loose, "longer than ten").await;
        let mut strict = [gated.connect().await, gated.connect().await];
        for peer in &mut strict {
            let request =
                REQUEST.replace("/path", "/strict").replace("X-Test", "Sec-WebSocket-Protocol: chat\r\nX-Test");
            peer.sends(request).await;
            let response = peer.read_response().await.to_lowercase();
            assert!(response.contains("sec-websocket-protocol: chat"), "{response}");
            echoes(peer, "short").await;
        }
        assert_eq!((gated.config.connections().count(), gated.config.get_metrics().snapshot().open), (3, 3));
        let [one, other] = &mut strict;
        one.says(&[frame::text("longer than ten")]).await;
        assert_eq!(one.hears().await.map(|frame| frame.payload[..2].to_vec()), Some(1009_u16.to_be_bytes().to_vec()));
        gated.config.connections().close_all(CloseCode::GOING_AWAY, "").unwrap();
        for peer in [other, &mut loose] {
            peer.expects(frame::close(1001, "")).await;
            peer.says(&[frame::close(1001, "")]).await;
        }
        gated.config.connections().wait_closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_over_settings_refuses_the_client() {
    let mut gated = Gated::new(Config::default()).await;
    let mut peer = gated.connect().await;
    peer.sends(REQUEST.replace("/path", "/unsettled")).await;
    let refused = rejection(gated.visitor().await.reason);
    assert_eq!(refused.status().as_u16(), 500);
    echoes(&mut gated.open().await, "others go on").await;
}

#[tokio::test]
async fn a_connection_with_settings_of_its_own_counts_in_the_listeners_budget() {
    let budget = Budget::new(8 << 20);
    let gated = Gated::with_strict(Config::default().budget(budget.clone()), Config::default()).await;
    let mut peer = gated.connect().await;
    peer.sends(REQUEST.replace("/path", "/strict")).await;
    peer.is_let_in().await;
    let held = budget.usage().unwrap().parts[BudgetPart::Connections as usize];
    assert!(held >= 1024, "{held}");
}

type Serving = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Its listener is closed while it lets a client in.
#[derive(Default)]
struct LastOne(Arc<Mutex<Option<Serving>>>);

impl Gate for LastOne {
    fn admit(&self, _: PeerAddr) -> Result<Pass, NoRoom> {
        let serving = self.0.lock().unwrap().take();
        drop(serving);
        Ok(Box::new(()))
    }

    fn open(&self, _: &Request<()>, _: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        Ok(Box::new(Echo(pass)))
    }

    fn visit(&self, _: Visitor) {}
}

/// The client is for another shard than the listener's, which hears of the closing before.
#[test]
fn who_is_on_the_way_to_another_shard_when_the_listener_is_closed_does_not_come_in() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(LastOne::default());
        let served = Arc::clone(&gate);
        let serve = async move { Config::default().serve_gate(GatedListener::Tcp(listener), served).await };
        *gate.0.lock().unwrap() = Some(Box::pin(serve));
        poll_fn(|cx| {
            let begun = gate.0.lock().unwrap().as_mut().unwrap().as_mut().poll(cx);
            assert!(begun.is_pending(), "it listens");
            Poll::Ready(())
        })
        .await;
        let mut peer = Peer::connect(address).await;
        peer.sends(REQUEST).await;
        assert!(peer.io.read_u8().await.is_err(), "it is closed without a word");
    });
}

#[tokio::test]
async fn a_client_that_cannot_even_be_told_counts_once() {
    let config = Config::default();
    for _ in 0..1025 {
        let (ours, _) = tokio::io::duplex(1);
        config.turn_away(Box::new(ours), NoRoom::InAll);
    }
    let refused = config.get_metrics().snapshot().refused;
    assert_eq!(refused, BTreeMap::from([("max_connections", 1024), ("too_many_refusals", 1)]));
}
