//! permessage-deflate (RFC 7692): what was agreed, and the codec of each direction.
//!
//! States are costly, so a connection owns one only where that makes its next message cheaper: while it takes its
//! context over and is active. All others are borrowed from a pool of the thread, for as long as one message takes.

mod bits;
mod block;
mod compress;
mod effort;
mod encoder;
mod error;
mod finder;
mod history;
mod huffman;
mod inflate;
mod live;
pub mod params;
mod pool;
mod sink;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod oracle;

pub use compress::{Deflater, compress_alone};
pub use error::InflateError;
pub use inflate::Inflater;
pub use live::live_contexts;

pub(crate) use inflate::{MAX_FINAL_BLOCKS as FINAL_BLOCKS, STATE_SIZE as INFLATER};
pub use params::{DeflateConfig, DeflateParams, WindowBits};
pub(crate) use pool::{CHUNK as INFLATED_AT_ONCE, MOST_KEPT as IDLE_CODECS};
pub(crate) use sink::Sink;

/// How far a counter of the codec moved in one call.
#[expect(clippy::cast_possible_truncation, reason = "one call moves at most the length of a slice")]
fn moved(before: u64, after: u64) -> usize {
    (after - before) as usize
}
