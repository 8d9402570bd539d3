//! Large messages, read straight into the machine's own buffer: the same conversation as by way of the driver's.

use proptest::prelude::*;
use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{Config, Input, ProtocolError};

const KIB: usize = 1 << 10;

/// A driver that reads into the room whenever there is some; `reads` says how much the transport gives at a time.
struct Driver {
    side: Side,
    heard: Vec<Heard>,
    /// Bytes that went through the room.
    in_room: usize,
}

impl Driver {
    fn new(config: Config) -> Self {
        Self { side: Side::server(config), heard: Vec::new(), in_room: 0 }
    }

    fn reads(&mut self, mut bytes: &[u8], reads: impl IntoIterator<Item = usize>) {
        for read in reads {
            if bytes.is_empty() {
                break;
            }
            bytes = &bytes[self.read(&bytes[..read.min(bytes.len())])..];
        }
    }

    /// How many of these bytes were taken: there may be less room.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let Side { connection, now, .. } = &mut self.side;
        if let Some(room) = connection.room() {
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.heard.extend(connection.receive_in_room(count, *now).map(Heard::from));
            self.in_room += count;
            return count;
        }
        let mut buffer = bytes.to_vec();
        let mut input = Input::new(&mut buffer);
        while let Some(event) = connection.receive(&mut input, *now) {
            self.heard.push(event.into());
        }
        bytes.len()
    }
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// Payloads that are told apart wherever they are cut.
fn payload(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

#[test]
fn a_large_message_goes_through_the_room() {
    let mut driver = Driver::new(Config::default());
    let message = payload(1 << 20);
    let stream = bytes(&[frame::binary(&message).masked(), frame::text("next").masked()]);
    driver.reads(&stream, std::iter::repeat(64 * KIB));
    assert_eq!(driver.heard, [Heard::binary(&message), Heard::text("next")]);
    assert!(driver.in_room > 900 * KIB, "{} bytes", driver.in_room);
    assert_eq!(driver.side.connection.buffered_input(), 0);
    assert!(driver.side.connection.room().is_none());
}

#[test]
fn what_follows_the_frame_is_not_read_into_the_room() {
    let mut driver = Driver::new(Config::default());
    let stream = bytes(&[frame::binary(payload(200 * KIB)).masked(), frame::ping("?").masked()]);
    driver.reads(&stream, [64 * KIB]);
    let mut taken = 64 * KIB;
    while driver.side.connection.room().is_some() {
        // The transport offers all that it has, the ping too.
        taken += driver.read(&stream[taken..]);
    }
    assert_eq!(driver.heard, [Heard::binary(&payload(200 * KIB))]);
    driver.reads(&stream[taken..], [KIB]);
    assert_eq!(driver.heard[1], Heard::Ping(b"?".to_vec()));
}

#[test]
fn a_hostile_length_reserves_nothing() {
    // On a thread of its own, which has no buffers yet.
    std::thread::scope(|scope| scope.spawn(hostile_length).join().unwrap());
}

fn hostile_length() {
    let mut driver = Driver::new(Config::default());
    let stream = frame::binary(vec![0; 16 << 20]).masked().bytes();
    driver.reads(&stream, [14]);
    assert!(driver.side.connection.room().is_none());
    assert_eq!(driver.side.connection.buffered_input(), 0);
    driver.reads(&stream[14..], [1000]);
    assert!(driver.side.connection.room().is_none(), "little has arrived");
    assert_eq!(driver.side.connection.buffered_input(), 1000);
    driver.reads(&stream[1014..], [20 * KIB]);
    assert!(driver.side.connection.room().is_some());
    assert_eq!(driver.side.connection.buffered_input(), 64 * KIB, "no more than what has arrived allows");
}

#[test]
fn bad_text_fails_in_the_room_as_soon_as_it_is_read() {
    let mut driver = Driver::new(Config::default());
    let mut text = "é".repeat(150 * KIB).into_bytes();
    text[100 * KIB] = 0xff;
    let stream = bytes(&[frame::text(&text).masked()]);
    let header = stream.len() - text.len();
    driver.reads(&stream, [20 * KIB, 40 * KIB, 40 * KIB + header]);
    assert!(driver.in_room >= 40 * KIB && driver.heard.is_empty());
    let before = 100 * KIB + header;
    driver.reads(&stream[before..], [1]);
    assert_eq!(driver.heard, [Heard::Failed(ProtocolError::InvalidUtf8)]);
    assert!(driver.side.connection.room().is_none());
    assert_eq!(driver.side.connection.buffered_input(), 0);
}

#[test]
fn a_character_that_the_end_of_the_room_cuts_is_one_character() {
    let mut driver = Driver::new(Config::default());
    let text = format!("a{}", "é€𝄞".repeat(40 * KIB));
    driver.reads(&frame::text(&text).masked().bytes(), [64 * KIB].into_iter().chain(std::iter::repeat(10_007)));
    assert!(driver.in_room > 0);
    assert_eq!(driver.heard, [Heard::text(&text)]);
}

#[test]
fn limits_and_deadlines_hold_in_the_room() {
    let mut driver = Driver::new(Config { max_message: 300 * KIB, ..Config::default() });
    let fragments = bytes(&[
        frame::binary(payload(200 * KIB)).fin(false).masked(),
        frame::continuation(payload(101 * KIB)).masked(),
    ]);
    driver.reads(&fragments, std::iter::repeat(50 * KIB));
    assert!(driver.in_room > 0);
    assert_eq!(driver.heard, [Heard::Failed(ProtocolError::MessageTooBig { limit: 300 * KIB })]);

    let mut driver = Driver::new(Config::default());
    driver.reads(&frame::binary(payload(200 * KIB)).masked().bytes(), [64 * KIB, 10 * KIB]);
    let timeout = driver.side.waits(Config::default().message_timeout.unwrap());
    assert_eq!(timeout, Some(switchboard_ws_proto::Timeout::Message));
    assert!(driver.side.connection.room().is_none());
}

#[test]
fn there_is_no_room_in_pieces_mode() {
    let mut driver = Driver::new(Config::default());
    driver.side.connection.set_pieces(true);
    driver.reads(&frame::binary(payload(300 * KIB)).masked().bytes(), std::iter::repeat(64 * KIB));
    assert_eq!(driver.in_room, 0);
    assert_eq!(driver.heard.len(), 5);
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let large = || prop_oneof![150 * KIB..400 * KIB, 1..30 * KIB];
    let text = (large(), prop::bool::weighted(0.1)).prop_map(|(len, broken)| {
        let mut text = "aé€𝄞".repeat(len / 10).into_bytes();
        if broken {
            let at = text.len() / 3 * 2;
            text.truncate(at);
        }
        frame::text(text)
    });
    let frame = prop_oneof![
        4 => large().prop_map(|len| frame::binary(payload(len))),
        4 => text,
        2 => large().prop_map(|len| frame::binary(payload(len)).fin(false)),
        2 => large().prop_map(|len| frame::continuation(payload(len))),
        1 => Just(frame::ping("?")),
        1 => Just(frame::close(1000, "")),
    ];
    let frame =
        (frame, prop::bool::weighted(0.7)).prop_map(|(frame, masked)| if masked { frame.masked() } else { frame });
    proptest::collection::vec(frame, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_ways_give_the_same_conversation(
        frames in frames(),
        reads in proptest::collection::vec(prop_oneof![1..100_000usize, 1..20usize], 1..8),
    ) {
        let config = || Config { accept_unmasked: true, max_message: 600 * KIB, ..Config::default() };
        let stream = bytes(&frames);
        let mut ordinary = Side::server(config());
        let heard = ordinary.reads(&stream);
        let mut driver = Driver::new(config());
        driver.reads(&stream, reads.into_iter().cycle());
        prop_assert_eq!(driver.heard, heard);
        prop_assert_eq!(driver.side.says(), ordinary.says());
    }
}
