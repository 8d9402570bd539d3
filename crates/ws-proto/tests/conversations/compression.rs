//! permessage-deflate between two ends (RFC 7692): who may compress what, and that the contexts stay together.

use proptest::prelude::*;
use switchboard_testkit::frame::{self, Frame};
use switchboard_testkit::{Heard, Side};
use switchboard_ws_proto::{
    Config, DeflateConfig, DeflateParams, Kind, Message, Prepared, ProtocolError, SendOptions, WindowBits,
};

const COMPRESS: SendOptions = SendOptions { compress: true };
const PLAIN: SendOptions = SendOptions { compress: false };

fn params(takeover: bool, bits: u8) -> DeflateParams {
    let bits = WindowBits::new(bits).expect("8 to 15");
    DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    }
}

fn config(takeover: bool, threshold: usize) -> Config {
    let deflate = DeflateConfig {
        own_context_takeover: takeover,
        peer_context_takeover: takeover,
        threshold,
        ..DeflateConfig::default()
    };
    Config { deflate: Some(deflate), ..Config::default() }
}

fn ends(takeover: bool, bits: u8, threshold: usize) -> (Side, Side) {
    let params = params(takeover, bits);
    let server = Side::server_with(config(takeover, threshold), Some(params));
    (server, Side::client_with(config(takeover, threshold), Some(params)))
}

fn send(side: &mut Side, message: &Message, options: SendOptions) -> Vec<Frame> {
    side.connection.send(message, options, side.now, &mut side.output).unwrap();
    side.says()
}

/// What a side hears when the frames arrive in reads of `len` bytes.
fn in_chunks(side: &mut Side, frames: &[Frame], len: usize) -> Vec<Heard> {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    bytes.chunks(len).flat_map(|chunk| side.reads(chunk)).collect()
}

#[test]
fn the_first_frame_of_a_compressed_message_has_rsv1_and_no_other() {
    let (mut server, mut client) = ends(true, 15, 0);
    let text = Message::text("hello hello hello hello");
    let said = send(&mut server, &text, COMPRESS);
    assert_eq!(said[0].first, 0xc1);
    assert!(said[0].payload.len() < text.len());
    assert_eq!(client.hears(&said), [Heard::Message(text)]);

    let Side { connection, output, now } = &mut server;
    for (piece, last) in [(&b"one "[..], false), (b"two ", false), (b"three", true)] {
        connection.send_piece(Kind::Text, piece, last, COMPRESS, *now, output).unwrap();
    }
    let said = server.says();
    let firsts: Vec<u8> = said.iter().map(|frame| frame.first).collect();
    assert_eq!(firsts, [0x41, 0x00, 0x80]);
    assert_eq!(client.hears(&said), [Heard::text("one two three")]);
}

#[test]
fn a_message_may_go_plain_by_choice_or_because_it_is_short() {
    let (mut server, mut client) = ends(true, 15, 10);
    let (short, long) = (Message::text("ten - one"), Message::text("ten of them"));
    assert_eq!(send(&mut server, &short, COMPRESS), [frame::text("ten - one")]);
    assert_eq!(send(&mut server, &long, PLAIN), [frame::text("ten of them")]);
    let compressed = send(&mut server, &long, COMPRESS);
    assert_eq!(compressed[0].first, 0xc1);
    assert_eq!(client.hears(&compressed), [Heard::Message(long)]);
}

#[test]
fn without_takeover_what_would_grow_goes_plain() {
    let (mut server, _) = ends(false, 15, 0);
    let noise: Vec<u8> = (0u32..200).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    assert_eq!(send(&mut server, &Message::binary(noise.clone()), COMPRESS), [frame::binary(noise)]);
}

#[test]
fn without_takeover_a_message_compresses_alike_each_time() {
    let text = Message::text("the same words again and again and again");
    let (mut server, _) = ends(false, 15, 0);
    assert_eq!(send(&mut server, &text, COMPRESS), send(&mut server, &text, COMPRESS));
    let (mut server, _) = ends(true, 15, 0);
    let first = send(&mut server, &text, COMPRESS)[0].payload.len();
    let second = send(&mut server, &text, COMPRESS)[0].payload.len();
    assert!(second * 2 < first, "with takeover the second refers to the first: {first}, then {second} bytes");
}

#[test]
fn rsv1_needs_the_extension() {
    let mut server = Side::server(Config::default());
    let heard = server.hears(&[frame::text("\0").rsv1().masked()]);
    assert_eq!(heard, [Heard::Failed(ProtocolError::UnexpectedRsv1)]);
}

#[test]
fn what_does_not_inflate_fails_with_1007() {
    let (mut server, _) = ends(false, 15, 0);
    let heard = server.hears(&[frame::binary([0xff; 20]).rsv1().masked()]);
    assert_eq!(heard, [Heard::Failed(ProtocolError::InvalidDeflate)]);
    assert_eq!(server.says(), [frame::close(1007, &ProtocolError::InvalidDeflate.to_string())]);
}

