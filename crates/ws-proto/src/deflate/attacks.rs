//! Attacks by what is inflated, and streams that are no whole ones: what they are told, and what they cost.

use bytes::BytesMut;

use super::compress::TAIL;
use super::error::InflateError;
use super::inflate::MAX_FINAL_BLOCKS;
use super::inflate::tests::{inflater, message};
use super::oracle::{self, Peer, echoes, finished, noise};

const STEP: usize = 16 * 1024;

/// Attack 3: a bomb is stopped by what comes out of it, and costs no more than the limit and one step.
#[test]
fn attack_3_a_bomb_stops_at_the_limit() {
    let bomb = Peer::new(9).message(&vec![0; 1 << 20]);
    assert!(bomb.len() < 1100, "{}", bomb.len());
    for limit in [0, 1, 1000, STEP - 1, STEP, STEP + 1, 100_000, (1 << 20) - 1] {
        let mut out = BytesMut::new();
        let result = inflater(false).push(&bomb, &mut out, limit);
        assert_eq!(result, Err(InflateError::TooBig));
        assert!(out.len() <= limit && out.capacity() <= limit + STEP, "{limit}: {}", out.capacity());
    }
    let mut out = BytesMut::new();
    let mut inflater = inflater(false);
    inflater.push(&bomb, &mut out, 1 << 20).unwrap();
    inflater.finish().unwrap();
    assert_eq!((out.len(), out.capacity()), (1 << 20, 1 << 20));
}

/// Attack 3, in its patient form: the limit is for the message, however it is cut.
#[test]
fn attack_3_a_bomb_byte_by_byte() {
    let bomb = Peer::new(9).message(&vec![0; 1 << 20]);
    let mut inflater = inflater(true);
    let mut out = BytesMut::new();
    let stopped = bomb.iter().find_map(|byte| {
        let room = 100_000 - out.len();
        inflater.push(&[*byte], &mut out, room).err()
    });
    assert_eq!(stopped, Some(InflateError::TooBig));
    assert!(out.capacity() <= 100_000 + STEP);
}

/// Attack 27 (sockudo-ws#76): what comes out last counts too, and what just fits is let through.
#[test]
fn attack_27_the_last_chunk_over_the_limit() {
    for len in [1, 5, STEP - 1, STEP, STEP + 1, 3 * STEP] {
        let payload = echoes(4, len);
        let packed = Peer::new(6).message(&payload);
        for cut in [0, 1, packed.len() / 2, packed.len() - 1] {
            let (head, tail) = packed.split_at(cut);
            let run = |room: usize| {
                let (mut inflater, mut out) = (inflater(true), BytesMut::new());
                inflater.push(head, &mut out, room)?;
                let left = room - out.len();
                inflater.push(tail, &mut out, left)?;
                inflater.finish().map(|()| out)
            };
            assert_eq!(run(len).unwrap(), payload);
            assert_eq!(run(len - 1), Err(InflateError::TooBig), "{len} cut at {cut}");
        }
    }
}

