//! One DEFLATE block: what it says (literals and matches), and the shortest of the three ways to write that
//! (RFC 1951 §3.2.3).
#![expect(clippy::cast_possible_truncation, reason = "lengths, distances and code lengths are below 2^16")]

use std::sync::LazyLock;

use super::bits::Bits;
use super::huffman::Code;

/// The most bytes that one block may stand for: what a stored block can hold, and more.
pub(super) const MOST_BYTES: usize = 32 * 1024;
/// A stored block: the two bits that say so, behind the one that says whether it is the last.
const STORED: u32 = 0;
const FIXED: u32 = 1;
const DYNAMIC: u32 = 2;

const END_OF_BLOCK: usize = 256;
/// Literals, the end of the block, lengths.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
/// In which order a header names the lengths of the words that name lengths (RFC 1951 §3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The symbol of each length less 3, less 257.
static LENGTH_SYMBOLS: [u8; 256] = length_symbols();

const fn length_symbols() -> [u8; 256] {
    let mut symbols = [0; 256];
    let mut length = 0;
    while length < 255 {
        symbols[length] = doubling(length as u32, 2) as u8;
        length += 1;
    }
    // 258 has a symbol of its own.
    symbols[255] = 28;
    symbols
}

/// The class of a value where every doubling of it has 2^`split` classes.
#[inline]
const fn doubling(value: u32, split: u32) -> u32 {
    if value < 2 << split {
        return value;
    }
    let shift = value.ilog2() - split;
    (shift << split) + (value >> shift)
}

/// How many bits of a value its class leaves open.
#[inline]
const fn open_bits(class: u32, split: u32) -> u32 {
    (class >> split).saturating_sub(1)
}

#[inline]
fn length_class(length: u32) -> u32 {
    u32::from(LENGTH_SYMBOLS[(length & 255) as usize])
}

#[inline]
fn open_length_bits(class: u32) -> u32 {
    if class == 28 { 0 } else { open_bits(class, 2) }
}

/// The literals and matches of a block, counted as they come.
pub(super) struct Tokens {
    /// A literal; or a match: the highest bit, the length less 3 from bit 16 on, the distance less 1.
    list: Vec<u32>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

const MATCH: u32 = 1 << 31;

impl Tokens {
    pub(super) const fn new() -> Self {
        Self { list: Vec::new(), literals: [0; LITERALS], distances: [0; DISTANCES] }
    }

    #[inline]
    pub(super) fn literal(&mut self, byte: u8) {
        self.list.push(byte.into());
        self.literals[usize::from(byte)] += 1;
    }

    /// `length` bytes as they were `distance` bytes before: 3 to 258, 1 to 32,768.
    #[inline]
    pub(super) fn copy(&mut self, length: usize, distance: usize) {
        let (length, distance) = (length as u32 - 3, distance as u32 - 1);
        self.list.push(MATCH | length << 16 | distance);
        self.literals[END_OF_BLOCK + 1 + length_class(length) as usize] += 1;
        self.distances[doubling(distance, 1) as usize] += 1;
    }

    /// Writes a block that is not the last one, and forgets what was in it. `plain` is what it stands for.
    pub(super) fn write(&mut self, plain: &[u8], bits: &mut Bits<'_>) {
        self.literals[END_OF_BLOCK] += 1;
        let header = Header::new(self);
        let dynamic_cost = header.cost() + header.codes.cost(self);
        let fixed_cost = FIXED_CODES.cost(self);
        let cheapest = dynamic_cost.min(fixed_cost) + self.open_bits();
        if 8 * (plain.len() as u32 + 5) <= cheapest {
            store(plain, bits);
        } else if fixed_cost <= dynamic_cost {
            bits.put(FIXED << 1, 3);
            self.write_body(&FIXED_CODES, bits);
        } else {
            bits.put(DYNAMIC << 1, 3);
            header.write(bits);
            self.write_body(&header.codes, bits);
        }
        self.list.clear();
        self.literals = [0; LITERALS];
        self.distances = [0; DISTANCES];
    }

    fn write_body(&self, codes: &Codes, bits: &mut Bits<'_>) {
        for &token in &self.list {
            if token & MATCH == 0 {
                let (word, len) = codes.literals.word(token as usize);
                bits.put(word, len);
                continue;
            }
            let (length, distance) = (token >> 16 & 255, token & 0x7fff);
            let class = length_class(length);
            let (word, len) = codes.literals.word(END_OF_BLOCK + 1 + class as usize);
            let open = open_length_bits(class);
            bits.put(word | low(length, open) << len, len + open);
            let class = doubling(distance, 1);
            let (word, len) = codes.distances.word(class as usize);
            let open = open_bits(class, 1);
            bits.put(word | low(distance, open) << len, len + open);
        }
        let (word, len) = codes.literals.word(END_OF_BLOCK);
        bits.put(word, len);
    }

