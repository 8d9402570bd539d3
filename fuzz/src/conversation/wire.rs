//! How a client's packets of Engine.IO reach the server: over a WebSocket on a pipe in memory, or by requests that are
//! handed to the service. Neither waits for anything.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use switchboard_io::SocketIo;
use switchboard_io_proto::engine::payload::{self, Payload};
use switchboard_io_proto::engine::{Encoding, Frame as Sent, Packet, Protocol};
use switchboard_testkit::{Frame, frame};
use switchboard_ws::{Config, PeerAddr, Pending};
use tokio::io::{AsyncRead, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use tower_service::Service as _;

/// More than any script can say or be told, so that nobody waits for a reader.
const PIPE: usize = 16 << 20;

/// A client's connection.
pub(super) enum Wire {
    WebSocket(Box<WebSocket>),
    Polling(Box<Polling>),
}

pub(super) struct WebSocket {
    io: DuplexStream,
    encoding: Encoding,
    /// What was read and is no whole frame yet; first, the answer to the handshake.
    read: Vec<u8>,
    is_open: bool,
}

pub(super) struct Polling {
    io: SocketIo,
    target: String,
    is_open: bool,
    poll: Option<Requested>,
    post: Option<Requested>,
    outgoing: Vec<Packet<'static>>,
}

type Requested = JoinHandle<(StatusCode, Bytes)>;

/// What a connection gave.
#[derive(Default)]
pub(super) struct News {
    pub(super) packets: Vec<Packet<'static>>,
    pub(super) is_over: bool,
}

const V4: Encoding = Encoding { protocol: Protocol::V4, b64: false };

impl Wire {
    /// Opens a WebSocket.
    pub(super) async fn websocket(io: &SocketIo, config: &Config, line: usize, protocol: Protocol) -> Self {
        let (server, mut client) = tokio::io::duplex(PIPE);
        let (engine, config) = (io.engine().clone(), config.clone());
        tokio::spawn(async move {
            let Ok(pending) = Pending::read(server, PeerAddr::Unknown, &config).await else { return };
            if let Ok(handler) = engine.open(pending.request(), PeerAddr::Unknown, Box::new(())) {
                // How it ends is told to the session.
                let _ = pending.serve(handler).await;
            }
        });
        let revision = if protocol == Protocol::V4 { 4 } else { 3 };
        let request = format!(
            "GET /socket.io/?EIO={revision}&transport=websocket&c={line} HTTP/1.1\r\nHost: localhost\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.expect("the pipe is there");
        let encoding = Encoding { protocol, b64: false };
        Self::WebSocket(Box::new(WebSocket { io: client, encoding, read: Vec::new(), is_open: false }))
    }

    /// Begins to poll.
    pub(super) fn polling(io: &SocketIo, line: usize) -> Self {
        let target = format!("/socket.io/?EIO=4&transport=polling&c={line}");
        let (poll, post) = (Some(request(io, &target, None)), None);
        Self::Polling(Box::new(Polling { io: io.clone(), target, is_open: false, poll, post, outgoing: Vec::new() }))
    }

    /// Sends a packet.
    pub(super) async fn send(&mut self, packet: Packet<'static>) {
        match self {
            Self::WebSocket(socket) => {
                let frame = match packet.frame(socket.encoding) {
                    Sent::Text(text) => frame::text(&*text),
                    Sent::Binary(bytes) => frame::binary(&*bytes),
                };
                self.send_frame(frame).await;
            }
            Self::Polling(polling) => {
                polling.outgoing.push(packet);
                polling.post();
            }
        }
    }

    /// Sends any frame, if frames can be sent.
    pub(super) async fn send_frame(&mut self, frame: Frame) {
        if let Self::WebSocket(socket) = self {
            // It may be closed already, which is found out by reading.
            let _ = socket.io.write_all(&frame.masked().bytes()).await;
        }
    }

    /// What has come by now.
    pub(super) async fn read(&mut self) -> News {
        match self {
            Self::WebSocket(socket) => socket.read().await,
            Self::Polling(polling) => polling.read().await,
        }
    }
}

impl Drop for Wire {
    /// The client is gone without a word.
    fn drop(&mut self) {
        if let Self::Polling(polling) = self {
            polling.poll.iter().chain(&polling.post).for_each(JoinHandle::abort);
        }
    }
}

impl WebSocket {
    async fn read(&mut self) -> News {
        let mut news = News::default();
        let mut room = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.io).poll_read(cx, &mut buffer))).await;
            match polled {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.read.extend(buffer.filled()),
                Poll::Ready(_) => {
                    news.is_over = true;
                    break;
                }
            }
        }
        if !self.is_open {
            let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return news };
            assert!(self.read.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&self.read));
            self.read.drain(..end + 4);
            self.is_open = true;
        }
        while let Some(length) = whole(&self.read) {
            let bytes: Vec<u8> = self.read.drain(..length).collect();
            let Frame { first, payload, .. } = Frame::parse_all(&bytes).remove(0);
            let protocol = self.encoding.protocol;
            let packet = match first {
                0x81 => {
                    let text = String::from_utf8(payload).expect("text is UTF-8");
                    Packet::from_text(protocol, &text).map(Packet::into_owned)
                }
                0x82 => Packet::from_binary(protocol, &payload).map(Packet::into_owned),
                0x88 => {
                    news.is_over = true;
                    break;
                }
                // The answer to a ping of WebSocket's own, which only wild clients send.
                0x8A => continue,
                other => panic!("a frame of kind {other:x}"),
            };
            news.packets.push(packet.expect("servers send packets"));
        }
        news
    }
}

