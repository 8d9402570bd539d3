//! Finds what has been said before: LZ77 matches, by chains of places whose next four bytes hash alike.
#![expect(clippy::cast_possible_truncation, reason = "places are below 2^16, as `Places` says")]

use super::block::Tokens;
use super::effort::Effort;

/// The longest match of DEFLATE.
const LONGEST: usize = 258;
/// How many bytes are hashed, and so the shortest match: one of three bytes saves next to nothing.
const SHORTEST: usize = 4;

/// Costs are in quarters of a bit. They are guesses, and need only be right in proportion: a literal costs 4 bits, and
/// a match 8 and the logarithm of its distance.
const LITERAL_COST: usize = 16;
const MATCH_COST: usize = 32;

/// The earlier places of a text, found by what stands there. A place is an index into the text plus one; 0 is none. So
/// a text has at most 2^16 bytes: the last three are at no place.
pub(super) struct Places {
    /// The newest place of each hash. As many as a power of two.
    newest: Vec<u16>,
    /// For each index, modulo the length of this (a power of two), the next older place of the same hash.
    older: Vec<u16>,
}

impl Places {
    pub(super) const fn new() -> Self {
        Self { newest: Vec::new(), older: Vec::new() }
    }

    /// Forgets all places, and is ready for 2^`bits` different hashes.
    pub(super) fn clear(&mut self, bits: u32) {
        self.newest.clear();
        self.newest.resize(1 << bits, 0);
    }

    /// Makes room for the places of a text of `len` bytes, of which the last `window` are reached; a power of two.
    pub(super) fn grow(&mut self, len: usize, window: usize) {
        let needed = len.next_power_of_two().min(window);
        if self.older.len() < needed {
            self.older.resize(needed, 0);
        }
    }

    /// The first `count` bytes of the text went away: a multiple of the window, below 2^16.
    pub(super) fn forget(&mut self, count: usize) {
        let count = count as u16;
        for place in self.newest.iter_mut().chain(&mut self.older) {
            *place = place.saturating_sub(count);
        }
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        2 * (self.newest.capacity() + self.older.capacity())
    }

    /// Begins to look into `text`, of which a match reaches back over `window` bytes at most.
    pub(super) fn finder<'a>(&'a mut self, text: &'a [u8], window: usize, effort: Effort) -> Finder<'a> {
        let shift = 32 - self.newest.len().ilog2();
        Finder { text, newest: &mut self.newest, older: &mut self.older, shift, window, effort }
    }
}

/// [`Places`] at work on a text.
pub(super) struct Finder<'a> {
    text: &'a [u8],
    newest: &'a mut [u16],
    older: &'a mut [u16],
    shift: u32,
    window: usize,
    effort: Effort,
}

/// A text is repeated. A length of 0: nothing was found.
#[derive(Clone, Copy)]
struct Match {
    length: usize,
    distance: usize,
}

const NOTHING: Match = Match { length: 0, distance: 0 };

impl Match {
    /// What is saved by it, and by it alone.
    #[inline]
    fn gain(self) -> usize {
        (LITERAL_COST * self.length).saturating_sub(4 * self.distance.max(1).ilog2() as usize)
    }
}

