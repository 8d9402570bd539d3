//! Attacks by the frames of an open WebSocket.

use flate2::{Compress, Compression, FlushCompress};
use switchboard_testkit::{Frame, frame};

use crate::arena::{Arena, Side, announcement, closed, is_over, post, text};
use crate::way::{Way, on_every_way};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const COMPRESSED: [&str; 2] = ["--compression=on", "--socketio-compression=on"];

on_every_way!(
    attack_1_declared_lengths_reserve_nothing,
    attack_2_lengths_beyond_63_bits_are_refused,
    attack_3_bombs_stop_at_the_limit,
    attack_4_fragments_cost_their_bytes_and_are_counted,
    attack_4_a_frame_byte_by_byte_costs_its_bytes,
    attack_8_what_comes_back_is_what_was_sent,
    attack_12_broken_frames_behind_the_request_end_that_connection_only,
    attack_13_rsv1_is_only_for_the_first_frame_of_a_message,
    attack_27_deflate_states_stay_whole,
    attack_27_what_does_not_shrink_is_whole_and_the_last_byte_counts,
    attack_29_unmasked_frames_are_refused,
    bytes_that_are_no_text_are_refused,
);

/// CVE-2022-35922, RUSTSEC-2022-0035: memory was taken for the length that a header declares.
async fn attack_1_declared_lengths_reserve_nothing(way: Way) {
    let arena = Arena::on(way, &[]).await;
    let mut waiting = Vec::new();
    for side in Side::BOTH {
        for _ in 0..50 {
            let mut wire = arena.open(side).await;
            wire.send(announcement(0x82, side.longest())).await;
            wire.send([0; 10]).await;
            waiting.push(wire);
        }
        let mut wire = arena.open(side).await;
        wire.send(announcement(0x82, side.longest() + 1)).await;
        assert_eq!(closed(&mut wire).await, 1009, "{side:?}: nothing of it was sent");
    }
    for _ in 0..50 {
        let mut wire = arena.connect().await;
        wire.send(post(&arena.session().await, 1_000_000) + "4x").await;
        waiting.push(wire);
    }
    arena.ended("frame_too_big", 2).await;
    // Of 900 MB that were announced.
    arena.ends(2 * MIB).await;
}

/// CVE-2020-27813, CVE-2026-27889, CVE-2026-1528, CVE-2026-54466: a length of 64 bits became a negative or a small one.
async fn attack_2_lengths_beyond_63_bits_are_refused(way: Way) {
    let mut arena = Arena::on(way, &["--socketio-allow-eio3=on"]).await;
    for side in Side::BOTH {
        for (length, code) in [(1 << 63, 1002), ((1 << 63) + 5, 1002), (u64::MAX, 1002), (u64::MAX >> 1, 1009)] {
            let mut wire = arena.open(side).await;
            wire.send(announcement(0x82, length)).await;
            wire.try_send([0; 100]).await;
            assert_eq!(closed(&mut wire).await, code, "{side:?} {length}");
            arena.is_well().await;
        }
    }
    // The lengths in payloads of Engine.IO 3 are written out.
    for body in
        ["9223372036854775809:4a", "18446744073709551617:4a", "99999999999999999999:4a", "-1:4a", "4294967297:4a"]
    {
        let opened = arena.get("/socket.io/?EIO=3&transport=polling").await;
        let sid = opened.body.split_once("\"sid\":\"").unwrap().1[..20].to_owned();
        let path = format!("/socket.io/?EIO=3&transport=polling&sid={sid}");
        assert_eq!(arena.post(&path, body.as_bytes()).await, 200, "{body}");
        is_over(&arena, &path).await;
    }
    arena.ends(256 * KIB).await;
}

/// 64 MiB of zeros as a compressed message.
fn bomb() -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut bomb = Vec::with_capacity(256 * KIB);
    for number in 0..1024 {
        let flush = if number == 1023 { FlushCompress::Sync } else { FlushCompress::None };
        deflate.compress_vec(&[0; 64 * KIB], &mut bomb, flush).unwrap();
    }
    // RFC 7692 §7.2.1: the end of the flush is left out.
    bomb.truncate(bomb.len() - 4);
    frame::binary(bomb).rsv1().masked().bytes()
}

