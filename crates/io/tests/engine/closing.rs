//! The end of sessions, from either side and in every phase.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use switchboard_io::engine::{CloseReason, Engine, EngineConfig, Hooks, SessionConfig, Sid};
use switchboard_testkit::{Wire, frame, within};

use crate::support::{Heard, Host, POLLING, WEBSOCKET, post, text};

#[tokio::test]
async fn the_server_closes_a_websocket_after_what_was_sent() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut wire, session) = host.websocket().await;
    session.send_text("4last words");
    session.close(CloseReason::ForcedClose);
    session.send_text("4never");
    assert_eq!(text(&mut wire).await, "4last words");
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ForcedClose));
    assert!(!session.is_open());
}

#[tokio::test]
async fn the_server_closes_a_poll_that_waits() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    client.ask().await;
    session.send_text("4last words");
    session.close(CloseReason::ForcedClose);
    // The goodbye goes alone, with the poll after that.
    assert_eq!(client.gets.response().await.body, "4last words");
    assert_eq!(client.poll().await.body, "1");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ForcedClose));
    assert_eq!(client.poll().await.status, 400);
}

#[tokio::test]
async fn without_a_poll_the_goodbye_waits_for_the_next() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    session.send_text("4last words");
    session.close(CloseReason::ForcedClose);
    assert!(!session.is_open());
    assert_eq!(client.poll().await.body, "4last words");
    assert_eq!(client.poll().await.body, "1");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ForcedClose));
}

#[tokio::test]
async fn a_client_says_goodbye_by_post() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    client.ask().await;
    // Its echo shows that the poll is there.
    client.post("4x").await;
    client.gets.response().await;
    client.ask().await;
    assert_eq!(client.post("1").await.body, "ok");
    let answer = client.gets.response().await.body;
    assert!(answer == "6" || answer.contains("Session ID unknown"), "{answer}");
    assert_eq!(host.heard().await, Heard::Message("x".into()));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportClose));
    assert_eq!(client.poll().await.body, r#"{"code":1,"message":"Session ID unknown"}"#);
}

#[tokio::test]
async fn a_client_says_goodbye_on_its_websocket() {
    let mut host = Host::new(EngineConfig::default()).await;
    for goodbye in [frame::text("1"), frame::empty_close()] {
        let (mut wire, _) = host.websocket().await;
        wire.say(&goodbye.masked()).await;
        assert_eq!(wire.frame().await, frame::empty_close());
        assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportClose));
    }
    let (wire, _) = host.websocket().await;
    drop(wire);
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportClose));
    assert_eq!(host.engine.sessions(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_its_poll_ends_the_session() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, _) = host.polling().await;
    client.ask().await;
    client.post("4x").await;
    client.gets.response().await;
    assert_eq!(host.heard().await, Heard::Message("x".into()));
    client.ask().await;
    client.gets = Wire::connect(host.address).await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
}

#[tokio::test]
async fn rules_that_are_broken_on_a_websocket_end_the_session() {
    let mut host = Host::new(EngineConfig::default()).await;
    // Of Engine.IO's rules no code tells, as by Node's server; of WebSocket's it does.
    for (bad, reason, close) in [
        (frame::text("x").masked(), CloseReason::ParseError, frame::empty_close()),
        (frame::text("").masked(), CloseReason::ParseError, frame::empty_close()),
        (frame::text("4unmasked"), CloseReason::TransportError, frame::close(1002, "")),
    ] {
        let (mut wire, _) = host.websocket().await;
        wire.say(&bad).await;
        assert_eq!(host.heard().await, Heard::Closed(reason));
        assert_eq!(wire.frame().await, close);
    }
}

/// Pages see the reason of a Close frame, and by Node's server it is empty.
#[tokio::test]
async fn a_message_that_is_too_long_is_told_by_a_code_without_words() {
    let session = SessionConfig { max_payload: 100, ..SessionConfig::default() };
    let mut host = Host::new(EngineConfig { session, ..EngineConfig::default() }).await;
    let (mut wire, _) = host.websocket().await;
    wire.say(&frame::text(format!("4{}", "a".repeat(100))).masked()).await;
    let close = wire.frame().await;
    assert_eq!((close.first, &*close.payload), (0x88, &1009_u16.to_be_bytes()[..]));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
}

