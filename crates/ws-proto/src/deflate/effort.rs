//! What a level means: how long the compressor looks for something better.

/// How much is done for a good match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    /// How many earlier places are looked at from each one, at most. 0: nothing is compressed.
    pub(super) depth: usize,
    /// A match as long as this is good enough: no place further back is looked at.
    pub(super) nice: usize,
    /// A match shorter than this is put off by a byte, to see whether the next place has a better one.
    pub(super) lazy: usize,
    /// Of a match longer than this only the first and the last places can be found again.
    pub(super) dense: usize,
}

/// A match is never as long.
const NEVER: usize = 1000;

/// By level.
const EFFORTS: [Effort; 10] = [
    Effort { depth: 0, nice: 0, lazy: 0, dense: 0 },
    Effort { depth: 1, nice: 16, lazy: 0, dense: 4 },
    Effort { depth: 2, nice: 16, lazy: 8, dense: 4 },
    Effort { depth: 3, nice: 24, lazy: 12, dense: 8 },
    Effort { depth: 4, nice: 32, lazy: 16, dense: 8 },
    Effort { depth: 6, nice: 32, lazy: 16, dense: 8 },
    Effort { depth: 10, nice: 32, lazy: 32, dense: 16 },
    Effort { depth: 24, nice: 64, lazy: 64, dense: 32 },
    Effort { depth: 96, nice: 128, lazy: 128, dense: NEVER },
    Effort { depth: 1024, nice: 258, lazy: 258, dense: NEVER },
];

impl Effort {
    /// `level` above 9 counts as 9.
    pub(super) const fn of_level(level: u8) -> Self {
        EFFORTS[if level < 9 { level as usize } else { 9 }]
    }
}