#[test]
fn inflated_text_is_checked_too() {
    let (mut server, mut client) = ends(false, 15, 0);
    let bytes = Message::binary([b'a', 0xff].repeat(100));
    let mut said = send(&mut client, &bytes, COMPRESS);
    said[0].first = 0xc1;
    assert_eq!(server.hears(&said), [Heard::Failed(ProtocolError::InvalidUtf8)]);
}

/// CVE-2026-1526, PYSEC-2018-79: a small message that inflates to a huge one.
#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let (_, mut client) = ends(false, 15, 0);
    let bomb = send(&mut client, &Message::binary(vec![0; 10 << 20]), COMPRESS);
    let limit = 100_000;
    let limits = Config { max_message: limit, ..config(false, 0) };
    let mut server = Side::server_with(limits, Some(params(false, 15)));
    assert!(bomb[0].payload.len() < limit, "it looks small");
    assert_eq!(server.hears(&bomb), [Heard::Failed(ProtocolError::MessageTooBig { limit })]);
    assert_eq!(server.connection.buffered_input(), 0);
}

/// DEFLATE can also spend bytes on nothing: empty stored blocks, each of five bytes.
#[test]
fn a_message_of_nothing_is_stopped_as_well() {
    let limits = Config { max_message: 1000, ..config(false, 0) };
    let mut server = Side::server_with(limits, Some(params(false, 15)));
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(100);
    assert_eq!(server.hears(&[frame::binary(&blocks).rsv1().fin(false).masked()]), []);
    let more = frame::continuation(&blocks).fin(false).masked();
    let heard = server.hears(&vec![more; 10]);
    assert_eq!(heard, [Heard::Failed(ProtocolError::MessageTooBig { limit: 1000 })]);
}

#[test]
fn a_prepared_message_between_others_keeps_the_contexts_together() {
    for takeover in [false, true] {
        let (mut server, mut client) = ends(takeover, 10, 0);
        let prepared = Prepared::text(&"prepared once, sent to everyone. ".repeat(20));
        let own = Message::text("own words, own words, and words prepared once, sent to everyone. ");
        for _ in 0..5 {
            let said = send(&mut server, &own, COMPRESS);
            assert_eq!(client.hears(&said), [Heard::Message(own.clone())]);
            server.connection.send_prepared(&prepared, server.now, &mut server.output).unwrap();
            let said = server.says();
            assert_eq!(said[0].first, 0xc1, "it went compressed");
            let text = String::from_utf8(prepared.payload().to_vec()).unwrap();
            assert_eq!(client.hears(&said), [Heard::text(&text)]);
        }
    }
}

#[test]
fn a_prepared_message_goes_uncompressed_if_it_is_to() {
    let (mut server, mut client) = ends(true, 15, 0);
    let text = "prepared once, sent to everyone. ".repeat(20);
    let prepared = Prepared::text(&text);
    server.connection.send_prepared_with(&prepared, PLAIN, server.now, &mut server.output).unwrap();
    let said = server.says();
    assert_eq!(said[0].first, 0x81);
    assert_eq!(client.hears(&said), [Heard::text(&text)]);
}

#[test]
fn a_client_sends_prepared_messages_masked() {
    let (mut server, mut client) = ends(true, 15, 0);
    let prepared = Prepared::binary(&[5; 500]);
    client.connection.send_prepared(&prepared, client.now, &mut client.output).unwrap();
    let said = client.says();
    assert_eq!((said[0].first, said[0].mask), (0xc2, Some(frame::KEY)));
    assert_eq!(server.hears(&said), [Heard::binary(&[5; 500])]);
}

#[test]
fn pieces_come_inflated() {
    let (mut server, mut client) = ends(true, 15, 0);
    server.connection.set_pieces(true);
    let text = "piece by piece by piece ".repeat(100);
    let said = send(&mut client, &Message::text(text.clone()), COMPRESS);
    let bytes = said[0].bytes();
    let mut inflated = Vec::new();
    for chunk in bytes.chunks(10) {
        for heard in server.reads(chunk) {
            let Heard::Piece(data, _) = heard else { panic!("{heard:?}") };
            inflated.extend(data);
        }
    }
    assert_eq!(inflated, text.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_said_is_heard_in_every_agreement(
        takeover: bool,
        bits in 8u8..=15,
        messages in proptest::collection::vec(
            (prop_oneof!["[ab]{0,400}".prop_map(Message::text), any::<Vec<u8>>().prop_map(Message::binary)], any::<bool>()),
            1..20,
        ),
        cut in 1usize..50,
    ) {
        let (mut server, mut client) = ends(takeover, bits, 20);
        for (message, compress) in messages {
            let options = SendOptions { compress };
            let said = send(&mut client, &message, options);
            prop_assert_eq!(in_chunks(&mut server, &said, cut), [Heard::Message(message.clone())]);
            let said = send(&mut server, &message, options);
            prop_assert_eq!(in_chunks(&mut client, &said, cut), [Heard::Message(message)]);
        }
    }
}
