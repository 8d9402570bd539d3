//! Where what is inflated is put together: a buffer that grows by what comes out, never by what might.

use bytes::BytesMut;

use super::error::InflateError;

/// Where what comes out is put together.
pub(crate) trait Sink {
    /// What has come out so far, and what was there before.
    fn bytes(&self) -> &[u8];

    /// Appends `fresh`, beyond which at most `room` bytes less its length will come.
    fn append(&mut self, fresh: &[u8], room: usize) -> Result<(), InflateError>;
}

impl Sink for BytesMut {
    fn bytes(&self) -> &[u8] {
        self
    }

    /// The capacity at most doubles and never exceeds `room`, which `fresh` fits in.
    fn append(&mut self, fresh: &[u8], room: usize) -> Result<(), InflateError> {
        let needed = self.len() + fresh.len();
        if needed > self.capacity() {
            // Not `reserve`, which doubles without regard to the limit.
            let target = needed.max((2 * self.len()).min(self.len().saturating_add(room)));
            let mut larger = Self::with_capacity(target);
            larger.extend_from_slice(self);
            *self = larger;
        }
        self.extend_from_slice(fresh);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_at_most_to_double_and_never_beyond_the_room() {
        let (mut out, mut room) = (BytesMut::new(), 1000);
        while room > 0 {
            let fresh = vec![7; room.min(90)];
            let before = out.len();
            out.append(&fresh, room).unwrap();
            room -= fresh.len();
            assert!(out.capacity() <= (2 * before).max(out.len()).min(1000), "{} for {}", out.capacity(), out.len());
        }
        assert_eq!((out.len(), out.capacity()), (1000, 1000));
    }
}
