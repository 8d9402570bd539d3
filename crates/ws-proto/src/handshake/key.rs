//! The nonce of the handshake and its answer (RFC 6455 §4.1 and §4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// A proof that the server read the request as WebSocket and as nothing else; no secret is kept with it (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What `Sec-WebSocket-Accept` must say for a `Sec-WebSocket-Key`: base64 of the SHA-1 of the key and the GUID
/// (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    STANDARD.encode(sha1.finalize())
}

/// "A nonce consisting of a randomly selected 16-byte value that has been base64-encoded" (§4.1).
///
/// # Panics
/// When the operating system has no random numbers to give.
pub(super) fn generate() -> String {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).expect("the operating system has random numbers");
    STANDARD.encode(nonce)
}

/// Whether this is 16 bytes in base64: 22 digits and two signs of padding. The four bits that the last digit has too
/// many are not looked at: nobody uses the value, and clients that draw 22 random digits are about.
pub(super) fn is_valid(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>().map(|(digits, end)| (digits, &end[..])) else {
        return false;
    };
    digits.len() == 22 && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_16_bytes_and_differ() {
        let (one, other) = (generate(), generate());
        assert!(is_valid(one.as_bytes()), "{one}");
        assert_eq!(STANDARD.decode(&one).map(|nonce| nonce.len()), Ok(16));
        assert_ne!(one, other);
        for wrong in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=a",
            "SGVsbG8sIHdvcmxkIQ==",
            "dGhlIHNhbXBsZSBub25j-Q==",
        ] {
            assert!(!is_valid(wrong.as_bytes()), "{wrong}");
        }
    }
}
