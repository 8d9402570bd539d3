//! The codec states that a thread keeps for whichever of its connections has a message in hand. Small and bounded:
//! what does not fit is freed, so that a burst of half-sent messages does not stay in memory.

use std::cell::RefCell;
use std::collections::VecDeque;

use zlib_rs::{Deflate, DeflateConfig, Inflate};

use super::params::WindowBits;

/// How many bytes one call of the codec may produce; see [`with_scratch`].
pub(super) const CHUNK: usize = 16 * 1024;
/// The most states of each kind that a thread keeps: 4 × 372 KiB and 4 × 47 KiB.
const MOST_KEPT: usize = 4;
/// The largest window, which inflates whatever was compressed with a smaller one.
const INFLATE_WINDOW: u8 = WindowBits::MAX.get();

/// What a compressor is made for, and may be reused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    level: u8,
    window: WindowBits,
}

impl Settings {
    /// `level` above 9 counts as 9.
    pub(super) fn new(level: u8, window: WindowBits) -> Self {
        Self { level: level.min(9), window }
    }

    /// A compressor that a connection is going to own. `mem_level` is how many symbols zlib gathers for one block:
    /// 2^(6 + `mem_level`), 7 bytes each.
    pub(super) fn compressor(self, mem_level: i32) -> Deflate {
        Deflate::new_with_config(DeflateConfig {
            level: i32::from(self.level),
            // zlib has no raw compressor for a window of 256 bytes. The one for 512 serves: zlib never reaches
            // further back than the window less 262 bytes (its longest match and what it must see ahead of it), which
            // is 250. A test holds it to that.
            window_bits: -i32::from(self.window.get().max(9)),
            mem_level,
            ..DeflateConfig::default()
        })
    }
}

thread_local! {
    static COMPRESSORS: RefCell<Vec<(Settings, Deflate)>> = const { RefCell::new(Vec::new()) };
    static INFLATERS: RefCell<Vec<Inflate>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// A compressor that remembers nothing.
pub(super) fn take_compressor(settings: Settings) -> Deflate {
    let kept = COMPRESSORS.with_borrow_mut(|kept| {
        let at = kept.iter().rposition(|(made_for, _)| *made_for == settings)?;
        Some(kept.remove(at).1)
    });
    match kept {
        Some(mut compressor) => {
            compressor.reset();
            compressor
        }
        None => settings.compressor(8),
    }
}

/// Takes a compressor back, whatever it has seen.
pub(super) fn give_compressor(settings: Settings, compressor: Deflate) {
    COMPRESSORS.with_borrow_mut(|kept| push_bounded(kept, (settings, compressor)));
}

/// An inflater that remembers `history` and nothing else.
pub(super) fn take_inflater(history: &VecDeque<u8>) -> Inflate {
    let mut inflater = match INFLATERS.with_borrow_mut(Vec::pop) {
        Some(mut kept) => {
            kept.reset(false);
            kept
        }
        None => Inflate::new(false, INFLATE_WINDOW),
    };
    let (older, newer) = history.as_slices();
    for part in [older, newer] {
        inflater.set_dictionary(part).expect("a raw stream takes any dictionary at its start");
    }
    inflater
}

/// Takes an inflater back, whatever it has seen.
pub(super) fn give_inflater(inflater: Inflate) {
    INFLATERS.with_borrow_mut(|kept| push_bounded(kept, inflater));
}

/// Lends the thread's buffer of [`CHUNK`] bytes. The codec writes there first, so that what is handed out grows by
/// what came out, never by what might.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|chunk| work(chunk))
}

/// The oldest gives way, so that the pool follows a change of settings.
fn push_bounded<T>(kept: &mut Vec<T>, state: T) {
    if kept.len() == MOST_KEPT {
        kept.remove(0);
    }
    kept.push(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_the_bound() {
        let settings = Settings::new(1, WindowBits::MIN);
        let compressors: Vec<_> = (0..2 * MOST_KEPT).map(|_| take_compressor(settings)).collect();
        compressors.into_iter().for_each(|compressor| give_compressor(settings, compressor));
        assert_eq!(COMPRESSORS.with_borrow(Vec::len), MOST_KEPT);

        let inflaters: Vec<_> = (0..2 * MOST_KEPT).map(|_| take_inflater(&VecDeque::new())).collect();
        inflaters.into_iter().for_each(give_inflater);
        assert_eq!(INFLATERS.with_borrow(Vec::len), MOST_KEPT);
    }

    #[test]
    fn follows_a_change_of_settings() {
        for level in 0..9 {
            let settings = Settings::new(level, WindowBits::MIN);
            give_compressor(settings, take_compressor(settings));
        }
        let newest = Settings::new(8, WindowBits::MIN);
        assert!(COMPRESSORS.with_borrow(|kept| kept.iter().any(|(made_for, _)| *made_for == newest)));
    }
}
