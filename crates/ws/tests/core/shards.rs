//! Several shards: of several runtimes, of one with several threads, and what is published from one to another.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use switchboard_hub::Counters;
use switchboard_testkit::frame;
use switchboard_ws::{
    Config, Context, Handler, Hub, Limits, MessageRef, Metrics, OnMessage, OutboxLimits, Overflow, Prepared, Server,
};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::peer::{Driver, Peer, on_both_drivers, serve};

on_both_drivers!(a_subscriber_that_does_not_keep_up_loses_by_its_policy_and_bothers_nobody);

/// What takes longer than this has failed.
const LONG: Duration = Duration::from_secs(60);

/// Without heartbeats, which a busy machine could let a test see.
fn quiet() -> Config {
    Config::default().limits(Limits { ping_interval: None, ..Limits::default() })
}

async fn listen<H: Handler>(config: &Config, make: impl Fn() -> H + Send + Sync + 'static) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(move |_| make()));
    address
}

/// A runtime on a thread of its own.
struct Elsewhere {
    address: SocketAddr,
    thread: std::thread::JoinHandle<()>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Elsewhere {
    /// Tells who asks on which thread it is served.
    async fn start(config: &Config, threads: &Arc<Mutex<Vec<ThreadId>>>) -> Self {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (config, threads) = (config.clone(), Arc::clone(threads));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let address = listen(&config, move || {
                    let threads = Arc::clone(&threads);
                    OnMessage::new(move |cx, message| {
                        threads.lock().unwrap().push(std::thread::current().id());
                        cx.send(message);
                    })
                });
                tell.send(address.await).unwrap();
                // Stopped, or forgotten by a test that has failed.
                let _ = stopped.await;
            });
        });
        Self { address: told.await.unwrap(), thread, stop }
    }
}

async fn asks(peer: &mut Peer) {
    peer.says(&[frame::text("who")]).await;
    tokio::time::timeout(LONG, peer.expects(frame::text("who"))).await.unwrap();
}

#[tokio::test]
async fn each_runtime_has_shards_of_its_own() {
    let (config, threads) = (quiet(), Arc::default());
    let one = Elsewhere::start(&config, &threads).await;
    let two = Elsewhere::start(&config, &threads).await;
    let mut peers = [Peer::open(one.address).await, Peer::open(two.address).await];
    for peer in &mut peers {
        asks(peer).await;
    }
    assert_eq!(*threads.lock().unwrap(), [one.thread.thread().id(), two.thread.thread().id()]);
    assert_eq!(config.connections().count(), 2);
    // With the first runtime its connections end, and no others.
    one.stop.send(()).unwrap();
    let [mut first, mut second] = peers;
    assert_eq!(tokio::time::timeout(LONG, first.hears()).await.unwrap(), None);
    one.thread.join().unwrap();
    asks(&mut second).await;
    asks(&mut Peer::open(two.address).await).await;
    // A runtime that comes later is served too.
    let three = Elsewhere::start(&config, &threads).await;
    asks(&mut Peer::open(three.address).await).await;
    for elsewhere in [two, three] {
        elsewhere.stop.send(()).unwrap();
        elsewhere.thread.join().unwrap();
    }
}

/// Shards count for all of their connections at once.
#[tokio::test(start_paused = true)]
async fn what_has_other_counters_is_counted_there() {
    let base = Config::default();
    let mut counted = Vec::new();
    for _ in 0..2 {
        let metrics = Arc::new(Metrics::default());
        let config = base.clone().metrics(Arc::clone(&metrics));
        let echo = || {
            OnMessage::new(|cx, message| {
                cx.send(message);
            })
        };
        let address = listen(&config, echo).await;
        let mut peer = Peer::open(address).await;
        peer.says(&[frame::text("1")]).await;
        peer.expects(frame::text("1")).await;
        counted.push(metrics);
    }
    tokio::task::yield_now().await;
    for metrics in counted {
        assert_eq!(metrics.snapshot().messages_in, 1);
    }
}

fn threads(count: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
}

/// So many must be there at once.
#[derive(Default)]
struct Meeting {
    there: Mutex<usize>,
    all: Condvar,
}

impl Meeting {
    fn wait_for(&self, count: usize) -> bool {
        let mut there = self.there.lock().unwrap();
        *there += 1;
        self.all.notify_all();
        let (_there, waited) = self.all.wait_timeout_while(there, LONG, |there| *there < count).unwrap();
        !waited.timed_out()
    }
}

/// Two handlers that block until both are called cannot be on one shard.
#[test]
fn the_clients_of_a_listener_are_shared_out_among_the_threads() {
    threads(4).block_on(async {
        // A thread that blocks does not ask the kernel for news: another one must.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let meeting = Arc::new(Meeting::default());
        let address = listen(&quiet(), move || {
            let meeting = Arc::clone(&meeting);
            OnMessage::new(move |cx, _| {
                cx.send(if meeting.wait_for(2) { "met" } else { "alone" });
            })
        })
        .await;
        let mut peers = [Peer::open(address).await, Peer::open(address).await];
        for peer in &mut peers {
            peer.says(&[frame::text("go")]).await;
        }
        for peer in &mut peers {
            peer.expects(frame::text("met")).await;
        }
    });
}

/// Those who have said nothing are closed on every shard, not only on that of the listener.
#[test]
fn a_listener_that_is_dropped_forgets_its_clients_on_all_shards() {
    threads(3).block_on(async {
        let server = Server::bind("127.0.0.1:0", quiet()).await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(server.serve(|_| OnMessage::new(|_, _| {})));
        let mut idle = Vec::new();
        for _ in 0..6 {
            idle.push(Peer::connect(address).await);
            // When this one is let in, the one before it was accepted.
            Peer::open(address).await;
        }
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        for peer in &mut idle {
            assert_eq!(tokio::time::timeout(LONG, peer.hears_all()).await.unwrap(), "");
        }
    });
}

