//! Pings, pongs and the lack of them, v4. For v3 see its own file.

use std::time::Duration;

use switchboard_io_proto::engine::{CloseReason, Config, Protocol};

use crate::talk::{Talk, millis, secs};

#[test]
fn a_client_that_answers_lives_for_ever() {
    let mut talk = Talk::websocket();
    for _ in 0..100 {
        talk.waits(millis(24_999));
        assert_eq!(talk.frames(), [""; 0]);
        talk.waits(millis(1));
        assert_eq!(talk.frames(), ["2"]);
        talk.waits(secs(19));
        talk.says("3");
    }
    assert_eq!(talk.session.ended(), None);
}

#[test]
fn a_client_that_does_not_answer_is_gone() {
    let mut talk = Talk::websocket();
    talk.waits(millis(44_999));
    assert_eq!(talk.frames(), ["2"]);
    assert_eq!(talk.session.ended(), None);
    talk.waits(millis(1));
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
    assert_eq!(talk.session.poll_timeout(), None);
}

#[test]
fn on_polling_the_ping_ends_a_poll_and_the_pong_comes_by_post() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.waits(secs(25));
    assert_eq!(talk.answer().as_deref(), Some("2"));
    talk.post("3");
    assert_eq!(talk.fetch(), None);
    talk.waits(secs(25));
    assert_eq!(talk.answer().as_deref(), Some("2"));
}

/// Attack: a client that opens sessions and never polls again.
#[test]
fn a_ping_that_nobody_fetches_counts_as_unanswered() {
    let mut talk = Talk::polling();
    talk.waits(secs(45));
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_poll_that_waits_when_the_client_is_given_up_is_told_so() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.waits(secs(25));
    assert_eq!(talk.answer().as_deref(), Some("2"));
    talk.poll();
    talk.waits(secs(20));
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
    assert_eq!(talk.answer().as_deref(), Some("1"));
    assert_eq!(talk.answer(), None, "once");
}

/// The grace of engine.io 6.6.11: a large upload holds the pong up.
#[test]
fn the_first_other_packet_gives_the_client_its_time_anew() {
    let mut talk = Talk::websocket();
    talk.waits(secs(25));
    assert_eq!(talk.frames(), ["2"]);
    talk.waits(secs(19));
    talk.says("4busy");
    talk.waits(secs(19));
    assert_eq!(talk.session.ended(), None);
    talk.says("3");
    talk.waits(secs(25 + 19));
    assert_eq!(talk.frames(), ["2"]);
    talk.says("4busy again");
    talk.waits(secs(19));
    assert_eq!(talk.session.ended(), None, "there is a grace for every ping");
}

/// Attack: messages without end in the pong's place.
#[test]
fn only_the_first_other_packet_does() {
    let mut talk = Talk::websocket();
    talk.waits(secs(25));
    for _ in 0..3 {
        talk.waits(secs(10));
        talk.says("4chatter");
    }
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
    assert_eq!(talk.heard(), ["chatter"; 2], "what came too late is not heard");
}

#[test]
fn messages_before_a_ping_put_nothing_off() {
    let mut talk = Talk::websocket();
    talk.waits(secs(24));
    talk.says("4hello");
    talk.waits(secs(1));
    assert_eq!(talk.frames(), ["2"]);
}

#[test]
fn a_client_of_v4_may_not_ping() {
    let mut talk = Talk::websocket();
    talk.says("2");
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
    let mut talk = Talk::polling();
    talk.poll();
    talk.post("2probe");
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError), "polling is never a candidate");
    assert_eq!(talk.answer().as_deref(), Some("1"));
}

#[test]
fn endless_times_are_no_deadlines() {
    let ever = Duration::MAX;
    for protocol in [Protocol::V3, Protocol::V4] {
        let config = Config {
            ping_interval: ever,
            ping_timeout: ever,
            upgrade_timeout: ever,
            close_timeout: ever,
            ..Config::default()
        };
        let mut talk = Talk::polling_with(protocol, config);
        talk.attach();
        assert_eq!(talk.session.poll_timeout(), None);
        talk.close(CloseReason::ForcedClose);
        assert_eq!(talk.session.poll_timeout(), None);
    }
}

#[test]
fn an_interval_of_nothing_does_not_spin() {
    let config = Config { ping_interval: Duration::ZERO, ..Config::default() };
    let mut talk = Talk::websocket_with(Protocol::V4, config);
    talk.waits(secs(1));
    assert_eq!(talk.frames(), ["2"]);
    talk.says("3");
    talk.waits(secs(1));
    assert_eq!(talk.frames(), ["2"]);
}
