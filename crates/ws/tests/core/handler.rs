//! The handler style: borrowed messages, replies gathered, panics contained.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use switchboard_testkit::frame;
use switchboard_ws::{
    CloseCode, CloseFrame, Config, Context, Error, Handler, Kind, Limits, Message, MessageRef, OnMessage, OutboxLimits,
    Outcome, Prepared, Pushed, Sender,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::peer::{Driver, on_both_drivers, serve};

on_both_drivers!(
    replies_to_one_read_leave_together,
    what_takes_long_is_heard_by_turns,
    a_handler_hears_everything_in_order,
    a_handler_closes,
    a_panic_ends_one_connection_with_1011,
    a_handler_can_be_sent_to_from_elsewhere_in_order,
    what_is_sent_beside_pieces_waits_for_their_end,
    what_a_handler_says_when_drained_leaves_at_once,
    a_handle_that_is_made_when_drained_wakes_the_driver,
    a_handler_can_cut_the_connection_off,
    a_handler_can_pause_and_somebody_else_resume,
    a_large_message_is_owned_and_goes_back_without_a_copy,
    a_handler_that_floods_meets_the_outbox_and_its_policy,
    replies_to_one_read_fit_whatever_the_outbox_holds,
);

async fn replies_to_one_read_leave_together(driver: Driver) {
    let (_task, mut peer) = serve(
        driver,
        &Config::default(),
        OnMessage::new(|cx, message| {
            cx.send(message);
        }),
    )
    .await;
    peer.says(&[frame::text("a"), frame::binary("b"), frame::text("c")]).await;
    let mut buffer = [0; 100];
    let count = tokio::io::AsyncReadExt::read(&mut peer.io, &mut buffer).await.unwrap();
    let heard = switchboard_testkit::Frame::parse_all(&buffer[..count]);
    assert_eq!(heard, [frame::text("a"), frame::binary("b"), frame::text("c")], "in one read, as from one write");
}

/// All of one read, but others run in between.
async fn what_takes_long_is_heard_by_turns(driver: Driver) {
    const MESSAGES: usize = 40;
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    let (_task, mut peer) = serve(
        driver,
        &Config::default(),
        OnMessage::new(move |cx, message| {
            std::thread::sleep(Duration::from_millis(1));
            count.fetch_add(1, Ordering::SeqCst);
            cx.send(message);
        }),
    )
    .await;
    let messages: Vec<_> = (0..MESSAGES).map(|number| frame::text(number.to_string())).collect();
    peer.says(&messages).await;
    // A task that is always ready has its turn after each of the driver's.
    let seen = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        std::future::poll_fn(|cx| {
            seen.insert(heard.load(Ordering::SeqCst));
            cx.waker().wake_by_ref();
            if seen.contains(&MESSAGES) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        seen
    });
    let seen = seen.await.unwrap();
    assert!(seen.is_superset(&BTreeSet::from([16, 32])) && seen.len() <= 4, "{seen:?}");
    for message in messages {
        peer.expects(message).await;
    }
}

/// Echoes, and refuses what is borrowed.
struct OwnedEcho;

impl Handler for OwnedEcho {
    fn on_message(&mut self, _: &mut Context<'_>, message: MessageRef<'_>) {
        panic!("{} bytes were borrowed", message.len());
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        assert_eq!(cx.send_owned(message), Pushed::Sent);
    }
}

async fn a_large_message_is_owned_and_goes_back_without_a_copy(driver: Driver) {
    let (_task, mut peer) = serve(driver, &Config::default(), OwnedEcho).await;
    let payload: Vec<u8> = (0..251).cycle().take(3 << 20).collect();
    for message in [frame::binary(&payload), frame::text("é".repeat(1 << 20))] {
        peer.says(std::slice::from_ref(&message)).await;
        peer.expects(message).await;
    }
}

/// Notes every call.
struct Noting(mpsc::Sender<String>);

impl Noting {
    fn note(&self, what: impl Into<String>) {
        self.0.send(what.into()).unwrap();
    }
}

impl Handler for Noting {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.note(format!("open {}", cx.info().uri()));
        cx.send("welcome");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        self.note(format!("message {}", message.as_text().unwrap()));
        match message.as_text() {
            Some("close") => cx.close(CloseCode(4000), "asked").unwrap(),
            Some("pieces") => {
                cx.send_piece(Kind::Text, b"in ", false).unwrap();
                cx.send_piece(Kind::Text, b"pieces", true).unwrap();
            }
            Some("prepared") => {
                cx.send_prepared(&Prepared::text("prepared"));
            }
            _ => {}
        }
    }

    fn on_ping(&mut self, _: &mut Context<'_>, payload: &[u8]) {
        self.note(format!("ping {}", payload.len()));
    }

    fn on_pong(&mut self, _: &mut Context<'_>, payload: &[u8], rtt: Option<Duration>) {
        self.note(format!("pong {} {rtt:?}", payload.len()));
    }

    fn on_peer_close(&mut self, cx: &mut Context<'_>, frame: &CloseFrame) {
        self.note(format!("peer closes {}", frame.code));
        cx.send("farewell");
    }

    fn on_close(&mut self, outcome: &Outcome) {
        self.note(format!("closed: {outcome}"));
    }
}

