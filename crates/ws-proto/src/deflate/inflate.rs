//! The peer's side of permessage-deflate: DEFLATE to payloads (RFC 7692 §7.2.2), under a limit that is checked on
//! every chunk that comes out.
//!
//! What a connection needs between messages is not an inflater but the last bytes that came out of it, no more than the
//! peer's window: any inflater of the thread's pool goes on from there when it gets them as its dictionary. That makes
//! a block with BFINAL set harmless: the inflater that reached its end is exchanged for another, and the context goes
//! on. An active connection keeps its inflater all the same, for it costs more to hand over a window than to inflate a
//! short message.

use std::fmt;

use bytes::BytesMut;
use zlib_rs::{Inflate, InflateFlush, Status};

use super::compress::TAIL;
use super::error::InflateError;
use super::history::History;
use super::live::Live;
use super::params::{DeflateConfig, DeflateParams};
use super::sink::Sink;
use super::{moved, pool};

/// An empty stored block, from a byte boundary on.
const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];
/// What an inflater holds, its window included.
pub(crate) const STATE_SIZE: usize = 47 * 1024;

/// The most blocks with BFINAL set in one message. Stricter than the RFC, which has no limit: each makes us load a
/// window, so that a message made of two-byte final blocks would cost far more to read than to write.
pub(crate) const MAX_FINAL_BLOCKS: u16 = 1024;

/// The peer's side of one connection: inflates each compressed message that it sends.
///
/// Memory on top of itself, measured: between messages none without context takeover. With it the last bytes received,
/// at most the peer's window (32 KiB by default), and 47 KiB until [`rest`](Self::rest). While a message is in hand,
/// both in either case, the larger part borrowed from the thread's pool.
pub struct Inflater {
    takes_context_over: bool,
    history: History,
    /// What goes on from `history`. `None` after a final block, and between messages unless it is `live`.
    state: Option<Inflate>,
    live: Option<Live>,
    max_live: usize,
    /// Bytes of a message have come, and it has not ended.
    open: bool,
    final_blocks: u16,
}

impl Inflater {
    /// The codec for what `params` allows the peer; `is_server` is our own role, `config` says how much memory to
    /// spend.
    #[must_use]
    pub fn new(params: &DeflateParams, config: &DeflateConfig, is_server: bool) -> Self {
        let (no_takeover, window) = if is_server {
            (params.client_no_context_takeover, params.client_max_window_bits)
        } else {
            (params.server_no_context_takeover, params.server_max_window_bits)
        };
        Self {
            takes_context_over: !no_takeover,
            history: History::new(window),
            state: None,
            live: None,
            max_live: config.max_live,
            open: false,
            final_blocks: 0,
        }
    }

    /// Inflates the next bytes of a message, cut anywhere, and appends what comes out to `out`: at most `room` bytes.
    /// `out` grows as bytes come out, at most to double its length and never beyond `room`.
    ///
    /// The work is linear in `data` and what comes out. DEFLATE can spend bytes on nothing, so a limit on the
    /// compressed size is the caller's.
    ///
    /// # Errors
    /// [`InflateError::TooBig`] as soon as byte `room` + 1 comes out, [`InflateError::Invalid`] when `data` does not
    /// continue a DEFLATE stream. The connection must then be failed, and nothing more be pushed.
    pub fn push(&mut self, data: &[u8], out: &mut BytesMut, room: usize) -> Result<(), InflateError> {
        self.inflate(data, false, out, room)
    }

    /// [`push`](Self::push) for the last bytes of a message, and then [`finish`](Self::finish): cheaper than both, for
    /// without context takeover nothing of what comes out must be kept.
    ///
    /// # Errors
    /// Those of both.
    pub fn push_last(&mut self, data: &[u8], out: &mut BytesMut, room: usize) -> Result<(), InflateError> {
        self.push_into(data, true, out, room)
    }

    /// Either of both, to anywhere.
    pub(crate) fn push_into(
        &mut self,
        data: &[u8],
        last: bool,
        out: &mut impl Sink,
        room: usize,
    ) -> Result<(), InflateError> {
        self.inflate(data, last, out, room)?;
        if last { self.finish() } else { Ok(()) }
    }

    /// Ends the message. All of it has come out already; this checks that it was whole, and gives the state back unless
    /// it is kept for the next message.
    ///
    /// # Errors
    /// [`InflateError::Invalid`] when the message stops in the middle of a block. The connection must then be failed.
    pub fn finish(&mut self) -> Result<(), InflateError> {
        let whole = self.ends_whole();
        self.final_blocks = 0;
        self.open = false;
        if self.takes_context_over && whole && self.live.is_none() {
            self.live = Live::claim(self.max_live);
        }
        if self.live.is_none() {
            self.give_back();
        }
        if !self.takes_context_over {
            self.history.clear();
        }
        if whole { Ok(()) } else { Err(InflateError::Invalid) }
    }

