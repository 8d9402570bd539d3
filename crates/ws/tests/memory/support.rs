//! A server on a thread of its own, and peers that own no memory to speak of.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchboard_testkit::blocking::ask_for_websocket;
use switchboard_ws::{Config, Context, Handler, MessageRef, Server};
use tokio::sync::oneshot;

const HANG: Duration = Duration::from_secs(120);
const TOPIC: &str = "news";
/// What peers send and are sent; the key of their frames is zero.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

pub(crate) mod told {
    /// What a peer that is made to go is told.
    pub(crate) const MEMORY: &str = "the server is short of memory, and held much of it for this connection";
}

/// Echoes; and does what peers ask for by a letter and a number.
struct Served;

impl Handler for Served {
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let text = message.as_text().unwrap_or_default();
        let number = || text[1..].parse().unwrap();
        match text.chars().next() {
            Some('a') => {
                let mut left: usize = number();
                while left > 0 {
                    let size = left.min(ZEROES.len());
                    cx.send(&ZEROES[..size]);
                    left -= size;
                }
            }
            Some('p') => drop(cx.publish(TOPIC, MessageRef::Binary(&vec![0; number()]))),
            Some('s') => {
                cx.subscribe(TOPIC).unwrap();
                cx.send("s");
            }
            _ => drop(cx.send(message)),
        }
    }
}

/// A server, until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self::run(config, |server| server.serve(|_| Served))
    }

    /// Its application never reads.
    pub(crate) fn start_idle(config: Config) -> Self {
        Self::run(config, |mut server| async move {
            let mut sockets = Vec::new();
            loop {
                sockets.push(server.accept().await);
            }
        })
    }

    fn run<F: Future<Output = ()>>(config: Config, serve: impl FnOnce(Server) -> F + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::bind("127.0.0.1:0", config).await.unwrap();
                tell.send(server.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(server) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn peer(&self) -> Peer {
        let (stream, answer) = self.ask();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Peer(stream)
    }

    /// The head of the answer to one who is not let in.
    pub(crate) fn refused(&self) -> String {
        self.ask().1
    }

    fn ask(&self) -> (TcpStream, String) {
        ask_for_websocket(self.address).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(thread::panicking() || ended.is_ok());
    }
}

/// Does something again and again until something holds. Only a hang is too long.
pub(crate) fn again_until(done: impl Fn() -> bool, mut what: impl FnMut()) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < HANG, "waited in vain");
        what();
    }
}

pub(crate) struct Peer(TcpStream);

impl Peer {
    /// Sends the head of a binary message of `announced` bytes, and so many of them.
    pub(crate) fn begin_message(&mut self, announced: usize, mut sent: usize) -> io::Result<()> {
        let mut head = [0; 14];
        head[..2].copy_from_slice(&[0x82, 0xff]);
        head[2..10].copy_from_slice(&(announced as u64).to_be_bytes());
        self.0.write_all(&head)?;
        while sent > 0 {
            let size = sent.min(ZEROES.len());
            self.0.write_all(&ZEROES[..size])?;
            sent -= size;
        }
        Ok(())
    }

    /// Has the server send so much.
    pub(crate) fn ask_for(&mut self, bytes: usize) {
        self.say(&format!("a{bytes}"));
    }

    /// Has the server tell everyone who subscribed.
    pub(crate) fn publish(&mut self, bytes: usize) {
        self.say(&format!("p{bytes}"));
    }

    pub(crate) fn subscribe(&mut self) {
        self.say("s");
        self.hear("s");
    }

    pub(crate) fn echo(&mut self) {
        self.say("hello");
        self.hear("hello");
    }

    pub(crate) fn echo_until(&mut self, done: impl Fn() -> bool) {
        again_until(done, || self.echo());
    }

    /// The code and the reason of the Close frame that comes before anything else.
    pub(crate) fn close_frame(&mut self) -> io::Result<(u16, String)> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head)?;
        assert_eq!(head[0], 0x88, "{head:?}");
        let mut reason = vec![0; usize::from(head[1]) - 2];
        self.0.read_exact(&mut reason)?;
        Ok((u16::from_be_bytes([head[2], head[3]]), String::from_utf8(reason).unwrap()))
    }

    fn say(&mut self, text: &str) {
        let len = u8::try_from(text.len()).unwrap();
        let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).unwrap();
    }

    fn hear(&mut self, text: &str) {
        let len = u8::try_from(text.len()).unwrap();
        let mut frame = vec![0; text.len() + 2];
        self.0.read_exact(&mut frame).unwrap();
        assert_eq!(frame, [&[0x81, len], text.as_bytes()].concat());
    }
}
