//! permessage-deflate against zlib. An input is parameters, and then messages: to be compressed by us and inflated by
//! zlib and by us, or, as they are, to be inflated by both.

use bytes::BytesMut;
use flate2::{Decompress, FlushDecompress, Status};
use switchboard_ws_proto::deflate::{DeflateConfig, DeflateParams, Deflater, Inflater, WindowBits, compress_alone};

use crate::script::{Script, chunks};

/// RFC 7692 §7.2.2.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// Another empty stored block, which fits at a byte boundary between two blocks and nowhere else; it is the last.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];
/// As in the inflater: more final blocks in one message are refused.
const MAX_FINAL_BLOCKS: usize = 1024;
/// The most bytes that a payload is made of.
const MOST: usize = 70 << 10;

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let flags = script.byte();
    let config = DeflateConfig {
        own_context_takeover: flags & 2 != 0,
        peer_context_takeover: flags & 2 != 0,
        level: script.byte() % 10,
        threshold: 0,
        // No context is kept ready, or one: the other direction's has to be made again.
        max_live: usize::from(flags >> 2 & 1),
        ..DeflateConfig::default()
    };
    // Whoever inflates need not notice that a peer looks back further than agreed on, and we do not always.
    let bits = if flags & 1 == 0 { 8 + (flags >> 3 & 7) } else { 15 };
    let window = WindowBits::new(bits).expect("8 to 15");
    let params = DeflateParams {
        server_no_context_takeover: flags & 2 == 0,
        client_no_context_takeover: flags & 2 == 0,
        server_max_window_bits: window,
        client_max_window_bits: window,
    };
    if flags & 1 == 0 { compress(script, &params, &config) } else { inflate(script, &params, &config) }
}

/// What we compress, zlib inflates with the window that was agreed on, and so do we.
fn compress(mut script: Script<'_>, params: &DeflateParams, config: &DeflateConfig) {
    let mut deflater = Deflater::new(params, config, true);
    let mut inflater = Inflater::new(params, config, false);
    let mut zlib = Zlib::new(params);
    let mut budget = MOST;
    while let Some(step) = script.step() {
        if step == 0xFF {
            deflater.rest();
            inflater.rest();
            continue;
        }
        let payload = payload(&mut script, &mut budget);
        let mut wire = Vec::new();
        if step == 0xFE {
            // Needs no context, and becomes none of ours.
            compress_alone(&payload, config.level, params.server_max_window_bits, &mut wire);
            deflater.reset();
        } else {
            let cut = payload.len() * usize::from(step & 0xF) / 16;
            if cut > 0 {
                deflater.compress_piece(&payload[..cut], false, &mut wire);
            }
            deflater.compress_piece(&payload[cut..], true, &mut wire);
        }
        let blocks = payload.len() / (32 << 10) + 2;
        assert!(wire.len() <= payload.len() + 5 * blocks + 16, "{} became {}", payload.len(), wire.len());
        assert_eq!(zlib.message(&wire, MOST).as_deref(), Some(&*payload));
        let mut out = BytesMut::new();
        inflater.push_last(&wire, &mut out, payload.len()).expect("our own message");
        assert!(out == payload, "our inflater made something else of it");
    }
}

/// Bytes, perhaps over and over: long matches, and messages of several blocks.
fn payload(script: &mut Script<'_>, budget: &mut usize) -> Vec<u8> {
    let times = script.byte();
    let bytes = script.bytes();
    let times = if times < 0xC0 { 1 + usize::from(times & 3) } else { usize::from(times & 0x3F) << 5 };
    let mut payload = Vec::new();
    for turn in 0..times {
        if payload.len() + bytes.len() > *budget {
            break;
        }
        payload.extend_from_slice(bytes);
        // Not quite the same again.
        if let Some(byte) = payload.last_mut() {
            *byte = byte.wrapping_add(turn as u8 & 1);
        }
    }
    *budget -= payload.len();
    payload
}

