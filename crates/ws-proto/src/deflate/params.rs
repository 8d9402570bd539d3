//! What two endpoints agreed on for permessage-deflate (RFC 7692 §7.1): plain data, made by the handshake.

/// The base-two logarithm of an LZ77 window: 8 to 15 (RFC 7692 §7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 256 bytes.
    pub const MIN: Self = Self(8);
    /// 32 KiB, what an absent parameter means.
    pub const MAX: Self = Self(15);

    /// `None` outside 8–15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 8 && bits <= 15 { Some(Self(bits)) } else { None }
    }

    /// 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for WindowBits {
    fn default() -> Self {
        Self::MAX
    }
}

/// The four parameters, as agreed. The default is what an offer without parameters means: both sides take their
/// context over, both windows are 32 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DeflateParams {
    /// The server compresses each message without reference to earlier ones.
    pub server_no_context_takeover: bool,
    /// The client compresses each message without reference to earlier ones.
    pub client_no_context_takeover: bool,
    /// The largest window that the server compresses with.
    pub server_max_window_bits: WindowBits,
    /// The largest window that the client compresses with.
    pub client_max_window_bits: WindowBits,
}

/// How an endpoint wants permessage-deflate to be. Given to a handshake, it is what we offer or accept; the sizes and
/// the level are our own affair and are not negotiated.
///
/// Memory while a connection has a context of its own (takeover): 4 × our window plus 146 KiB to compress, and the
/// peer's window to inflate. Without takeover the state is shared by all connections of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Whether our own side takes its context over from message to message. Default: no, which costs no memory per
    /// connection and compresses small messages less well.
    pub own_context_takeover: bool,
    /// Whether the peer may take its context over; when not, the peer is asked not to. Default: no.
    pub peer_context_takeover: bool,
    /// The largest window that our side compresses with. Default: 15.
    pub own_max_window_bits: WindowBits,
    /// The largest window that the peer should compress with; smaller saves memory here. Default: 15.
    pub peer_max_window_bits: WindowBits,
    /// The DEFLATE level, 0 (store) to 9 (smallest). Default: 3. Values above 9 count as 9.
    pub level: u8,
    /// Messages shorter than this many bytes are sent uncompressed. Default: 128.
    pub threshold: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            own_context_takeover: false,
            peer_context_takeover: false,
            own_max_window_bits: WindowBits::MAX,
            peer_max_window_bits: WindowBits::MAX,
            level: 3,
            threshold: 128,
        }
    }
}
