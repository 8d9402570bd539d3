//! Each rule that a peer can break, the code that answers it, and that nothing is heard after it.

use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Cause, Config, Disconnect, Kind, ProtocolError, SendError, SendOptions};

/// The server hears `frames`, of which the last breaks a rule; it says Close with `code` and lingers.
#[track_caller]
fn offence(config: Config, frames: &[Frame], error: ProtocolError, code: u16) {
    let mut server = Side::server(config);
    let heard = server.hears(frames);
    assert_eq!(heard.last(), Some(&Heard::Failed(error)), "{heard:?}");
    let said = server.says();
    assert_eq!(said.last(), Some(&frame::close(code, &error.to_string())), "{said:?}");
    assert_eq!(server.connection.disconnect(), Disconnect::Linger);
    assert_eq!(server.connection.ended().expect("it failed").cause, Cause::Protocol(error));
    assert_eq!(server.hears(&[frame::text("late").masked()]), [], "nothing is heard after a failure");
    assert_eq!(server.says(), [], "and nothing more is said");
}

fn small(max_message: usize) -> Config {
    Config { max_message, ..Config::default() }
}

#[test]
fn masks() {
    offence(Config::default(), &[frame::text("naked")], ProtocolError::UnmaskedFrame, 1002);
    let mut client = Side::client(Config::default());
    assert_eq!(client.hears(&[frame::text("x").masked()]), [Heard::Failed(ProtocolError::MaskedFrame)]);
    assert_eq!(client.says(), [frame::close(1002, &ProtocolError::MaskedFrame.to_string()).masked()]);
}

#[test]
fn reserved_bits_and_opcodes() {
    let strict = |first, error| offence(Config::default(), &[frame::raw(first, "").masked()], error, 1002);
    strict(0xc1, ProtocolError::UnexpectedRsv1);
    strict(0xa1, ProtocolError::ReservedBits);
    strict(0x91, ProtocolError::ReservedBits);
    strict(0x83, ProtocolError::ReservedOpcode(3));
    strict(0x8f, ProtocolError::ReservedOpcode(15));
    strict(0xc9, ProtocolError::UnexpectedRsv1);
}

#[test]
fn fragmentation() {
    let first = frame::text("a").fin(false).masked();
    let default = Config::default;
    offence(default(), &[frame::continuation("x").masked()], ProtocolError::UnexpectedContinuation, 1002);
    offence(default(), &[first.clone(), frame::text("b").masked()], ProtocolError::ExpectedContinuation, 1002);
    offence(default(), &[frame::ping("").fin(false).masked()], ProtocolError::FragmentedControl, 1002);
    let rsv1 = frame::continuation("b").rsv1().masked();
    offence(default(), &[first, rsv1], ProtocolError::UnexpectedRsv1, 1002);
}

#[test]
fn control_frames_are_short() {
    offence(Config::default(), &[frame::ping([0; 126]).masked()], ProtocolError::ControlTooLong, 1002);
}

#[test]
fn close_frames() {
    let default = Config::default;
    offence(default(), &[frame::raw(0x88, "\x03").masked()], ProtocolError::CloseTooShort, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        offence(default(), &[frame::close(code, "").masked()], ProtocolError::InvalidCloseCode(code), 1002);
    }
    let reason = frame::raw(0x88, b"\x03\xe8\xff").masked();
    offence(default(), &[reason], ProtocolError::InvalidUtf8, 1007);
}

#[test]
fn text_is_utf8_to_the_first_bad_byte() {
    let default = Config::default;
    offence(default(), &[frame::text(b"a\xff").masked()], ProtocolError::InvalidUtf8, 1007);
    // The bad byte ends a fragment that is not the last: it is not waited for the rest.
    let cut = frame::text(b"\xce\xba\xf4\x90").fin(false).masked();
    offence(default(), &[cut], ProtocolError::InvalidUtf8, 1007);
    // A character cut by the end of the message.
    let first = frame::text(b"\xe2\x82").fin(false).masked();
    offence(default(), &[first.clone(), frame::continuation("").masked()], ProtocolError::InvalidUtf8, 1007);
    let mut server = Side::server(default());
    assert_eq!(server.hears(&[first, frame::continuation(b"\xac").masked()]), [Heard::text("€")]);
}

