//! Pings, pongs, and clients that do not answer.

use std::time::Duration;

use switchboard_io::engine::{CloseReason, EngineConfig, SessionConfig};
use switchboard_testkit::frame;

use crate::support::{Heard, Host, quick, text};

/// Pings often, and waits for answers as long as a busy machine may take.
fn patient() -> EngineConfig {
    let session = SessionConfig {
        ping_interval: Duration::from_millis(10),
        ping_timeout: Duration::from_secs(20),
        ..SessionConfig::default()
    };
    EngineConfig { session, ..EngineConfig::default() }
}

#[tokio::test]
async fn a_websocket_is_pinged_and_lives_while_it_answers() {
    let mut host = Host::new(patient()).await;
    let (mut wire, _) = host.websocket().await;
    for _ in 0..3 {
        assert_eq!(text(&mut wire).await, "2");
        wire.say(&frame::text("3").masked()).await;
        assert_eq!(host.heard().await, Heard::Alive);
    }
}

#[tokio::test]
async fn a_websocket_that_does_not_answer_is_closed() {
    let mut host = Host::new(quick()).await;
    let (mut wire, _) = host.websocket().await;
    assert_eq!(text(&mut wire).await, "2");
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::PingTimeout));
    assert_eq!(host.engine.sessions(), 0);
}

#[tokio::test]
async fn polling_is_pinged_and_lives_while_it_answers() {
    let mut host = Host::new(patient()).await;
    let (mut client, _) = host.polling().await;
    for _ in 0..3 {
        assert_eq!(client.poll().await.body, "2");
        assert_eq!(client.post("3").await.body, "ok");
        assert_eq!(host.heard().await, Heard::Alive);
    }
}

#[tokio::test]
async fn an_upgraded_session_is_pinged_on_its_websocket_and_lives() {
    let mut host = Host::new(patient()).await;
    let (client, _) = host.polling().await;
    let mut wire = client.websocket().await;
    wire.say(&frame::text("2probe").masked()).await;
    assert_eq!(text(&mut wire).await, "3probe");
    wire.say(&frame::text("5").masked()).await;
    for _ in 0..3 {
        assert_eq!(text(&mut wire).await, "2");
        wire.say(&frame::text("3").masked()).await;
        assert_eq!(host.heard().await, Heard::Alive);
    }
    wire.say(&frame::text("4alive").masked()).await;
    assert_eq!(host.heard().await, Heard::Message("alive".into()));
}

#[tokio::test]
async fn polling_that_does_not_answer_ends_and_its_poll_is_told() {
    let mut config = quick();
    // It must have polled by then.
    config.session.ping_timeout = Duration::from_secs(2);
    let mut host = Host::new(config).await;
    let (mut client, _) = host.polling().await;
    assert_eq!(client.poll().await.body, "2");
    client.ask().await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::PingTimeout));
    let answer = client.gets.response().await.body;
    assert!(answer == "1" || answer.contains("Session ID unknown"), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_polls_ends_as_well() {
    let mut host = Host::new(quick()).await;
    let (_client, _) = host.polling().await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::PingTimeout));
}

#[tokio::test]
async fn a_ping_of_the_clients_is_the_wrong_direction() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut wire, _) = host.websocket().await;
    wire.say(&frame::text("2").masked()).await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(wire.frame().await, frame::empty_close());
}

/// A ping is the first thing in an answer, since the client has to have it in time; messages that have no room come
/// later.
#[tokio::test]
async fn an_answer_to_a_ping_that_overtook_messages_tells_nothing_of_them() {
    let config = patient();
    let session = SessionConfig { max_payload: 100, ..config.session };
    let mut host = Host::new(EngineConfig { session, ..config }).await;
    let (mut client, session) = host.polling().await;
    // Each fills an answer, and there are always some that wait.
    let long = format!("4{}", "x".repeat(90));
    let mut waiting = 3;
    for _ in 0..waiting {
        session.send_text(&long);
    }
    while client.poll().await.body != "2" {
        session.send_text(&long);
    }
    client.post("3").await;
    client.post("4quiet").await;
    assert_eq!(host.heard().await, Heard::Message("quiet".into()), "and nothing before that");
    while waiting > 0 {
        match &*client.poll().await.body {
            "2" => assert_eq!(client.post("3").await.status, 200),
            _ => waiting -= 1,
        }
    }
    assert_eq!(client.poll().await.body, "2");
    client.post("4quiet").await;
    assert_eq!(host.heard().await, Heard::Message("quiet".into()), "nor before that");
    client.post("3").await;
    assert_eq!(host.heard().await, Heard::Alive);
}
