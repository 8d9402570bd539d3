//! A client made of bytes.

use switchboard_testkit::Frame;
use switchboard_ws::{Config, Handler, Outcome, PeerAddr, Pending, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// A valid request.
pub(crate) const REQUEST: &str = "GET /path?q=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: \
                                  Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                                  dGhlIHNhbXBsZSBub25jZQ==\r\nX-Test: yes\r\n\r\n";

/// The client's end of a pipe.
pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    unread: Vec<u8>,
}

/// A pipe that holds so many bytes each way, with its request already sent.
pub(crate) async fn pipe(capacity: usize, glued: &[Frame]) -> (DuplexStream, Peer) {
    let (server, mut client) = tokio::io::duplex(capacity.max(1024));
    let glued: Vec<u8> = glued.iter().flat_map(Frame::bytes).collect();
    client.write_all(&[REQUEST.as_bytes(), &glued].concat()).await.expect("the pipe takes the request");
    (server, Peer { io: client, unread: Vec::new() })
}

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

/// A server that runs a handler, and its peer.
pub(crate) async fn serve<H: Handler>(config: &Config, handler: H) -> (JoinHandle<Outcome>, Peer) {
    let (server, mut peer) = pipe(64 << 10, &[]).await;
    let pending = Pending::read(server, PeerAddr::Unix, config).await.expect("the request is valid");
    let task = tokio::spawn(async move { pending.serve(handler).await.expect("the request is valid") });
    peer.read_response().await;
    (task, peer)
}

impl Peer {
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
