//! GETs that wait and POSTs that bring.

use switchboard_io_proto::engine::{CloseReason, Config, Data, Protocol, RequestError, SendError, Transport};

use crate::talk::{OPEN, Talk, secs};

fn alternating(talk: &mut Talk) -> Vec<String> {
    let mut answers = Vec::new();
    while let Some(answer) = talk.fetch() {
        answers.push(answer);
    }
    answers
}

#[test]
fn a_poll_waits_until_there_is_something() {
    let mut talk = Talk::polling();
    assert_eq!(talk.fetch(), None);
    talk.waits(secs(10));
    talk.send(&["a"]);
    assert_eq!(talk.answer().as_deref(), Some("4a"));
    talk.send(&["b", "c"]);
    assert_eq!(talk.answer(), None, "no GET waits");
    assert_eq!(talk.fetch().as_deref(), Some("4b\x1e4c"));
}

#[test]
fn a_post_brings_packets_in_order() {
    let mut talk = Talk::polling();
    talk.post("4a\x1e4b\x1ebAQI=");
    assert_eq!(talk.heard(), ["a", "b", "[1, 2]"]);
}

#[test]
fn the_initial_packet_comes_with_the_handshake() {
    let config = Config { initial_packet: Some(Data::text("welcome")), ..Config::default() };
    let mut talk = Talk::new(Transport::Polling, Protocol::V4, config.clone());
    talk.send(&["hello"]);
    assert_eq!(talk.fetch().unwrap(), format!("{OPEN}\x1e4welcome\x1e4hello"));
    let mut talk = Talk::new(Transport::WebSocket, Protocol::V4, config);
    talk.send(&["hello"]);
    assert!(!talk.session.is_direct(), "nothing may overtake the handshake");
    assert_eq!(talk.frames(), [OPEN, "4welcome", "4hello"]);
    assert!(talk.session.is_direct());
}

#[test]
fn a_second_poll_ends_the_session() {
    let mut talk = Talk::polling();
    talk.poll();
    assert_eq!(talk.poll_refused(), RequestError::Overlap);
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
    assert_eq!(talk.answer().as_deref(), Some("1"), "the first one is told");
    assert_eq!(talk.poll_refused(), RequestError::Closed);
}

#[test]
fn a_second_post_ends_the_session() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.session.post_begin().unwrap();
    assert_eq!(talk.session.post_begin(), Err(RequestError::Overlap));
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
    talk.post_body("4late");
    assert_eq!(talk.heard(), [""; 0]);
    assert_eq!(talk.answer().as_deref(), Some("1"));
}

#[test]
fn an_aborted_poll_ends_the_session() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.session.poll_abort();
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
    assert_eq!(talk.answer(), None);
    let mut talk = Talk::polling();
    talk.session.poll_abort();
    assert_eq!(talk.session.ended(), None, "none was open");
}

/// CVE-2022-41940 was a connection lost at the wrong moment.
#[test]
fn an_aborted_post_ends_the_session() {
    let mut talk = Talk::polling();
    talk.session.post_begin().unwrap();
    talk.session.post_abort();
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
}

#[test]
fn a_refused_body_does_not_end_the_session() {
    let mut talk = Talk::polling();
    talk.session.post_begin().unwrap();
    talk.session.post_end();
    talk.post("4smaller");
    assert_eq!(talk.heard(), ["smaller"]);
}

#[test]
fn what_was_good_before_a_bad_packet_is_heard() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.post("4good\x1eabc\x1e4never");
    assert_eq!(talk.heard(), ["good"]);
    assert_eq!(talk.session.ended(), Some(CloseReason::ParseError));
    assert_eq!(talk.answer().as_deref(), Some("1"));
}

#[test]
fn packets_without_a_meaning_are_passed_over() {
    let mut talk = Talk::polling();
    talk.post("0{}\x1e5\x1e6\x1e4a");
    assert_eq!(talk.heard(), ["a"]);
    assert_eq!(talk.session.transport(), Transport::Polling, "polling cannot upgrade itself");
}

#[test]
fn an_answer_is_kept_below_the_largest_payload() {
    let config = Config { max_payload: 10, ..Config::default() };
    let mut talk = Talk::polling_with(Protocol::V4, config);
    talk.send(&["abc", "def", "ghi", "a long one that is larger alone", "j"]);
    talk.close(CloseReason::ForcedClose);
    assert_eq!(
        alternating_until_closed(&mut talk),
        ["4abc\x1e4def", "4ghi", "4a long one that is larger alone", "4j", "1"]
    );
}

fn alternating_until_closed(talk: &mut Talk) -> Vec<String> {
    let mut answers = Vec::new();
    while talk.session.ended().is_none() {
        answers.push(talk.fetch().unwrap());
    }
    answers
}

/// Attack: a client that never polls makes Node hold every broadcast until its ping times out.
#[test]
fn what_waits_for_a_client_that_does_not_poll_is_bounded() {
    let config = Config { max_queued: 2, max_queued_bytes: 10, ..Config::default() };
    let mut talk = Talk::polling_with(Protocol::V4, config);
    assert_eq!(talk.session.send("larger than the limit, but alone", 33), Ok(()));
    assert_eq!(talk.session.send("x", 2), Err(SendError::Full));
    assert_eq!(talk.session.queued(), (1, 33));
    assert!(talk.fetch().is_some());
    talk.send(&["a", "b"]);
    assert_eq!(talk.session.send("c", 2), Err(SendError::Full), "two at most");
    assert_eq!(alternating(&mut talk), ["4a\x1e4b"]);
    assert_eq!(talk.session.queued(), (0, 0));
}