/// PYSEC-2018-79, CVE-2026-1526, CVE-2026-27571 (before anyone had said who they are): what is inflated was limited after it
/// was inflated, or by its length before.
async fn attack_3_bombs_stop_at_the_limit(way: Way) {
    let mut arena = Arena::on(way, &[&COMPRESSED[..], &["--max-message=1MiB"]].concat()).await;
    let bomb = bomb();
    arena.begin();
    for side in Side::BOTH {
        for _ in 0..4 {
            let mut wire = arena.open_offering(side, DEFLATE).await;
            wire.try_send(&bomb).await;
            assert_eq!(closed(&mut wire).await, 1009, "{side:?}");
            // One that is cut off with something on its way is another cause in the counters.
            wire.last_words().await;
            arena.is_well().await;
        }
    }
    arena.ended("message_too_big", 8).await;
    // Bodies of requests are not inflated at all.
    let mut wire = arena.connect().await;
    let session = arena.session().await;
    let head = post(&session, 1000).replace("Host", "Content-Encoding: gzip\r\nHost");
    wire.send(head).await;
    wire.send(&bomb[..1000]).await;
    assert!(wire.head().await.starts_with("http/1.1 200 "));
    is_over(&arena, &session).await;
    // The message that grew to the limit, and the 8 MiB of buffers that a thread keeps for messages to come.
    arena.ends(11 * MIB).await;
}

/// CVE-2026-48779 (GHSA-96hv-2xvq-fx4p), CVE-2026-12151, CVE-2026-42786: each fragment cost far more than its bytes, and
/// empty ones were not counted.
async fn attack_4_fragments_cost_their_bytes_and_are_counted(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let flood = |first: Frame, next: &str| {
        let mut frames = first.fin(false).masked().bytes();
        frames.extend(frame::continuation(next).fin(false).masked().bytes().repeat((128 << 10) + 1));
        frames
    };
    let (empty, tiny) = (flood(frame::text(""), ""), flood(frame::binary("x"), "x"));
    arena.begin();
    for side in Side::BOTH {
        for frames in [&empty, &tiny] {
            let mut wire = arena.open(side).await;
            wire.try_send(frames).await;
            assert_eq!(closed(&mut wire).await, 1008, "{side:?}");
            // One that is cut off with something on its way is another cause in the counters.
            wire.last_words().await;
            arena.is_well().await;
        }
    }
    arena.ended("too_many_fragments", 4).await;
    arena.ends(MIB).await;
}

/// CVE-2026-48779, ws#2332: a frame in very many small reads held a buffer for each.
async fn attack_4_a_frame_byte_by_byte_costs_its_bytes(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    let event = format!(r#"421["{}"]"#, "x".repeat(20_000));
    for (side, said, answer) in [
        (Side::Plain, frame::text("x".repeat(20_000)), frame::text("x".repeat(20_000))),
        (Side::Io, frame::text(event), frame::text("431[0]")),
    ] {
        let bytes = said.masked().bytes();
        arena.begin();
        let mut wire = if side == Side::Plain { arena.open(side).await } else { arena.join().await };
        for byte in bytes {
            wire.send([byte]).await;
        }
        arena.is_well().await;
        assert_eq!(wire.frame().await, answer, "{side:?}");
    }
    arena.goes_on(256 * KIB).await;
}

/// Uninitialised memory in pongs and Close frames (ws 1.0.1; CVE-2026-45736, GHSA-58qx-3vcg-4xpx): nothing comes back but
/// what was sent.
async fn attack_8_what_comes_back_is_what_was_sent(way: Way) {
    let arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        let mut wire = arena.open(side).await;
        for length in 0..=125 {
            let payload = vec![b'a' + (length % 26); length.into()];
            wire.say(&frame::ping(&payload).masked()).await;
            assert_eq!(wire.frame().await, frame::pong(&payload));
        }
        wire.say(&frame::close(4000, "why").masked()).await;
        let close = wire.frame().await;
        assert!(close.first == 0x88 && b"\x0f\xa0why".starts_with(&close.payload), "{side:?} {close:?}");
        assert!(wire.rest().await.is_empty(), "{side:?}");
    }
    arena.ends(256 * KIB).await;
}

