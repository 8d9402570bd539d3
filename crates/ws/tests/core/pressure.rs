//! Peers and applications that do not keep up.

use std::time::Duration;

use switchboard_hub::{Accepted, Member};
use switchboard_testkit::frame;
use switchboard_ws::{
    Budget, BudgetPart, Config, Context, DeflateConfig, Error, Handler, Hub, InboxLimits, Limits, Message, MessageRef,
    OnMessage, OutboxLimits, Outcome, Overflow, Parcel, ProtocolError, Refused, Server, Timeout,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::peer::{Driver, Peer, REQUEST, on_both_drivers, open, open_with, serve};

on_both_drivers!(
    a_handler_that_echoes_makes_a_slow_peer_wait,
    a_handler_hears_at_once_that_its_peer_is_given_up,
    those_who_do_not_read_their_echoes_go_when_memory_is_short,
    who_is_made_to_go_is_told_what_the_handler_says_to_that,
    contexts_of_compression_are_a_reason_to_go_when_memory_is_short,
);

fn small_outbox(overflow: Overflow) -> Config {
    Config::default().outbox(OutboxLimits { messages: 10, bytes: 100_000, overflow })
}

#[tokio::test(start_paused = true)]
async fn send_waits_for_room_and_loses_nothing() {
    let (mut socket, mut peer) = open_with(&small_outbox(Overflow::Close), 1024, &[]).await;
    let sending = tokio::spawn(async move {
        for i in 0..500 {
            socket.send(format!("{i:05}").repeat(100)).await.unwrap();
        }
        socket
    });
    for i in 0..500 {
        peer.expects(frame::text(format!("{i:05}").repeat(100))).await;
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn try_send_tells_how_the_peer_keeps_up() {
    let (mut socket, mut peer) = open_with(&small_outbox(Overflow::Close), 1024, &[]).await;
    assert_eq!(socket.try_send("a").unwrap(), Accepted::Sent);
    peer.expects(frame::text("a")).await;
    // More than the pipe and what is encoded ahead can hold.
    socket.send(vec![0; 90_000]).await.unwrap();
    tokio::task::yield_now().await;
    assert!(socket.buffered_amount() > 80_000, "{}", socket.buffered_amount());
    let mut answers = Vec::new();
    let refused = loop {
        match socket.try_send("b") {
            Ok(accepted) => answers.push(accepted),
            Err(refused) => break refused,
        }
    };
    assert_eq!(answers, [Accepted::Buffered; 10]);
    assert!(matches!(refused, Refused::Full(_)), "{refused:?}");
    peer.expects(frame::binary(vec![0; 90_000])).await;
    for _ in 0..10 {
        peer.expects(frame::text("b")).await;
    }
    socket.flush().await.unwrap();
    assert_eq!(socket.buffered_amount(), 0);
}

/// More than is encoded at once, to a transport that takes it all at once: nothing waits for a further reason to write.
#[tokio::test(start_paused = true)]
async fn a_burst_leaves_whole() {
    let (mut socket, mut peer) = open_with(&Config::default(), 4 << 20, &[]).await;
    let before = tokio::time::Instant::now();
    for _ in 0..30 {
        socket.try_send(vec![1; 20_000]).unwrap();
    }
    peer.says(&[frame::ping("?")]).await;
    let mut pongs = 0;
    for _ in 0..31 {
        let heard = peer.hears().await.unwrap();
        pongs += u32::from(heard == frame::pong("?"));
    }
    assert_eq!((pongs, before.elapsed()), (1, Duration::ZERO));
    let closing = tokio::spawn(async move {
        for _ in 0..30 {
            socket.try_send(vec![2; 20_000]).unwrap();
        }
        socket.close(1000, "").await
    });
    for _ in 0..30 {
        peer.expects(frame::binary(vec![2; 20_000])).await;
    }
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    peer.says(&[frame::close(1000, "")]).await;
    assert!(closing.await.unwrap().unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_the_transport() {
    let (mut socket, mut peer) = open_with(&Config::default(), 1024, &[]).await;
    socket.send(vec![7; 5000]).await.unwrap();
    let sender = socket.sender();
    let mut flush = tokio::spawn(async move { sender.flush().await });
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut flush).await.is_err(), "the pipe is full");
    peer.expects(frame::binary(vec![7; 5000])).await;
    flush.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_does_not_block_control_frames() {
    let (mut socket, mut peer) = open_with(&small_outbox(Overflow::Close), 1024, &[]).await;
    while socket.try_send(vec![0; 2000]).is_ok() {}
    peer.says(&[frame::ping("?")]).await;
    let closing = tokio::spawn(async move { socket.close(1000, "").await });
    let mut heard = Vec::new();
    while let Some(frame) = peer.hears().await {
        heard.push(frame.first);
        if frame.first == 0x88 {
            peer.says(&[frame::close(1000, "")]).await;
        }
    }
    assert_eq!(heard.iter().filter(|&&first| first == 0x8a).count(), 1, "a pong among {heard:x?}");
    assert_eq!(heard.last(), Some(&0x88));
    assert!(closing.await.unwrap().unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_cut_off() {
    let (mut socket, _peer) = open_with(&Config::default(), 1024, &[]).await;
    socket.send(vec![0; 100_000]).await.unwrap();
    assert!(matches!(socket.recv().await, Err(Error::Timeout(Timeout::Write))));
}

/// The clock is stopped: a driver that asked itself again and again would keep it from ever going on.
#[tokio::test(start_paused = true)]
async fn closing_behind_a_full_outbox_waits_quietly() {
    let (mut socket, _peer) = open_with(&small_outbox(Overflow::Close), 1024, &[]).await;
    while socket.try_send(vec![0; 20_000]).is_ok() {
        tokio::task::yield_now().await;
    }
    let outcome = socket.close(1000, "").await.unwrap();
    assert!(matches!(outcome.error(), Some(Error::Timeout(Timeout::Write))), "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_makes_the_peer_wait() {
    let config = Config::default()
        .inbox(InboxLimits { messages: 4, bytes: 1 << 20 })
        .limits(Limits { ping_interval: None, ..Limits::default() });
    let (mut socket, peer) = open_with(&config, 1024, &[]).await;
    let mut peer = peer;
    let talking = tokio::spawn(async move {
        for i in 0..1000 {
            peer.says(&[frame::text(format!("{i:0500}"))]).await;
        }
        peer
    });
    let held = tokio::time::timeout(Duration::from_secs(60), async { talking.is_finished() }).await;
    assert!(matches!(held, Ok(false)), "the peer had to stop");
    for i in 0..1000 {
        assert_eq!(socket.recv().await.unwrap(), Some(Message::text(format!("{i:0500}"))));
    }
    talking.await.unwrap();
}

/// A peer that sends faster than it reads is made to wait, and is not dropped.
async fn a_handler_that_echoes_makes_a_slow_peer_wait(driver: Driver) {
    let outbox = OutboxLimits { messages: 10, bytes: 100_000, overflow: Overflow::Close };
    let echo = OnMessage::new(|cx, message| {
        cx.send(message);
    });
    let (_task, peer) = serve(driver, &Config::default().outbox(outbox), echo).await;
    let (mut reads, mut writes) = tokio::io::split(peer.io);
    let message = frame::binary([7; 1000]).masked().bytes();
    tokio::spawn(async move {
        for _ in 0..2000 {
            tokio::io::AsyncWriteExt::write_all(&mut writes, &message).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let expected = frame::binary([7; 1000]).bytes();
    let mut echoed = vec![0; expected.len()];
    for i in 0..2000 {
        // Slower than any sender.
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::io::AsyncReadExt::read_exact(&mut reads, &mut echoed).await.unwrap();
        assert!(echoed == expected, "message {i}");
    }
}

/// Not to be read is not the peer's fault: its pongs lie in the socket.
#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_is_no_reason_to_call_the_peer_dead() {
    let config = Config::default().inbox(InboxLimits { messages: 2, bytes: 1000 });
    let (mut socket, mut peer) = open(&config).await;
    peer.says(&[frame::text("1"), frame::text("2"), frame::text("3")]).await;
    let patient = tokio::time::timeout(Duration::from_secs(3600), async {
        while let Some(heard) = peer.hears().await {
            assert_eq!(heard.first, 0x89, "pings and nothing else: {heard:?}");
            peer.says(&[frame::pong(heard.payload)]).await;
        }
    });
    assert!(patient.await.is_err(), "the connection is still open");
    for text in ["1", "2", "3"] {
        assert_eq!(socket.recv().await.unwrap(), Some(Message::text(text)));
    }
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_an_application_that_does_not_read() {
    let config = Config::default().inbox(InboxLimits { messages: 2, bytes: 1000 });
    let (mut socket, mut peer) = open(&config).await;
    peer.says(&vec![frame::text("unread"); 10]).await;
    let closing = tokio::spawn(async move { socket.close(1000, "").await });
    peer.expects(frame::close(1000, "")).await;
    peer.says(&vec![frame::text("unread"); 1000]).await;
    peer.says(&[frame::close(1000, "")]).await;
    assert!(closing.await.unwrap().unwrap().is_clean());
}

/// Leaves as soon as its peer is given up.
struct Member1013 {
    hub: Hub,
    member: Option<Member<Parcel>>,
    told: UnboundedSender<String>,
}

impl Handler for Member1013 {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        let member = cx.join(&self.hub);
        assert_eq!(member.subscribe("room"), Ok(true));
        self.member = Some(member);
        self.told.send("open".into()).unwrap();
    }

    fn on_message(&mut self, _: &mut Context<'_>, _: MessageRef<'_>) {}

    fn on_overflow(&mut self, _: &mut Context<'_>) {
        self.member = None;
        self.told.send("overflow".into()).unwrap();
    }

    fn on_close(&mut self, outcome: &Outcome) {
        self.told.send(outcome.error().map(ToString::to_string).unwrap_or_default()).unwrap();
    }
}

async fn a_handler_hears_at_once_that_its_peer_is_given_up(driver: Driver) {
    let (hub, (told, mut heard)) = (Hub::default(), unbounded_channel());
    let handler = Member1013 { hub: hub.clone(), member: None, told };
    let (_end, peer) = serve(driver, &small_outbox(Overflow::Close), handler).await;
    assert_eq!(heard.recv().await.as_deref(), Some("open"));
    while hub.count("room") > 0 {
        hub.publish("room", vec![0; 20_000].into());
        tokio::task::yield_now().await;
    }
    assert_eq!(heard.recv().await.as_deref(), Some("overflow"));
    assert!(heard.try_recv().is_err(), "the closing is not over, and nothing is told twice");
    drop(peer);
    assert_eq!(heard.recv().await, Some(Error::Overflowed.to_string()));
}

/// Small echoes never reach the outbox: the peer is not read from any more when so much of them waits.
async fn those_who_do_not_read_their_echoes_go_when_memory_is_short(driver: Driver) {
    let budget = Budget::new(8 << 20);
    let limits = Limits { ping_interval: None, write_timeout: None, ..Limits::default() };
    let config = Config::default().limits(limits).budget(budget.clone());
    let (mut ends, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let echo = OnMessage::new(|cx, message| {
            cx.send(message);
        });
        let (end, peer) = serve(driver, &config, echo).await;
        ends.push(end);
        peers.push(peer);
    }
    let message = frame::binary([7; 1000]).masked().bytes();
    for mut peer in peers {
        let message = message.clone();
        tokio::spawn(async move { while tokio::io::AsyncWriteExt::write_all(&mut peer.io, &message).await.is_ok() {} });
    }
    let gone = tokio::time::timeout(Duration::from_secs(3600), futures_util::future::select_all(ends)).await;
    let outcome = gone.expect("12 MiB do not fit").0.unwrap();
    assert!(matches!(outcome.error(), Some(Error::Protocol(ProtocolError::OutOfMemory))), "{outcome}");
    assert!(budget.usage().unwrap().evicted > 0);
}

/// Says that it holds much for its peer, as soon as that says anything.
struct Hoarder(Budget);

impl Handler for Hoarder {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        cx.set_kept(1 << 20);
        // What was sent by this would come before what is said next.
        drop(cx.sender());
        self.0.take(BudgetPart::Reading, 8 << 20);
        self.0.relieve();
    }

    fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
        assert_eq!(error, ProtocolError::OutOfMemory);
        cx.send("last words");
    }
}

async fn who_is_made_to_go_is_told_what_the_handler_says_to_that(driver: Driver) {
    let budget = Budget::new(8 << 20);
    let (_end, mut peer) = serve(driver, &Config::default().budget(budget.clone()), Hoarder(budget)).await;
    peer.says(&[frame::text("go")]).await;
    peer.expects(frame::text("last words")).await;
    let close = peer.hears().await.unwrap();
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1013_u16.to_be_bytes()[..]));
}

async fn contexts_of_compression_are_a_reason_to_go_when_memory_is_short(driver: Driver) {
    let budget = Budget::new(8 << 20);
    let deflate = DeflateConfig { peer_context_takeover: true, threshold: usize::MAX, ..DeflateConfig::default() };
    let limits = Limits { ping_interval: None, deflate: Some(deflate), ..Limits::default() };
    let mut config = Config::default().limits(limits).budget(budget.clone());
    if driver == Driver::Task {
        config = config.task_per_connection();
    }
    let server = Server::bind("127.0.0.1:0", config).await.unwrap();
    let mut peer = Peer::connect(server.local_addr().unwrap()).await;
    tokio::spawn(server.serve(|_| {
        OnMessage::new(|cx, _| {
            cx.send("heard");
        })
    }));
    peer.sends(REQUEST.replace("X-Test: yes", "Sec-WebSocket-Extensions: permessage-deflate")).await;
    peer.is_let_in().await;
    // One stored block of 20,000 bytes, and what is left of an empty one (RFC 7692 §7.2.1).
    let mut stored = vec![0, 0x20, 0x4e, 0xdf, 0xb1];
    stored.extend([7; 20_000]);
    stored.push(0);
    peer.says(&[frame::binary(stored).rsv1()]).await;
    peer.expects(frame::text("heard")).await;
    budget.take(BudgetPart::Reading, 8 << 20);
    budget.relieve();
    let close = tokio::time::timeout(Duration::from_secs(3600), peer.hears()).await.unwrap().unwrap();
    assert_eq!((close.first, &close.payload[..2]), (0x88, &1013_u16.to_be_bytes()[..]));
}
