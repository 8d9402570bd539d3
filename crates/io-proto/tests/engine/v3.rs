//! What is different for clients of protocol v3: the heartbeat's direction and the payloads.

use switchboard_io_proto::engine::{CloseReason, Config, Protocol};

use crate::talk::{OPEN, Talk, millis, secs};

fn polling() -> Talk {
    Talk::polling_with(Protocol::V3, Config::default())
}

fn websocket() -> Talk {
    Talk::websocket_with(Protocol::V3, Config::default())
}

#[test]
fn the_client_pings_and_the_server_answers() {
    let mut talk = websocket();
    for _ in 0..10 {
        talk.waits(secs(25));
        talk.says("2");
        assert_eq!(talk.frames(), ["3"]);
    }
    let mut talk = polling();
    talk.poll();
    talk.post("1:2");
    assert_eq!(talk.answer().as_deref(), Some("1:3"));
}

#[test]
fn a_client_that_does_not_ping_is_gone() {
    let mut talk = websocket();
    talk.waits(secs(40));
    talk.says("4messages do not count");
    talk.waits(millis(4_999));
    assert_eq!(talk.session.ended(), None);
    talk.waits(millis(1));
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_client_of_v3_may_not_pong() {
    let mut talk = websocket();
    talk.says("3");
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
}

#[test]
fn payloads_have_lengths() {
    let mut talk = polling();
    talk.send(&["€", "b"]);
    assert_eq!(talk.fetch().as_deref(), Some("2:4€2:4b"));
    talk.post("3:4hi6:4there");
    assert_eq!(talk.heard(), ["hi", "there"]);
    talk.post("2:4x1:");
    assert_eq!(talk.session.ended(), Some(CloseReason::ParseError));
    assert_eq!(talk.heard(), ["x"]);
}

#[test]
fn an_upgrade_is_the_same() {
    let mut talk = polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    assert_eq!(talk.frames(), ["3probe"]);
    // Its own pings go on by polling meanwhile.
    talk.post("1:2");
    assert_eq!(talk.answer().as_deref(), Some("1:3"));
    talk.poll();
    talk.waits(millis(100));
    assert_eq!(talk.answer().as_deref(), Some("1:6"));
    talk.says("5");
    assert_eq!(talk.heard(), ["upgrading", "upgraded"]);
    talk.says("2");
    assert_eq!(talk.frames(), ["3"]);
}

#[test]
fn a_pong_that_is_owed_across_an_upgrade_leaves_by_the_websocket() {
    let mut talk = polling();
    talk.post("1:2");
    assert_eq!(talk.upgrades(), ["3"]);
}

#[test]
fn the_handshake_is_a_payload_too() {
    let mut talk = Talk::new(switchboard_io_proto::engine::Transport::Polling, Protocol::V3, Config::default());
    assert_eq!(talk.fetch().unwrap(), format!("{}:{OPEN}", OPEN.len()));
}