/// The engine.io `RangeError`, CVE-2022-21676: a broken frame right behind the request, before anything listened.
async fn attack_12_broken_frames_behind_the_request_end_that_connection_only(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b, 0xf1] {
            let mut wire = arena.connect().await;
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
                 dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                side.path()
            );
            wire.send([request.as_bytes(), &frame::raw(first, "40").masked().bytes()].concat()).await;
            let head = wire.head().await;
            assert!(head.starts_with("http/1.1 101 "), "{head}");
            let all = wire.last_words().await;
            let close = Frame::parse_all(&all).pop().expect("a last frame");
            assert_eq!((close.first, &close.payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]), "{side:?} {first:x}");
            arena.is_well().await;
        }
    }
    arena.is_left_with(0).await;
    arena.ends(256 * KIB).await;
}

/// py#1720, sockudo#29, jetty#3159: the bit of compressed messages where it may not be.
async fn attack_13_rsv1_is_only_for_the_first_frame_of_a_message(way: Way) {
    let mut arena = Arena::on(way, &COMPRESSED).await;
    let first = frame::text("").fin(false).rsv1();
    let cases = [
        ("", vec![frame::text("a").rsv1()]),
        ("", vec![frame::ping("").rsv1()]),
        (DEFLATE, vec![frame::ping("").rsv1()]),
        (DEFLATE, vec![frame::close(1000, "").rsv1()]),
        (DEFLATE, vec![first.clone(), frame::continuation("").rsv1()]),
        (DEFLATE, vec![frame::text("").fin(false), frame::continuation("").rsv1()]),
    ];
    for side in Side::BOTH {
        for (offer, frames) in &cases {
            let mut wire = arena.open_offering(side, offer).await;
            for frame in frames {
                wire.say(&frame.clone().masked()).await;
            }
            assert_eq!(closed(&mut wire).await, 1002, "{side:?} {offer} {frames:?}");
        }
        arena.is_well().await;
    }
    arena.ends(MIB).await;
}

/// sockudo#14, #68, #76, #88: deflate states that came apart. What is valid goes on, what is not ends with 1007.
async fn attack_27_deflate_states_stay_whole(way: Way) {
    let mut arena = Arena::on(way, &COMPRESSED).await;
    let deflated = |text: &str, flush| {
        let mut bytes = Vec::with_capacity(1000);
        Compress::new(Compression::best(), false).compress_vec(text.as_bytes(), &mut bytes, flush).unwrap();
        bytes
    };
    let heard = "what is said ".repeat(20);
    let mut plain = arena.open_offering(Side::Plain, DEFLATE).await;
    // A final block, with and without what follows it; then as usual; then as usual in two fragments.
    let finished = deflated(&heard, FlushCompress::Finish);
    let usual = deflated(&heard, FlushCompress::Sync);
    let usual = &usual[..usual.len() - 4];
    let (one, two) = usual.split_at(usual.len() / 2);
    for frames in [
        vec![frame::text(&finished).rsv1()],
        vec![frame::text([&finished[..], &[0]].concat()).rsv1()],
        vec![frame::text(usual).rsv1()],
        vec![frame::text(one).rsv1().fin(false), frame::continuation(two)],
        vec![frame::text(&heard)],
    ] {
        for frame in &frames {
            plain.say(&frame.clone().masked()).await;
        }
        let reply = plain.frame().await;
        let text = match reply.first {
            0x81 => String::from_utf8(reply.payload).unwrap(),
            _ => inflated(reply.payload),
        };
        assert_eq!(text, heard, "{frames:?}");
    }
    for side in Side::BOTH {
        for broken in [&usual[..usual.len() / 2], &[0xff; 20], &[6, 0, 0]] {
            let mut wire = arena.open_offering(side, DEFLATE).await;
            wire.say(&frame::text(broken).rsv1().masked()).await;
            assert_eq!(closed(&mut wire).await, 1007, "{side:?} {broken:?}");
            arena.is_well().await;
        }
    }
    arena.ends(MIB).await;
}

