//! The bytes of a message that is being put together. A small one is a plain allocation of the message's own; a large one
//! is lent by the thread's [pool](crate::pool) and goes back there when the message is dropped.
//!
//! It grows with the bytes that have arrived. How long a message is to become, which is the peer's word, only chooses
//! among buffers that are there already.

use bytes::{Bytes, BytesMut};

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
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a copy.
    pub(crate) fn extend(&mut self, data: &[u8], growth: Growth) {
        let needed = self.filled + data.len();
        if needed > self.bytes.capacity() {
            self.grow(needed, growth);
        }
        self.put(data);
    }

    /// Room behind the message for at most `most` bytes to be [filled](Self::fill), and for so many or `LARGE` at least.
    pub(crate) fn room(&mut self, most: usize, growth: Growth) -> &mut [u8] {
        let needed = self.filled + most.min(LARGE);
        if needed > self.bytes.capacity() {
            self.grow(needed, growth);
        }
        let end = self.bytes.capacity().min(self.filled.saturating_add(most));
        if end > self.bytes.len() {
            // Once in the life of a buffer: a recycled one has been initialised.
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
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

    /// Lets `append` append to the message by itself. It must leave what is there.
    pub(crate) fn append_with<R>(&mut self, append: impl FnOnce(&mut BytesMut) -> R) -> R {
        self.bytes.truncate(self.filled);
        let result = append(&mut self.bytes);
        self.filled = self.bytes.len();
        result
    }

    /// What lies behind the first `from` bytes.
    pub(crate) fn since(&self, from: usize) -> &[u8] {
        &self.bytes[from..self.filled]
    }

    /// Takes the message out and leaves nothing.
    pub(crate) fn split(&mut self) -> Bytes {
        let Self { bytes, filled } = &mut *self;
        let (mut bytes, len) = (std::mem::take(bytes), std::mem::take(filled));
        if pool::keeps(bytes.capacity()) {
            return Bytes::from_owner(Lent { bytes, len });
        }
        bytes.truncate(len);
        bytes.freeze()
    }

    /// Exchanges the buffer for one that holds `needed` bytes.
    fn grow(&mut self, needed: usize, growth: Growth) {
        let recycled = || pool::take(needed, growth.announced.min(needed.saturating_mul(AHEAD)));
        let larger = (needed >= LARGE).then(recycled).flatten().unwrap_or_else(|| {
            let doubled = 2 * self.bytes.capacity();
            let wanted = if needed >= LARGE { doubled.max(FIRST_LARGE) } else { doubled };
            BytesMut::with_capacity(needed.max(wanted.min(growth.limit)))
        });
        let smaller = std::mem::replace(&mut self.bytes, larger);
        let filled = std::mem::take(&mut self.filled);
        self.put(&smaller[..filled]);
        pool::give(smaller);
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

impl Drop for Buffer {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.bytes));
    }
}

/// The owner of a large message's bytes.
struct Lent {
    bytes: BytesMut,
    len: usize,
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
        buffer.extend(&[1; 20_000], GROWTH);
        assert_eq!(buffer.capacity(), FIRST_LARGE);
        let room = buffer.room(280_000, GROWTH);
        room.fill(2);
        let count = room.len();
        assert_eq!(buffer.fill(count), vec![2; FIRST_LARGE - 20_000]);
        buffer.extend(&[3; 5], GROWTH);
        assert_eq!(buffer.capacity(), 2 * FIRST_LARGE, "by what has arrived, not by what was announced");
        let expected = [vec![1; 20_000], vec![2; FIRST_LARGE - 20_000], vec![3; 5]].concat();
        assert_eq!(buffer.split(), expected);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 0));
    }

    #[test]
    fn a_recycled_buffer_is_as_large_as_announced_and_shows_nothing_of_its_last_message() {
        let mut buffer = Buffer::default();
        buffer.extend(&[7; 300_000], GROWTH);
        drop(buffer.split());
        buffer.extend(&[1; 16_000], GROWTH);
        assert_eq!(buffer.capacity(), 16_000, "too little has arrived");
        buffer.extend(&[1; 4_000], GROWTH);
        assert_eq!(buffer.capacity(), 300_000);
        assert_eq!(buffer.room(280_000, GROWTH).len(), 280_000);
        assert_eq!(buffer.split(), [1; 20_000][..]);
    }

    #[test]
    fn no_new_buffer_is_larger_than_the_limit() {
        let growth = Growth { announced: 40_000, limit: 40_000 };
        let mut buffer = Buffer::default();
        buffer.extend(&[1; 20_000], growth);
        assert_eq!(buffer.capacity(), 40_000);
        assert_eq!(buffer.room(0, growth).len(), 0);
    }

    #[test]
    fn a_small_message_is_no_larger_than_itself() {
        let mut buffer = Buffer::default();
        buffer.extend(&[1; 100], GROWTH);
        assert_eq!(buffer.capacity(), 100);
        assert_eq!(buffer.split(), [1; 100][..]);
    }
}
