//! For tests: a second inflater, slow, small, written from RFC 1951, and able to tell how far back a stream reaches;
//! and peers that compress by another library.

use flate2::{Compress, Compression, FlushCompress};

use super::compress::TAIL;
use super::moved;

/// What a stream did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The largest distance of a match; 0 when there was none.
    pub(super) farthest: usize,
    /// Whether a match began before the end of the context that was given.
    pub(super) used_context: bool,
}

/// Inflates one whole message (its tail removed), appending to `context`. `None` when it is not DEFLATE, or does not
/// end with the empty stored block that the tail completes.
pub(super) fn inflate(message: &[u8], context: &mut Vec<u8>) -> Option<Seen> {
    let stream = [message, &[0x00, 0x00, 0xff, 0xff]].concat();
    let mut bits = Bits { data: &stream, at: 0 };
    let mut seen = Seen::default();
    let begin = context.len();
    let mut ends_empty = false;
    while bits.at < 8 * stream.len() {
        let before = context.len();
        let is_final = bits.take(1)? == 1;
        let kind = bits.take(2)?;
        match kind {
            0 => stored(&mut bits, context)?,
            1 => coded(&mut bits, &fixed(), context, begin, &mut seen)?,
            2 => {
                let codes = dynamic(&mut bits)?;
                coded(&mut bits, &codes, context, begin, &mut seen)?;
            }
            _ => return None,
        }
        if is_final {
            bits.align();
        }
        ends_empty = kind == 0 && context.len() == before;
    }
    ends_empty.then_some(seen)
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for place in 0..count {
            let byte = *self.data.get(self.at / 8)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// A canonical Huffman code: how many codes of each length, and their symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&length| counts[length] += 1);
        counts[0] = 0;
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    bits.align();
    let (len, check) = (bits.take(16)?, bits.take(16)?);
    if len != !check & 0xffff {
        return None;
    }
    let begin = bits.at / 8;
    out.extend_from_slice(bits.data.get(begin..begin + len)?);
    bits.at += 8 * len;
    Some(())
}

fn fixed() -> (Code, Code) {
    let lengths: Vec<_> = (0..288)
        .map(|symbol| match symbol {
            0..144 | 280.. => 8,
            144..256 => 9,
            _ => 7,
        })
        .collect();
    (Code::new(&lengths), Code::new(&[5; 30]))
}

fn dynamic(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, count) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut lengths = [0; 19];
    for &place in &ORDER[..count] {
        lengths[place] = bits.take(3)?;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    let (literals, distances) = lengths.split_at(literals);
    Some((Code::new(literals), Code::new(distances)))
}

fn coded(
    bits: &mut Bits<'_>,
    (literals, distances): &(Code, Code),
    out: &mut Vec<u8>,
    begin: usize,
    seen: &mut Seen,
) -> Option<()> {
    loop {
        match literals.read(bits)? {
            256 => return Some(()),
            literal @ 0..256 => out.push(u8::try_from(literal).ok()?),
            symbol => {
                let length = length(symbol, bits)?;
                let distance = distance(distances.read(bits)?, bits)?;
                let from = out.len().checked_sub(distance)?;
                seen.farthest = seen.farthest.max(distance);
                seen.used_context |= from < begin;
                (from..from + length).for_each(|at| out.push(out[at]));
            }
        }
    }
}

fn length(symbol: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match symbol {
        257..265 => Some(symbol - 254),
        265..285 => {
            let extra = (symbol - 261) / 4;
            Some(3 + ((4 + (symbol - 261) % 4) << extra) + bits.take(extra)?)
        }
        285 => Some(258),
        _ => None,
    }
}

fn distance(symbol: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match symbol {
        0..4 => Some(symbol + 1),
        4..30 => {
            let extra = symbol / 2 - 1;
            Some(1 + ((2 + symbol % 2) << extra) + bits.take(extra)?)
        }
        _ => None,
    }
}

/// `len` bytes that do not compress.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

/// `len` bytes that tempt a compressor to reach back by every distance: noise, then pieces of all that went before.
pub(super) fn echoes(seed: u64, len: usize) -> Vec<u8> {
    let dice = noise(seed, 4 * len + 4);
    let mut bytes = noise(seed + 1, len.min(64));
    for roll in dice.chunks_exact(4) {
        let back = (usize::from(roll[0]) << (roll[1] % 9)) + 1;
        let from = bytes.len().saturating_sub(back);
        let upto = bytes.len().min(from + usize::from(roll[2] % 48));
        bytes.extend_from_within(from..upto);
        bytes.push(roll[3]);
    }
    bytes.truncate(len);
    bytes
}

/// An independent peer, which takes its context over.
pub(super) struct Peer(Compress);

impl Peer {
    pub(super) fn new(level: u32) -> Self {
        Self(Compress::new(Compression::new(level), false))
    }

    fn flush(&mut self, payload: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * payload.len() + 100);
        let before = self.0.total_in();
        self.0.compress_vec(payload, &mut out, flush).unwrap();
        assert_eq!(moved(before, self.0.total_in()), payload.len());
        out
    }

    pub(super) fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = self.flush(payload, FlushCompress::Sync);
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }
}

/// A peer that ends each message with a final block (§7.2.3.4).
pub(super) fn finished(payload: &[u8]) -> Vec<u8> {
    Peer::new(6).flush(payload, FlushCompress::Finish)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The judge is judged: by a third implementation, on stored, fixed and dynamic blocks.
    #[test]
    fn agrees_with_another_deflate() {
        for level in [0, 1, 9] {
            for payload in [b"Hello".to_vec(), noise(1, 70_000), echoes(2, 70_000)] {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(level));
                encoder.write_all(&payload).unwrap();
                let mut stream = encoder.finish().unwrap();
                stream.push(0x00);
                let mut out = Vec::new();
                assert!(inflate(&stream, &mut out).is_some());
                assert_eq!(out, payload);
            }
        }
    }
}
