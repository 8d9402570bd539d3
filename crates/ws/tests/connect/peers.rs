//! Someone else's implementation at the other end: tokio-tungstenite.

use futures_util::{SinkExt, StreamExt};
use switchboard_ws::{Client, Config, Io};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::echo_server;

/// Sizes around each form of the length.
const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 300_000];

/// tokio-tungstenite as the client, over any transport, to an echoing server of ours.
pub(crate) async fn tungstenite_talks(io: impl Io, url: &str) {
    let (mut socket, _) = tokio_tungstenite::client_async(url, io).await.unwrap();
    for size in SIZES {
        for message in [tungstenite::Message::text("a".repeat(size)), tungstenite::Message::binary(vec![7; size])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
    }
    socket.send(tungstenite::Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::Pong("are you there".into()));
    let frame = tungstenite::protocol::CloseFrame { code: CloseCode::Library(4001), reason: "done".into() };
    socket.close(Some(frame)).await.unwrap();
    let tungstenite::Message::Close(Some(answer)) = socket.next().await.unwrap().unwrap() else { panic!("no Close") };
    assert_eq!(answer.code, CloseCode::Library(4001));
    assert!(socket.next().await.is_none());
}

/// tokio-tungstenite as the server: echoes to the end.
pub(crate) async fn tungstenite_echoes(io: impl Io) {
    let mut socket = tokio_tungstenite::accept_async(io).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}

/// Our client against an echoing server of whatever make.
pub(crate) async fn our_client_talks(client: &Client) {
    let mut socket = client.connect().await.unwrap();
    for size in SIZES {
        let text = "é".repeat(size / 2);
        socket.send(&*text).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some(&*text));
        socket.send(vec![9_u8; size]).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes(), vec![9; size]);
    }
    socket.ping().await.unwrap();
    let outcome = socket.close(4002, "done").await.unwrap();
    assert_eq!((outcome.code().0, outcome.is_clean()), (4002, true));
}

#[tokio::test]
async fn tungstenite_is_served() {
    let address = echo_server(Config::default()).await;
    let stream = TcpStream::connect(address).await.unwrap();
    tungstenite_talks(stream, &format!("ws://{address}/")).await;
}

#[tokio::test]
async fn tungstenite_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(format!("ws://{}/", listener.local_addr().unwrap()));
    let serve = async { tungstenite_echoes(listener.accept().await.unwrap().0).await };
    tokio::join!(our_client_talks(&client), serve);
}
