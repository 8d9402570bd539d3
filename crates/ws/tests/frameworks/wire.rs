//! A client that writes what it likes, and tokio-tungstenite for the others.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use switchboard_testkit::Frame;
use switchboard_ws::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What every request for a WebSocket has.
pub(crate) const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A free port of the loopback.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

pub(crate) async fn echo(mut socket: Socket) {
    while let Ok(Some(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

pub(crate) async fn connect(addr: SocketAddr, path: &str) -> Client {
    connect_async(format!("ws://{addr}{path}")).await.unwrap().0
}

/// The status and the body that a client is refused with.
pub(crate) async fn refused(addr: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("ws://{addr}{path}").into_client_request().unwrap();
    match connect_async(request).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).unwrap())
        }
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) async fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
}

pub(crate) async fn hear(client: &mut Client) -> String {
    client.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

/// The code that the server closes with; the closing handshake is done then.
pub(crate) async fn closing_code(client: &mut Client) -> u16 {
    let code = match client.next().await {
        Some(Ok(Message::Close(Some(frame)))) => frame.code,
        other => panic!("not closed: {other:?}"),
    };
    assert!(client.next().await.is_none(), "something after the Close frame");
    u16::from(code)
}

pub(crate) async fn leave(client: &mut Client) {
    client.close(None).await.unwrap();
    match client.next().await {
        Some(Ok(Message::Close(None))) => {}
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Normal),
        other => panic!("not closed: {other:?}"),
    }
    assert!(client.next().await.is_none(), "something after the Close frame");
}

/// A client on the bytes.
pub(crate) struct Wire(TcpStream);

impl Wire {
    /// Writes all of it at once.
    pub(crate) async fn send(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        Self(stream)
    }

    /// Asks for a WebSocket, with further headers.
    pub(crate) async fn ask(addr: SocketAddr, path: &str, headers: &str) -> Self {
        Self::send(addr, format!("GET {path} HTTP/1.1\r\n{UPGRADE}{headers}\r\n")).await
    }

    /// The status line and the headers, in small letters.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    /// A whole response: status, headers, body.
    pub(crate) async fn response(&mut self) -> (u16, String, String) {
        let head = self.head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header(&head, "content-length").expect("a length").parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    /// One short frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        let mut bytes = vec![self.0.read_u8().await.unwrap(), self.0.read_u8().await.unwrap()];
        assert!(bytes[1] < 126, "a short frame without a mask");
        bytes.resize(2 + usize::from(bytes[1]), 0);
        self.0.read_exact(&mut bytes[2..]).await.unwrap();
        Frame::parse_all(&bytes).remove(0)
    }

    pub(crate) async fn write(&mut self, frame: &Frame) {
        self.0.write_all(&frame.bytes()).await.unwrap();
    }

    /// All bytes until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        rest
    }
}

/// The value of a header in a head of small letters.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
