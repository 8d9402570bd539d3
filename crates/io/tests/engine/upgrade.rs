//! From polling to a WebSocket: nothing is lost or out of order, and whoever does not claim it changes nothing.

use std::time::Duration;

use switchboard_io::engine::{CloseReason, EngineConfig, Limit, ParcelOptions, SessionConfig, Transport, parcel};
use switchboard_testkit::{Wire, frame};
use switchboard_ws::{Config, DeflateConfig, Message, OutboxLimits, Overflow};

use crate::support::{Heard, Host, POLLING, WEBSOCKET, text};

async fn probe(wire: &mut Wire) {
    wire.say(&frame::text("2probe").masked()).await;
    assert_eq!(text(wire).await, "3probe");
}

#[tokio::test]
async fn the_session_moves_and_what_waited_comes_first() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    client.ask().await;
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    // Polling is let go of, so that the client can pause it.
    assert_eq!(client.gets.response().await.body, "6");
    session.send_text("4waited");
    wire.say(&frame::text("5").masked()).await;
    assert_eq!(text(&mut wire).await, "4waited");
    assert_eq!(session.transport(), Transport::WebSocket);
    session.send_text("4after");
    assert_eq!(text(&mut wire).await, "4after");
    wire.say(&frame::text("4echo").masked()).await;
    assert_eq!(text(&mut wire).await, "4echo");
    let late = client.poll().await;
    assert_eq!((late.status, &*late.body), (400, r#"{"code":3,"message":"Bad request"}"#));
    let metrics = host.engine.metrics();
    assert_eq!((metrics.upgrades_begun(), metrics.upgrades_done(), metrics.upgrades_dropped()), (1, 1, 0));
}

#[tokio::test]
async fn polling_goes_on_until_the_upgrade() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    session.send_text("4by polling");
    assert_eq!(client.poll().await.body, "4by polling");
    assert_eq!(client.post("4in").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("in".into()));
    wire.say(&frame::text("5").masked()).await;
    assert_eq!(text(&mut wire).await, "4in");
}

/// Room for everything that is sent before the client fetches any of it.
const OUTBOX: OutboxLimits = OutboxLimits { messages: 4096, bytes: 1 << 20, overflow: Overflow::Close };

/// A thousand messages in each direction, half of them before the WebSocket takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_stay_in_order_across_an_upgrade() {
    let mut host = Host::new(EngineConfig { outbox: OUTBOX, ..EngineConfig::default() }).await;
    let (mut client, session) = host.polling().await;
    let sending = {
        let session = session.clone();
        tokio::spawn(async move {
            for number in 0..1000 {
                session.send_text(&format!("4{number}"));
                tokio::task::yield_now().await;
            }
        })
    };
    let mut received = Vec::new();
    for number in 0..5 {
        let body: Vec<_> = (0..100).map(|next| format!("4quiet{}", number * 100 + next)).collect();
        client.post(&body.join("\u{1e}")).await;
        received.extend(client.poll().await.body.split('\u{1e}').map(str::to_owned));
    }
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    wire.say(&frame::text("5").masked()).await;
    for number in 500..1000 {
        wire.say(&frame::text(format!("4quiet{number}")).masked()).await;
    }
    let wanted = |received: &[String]| {
        received.iter().filter(|text| !text.contains("quiet")).count() < 1000
            || received.iter().filter(|text| text.contains("quiet")).count() < 1000
    };
    while wanted(&received) {
        received.push(text(&mut wire).await);
    }
    sending.await.expect("all were sent");
    let (echoes, own): (Vec<_>, Vec<_>) = received.into_iter().partition(|text| text.contains("quiet"));
    assert_eq!(own, (0..1000).map(|number| format!("4{number}")).collect::<Vec<_>>());
    assert_eq!(echoes, (0..1000).map(|number| format!("4quiet{number}")).collect::<Vec<_>>());
    for number in 0..1000 {
        assert_eq!(host.heard().await, Heard::Message(format!("quiet{number}").into()));
    }
}

