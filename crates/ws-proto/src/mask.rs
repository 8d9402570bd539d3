//! Masking (RFC 6455 §5.3): XOR with a key of four bytes, in place, and where fresh keys come from.
//!
//! Plain safe code in words of eight bytes: the compiler makes vector instructions of it.

use std::cell::RefCell;

/// A masking key.
pub type MaskKey = [u8; 4];

/// Where a client takes the masking key of its next frame from.
pub type MaskSource = fn() -> MaskKey;

/// XORs `data` with `key`, of which `offset` bytes were used up by earlier pieces of the same payload. Masking twice
/// with the same arguments gives the data back.
pub fn apply(data: &mut [u8], mut key: MaskKey, offset: usize) {
    key.rotate_left(offset % 4);
    xor::<false>(data, key);
}

/// A payload, or a part of one, as the application is to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unmasked<'b> {
    data: &'b [u8],
    known_ascii: bool,
}

impl<'b> Unmasked<'b> {
    /// Unmasks `data`, which may be of a text. Whether all of it is ASCII shows on the way.
    #[inline]
    pub(crate) fn new(data: &'b mut [u8], key: Option<MaskKey>) -> Self {
        let known_ascii = key.is_some_and(|key| xor::<true>(data, key));
        Self { data, known_ascii }
    }

    /// Unmasks `data`, which is of no text: without a look at it that takes two thirds of the time, or half.
    #[inline]
    pub(crate) fn binary(data: &'b mut [u8], key: Option<MaskKey>) -> Self {
        if let Some(key) = key {
            xor::<false>(data, key);
        }
        Self { data, known_ascii: false }
    }

    pub(crate) fn as_bytes(self) -> &'b [u8] {
        self.data
    }

    /// All of it is ASCII. `false`: some is not, or nobody has looked, as there was no mask.
    pub(crate) fn is_known_ascii(self) -> bool {
        self.known_ascii
    }
}

/// XORs `data` with `key`, again and again. When it is to `LOOK`: `true` when the outcome is ASCII.
#[inline]
fn xor<const LOOK: bool>(data: &mut [u8], key: MaskKey) -> bool {
    let word = u32::from_ne_bytes(key);
    let wide = u64::from(word) << 32 | u64::from(word);
    let mut seen = 0;
    let (words, rest) = data.as_chunks_mut();
    for bytes in words {
        let clear = u64::from_ne_bytes(*bytes) ^ wide;
        *bytes = clear.to_ne_bytes();
        if LOOK {
            seen |= clear;
        }
    }
    let (words, rest) = rest.as_chunks_mut();
    if let [bytes] = words {
        let clear = u32::from_ne_bytes(*bytes) ^ word;
        *bytes = clear.to_ne_bytes();
        seen |= u64::from(clear);
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    LOOK && seen & 0x8080_8080_8080_8080 == 0
}

/// A key from the system's secure random numbers, drawn in batches per thread. "The masking key needs to be
/// unpredictable; thus, the masking key MUST be derived from a strong source of entropy" (RFC 6455 §5.3).
///
/// # Panics
/// When the operating system has no random numbers to give: there is no safe way to go on.
#[must_use]
pub fn random_key() -> MaskKey {
    KEYS.with_borrow_mut(KeyPool::next)
}

/// So many keys are drawn from the system at once: one system call per 256 frames.
const BATCH: usize = 256;

thread_local! {
    static KEYS: RefCell<KeyPool> = const { RefCell::new(KeyPool { bytes: [0; BATCH * 4], used: BATCH * 4 }) };
}

struct KeyPool {
    bytes: [u8; BATCH * 4],
    used: usize,
}

impl KeyPool {
    fn next(&mut self) -> MaskKey {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes).expect("the operating system has random numbers");
            self.used = 0;
        }
        let mut key = [0; 4];
        // A key is taken out, not copied: what was used once is not left in memory.
        key.swap_with_slice(&mut self.bytes[self.used..self.used + 4]);
        self.used += 4;
        key
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 6455 §5.7: "Hello", masked.
        let mut data = *b"\x7f\x9f\x4d\x51\x58";
        apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn keys_do_not_repeat() {
        let keys: HashSet<MaskKey> = (0..1000).map(|_| random_key()).collect();
        // Of 1,000 random 32-bit keys, two are equal once in 8,600 runs and five never.
        assert!(keys.len() > 995, "{} different keys", keys.len());
    }

    proptest! {
        #[test]
        fn a_payload_is_unmasked_and_known_to_be_ascii_or_not(
            mut data in proptest::collection::vec(prop_oneof![50 => 0u8..128, 1 => any::<u8>()], 0..100),
            key: Option<MaskKey>,
        ) {
            let clear = data.clone();
            if let Some(key) = key {
                apply(&mut data, key, 0);
            }
            let unmasked = Unmasked::new(&mut data, key);
            prop_assert_eq!(unmasked.as_bytes(), &clear);
            prop_assert_eq!(unmasked.is_known_ascii(), key.is_some() && clear.is_ascii());
            if let Some(key) = key {
                apply(&mut data, key, 0);
            }
            let unmasked = Unmasked::binary(&mut data, key);
            prop_assert_eq!(unmasked.as_bytes(), &clear);
            prop_assert!(!unmasked.is_known_ascii());
        }

        #[test]
        fn pieces_are_masked_like_the_whole(data: Vec<u8>, key: MaskKey, cut: prop::sample::Index) {
            let expected: Vec<u8> = data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut pieces = data.clone();
            let cut = if data.is_empty() { 0 } else { cut.index(data.len()) };
            let (left, right) = pieces.split_at_mut(cut);
            apply(left, key, 0);
            apply(right, key, cut);
            prop_assert_eq!(pieces, expected);
        }
    }
}