#[tokio::test]
async fn a_panic_ends_its_session_and_no_other() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut wire, _) = host.websocket().await;
    let (mut client, _) = host.polling().await;
    let (mut other, _) = host.websocket().await;
    wire.say(&frame::text("4panic").masked()).await;
    assert_eq!(host.heard().await, Heard::Message("panic".into()));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    assert_eq!(wire.frame().await.first, 0x88);
    assert_eq!(client.post("4panic").await.body, "ok");
    assert_eq!(host.heard().await, Heard::Message("panic".into()));
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::TransportError));
    other.say(&frame::text("4fine").masked()).await;
    assert_eq!(text(&mut other).await, "4fine");
    assert_eq!(host.engine.metrics().panics(), 2);
}

#[tokio::test]
async fn an_engine_that_closes_closes_everyone_and_opens_no_more() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut wire, _) = host.websocket().await;
    let (mut client, _) = host.polling().await;
    let closing = {
        let engine = host.engine.clone();
        tokio::spawn(async move { engine.close().await })
    };
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ServerShuttingDown));
    assert_eq!(client.poll().await.body, "1");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ServerShuttingDown));
    within("the engine to close", closing).await.expect("it does not panic");
    assert_eq!(Wire::connect(host.address).await.get(POLLING).await.status, 503);
    assert_eq!(Wire::ask(host.address, WEBSOCKET, "").await.response().await.status, 503);
}

#[tokio::test]
async fn a_post_under_way_does_not_hold_up_the_end() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (mut client, session) = host.polling().await;
    let whole = post(&client.path, "", "4never heard");
    let (start, rest) = whole.split_at(whole.len() - 5);
    client.posts.send(start).await;
    client.ask().await;
    session.close(CloseReason::ForcedClose);
    assert_eq!(client.gets.response().await.body, "1");
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ForcedClose));
    client.posts.send(rest).await;
    client.posts.response().await;
    assert_eq!(host.engine.sessions(), 0);
}

#[tokio::test]
async fn an_engine_that_closes_ends_upgrades_too() {
    let mut host = Host::new(EngineConfig::default()).await;
    let (moved, session) = host.polling().await;
    let mut wire = moved.websocket().await;
    let (mut moving, _) = host.polling().await;
    let mut candidate = moving.websocket().await;
    for wire in [&mut wire, &mut candidate] {
        wire.say(&frame::text("2probe").masked()).await;
        assert_eq!(text(wire).await, "3probe");
    }
    wire.say(&frame::text("5").masked()).await;
    session.send_text("4last words");
    assert_eq!(text(&mut wire).await, "4last words");
    let closing = {
        let engine = host.engine.clone();
        tokio::spawn(async move { engine.close().await })
    };
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(moving.poll().await.body, "1");
    assert_eq!(candidate.frame().await, frame::empty_close());
    for _ in 0..2 {
        assert_eq!(host.heard().await, Heard::Closed(CloseReason::ServerShuttingDown));
    }
    within("the engine to close", closing).await.expect("it does not panic");
}

/// A server that has looked whether its engine closes, and begins to close before the session is there.
async fn closes_meanwhile() -> Host {
    let engine: Arc<OnceLock<Engine>> = Arc::default();
    let of_the_hook = Arc::clone(&engine);
    let hooks = Hooks::default().generate_id(move |_| {
        let closed = of_the_hook.get().expect("there is an engine").close().now_or_never();
        assert_eq!(closed, Some(()), "it has no sessions yet");
        Sid::generate()
    });
    let host = Host::new(EngineConfig { hooks, ..EngineConfig::default() }).await;
    engine.set(host.engine.clone()).expect("there is one");
    host
}

#[tokio::test]
async fn a_session_that_opens_as_the_engine_closes_is_over_at_once() {
    let mut host = closes_meanwhile().await;
    assert_eq!(Wire::connect(host.address).await.get(POLLING).await.status, 503);
    host.session().await;
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ServerShuttingDown));
    assert_eq!(host.engine.sessions(), 0);

    let mut host = closes_meanwhile().await;
    let (mut wire, _) = host.websocket().await;
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(host.heard().await, Heard::Closed(CloseReason::ServerShuttingDown));
    assert_eq!(host.engine.sessions(), 0);
}