    /// The bits of all matches that are not part of a code.
    fn open_bits(&self) -> u32 {
        let lengths =
            (0..).zip(&self.literals[END_OF_BLOCK + 1..]).map(|(class, count)| open_length_bits(class) * count);
        let distances = (0..).zip(&self.distances).map(|(class, count)| open_bits(class, 1) * count);
        lengths.chain(distances).sum()
    }
}

#[inline]
fn low(value: u32, bits: u32) -> u32 {
    value & ((1 << bits) - 1)
}

/// Writes a block that is not the last one and not compressed: 65,535 bytes at most.
pub(super) fn store(plain: &[u8], bits: &mut Bits<'_>) {
    let len = plain.len() as u16;
    bits.put(STORED << 1, 3);
    bits.align();
    bits.bytes(&len.to_le_bytes());
    bits.bytes(&(!len).to_le_bytes());
    bits.bytes(plain);
}

/// Writes the beginning of an empty stored block, up to the byte boundary: what makes "0x00 0x00 0xff 0xff" its rest.
pub(super) fn flush(bits: &mut Bits<'_>) {
    bits.put(STORED << 1, 3);
    bits.align();
}

struct Codes {
    literals: Code<LITERALS>,
    distances: Code<DISTANCES>,
}

impl Codes {
    fn cost(&self, tokens: &Tokens) -> u32 {
        self.literals.cost(&tokens.literals) + self.distances.cost(&tokens.distances)
    }
}

/// The codes of a block with fixed ones (RFC 1951 §3.2.6).
static FIXED_CODES: LazyLock<Codes> = LazyLock::new(|| {
    let lengths = std::array::from_fn::<u8, 288, _>(|symbol| match symbol {
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    });
    Codes { literals: Code::from_lengths(lengths).first(), distances: Code::from_lengths([5; 32]).first() }
});

/// The codes of a block with its own, and how they are told: the lengths of all words, run-length coded.
struct Header {
    codes: Codes,
    runs: Runs,
    run_code: Code<19>,
}

impl Header {
    fn new(tokens: &Tokens) -> Self {
        let codes = Codes {
            literals: Code::new(&tokens.literals, limit(&tokens.literals)),
            distances: Code::new(&tokens.distances, 15),
        };
        let mut lengths = [0; LITERALS + DISTANCES];
        let (literals, distances) = (codes.literals.used(), codes.distances.used());
        lengths[..literals].copy_from_slice(&codes.literals.lengths()[..literals]);
        lengths[literals..][..distances].copy_from_slice(&codes.distances.lengths()[..distances]);
        let runs = Runs::new(&lengths[..literals + distances]);
        let run_code = Code::new(&runs.counts, 7);
        Self { codes, runs, run_code }
    }

    /// How many lengths of words for lengths are told: all but the last that are zero.
    fn told(&self) -> usize {
        let last = ORDER.iter().rposition(|&symbol| self.run_code.lengths()[symbol] > 0);
        last.map_or(4, |last| last + 1).max(4)
    }

    fn cost(&self) -> u32 {
        let extra: u32 =
            (REPEAT..).zip(&self.runs.counts[16..]).map(|(symbol, count)| extra_bits(symbol) * count).sum();
        14 + 3 * self.told() as u32 + self.run_code.cost(&self.runs.counts) + extra
    }

    fn write(&self, bits: &mut Bits<'_>) {
        let told = self.told();
        bits.put(self.codes.literals.used() as u32 - 257, 5);
        bits.put(self.codes.distances.used() as u32 - 1, 5);
        bits.put(told as u32 - 4, 4);
        for &symbol in &ORDER[..told] {
            bits.put(self.run_code.lengths()[symbol].into(), 3);
        }
        for run in &self.runs.list[..self.runs.len] {
            let (word, len) = self.run_code.word(run.symbol.into());
            bits.put(word | u32::from(run.extra) << len, len + extra_bits(run.symbol));
        }
    }
}

/// The longest word for literals and lengths. A symbol that occurs once among n deserves log2(n) bits; one bit less
/// costs next to nothing, and makes the lengths more alike and so cheaper to tell: 2 bytes of a message of 1 KiB.
fn limit(frequencies: &[u32; LITERALS]) -> usize {
    let tokens: u32 = frequencies.iter().sum();
    let symbols = frequencies.iter().filter(|&&frequency| frequency > 0).count();
    let needed = symbols.max(2).ilog2() + 1;
    (tokens.ilog2().saturating_sub(1)).max(needed).min(15) as usize
}

fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        REPEAT => 2,
        FEW_ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}

