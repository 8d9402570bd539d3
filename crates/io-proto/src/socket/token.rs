//! The pieces that walking data gives: values, and the beginnings of arrays and objects.

use std::borrow::Cow;

use bytes::Bytes;

/// A value, or the beginning of one.
#[derive(Debug)]
pub(crate) enum Token<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Less than zero.
    Signed(i64),
    Float(f64),
    String(Cow<'de, str>),
    Binary(Binary<'de>),
    /// Elements follow, each after a `true` of [`Reader::more`].
    Array(Level),
    /// Members follow, each after a `true` of [`Reader::more`]: a key, then a value.
    Object(Level),
}

/// Bytes, and what keeps them alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binary<'de> {
    pub(crate) owner: &'de Bytes,
    pub(crate) bytes: &'de [u8],
}

impl Binary<'_> {
    /// Without a copy.
    pub(crate) fn to_bytes(self) -> Bytes {
        self.owner.slice_ref(self.bytes)
    }
}

/// How much of an array or object is left, where its encoding says so; 0 when it was read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level(pub(super) Option<usize>);

impl Level {
    pub(crate) fn unknown() -> Self {
        Self(None)
    }

    pub(crate) fn of(len: usize) -> Self {
        Self(Some(len))
    }

    pub(crate) fn left(self) -> Option<usize> {
        self.0
    }
}
