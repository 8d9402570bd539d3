//! Deadlines, in virtual time.

use std::time::Duration;

use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Cause, Config, Disconnect, Output, SendOptions, Timeout};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ping(number: u64) -> Frame {
    frame::ping(number.to_be_bytes())
}

#[test]
fn the_heartbeat_pings_and_any_byte_counts_as_life() {
    let mut server = Side::server(Config::default());
    assert_eq!(server.waits(secs(29)), None);
    assert_eq!(server.says(), []);
    assert_eq!(server.waits(secs(1)), None);
    assert_eq!(server.says(), [ping(1)]);
    assert_eq!(server.waits(secs(19)), None);
    // Not the pong, only half of a header: the peer lives.
    server.reads(b"\x81");
    assert_eq!(server.waits(secs(11)), None);
    assert_eq!(server.says(), [ping(2)]);
    assert_eq!(server.waits(secs(20)), Some(Timeout::Pong));
    let reason = Timeout::Pong.to_string();
    assert_eq!(server.says(), [frame::close(1008, &reason)]);
    assert_eq!(server.connection.disconnect(), Disconnect::Linger);
    assert_eq!(server.connection.ended().unwrap().cause, Cause::Timeout(Timeout::Pong));
    assert_eq!(server.waits(secs(10)), None);
    assert_eq!(server.connection.disconnect(), Disconnect::Now, "it lingers for the close timeout and no longer");
    assert_eq!(server.connection.ended().unwrap().cause, Cause::Timeout(Timeout::Pong), "the first cause stands");
}

#[test]
fn a_peer_that_answers_lives_for_ever() {
    let mut server = Side::server(Config::default());
    for number in 1..100 {
        assert_eq!(server.waits(secs(30)), None);
        assert_eq!(server.says(), [ping(number)]);
        assert_eq!(server.waits(Duration::from_millis(20)), None);
        server.hears(&[frame::pong(number.to_be_bytes()).masked()]);
        assert_eq!(server.connection.latency(), Some(Duration::from_millis(20)));
        server.now -= Duration::from_millis(20);
    }
}

#[test]
fn pings_that_find_no_room_do_not_pile_up() {
    let config = Config { pong_timeout: secs(600), ..Config::default() };
    let mut server = Side::server(config);
    assert_eq!(server.waits(secs(300)), None);
    assert_eq!(server.says(), [ping(1)]);
}

/// A slow reader has much of ours before the ping; its time to answer begins when the ping is on its way.
#[test]
fn a_ping_that_waits_behind_other_bytes_does_not_count_yet() {
    let mut server = Side::server(Config { write_timeout: None, ..Config::default() });
    assert_eq!(server.waits(secs(30)), None);
    let mut out = Output::new();
    server.connection.poll_transmit(server.now, &mut out);
    assert!(!out.is_empty(), "the ping is in the output");
    for _ in 0..10 {
        server.connection.wrote(1000, 1_000_000, server.now);
        assert_eq!(server.waits(secs(10)), None);
    }
    server.connection.wrote(1_000_000, 0, server.now);
    assert_eq!(server.waits(secs(19)), None);
    assert_eq!(server.waits(secs(1)), Some(Timeout::Pong));
}

#[test]
fn without_a_heartbeat_no_deadline_is_set() {
    let server = Side::server(Config { ping_interval: None, ..Config::default() });
    assert_eq!(server.connection.poll_timeout(), None);
}

#[test]
fn an_idle_connection_is_closed_politely() {
    let config = Config { idle_timeout: Some(secs(60)), ping_interval: None, ..Config::default() };
    let mut server = Side::server(config);
    assert_eq!(server.waits(secs(59)), None);
    server.hears(&[frame::text("still here").masked()]);
    assert_eq!(server.waits(secs(59)), None);
    server.connection.send("so are we", SendOptions::default(), server.now, &mut server.output).unwrap();
    server.says();
    assert_eq!(server.waits(secs(30)), None);
    server.hears(&[frame::ping("alive, and with nothing to say").masked()]);
    server.says();
    assert_eq!(server.waits(secs(30)), Some(Timeout::Idle));
    assert_eq!(server.says(), [frame::close(1001, &Timeout::Idle.to_string())]);
    assert_eq!(server.connection.disconnect(), Disconnect::No, "the peer may answer");
    server.hears(&[frame::close(1001, "").masked()]);
    assert!(server.connection.ended().unwrap().is_clean());
}

/// Attack: a message begun and never finished holds its buffer.
#[test]
fn a_message_must_be_finished_in_time() {
    let mut server = Side::server(Config { ping_interval: None, ..Config::default() });
    server.hears(&[frame::text("slow").fin(false).masked()]);
    for _ in 0..11 {
        assert_eq!(server.waits(secs(10)), None);
        server.hears(&[frame::continuation("ly").fin(false).masked()]);
    }
    assert_eq!(server.waits(secs(10)), Some(Timeout::Message));
    assert_eq!(server.says(), [frame::close(1008, &Timeout::Message.to_string())]);
    assert_eq!(server.connection.buffered_input(), 0, "the buffer is given back");
}

/// Attack: a peer that never reads holds its outbox.
#[test]
fn a_peer_that_stops_reading_is_cut_off() {
    let mut server = Side::server(Config { ping_interval: None, ..Config::default() });
    server.connection.wrote(100, 5000, server.now);
    assert_eq!(server.waits(secs(29)), None);
    server.connection.wrote(1, 4999, server.now);
    assert_eq!(server.waits(secs(29)), None, "a byte is progress");
    server.connection.wrote(0, 6000, server.now);
    assert_eq!(server.waits(secs(2)), Some(Timeout::Write), "more to send is not");
    assert_eq!(server.connection.disconnect(), Disconnect::Now);
}

#[test]
fn an_endless_timeout_is_no_timeout() {
    let ever = Some(Duration::MAX);
    let config = Config {
        ping_interval: ever,
        pong_timeout: Duration::MAX,
        idle_timeout: ever,
        message_timeout: ever,
        write_timeout: ever,
        close_timeout: Duration::MAX,
        ..Config::default()
    };
    let mut server = Side::server(config);
    server.hears(&[frame::text("open").fin(false).masked()]);
    server.connection.wrote(0, 1, server.now);
    server.connection.close(switchboard_ws_proto::CloseCode::NORMAL, "", server.now).unwrap();
    assert_eq!(server.connection.poll_timeout(), None);
}

#[test]
fn a_drained_output_has_no_deadline() {
    let mut server = Side::server(Config { ping_interval: None, ..Config::default() });
    server.connection.wrote(100, 5000, server.now);
    server.connection.wrote(5000, 0, server.now);
    assert_eq!(server.connection.poll_timeout(), None);
}

#[test]
fn the_write_timeout_holds_during_the_closing_handshake() {
    let mut server = Side::server(Config { close_timeout: secs(300), ..Config::default() });
    server.connection.close(switchboard_ws_proto::CloseCode::NORMAL, "", server.now).unwrap();
    server.connection.wrote(0, 5000, server.now);
    assert_eq!(server.waits(secs(31)), Some(Timeout::Write));
}

#[test]
fn time_stands_still_for_events_in_one_read() {
    let mut client = Side::client(Config::default());
    assert_eq!(client.hears(&[frame::text("a"), frame::text("b")]), [Heard::text("a"), Heard::text("b")]);
}