    /// Gives back what makes the next message fast and keeps only what it may refer to: for connections that are quiet.
    /// The next message costs up to some µs more, for handing over those bytes again. Nothing happens while a message
    /// is in hand.
    pub fn rest(&mut self) {
        if !self.open {
            self.live = None;
            self.give_back();
        }
    }

    /// Gives everything back: nothing more is inflated.
    pub(crate) fn abandon(&mut self) {
        self.open = false;
        self.rest();
        self.history.clear();
    }

    /// Bytes of memory held now, without this value itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.history.memory() + self.state.as_ref().map_or(0, |_| STATE_SIZE)
    }

    fn inflate(
        &mut self,
        mut data: &[u8],
        last: bool,
        out: &mut impl Sink,
        mut room: usize,
    ) -> Result<(), InflateError> {
        self.open |= !data.is_empty();
        // Where in `out` the bytes begin that are not in the history yet.
        let mut fresh_from = out.bytes().len();
        pool::with_scratch(|chunk| {
            let mut more = !data.is_empty();
            while more {
                // One byte more than there is room for, to tell "just fits" from "too big".
                let space = chunk.len().min(room.saturating_add(1));
                let step = self.step(data, &mut chunk[..space])?;
                let fresh = &chunk[..step.produced];
                if fresh.len() > room {
                    return Err(InflateError::TooBig);
                }
                out.append(fresh, room)?;
                room -= fresh.len();
                data = &data[step.consumed..];
                if step.ended {
                    // "The next DEFLATE block follows the padded data if any" (§7.2.1), and its matches may still reach
                    // back over the final block.
                    self.history.remember(&out.bytes()[fresh_from..]);
                    fresh_from = out.bytes().len();
                }
                // Filling all the space may mean that there is more to come.
                more = !data.is_empty() || (step.produced == space && !step.ended);
            }
            Ok(())
        })?;
        if self.takes_context_over || !last {
            self.history.remember(&out.bytes()[fresh_from..]);
        }
        Ok(())
    }

    /// One call of the inflater, which is had from the pool when there is none and given back after a final block.
    fn step(&mut self, data: &[u8], space: &mut [u8]) -> Result<Step, InflateError> {
        let mut inflate = self.state.take().unwrap_or_else(|| pool::take_inflater(&self.history));
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(data, space, InflateFlush::NoFlush);
        let (consumed, produced) = (moved(read, inflate.total_in()), moved(written, inflate.total_out()));
        let ended = match status {
            Ok(Status::Ok | Status::BufError) => false,
            Ok(Status::StreamEnd) => true,
            Err(_) => {
                pool::give_inflater(inflate);
                return Err(InflateError::Invalid);
            }
        };
        self.state = Some(inflate);
        if ended {
            self.give_back();
            self.final_blocks += 1;
            if self.final_blocks > MAX_FINAL_BLOCKS {
                return Err(InflateError::Invalid);
            }
        }
        Ok(Step { consumed, produced, ended })
    }

    /// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message" (§7.2.2), and see that
    /// the stream stands between two blocks then, on a byte boundary: another empty block fits there.
    fn ends_whole(&mut self) -> bool {
        // No byte since the last final block, or none at all: nothing is missing. §7.2.1 wants an empty block even
        // then, so this is laxer than it, for the sake of peers that end a message with its final block.
        let Some(inflate) = self.state.as_mut().filter(|_| self.open) else { return true };
        if !matches!(to_end_of_block(inflate, TAIL), Some((Status::Ok, 4))) {
            return false;
        }
        match to_end_of_block(inflate, EMPTY_BLOCK) {
            Some((Status::Ok, 5)) => true,
            // The block that the tail completed had BFINAL set.
            Some((Status::StreamEnd, 0)) => {
                self.give_back();
                true
            }
            _ => false,
        }
    }

    fn give_back(&mut self) {
        if let Some(inflate) = self.state.take() {
            pool::give_inflater(inflate);
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("takes_context_over", &self.takes_context_over)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

struct Step {
    consumed: usize,
    produced: usize,
    /// By a final block.
    ended: bool,
}

/// Inflates `bytes` up to the end of a block, and says how many that took. `None` for what is no DEFLATE, or when
/// something comes out.
fn to_end_of_block<const N: usize>(inflate: &mut Inflate, bytes: [u8; N]) -> Option<(Status, usize)> {
    // One byte more, which is taken only when the block does not end with the others.
    let mut input = [0; EMPTY_BLOCK.len() + 1];
    input[..N].copy_from_slice(&bytes);
    let (read, written) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(&input[..=N], &mut [0], InflateFlush::Block).ok()?;
    (inflate.total_out() == written).then(|| (status, moved(read, inflate.total_in())))
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::compress::Deflater;
    use super::super::oracle::{self, Peer, echoes, finished, noise};
    use super::super::params::WindowBits;
    use super::*;

    fn params(takeover: bool, bits: u8) -> DeflateParams {
        DeflateParams {
            client_no_context_takeover: !takeover,
            client_max_window_bits: WindowBits::new(bits).unwrap(),
            ..DeflateParams::default()
        }
    }

    pub(crate) fn inflater(takeover: bool) -> Inflater {
        Inflater::new(&params(takeover, 15), &DeflateConfig::default(), true)
    }

    pub(crate) fn message(inflater: &mut Inflater, payload: &[u8]) -> Result<BytesMut, InflateError> {
        let mut out = BytesMut::new();
        inflater.push(payload, &mut out, usize::MAX)?;
        inflater.finish()?;
        Ok(out)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let mut inflater = inflater(true);
        // §7.2.3.1 a message of one block, and in two pieces
        assert_eq!(message(&mut inflater, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).unwrap(), "Hello");
        let mut out = BytesMut::new();
        inflater.push(&[0xf2, 0x48, 0xcd], &mut out, 5).unwrap();
        inflater.push(&[0xc9, 0xc9, 0x07, 0x00], &mut out, 5).unwrap();
        inflater.finish().unwrap();
        assert_eq!(out, "Hello");
        // §7.2.3.2 sharing the window
        assert_eq!(message(&mut inflater, &[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap(), "Hello");
        // §7.2.3.3 a block with no compression
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(message(&mut inflater, &stored).unwrap(), "Hello");
        // §7.2.3.4 BFINAL set to 1
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(message(&mut inflater, &last).unwrap(), "Hello");
        // §7.2.3.5 two blocks in one message
        let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(message(&mut inflater, &two).unwrap(), "Hello");
    }

    /// §7.2.3.6, and the other ways to write nothing.
    #[test]
    fn every_form_of_an_empty_message() {
        let forms: [&[u8]; 8] = [
            &[0x00],
            &[0x02, 0x00],                         // fixed block, then the stored one
            &[0x01],                               // the stored block is final
            &[0x03, 0x00],                         // a final block and nothing after it
            &[0x03, 0x00, 0x00],                   // a final block and the stored one
            &[0x00, 0x00, 0x00, 0xff, 0xff, 0x00], // two stored blocks
            &[0x01, 0x00, 0x00, 0xff, 0xff, 0x00], // one of them final
            &[],                                   // no block at all
        ];
        for takeover in [false, true] {
            let mut inflater = inflater(takeover);
            for form in forms {
                assert_eq!(message(&mut inflater, form).unwrap(), "", "{form:02x?}");
                assert_eq!(message(&mut inflater, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).unwrap(), "Hello");
            }
        }
    }

    #[test]
    fn rest_keeps_the_context_and_nothing_else() {
        let (mut inflater, mut peer) = (inflater(true), Peer::new(6));
        for round in 0..3 {
            // Incompressible, so that all but the first refer to the context.
            assert_eq!(message(&mut inflater, &peer.message(&noise(1, 500))).unwrap(), noise(1, 500));
            assert!(inflater.state.is_some() && inflater.live.is_some());
            assert!(inflater.memory() > STATE_SIZE);
            if round > 0 {
                inflater.rest();
                assert!(inflater.state.is_none() && inflater.live.is_none());
                assert!(inflater.memory() <= 2048, "{}", inflater.memory());
            }
        }
    }

    #[test]
    fn beyond_the_most_live_contexts_each_message_ends_at_rest() {
        let config = DeflateConfig { max_live: 0, ..DeflateConfig::default() };
        let (mut inflater, mut peer) = (Inflater::new(&params(true, 15), &config, true), Peer::new(6));
        for _ in 0..3 {
            assert_eq!(message(&mut inflater, &peer.message(&noise(1, 500))).unwrap(), noise(1, 500));
            assert!(inflater.state.is_none() && inflater.live.is_none());
        }
    }

    /// What an inflater that is kept saw of one message may not complete another.
    #[test]
    fn a_kept_inflater_stands_between_two_blocks() {
        let mut inflater = inflater(true);
        assert_eq!(message(&mut inflater, &Peer::new(6).message(b"Hello")).unwrap(), "Hello");
        assert!(inflater.state.is_some());
        // Nothing at all, then a message that needs no context.
        assert_eq!(message(&mut inflater, &[]).unwrap(), "");
        assert_eq!(message(&mut inflater, &finished(b"Hello")).unwrap(), "Hello");
        assert!(inflater.state.is_none());
        assert_eq!(message(&mut inflater, &[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap(), "Hello");
    }

    #[test]
    fn a_message_in_hand_moves_between_threads() {
        let payload = echoes(6, 20_000);
        let packed = Peer::new(6).message(&payload);
        let (mut inflater, mut out) = (inflater(false), BytesMut::new());
        for piece in packed.chunks(1000) {
            (inflater, out) = std::thread::scope(|threads| {
                let carry_on = threads.spawn(move || {
                    inflater.push(piece, &mut out, usize::MAX).unwrap();
                    (inflater, out)
                });
                carry_on.join().unwrap()
            });
        }
        inflater.finish().unwrap();
        assert_eq!(out, payload);
    }

    #[test]
    fn keeps_no_more_than_the_window() {
        for bits in [8, 9, 15] {
            let mut inflater = Inflater::new(&params(true, bits), &DeflateConfig::default(), true);
            let mut peer = Deflater::new(
                &params(true, bits),
                &DeflateConfig { own_context_takeover: true, ..DeflateConfig::default() },
                false,
            );
            for len in [0, 1, 255, 256, 257, 700, 40_000, 3] {
                let mut packed = Vec::new();
                peer.compress(&echoes(len as u64, len), &mut packed);
                assert_eq!(message(&mut inflater, &packed).unwrap(), echoes(len as u64, len));
                assert!(inflater.history.memory() <= 1 << bits, "{}", inflater.history.memory());
                inflater.rest();
                assert!(inflater.state.is_none());
            }
        }
        let mut forgetful = inflater(false);
        message(&mut forgetful, &Peer::new(6).message(b"Hello")).unwrap();
        assert_eq!(forgetful.history.memory(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn our_own_messages_round_trip_however_cut(
            bits in 8_u8..=15,
            takeover: bool,
            level in proptest::sample::select(&[0_u8, 1, 3, 6, 9][..]),
            messages in prop::collection::vec(
                (any::<u32>(), 0_usize..50_000, any::<bool>(), 1_usize..5000, any::<bool>()),
                1..6,
            ),
        ) {
            let params = params(takeover, bits);
            let config = DeflateConfig { own_context_takeover: true, level, ..DeflateConfig::default() };
            let mut deflater = Deflater::new(&params, &config, false);
            let mut inflater = Inflater::new(&params, &DeflateConfig::default(), true);
            for (seed, len, compressible, cut, rest) in messages {
                let payload = if compressible { echoes(seed.into(), len) } else { noise(seed.into(), len) };
                let (mut packed, mut out) = (Vec::new(), BytesMut::new());
                deflater.compress(&payload, &mut packed);
                let (pieces, last) = packed.split_at(packed.len() - packed.len().min(cut));
                for piece in pieces.chunks(cut) {
                    let room = len - out.len();
                    inflater.push(piece, &mut out, room).unwrap();
                }
                let room = len - out.len();
                inflater.push_last(last, &mut out, room).unwrap();
                if rest {
                    inflater.rest();
                }
                prop_assert!(out == payload);
            }
        }

        #[test]
        fn an_independent_peer_is_understood(
            level in 0_u32..=9,
            messages in prop::collection::vec((any::<u32>(), 1_usize..50_000, any::<bool>(), 1_usize..5000), 1..6),
        ) {
            let (mut peer, mut inflater) = (Peer::new(level), inflater(true));
            for (seed, len, compressible, cut) in messages {
                let payload = if compressible { echoes(seed.into(), len) } else { noise(seed.into(), len) };
                let mut out = BytesMut::new();
                for piece in peer.message(&payload).chunks(cut) {
                    inflater.push(piece, &mut out, usize::MAX).unwrap();
                }
                inflater.finish().unwrap();
                prop_assert!(out == payload);
            }
        }

        /// Any bytes at all: no panic, no more than the limit, and a verdict that a second inflater shares.
        #[test]
        fn arbitrary_bytes_get_the_same_verdict_from_another_inflater(
            packed in prop::collection::vec(any::<u8>(), 0..200),
            takeover: bool,
        ) {
            let mut context = Vec::new();
            let expected = oracle::inflate(&packed, &mut context).map(|_| context);
            match message(&mut inflater(takeover), &packed) {
                Ok(out) => prop_assert!(packed.is_empty() || expected.is_none_or(|plain| plain == out)),
                Err(_) => prop_assert_eq!(expected, None),
            }
        }
    }
}
