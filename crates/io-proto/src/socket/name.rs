//! A short text that is cheap to copy: the names of events, namespaces and rooms. Up to 22 bytes lie in the value
//! itself.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

const INLINE: usize = 22;

/// The name of an event, a namespace or a room. Up to 22 bytes cost no allocation; longer ones are shared by clones.
///
/// An event may be [called by a number](Self::is_number). That has no part in comparisons: as in JavaScript, who
/// listens to `"1"` hears the event `1`.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Inline {
        len: u8,
        bytes: [u8; INLINE],
    },
    Shared(Arc<str>),
    /// Of an event that is called by a number, in digits.
    Number(Arc<str>),
}

impl Name {
    /// The name of an event that came as a number.
    pub(crate) fn integer(number: impl fmt::Display) -> Self {
        Self(Repr::Number(number.to_string().into()))
    }

    /// The same. JSON cannot say what is not finite, and JavaScript's writes no negative zero.
    pub(crate) fn float(number: f64) -> Self {
        let number = if number == 0.0 { 0.0 } else { number };
        if number.is_finite() { Self::integer(number) } else { number.to_string().into() }
    }

    /// Whether it is the name of an event that came as a number and not as a text. Sent on as it came, it stays one.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self.0, Repr::Number(_))
    }

    /// A name of one ASCII byte.
    pub(crate) const fn ascii(byte: u8) -> Self {
        let mut bytes = [0; INLINE];
        bytes[0] = byte;
        Self(Repr::Inline { len: 1, bytes })
    }

    /// The bytes of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(text) | Repr::Number(text) => text.as_bytes(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Only whole texts are ever put in; checking so few bytes again is cheaper than to have `unsafe` here.
            Repr::Inline { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Repr::Shared(text) | Repr::Number(text) => text,
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Self(Repr::Inline { len, bytes })
            }
            _ => Self(Repr::Shared(text.into())),
        }
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Self> for Name {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Self {
        if text.len() <= INLINE { (&*text).into() } else { Self(Repr::Shared(text)) }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other)
    }
}

/// As `str` hashes, so that a map of names can be asked for a `&str`.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_length_comes_back() {
        for len in 0..64 {
            let text = "é".repeat(len / 2) + if len % 2 == 0 { "" } else { "x" };
            let name = Name::from(text.as_str());
            assert_eq!(name.as_str(), text);
            assert!(HashSet::from([name]).contains(text.as_str()));
        }
        assert!(size_of::<Name>() <= 24);
    }

    #[test]
    fn a_number_is_found_by_its_digits() {
        for (name, text) in [(Name::integer(-1), "-1"), (Name::float(1500.0), "1500"), (Name::float(0.5), "0.5")] {
            assert!(name.is_number() && name.clone().is_number());
            assert!(name == *text && HashSet::from([name]).contains(text));
        }
        assert_eq!(Name::float(-0.0), Name::integer(0));
        assert!(!Name::from("1").is_number() && !Name::float(f64::NAN).is_number());
    }
}
