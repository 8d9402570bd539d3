//! From polling to a WebSocket: nothing is lost, nothing overtakes, nothing stalls, and a candidate that fails costs
//! nothing.

use switchboard_io_proto::engine::{AttachError, CloseReason, Config, Protocol, RequestError, Transport, Transports};

use crate::talk::{Talk, millis, secs};

const NOTHING: [&str; 0] = [];

/// What socket.io-client does, step by step.
#[test]
fn as_the_stock_client_does_it() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    assert_eq!(talk.frames(), ["3probe"]);
    assert_eq!(talk.heard(), ["upgrading"]);
    assert_eq!(talk.session.transport(), Transport::Polling);
    // It pauses polling; its open poll must end for that.
    talk.waits(millis(99));
    assert_eq!(talk.answer(), None);
    talk.waits(millis(1));
    assert_eq!(talk.answer().as_deref(), Some("6"));
    talk.send(&["in between"]);
    talk.says("5");
    assert_eq!(talk.heard(), ["upgraded"]);
    assert_eq!(talk.session.transport(), Transport::WebSocket);
    assert!(!talk.session.is_direct(), "what was queued leaves first");
    assert_eq!(talk.frames(), ["4in between"]);
    assert!(talk.session.is_direct());
    talk.says("4hello");
    assert_eq!(talk.heard(), ["hello"]);
}

/// socketioxide #479 and #497: one noop was not enough, and the upgrade stalled until the next ping.
#[test]
fn every_poll_that_is_opened_meanwhile_is_released() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    for _ in 0..5 {
        talk.waits(millis(100));
        assert_eq!(talk.answer().as_deref(), Some("6"));
        talk.waits(millis(30));
        talk.poll();
    }
}

#[test]
fn a_poll_is_left_alone_until_the_probe() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.waits(secs(5));
    assert_eq!(talk.answer(), None);
}

#[test]
fn polling_goes_on_both_ways_meanwhile() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    talk.send(&["down"]);
    assert_eq!(talk.answer().as_deref(), Some("4down"), "no waiting for the noop");
    talk.post("4up");
    assert_eq!(talk.heard(), ["upgrading", "up"]);
    assert_eq!(talk.frames(), ["3probe"]);
}

#[test]
fn a_thousand_messages_arrive_once_and_in_order() {
    let mut talk = Talk::polling();
    let all: Vec<&'static str> = (0..1000).map(|number| &*number.to_string().leak()).collect();
    let mut arrived = Vec::new();
    let mut fetched = |answer: Option<String>| {
        let packets: Vec<String> = answer.iter().flat_map(|answer| answer.split('\x1e')).map(Into::into).collect();
        arrived.extend(packets.into_iter().filter(|packet| packet != "6"));
    };
    for (index, messages) in all.chunks(10).enumerate() {
        talk.send(messages);
        match index {
            20 => talk.attach(),
            40 => talk.says("2probe"),
            60 => talk.says("5"),
            _ => {}
        }
        if index < 60 && index % 3 == 0 {
            fetched(talk.fetch());
        }
        talk.frames().into_iter().filter(|frame| frame != "3probe").for_each(|frame| fetched(Some(frame)));
    }
    let sent: Vec<String> = all.iter().map(|message| format!("4{message}")).collect();
    assert_eq!(arrived, sent);
}

/// socketioxide: a ping that went out by polling in the middle was answered nowhere.
#[test]
fn a_ping_that_falls_due_meanwhile_leaves_by_the_websocket() {
    let mut talk = Talk::polling();
    talk.waits(secs(20));
    talk.poll();
    talk.attach();
    talk.says("2probe");
    talk.waits(secs(6));
    assert_eq!(talk.answer().as_deref(), Some("6"), "no ping");
    talk.says("5");
    talk.waits(millis(0));
    assert_eq!(talk.frames(), ["2"]);
    talk.waits(secs(19));
    talk.says("3");
    assert_eq!(talk.session.ended(), None);
}

#[test]
fn a_ping_that_nobody_fetched_before_the_probe_leaves_by_the_websocket() {
    let mut talk = Talk::polling();
    talk.waits(secs(26));
    talk.attach();
    talk.says("2probe");
    assert_eq!(talk.fetch(), None);
    talk.says("5");
    talk.waits(millis(0));
    assert_eq!(talk.frames(), ["2"]);
}

#[test]
fn a_ping_put_off_by_a_candidate_that_fails_leaves_by_polling() {
    let mut talk = Talk::polling();
    talk.waits(secs(20));
    talk.attach();
    talk.says("2probe");
    talk.waits(secs(10));
    assert_eq!(talk.heard(), ["upgrading", "close the candidate"]);
    assert_eq!(talk.fetch().as_deref(), Some("2"));
    talk.waits(secs(20));
    assert_eq!(talk.session.ended(), Some(CloseReason::PingTimeout));
}

#[test]
fn a_pong_to_a_ping_of_before_may_come_by_the_websocket() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.waits(secs(25));
    assert_eq!(talk.answer().as_deref(), Some("2"));
    assert_eq!(talk.upgrades(), NOTHING);
    talk.says("3");
    talk.waits(secs(25));
    assert_eq!(talk.frames(), ["2"], "counted from the pong");
}

