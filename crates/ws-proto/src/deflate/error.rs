//! What can be wrong with a compressed message.

use std::fmt;

/// Why a compressed message cannot be had. The connection must be failed: what comes after such a message may refer
/// to what was lost in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// Not a DEFLATE stream, or one that stops in the middle of a block.
    Invalid,
    /// The message inflates to more bytes than there is room for.
    TooBig,
    /// There is no memory for what comes out.
    OutOfMemory,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the compressed message is not a whole DEFLATE stream",
            Self::TooBig => "the compressed message inflates to more than is allowed",
            Self::OutOfMemory => "there is no memory for what the compressed message inflates to",
        })
    }
}

impl std::error::Error for InflateError {}
