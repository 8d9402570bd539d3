//! Bytes just read, lent to the machine, which consumes them from the front and unmasks them where they lie.

/// A borrowed read buffer. What an event borrows lives as long as the buffer, not as long as the machine: an
/// application may answer a message while it still holds it.
#[derive(Debug, Default)]
pub struct Input<'b>(&'b mut [u8]);

impl<'b> Input<'b> {
    /// The bytes of one read.
    #[must_use]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self(bytes)
    }

    /// What was not consumed yet.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.0
    }

    /// Whether everything was consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Consumes the first `count` bytes, or all when there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> &'b mut [u8] {
        let all = std::mem::take(&mut self.0);
        let (taken, rest) = all.split_at_mut(count.min(all.len()));
        self.0 = rest;
        taken
    }
}

impl<'b> From<&'b mut [u8]> for Input<'b> {
    fn from(bytes: &'b mut [u8]) -> Self {
        Self::new(bytes)
    }
}