#[test]
fn text_fails_within_a_frame_that_has_not_arrived_whole() {
    let mut server = Side::server(Config::default());
    let bytes = frame::text(b"abc\xffdefghi").masked().bytes();
    assert_eq!(server.reads(&bytes[..9]), [], "a, b and c are fine");
    assert_eq!(server.reads(&bytes[9..10]), [Heard::Failed(ProtocolError::InvalidUtf8)]);
}

#[test]
fn sizes() {
    let too_big = ProtocolError::MessageTooBig { limit: 10 };
    offence(small(10), &[frame::binary([0; 11]).masked()], too_big, 1009);
    let fragments = [frame::binary([0; 6]).fin(false).masked(), frame::continuation([0; 5]).masked()];
    offence(small(10), &fragments, too_big, 1009);
    let config = Config { max_frame: 10, ..Config::default() };
    offence(config, &[frame::binary([0; 11]).masked()], ProtocolError::FrameTooBig { limit: 10 }, 1009);
    let mut server = Side::server(small(10));
    assert_eq!(server.hears(&[frame::binary([0; 10]).masked()]).len(), 1, "the limit itself is allowed");
}

#[test]
fn a_size_is_refused_by_its_header_alone() {
    let mut server = Side::server(small(10));
    assert_eq!(server.reads(&[0x82, 0x8b, 1, 2, 3, 4]), [Heard::Failed(ProtocolError::MessageTooBig { limit: 10 })]);
    let mut server = Side::server(Config::default());
    let gigabytes = [0x82, 0xff, 0, 0, 0, 0x7f, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(server.reads(&gigabytes), [Heard::Failed(ProtocolError::FrameTooBig { limit: 16 << 20 })]);
}

/// CVE-2022-35922: memory must follow the bytes that arrive, not the length that a header declares.
#[test]
fn a_declared_length_reserves_nothing() {
    let mut server = Side::server(Config::default());
    let mut bytes = frame::binary(vec![0; 16 << 20]).masked().bytes();
    bytes.truncate(1000);
    assert_eq!(server.reads(&bytes), []);
    let held = server.connection.buffered_input();
    assert!((900..4000).contains(&held), "{held} bytes are held for 986 received");
}

/// CVE-2026-48779: fragments without end, empty ones above all, must be counted.
#[test]
fn fragments_are_counted_empty_ones_too() {
    let config = Config { max_fragments: 3, ..Config::default() };
    let mut frames = vec![frame::text("").fin(false).masked()];
    frames.extend((0..3).map(|_| frame::continuation("").fin(false).masked()));
    offence(config, &frames, ProtocolError::TooManyFragments { limit: 3 }, 1008);
}

#[test]
fn an_endpoint_may_take_one_kind_only() {
    let only = |kind| Config { only: Some(kind), ..Config::default() };
    offence(only(Kind::Binary), &[frame::text("x").masked()], ProtocolError::UnwantedText, 1003);
    offence(only(Kind::Text), &[frame::binary("x").masked()], ProtocolError::UnwantedBinary, 1003);
}

#[test]
fn what_was_said_before_the_offence_can_be_answered() {
    let mut server = Side::server(Config::default());
    server.hears(&[frame::text("question").masked(), frame::text("naked")]);
    server.connection.send("answer", SendOptions::default(), server.now, &mut server.output).unwrap();
    let close = frame::close(1002, &ProtocolError::UnmaskedFrame.to_string());
    assert_eq!(server.says(), [frame::text("answer"), close]);
    let late = server.connection.send("late", SendOptions::default(), server.now, &mut server.output);
    assert_eq!(late, Err(SendError::Closed));
}

#[test]
fn what_came_before_the_offence_is_heard() {
    let mut server = Side::server(Config::default());
    let heard = server.hears(&[frame::text("fine").masked(), frame::text("naked"), frame::text("late").masked()]);
    assert_eq!(heard, [Heard::text("fine"), Heard::Failed(ProtocolError::UnmaskedFrame)]);
}
