//! Bytes read from the front as choices and data. Where they run out, choices are 0 and data is empty: every input is a
//! script.

/// What is left of an input.
#[derive(Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// All of an input.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next operation, until there is none.
    pub fn step(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A choice.
    pub fn byte(&mut self) -> u8 {
        self.step().unwrap_or_default()
    }

    /// A number of two bytes, big-endian.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// The next `len` bytes, or what there is.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length of one byte, and so many bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.take(len.into())
    }

    /// Everything else.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Lengths of chunks, 1 to 64 bytes, without end and the same for the same seed; for seed 0 each is one byte.
pub fn chunks(seed: u8) -> impl FnMut() -> usize {
    let mut state = u32::from(seed);
    move || {
        state = state.wrapping_mul(0x9E37_79B1).rotate_left(11);
        // Short ones are as likely as long ones: most of what depends on cuts does so near headers.
        let bits = state >> 8 & 7;
        1 + ((state >> 16) as usize & ((1 << bits) - 1) & 63)
    }
}