async fn a_handler_hears_everything_in_order(driver: Driver) {
    let (notes, noted) = mpsc::channel();
    let (task, mut peer) = serve(driver, &Config::default(), Noting(notes)).await;
    peer.expects(frame::text("welcome")).await;
    peer.says(&[frame::text("hi"), frame::ping("p"), frame::pong("unasked"), frame::text("pieces")]).await;
    peer.says(&[frame::text("prepared"), frame::close(1000, "bye")]).await;
    peer.expects(frame::pong("p")).await;
    peer.expects(frame::text("in ").fin(false)).await;
    peer.expects(frame::continuation("pieces")).await;
    peer.expects(frame::text("prepared")).await;
    peer.expects(frame::text("farewell")).await;
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
    assert!(task.await.unwrap().is_clean());
    let noted: Vec<String> = noted.try_iter().collect();
    assert_eq!(
        noted,
        [
            "open /path?q=1",
            "message hi",
            "ping 1",
            "pong 7 None",
            "message pieces",
            "message prepared",
            "peer closes 1000",
            "closed: closed with 1000 \"bye\"",
        ]
    );
}

async fn a_handler_closes(driver: Driver) {
    let (notes, _noted) = mpsc::channel();
    let (task, mut peer) = serve(driver, &Config::default(), Noting(notes)).await;
    peer.expects(frame::text("welcome")).await;
    peer.says(&[frame::text("close")]).await;
    peer.expects(frame::close(4000, "asked")).await;
    peer.says(&[frame::close(4000, "")]).await;
    assert_eq!(peer.hears().await, None);
    assert!(task.await.unwrap().is_clean());
}

async fn a_panic_ends_one_connection_with_1011(driver: Driver) {
    let config = Config::default();
    let panics = || OnMessage::new(|_, _| panic!("on purpose"));
    let (task, mut peer) = serve(driver, &config, panics()).await;
    let (_healthy_task, mut healthy) = serve(
        driver,
        &config,
        OnMessage::new(|cx, message| {
            cx.send(message);
        }),
    )
    .await;
    peer.says(&[frame::text("boom"), frame::text("again")]).await;
    peer.expects(frame::close(1011, "internal error")).await;
    peer.says(&[frame::close(1011, "")]).await;
    assert!(task.await.is_err(), "a handler that panicked is not called again");
    healthy.says(&[frame::text("alive?")]).await;
    healthy.expects(frame::text("alive?")).await;
    assert_eq!(config.get_metrics().snapshot().failures, [("panic", 1)].into());
}

/// Gives its sender away.
struct Lending(Arc<Mutex<Option<Sender>>>);

impl Handler for Lending {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        *self.0.lock().unwrap() = Some(cx.sender());
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let sender = cx.sender();
        sender.try_send("queued first").unwrap();
        // What was queued before must leave before.
        assert_eq!(cx.send(message), Pushed::Sent);
    }
}

async fn a_handler_can_be_sent_to_from_elsewhere_in_order(driver: Driver) {
    let lent = Arc::default();
    let (_task, mut peer) = serve(driver, &Config::default(), Lending(Arc::clone(&lent))).await;
    let sender = lent.lock().unwrap().take().unwrap();
    sender.send("from elsewhere").await.unwrap();
    peer.expects(frame::text("from elsewhere")).await;
    drop(sender);
    peer.says(&[frame::text("second")]).await;
    peer.expects(frame::text("queued first")).await;
    peer.expects(frame::text("second")).await;
}

/// Begins a message in pieces with one message, and ends it with the next.
struct InPieces(Arc<Mutex<Option<Sender>>>);

impl Handler for InPieces {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        *self.0.lock().unwrap() = Some(cx.sender());
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let last = message.as_text() == Some("end");
        cx.send_piece(Kind::Text, b"piece ", last).unwrap();
        if !last {
            assert_eq!(cx.send("after the pieces"), Pushed::Sent);
        }
    }
}

async fn what_is_sent_beside_pieces_waits_for_their_end(driver: Driver) {
    let lent = Arc::default();
    let (_task, mut peer) = serve(driver, &Config::default(), InPieces(Arc::clone(&lent))).await;
    peer.says(&[frame::text("begin")]).await;
    peer.expects(frame::text("piece ").fin(false)).await;
    let sender = lent.lock().unwrap().take().unwrap();
    sender.send("from elsewhere").await.unwrap();
    peer.says(&[frame::ping("?")]).await;
    peer.expects(frame::pong("?")).await;
    peer.says(&[frame::text("end")]).await;
    peer.expects(frame::continuation("piece ")).await;
    peer.expects(frame::text("after the pieces")).await;
    peer.expects(frame::text("from elsewhere")).await;
}

