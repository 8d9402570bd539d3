//! Bits on their way into bytes, the lowest first (RFC 1951 §3.1.1).

/// Appends bits to a buffer of bytes.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// Bits that do not fill 32 yet; the rest is zero.
    pending: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Begins on the byte boundary behind `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Appends the lowest `count` bits of `bits`, 32 at most; the others must be zero.
    #[inline]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.pending |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.out.extend_from_slice(&[a, b, c, d]);
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// Goes on to the next byte boundary, over bits of zero.
    pub(super) fn align(&mut self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        (self.pending, self.count) = (0, 0);
    }

    /// Appends bytes, from a byte boundary on.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.count, 0, "bytes begin on a boundary");
        self.out.extend_from_slice(bytes);
    }
}
