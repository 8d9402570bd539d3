//! What one packet may cost its receiver.

/// The deepest nesting that can be allowed: what is read is walked by recursion.
pub(crate) const MAX_DEPTH: u8 = 128;

/// Limits on one packet, checked before anything is kept for it. The time that a packet's attachments may take is the
/// caller's to measure: see [`Decoder::is_waiting`](crate::socket::Decoder::is_waiting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Attachments of one packet; default 10, as in Node's parser. Each holds a message of the peer in memory.
    pub attachments: usize,
    /// Arrays and objects inside each other, the packet's own array included; default and maximum 128. Deeper data
    /// would cost stack when it is read.
    pub depth: u8,
    /// Bytes of a packet with its attachments; default 11,000,000: one text and ten attachments of the longest message
    /// that Engine.IO takes by default (1,000,000), which is what Node lets through.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attachments: 10, depth: MAX_DEPTH, bytes: 11_000_000 }
    }
}

impl Limits {
    /// The depth that is really applied.
    pub(crate) fn max_depth(&self) -> u8 {
        self.depth.min(MAX_DEPTH)
    }
}