/// Floods on request, and notes when it was all written.
struct Flooding(mpsc::Sender<&'static str>);

impl Handler for Flooding {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        while cx.send(&[0; 10_000][..]) == Pushed::Sent {}
        self.0.send("full").unwrap();
    }

    fn on_drain(&mut self, _: &mut Context<'_>) {
        self.0.send("drained").unwrap();
    }
}

/// Answers a flood with what it says when that was all written.
struct Refilling;

impl Handler for Refilling {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        cx.send(&[0; 1_000_000][..]);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>) {
        cx.send("drained");
        cx.close(CloseCode(4002), "done").unwrap();
    }
}

async fn what_a_handler_says_when_drained_leaves_at_once(driver: Driver) {
    let (_task, mut peer) = serve(driver, &Config::default(), Refilling).await;
    peer.says(&[frame::text("go")]).await;
    peer.expects(frame::binary(vec![0; 1_000_000])).await;
    let before = tokio::time::Instant::now();
    peer.expects(frame::text("drained")).await;
    peer.expects(frame::close(4002, "done")).await;
    assert!(before.elapsed() < Duration::from_millis(1), "no timer was needed");
}

/// Has no handle before all is written that it says.
struct LendingWhenDrained(UnboundedSender<Sender>);

impl Handler for LendingWhenDrained {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        cx.send(&[0; 1_000_000][..]);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>) {
        self.0.send(cx.sender()).unwrap();
    }
}

async fn a_handle_that_is_made_when_drained_wakes_the_driver(driver: Driver) {
    let (lend, mut lent) = unbounded_channel();
    // No heartbeat wakes it.
    let config = Config::default().limits(Limits { ping_interval: None, ..Limits::default() });
    let (_task, mut peer) = serve(driver, &config, LendingWhenDrained(lend)).await;
    peer.says(&[frame::text("go")]).await;
    peer.expects(frame::binary(vec![0; 1_000_000])).await;
    let sender = lent.recv().await.unwrap();
    sender.try_send("later").unwrap();
    tokio::time::timeout(Duration::from_secs(3600), peer.expects(frame::text("later"))).await.unwrap();
}

async fn a_handler_can_cut_the_connection_off(driver: Driver) {
    let cut = OnMessage::new(|cx, _| cx.terminate());
    let (task, mut peer) = serve(driver, &Config::default(), cut).await;
    peer.says(&[frame::text("go")]).await;
    assert_eq!(peer.hears().await, None);
    assert!(matches!(task.await.unwrap().error(), Some(Error::Terminated)));
}

async fn a_handler_can_pause_and_somebody_else_resume(driver: Driver) {
    let lent: Arc<Mutex<Option<Sender>>> = Arc::default();
    let (heard, hears) = mpsc::channel();
    let lend = Arc::clone(&lent);
    let pausing = OnMessage::new(move |cx, message: MessageRef<'_>| {
        heard.send(message.as_text().unwrap().to_owned()).unwrap();
        *lend.lock().unwrap() = Some(cx.sender());
        cx.ping_with(b"paused").unwrap();
        cx.pause();
    });
    let (_task, mut peer) = serve(driver, &Config::default(), pausing).await;
    peer.says(&[frame::text("1")]).await;
    peer.expects(frame::ping("paused")).await;
    peer.says(&[frame::text("2")]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), ["1"], "what came after is not read");
    lent.lock().unwrap().take().unwrap().resume();
    peer.expects(frame::ping("paused")).await;
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), ["2"]);
}

/// A peer that sends much at once and reads the replies has done nothing that it should be closed for.
async fn replies_to_one_read_fit_whatever_the_outbox_holds(driver: Driver) {
    let outbox = OutboxLimits { messages: 1, bytes: 1, overflow: switchboard_ws::Overflow::Close };
    let echo = OnMessage::new(|cx, message| {
        cx.send(message);
    });
    let (_task, mut peer) = serve(driver, &Config::default().outbox(outbox), echo).await;
    let sent = vec![frame::binary([7; 1000]); 110];
    peer.says(&sent).await;
    for frame in sent {
        peer.expects(frame).await;
    }
}

async fn a_handler_that_floods_meets_the_outbox_and_its_policy(driver: Driver) {
    let outbox = OutboxLimits { messages: 5, bytes: 200_000, overflow: switchboard_ws::Overflow::DropNewest };
    let config = Config::default().outbox(outbox);
    let (notes, noted) = mpsc::channel();
    let (_task, mut peer) = serve(driver, &config, Flooding(notes)).await;
    peer.says(&[frame::text("go")]).await;
    // 27 messages are encoded (the bound and what one read may bring beyond it), 5 queued, and one more dropped.
    for _ in 0..32 {
        peer.expects(frame::binary([0; 10_000])).await;
    }
    peer.says(&[frame::ping("done?")]).await;
    peer.expects(frame::pong("done?")).await;
    assert_eq!(noted.try_iter().collect::<Vec<_>>(), ["full", "drained"]);
}
