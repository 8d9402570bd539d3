//! `/echo`.

use switchboard_testkit::Wire;
use switchboard_testkit::frame;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, hear, leave, next, say};

#[tokio::test]
async fn it_greets_once_and_then_echoes() {
    let server = Server::start(&[]).await;
    let mut client = server.connect("/echo").await;
    assert_eq!(hear(&mut client).await, "This is Switchboard. It echoes what you send.");
    for message in [Message::text("grüße"), Message::binary(vec![0, 255, 254]), Message::text("")] {
        say(&mut client, message.clone()).await;
        assert_eq!(next(&mut client).await, message);
    }
    leave(client).await;
}

#[tokio::test]
async fn it_does_not_greet_when_told() {
    let server = Server::start(&[]).await;
    let mut client = server.connect("/echo?greet=0").await;
    say(&mut client, "first").await;
    assert_eq!(hear(&mut client).await, "first");
    leave(client).await;
}

#[tokio::test]
async fn our_own_client_is_answered() {
    let server = Server::start(&[]).await;
    let mut socket = switchboard_ws::connect(server.url("/echo?greet=0")).await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("hello"));
    socket.ping().await.unwrap();
    let outcome = socket.close(4000, "done").await.unwrap();
    assert_eq!((outcome.code().0, outcome.is_clean()), (4000, true));
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let server = Server::start(&[]).await;
    let mut wire = Wire::connect(server.address()).await;
    let frames = [frame::text("he").fin(false), frame::ping("?"), frame::continuation("llo"), frame::close(1000, "")];
    let frames: Vec<u8> = frames.into_iter().flat_map(|frame| frame.masked().bytes()).collect();
    let request = "GET /echo?greet=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    wire.send([request.as_bytes(), &frames].concat()).await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
    let mut heard = [wire.frame().await, wire.frame().await];
    heard.sort_by_key(|frame| frame.first);
    assert_eq!(heard, [frame::text("hello"), frame::pong("?")]);
    assert_eq!(wire.frame().await, frame::close(1000, ""));
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn other_requests_are_told_what_is_wanted() {
    let server = Server::start(&[]).await;
    let plain = server.get("/echo").await;
    assert_eq!((plain.status, plain.header("sec-websocket-version")), (426, Some("13")));
    assert!(!plain.body.is_empty());
    let mut wire = Wire::connect(server.address()).await;
    wire.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 405);
}
