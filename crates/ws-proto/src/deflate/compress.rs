//! Our side of permessage-deflate: payloads to DEFLATE (RFC 7692 §7.2.1).
//!
//! Every piece ends with a sync flush, so that what was sent can be inflated as soon as it arrives, and so that the
//! stream stands on a byte boundary whenever control comes back to the caller.

use std::fmt;

use super::encoder::Encoder;
use super::live::Live;
use super::params::{DeflateConfig, DeflateParams, WindowBits};
use super::pool;

/// What a sync flush ends with: an empty stored block less its three bits of header. "Remove 4 octets (that are 0x00
/// 0x00 0xff 0xff) from the tail end" (§7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Our side of one connection: compresses each message that we send.
///
/// Memory on top of itself, measured: without context takeover nothing between messages, and up to 160 KiB borrowed
/// from the thread's pool while a message is sent. With takeover it grows with what was sent, up to the same 160 KiB
/// for a window of 32 KiB; at [rest](Self::rest) only the last bytes sent are kept, at most a window.
pub struct Deflater {
    level: u8,
    window: WindowBits,
    takes_context_over: bool,
    max_live: usize,
    /// With takeover and without `encoder`: the context.
    context: Box<[u8]>,
    /// While a message is in hand, and between messages while `live`.
    encoder: Option<Box<Encoder>>,
    live: Option<Live>,
    /// A message is in hand.
    open: bool,
}

impl Deflater {
    /// The codec for what `params` allows this side (`is_server`), in the way `config` wants it. The window is the
    /// smaller of the two. The context is taken over only when both agree and the level is above 0: RFC 7692 §7.1.1
    /// allows it, but obliges nobody.
    #[must_use]
    pub fn new(params: &DeflateParams, config: &DeflateConfig, is_server: bool) -> Self {
        let (no_takeover, window) = if is_server {
            (params.server_no_context_takeover, params.server_max_window_bits)
        } else {
            (params.client_no_context_takeover, params.client_max_window_bits)
        };
        Self {
            level: config.level,
            window: window.min(config.own_max_window_bits),
            // Level 0 would refer to nothing.
            takes_context_over: config.own_context_takeover && !no_takeover && config.level > 0,
            max_live: config.max_live,
            context: Box::default(),
            encoder: None,
            live: None,
            open: false,
        }
    }

    /// Whether messages refer to earlier ones, so that the peer must have seen every compressed one. Whoever sends
    /// something else instead must call [`reset`](Self::reset).
    #[must_use]
    pub fn takes_context_over(&self) -> bool {
        self.takes_context_over
    }

    /// Appends the compressed form of a whole message to `out`. It is never empty, and may be larger than the payload:
    /// by 5 bytes for each 32 KiB begun, and 6 more.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.compress_piece(payload, true, out);
    }

    /// Appends the compressed form of the next piece of a message to `out`; `last` ends the message. The pieces of a
    /// message, one after another, are its payload; each goes in a frame of its own. An empty piece that is not the
    /// last appends nothing.
    pub fn compress_piece(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) {
        if !piece.is_empty() {
            let whole = last && !self.open;
            let expected = if whole && !self.takes_context_over { piece.len() } else { usize::MAX };
            let encoder = match &mut self.encoder {
                Some(encoder) => encoder,
                none => none.insert(ready(self.level, self.window, expected, &std::mem::take(&mut self.context))),
            };
            pool::with_tokens(|tokens| encoder.compress(piece, tokens, out));
            self.open = true;
            if !last {
                out.extend_from_slice(&TAIL);
            }
        } else if last {
            // The stream stands on a byte boundary, so this is the header of an empty stored block: "an empty
            // uncompressed DEFLATE block [...] 0x00" (§7.2.3.6).
            out.push(0x00);
        }
        if last {
            self.open = false;
            self.keep_or_rest();
        }
    }

    /// Forgets all that was compressed so far: later messages refer to nothing before this call. To be called between
    /// messages, when the peer will not see what was compressed last, or saw a message compressed elsewhere. In the
    /// middle of a message it abandons that message.
    pub fn reset(&mut self) {
        self.open = false;
        self.context = Box::default();
        self.live = None;
        self.give_back();
    }

    /// Gives back what makes the next message fast and keeps only what it may refer to: for connections that are quiet.
    /// The next message costs up to about 50 µs more, for reading those bytes again (a window of 32 KiB). Nothing
    /// happens while a message is in hand.
    pub fn rest(&mut self) {
        if self.open {
            return;
        }
        self.live = None;
        if let Some(encoder) = &self.encoder {
            self.context = encoder.context().into();
            self.give_back();
        }
    }

    /// Bytes of memory held now, without this value itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.context.len() + self.encoder.as_ref().map_or(0, |encoder| encoder.memory())
    }

    /// After a message.
    fn keep_or_rest(&mut self) {
        if !self.takes_context_over {
            self.give_back();
        } else if self.live.is_none() && self.encoder.is_some() {
            self.live = Live::claim(self.max_live);
            if self.live.is_none() {
                self.rest();
            }
        }
    }

    fn give_back(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            pool::give_encoder(encoder);
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("level", &self.level)
            .field("window", &self.window)
            .field("takes_context_over", &self.takes_context_over)
            .finish_non_exhaustive()
    }
}

