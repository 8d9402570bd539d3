//! A client on the bytes of a real connection: it asks, says and breaks what it likes, and sees exactly what comes
//! back.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::frame::Frame;
use crate::program::within;
use crate::refusals::{self, Refusal};

/// What every request for a WebSocket has.
const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A connection.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    stream: S,
    began: Instant,
    refused: Option<Refusal>,
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The status line and the headers, in small letters.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Wire {
    /// Connects by TCP.
    ///
    /// # Panics
    /// When nobody listens, as everything here does when the other end does not play along.
    pub async fn connect(address: SocketAddr) -> Self {
        let began = Instant::now();
        let stream = within("a connection", TcpStream::connect(address)).await.expect("someone listens");
        Self { stream, began, refused: None }
    }

    /// Connects, and asks for a WebSocket with further headers (each with its line end). The answer is still to be
    /// read.
    pub async fn ask(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut wire = Self::connect(address).await;
        wire.request(path, headers).await;
        wire
    }

    /// Connects, asks for a WebSocket and gets one.
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        let mut wire = Self::ask(address, path, "").await;
        let head = wire.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        wire
    }

    /// Connects from another address of this machine, with room for so few bytes that a server soon notices when nobody
    /// reads. Nothing is sent yet.
    pub async fn connect_from(address: SocketAddr, from: [u8; 4], room: u32) -> Self {
        let began = Instant::now();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(room).expect("a smaller buffer");
        socket.bind((from, 0).into()).expect("all of 127.0.0.0/8 is this machine");
        let stream = within("a connection", socket.connect(address)).await.expect("someone listens");
        Self { stream, began, refused: None }
    }

    /// This end's address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// On a stream that is open.
    pub fn new(stream: S) -> Self {
        Self { stream, began: Instant::now(), refused: None }
    }

    /// The same on a stream that was begun then.
    pub fn since(began: Instant, stream: S) -> Self {
        Self { stream, began, refused: None }
    }

    /// The stream, to have something put around it, and when it was begun.
    pub fn into_stream(self) -> (S, Instant) {
        (self.stream, self.began)
    }

    /// Writes bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sending = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        within("the peer to read", sending).await.expect("the peer reads");
    }

    /// Writes a frame.
    pub async fn say(&mut self, frame: &Frame) {
        self.send(frame.bytes()).await;
    }

    /// Asks for a WebSocket.
    pub async fn request(&mut self, path: &str, headers: &str) {
        self.send(upgrade(path, headers)).await;
    }

    /// Asks for a WebSocket; the head of the answer, and `None` when the server had hung up and none can be read.
    pub async fn try_upgrade(&mut self, path: &str) -> Option<String> {
        self.try_request(path, "").await
    }

    /// The same with further headers, each with its line end.
    pub async fn try_request(&mut self, path: &str, headers: &str) -> Option<String> {
        // What it said before it went may still be there.
        self.try_send(upgrade(path, headers)).await;
        self.try_head().await
    }

    /// Asks for a page on a connection that stays open.
    pub async fn get(&mut self, path: &str) -> Response {
        self.send(page(path)).await;
        self.response().await
    }

    /// The same of a server that may have hung up: `None` when no answer can be read.
    pub async fn try_get(&mut self, path: &str) -> Option<Response> {
        self.try_send(page(path)).await;
        let head = self.try_head().await?;
        Some(self.body_of(head).await)
    }

    /// The status line and the headers, in small letters.
    pub async fn head(&mut self) -> String {
        self.try_head().await.expect("the peer goes on")
    }

    /// The same; `None` when the connection ends before they are whole.
    pub async fn try_head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = within("a byte", self.stream.read_u8()).await else {
                self.refused(Refusal::CutOff);
                return None;
            };
            head.push(byte);
        }
        self.refused_by(&head);
        Some(String::from_utf8(head).expect("headers are text").to_ascii_lowercase())
    }

    /// A whole response, whose length is told.
    pub async fn response(&mut self) -> Response {
        let head = self.head().await;
        self.body_of(head).await
    }

    /// The rest of a response.
    async fn body_of(&mut self, head: String) -> Response {
        let status = status(head.as_bytes()).expect("a status");
        let mut response = Response { status, head, body: String::new() };
        let length = response.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
        response.body = String::from_utf8(self.bytes(length).await).expect("bodies are text");
        response
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Frame {
        let mut bytes = self.bytes(2).await;
        assert!(bytes[1] < 128, "a server's frame is not masked");
        let length = match bytes[1] {
            126 => {
                bytes.extend(self.bytes(2).await);
                usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))
            }
            127 => {
                bytes.extend(self.bytes(8).await);
                let length = bytes[2..].try_into().map(u64::from_be_bytes).expect("eight bytes");
                usize::try_from(length).expect("it fits in memory")
            }
            length => usize::from(length),
        };
        bytes.extend(self.bytes(length).await);
        let frame = Frame::parse_all(&bytes).remove(0);
        if frame.first == 0x88 {
            // One without a code reads as 1005 (RFC 6455 §7.1.5).
            let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            self.refused(Refusal::Close(code));
        }
        frame
    }

    /// All bytes until the peer ends the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within("the end of the connection", self.stream.read_to_end(&mut rest)).await.expect("a proper end");
        self.refused(Refusal::CutOff);
        rest
    }

    /// Writes bytes, if the peer is still there to take them. One that takes nothing and stays is waited for.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sending = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let sent = within("the peer to read or to go", sending).await.is_ok();
        if !sent {
            self.refused(Refusal::CutOff);
        }
        sent
    }

    /// All bytes until the connection ends, properly or not: a peer that closes with something unread resets it.
    pub async fn last_words(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        // What came before a reset is kept.
        let _ = within("the end of the connection", self.stream.read_to_end(&mut words)).await;
        self.refused(Refusal::CutOff);
        self.refused_by(&words);
        words
    }

    /// Reads until the connection ends, properly or not, and keeps nothing of it.
    pub async fn drain(&mut self) {
        let mut nowhere = tokio::io::sink();
        let reading = tokio::io::copy(&mut self.stream, &mut nowhere);
        let _ = within("the end of the connection", reading).await;
        self.refused(Refusal::CutOff);
    }

    /// Notes it, once: what is said after somebody was cut off only explains it.
    fn refused(&mut self, how: Refusal) {
        match self.refused {
            None => refusals::note(how, self.began),
            Some(Refusal::CutOff) => refusals::explain(how, self.began),
            Some(_) => return,
        }
        self.refused = Some(how);
    }

    /// The same, if this is the head of such an answer.
    fn refused_by(&mut self, head: &[u8]) {
        if let Some(status @ 400..) = status(head) {
            self.refused(Refusal::Status(status));
        }
    }

    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        within("bytes", self.stream.read_exact(&mut bytes)).await.expect("the peer goes on");
        bytes
    }
}

/// The status in the head of an answer.
fn status(head: &[u8]) -> Option<u16> {
    let status = head.get(..12)?.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"http/1.1 "))?;
    std::str::from_utf8(status.get(..3)?).ok()?.parse().ok()
}

/// A request for a WebSocket.
fn upgrade(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{UPGRADE}{headers}\r\n")
}

/// A request for a page.
fn page(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

impl Response {
    /// The value of a header, whose name is given in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
