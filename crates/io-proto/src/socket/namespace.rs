//! The name of a namespace, which can always be written: it begins with `/` and holds no comma.

use std::fmt;

use super::error::EncodeError;
use super::name::Name;

/// The name of a namespace: begins with `/`, holds no comma. The main one, `/`, costs nothing to make or clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Name);

impl Namespace {
    /// The main namespace, `/`.
    pub const ROOT: Self = Self(Name::ascii(b'/'));

    /// The main namespace, `/`, to borrow.
    #[must_use]
    pub fn root() -> &'static Self {
        static ROOT: Namespace = Namespace::ROOT;
        &ROOT
    }

    /// The namespace of this name; as in Node, a missing `/` is put in front.
    ///
    /// # Errors
    /// [`EncodeError::Namespace`] when the name holds a comma: the text parser ends names there.
    pub fn new(name: &str) -> Result<Self, EncodeError> {
        if name.contains(',') {
            return Err(EncodeError::Namespace);
        }
        Ok(Self(if name.starts_with('/') { name.into() } else { format!("/{name}").into() }))
    }

    /// The namespace that a peer named, if it can be one.
    pub(crate) fn received(name: &str) -> Option<Self> {
        (name.starts_with('/') && !name.contains(',')).then(|| Self(name.into()))
    }

    /// Whether it is the main namespace.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.as_bytes() == b"/"
    }

    /// The name, with its `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name without its query, and the query. Clients of Socket.IO 2 send what a namespace is to know of them as a
    /// query in its name (`/admin?token=1`); to newer ones a `?` is a letter like any other, so that only who knows
    /// which client it is may ask.
    #[must_use]
    pub fn split_query(&self) -> (Self, Option<&str>) {
        match self.as_str().split_once('?') {
            Some((path, query)) => (Self(path.into()), Some(query)),
            None => (self.clone(), None),
        }
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::ROOT
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