/// Appends one message, compressed without context, to `out`: it may be sent to any connection whose window for our
/// side is `window` or larger. On a connection that takes its context over, [`Deflater::reset`] must follow.
///
/// `level` is 0 to 9; above counts as 9.
pub fn compress_alone(payload: &[u8], level: u8, window: WindowBits, out: &mut Vec<u8>) {
    if payload.is_empty() {
        out.push(0x00);
        return;
    }
    let mut encoder = ready(level, window, payload.len(), &[]);
    pool::with_tokens(|tokens| encoder.compress(payload, tokens, out));
    pool::give_encoder(encoder);
}

/// An encoder whose stream has `context` behind it and about `expected` bytes before it.
fn ready(level: u8, window: WindowBits, expected: usize, context: &[u8]) -> Box<Encoder> {
    let mut encoder = pool::take_encoder();
    encoder.reset(level, window, expected);
    encoder.remember(context);
    encoder
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::oracle::{self, echoes, noise};
    use super::*;

    const LEVELS: [u8; 5] = [0, 1, 3, 6, 9];

    fn deflater(takeover: bool, level: u8, bits: u8) -> Deflater {
        let config = DeflateConfig {
            own_context_takeover: takeover,
            own_max_window_bits: WindowBits::new(bits).unwrap(),
            level,
            ..DeflateConfig::default()
        };
        Deflater::new(&DeflateParams::default(), &config, true)
    }

    fn compressed(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        deflater.compress(payload, &mut out);
        out
    }

    #[test]
    fn takes_the_smaller_window_and_the_stricter_takeover() {
        let window = |bits| WindowBits::new(bits).unwrap();
        let params = DeflateParams {
            server_no_context_takeover: true,
            server_max_window_bits: window(10),
            client_max_window_bits: window(14),
            ..DeflateParams::default()
        };
        let config =
            DeflateConfig { own_context_takeover: true, own_max_window_bits: window(12), ..DeflateConfig::default() };
        let server = Deflater::new(&params, &config, true);
        assert_eq!(server.window, window(10));
        assert!(!server.takes_context_over());
        let client = Deflater::new(&params, &config, false);
        assert_eq!(client.window, window(12));
        assert!(client.takes_context_over());
        let modest = DeflateConfig { own_context_takeover: false, ..config };
        assert!(!Deflater::new(&params, &modest, false).takes_context_over());
    }

    /// Nothing may reach further back than the window, above all not further than 256 bytes, for which zlib has no
    /// window of its own.
    #[test]
    fn no_distance_exceeds_the_window() {
        for bits in 8..=15 {
            for level in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
                let mut deflater = deflater(true, level, bits);
                let mut context = Vec::new();
                let mut farthest = 0;
                for seed in 0..2 {
                    let payload = echoes(seed, 3 << bits);
                    let message = compressed(&mut deflater, &payload);
                    farthest = farthest.max(oracle::inflate(&message, &mut context).unwrap().farthest);
                    assert!(context.ends_with(&payload));
                }
                assert!(farthest <= 1 << bits, "window {bits}, level {level}: {farthest}");
                assert_eq!(farthest > 128, level > 0, "window {bits}, level {level} was not tempted: {farthest}");
            }
        }
    }

    /// The same for what a period of each length around 256 tempts it to.
    #[test]
    fn a_window_of_256_bytes_is_never_exceeded_by_periods() {
        for level in LEVELS {
            for period in 240..=520 {
                let payload = noise(period as u64, period).repeat(5);
                let mut out = Vec::new();
                compress_alone(&payload, level, WindowBits::MIN, &mut out);
                let mut plain = Vec::new();
                assert!(oracle::inflate(&out, &mut plain).unwrap().farthest <= 256, "level {level}, period {period}");
                assert_eq!(plain, payload);
            }
        }
    }

    #[test]
    fn without_takeover_each_message_stands_alone() {
        let mut deflater = deflater(false, 6, 15);
        for _ in 0..3 {
            let mut plain = Vec::new();
            let message = compressed(&mut deflater, &echoes(1, 5000));
            assert!(!oracle::inflate(&message, &mut plain).unwrap().used_context);
            assert_eq!(plain, echoes(1, 5000));
            assert!(deflater.encoder.is_none());
        }
    }

    #[test]
    fn with_takeover_a_repeated_message_is_a_reference() {
        let mut deflater = deflater(true, 3, 15);
        let payload = noise(7, 1000);
        let first = compressed(&mut deflater, &payload);
        let second = compressed(&mut deflater, &payload);
        assert!(first.len() >= 1000 && second.len() < 30, "{} then {}", first.len(), second.len());
    }

    /// Longer than all the room for text, so that the oldest goes away again and again.
    #[test]
    fn long_streams_round_trip_in_every_window() {
        for bits in 8..=15 {
            for level in LEVELS {
                let mut deflater = deflater(true, level, bits);
                let mut peer = Vec::new();
                for len in [100_000, 1, 32 << 10, 70_001] {
                    let payload = echoes(len as u64, len);
                    peer.drain(..peer.len().saturating_sub(1 << bits));
                    oracle::inflate(&compressed(&mut deflater, &payload), &mut peer).unwrap();
                    assert!(peer.ends_with(&payload), "window {bits}, level {level}, {len} bytes");
                }
            }
        }
    }

    #[test]
    fn rest_keeps_the_context_and_nothing_else() {
        for bits in [8, 12, 15] {
            let mut deflater = deflater(true, 6, bits);
            let mut peer = Vec::new();
            let payload = noise(7, 200);
            for len in [0, 1, 300, 100_000] {
                oracle::inflate(&compressed(&mut deflater, &echoes(1, len)), &mut peer).unwrap();
                oracle::inflate(&compressed(&mut deflater, &payload), &mut peer).unwrap();
                assert!(deflater.memory() > 1 << bits.min(13), "{}", deflater.memory());
                deflater.rest();
                assert!(deflater.encoder.is_none() && deflater.live.is_none());
                assert_eq!(deflater.memory(), peer.len().min(1 << bits));
                let again = compressed(&mut deflater, &payload);
                assert!(oracle::inflate(&again, &mut peer).unwrap().used_context);
                assert!(again.len() < 20 && peer.ends_with(&payload));
            }
        }
    }

    #[test]
    fn rest_leaves_a_message_in_hand_alone() {
        let mut deflater = deflater(true, 6, 15);
        let mut message = Vec::new();
        deflater.compress_piece(b"Hello, ", false, &mut message);
        deflater.rest();
        deflater.compress_piece(b"Hello", true, &mut message);
        let mut plain = Vec::new();
        oracle::inflate(&message, &mut plain).unwrap();
        assert_eq!(plain, b"Hello, Hello");
    }

    #[test]
    fn beyond_the_most_live_contexts_each_message_ends_at_rest() {
        let config = DeflateConfig { own_context_takeover: true, max_live: 0, ..DeflateConfig::default() };
        let mut deflater = Deflater::new(&DeflateParams::default(), &config, true);
        let mut peer = Vec::new();
        for round in 0..3 {
            let message = compressed(&mut deflater, &noise(7, 500));
            let seen = oracle::inflate(&message, &mut peer).unwrap();
            assert_eq!(seen.used_context, round > 0);
            assert!(deflater.encoder.is_none() && deflater.live.is_none());
            assert_eq!(deflater.memory(), 500 * (round + 1));
        }
    }

    /// `len` bytes of JSON, neither random nor all alike.
    fn json(seed: usize, len: usize) -> Vec<u8> {
        let dice = noise(seed as u64, len);
        let item = |roll: &[u8]| {
            let (id, user, cents) = (u32::from_le_bytes([roll[0], roll[1], roll[2], 0]), roll[3], roll[4] % 100);
            let side = if roll[5] < 128 { "buy" } else { "sell" };
            format!("{{\"id\":{id},\"user\":\"user-{user}\",\"price\":{}.{cents:02},\"side\":\"{side}\"}},", roll[6])
        };
        dice.chunks_exact(8).flat_map(|roll| item(roll).into_bytes()).take(len).collect()
    }

    fn sizes(takeover: bool, level: u8, len: usize) -> usize {
        let mut deflater = deflater(takeover, level, 15);
        (0..40).map(|seed| compressed(&mut deflater, &json(seed, len)).len()).sum()
    }

    /// What the levels are for. The other compressor at level 6 is what many peers use.
    #[test]
    fn higher_levels_are_smaller_and_the_default_is_no_larger_than_another_deflate() {
        for takeover in [false, true] {
            for len in [1 << 10, 16 << 10] {
                let by_level: Vec<_> = LEVELS.iter().map(|&level| sizes(takeover, level, len)).collect();
                assert!(by_level.is_sorted_by(|lower, higher| lower > higher), "{by_level:?}");

                let mut other = flate2::Compress::new(flate2::Compression::new(6), false);
                let mut other_size = 0;
                for seed in 0..40 {
                    if !takeover {
                        other.reset();
                    }
                    let mut out = Vec::with_capacity(2 * len);
                    other.compress_vec(&json(seed, len), &mut out, flate2::FlushCompress::Sync).unwrap();
                    other_size += out.len() - TAIL.len();
                }
                let ours = sizes(takeover, DeflateConfig::DEFAULT_LEVEL, len);
                assert!(ours <= other_size, "takeover {takeover}, {len} bytes: {ours}, the other {other_size}");
            }
        }
    }

    /// Attack 27 (sockudo-ws#14): a message that grew was sent plain; the next must not refer to it.
    #[test]
    fn attack_27_skipping_a_larger_message_under_takeover() {
        for level in LEVELS {
            let mut deflater = deflater(true, level, 15);
            let mut seen_by_peer = Vec::new();
            let first = compressed(&mut deflater, b"the first message");
            oracle::inflate(&first, &mut seen_by_peer).unwrap();

            let grew = noise(3, 400);
            assert!(compressed(&mut deflater, &grew).len() > grew.len());
            deflater.reset();

            let next = compressed(&mut deflater, &grew);
            let seen = oracle::inflate(&next, &mut seen_by_peer).unwrap();
            assert!(!seen.used_context);
            assert!(seen_by_peer.ends_with(&grew));
        }
    }

    /// A message compressed once for many goes between the messages of a connection with takeover.
    #[test]
    fn a_message_compressed_alone_needs_only_a_reset() {
        let mut deflater = deflater(true, 6, 15);
        let mut peer = Vec::new();
        let payload = echoes(5, 3000);
        for round in 0..3 {
            let mut alone = Vec::new();
            compress_alone(&payload, 6, WindowBits::MAX, &mut alone);
            assert!(!oracle::inflate(&alone, &mut peer).unwrap().used_context);
            deflater.reset();
            for again in 0..2 {
                let seen = oracle::inflate(&compressed(&mut deflater, &payload), &mut peer).unwrap();
                assert_eq!(seen.used_context, again == 1, "round {round}");
                assert!(peer.ends_with(&payload));
            }
        }
    }

    /// Attack 27 (sockudo-ws#68): what does not compress comes out larger than it went in, and whole.
    #[test]
    fn attack_27_the_incompressible_is_not_truncated() {
        for level in LEVELS {
            for takeover in [false, true] {
                // Around the size of a chunk, where the last flush may or may not fit.
                for len in (1..40).chain(pool::CHUNK - 30..pool::CHUNK + 5).chain([65_535, 65_536, 100_000]) {
                    let payload = noise(len as u64, len);
                    let message = compressed(&mut deflater(takeover, level, 15), &payload);
                    assert!(message.len() <= len + 5 * len.div_ceil(32 << 10) + 6, "{len} became {}", message.len());
                    let mut plain = Vec::new();
                    oracle::inflate(&message, &mut plain).unwrap();
                    assert!(plain == payload, "level {level}, {len} bytes");
                }
            }
        }
    }

    #[test]
    fn an_empty_message_is_one_zero() {
        for takeover in [false, true] {
            let mut deflater = deflater(takeover, 3, 15);
            assert_eq!(compressed(&mut deflater, b""), [0x00]);
            let mut peer = Vec::new();
            oracle::inflate(&compressed(&mut deflater, b"Hello"), &mut peer).unwrap();
            assert_eq!(compressed(&mut deflater, b""), [0x00]);
            oracle::inflate(&compressed(&mut deflater, b"Hello"), &mut peer).unwrap();
            assert_eq!(peer, b"HelloHello");
        }
        let mut alone = Vec::new();
        compress_alone(b"", 3, WindowBits::MAX, &mut alone);
        assert_eq!(alone, [0x00]);
    }

    #[test]
    fn each_piece_can_be_inflated_when_it_arrives() {
        let mut deflater = deflater(false, 6, 15);
        let mut message = Vec::new();
        deflater.compress_piece(b"Hel", false, &mut message);
        assert!(message.ends_with(&TAIL));
        let mut plain = Vec::new();
        oracle::inflate(&message[..message.len() - TAIL.len()], &mut plain).unwrap();
        assert_eq!(plain, b"Hel");

        deflater.compress_piece(b"", false, &mut message);
        deflater.compress_piece(b"lo", false, &mut message);
        deflater.compress_piece(b"", true, &mut message);
        plain.clear();
        oracle::inflate(&message, &mut plain).unwrap();
        assert_eq!(plain, b"Hello");
    }

    #[test]
    fn a_message_in_pieces_moves_between_threads() {
        let mut deflater = deflater(false, 6, 15);
        let payload = echoes(9, 9000);
        let mut message = Vec::new();
        for (index, piece) in payload.chunks(1000).enumerate() {
            (deflater, message) = std::thread::spawn(move || {
                // Something else on the same connection settings, from the pool of that thread.
                compress_alone(&noise(1, 100), 6, WindowBits::MAX, &mut Vec::new());
                deflater.compress_piece(&echoes(9, 9000)[1000 * index..][..1000], index == 8, &mut message);
                (deflater, message)
            })
            .join()
            .unwrap();
            assert_eq!(piece.len(), 1000);
        }
        let mut plain = Vec::new();
        oracle::inflate(&message, &mut plain).unwrap();
        assert_eq!(plain, payload);
    }

    #[test]
    fn an_abandoned_message_leaves_no_trace() {
        for takeover in [false, true] {
            let mut deflater = deflater(takeover, 6, 15);
            deflater.compress_piece(&echoes(2, 500), false, &mut Vec::new());
            deflater.reset();
            let message = compressed(&mut deflater, &echoes(2, 500));
            let mut plain = Vec::new();
            assert!(!oracle::inflate(&message, &mut plain).unwrap().used_context);
            assert_eq!(plain, echoes(2, 500));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_setting_round_trips_in_its_window(
            bits in 8_u8..=15,
            takeover: bool,
            level in proptest::sample::select(&LEVELS[..]),
            messages in prop::collection::vec(
                (any::<u32>(), 0_usize..6000, any::<bool>(), 1_usize..4000, any::<bool>()),
                1..6,
            ),
        ) {
            let mut deflater = deflater(takeover, level, bits);
            let mut context = Vec::new();
            for (seed, len, compressible, cut, rest) in messages {
                let payload = if compressible { echoes(seed.into(), len) } else { noise(seed.into(), len) };
                let mut message = Vec::new();
                for piece in payload.chunks(cut) {
                    deflater.compress_piece(piece, false, &mut message);
                }
                deflater.compress_piece(b"", true, &mut message);
                if !takeover {
                    context.clear();
                }
                let seen = oracle::inflate(&message, &mut context);
                prop_assert!(seen.is_some_and(|seen| seen.farthest <= 1 << bits));
                prop_assert!(context.ends_with(&payload));
                if rest {
                    deflater.rest();
                }
            }
        }
    }
}
