//! Msgpack, read in two ways: [`check`] passes bytes that came from outside, [`MsgpackReader`] walks what was passed
//! and cannot fail. Ours, because nothing in the wild refuses depth, keeps bytes where they lie and knows what
//! notepack.io makes of `undefined` and `Date`.

use std::borrow::Cow;

use bytes::Bytes;

use super::date;
use super::error::DecodeError;
use super::token::{Binary, Level, Token};

/// What one header says, with the bytes that belong to it. Strings are not known to be UTF-8 yet.
#[derive(Debug)]
pub(crate) enum Item<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    String(&'de [u8]),
    Binary(&'de [u8]),
    /// An extension of a length that its header byte says: 1, 2, 4, 8 or 16.
    FixExt(i8, &'de [u8]),
    /// An extension of any other length; notepack.io tells an `ArrayBuffer` by it.
    Ext(i8, &'de [u8]),
    Array(usize),
    Map(usize),
}

impl Item<'_> {
    /// Nothing, to JavaScript: nil, or what notepack.io writes for `undefined` (fixext type 0, one byte).
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nil | Self::FixExt(0, [_]))
    }
}

/// A place in msgpack bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'de> {
    bytes: &'de [u8],
    pos: usize,
}

impl<'de> Cursor<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn wrong(&self) -> DecodeError {
        DecodeError::Msgpack { at: self.pos }
    }

    fn take(&mut self, len: usize) -> Option<&'de [u8]> {
        let taken = self.bytes.get(self.pos..self.pos.checked_add(len)?)?;
        self.pos += len;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A big-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn len(&mut self, width: usize) -> Option<usize> {
        usize::try_from(self.number(width)?).ok()
    }

    fn string(&mut self, width: usize) -> Option<Item<'de>> {
        let len = self.len(width)?;
        self.take(len).map(Item::String)
    }

    fn ext(&mut self, len: usize) -> Option<(i8, &'de [u8])> {
        let [kind] = self.fixed()?;
        Some((i8::from_be_bytes([kind]), self.take(len)?))
    }

    /// The next header and what belongs to it; `None` if the bytes end before, or the header is `c1`, which is none.
    pub(crate) fn item(&mut self) -> Option<Item<'de>> {
        let [head] = self.fixed()?;
        Some(match head {
            0x00..=0x7F => Item::Unsigned(head.into()),
            0x80..=0x8F => Item::Map((head & 0x0F).into()),
            0x90..=0x9F => Item::Array((head & 0x0F).into()),
            0xA0..=0xBF => Item::String(self.take((head & 0x1F).into())?),
            0xC0 => Item::Nil,
            0xC1 => return None,
            0xC2 | 0xC3 => Item::Bool(head == 0xC3),
            0xC4..=0xC6 => {
                let len = self.len(1 << (head - 0xC4))?;
                Item::Binary(self.take(len)?)
            }
            0xC7..=0xC9 => {
                let len = self.len(1 << (head - 0xC7))?;
                let (kind, bytes) = self.ext(len)?;
                Item::Ext(kind, bytes)
            }
            0xCA => Item::Float(f32::from_be_bytes(self.fixed()?).into()),
            0xCB => Item::Float(f64::from_be_bytes(self.fixed()?)),
            0xCC..=0xCF => Item::Unsigned(self.number(1 << (head - 0xCC))?),
            0xD0 => signed(i8::from_be_bytes(self.fixed()?).into()),
            0xD1 => signed(i16::from_be_bytes(self.fixed()?).into()),
            0xD2 => signed(i32::from_be_bytes(self.fixed()?).into()),
            0xD3 => signed(i64::from_be_bytes(self.fixed()?)),
            0xD4..=0xD8 => {
                let (kind, bytes) = self.ext(1 << (head - 0xD4))?;
                Item::FixExt(kind, bytes)
            }
            0xD9..=0xDB => self.string(1 << (head - 0xD9))?,
            0xDC | 0xDD => Item::Array(self.len(2 << (head - 0xDC))?),
            0xDE | 0xDF => Item::Map(self.len(2 << (head - 0xDE))?),
            0xE0..=0xFF => Item::Signed(i8::from_be_bytes([head]).into()),
        })
    }

    /// Checks one value that stands inside `around` arrays and maps: whole, not too deep, strings UTF-8, keys strings
    /// or integers. Its recursion is as deep as the limit at most.
    pub(crate) fn check(&mut self, around: u8, max_depth: u8) -> Result<(), DecodeError> {
        let item = self.item().ok_or_else(|| self.wrong())?;
        if matches!(item, Item::Array(_) | Item::Map(_)) && around >= max_depth {
            return Err(DecodeError::TooDeep { limit: max_depth });
        }
        match item {
            Item::String(text) => drop(std::str::from_utf8(text).map_err(|_| DecodeError::Utf8)?),
            // Bytes run out long before a count that lies does.
            Item::Array(len) => (0..len).try_for_each(|_| self.check(around + 1, max_depth))?,
            Item::Map(len) => {
                for _ in 0..len {
                    self.check_key()?;
                    self.check(around + 1, max_depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_key(&mut self) -> Result<(), DecodeError> {
        match self.item() {
            Some(Item::String(text)) => std::str::from_utf8(text).map(drop).map_err(|_| DecodeError::Utf8),
            Some(Item::Unsigned(_) | Item::Signed(_)) => Ok(()),
            _ => Err(self.wrong()),
        }
    }
}

fn signed(number: i64) -> Item<'static> {
    u64::try_from(number).map_or(Item::Signed(number), Item::Unsigned)
}

/// Walks msgpack that [`Cursor::check`] passed or that a writer of ours wrote.
#[derive(Debug, Clone)]
pub(crate) struct MsgpackReader<'de> {
    cursor: Cursor<'de>,
    owner: &'de Bytes,
}

impl<'de> MsgpackReader<'de> {
    pub(crate) fn new(owner: &'de Bytes) -> Self {
        Self { cursor: Cursor::new(owner), owner }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.clone().token(), Token::Null)
    }

    /// The next value, or its beginning; null when there is none.
    pub(crate) fn token(&mut self) -> Token<'de> {
        match self.cursor.item().unwrap_or(Item::Nil) {
            Item::Nil | Item::FixExt(0, [_]) => Token::Null,
            Item::Bool(value) => Token::Bool(value),
            Item::Unsigned(number) => Token::Unsigned(number),
            Item::Signed(number) => Token::Signed(number),
            Item::Float(number) => Token::Float(number),
            Item::String(text) => Token::String(String::from_utf8_lossy(text)),
            // notepack.io 2 writes dates as milliseconds in eight bytes of type 0; type −1 is msgpack's own timestamp.
            Item::FixExt(0, bytes @ [_, _, _, _, _, _, _, _]) => date(date::from_millis(bytes)),
            Item::FixExt(-1, bytes @ ([_, _, _, _] | [_, _, _, _, _, _, _, _])) => date(date::from_timestamp(bytes)),
            Item::Ext(-1, bytes) if bytes.len() == 12 => date(date::from_timestamp(bytes)),
            // A `Buffer`, an `ArrayBuffer` (type 0), and extensions that are nobody's.
            Item::Binary(bytes) | Item::FixExt(_, bytes) | Item::Ext(_, bytes) => {
                Token::Binary(Binary { owner: self.owner, bytes })
            }
            Item::Array(len) => Token::Array(Level::of(len)),
            Item::Map(len) => Token::Object(Level::of(len)),
        }
    }

    pub(crate) fn key(&mut self) -> Cow<'de, str> {
        match self.token() {
            Token::String(text) => text,
            Token::Unsigned(number) => number.to_string().into(),
            Token::Signed(number) => number.to_string().into(),
            _ => Cow::Borrowed(""),
        }
    }
}

/// A date reads as the text that `toJSON` makes of it, so that it is the same with either parser; null for one that
/// JavaScript cannot hold.
fn date(text: Option<String>) -> Token<'static> {
    text.map_or(Token::Null, |text| Token::String(text.into()))
}
