//! A client made of bytes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use switchboard_testkit::Frame;
use switchboard_ws::{
    CloseFrame, Config, Context, Handler, Io, Message, MessageRef, Outcome, PeerAddr, Pending, ProtocolError, Socket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;

/// A valid request.
pub(crate) const REQUEST: &str = "GET /path?q=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: \
                                  Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                                  dGhlIHNhbXBsZSBub25jZQ==\r\nX-Test: yes\r\n\r\n";

const HANG: Duration = Duration::from_secs(60);

/// The client's end of a pipe.
pub(crate) struct Peer {
    pub(crate) io: Box<dyn Io>,
    unread: Vec<u8>,
}

/// A pipe that holds so many bytes each way, with its request already sent.
pub(crate) async fn pipe(capacity: usize, glued: &[Frame]) -> (DuplexStream, Peer) {
    let (server, client) = tokio::io::duplex(capacity.max(1024));
    (server, Peer::request(Box::new(client), glued).await)
}

/// Which driver runs a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A task of its own, over a pipe in memory.
    Task,
    /// A shard, over a pair of Unix sockets.
    Shard,
}

/// Makes two tests of each function, one for each driver.
macro_rules! on_both_drivers {
    ($($name:ident),* $(,)?) => {
        mod on_a_task {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(crate::peer::Driver::Task).await;
            })*
        }

        mod on_a_shard {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(crate::peer::Driver::Shard).await;
            })*
        }
    };
}
pub(crate) use on_both_drivers;

/// A server's socket and its peer.
pub(crate) async fn open(config: &Config) -> (Socket, Peer) {
    open_with(config, 64 << 10, &[]).await
}

/// A server's socket whose peer sends frames together with its request, over a pipe of this capacity.
pub(crate) async fn open_with(config: &Config, capacity: usize, glued: &[Frame]) -> (Socket, Peer) {
    let (server, mut peer) = pipe(capacity, glued).await;
    let socket = switchboard_ws::accept(server, config).await.expect("the request is valid");
    peer.read_response().await;
    (socket, peer)
}

/// A server that runs a handler, and its peer. The receiver is told how the connection ended.
pub(crate) async fn serve<H: Handler>(
    driver: Driver,
    config: &Config,
    handler: H,
) -> (oneshot::Receiver<Outcome>, Peer) {
    let (ended, end) = oneshot::channel();
    let handler = Watched { handler, ended: Some(ended) };
    let (server, client): (Box<dyn Io>, Box<dyn Io>) = match driver {
        Driver::Task => {
            let (server, client) = tokio::io::duplex(64 << 10);
            (Box::new(server), Box::new(client))
        }
        Driver::Shard => {
            let (server, client) = UnixStream::pair().expect("the kernel has a pair of sockets");
            (Box::new(server), Box::new(client))
        }
    };
    let mut peer = Peer::request(client, &[]).await;
    let pending = Pending::read(server, PeerAddr::Unix, config).await.expect("the request is valid");
    pending.spawn(handler).await.expect("the request is valid");
    peer.read_response().await;
    let unsharded = config.get_metrics().snapshot().unsharded;
    assert_eq!(unsharded > 0, driver == Driver::Task, "the driver that was asked for drives it");
    (end, peer)
}

/// Waits for what no deadline may bring about: the clock stands still. Otherwise it goes on as soon as nothing else can
/// happen, and so it seems to a runtime that the kernel is late to give bytes to.
///
/// # Panics
/// When it does not come by the real clock, which only a hang is too long for.
pub(crate) async fn by_no_deadline<F: Future>(what: &str, future: F) -> F::Output {
    // While there is a task that blocks, tokio leaves its clock alone.
    let (_done, waits) = std::sync::mpsc::channel::<()>();
    let hang = tokio::task::spawn_blocking(move || waits.recv_timeout(HANG));
    tokio::select! {
        biased;
        output = future => output,
        _ = hang => panic!("waited in vain for {what}"),
    }
}

/// The same for something that is not announced.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    by_no_deadline(what, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A handler whose end is told.
struct Watched<H> {
    handler: H,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl<H: Handler> Handler for Watched<H> {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.handler.on_open(cx);
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        self.handler.on_message(cx, message);
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        self.handler.on_owned_message(cx, message);
    }

