//! The bytes of a message that is being put together. A small one is a plain allocation of the message's own; a large
//! one is lent by the thread's [pool](crate::pool) and goes back there when the message is dropped.
//!
//! It grows with the bytes that have arrived. How long a message is to become, which is the peer's word, only chooses
//! among buffers that are there already. What it is to hold is counted before it is allocated, and for a large message
//! until that is dropped.

use bytes::{Bytes, BytesMut};
use switchboard_budget::{Budget, Exhausted, Hold, Part};

use crate::deflate::{InflateError, Sink};
use crate::pool;

/// A message is large from so many arrived bytes on: then it gets a recycled buffer, or a new one of `FIRST_LARGE`.
pub(crate) const LARGE: usize = 16 << 10;
const FIRST_LARGE: usize = 64 << 10;
/// A recycled buffer is at most so many times as large as what has arrived: peers that announce much and send little
/// cannot hold what the pool has.
const AHEAD: usize = 64;

/// How much longer a buffer may become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    /// The length that the message will have at least, if the peer keeps its word.
    pub(crate) announced: usize,
    /// The length that it must not exceed. No new buffer is larger, unless to hold what has arrived.
    pub(crate) limit: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// The message up to `filled`, then initialised bytes that mean nothing.
    bytes: BytesMut,
    filled: usize,
    /// Of the capacity.
    hold: Hold,
}

impl Buffer {
    /// An empty one, which will count in this budget.
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { bytes: BytesMut::new(), filled: 0, hold: budget.hold(Part::Reading) }
    }

    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a copy.
    pub(crate) fn extend(&mut self, data: &[u8], growth: Growth) -> Result<(), Exhausted> {
        let needed = self.filled + data.len();
        if needed > self.bytes.capacity() {
            self.grow(needed, growth)?;
        }
        self.put(data);
        Ok(())
    }

    /// Room behind the message for at most `most` bytes to be [filled](Self::fill), and for so many or `LARGE` at
    /// least.
    pub(crate) fn room(&mut self, most: usize, growth: Growth) -> Result<&mut [u8], Exhausted> {
        let needed = self.filled + most.min(LARGE);
        if needed > self.bytes.capacity() {
            self.grow(needed, growth)?;
        }
        let end = self.bytes.capacity().min(self.filled.saturating_add(most));
        if end > self.bytes.len() {
            // Once in the life of a buffer: a recycled one has been initialised.
            self.bytes.resize(end, 0);
        }
        Ok(&mut self.bytes[self.filled..end])
    }

    /// The first `count` bytes of the room belong to the message from now on: they are returned, to be worked on.
    ///
    /// # Panics
    /// When there is less room.
    pub(crate) fn fill(&mut self, count: usize) -> &mut [u8] {
        let from = self.filled;
        self.filled += count;
        &mut self.bytes[from..self.filled]
    }

    /// What lies behind the first `from` bytes.
    pub(crate) fn since(&self, from: usize) -> &[u8] {
        &self.bytes[from..self.filled]
    }

    /// Takes the message out and leaves nothing.
    pub(crate) fn split(&mut self) -> Bytes {
        let Self { bytes, filled, hold } = &mut *self;
        let (mut bytes, len) = (std::mem::take(bytes), std::mem::take(filled));
        let is_counted = hold.budget().is_limited() && bytes.capacity() >= FIRST_LARGE;
        if is_counted || pool::keeps(bytes.capacity()) {
            let next = hold.budget().hold(Part::Reading);
            return Bytes::from_owner(Lent { bytes, len, _hold: std::mem::replace(hold, next) });
        }
        hold.set(0);
        bytes.truncate(len);
        bytes.freeze()
    }

    /// Exchanges the buffer for one that holds `needed` bytes. Both count until what is there has been copied.
    fn grow(&mut self, needed: usize, growth: Growth) -> Result<(), Exhausted> {
        let before = self.bytes.capacity();
        let recycled = || pool::take(needed, growth.announced.min(needed.saturating_mul(AHEAD)));
        let larger = match (needed >= LARGE).then(recycled).flatten() {
            Some(larger) => {
                if let Err(exhausted) = self.hold.try_set(before + larger.capacity()) {
                    pool::give(larger);
                    return Err(exhausted);
                }
                larger
            }
            None => {
                let doubled = 2 * before;
                let wanted = if needed >= LARGE { doubled.max(FIRST_LARGE) } else { doubled };
                let capacity = needed.max(wanted.min(growth.limit));
                self.hold.try_set(before + capacity)?;
                BytesMut::with_capacity(capacity)
            }
        };
        let smaller = std::mem::replace(&mut self.bytes, larger);
        let filled = std::mem::take(&mut self.filled);
        self.put(&smaller[..filled]);
        pool::give(smaller);
        self.hold.set(self.bytes.capacity());
        Ok(())
    }

    /// Appends what there is capacity for, first to what is initialised.
    fn put(&mut self, data: &[u8]) {
        let over = &mut self.bytes[self.filled..];
        let (left, right) = data.split_at(over.len().min(data.len()));
        over[..left.len()].copy_from_slice(left);
        self.bytes.extend_from_slice(right);
        self.filled += data.len();
    }
}

