//! The closing handshake in every order (RFC 6455 §5.5.1, §7).

use std::time::Duration;

use switchboard_testkit::frame;
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Cause, CloseCode, Config, Disconnect, ReadyState, SendError, SendOptions, Timeout};

#[test]
fn the_peer_closes_and_hears_its_code_again() {
    let mut server = Side::server(Config::default());
    assert_eq!(server.hears(&[frame::close(3001, "bye").masked()]), [Heard::Close(3001, "bye".into())]);
    assert_eq!(server.connection.ready_state(), ReadyState::Closing);
    assert_eq!(server.says(), [frame::close(3001, "")]);
    assert_eq!(server.connection.disconnect(), Disconnect::AfterFlush, "a server drops the transport first");
    let ended = server.connection.ended().unwrap();
    assert_eq!((ended.code(), ended.reason(), ended.cause), (CloseCode(3001), "bye", Cause::Peer));
    assert!(ended.is_clean());
}

#[test]
fn an_empty_close_is_answered_by_an_empty_close() {
    let mut server = Side::server(Config::default());
    assert_eq!(server.hears(&[frame::empty_close().masked()]), [Heard::Close(1005, String::new())]);
    assert_eq!(server.says(), [frame::empty_close()]);
    assert!(server.connection.ended().unwrap().is_clean());
}

#[test]
fn every_registered_and_private_code_is_taken_and_echoed() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let mut server = Side::server(Config::default());
        assert_eq!(server.hears(&[frame::close(code, "").masked()]), [Heard::Close(code, String::new())]);
        assert_eq!(server.says(), [frame::close(code, "")]);
    }
}

#[test]
fn we_close_and_go_on_hearing_until_the_peer_agrees() {
    let mut server = Side::server(Config::default());
    server.connection.close(CloseCode::NORMAL, "done", server.now).unwrap();
    assert_eq!(server.says(), [frame::close(1000, "done")]);
    assert_eq!(server.connection.disconnect(), Disconnect::No);
    assert_eq!(server.hears(&[frame::text("last words").masked()]), [Heard::text("last words")]);
    server.hears(&[frame::ping("?").masked()]);
    assert_eq!(server.says(), [], "nothing is sent after Close, not even a pong");
    server.hears(&[frame::close(1000, "").masked()]);
    assert_eq!(server.says(), []);
    assert_eq!(server.connection.disconnect(), Disconnect::AfterFlush);
    let ended = server.connection.ended().unwrap();
    assert_eq!(ended.cause, Cause::Local);
    assert!(ended.is_clean());
}

#[test]
fn a_client_leaves_the_transport_to_the_server_for_a_while() {
    let mut client = Side::client(Config::default());
    client.connection.close(CloseCode::NORMAL, "", client.now).unwrap();
    assert_eq!(client.says(), [frame::close(1000, "").masked()]);
    client.hears(&[frame::close(1000, "")]);
    assert_eq!(client.connection.disconnect(), Disconnect::No);
    assert_eq!(client.waits(Duration::from_secs(11)), None, "a peer that said Close owes nothing more");
    assert_eq!(client.connection.disconnect(), Disconnect::Now);
    assert!(client.connection.ended().unwrap().is_clean());
}

#[test]
fn both_close_at_once() {
    let mut server = Side::server(Config::default());
    server.connection.close(CloseCode(4000), "", server.now).unwrap();
    assert_eq!(server.hears(&[frame::close(4001, "").masked()]), [Heard::Close(4001, String::new())]);
    assert_eq!(server.says(), [frame::close(4000, "")], "one Close frame each");
    assert_eq!(server.connection.disconnect(), Disconnect::AfterFlush);
    assert_eq!(server.connection.ended().unwrap().code(), CloseCode(4001));
}

#[test]
fn a_peer_that_does_not_answer_close_is_cut_off() {
    let mut server = Side::server(Config::default());
    server.connection.close(CloseCode::GOING_AWAY, "", server.now).unwrap();
    server.says();
    assert_eq!(server.waits(Duration::from_secs(9)), None);
    assert_eq!(server.waits(Duration::from_secs(2)), Some(Timeout::Close));
    assert_eq!(server.connection.disconnect(), Disconnect::Now);
    let ended = server.connection.ended().unwrap();
    assert_eq!((ended.code(), ended.cause), (CloseCode::ABNORMAL, Cause::Timeout(Timeout::Close)));
}

#[test]
fn the_end_of_the_stream_without_close_is_1006() {
    let mut server = Side::server(Config::default());
    server.hears(&[frame::text("half").fin(false).masked()]);
    server.connection.receive_eof();
    assert_eq!(server.connection.disconnect(), Disconnect::Now);
    let ended = server.connection.ended().unwrap();
    assert_eq!((ended.code(), ended.cause, ended.is_clean()), (CloseCode::ABNORMAL, Cause::Eof, false));
    assert_eq!(server.says(), []);
}

#[test]
fn nothing_can_be_sent_after_close() {
    let mut server = Side::server(Config::default());
    let Side { connection, output, now } = &mut server;
    connection.close(CloseCode::NORMAL, "", *now).unwrap();
    assert_eq!(connection.send("x", SendOptions::default(), *now, output), Err(SendError::Closed));
    assert_eq!(connection.ping(*now, output), Err(SendError::Closed));
    connection.close(CloseCode::INTERNAL, "again", *now).unwrap();
    assert_eq!(server.says(), [frame::close(1000, "")], "the first Close stands");
}

#[test]
fn messages_can_be_finished_between_the_peers_close_and_ours() {
    let mut server = Side::server(Config::default());
    server.hears(&[frame::close(1000, "").masked()]);
    server.connection.send("last", SendOptions::default(), server.now, &mut server.output).unwrap();
    assert_eq!(server.says(), [frame::text("last"), frame::close(1000, "")]);
}

#[test]
fn codes_that_only_report_cannot_be_sent() {
    let mut server = Side::server(Config::default());
    for code in [0, 999, 1004, 1006, 1015, 1016, 2999, 5000] {
        let refused = server.connection.close(CloseCode(code), "", server.now);
        assert_eq!(refused, Err(SendError::InvalidCloseCode(code)));
    }
    assert_eq!(server.connection.ready_state(), ReadyState::Open);
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut server = Side::server(Config::default());
    server.connection.close(CloseCode::NORMAL, &"€".repeat(100), server.now).unwrap();
    assert_eq!(server.says(), [frame::close(1000, &"€".repeat(41))]);
}

#[test]
fn what_follows_the_peers_close_is_not_read() {
    let mut server = Side::server(Config::default());
    let heard = server.hears(&[frame::close(1000, "").masked(), frame::text("late").masked(), frame::raw(0xff, "")]);
    assert_eq!(heard, [Heard::Close(1000, String::new())]);
}