/// Joins a room; what it hears goes to everyone in it.
struct Member;

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("lobby").expect("a short name");
        cx.send("joined");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.publish_to_all("lobby", message);
    }
}

#[test]
fn what_each_publishes_reaches_everybody_on_every_shard_in_order() {
    const EACH: usize = 500;
    threads(3).block_on(async {
        let hub = Hub::default();
        let outbox = OutboxLimits { messages: 1 << 20, bytes: 1 << 30, overflow: Overflow::Close };
        let config = quiet().hub(hub.clone()).outbox(outbox);
        let address = listen(&config, || Member).await;
        let mut peers = Vec::new();
        for _ in 0..7 {
            let mut peer = Peer::open(address).await;
            peer.expects(frame::text("joined")).await;
            peers.push(peer);
        }
        // Two threads of no runtime, and two members on different shards.
        let publishers: Vec<_> = ["x", "y"]
            .map(|name| {
                let hub = hub.clone();
                std::thread::spawn(move || {
                    for i in 0..EACH {
                        hub.publish("lobby", Prepared::text(&format!("{name} {i}")).into());
                    }
                })
            })
            .into();
        for (peer, name) in peers.iter_mut().zip(["a", "b"]) {
            let said: Vec<_> = (0..EACH).map(|i| frame::text(format!("{name} {i}"))).collect();
            peer.says(&said).await;
        }
        for peer in &mut peers {
            let mut next: HashMap<String, usize> = HashMap::new();
            for _ in 0..4 * EACH {
                let heard = tokio::time::timeout(LONG, peer.hears()).await.unwrap().unwrap();
                let text = String::from_utf8(heard.payload).unwrap();
                let (name, number) = text.split_once(' ').unwrap();
                let expected = next.entry(name.to_owned()).or_default();
                assert_eq!(number.parse(), Ok(*expected), "of {name}");
                *expected += 1;
            }
            assert!(next.values().all(|&count| count == EACH), "{next:?}");
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(hub.counters(), Counters::default());
    });
}

async fn a_subscriber_that_does_not_keep_up_loses_by_its_policy_and_bothers_nobody(driver: Driver) {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Close] {
        let hub = Hub::default();
        let outbox = OutboxLimits { messages: 20, bytes: 1 << 20, overflow };
        let config = quiet().hub(hub.clone()).outbox(outbox);
        let (_slow, mut slow) = serve(driver, &config, Member).await;
        let (_quick, mut quick) = serve(driver, &config, Member).await;
        slow.expects(frame::text("joined")).await;
        quick.expects(frame::text("joined")).await;
        let message = |i: u32| [&i.to_be_bytes()[..], &[0; 1000]].concat();
        for i in 0..1000 {
            hub.publish("lobby", Prepared::binary(&message(i)).into());
            quick.expects(frame::binary(message(i))).await;
        }
        let counters = hub.counters();
        match overflow {
            Overflow::Close => assert_eq!((counters.dropped, counters.overflowed), (0, 1)),
            Overflow::DropNewest => assert!(counters.dropped > 100 && counters.overflowed == 0, "{counters:?}"),
            // Each new message was taken, so the publisher has nothing to be told.
            Overflow::DropOldest => assert_eq!(counters, Counters::default()),
        }
        // It reads at last, and hears some of it, in order.
        if overflow != Overflow::Close {
            slow.says(&[frame::ping("?")]).await;
        }
        let mut heard = Vec::new();
        let last = loop {
            match slow.hears().await {
                Some(frame) if frame.first == 0x82 => {
                    heard.push(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
                }
                other => break other,
            }
        };
        assert!(heard.is_sorted() && heard[0] == 0, "{heard:?}");
        match overflow {
            Overflow::Close => assert_eq!(last, Some(frame::close(1013, "the peer does not keep up"))),
            _ => assert_eq!(last, Some(frame::pong("?"))),
        }
        let missed = u64::try_from(1000 - heard.len()).unwrap();
        match overflow {
            Overflow::DropNewest => assert_eq!(missed, counters.dropped),
            Overflow::DropOldest => assert_eq!(heard.last(), Some(&999), "the newest is not lost"),
            Overflow::Close => {}
        }
        assert!(missed > 100, "{missed}");
    }
}

/// Joins a room when it is told to.
struct MaybeMember(bool);

impl Handler for MaybeMember {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if self.0 {
            cx.subscribe("lobby").expect("a short name");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }
}

/// While another thread publishes without pause, members leave and others take their places on the shard.
#[tokio::test]
async fn who_takes_a_members_place_does_not_get_its_post() {
    let hub = Hub::default();
    let outbox = OutboxLimits { overflow: Overflow::DropNewest, ..OutboxLimits::default() };
    let config = quiet().hub(hub.clone()).outbox(outbox);
    let joins = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&joins);
    let address = listen(&config, move || MaybeMember(asked.load(Ordering::Relaxed))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let publisher = std::thread::spawn(move || {
        let message = Prepared::text("post");
        while !stopped.load(Ordering::Relaxed) {
            hub.publish("lobby", message.clone().into());
        }
    });
    for _ in 0..200 {
        joins.store(true, Ordering::Relaxed);
        let mut member = Peer::open(address).await;
        member.expects(frame::text("post")).await;
        drop(member);
        joins.store(false, Ordering::Relaxed);
        let mut stranger = Peer::open(address).await;
        for text in ["nothing", "else"] {
            stranger.says(&[frame::text(text)]).await;
            stranger.expects(frame::text(text)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    publisher.join().unwrap();
}