/// What comes out of an inflater.
impl Sink for Buffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn append(&mut self, fresh: &[u8], room: usize) -> Result<(), InflateError> {
        // How much more will come nobody has said.
        let growth = Growth { announced: self.filled + fresh.len(), limit: self.filled.saturating_add(room) };
        self.extend(fresh, growth).map_err(|Exhausted| InflateError::OutOfMemory)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.bytes));
    }
}

/// The owner of a large message's bytes.
struct Lent {
    bytes: BytesMut,
    len: usize,
    _hold: Hold,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWTH: Growth = Growth { announced: 300_000, limit: 16 << 20 };

    #[test]
    fn room_and_copies_make_one_message() {
        let mut buffer = Buffer::default();
        buffer.extend(&[1; 20_000], GROWTH).unwrap();
        assert_eq!(buffer.capacity(), FIRST_LARGE);
        let room = buffer.room(280_000, GROWTH).unwrap();
        room.fill(2);
        let count = room.len();
        assert_eq!(buffer.fill(count), vec![2; FIRST_LARGE - 20_000]);
        buffer.extend(&[3; 5], GROWTH).unwrap();
        assert_eq!(buffer.capacity(), 2 * FIRST_LARGE, "by what has arrived, not by what was announced");
        let expected = [vec![1; 20_000], vec![2; FIRST_LARGE - 20_000], vec![3; 5]].concat();
        assert_eq!(buffer.split(), expected);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
    }

    #[test]
    fn a_recycled_buffer_is_as_large_as_announced_and_shows_nothing_of_its_last_message() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; 300_000], GROWTH).unwrap();
        drop(buffer.split());
        buffer.extend(&[1; 16_000], GROWTH).unwrap();
        assert_eq!(buffer.capacity(), 16_000, "too little has arrived");
        buffer.extend(&[1; 4_000], GROWTH).unwrap();
        assert_eq!(buffer.capacity(), 300_000);
        assert_eq!(buffer.room(280_000, GROWTH).unwrap().len(), 280_000);
        assert_eq!(buffer.split(), [1; 20_000][..]);
    }

    #[test]
    fn no_new_buffer_is_larger_than_the_limit() {
        let growth = Growth { announced: 40_000, limit: 40_000 };
        let mut buffer = Buffer::default();
        buffer.extend(&[1; 20_000], growth).unwrap();
        assert_eq!(buffer.capacity(), 40_000);
        assert_eq!(buffer.room(0, growth).unwrap().len(), 0);
    }

    #[test]
    fn a_small_message_is_no_larger_than_itself() {
        let mut buffer = Buffer::default();
        buffer.extend(&[1; 100], GROWTH).unwrap();
        assert_eq!(buffer.capacity(), 100);
        assert_eq!(buffer.split(), [1; 100][..]);
    }

    #[test]
    fn what_a_buffer_holds_is_counted_before_it_is_there_and_until_its_message_is_gone() {
        let budget = Budget::new(1 << 20);
        let used = || budget.usage().unwrap().used;
        let mut buffer = Buffer::new(&budget);
        buffer.extend(&[1; 100], GROWTH).unwrap();
        assert_eq!(used(), 100);
        drop(buffer.split());
        assert_eq!(used(), 0);
        buffer.extend(&[1; 300_000], GROWTH).unwrap();
        let message = buffer.split();
        let copy = message.clone();
        buffer.extend(&[1; 300_000], GROWTH).unwrap();
        drop(message);
        assert_eq!(used(), 600_000);
        drop(copy);
        assert_eq!(used(), 300_000);
        assert_eq!(buffer.extend(&[1; 400_000], GROWTH), Err(Exhausted), "700 KB, and 300 until they are copied");
        assert_eq!((used(), buffer.len(), buffer.capacity()), (300_000, 300_000, 300_000));
        drop(buffer);
        assert_eq!(used(), 0);
    }
}
