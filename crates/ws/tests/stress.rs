//! Both drivers under many threads at once: publishing, sending, subscribing, moving members, closing, cutting off and
//! dropping handles, over real sockets. The schedule of each thread comes from a seed; how they meet is the machine's.
//!
//! A few seconds by default. `STRESS_ROUNDS=100` makes it a hundred times longer, `STRESS_SEED=7` another one.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use switchboard_hub::{Member, Outbox};
use switchboard_testkit::faults::throw;
use switchboard_ws::{
    Client, CloseCode, Config, Context, Handler, Hub, Message, MessageRef, OutboxLimits, Overflow, Parcel, Prepared,
    Sender, Server, Socket,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What clients join.
const TOPICS: [&str; 3] = ["a", "b", "c"];
/// What members are in that move from connection to connection.
const MOVING: &str = "moving";
/// Clients that come and go, and how often each does in a round.
const CLIENTS: u64 = 12;
const VISITS: u64 = 20;
/// So much does each publisher publish in each topic for each visit.
const PUBLICATIONS: u64 = 8;
/// What takes longer than this has failed. The longer forms have more time.
const LONG: Duration = Duration::from_secs(60);

/// What all threads share.
#[derive(Default)]
struct Shared {
    /// Handles of connections that anyone may do anything to.
    senders: Mutex<Vec<Sender>>,
    /// Members that wait for a connection to move to, with the outboxes that they have meanwhile.
    movers: Mutex<Vec<Member<Parcel>>>,
    opened: AtomicU64,
    closed: AtomicU64,
    visits: AtomicU64,
    stop: AtomicBool,
}

/// Does what its client says.
struct Guest {
    shared: Arc<Shared>,
    mover: Option<Member<Parcel>>,
}

impl Handler for Guest {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        if cx.info().uri().path() != "/steady" {
            self.shared.senders.lock().unwrap().push(cx.sender());
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let (word, rest) = message.as_text().unwrap().split_once(' ').unwrap();
        match word {
            "join" => {
                cx.subscribe(rest).unwrap();
            }
            "leave" => {
                cx.unsubscribe(rest);
            }
            "publish" => {
                cx.publish_to_all("c", Prepared::text(rest));
            }
            // Once: another member would bring along what waited for it, which may be older than what was heard.
            "move" if self.mover.is_none() => {
                let mover = self.shared.movers.lock().unwrap().pop();
                self.mover = mover.inspect(|mover| cx.relocate(mover));
            }
            "move" => {}
            _ => {
                cx.send(message);
            }
        }
    }

    fn on_close(&mut self, _: &switchboard_ws::Outcome) {
        self.shared.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one connection has heard last of each source: what comes must come in order.
#[derive(Default)]
struct Ear(HashMap<String, u64>, u64);

impl Ear {
    /// Hears `source number`. Returns the source.
    fn hear(&mut self, message: &Message) -> String {
        let (source, number) = message.as_text().unwrap().rsplit_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let before = self.0.insert(source.to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{source}: {number} after {before:?}");
        self.1 += u64::from(source.starts_with("publisher"));
        source.to_owned()
    }
}

/// Publishes to all topics in turn, numbered, as long as clients come.
fn publish(shared: &Shared, hub: &Hub, publisher: u64, count: u64) {
    for number in 0..count {
        while number / PUBLICATIONS > shared.visits.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        for topic in TOPICS.iter().chain([&MOVING]) {
            hub.publish(topic, Prepared::text(&format!("publisher{publisher}{topic} {number}")).into());
        }
    }
}

/// Does something to any connection, again and again.
fn meddle(shared: &Shared, hub: &Hub, meddler: u64, mut dice: u64) {
    for number in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let senders = shared.senders.lock().unwrap().clone();
        let Some(place) = throw(&mut dice).checked_rem(senders.len() as u64) else {
            std::thread::yield_now();
            continue;
        };
        let sender = &senders[usize::try_from(place).unwrap()];
        match throw(&mut dice) % 64 {
            0 => sender.terminate(),
            1 => sender.start_close(CloseCode(4000), "meddled with").unwrap(),
            2..=9 => drop(shared.senders.lock().unwrap().pop()),
            10..=13 => {
                let mover = hub.join(Arc::new(Outbox::new(OutboxLimits::default())));
                mover.subscribe(MOVING).unwrap();
                shared.movers.lock().unwrap().push(mover);
            }
            14..=15 => drop(shared.movers.lock().unwrap().pop()),
            // Full or closed: then it was not sent.
            _ => drop(sender.try_send(format!("meddler{meddler} {number}"))),
        }
        std::thread::yield_now();
    }
}

/// Connects, does some things, and leaves in one of many ways; again and again.
async fn come_and_go(shared: Arc<Shared>, address: SocketAddr, visits: u64, name: u64, mut dice: u64) {
    for visit in 0..visits {
        shared.visits.fetch_add(1, Ordering::Relaxed);
        let mut socket = Client::new(format!("ws://{address}/")).connect().await.unwrap();
        let mut ear = Ear::default();
        for step in 0..throw(&mut dice) % 12 {
            let topic = TOPICS[usize::try_from(throw(&mut dice) % 3).unwrap()];
            let said = match throw(&mut dice) % 5 {
                0 | 1 => format!("join {topic}"),
                2 => format!("leave {topic}"),
                3 => format!("publish client{name} {}", visit * 100 + step),
                _ => "move here".to_owned(),
            };
            if socket.send(said).await.is_err() || !has_answered(&mut socket, &mut ear, step).await {
                break;
            }
        }
        match throw(&mut dice) % 4 {
            0 => drop(socket.close(CloseCode::NORMAL, "").await),
            1 => socket.terminate(),
            2 => drop(socket),
            _ => {
                // The last handle closes it.
                let (sender, receiver) = socket.split();
                drop(receiver);
                drop(sender.send("echo 1").await);
            }
        }
    }
}

/// Asks, and hears all that comes up to the answer. `false`: somebody has closed the connection.
async fn has_answered(socket: &mut Socket, ear: &mut Ear, number: u64) -> bool {
    if socket.send(format!("echo {number}")).await.is_err() {
        return false;
    }
    while let Ok(Some(message)) = socket.recv().await {
        if ear.hear(&message) == "echo" {
            return true;
        }
    }
    false
}

/// Hears everything up to the end of all topics. Returns how much came of publishers.
async fn stay(mut socket: Socket) -> u64 {
    let (mut ear, mut ends) = (Ear::default(), 0);
    while ends < TOPICS.len() {
        let message = socket.recv().await.unwrap().expect("nobody closes it");
        ends += usize::from(ear.hear(&message).starts_with("end"));
    }
    assert!(socket.close(CloseCode::NORMAL, "").await.unwrap().is_clean());
    ear.1
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn threads(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
}

/// Two servers with one hub and one set of connections.
async fn listen(config: &Config, shared: &Arc<Shared>) -> [SocketAddr; 2] {
    let mut addresses = Vec::new();
    for config in [config.clone(), config.clone().task_per_connection()] {
        let server = Server::bind("127.0.0.1:0", config).await.unwrap();
        addresses.push(server.local_addr().unwrap());
        let shared = Arc::clone(shared);
        tokio::spawn(server.serve(move |_| Guest { shared: Arc::clone(&shared), mover: None }));
    }
    addresses.try_into().unwrap()
}

async fn steady(address: SocketAddr) -> Socket {
    let mut socket = Client::new(format!("ws://{address}/steady")).connect().await.unwrap();
    for topic in TOPICS {
        socket.send(format!("join {topic}")).await.unwrap();
    }
    assert!(has_answered(&mut socket, &mut Ear::default(), 0).await);
    socket
}

/// Waits for all of them, for so long.
fn all<T: Send + 'static>(runtime: &Runtime, long: Duration, tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let joined = runtime.block_on(async { timeout(long, join_all(tasks)).await });
    joined.expect("all come to an end").into_iter().map(|task| task.unwrap()).collect()
}

/// Whatever happens, threads that go on until they are told otherwise are told.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.0.visits.store(u64::MAX, Ordering::Relaxed);
    }
}

#[test]
fn whatever_many_threads_do_at_once_order_is_kept_and_nothing_is_left() {
    let (rounds, seed) = (number("STRESS_ROUNDS", 1), number("STRESS_SEED", 1));
    let visits = VISITS * rounds;
    let publications = PUBLICATIONS * CLIENTS * visits;
    let long = LONG * u32::try_from(rounds).unwrap();
    let hub = Hub::default();
    let outbox = OutboxLimits { messages: 1 << 24, bytes: 1 << 30, overflow: Overflow::DropNewest };
    let config = Config::default().hub(hub.clone()).outbox(outbox);
    let shared = Arc::new(Shared::default());
    let (servers, clients) = (threads(2), threads(2));
    let addresses = servers.block_on(listen(&config, &shared));
    let steady = |address| clients.spawn(stay(clients.block_on(steady(address))));
    let staying: Vec<_> = addresses.into_iter().cycle().take(4).map(steady).collect();
    let heard = std::thread::scope(|scope| {
        let (hub, everyone) = (&hub, &*shared);
        let ending = Ending(everyone);
        let publishers: Vec<_> =
            (0..2).map(|name| scope.spawn(move || publish(everyone, hub, name, publications))).collect();
        for name in 0..2 {
            scope.spawn(move || meddle(everyone, hub, name, seed.wrapping_mul(1000) + name));
        }
        let come = |name| {
            let (address, dice) = (addresses[usize::try_from(name % 2).unwrap()], seed.wrapping_mul(2000) + name);
            clients.spawn(come_and_go(Arc::clone(&shared), address, visits, name, dice))
        };
        all(&clients, long, (0..CLIENTS).map(come).collect());
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        for topic in TOPICS {
            hub.publish(topic, Prepared::text(&format!("end{topic} 0")).into());
        }
        let heard = all(&clients, long, staying);
        drop(ending);
        heard
    });
    let (published, lost) = (2 * 3 * publications, hub.counters().dropped);
    for heard in heard {
        assert!(heard <= published && published - heard <= lost, "{heard} of {published}, and {lost} counted as lost");
    }
    nothing_is_left(&servers, &config, &hub, &shared, long);
}

fn nothing_is_left(servers: &Runtime, config: &Config, hub: &Hub, shared: &Shared, long: Duration) {
    shared.senders.lock().unwrap().clear();
    shared.movers.lock().unwrap().clear();
    let closed = servers.block_on(async { timeout(long, config.connections().wait_closed()).await });
    closed.expect("all connections come to an end");
    let counted = config.get_metrics().snapshot();
    let (opened, closed) = (shared.opened.load(Ordering::Relaxed), shared.closed.load(Ordering::Relaxed));
    assert_eq!((counted.open, counted.total, closed), (0, opened, opened), "{counted:?}");
    assert_eq!(counted.closes.values().sum::<u64>(), opened, "{counted:?}");
    assert_eq!((hub.members(), hub.topics()), (0, 0));
    assert!(counted.failures.keys().all(|name| ["disconnected", "io", "terminated"].contains(name)), "{counted:?}");
    assert!(counted.limits.is_empty(), "{counted:?}");
}
