//! Chance that is the same again for the same seed.

use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 or more, and less than this.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // What is left over is less than one in 2^32 for the bounds that are used here.
        usize::try_from(self.next() >> 1).unwrap_or_default() % bound.max(1)
    }

    /// As often as not between nothing and the mean, and otherwise up to twice the mean.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.below(2001) as f64 / 1000.0)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        [a, b, c, d]
    }
}