/// How long the first frame is, if it is whole. Servers do not mask.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = match *bytes.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        127 => 10 + usize::try_from(u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)).ok()?,
        length => 2 + usize::from(length),
    };
    (bytes.len() >= length).then_some(length)
}

impl Polling {
    /// Sends what there is to send, unless something is on its way: clients make one POST at a time.
    fn post(&mut self) {
        if !self.is_open || self.post.is_some() || self.outgoing.is_empty() {
            return;
        }
        let Payload::Text(body) = payload::encode(&self.outgoing, V4) else { unreachable!("v4 is text") };
        self.outgoing.clear();
        self.post = Some(request(&self.io, &self.target, Some(body)));
    }

    async fn read(&mut self) -> News {
        let mut news = News::default();
        if let Some(post) = self.post.take_if(|post| post.is_finished()) {
            let (status, _) = post.await.expect("services do not panic");
            news.is_over |= status != StatusCode::OK;
        }
        if let Some(poll) = self.poll.take_if(|poll| poll.is_finished()) {
            let (status, body) = poll.await.expect("services do not panic");
            if status == StatusCode::OK {
                let body = std::str::from_utf8(&body).expect("v4 is text");
                let packets = payload::decode(Protocol::V4, body);
                news.packets.extend(packets.map(|packet| packet.expect("servers send packets").into_owned()));
            } else {
                news.is_over = true;
            }
        }
        if let (false, Some(Packet::Open(open))) = (self.is_open, news.packets.first()) {
            let sid = open.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"'));
            self.target += &format!("&sid={}", sid.expect("a session has an id").0);
            self.is_open = true;
        }
        if self.poll.is_none() && !news.is_over && !news.packets.contains(&Packet::Close) {
            self.poll = Some(request(&self.io, &self.target, None));
        }
        self.post();
        news
    }
}

/// Makes a request, whose answer comes when it comes.
fn request(io: &SocketIo, target: &str, body: Option<String>) -> Requested {
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(target).header("host", "localhost");
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).expect("a proper request");
    let answering = io.service().call(request);
    tokio::spawn(async move {
        let Ok(answer) = answering.await;
        let status = answer.status();
        let Ok(body) = answer.into_body().collect().await;
        (status, body.to_bytes())
    })
}
