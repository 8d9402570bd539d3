//! How long names may be that clients give.

/// The longest name of a room, in bytes.
pub const LONGEST_ROOM: usize = 256;
/// The longest name of a namespace, in bytes.
pub const LONGEST_NAMESPACE: usize = 256;