    fn on_ping(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.handler.on_ping(cx, payload);
    }

    fn on_pong(&mut self, cx: &mut Context<'_>, payload: &[u8], rtt: Option<Duration>) {
        self.handler.on_pong(cx, payload, rtt);
    }

    fn on_peer_close(&mut self, cx: &mut Context<'_>, frame: &CloseFrame) {
        self.handler.on_peer_close(cx, frame);
    }

    fn on_failed(&mut self, cx: &mut Context<'_>, error: ProtocolError) {
        self.handler.on_failed(cx, error);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>) {
        self.handler.on_drain(cx);
    }

    fn deadline(&self) -> Option<Instant> {
        self.handler.deadline()
    }

    fn on_deadline(&mut self, cx: &mut Context<'_>) {
        self.handler.on_deadline(cx);
    }

    fn on_overflow(&mut self, cx: &mut Context<'_>) {
        self.handler.on_overflow(cx);
    }

    fn on_close(&mut self, outcome: &Outcome) {
        self.handler.on_close(outcome);
        // A test that does not wait for the end has dropped the receiver.
        let _ = self.ended.take().map(|ended| ended.send(outcome.clone()));
    }
}

impl Peer {
    /// A client that has said nothing yet.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let io = TcpStream::connect(address).await.expect("someone listens");
        io.set_nodelay(true).expect("a TCP connection");
        Self { io: Box::new(io), unread: Vec::new() }
    }

    /// A client at this end.
    pub(crate) fn over(io: Box<dyn Io>) -> Self {
        Self { io, unread: Vec::new() }
    }

    /// A client whose connection is open.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address).await;
        peer.sends(REQUEST).await;
        peer.is_let_in().await;
        peer
    }

    /// Sends bytes.
    pub(crate) async fn sends(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Reads the head of the response, which must be that of a WebSocket.
    #[track_caller]
    pub(crate) fn is_let_in(&mut self) -> impl Future<Output = ()> + use<'_> {
        let caller = std::panic::Location::caller();
        async move {
            let response = self.read_response().await;
            assert!(response.starts_with("HTTP/1.1 101 "), "at {caller}: {response}");
        }
    }

    /// All that comes until the server ends the connection, as text.
    pub(crate) async fn hears_all(&mut self) -> String {
        let mut all = Vec::new();
        self.io.read_to_end(&mut all).await.expect("a proper end");
        String::from_utf8_lossy(&all).into_owned()
    }

    async fn request(mut io: Box<dyn Io>, glued: &[Frame]) -> Self {
        let glued: Vec<u8> = glued.iter().flat_map(Frame::bytes).collect();
        io.write_all(&[REQUEST.as_bytes(), &glued].concat()).await.expect("the pipe takes the request");
        Self { io, unread: Vec::new() }
    }

    /// Reads the head of the response.
    pub(crate) async fn read_response(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.io.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("a head is text")
    }

    /// Sends frames, masked.
    pub(crate) async fn says(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.clone().masked().bytes()).collect();
        self.io.write_all(&bytes).await.expect("the server reads");
    }

    /// The next frame from the server; `None` at the end of the stream.
    pub(crate) async fn hears(&mut self) -> Option<Frame> {
        loop {
            if let Some(len) = whole_frame(&self.unread) {
                let frame: Vec<u8> = self.unread.drain(..len).collect();
                return Frame::parse_all(&frame).pop();
            }
            let mut more = [0; 4096];
            match self.io.read(&mut more).await {
                Ok(0) | Err(_) => {
                    assert!(self.unread.is_empty(), "the stream ended within a frame: {:?}", self.unread);
                    return None;
                }
                Ok(count) => self.unread.extend_from_slice(&more[..count]),
            }
        }
    }

    /// Asserts what the server says next.
    #[track_caller]
    pub(crate) fn expects(&mut self, frame: Frame) -> impl Future<Output = ()> + use<'_> {
        let caller = std::panic::Location::caller();
        async move {
            let heard = self.hears().await;
            assert_eq!(heard, Some(frame), "at {caller}");
        }
    }
}

/// The length of the unmasked frame at the front, if it is whole.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let len = match bytes.get(1)? & 0x7f {
        126 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        127 => 10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        len => 2 + usize::from(len),
    };
    (bytes.len() >= len).then_some(len)
}
