//! Futures dropped at every poll: nothing is lost, nothing is doubled, nobody hangs.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use switchboard_testkit::frame;
use switchboard_ws::{Config, Message, OutboxLimits, Overflow};

use crate::peer::{open, open_with};

/// Polls a future `polls` times, letting everyone else run in between, and drops it. `Some`: it finished.
async fn cancelled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn recv_dropped_at_any_poll_loses_nothing() {
    for polls in 0..6 {
        let (mut socket, mut peer) = open(&Config::default()).await;
        let mut heard = Vec::new();
        for i in 0..50 {
            // A frame in two halves, with cancelled receives before, between and after.
            let bytes = frame::text(i.to_string()).masked().bytes();
            for half in [&bytes[..3], &bytes[3..]] {
                heard.extend(cancelled(socket.recv(), polls).await.map(|message| message.unwrap().unwrap()));
                tokio::io::AsyncWriteExt::write_all(&mut peer.io, half).await.unwrap();
            }
        }
        while heard.len() < 50 {
            heard.push(socket.recv().await.unwrap().unwrap());
        }
        let expected: Vec<Message> = (0..50).map(|i| Message::text(i.to_string())).collect();
        assert_eq!(heard, expected, "dropped after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn send_dropped_at_any_poll_sends_once_or_not_at_all() {
    let outbox = OutboxLimits { messages: 2, bytes: 3000, overflow: Overflow::Close };
    for polls in 0..6 {
        let (mut socket, mut peer) = open_with(&Config::default().outbox(outbox), 1024, &[]).await;
        let mut sent = Vec::new();
        for i in 0..100 {
            let text = format!("{i:01000}");
            if cancelled(socket.send(text.clone()), polls).await.is_some() {
                sent.push(text);
            }
            if i % 7 == 0 && sent.len() > 3 {
                peer.expects(frame::text(sent.remove(0))).await;
            }
        }
        for text in sent {
            peer.expects(frame::text(text)).await;
        }
        socket.send("end").await.unwrap();
        peer.expects(frame::text("end")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ping_flush_and_close_can_be_dropped_at_any_poll() {
    for polls in 0..4 {
        let (mut socket, mut peer) = open(&Config::default()).await;
        assert!(cancelled(socket.ping(), polls).await.is_none());
        cancelled(socket.flush(), polls).await;
        socket.send("in order").await.unwrap();
        let closing = cancelled(socket.close(4000, "bye"), polls).await;
        assert!(closing.is_none());
        let mut heard = Vec::new();
        while let Ok(Some(frame)) = tokio::time::timeout(std::time::Duration::from_secs(1), peer.hears()).await {
            heard.push(frame.first);
        }
        heard.retain(|&first| first != 0x89);
        let expected: &[u8] = if polls == 0 { &[0x81] } else { &[0x81, 0x88] };
        assert_eq!(heard, expected, "a close that was polled once happens");
    }
}
