//! The end of a session, from either side and in every phase.

use switchboard_io_proto::engine::{AttachError, CloseReason, Config, Protocol, SendError};

use crate::talk::{Talk, secs};

const NOTHING: [&str; 0] = [];

#[test]
fn the_server_closes_a_poll_that_waits() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.close(CloseReason::ServerShuttingDown);
    assert_eq!(talk.session.ended(), None, "it is not said yet");
    assert_eq!(talk.answer().as_deref(), Some("1"));
    assert_eq!(talk.session.ended(), Some(CloseReason::ServerShuttingDown));
}

#[test]
fn the_server_waits_for_a_poll_to_close() {
    let mut talk = Talk::polling();
    talk.send(&["last words"]);
    talk.close(CloseReason::ForcedClose);
    assert_eq!(talk.session.send("more", 5), Err(SendError::Closed));
    assert_eq!(talk.session.attach(false, std::time::Instant::now()), Err(AttachError::Closed));
    talk.waits(secs(29));
    talk.post("4not heard any more");
    assert_eq!(talk.heard(), NOTHING);
    assert_eq!(talk.fetch().as_deref(), Some("4last words"), "Close goes alone");
    assert_eq!(talk.session.ended(), None);
    assert_eq!(talk.fetch().as_deref(), Some("1"));
    assert_eq!(talk.session.ended(), Some(CloseReason::ForcedClose));
}

#[test]
fn it_does_not_wait_for_ever() {
    let mut talk = Talk::polling();
    talk.close(CloseReason::ForcedClose);
    talk.close(CloseReason::ServerShuttingDown);
    talk.waits(secs(30));
    assert_eq!(talk.session.ended(), Some(CloseReason::ForcedClose), "the first reason stands");
}

#[test]
fn a_closing_session_is_not_pinged() {
    let mut talk = Talk::polling();
    talk.waits(secs(24));
    talk.close(CloseReason::ForcedClose);
    talk.waits(secs(2));
    assert_eq!(talk.fetch().as_deref(), Some("1"));
}

#[test]
fn the_server_closes_a_websocket_after_what_is_queued() {
    let mut talk = Talk::websocket();
    talk.send(&["last words"]);
    talk.close(CloseReason::ForcedClose);
    assert!(!talk.session.is_direct());
    assert_eq!(talk.frames(), ["4last words", "1"]);
    assert_eq!(talk.session.ended(), Some(CloseReason::ForcedClose));
}

#[test]
fn the_client_says_goodbye_by_post() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.post("4bye\x1e1\x1e4never");
    assert_eq!(talk.heard(), ["bye"]);
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportClose));
    assert_eq!(talk.answer().as_deref(), Some("6"));
}

#[test]
fn the_client_says_goodbye_by_websocket() {
    let mut talk = Talk::websocket();
    talk.says("1");
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportClose));
    assert_eq!(talk.frames(), NOTHING);
}

#[test]
fn a_closing_session_takes_the_clients_goodbye() {
    let mut talk = Talk::polling();
    talk.close(CloseReason::ForcedClose);
    talk.post("1");
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportClose));
}

#[test]
fn a_websocket_that_goes_away_takes_the_session_with_it() {
    for (failed, reason) in [(false, CloseReason::TransportClose), (true, CloseReason::TransportError)] {
        let mut talk = Talk::websocket();
        talk.send(&["never"]);
        talk.session.detach(failed);
        assert_eq!(talk.session.ended(), Some(reason));
        assert_eq!(talk.frames(), NOTHING);
    }
}

/// The client has paused polling and will not poll again: the goodbye must find it on the WebSocket.
#[test]
fn a_close_in_the_middle_of_an_upgrade_finds_the_client() {
    let mut talk = Talk::polling();
    talk.attach();
    talk.says("2probe");
    assert_eq!(talk.frames(), ["3probe"]);
    talk.send(&["last words"]);
    talk.close(CloseReason::ForcedClose);
    talk.waits(secs(1));
    talk.says("5");
    assert_eq!(talk.frames(), ["4last words", "1"]);
    assert_eq!(talk.session.ended(), Some(CloseReason::ForcedClose));
}

#[test]
fn the_end_on_polling_is_the_end_of_the_candidate() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.attach();
    talk.says("2probe");
    talk.heard();
    talk.session.poll_abort();
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError));
    talk.says("5");
    assert_eq!((talk.heard(), talk.frames()), (vec![], vec![]));
    talk.session.detach(false);
    assert_eq!(talk.session.ended(), Some(CloseReason::TransportError), "the first reason stands");
}

#[test]
fn an_abort_drops_what_is_queued() {
    let mut talk = Talk::polling();
    talk.send(&["never"]);
    talk.session.abort(CloseReason::TransportError);
    assert_eq!(talk.session.queued(), (0, 0));
    let mut talk = Talk::polling();
    talk.poll();
    talk.send(&["never"]);
    talk.session.abort(CloseReason::TransportError);
    assert_eq!(talk.answer().as_deref(), Some("1"));
}

/// After the upgrade a forgotten poll is nobody's goodbye.
#[test]
fn the_end_of_an_upgraded_session_leaves_an_old_poll_its_noop() {
    let mut talk = Talk::polling();
    talk.poll();
    talk.upgrades();
    talk.says("1");
    assert_eq!(talk.answer().as_deref(), Some("6"));
}

#[test]
fn a_websocket_that_does_not_read_is_not_waited_for_without_end() {
    let mut talk = Talk::websocket_with(Protocol::V4, Config { close_timeout: secs(5), ..Config::default() });
    talk.send(&["stuck"]);
    talk.close(CloseReason::ForcedClose);
    talk.waits(secs(5));
    assert_eq!(talk.session.ended(), Some(CloseReason::ForcedClose));
}