/// A thread publishes while sessions move: none of its publishes overtakes the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_thread_publishes_stays_in_order_across_upgrades() {
    publish_across_upgrades(Config::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_where_each_websocket_has_a_task() {
    publish_across_upgrades(Config::default().task_per_connection()).await;
}

async fn publish_across_upgrades(websockets: Config) {
    const UPGRADES: usize = 40;
    const PUBLISHES: usize = 300;
    let mut host = Host::new(EngineConfig { websockets, ..EngineConfig::default() }).await;
    let (go, told) = std::sync::mpsc::channel::<()>();
    let hub = host.engine.hub().clone();
    let publisher = std::thread::spawn(move || {
        for () in told {
            for number in 0..PUBLISHES {
                let message = Message::from(format!("4{number}"));
                hub.publish("room", parcel([message], ParcelOptions::default()));
            }
        }
    });
    for _ in 0..UPGRADES {
        let (client, session) = host.polling().await;
        let mut wire = client.websocket().await;
        probe(&mut wire).await;
        session.member().subscribe("room").expect("a topic");
        go.send(()).expect("the publisher is there");
        wire.say(&frame::text("5").masked()).await;
        for number in 0..PUBLISHES {
            assert_eq!(text(&mut wire).await, format!("4{number}"));
        }
        drop(wire);
        assert!(matches!(host.heard().await, Heard::Closed(_)));
    }
    drop(go);
    publisher.join().expect("it has published all");
}

#[tokio::test]
async fn an_outbox_that_overflowed_before_the_upgrade_ends_the_session() {
    let outbox = OutboxLimits { messages: 2, ..OUTBOX };
    let mut host = Host::new(EngineConfig { outbox, ..EngineConfig::default() }).await;
    let (client, session) = host.polling().await;
    session.member().subscribe("room").expect("a topic");
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    for _ in 0..3 {
        host.engine.hub().publish("room", parcel([Message::from("4lost")], ParcelOptions::default()));
    }
    wire.say(&frame::text("5").masked()).await;
    assert_eq!(wire.frame().await.first, 0x88);
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(host.engine.metrics().overflowed(), 1);
}

#[tokio::test]
async fn a_candidate_that_does_not_claim_is_closed_and_the_session_stays() {
    let session = SessionConfig { upgrade_timeout: Duration::from_secs(2), ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let (mut client, session) = host.polling().await;
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    assert_eq!(wire.frame().await, frame::empty_close());
    session.send_text("4still here");
    assert_eq!(client.poll().await.body, "4still here");
    assert_eq!(host.engine.metrics().upgrades_dropped(), 1);
    // And another may try.
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    wire.say(&frame::text("5").masked()).await;
    wire.say(&frame::text("4hi").masked()).await;
    assert_eq!(text(&mut wire).await, "4hi");
}

#[tokio::test]
async fn a_candidate_that_says_anything_else_is_closed() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    for word in ["4hello", "2", "x", "1"] {
        let mut wire = client.websocket().await;
        wire.say(&frame::text(word).masked()).await;
        assert_eq!(wire.frame().await, frame::empty_close(), "{word}");
    }
    assert_eq!(client.post("4alive").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("alive".into()));
}

/// As in Node: what waited for a poll comes by the WebSocket.
#[tokio::test]
async fn a_candidate_that_does_without_the_probe_takes_over() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (client, session) = host.polling().await;
    session.send_text("4waited");
    let mut wire = client.websocket().await;
    wire.say(&frame::text("5").masked()).await;
    assert_eq!(text(&mut wire).await, "4waited");
    wire.say(&frame::text("4hi").masked()).await;
    assert_eq!(text(&mut wire).await, "4hi");
    assert_eq!(session.transport(), Transport::WebSocket);
}

#[tokio::test]
async fn a_candidate_that_goes_away_leaves_the_session_as_it_was() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    drop(wire);
    session.send_text("4fine");
    assert_eq!(client.poll().await.body, "4fine");
}

#[tokio::test]
async fn a_second_websocket_is_closed() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (client, _) = host.polling().await;
    let mut first = client.websocket().await;
    probe(&mut first).await;
    assert_eq!(client.websocket().await.frame().await, frame::empty_close(), "while another is probed");
    first.say(&frame::text("5").masked()).await;
    first.say(&frame::text("4hi").masked()).await;
    assert_eq!(text(&mut first).await, "4hi");
    assert_eq!(client.websocket().await.frame().await, frame::empty_close(), "when another has taken over");
    let metrics = host.engine.metrics();
    assert_eq!((metrics.limit(Limit::Candidates), metrics.upgrades_dropped()), (2, 2));
}

#[tokio::test]
async fn a_candidate_of_a_session_that_ends_is_closed() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    let mut wire = client.websocket().await;
    probe(&mut wire).await;
    assert_eq!(client.post("1").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportClose));
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(Wire::connect(host.address).await.get(&format!("{POLLING}&sid={}", client.sid)).await.status, 400);
}

#[tokio::test]
async fn compression_is_agreed_on_by_the_candidate_and_used_after_the_move() {
    let config = EngineConfig { per_message_deflate: Some(DeflateConfig::default()), ..EngineConfig::default() };
    let mut host = Host::new(config).await;
    let (client, session) = host.polling().await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut wire = Wire::ask(host.address, &format!("{WEBSOCKET}&sid={}", client.sid), offer).await;
    assert!(wire.head().await.contains("sec-websocket-extensions: permessage-deflate"));
    probe(&mut wire).await;
    let long = format!("4{}", "a".repeat(1000));
    session.send_text(&long);
    wire.say(&frame::text("5").masked()).await;
    // What waited for a poll is compressed here as well.
    let frame = wire.frame().await;
    assert_eq!((frame.first, frame.payload.len() < 50), (0xc1, true));
    session.send_text("4short");
    assert_eq!(text(&mut wire).await, "4short");
    session.send_text(&long);
    assert_eq!(wire.frame().await.first, 0xc1);
}
