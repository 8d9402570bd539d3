//! How much of a peer's head is taken, and how long it may take.

use std::time::Duration;

/// The limits of an opening handshake. None of it can be lifted by what the peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest head, in bytes, its empty line included. Default: 16 KiB. Longer: 431.
    pub max_head_bytes: usize,
    /// The most header lines. Default: 100. More: 431. No map of headers holds more than 24,576 names.
    pub max_headers: usize,
    /// How long the handshake may take in all, from the first byte expected to the last one received; a peer that
    /// drips a byte per second gains nothing. Default: 10 s. Longer: 408.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head_bytes: 16 << 10, max_headers: 100, timeout: Duration::from_secs(10) }
    }
}