impl Finder<'_> {
    /// Says the text from `at` on in `tokens`. All before `known` can be found already. Returns how far that is true
    /// afterwards.
    pub(super) fn parse(mut self, mut at: usize, known: usize, tokens: &mut Tokens) -> usize {
        let text = self.text;
        let Effort { depth, nice: _, lazy, dense: _ } = self.effort;
        self.learn(known, at);
        // What the byte before `at` begins, put off to see what `at` begins.
        let mut pending = NOTHING;
        while at < text.len() {
            if pending.length == 0 {
                let found = self.find(at, 0, MATCH_COST, depth);
                if found.length == 0 {
                    tokens.literal(text[at]);
                    at += 1;
                    continue;
                }
                pending = found;
            } else {
                let enough = pending.gain() + LITERAL_COST / 2;
                let found = self.find(at, pending.length - 1, enough, depth.div_ceil(2));
                if found.length == 0 {
                    at = self.copy(pending, at - 1, at + 1, tokens);
                    pending = NOTHING;
                    continue;
                }
                tokens.literal(text[at - 1]);
                pending = found;
            }
            at += 1;
            if pending.length >= lazy {
                at = self.copy(pending, at - 1, at, tokens);
                pending = NOTHING;
            }
        }
        known.max(text.len().saturating_sub(SHORTEST - 1))
    }

    /// Lets all places from `from` to `to` be found.
    #[inline]
    pub(super) fn learn(&mut self, from: usize, to: usize) {
        let text = self.text;
        let Some(bytes) = text.get(from..text.len().min(to + SHORTEST - 1)) else { return };
        for (at, word) in (from..).zip(bytes.windows(SHORTEST)) {
            self.insert(at, first_word(word));
        }
    }

    /// Says a match that begins at `begin`; its places from `from` on are unknown yet. Returns where it ends.
    #[inline]
    fn copy(&mut self, found: Match, begin: usize, from: usize, tokens: &mut Tokens) -> usize {
        tokens.copy(found.length, found.distance);
        let end = begin + found.length;
        let dense = self.effort.dense;
        if found.length > dense + 1 {
            self.learn(from, from + dense / 2);
            self.learn(end - dense / 2, end);
        } else {
            self.learn(from, end);
        }
        end
    }

    /// The best match at `at` that is longer than `longer_than` and gains more than `enough`, after a look at `depth`
    /// places. Lets `at` be found.
    #[inline]
    fn find(&mut self, at: usize, longer_than: usize, mut enough: usize, depth: usize) -> Match {
        let text = self.text;
        let most = (text.len() - at).min(LONGEST);
        if most < SHORTEST {
            return NOTHING;
        }
        let here = &text[at..at + most];
        let start = first_word(here);
        let mut place = usize::from(self.insert(at, start));
        if place == 0 || longer_than >= most {
            return NOTHING;
        }
        let mut best = Match { length: longer_than, distance: 0 };
        // Whatever is longer has the same last four bytes up to the length wanted.
        let mut tail = longer_than.max(SHORTEST - 1) + 1 - SHORTEST;
        let mut end = first_word(&here[tail..]);
        for _ in 0..depth {
            let distance = at + 1 - place;
            if distance > self.window {
                break;
            }
            let there = &text[place - 1..place - 1 + most];
            if first_word(&there[tail..]) == end && first_word(there) == start {
                let found = Match { length: common(here, there), distance };
                if found.length > best.length && found.gain() > enough {
                    best = found;
                    if best.length >= self.effort.nice || best.length == most {
                        break;
                    }
                    enough = best.gain();
                    tail = best.length + 1 - SHORTEST;
                    end = first_word(&here[tail..]);
                }
            }
            let older = usize::from(self.older[(place - 1) & (self.older.len() - 1)]);
            // Not older: it was overwritten by a place one window on.
            if older == 0 || older >= place {
                break;
            }
            place = older;
        }
        if best.distance == 0 { NOTHING } else { best }
    }

    /// Lets `at`, where `word` stands, be found. Returns the place that had the same hash.
    #[inline]
    fn insert(&mut self, at: usize, word: u32) -> u16 {
        // The multiplier is 2^32 over the golden ratio (Knuth's multiplicative hashing).
        let hash = (word.wrapping_mul(0x9e37_79b9) >> self.shift) as usize;
        let before = std::mem::replace(&mut self.newest[hash], at as u16 + 1);
        let index = at & (self.older.len() - 1);
        self.older[index] = before;
        before
    }
}

#[inline]
fn first_word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("four bytes are there"))
}

/// How many first bytes two texts of one length have in common.
#[inline]
fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    for (index, (one, other)) in ones.0.iter().zip(others.0).enumerate() {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return 8 * index + differ.trailing_zeros() as usize / 8;
        }
    }
    8 * ones.0.len() + ones.1.iter().zip(others.1).take_while(|(one, other)| one == other).count()
}
