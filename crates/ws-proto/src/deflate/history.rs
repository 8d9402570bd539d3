//! The context of the peer's messages while none is in hand: the last bytes that came out, no more than its window.

use std::collections::VecDeque;

use super::params::WindowBits;

/// The last bytes of what was inflated.
#[derive(Debug)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    /// The most of them.
    window: usize,
}

impl History {
    /// Of nothing so far.
    pub(super) fn new(window: WindowBits) -> Self {
        Self { bytes: VecDeque::new(), window: 1 << window.get() }
    }

    /// Oldest first, in two parts.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (older, newer) = self.bytes.as_slices();
        [older, newer]
    }

    /// Makes `bytes` the newest.
    pub(super) fn remember(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.window)..];
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(self.window);
        self.bytes.drain(..excess);
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Doubles, but never beyond the window, itself a power of two.
            self.bytes.reserve_exact(needed.next_power_of_two() - self.bytes.len());
        }
        self.bytes.extend(bytes);
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    /// Bytes of memory held now, without this value itself.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(bits: u8) -> History {
        History::new(WindowBits::new(bits).unwrap())
    }

    #[test]
    fn the_newest_bytes_are_kept_in_their_order() {
        let (mut history, mut all) = (history(8), Vec::new());
        for (round, len) in (0_u8..).zip([0, 1, 100, 255, 256, 257, 3, 600, 20]) {
            let fresh: Vec<u8> = (0..len).map(|place: u16| round.wrapping_add(place.to_le_bytes()[0])).collect();
            history.remember(&fresh);
            all.extend_from_slice(&fresh);
            assert_eq!(history.parts().concat(), all[all.len().saturating_sub(256)..]);
            assert!(history.memory() <= 256, "{}", history.memory());
        }
        history.clear();
        assert_eq!((history.parts().concat().len(), history.memory()), (0, 0));
    }

    #[test]
    fn little_takes_little() {
        let mut history = history(15);
        history.remember(&[1; 100]);
        assert!(history.memory() <= 128, "{}", history.memory());
    }
}
