//! A DEFLATE compressor for messages. Why there is one of our own: libraries clear 128 KiB and more for each message
//! without context takeover, and keep a quarter of a megabyte, touched all over, for each connection with it; a message
//! is short, and connections are many. What is here clears by the size of the message, and grows with what was sent.

use super::bits::Bits;
use super::block::{self, MOST_BYTES, Tokens};
use super::effort::Effort;
use super::finder::Places;
use super::params::WindowBits;

/// The most hashes are 2^14, two bytes each. More find little more, and cost time by missing the caches.
const MOST_HASH_BITS: u32 = 14;

/// Compresses pieces of a stream, and remembers what it may refer to.
pub(super) struct Encoder {
    effort: Effort,
    /// In bytes.
    window: usize,
    /// The last bytes of the stream: a window of them, and up to [`MOST_BYTES`] more.
    text: Vec<u8>,
    places: Places,
    /// How much of `text` is in `places`, less what was left out on purpose.
    known: usize,
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self { effort: Effort::of_level(0), window: 0, text: Vec::new(), places: Places::new(), known: 0 }
    }

    /// Begins a stream. `expected`: how many bytes it may have at least, as far as is known. `level` above 9 counts
    /// as 9.
    pub(super) fn reset(&mut self, level: u8, window: WindowBits, expected: usize) {
        self.effort = Effort::of_level(level);
        self.window = 1 << window.get();
        self.text.clear();
        self.known = 0;
        let bits = expected.max(1 << 7).ilog2() + 1;
        self.places.clear(bits.min(window.get().into()).min(MOST_HASH_BITS));
    }

    /// Lets the stream refer to `text` as if it had been compressed already.
    pub(super) fn remember(&mut self, text: &[u8]) {
        if self.effort.depth == 0 {
            return;
        }
        let text = &text[text.len().saturating_sub(self.window)..];
        self.append(text);
        self.places.grow(text.len(), self.window);
        self.places.finder(&self.text, self.window, self.effort).learn(0, text.len());
        self.known = text.len().saturating_sub(3);
    }

    /// Appends `piece`, compressed, to `out`, up to where the four bytes begin that a flush ends with (RFC 7692
    /// §7.2.1).
    pub(super) fn compress(&mut self, piece: &[u8], tokens: &mut Tokens, out: &mut Vec<u8>) {
        let mut bits = Bits::new(out);
        if self.effort.depth == 0 {
            piece.chunks(MOST_BYTES).for_each(|plain| block::store(plain, &mut bits));
        } else {
            self.compress_blocks(piece, tokens, &mut bits);
        }
        block::flush(&mut bits);
    }

    fn compress_blocks(&mut self, mut piece: &[u8], tokens: &mut Tokens, bits: &mut Bits<'_>) {
        while !piece.is_empty() {
            let begin = self.make_room();
            let (fresh, rest) = piece.split_at(piece.len().min(self.window + MOST_BYTES - begin).min(MOST_BYTES));
            piece = rest;
            self.append(fresh);
            self.places.grow(self.text.len(), self.window);
            let finder = self.places.finder(&self.text, self.window, self.effort);
            self.known = finder.parse(begin, self.known, tokens);
            tokens.write(fresh, bits);
        }
    }

    /// Doubles the room for text when needed, but never beyond what is ever taken.
    fn append(&mut self, fresh: &[u8]) {
        let needed = self.text.len() + fresh.len();
        if needed > self.text.capacity() {
            let room = needed.next_power_of_two().min(self.window + MOST_BYTES);
            self.text.reserve_exact(room - self.text.len());
        }
        self.text.extend_from_slice(fresh);
    }

    /// Drops the oldest bytes when all the room is taken. Returns where the next one will be.
    fn make_room(&mut self) -> usize {
        if self.text.len() == self.window + MOST_BYTES {
            self.text.drain(..MOST_BYTES);
            self.places.forget(MOST_BYTES);
            self.known -= MOST_BYTES;
        }
        self.text.len()
    }

    /// What the stream may still refer to.
    pub(super) fn context(&self) -> &[u8] {
        &self.text[self.text.len().saturating_sub(self.window)..]
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.places.memory()
    }
}
