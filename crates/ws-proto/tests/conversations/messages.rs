//! Messages come in whole, in fragments and in pieces (RFC 6455 §5.4, §5.6).

use std::sync::Arc;
use std::time::Instant;

use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Config, Connection, Event, Input, MessageRef, Received};

#[test]
fn a_server_hears_text_and_binary() {
    let mut server = Side::server(Config::default());
    assert_eq!(server.hears(&[frame::text("hello").masked()]), [Heard::text("hello")]);
    assert_eq!(server.hears(&[frame::binary([0, 255]).masked()]), [Heard::binary(&[0, 255])]);
    assert_eq!(server.hears(&[frame::text("").masked()]), [Heard::text("")], "an empty message is a message");
}

#[test]
fn a_client_hears_unmasked_frames() {
    let mut client = Side::client(Config::default());
    assert_eq!(client.hears(&[frame::text("hello")]), [Heard::text("hello")]);
}

#[test]
fn many_messages_in_one_read() {
    let mut server = Side::server(Config::default());
    let frames: Vec<Frame> = (0..100).map(|i| frame::text(i.to_string()).masked()).collect();
    let heard: Vec<Heard> = (0..100).map(|i| Heard::text(&i.to_string())).collect();
    assert_eq!(server.hears(&frames), heard);
}

#[test]
fn fragments_make_one_message_with_control_frames_between_them() {
    let mut server = Side::server(Config::default());
    let heard = server.hears(&[
        frame::text("Hel").fin(false).masked(),
        frame::ping("?").masked(),
        frame::continuation("").fin(false).masked(),
        frame::continuation("lo").masked(),
    ]);
    assert_eq!(heard, [Heard::Ping(b"?".to_vec()), Heard::text("Hello")]);
    assert_eq!(server.says(), [frame::pong("?")]);
}

#[test]
fn a_message_that_lies_whole_in_the_read_is_borrowed_from_it() {
    let mut server = Connection::server(Arc::new(Config::default()), None, Instant::now());
    let mut buffer = frame::text("hello").masked().bytes();
    let (start, end) = (buffer.as_ptr() as usize, buffer.as_ptr() as usize + buffer.len());
    let mut input = Input::new(&mut buffer);
    let Some(Event::Message(Received::Borrowed(MessageRef::Text(text)))) = server.receive(&mut input, Instant::now())
    else {
        panic!("the message was copied")
    };
    assert_eq!(text, "hello");
    assert!((start..end).contains(&(text.as_ptr() as usize)));
}

#[test]
fn in_pieces_mode_each_read_gives_what_it_brought() {
    let mut server = Side::server(Config::default());
    server.connection.set_pieces(true);
    let bytes = frame::text("héllo").masked().bytes();
    // The cut falls into the é.
    assert_eq!(server.reads(&bytes[..8]), [Heard::Piece(b"h\xc3".to_vec(), false)]);
    assert_eq!(server.reads(&bytes[8..]), [Heard::Piece(b"\xa9llo".to_vec(), true)]);
    assert_eq!(
        server.hears(&[frame::binary("a").fin(false).masked(), frame::continuation("").masked()]),
        [Heard::Piece(b"a".to_vec(), false), Heard::Piece(vec![], true)]
    );
    server.connection.set_pieces(false);
    assert_eq!(server.hears(&[frame::text("whole").masked()]), [Heard::text("whole")]);
}

#[test]
fn an_unmasked_client_is_heard_only_by_explicit_choice() {
    let mut server = Side::server(Config { accept_unmasked: true, ..Config::default() });
    assert_eq!(server.hears(&[frame::text("a"), frame::text("b").masked()]), [Heard::text("a"), Heard::text("b")]);
}
