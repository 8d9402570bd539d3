//! Ids: 20 characters that nobody can guess. A session id is a secret, as whoever knows it can speak for the client.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::engine::error::IdError;

/// How many characters an id has. Load balancers find the id of a request by this length.
pub const LEN: usize = 20;

/// The id of a session.
///
/// `Debug` shows the first four characters only: logs are read by people who should not be able to take sessions over.
/// For the same reason it is never to be used where others see it; make the public id of a socket with [`generate_id`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid([u8; LEN]);

impl Sid {
    /// Characters of an id.
    pub const LEN: usize = LEN;

    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<Self, IdError> {
        generate_id().map(Self)
    }

    /// An id as a client sends it: 20 characters of `A–Z`, `a–z`, `0–9`, `_` and `-`. `None` for anything else, which
    /// is no id of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id: [u8; LEN] = text.as_bytes().try_into().ok()?;
        id.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).then_some(Self(id))
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // ASCII, by both ways to make one
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({}…)", &self.as_str()[..4])
    }
}

/// A new id: 12 secure random bytes, which is what makes it secret (CVE-2017-16031 was `Math.random`), and the low 24
/// bits of a counter, by which no two ids of a process are the same soon. In URL-safe base64, ASCII.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate_id() -> Result<[u8; LEN], IdError> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let mut raw = [0; 15];
    getrandom::fill(&mut raw[..12]).map_err(|_| IdError)?;
    // Only uniqueness is wanted of the counter, no order with anything else.
    let count = COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    raw[12..].copy_from_slice(&count[1..]);
    let mut id = [0; LEN];
    URL_SAFE.encode_slice(raw, &mut id).map_err(|_| IdError)?; // 15 bytes are 20 characters, without padding
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twenty_characters_and_differ() {
        let ids: std::collections::HashSet<Sid> = (0..1000).map(|_| Sid::generate().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| Sid::parse(id.as_str()) == Some(*id)));
    }

    #[test]
    fn the_last_four_characters_count() {
        let number = |id: [u8; LEN]| {
            let raw = URL_SAFE.decode(id).unwrap();
            u32::from_be_bytes([0, raw[12], raw[13], raw[14]])
        };
        let first = number(generate_id().unwrap());
        let second = number(generate_id().unwrap());
        // Other tests of this process may make ids in between.
        assert!(second > first && second - first < 100_000);
    }

    #[test]
    fn only_ids_of_our_shape_parse() {
        assert!(Sid::parse("abcdefghijABCDEFG-_9").is_some());
        for wrong in
            ["", "abc", "abcdefghijABCDEFG-_99", "abcdefghijABCDEFG-/9", "abcdefghijABCDEFG+_9", "äbcdefghijABCDEFG-_"]
        {
            assert_eq!(Sid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_secret() {
        let id = Sid::parse("abcdefghijABCDEFG-_9").unwrap();
        assert_eq!(format!("{id:?}"), "Sid(abcd…)");
    }
}
