//! What goes out: whole messages, shared and prepared ones, and messages in pieces.

use switchboard_testkit::Side;
use switchboard_testkit::frame;
use switchboard_ws_proto::{Config, Kind, Message, Output, Prepared, SendError, SendOptions};

const PLAIN: SendOptions = SendOptions { compress: false };

#[test]
fn a_server_sends_plain_frames_and_a_client_masked_ones() {
    for (mut side, mask) in [(Side::server(Config::default()), false), (Side::client(Config::default()), true)] {
        let Side { connection, output, now } = &mut side;
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let message = Message::binary(vec![9; len]);
            let prepared = Prepared::from(&message);
            connection.send(&message, PLAIN, *now, output).unwrap();
            connection.send_shared(&message, PLAIN, *now, output).unwrap();
            connection.send_prepared(&prepared, *now, output).unwrap();
            let expected = frame::binary(vec![9; len]);
            let expected = if mask { expected.masked() } else { expected };
            assert_eq!(frame::Frame::parse_all(&output.to_vec()), vec![expected; 3]);
            output.clear();
        }
    }
}

#[test]
fn a_message_goes_out_in_pieces_with_control_frames_between_them() {
    let mut server = Side::server(Config::default());
    let Side { connection, output, now } = &mut server;
    let mut piece =
        |kind, data: &[u8], last, output: &mut Output| connection.send_piece(kind, data, last, PLAIN, *now, output);
    piece(Kind::Text, b"a", false, output).unwrap();
    piece(Kind::Text, b"b", false, output).unwrap();
    assert_eq!(piece(Kind::Binary, b"c", false, output), Err(SendError::MessageOpen));
    connection.ping_with(b"?", output).unwrap();
    assert_eq!(connection.send("whole", PLAIN, *now, output), Err(SendError::MessageOpen));
    assert_eq!(connection.send_prepared(&Prepared::text("whole"), *now, output), Err(SendError::MessageOpen));
    assert_eq!(connection.send_shared(&"whole".into(), PLAIN, *now, output), Err(SendError::MessageOpen));
    connection.send_piece(Kind::Text, b"", true, PLAIN, *now, output).unwrap();
    connection.send("whole", PLAIN, *now, output).unwrap();
    assert_eq!(
        server.says(),
        [
            frame::text("a").fin(false),
            frame::continuation("b").fin(false),
            frame::ping("?"),
            frame::continuation(""),
            frame::text("whole"),
        ]
    );
}

#[test]
fn a_prepared_message_is_the_same_bytes_for_everyone() {
    let prepared = Prepared::binary(&[1; 10_000]);
    let slice = |side: &mut Side| {
        side.connection.send_prepared(&prepared, side.now, &mut side.output).unwrap();
        let mut slices = [std::io::IoSlice::new(&[]); 2];
        assert_eq!(side.output.slices(&mut slices), 1);
        slices[0].as_ptr() as usize
    };
    let (mut one, mut other) = (Side::server(Config::default()), Side::server(Config::default()));
    assert_eq!(slice(&mut one), slice(&mut other));
    assert_eq!(prepared.payload(), [1; 10_000][..]);
}