/// socketioxide #731: sockets that were opened for an upgrade and never used stayed for ever.
#[test]
fn a_candidate_that_is_never_claimed_is_closed() {
    let mut talk = Talk::polling();
    talk.attach();
    talk.waits(millis(9_999));
    assert_eq!(talk.heard(), NOTHING);
    talk.waits(millis(1));
    assert_eq!(talk.heard(), ["close the candidate"]);
    talk.says("2probe");
    assert_eq!((talk.frames(), talk.heard()), (vec![], vec![]), "it is a stranger now");
    assert_eq!(talk.upgrades(), NOTHING, "another may come");
}

/// Attack: probes without end do not keep a candidate.
#[test]
fn a_candidate_that_only_probes_is_closed_in_time() {
    let mut talk = Talk::polling();
    talk.attach();
    for _ in 0..9 {
        talk.says("2probe");
        assert_eq!(talk.frames(), ["3probe"]);
        talk.waits(secs(1));
    }
    talk.heard();
    talk.waits(secs(1));
    assert_eq!(talk.heard(), ["close the candidate"]);
}

/// CVE-2022-21676 was an error on a WebSocket that nobody listened to yet.
#[test]
fn anything_but_probe_and_upgrade_costs_the_candidate_only() {
    for wrong in ["4too soon", "2", "2probes", "3probe", "1", "6", "x", "", "b!"] {
        let mut talk = Talk::polling();
        talk.poll();
        talk.attach();
        talk.says(wrong);
        assert_eq!(talk.heard(), ["close the candidate"], "{wrong}");
        assert_eq!(talk.session.ended(), None);
        talk.send(&["still here"]);
        assert_eq!(talk.answer().as_deref(), Some("4still here"));
        assert_eq!(talk.upgrades(), NOTHING);
    }
}

/// Node asks for no probe either.
#[test]
fn a_client_may_do_without_the_probe() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.send(&["queued"]);
    talk.attach();
    talk.says("5");
    assert_eq!(talk.heard(), ["upgraded"]);
    assert_eq!((talk.frames(), talk.answer().as_deref()), (vec!["4queued".to_owned()], Some("6")));
    assert_eq!(talk.session.ended(), None);
}

#[test]
fn a_message_after_the_probe_costs_the_candidate_too() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    talk.says("4too soon");
    assert_eq!(talk.heard(), ["upgrading", "close the candidate"]);
    talk.waits(secs(1));
    assert_eq!(talk.answer(), None, "no noop any more");
}

#[test]
fn a_candidate_that_goes_away_costs_nothing() {
    for failed in [false, true] {
        let mut talk = Talk::polling();
        talk.attach();
        talk.says("2probe");
        assert_eq!((talk.frames(), talk.heard()), (vec!["3probe".into()], vec!["upgrading".into()]));
        talk.session.detach(failed);
        assert_eq!(talk.session.ended(), None);
        assert_eq!(talk.upgrades(), NOTHING);
        talk.session.detach(failed);
        let reason = if failed { CloseReason::TransportError } else { CloseReason::TransportClose };
        assert_eq!(talk.session.ended(), Some(reason));
    }
}

#[test]
fn there_is_one_candidate_and_one_upgrade() {
    let mut talk = Talk::polling();
    let now = std::time::Instant::now();
    talk.attach();
    assert_eq!(talk.session.attach(false, now), Err(AttachError::Busy));
    talk.says("2probe");
    talk.says("5");
    assert_eq!(talk.session.attach(false, now), Err(AttachError::Upgraded));
    assert_eq!(talk.poll_refused(), RequestError::Upgraded);
    assert_eq!(talk.session.post_begin(), Err(RequestError::Upgraded));
    assert_eq!(talk.session.ended(), None);
    assert_eq!(Talk::websocket().session.attach(false, now), Err(AttachError::Upgraded));
}

#[test]
fn without_upgrades_there_are_no_candidates() {
    let off = Transports { websocket: false, ..Transports::default() };
    for config in
        [Config { allow_upgrades: false, ..Config::default() }, Config { transports: off, ..Config::default() }]
    {
        let mut talk = Talk::polling_with(Protocol::V4, config);
        assert_eq!(talk.session.attach(false, std::time::Instant::now()), Err(AttachError::Forbidden));
    }
}

#[test]
fn a_poll_that_is_left_behind_ends_with_nothing() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.send(&["queued"]);
    assert_eq!(talk.upgrades(), ["4queued"]);
    assert_eq!(talk.answer().as_deref(), Some("6"));
    assert_eq!(talk.answer(), None);
    // Nor does its end harm the session.
    let mut talk = Talk::polling();
    talk.poll();
    talk.upgrades();
    talk.session.poll_abort();
    assert_eq!(talk.session.ended(), None);
}

#[test]
fn a_post_that_was_open_still_counts() {
    let mut talk = Talk::polling();
    talk.session.post_begin().unwrap();
    talk.upgrades();
    talk.post_body("4sent before\x1e1");
    assert_eq!(talk.heard(), ["sent before"]);
    talk.session.post_end();
    talk.post_body("4from nowhere");
    assert_eq!(talk.heard(), NOTHING);
    assert_eq!(talk.session.ended(), None);
}

#[test]
fn the_encoding_is_the_websockets_then() {
    let mut talk = Talk::polling();
    talk.session.attach(true, std::time::Instant::now()).unwrap();
    talk.says("2probe");
    assert!(!talk.session.encoding().b64);
    talk.says("5");
    assert!(talk.session.encoding().b64);
}
