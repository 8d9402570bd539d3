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

/// How an endpoint wants permessage-deflate to be. Given to a handshake, it is what we offer or accept; level,
/// threshold and memory are our own affair and are not negotiated.
///
/// What it costs is in PERFORMANCE.md, by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Whether our own side takes its context over from message to message. Small messages that resemble each other
    /// become a third smaller; a connection needs up to 160 KiB while it is active (a bit less than 5 × our window) and
    /// a window at rest. Default: no, which costs no memory per connection.
    pub own_context_takeover: bool,
    /// Whether the peer may take its context over; when not, the peer is asked not to. A connection needs up to 79 KiB
    /// while it is active and the peer's window at rest. Default: no.
    pub peer_context_takeover: bool,
    /// The largest window that our side compresses with. Default: 15 (32 KiB).
    pub own_max_window_bits: WindowBits,
    /// The largest window that the peer should compress with; smaller saves memory here. Default: 15 (32 KiB).
    pub peer_max_window_bits: WindowBits,
    /// The DEFLATE level, 0 (store) to 9 (smallest). Default: 5. Values above 9 count as 9.
    pub level: u8,
    /// Messages shorter than this many bytes are sent uncompressed. Default: 128.
    pub threshold: usize,
    /// How many contexts of the whole process may be kept ready for the next message while their connections are
    /// active; each direction with takeover is one. The contexts beyond keep their last bytes only, as all do at rest:
    /// no more than a window, but each of their messages costs up to about 50 µs more. Default: 2,048, which is 240 MiB
    /// if all of them have seen 64 KiB and more.
    pub max_live: usize,
}

impl DeflateConfig {
    /// The level of the default, also of messages that are prepared for many.
    pub const DEFAULT_LEVEL: u8 = 5;
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            own_context_takeover: false,
            peer_context_takeover: false,
            own_max_window_bits: WindowBits::MAX,
            peer_max_window_bits: WindowBits::MAX,
            level: Self::DEFAULT_LEVEL,
            threshold: 128,
            max_live: 2048,
        }
    }
}
