//! What a server's thread allocates per message once it is warm: nothing for an echo, and for a publish the frame that
//! all subscribers share, however many they are. Real shards and real sockets; clients are on another thread, and that
//! of the server tells in band what it has allocated so far.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use switchboard_testkit::blocking::ask_for_websocket;
use switchboard_testkit::counting::{self, Counting};
use switchboard_testkit::{Frame, frame};
use switchboard_ws::{Config, Context, Handler, Hub, Message, MessageRef, Server};
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Asks the server's thread what it has allocated so far.
const QUESTION: &str = "How many?";
/// Asks for [`LONG`] to be published. Sent to the server it might arrive in parts, which must be put together
/// somewhere.
const WISH: &str = "A long one!";
static LONG: [u8; 16 << 10] = [7; 16 << 10];
const TOPIC: &str = "news";
/// So many messages are measured.
const ECHOES: usize = 1000;
const PUBLISHES: usize = 200;

/// Answers [`QUESTION`] and [`WISH`], and does with all other messages what the server is there for.
struct Served {
    publishes: bool,
}

impl Handler for Served {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if self.publishes {
            cx.subscribe(TOPIC).unwrap();
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        if message.as_bytes() == QUESTION.as_bytes() {
            cx.send(&(counting::so_far().all as u64).to_be_bytes()[..]);
        } else if message.as_bytes() == WISH.as_bytes() {
            cx.publish_to_all(TOPIC, MessageRef::Binary(&LONG));
        } else if self.publishes {
            cx.publish_to_all(TOPIC, message);
        } else {
            cx.send(message);
        }
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        match self.publishes {
            true => self.on_message(cx, message.as_ref()),
            false => drop(cx.send_owned(message)),
        }
    }
}

/// A server on a thread of its own, until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(config: Config, publishes: bool) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::bind("127.0.0.1:0", config).await.unwrap();
                tell.send(server.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = server.serve(move |_| Served { publishes }) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> Client {
        let (stream, head) = ask_for_websocket(self.address).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Client(stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(thread::panicking() || ended.is_ok());
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, frames: &[u8]) {
        self.0.write_all(frames).unwrap();
    }

    fn expect(&mut self, frames: &[u8]) {
        let mut heard = vec![0; frames.len()];
        self.0.read_exact(&mut heard).unwrap();
        assert!(heard == frames, "{:?}", Frame::parse_all(&heard));
    }

    /// What the server's thread has allocated so far.
    fn ask(&mut self) -> u64 {
        self.send(&frame::text(QUESTION).masked().bytes());
        let mut answer = [0; 10];
        self.0.read_exact(&mut answer).unwrap();
        let (header, count) = answer.split_first_chunk::<2>().unwrap();
        assert_eq!(*header, [0x82, 8]);
        u64::from_be_bytes(count.try_into().unwrap())
    }
}

/// What the server allocates while `run` goes on, the second time. It has been asked before: the answer is counted
/// after it was made.
fn when_warm(client: &mut Client, mut run: impl FnMut(&mut Client)) -> u64 {
    client.ask();
    run(client);
    let before = client.ask();
    run(client);
    client.ask() - before
}

/// What [`ECHOES`] make a server allocate, so many of them in flight at a time.
fn allocations_of_echoes(config: Config, in_flight: usize, size: usize) -> u64 {
    let server = Running::start(config, false);
    let mut client = server.client();
    let message = frame::text("é".repeat(size / 2) + &"e".repeat(size % 2));
    let (sent, wanted) = (message.clone().masked().bytes().repeat(in_flight), message.bytes().repeat(in_flight));
    when_warm(&mut client, |client| {
        for _ in 0..ECHOES.div_ceil(in_flight) {
            client.send(&sent);
            client.expect(&wanted);
        }
    })
}

#[test]
fn an_echo_allocates_nothing() {
    for size in [125, 4000] {
        assert_eq!(allocations_of_echoes(Config::default(), 1, size), 0, "{size}");
    }
}

#[test]
fn pipelined_echoes_allocate_nothing() {
    for size in [16, 125] {
        assert_eq!(allocations_of_echoes(Config::default(), 16, size), 0, "{size}");
    }
}

#[test]
fn with_a_task_per_connection_neither_does() {
    for in_flight in [1, 16] {
        assert_eq!(allocations_of_echoes(Config::default().task_per_connection(), in_flight, 125), 0, "{in_flight}");
    }
}

/// What [`PUBLISHES`] make a server allocate, in bursts of so many: each message is answered by another to everyone.
fn allocations_of_publishes(subscribers: usize, burst: usize, message: &Frame, published: &Frame) -> u64 {
    let server = Running::start(Config::default().hub(Hub::default()), true);
    let mut publisher = server.client();
    let mut subscribers: Vec<_> = (1..subscribers).map(|_| server.client()).collect();
    let (sent, wanted) = (message.clone().masked().bytes().repeat(burst), published.bytes().repeat(burst));
    when_warm(&mut publisher, |publisher| {
        for _ in 0..PUBLISHES / burst {
            publisher.send(&sent);
            publisher.expect(&wanted);
            subscribers.iter_mut().for_each(|subscriber| subscriber.expect(&wanted));
        }
    })
}

#[test]
fn a_publish_allocates_the_same_for_one_subscriber_and_for_many() {
    // The frame, and what holds it.
    let message = frame::text("x".repeat(125));
    for (subscribers, burst) in [(1, 1), (2, 1), (200, 1), (20, 20)] {
        let allocations = allocations_of_publishes(subscribers, burst, &message, &message);
        assert_eq!(allocations, 2 * PUBLISHES as u64, "to {subscribers}, {burst} at a time");
    }
    // Slices of a long one leave, and need a counter of references.
    let (wish, long) = (frame::text(WISH), frame::binary(LONG));
    for subscribers in [1, 2, 50] {
        let allocations = allocations_of_publishes(subscribers, 1, &wish, &long);
        assert_eq!(allocations, 3 * PUBLISHES as u64, "to {subscribers}");
    }
}