/// Lengths of words, run-length coded (RFC 1951 §3.2.7).
struct Runs {
    list: [Run; LITERALS + DISTANCES],
    len: usize,
    /// How often each symbol occurs.
    counts: [u32; 19],
}

/// A symbol of the code for lengths, and the value of the bits behind it.
#[derive(Clone, Copy)]
struct Run {
    symbol: u8,
    extra: u8,
}

const REPEAT: u8 = 16;
const FEW_ZEROS: u8 = 17;
const MANY_ZEROS: u8 = 18;

impl Runs {
    fn new(lengths: &[u8]) -> Self {
        let mut runs = Self { list: [Run { symbol: 0, extra: 0 }; LITERALS + DISTANCES], len: 0, counts: [0; 19] };
        for equal in lengths.chunk_by(|one, two| one == two) {
            let mut left = equal.len();
            match equal[0] {
                0 => {
                    runs.repeat(MANY_ZEROS, 11, 138, &mut left);
                    runs.repeat(FEW_ZEROS, 3, 10, &mut left);
                }
                length if left > 3 => {
                    runs.push(length, 0);
                    left -= 1;
                    runs.repeat(REPEAT, 3, 6, &mut left);
                }
                _ => {}
            }
            (0..left).for_each(|_| runs.push(equal[0], 0));
        }
        runs
    }

    /// As many of `left` as `symbol` can stand for, which is `least` to `most` each time.
    fn repeat(&mut self, symbol: u8, least: usize, most: usize, left: &mut usize) {
        while *left >= least {
            let count = (*left).min(most);
            self.push(symbol, (count - least) as u8);
            *left -= count;
        }
    }

    fn push(&mut self, symbol: u8, extra: u8) {
        self.list[self.len] = Run { symbol, extra };
        self.len += 1;
        self.counts[usize::from(symbol)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle;
    use super::*;

    /// A block that says `tokens`, and its kind.
    fn written(tokens: &mut Tokens, plain: &[u8]) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        let mut bits = Bits::new(&mut out);
        tokens.write(plain, &mut bits);
        flush(&mut bits);
        let kind = u32::from(out[0] >> 1 & 3);
        (out, kind)
    }

    #[test]
    fn every_length_and_distance_is_said_right() {
        let mut tokens = Tokens::new();
        let mut context: Vec<u8> = oracle::noise(1, 32 << 10);
        let mut expected = context.clone();
        let distances = (0..15).flat_map(|power| [1 << power, (1 << power) + 1, (3 << power) / 2]).chain([32 << 10]);
        for (length, distance) in (3..=258).zip(distances.cycle()) {
            tokens.copy(length, distance);
            let from = expected.len() - distance;
            (from..from + length).for_each(|at| expected.push(expected[at]));
        }
        let (block, kind) = written(&mut tokens, &expected[32 << 10..]);
        assert_eq!(kind, DYNAMIC);
        assert_eq!(oracle::inflate(&block, &mut context).unwrap().farthest, 32 << 10);
        assert!(context == expected);
    }

    #[test]
    fn the_shortest_of_three_forms_is_taken() {
        let text = b"that that is is that that is not is not".repeat(40);
        let cases: [(&[u8], u32); 3] = [(&oracle::noise(1, 1000), STORED), (b"Hello", FIXED), (&text, DYNAMIC)];
        for (plain, expected) in cases {
            let mut tokens = Tokens::new();
            plain.iter().for_each(|&byte| tokens.literal(byte));
            let (block, kind) = written(&mut tokens, plain);
            assert_eq!(kind, expected);
            let mut out = Vec::new();
            oracle::inflate(&block, &mut out).unwrap();
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn runs_of_lengths() {
        let lengths = [vec![0; 2], vec![0; 150], vec![5; 3], vec![6; 8], vec![7; 4], vec![0; 10], vec![0, 1]].concat();
        let runs = Runs::new(&lengths);
        let said: Vec<_> = runs.list[..runs.len].iter().map(|run| (run.symbol, run.extra)).collect();
        assert_eq!(said[..2], [(MANY_ZEROS, 127), (MANY_ZEROS, 3)]);
        assert_eq!(said[2..], [(5, 0), (5, 0), (5, 0), (6, 0), (16, 3), (6, 0), (7, 0), (16, 0), (18, 0), (1, 0)]);
    }
}
