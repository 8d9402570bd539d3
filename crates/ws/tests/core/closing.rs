//! How connections end, as both sides see it.

use std::time::Duration;

use switchboard_testkit::frame;
use switchboard_ws::{CloseCode, Config, Error, Message, ProtocolError, ReadyState, Timeout};

use crate::peer::open;

#[tokio::test(start_paused = true)]
async fn the_peer_closes() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::close(3000, "enough")]).await;
    assert_eq!(socket.recv().await.unwrap(), None);
    peer.expects(frame::close(3000, "")).await;
    assert_eq!(peer.hears().await, None, "the server drops the transport first");
    let outcome = socket.outcome().unwrap();
    assert_eq!((outcome.code(), outcome.reason(), outcome.is_clean()), (CloseCode(3000), "enough", true));
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert!(matches!(socket.send("late").await, Err(Error::Closed)));
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_is_queued_and_waits_for_the_peer() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    let sender = socket.sender();
    for i in 0..100 {
        socket.send(i.to_string()).await.unwrap();
    }
    let closing = tokio::spawn(async move { socket.close(4001, "done").await });
    for i in 0..100 {
        peer.expects(frame::text(i.to_string())).await;
    }
    peer.expects(frame::close(4001, "done")).await;
    assert_eq!(sender.ready_state(), ReadyState::Closing);
    peer.says(&[frame::close(4001, "you too")]).await;
    let outcome = closing.await.unwrap().unwrap();
    assert!(outcome.is_clean());
    assert_eq!(outcome.reason(), "you too");
    assert_eq!(outcome.sent().unwrap().code, CloseCode(4001));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    let before = tokio::time::Instant::now();
    let outcome = socket.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_secs(10));
    assert!(matches!(outcome.error(), Some(Error::Timeout(Timeout::Close))));
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_may_not_be_sent_is_refused_at_once() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    assert!(matches!(socket.close(1006, "").await, Err(Error::Refused(_))));
    socket.send("still open").await.unwrap();
    peer.expects(frame::text("still open")).await;
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_peers_close_are_read_and_can_be_answered() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("1"), frame::text("2"), frame::text("3"), frame::close(1000, "")]).await;
    while let Some(message) = socket.recv().await.unwrap() {
        // The driver has read the Close frame by now.
        tokio::task::yield_now().await;
        socket.send(message).await.unwrap();
    }
    for text in ["1", "2", "3"] {
        peer.expects(frame::text(text)).await;
    }
    peer.expects(frame::close(1000, "")).await;
}

#[tokio::test(start_paused = true)]
async fn an_application_that_only_sends_does_not_hold_up_the_peers_close() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("never read"), frame::close(1000, "")]).await;
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("never read")), "and yet nothing is lost");
    assert_eq!(socket.recv().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_stopped_reading_holds_up_the_peers_close_for_a_while_only() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("read"), frame::text("unread"), frame::close(1000, "")]).await;
    socket.recv().await.unwrap();
    let before = tokio::time::Instant::now();
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(before.elapsed(), Duration::from_secs(5), "half of the close timeout");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_an_error() {
    let (mut socket, peer) = open(&Config::default()).await;
    drop(peer);
    assert!(matches!(socket.recv().await, Err(Error::Disconnected)));
    assert!(matches!(socket.recv().await, Ok(None)), "an error is told once");
    assert_eq!(socket.outcome().unwrap().code(), CloseCode::ABNORMAL);
}

#[tokio::test(start_paused = true)]
async fn a_broken_rule_is_told_to_both_sides() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("fine"), frame::raw(0x83, "")]).await;
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("fine")));
    let error = ProtocolError::ReservedOpcode(3);
    peer.expects(frame::close(1002, &error.to_string())).await;
    // The server has shut down its side and reads on, so that the peer is not reset before it has read the Close.
    assert_eq!(peer.hears().await, None);
    peer.says(&[frame::text("ignored")]).await;
    drop(peer);
    match socket.recv().await {
        Err(Error::Protocol(told)) => assert_eq!(told, error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_broken_rule_can_be_answered() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("1")]).await;
    socket.recv().await.unwrap();
    peer.says(&[frame::text("2"), frame::raw(0x83, "")]).await;
    // The driver has read the broken frame by now.
    tokio::task::yield_now().await;
    socket.send("answer to 1").await.unwrap();
    socket.recv().await.unwrap();
    socket.send("answer to 2").await.unwrap();
    assert!(matches!(socket.recv().await, Err(Error::Protocol(_))));
    peer.expects(frame::text("answer to 1")).await;
    peer.expects(frame::text("answer to 2")).await;
    peer.expects(frame::close(1002, &ProtocolError::ReservedOpcode(3).to_string())).await;
}

#[tokio::test(start_paused = true)]
async fn terminate_cuts_the_connection_off() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::ping("open?")]).await;
    peer.expects(frame::pong("open?")).await;
    socket.terminate();
    assert_eq!(peer.hears().await, None, "no Close frame");
    assert!(matches!(socket.recv().await, Err(Error::Terminated)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_socket_closes_with_1000() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    socket.send("last words").await.unwrap();
    drop(socket);
    peer.expects(frame::text("last words")).await;
    peer.expects(frame::close(1000, "")).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_keeps_the_connection_open() {
    let (socket, mut peer) = open(&Config::default()).await;
    let (sender, receiver) = socket.split();
    drop(receiver);
    peer.says(&[frame::text("unheard"), frame::ping("?")]).await;
    peer.expects(frame::pong("?")).await;
    sender.send("open").await.unwrap();
    peer.expects(frame::text("open")).await;
    drop(sender);
    peer.expects(frame::close(1000, "")).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_closes_with_1011() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    let task = tokio::spawn(async move {
        socket.recv().await.unwrap();
        panic!("on purpose");
    });
    peer.says(&[frame::text("go")]).await;
    peer.expects(frame::close(1011, "")).await;
    assert!(task.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn everyone_can_be_closed_at_once() {
    let config = Config::default();
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (socket, mut peer) = open(&config).await;
        tokio::spawn(async move {
            let mut socket = socket;
            while let Ok(Some(_)) = socket.recv().await {}
        });
        peer.says(&[frame::text("here")]).await;
        peers.push(peer);
    }
    assert_eq!(config.connections().count(), 3);
    config.connections().close_all(CloseCode::GOING_AWAY, "deploy").unwrap();
    for peer in &mut peers {
        peer.expects(frame::close(1001, "deploy")).await;
        peer.says(&[frame::close(1001, "")]).await;
    }
    config.connections().wait_closed().await;
    assert_eq!(config.connections().count(), 0);
    let (_late, mut peer) = open(&config).await;
    peer.expects(frame::close(1001, "deploy")).await;
}
