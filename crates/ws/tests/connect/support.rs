//! Servers to connect to.

use std::net::SocketAddr;

use switchboard_ws::{Config, Receiver, Server, Socket};
use switchboard_ws_proto::handshake::accept_key;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A server of ours that echoes, on a free port.
pub(crate) async fn echo_server(config: Config) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0", config).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(echo_all(server));
    address
}

pub(crate) async fn echo_all(mut server: Server) {
    loop {
        tokio::spawn(echo(server.accept().await));
    }
}

/// Echoes to the end, and gives back what is left of the socket.
pub(crate) async fn echo(socket: Socket) -> Receiver {
    let (sender, mut receiver) = socket.split();
    while let Ok(Some(message)) = receiver.recv().await {
        if sender.send(message).await.is_err() {
            break;
        }
    }
    receiver
}

/// Sends and gets back one message.
pub(crate) async fn check_echo(socket: &mut Socket) {
    socket.send("hello").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("hello"));
}

/// Reads a request up to its empty line.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(io: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A header of a request.
pub(crate) fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|found| found.1)
}

/// The proper answer to a request.
pub(crate) fn switching(request: &str, more: &str) -> String {
    let key = header(request, "sec-websocket-key").unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{more}\r\n",
        accept_key(key.as_bytes())
    )
}
