//! UTF-8: a validator that works on a stream and never reads a byte twice, and [`Utf8Bytes`], shared text.
//!
//! The crate's one module with `unsafe`: text that was validated once is not validated again to become a `&str`.
#![expect(unsafe_code, reason = "turning validated bytes into &str without a second pass")]

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::mask::Unmasked;

/// Shared, immutable text: [`Bytes`] that are known to be UTF-8.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Utf8Bytes(Bytes);

impl Utf8Bytes {
    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor of `Utf8Bytes` takes a `str`, or bytes validated as UTF-8, and `Bytes` is
        // immutable.
        unsafe { str::from_utf8_unchecked(&self.0) }
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Bytes that a [`Utf8Stream`] has accepted from first to last.
    pub(crate) fn from_validated(bytes: Bytes) -> Self {
        debug_assert!(str::from_utf8(&bytes).is_ok(), "the caller validated these bytes");
        Self(bytes)
    }
}

impl TryFrom<Bytes> for Utf8Bytes {
    type Error = std::str::Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<&str> for Utf8Bytes {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Utf8Bytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Utf8Bytes {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Utf8Bytes {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Utf8Bytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The text that a whole payload is.
#[inline]
pub(crate) fn text(payload: Unmasked<'_>) -> Result<&str, ProtocolError> {
    if payload.is_known_ascii() {
        // SAFETY: ASCII is UTF-8, and `Unmasked` looked at every byte.
        return Ok(unsafe { str::from_utf8_unchecked(payload.as_bytes()) });
    }
    simdutf8::basic::from_utf8(payload.as_bytes()).map_err(|_| ProtocolError::InvalidUtf8)
}

/// Validates text that arrives in pieces. It fails at the first byte that no continuation could make good, keeps at
/// most the three bytes of a cut character, and looks at each byte once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Utf8Stream {
    cut: [u8; 4],
    cut_len: u8,
}

impl Utf8Stream {
    /// Takes the next piece of the text.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] as soon as a byte cannot belong to UTF-8 text.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        let rest = self.complete_cut(piece)?;
        match simdutf8::compat::from_utf8(rest) {
            Ok(_) => Ok(()),
            // Bytes are missing at the end, and those that are there could still become a character.
            Err(error) if error.error_len().is_none() => {
                let tail = &rest[error.valid_up_to()..];
                self.cut[..tail.len()].copy_from_slice(tail);
                self.cut_len = u8::try_from(tail.len()).unwrap_or(0);
                Ok(())
            }
            Err(_) => Err(ProtocolError::InvalidUtf8),
        }
    }

    /// Takes the next piece of the text, which is not looked at again when it is ASCII.
    pub(crate) fn push_unmasked(&mut self, piece: Unmasked<'_>) -> Result<(), ProtocolError> {
        // After a cut character any ASCII is wrong: that is found by looking.
        if piece.is_known_ascii() && self.cut_len == 0 { Ok(()) } else { self.push(piece.as_bytes()) }
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] when the last character is cut.
    pub fn finish(&mut self) -> Result<(), ProtocolError> {
        if std::mem::take(&mut self.cut_len) == 0 { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }

    /// Completes the character that the last piece left cut; returns what follows it.
    fn complete_cut<'p>(&mut self, mut piece: &'p [u8]) -> Result<&'p [u8], ProtocolError> {
        while self.cut_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { break };
            self.cut[usize::from(self.cut_len)] = byte;
            self.cut_len += 1;
            piece = rest;
            match str::from_utf8(&self.cut[..usize::from(self.cut_len)]) {
                Ok(_) => self.cut_len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(ProtocolError::InvalidUtf8),
            }
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The position at which the validator gives up when fed byte by byte, or the verdict of `finish`.
    fn byte_by_byte(text: &[u8]) -> Result<(), usize> {
        let mut stream = Utf8Stream::default();
        for (at, byte) in text.iter().enumerate() {
            stream.push(std::slice::from_ref(byte)).map_err(|_| at)?;
        }
        stream.finish().map_err(|_| text.len())
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be_text() {
        // Autobahn 6.4.*: a code point above U+10FFFF is known to be one from its second byte.
        assert_eq!(byte_by_byte(b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80"), Err(6));
        assert_eq!(byte_by_byte(b"a\xed\xa0\x80"), Err(2), "a surrogate shows in its second byte");
        assert_eq!(byte_by_byte(b"a\xc0\x80"), Err(1), "an overlong form shows in its first byte");
        assert_eq!(byte_by_byte(b"a\x80"), Err(1));
        assert_eq!(byte_by_byte(b"a\xe2\x82"), Err(3), "a cut character shows at the end");
        assert_eq!(byte_by_byte("κόσμε €𝄞".as_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_verdict_of_std(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                any::<String>().prop_map(String::into_bytes),
            ],
            cuts in proptest::collection::vec(0usize..64, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut stream = Utf8Stream::default();
            let mut from = 0;
            let mut verdict = Ok(());
            for to in cuts {
                verdict = verdict.and_then(|()| stream.push(&bytes[from..to]));
                from = to;
            }
            let verdict = verdict.and_then(|()| stream.finish());
            prop_assert_eq!(verdict.is_ok(), str::from_utf8(&bytes).is_ok());
        }
    }
}