/// Of bytes that nobody compressed, zlib and we make the same, however they are cut, or both nothing.
fn inflate(mut script: Script<'_>, params: &DeflateParams, config: &DeflateConfig) {
    let seed = script.byte();
    let room = match script.byte() {
        small @ 0..0x80 => usize::from(small),
        large => usize::from(large) << 8,
    };
    let mut whole = Inflater::new(params, config, true);
    let mut cut = Inflater::new(params, config, true);
    let mut zlib = Zlib::new(params);
    while script.step().is_some() {
        let len = usize::from(script.number() & 0x3FF);
        let message = script.take(len);
        let mut out = BytesMut::new();
        let result = whole.push_last(message, &mut out, room);
        let mut chunk = chunks(seed);
        let (mut rest, mut pieces) = (message, BytesMut::new());
        let chunked = loop {
            let (now, later) = rest.split_at(chunk().min(rest.len()));
            let room = room - pieces.len();
            if let Err(error) = cut.push(now, &mut pieces, room) {
                break Err(error);
            }
            if later.is_empty() {
                break cut.finish();
            }
            rest = later;
        };
        assert!(out.len() <= room && out.capacity() <= 2 * room + 64, "more room was taken than given");
        let expected = zlib.message(message, room);
        assert_eq!(result.is_ok(), expected.is_some(), "we: {result:?}, zlib: {:?} bytes", expected.map(|it| it.len()));
        assert_eq!(chunked.is_ok(), result.is_ok());
        let Some(expected) = expected else { return };
        assert!(out == expected && pieces == expected, "zlib made something else of it");
        whole.rest();
    }
}

/// The peer that RFC 7692 describes, by zlib.
struct Zlib {
    state: Decompress,
    takes_context_over: bool,
    window: u8,
    /// The last bytes that came out: a final block ends zlib's stream, and not ours.
    history: Vec<u8>,
}

impl Zlib {
    fn new(params: &DeflateParams) -> Self {
        // flate2 does not let zlib have the smallest.
        let window = params.server_max_window_bits.get().max(9);
        let state = Decompress::new_with_window_bits(false, window);
        Self { state, takes_context_over: !params.server_no_context_takeover, window, history: Vec::new() }
    }

    /// The payload, of at most `room` bytes. `None`: it is not one, and the connection is over.
    fn message(&mut self, data: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let ended = self.feed(data, &mut out, room)?;
        if !data.is_empty() && !ended {
            let len = out.len();
            if !self.feed(&TAIL, &mut out, usize::MAX)? {
                // A new stream begins, as after any final block, and the next message goes on from the history.
                let ended = self.feed(&LAST_BLOCK, &mut out, usize::MAX)?;
                if !ended {
                    return None;
                }
            }
            if out.len() != len {
                return None;
            }
        }
        if !self.takes_context_over {
            self.history.clear();
            self.renew();
        }
        Some(out)
    }

    /// Whether the last byte ended a stream, so that a new one has begun.
    fn feed(&mut self, mut data: &[u8], out: &mut Vec<u8>, room: usize) -> Option<bool> {
        let mut finals = 0;
        // It notices that something lies beyond the window only where that is not in the same call's output.
        let mut space = [0; 4096];
        let chunk = if self.window < 12 { &mut space[..64] } else { &mut space[..] };
        loop {
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(data, chunk, FlushDecompress::None).ok()?;
            let produced = (self.state.total_out() - written) as usize;
            data = &data[(self.state.total_in() - read) as usize..];
            out.extend_from_slice(&chunk[..produced]);
            self.history.extend_from_slice(&chunk[..produced]);
            let excess = self.history.len().saturating_sub(1 << self.window);
            self.history.drain(..excess);
            if out.len() > room {
                return None;
            }
            if status == Status::StreamEnd {
                self.renew();
                finals += 1;
                if finals > MAX_FINAL_BLOCKS {
                    return None;
                }
                if data.is_empty() {
                    return Some(true);
                }
            } else if data.is_empty() && produced < chunk.len() {
                return Some(false);
            }
        }
    }

    fn renew(&mut self) {
        self.state = Decompress::new_with_window_bits(false, self.window);
        if !self.history.is_empty() {
            self.state.set_dictionary(&self.history).expect("a raw stream takes a dictionary at its start");
        }
    }
}
