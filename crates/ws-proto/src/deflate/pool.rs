//! The codec states that a thread keeps for whichever of its connections has a message in hand. Small and bounded:
//! what does not fit is freed, so that a burst of half-sent messages does not stay in memory.

use std::cell::RefCell;

use zlib_rs::Inflate;

use super::block::Tokens;
use super::encoder::Encoder;
use super::history::History;
use super::params::WindowBits;

/// How many bytes one call of the inflater may produce; see [`with_scratch`].
pub(crate) const CHUNK: usize = 16 * 1024;
/// The most states of each kind that a thread keeps: 4 × 160 KiB and 4 × 47 KiB.
pub(crate) const MOST_KEPT: usize = 4;
/// The largest window, which inflates whatever was compressed with a smaller one.
const INFLATE_WINDOW: u8 = WindowBits::MAX.get();

thread_local! {
    #[expect(clippy::vec_box, reason = "connections own them boxed: an encoder moves between them and here as a pointer")]
    static ENCODERS: RefCell<Vec<Box<Encoder>>> = const { RefCell::new(Vec::new()) };
    static INFLATERS: RefCell<Vec<Inflate>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
    static TOKENS: RefCell<Tokens> = const { RefCell::new(Tokens::new()) };
}

/// An encoder, to be reset before it is used.
pub(super) fn take_encoder() -> Box<Encoder> {
    ENCODERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Box::new(Encoder::new()))
}

/// Takes an encoder back, whatever it has seen.
pub(super) fn give_encoder(encoder: Box<Encoder>) {
    ENCODERS.with_borrow_mut(|kept| push_bounded(kept, encoder));
}

/// Lends the thread's list of tokens, which is empty.
pub(super) fn with_tokens<R>(work: impl FnOnce(&mut Tokens) -> R) -> R {
    TOKENS.with_borrow_mut(work)
}

/// An inflater that remembers `history` and nothing else.
pub(super) fn take_inflater(history: &History) -> Inflate {
    let mut inflater = match INFLATERS.with_borrow_mut(Vec::pop) {
        Some(mut kept) => {
            kept.reset(false);
            kept
        }
        None => Inflate::new(false, INFLATE_WINDOW),
    };
    for part in history.parts() {
        inflater.set_dictionary(part).expect("a raw stream takes any dictionary at its start");
    }
    inflater
}

/// Takes an inflater back, whatever it has seen.
pub(super) fn give_inflater(inflater: Inflate) {
    INFLATERS.with_borrow_mut(|kept| push_bounded(kept, inflater));
}

/// Lends the thread's buffer of [`CHUNK`] bytes. The inflater writes there first, so that what is handed out grows by
/// what came out, never by what might.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|chunk| work(chunk))
}

fn push_bounded<T>(kept: &mut Vec<T>, state: T) {
    if kept.len() < MOST_KEPT {
        kept.push(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_the_bound() {
        let encoders: Vec<_> = (0..2 * MOST_KEPT).map(|_| take_encoder()).collect();
        encoders.into_iter().for_each(give_encoder);
        assert_eq!(ENCODERS.with_borrow(Vec::len), MOST_KEPT);

        let inflaters: Vec<_> = (0..2 * MOST_KEPT).map(|_| take_inflater(&History::new(WindowBits::MAX))).collect();
        inflaters.into_iter().for_each(give_inflater);
        assert_eq!(INFLATERS.with_borrow(Vec::len), MOST_KEPT);
    }
}