/// Attack 27 (sockudo-ws#88): final blocks end neither the message nor the context.
#[test]
fn attack_27_final_blocks_keep_the_context() {
    let mut inflater = inflater(true);
    let mut peer = Peer::new(6);
    let payload = echoes(8, 40_000);
    assert_eq!(message(&mut inflater, &peer.message(&payload)).unwrap(), payload);

    // An empty final block, alone and before another block of the same message; then a reference over both.
    assert_eq!(message(&mut inflater, &[0x03, 0x00]).unwrap(), "");
    let second = [&[0x03, 0x00][..], &peer.message(&payload)].concat();
    assert!(second.len() < 20_000);
    assert_eq!(message(&mut inflater, &second).unwrap(), payload);

    // A final block with content, and a reference to it: a match of 5 bytes, 5 bytes back (§7.2.3.2).
    assert_eq!(message(&mut inflater, &finished(b"Hello")).unwrap(), "Hello");
    assert_eq!(message(&mut inflater, &[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap(), "Hello");
}

/// Within one message the window outlives a final block, whether or not the context is taken over.
#[test]
fn attack_27_a_message_of_several_final_blocks() {
    for takeover in [false, true] {
        let mut inflater = inflater(takeover);
        let several = [finished(b"Hello"), finished(b" World"), vec![0x03, 0x00], finished(b"!")].concat();
        for ending in [&[][..], &[0x00], &[0x01]] {
            let payload = [&several, ending].concat();
            assert_eq!(message(&mut inflater, &payload).unwrap(), "Hello World!");
            for cut in 0..payload.len() {
                let mut out = BytesMut::new();
                inflater.push(&payload[..cut], &mut out, 12).unwrap();
                inflater.push(&payload[cut..], &mut out, 12).unwrap();
                inflater.finish().unwrap();
                assert_eq!(out, "Hello World!");
            }
        }
        let back = [finished(b"Hello"), vec![0xf2, 0x00, 0x11, 0x00, 0x00]].concat();
        assert_eq!(message(&mut inflater, &back).unwrap(), "HelloHello");
    }
}

#[test]
fn too_many_final_blocks_are_refused() {
    let most = [0x03, 0x00].repeat(usize::from(MAX_FINAL_BLOCKS));
    let mut inflater = inflater(true);
    for _ in 0..2 {
        assert_eq!(message(&mut inflater, &most).unwrap(), "");
    }
    assert_eq!(message(&mut inflater, &[&most[..], &[0x03, 0x00]].concat()), Err(InflateError::Invalid));
}

#[test]
fn garbage_after_a_final_block_is_invalid() {
    for garbage in [&b"garbage"[..], &[0xff], &[0x07], &[0x00, 0x05, 0x00]] {
        let payload = [&finished(b"Hello"), garbage].concat();
        assert_eq!(message(&mut inflater(true), &payload), Err(InflateError::Invalid), "{garbage:02x?}");
    }
}

/// Attack 27 (sockudo-ws#68), seen from the other side: a stream that stops early is not passed off as whole. A
/// few prefixes are whole streams themselves, such as the first byte of a stored block; a second inflater knows.
#[test]
fn attack_27_truncated_streams_are_invalid() {
    for payload in [b"Hello".to_vec(), noise(2, 700), echoes(2, 700)] {
        for level in [0, 1, 9] {
            let packed = Peer::new(level).message(&payload);
            let mut whole = 0;
            for cut in 1..packed.len() {
                let got = message(&mut inflater(false), &packed[..cut]);
                let mut plain = Vec::new();
                if oracle::inflate(&packed[..cut], &mut plain).is_some() {
                    assert_eq!(got.unwrap(), plain, "level {level}, cut at {cut}");
                    whole += 1;
                } else {
                    assert_eq!(got, Err(InflateError::Invalid), "level {level}, cut at {cut}");
                }
            }
            assert!(whole <= 1, "level {level}: {whole} of {} prefixes", packed.len());
        }
    }
}

#[test]
fn a_message_that_kept_its_tail_is_invalid() {
    let mut packed = Peer::new(6).message(b"Hello");
    packed.extend_from_slice(&TAIL);
    assert_eq!(message(&mut inflater(true), &packed), Err(InflateError::Invalid));
}

/// The inflater comes from the pool: what it saw for another connection must be out of reach.
#[test]
fn nothing_leaks_from_one_connection_to_another() {
    let reach_back = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let (mut one, mut other) = (inflater(true), inflater(true));
    assert_eq!(message(&mut one, &Peer::new(6).message(b"secret")).unwrap(), "secret");
    assert_eq!(message(&mut other, &reach_back), Err(InflateError::Invalid));
    // Nor from one message to the next without takeover.
    let mut forgetful = inflater(false);
    assert_eq!(message(&mut forgetful, &Peer::new(6).message(b"secret")).unwrap(), "secret");
    assert_eq!(message(&mut forgetful, &reach_back), Err(InflateError::Invalid));
}