/// sockudo#14, #68: a message that did not shrink was skipped, and the state with it; or it lost its end. #76: what came
/// out last was not counted.
async fn attack_27_what_does_not_shrink_is_whole_and_the_last_byte_counts(way: Way) {
    let mut arena = Arena::on(way, &[&COMPRESSED[..], &["--max-message=1000000B"]].concat()).await;
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (state >> 26) as u8)
    });
    let noise: String = noise.take(200_000).collect();
    let deflated = |said: &str| {
        let mut bytes = Vec::with_capacity(said.len() + 1000);
        Compress::new(Compression::fast(), false)
            .compress_vec(said.as_bytes(), &mut bytes, FlushCompress::Sync)
            .unwrap();
        bytes.truncate(bytes.len() - 4);
        frame::text(bytes).rsv1().masked()
    };
    let said = ["the same again ".repeat(100), noise.clone(), "the same again ".repeat(100), noise[..50].to_owned()];
    let frames: Vec<_> = said.iter().map(|said| deflated(said)).collect();
    let longest = |side| match side {
        Side::Plain => "x".repeat(1_000_000),
        Side::Io => format!(r#"427["{}"]"#, "x".repeat(1_000_000 - 7)),
    };
    let limits = Side::BOTH.map(|side| (side, deflated(&longest(side)), deflated(&(longest(side) + " "))));
    arena.begin();
    let mut plain = arena.open_offering(Side::Plain, DEFLATE).await;
    for (said, frame) in said.iter().zip(&frames) {
        plain.say(frame).await;
        let reply = plain.frame().await;
        let text =
            if reply.first == 0xc1 { inflated(reply.payload) } else { String::from_utf8(reply.payload).unwrap() };
        assert!(text == *said, "{said:.20}");
    }
    for (side, fits, is_too_long) in &limits {
        for (frame, is_heard) in [(fits, true), (is_too_long, false)] {
            let mut wire = arena.open_offering(*side, DEFLATE).await;
            if *side == Side::Io {
                wire.say(&text("40")).await;
                wire.frame().await;
            }
            wire.say(frame).await;
            if is_heard {
                assert_ne!(wire.frame().await.first, 0x88, "{side:?}");
            } else {
                assert_eq!(closed(&mut wire).await, 1009, "{side:?}");
            }
            arena.is_well().await;
        }
    }
    arena.ends(16 * MIB).await;
}

fn inflated(mut payload: Vec<u8>) -> String {
    payload.extend([0, 0, 0xff, 0xff]);
    let mut inflate = flate2::Decompress::new(false);
    let mut bytes = Vec::with_capacity(400_000);
    inflate.decompress_vec(&payload, &mut bytes, flate2::FlushDecompress::Sync).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// uWebSockets, fastwebsockets and soketto take them: "a server MUST close the connection upon receiving a frame that is
/// not masked" (RFC 6455 §5.1).
async fn attack_29_unmasked_frames_are_refused(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        for frame in [frame::text("40"), frame::ping(""), frame::close(1000, "")] {
            let mut wire = arena.open(side).await;
            wire.say(&frame).await;
            assert_eq!(closed(&mut wire).await, 1002, "{side:?}");
        }
        arena.is_well().await;
    }
    arena.ended("unmasked_frame", 6).await;
    arena.ends(256 * KIB).await;
}

/// Bytes that are no text end the connection, and are not handed on.
async fn bytes_that_are_no_text_are_refused(way: Way) {
    let mut arena = Arena::on(way, &[]).await;
    for side in Side::BOTH {
        for broken in [&b"\xff"[..], b"4\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
            let mut wire = arena.open(side).await;
            wire.say(&frame::text(broken).masked()).await;
            assert_eq!(closed(&mut wire).await, 1007, "{side:?}");
        }
        arena.is_well().await;
    }
    let mut wire = arena.open(Side::Plain).await;
    wire.say(&text("é")).await;
    assert_eq!(wire.frame().await, frame::text("é"));
    arena.ends(256 * KIB).await;
}
