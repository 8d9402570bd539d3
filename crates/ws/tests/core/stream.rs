//! The stream style: receive, send, split, ping.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use switchboard_testkit::frame;
use switchboard_ws::{Budget, BudgetPart, Config, Limits, Message, PeerAddr, Prepared, ReadyState};

use crate::peer::{open, open_with};

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("hello"), frame::binary([1, 2])]).await;
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("hello")));
    assert_eq!(socket.recv().await.unwrap(), Some(Message::binary(vec![1, 2])));
    socket.send("text").await.unwrap();
    socket.send(vec![9, 9]).await.unwrap();
    socket.send(Prepared::text("prepared")).await.unwrap();
    peer.expects(frame::text("text")).await;
    peer.expects(frame::binary([9, 9])).await;
    peer.expects(frame::text("prepared")).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_with_the_request_are_heard() {
    let glued = [frame::text("first").masked(), frame::text("second").masked()];
    let (mut socket, _peer) = open_with(&Config::default(), 4096, &glued).await;
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("first")));
    assert_eq!(socket.recv().await.unwrap(), Some(Message::text("second")));
}

#[tokio::test(start_paused = true)]
async fn the_handshake_can_be_looked_up() {
    let (socket, _peer) = open(&Config::default()).await;
    let info = socket.info();
    assert_eq!(info.uri().path(), "/path");
    assert_eq!(info.uri().query(), Some("q=1"));
    assert_eq!(info.headers()["x-test"], "yes");
    assert_eq!((info.protocol(), info.deflate()), (None, None));
    assert_eq!(info.peer(), PeerAddr::Unknown);
    assert_eq!(socket.ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_a_stream_and_a_sink() {
    let (socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::text("a"), frame::text("b"), frame::close(1000, "")]).await;
    let (mut sink, mut stream) = StreamExt::split(socket);
    while let Some(message) = stream.next().await {
        sink.send(message.unwrap()).await.unwrap();
    }
    peer.expects(frame::text("a")).await;
    peer.expects(frame::text("b")).await;
    peer.expects(frame::close(1000, "")).await;
    assert_eq!(peer.hears().await, None);
}

#[tokio::test(start_paused = true)]
async fn closing_the_sink_closes_the_connection() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    let closing = tokio::spawn(async move { SinkExt::<Message>::close(&mut socket).await });
    peer.expects(frame::close(1000, "")).await;
    peer.says(&[frame::close(1000, "")]).await;
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_tasks_send_at_once() {
    let (socket, mut peer) = open(&Config::default()).await;
    let (sender, _receiver) = socket.split();
    for task in 0..8 {
        let sender = sender.clone();
        tokio::spawn(async move {
            for i in 0..50 {
                sender.send(format!("{task} {i}")).await.unwrap();
            }
        });
    }
    let mut next = [0; 8];
    for _ in 0..400 {
        let text = String::from_utf8(peer.hears().await.unwrap().payload).unwrap();
        let (task, i) = text.split_once(' ').unwrap();
        let task: usize = task.parse().unwrap();
        assert_eq!(i.parse(), Ok(next[task]), "each task's messages keep their order");
        next[task] += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_application_does_nothing() {
    let (_socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::ping("are you there")]).await;
    peer.expects(frame::pong("are you there")).await;
}

#[tokio::test(start_paused = true)]
async fn each_of_many_pings_has_its_pong_before_what_follows() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    peer.says(&[frame::ping("1"), frame::text("echo"), frame::ping("2"), frame::ping("3")]).await;
    let message = socket.recv().await.unwrap().unwrap();
    socket.send(message).await.unwrap();
    for said in [frame::pong("1"), frame::pong("2"), frame::pong("3"), frame::text("echo")] {
        peer.expects(said).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_on_a_connection_that_is_over_fails_at_once() {
    let (socket, peer) = open(&Config::default()).await;
    let sender = socket.sender();
    drop(peer);
    sender.ended().await;
    assert!(matches!(sender.ping().await, Err(switchboard_ws::Error::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn a_ping_returns_the_round_trip() {
    let (socket, mut peer) = open(&Config::default()).await;
    let sender = socket.sender();
    let ping = tokio::spawn(async move { sender.ping().await });
    let heard = peer.hears().await.unwrap();
    assert_eq!(heard.first, 0x89);
    tokio::time::advance(Duration::from_millis(30)).await;
    peer.says(&[frame::pong(heard.payload)]).await;
    assert_eq!(ping.await.unwrap().unwrap(), Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn one_pong_answers_every_ping_before_it() {
    let (socket, mut peer) = open(&Config::default()).await;
    let ping = |sender: switchboard_ws::Sender| tokio::spawn(async move { sender.ping().await });
    let first = ping(socket.sender());
    peer.hears().await.unwrap();
    let second = ping(socket.sender());
    let newest = peer.hears().await.unwrap();
    peer.says(&[frame::pong(newest.payload)]).await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_runs_while_the_application_does_nothing() {
    let (mut socket, mut peer) = open(&Config::default()).await;
    let before = tokio::time::Instant::now();
    assert_eq!(peer.hears().await.unwrap().first, 0x89);
    assert_eq!(before.elapsed().as_secs(), 30);
    // No pong: the connection is failed after another twenty seconds.
    assert_eq!(peer.hears().await.unwrap().payload[..2], 1008u16.to_be_bytes());
    assert_eq!(before.elapsed().as_secs(), 50);
    drop(peer);
    assert_eq!(socket.recv().await.unwrap_err().to_string(), "the peer did not answer a ping in time");
}

#[tokio::test(start_paused = true)]
async fn without_a_heartbeat_nothing_happens_for_ever() {
    let config = Config::default().limits(Limits { ping_interval: None, ..Limits::default() });
    let (socket, mut peer) = open(&config).await;
    let quiet = tokio::time::timeout(Duration::from_secs(1_000_000), peer.hears()).await;
    assert!(quiet.is_err());
    assert_eq!(socket.ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_goes_through() {
    let config = Config::default();
    let (mut socket, mut peer) = open(&config).await;
    peer.says(&[frame::text("four")]).await;
    socket.recv().await.unwrap();
    socket.send("answer").await.unwrap();
    peer.expects(frame::text("answer")).await;
    peer.says(&[frame::close(3500, "")]).await;
    assert_eq!(socket.recv().await.unwrap(), None);
    let counted = config.get_metrics().snapshot();
    assert_eq!((counted.total, counted.open), (1, 0));
    assert_eq!((counted.messages_in, counted.messages_out), (1, 1));
    // Frame and Close: 6 + 4 and 6 + 2 bytes in, 2 + 6 and 2 + 2 out.
    assert_eq!((counted.bytes_in, counted.bytes_out), (18, 12));
    assert_eq!(counted.closes, [("3xxx", 1)].into());
    assert!(counted.limits.is_empty() && counted.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_dropped_is_no_reason_to_go_when_memory_is_short() {
    let budget = Budget::new(8 << 20);
    let (socket, mut peer) = open(&Config::default().budget(budget.clone())).await;
    peer.says(&[frame::binary(vec![7; 100_000]), frame::ping("all read?")]).await;
    peer.expects(frame::pong("all read?")).await;
    let (_sender, receiver) = socket.split();
    drop(receiver);
    budget.take(BudgetPart::Connections, 8 << 20);
    budget.relieve();
    assert_eq!(budget.usage().unwrap().evicted, 0);
}
