//! Pings and pongs (RFC 6455 §5.5.2, §5.5.3).

use std::time::Duration;

use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Config, SendError};

#[test]
fn a_ping_is_answered_with_its_payload() {
    let mut server = Side::server(Config::default());
    assert_eq!(server.hears(&[frame::ping("x").masked()]), [Heard::Ping(b"x".to_vec())]);
    assert_eq!(server.says(), [frame::pong("x")]);
    let mut client = Side::client(Config::default());
    client.hears(&[frame::ping("")]);
    assert_eq!(client.says(), [frame::pong("").masked()]);
}

/// Attack: pings without end from a peer that never reads must not make a queue of pongs.
#[test]
fn only_the_newest_of_many_pings_is_answered() {
    let mut server = Side::server(Config::default());
    let pings: Vec<Frame> = (0..10_000).map(|i| frame::ping(i.to_string()).masked()).collect();
    assert_eq!(server.hears(&pings).len(), 10_000);
    assert_eq!(server.says(), [frame::pong("9999")]);
}

#[test]
fn a_control_frame_may_come_byte_by_byte() {
    let mut server = Side::server(Config::default());
    let mut heard = Vec::new();
    for byte in frame::ping([7; 125]).masked().bytes() {
        heard.extend(server.reads(&[byte]));
    }
    assert_eq!(heard, [Heard::Ping(vec![7; 125])]);
}

#[test]
fn a_pong_tells_the_round_trip_of_the_newest_ping() {
    let mut server = Side::server(Config::default());
    let number = server.connection.ping(server.now, &mut server.output).unwrap();
    assert_eq!(server.says(), [frame::ping(number.to_be_bytes())]);
    server.waits(Duration::from_millis(70));
    server.hears(&[frame::pong("unasked").masked()]);
    assert_eq!(server.connection.latency(), None, "a pong that nobody asked for tells nothing");
    server.hears(&[frame::pong(number.to_be_bytes()).masked()]);
    assert_eq!(server.connection.latency(), Some(Duration::from_millis(70)));
}

#[test]
fn the_application_may_ping_and_pong_as_it_likes() {
    let mut client = Side::client(Config::default());
    client.connection.ping_with(b"a", &mut client.output).unwrap();
    client.connection.pong_with(b"b", &mut client.output).unwrap();
    let refused = client.connection.ping_with(&[0; 126], &mut client.output);
    assert_eq!(refused, Err(SendError::ControlTooLong));
    assert_eq!(client.says(), [frame::ping("a").masked(), frame::pong("b").masked()]);
}
