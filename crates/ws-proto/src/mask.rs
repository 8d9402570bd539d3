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
pub fn apply(data: &mut [u8], key: MaskKey, offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let word = u32::from_ne_bytes(key);
    let wide = u64::from(word) << 32 | u64::from(word);
    let mut words = data.chunks_exact_mut(8);
    for chunk in words.by_ref() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
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
