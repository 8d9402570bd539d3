//! One way to walk data that was checked before, whichever encoding it came in. It cannot fail: where nothing is left,
//! it reads null, which is what an argument that was not sent is.

use std::borrow::Cow;

use super::json::JsonReader;
use super::token::{Level, Token};
use super::unpack::MsgpackReader;

/// Walks data of either encoding.
#[derive(Debug, Clone)]
pub(crate) enum Reader<'de> {
    Json(JsonReader<'de>),
    Msgpack(MsgpackReader<'de>),
}

impl<'de> Reader<'de> {
    /// Whether the next value is null, or there is none.
    pub(crate) fn is_null(&mut self) -> bool {
        match self {
            Self::Json(reader) => reader.is_null(),
            Self::Msgpack(reader) => reader.is_null(),
        }
    }

    /// The next value.
    pub(crate) fn token(&mut self) -> Token<'de> {
        match self {
            Self::Json(reader) => reader.token(),
            Self::Msgpack(reader) => reader.token(),
        }
    }

    /// Whether another element of this array or object follows.
    pub(crate) fn more(&mut self, level: &mut Level) -> bool {
        match self {
            // Once it is closed, the next bracket belongs to what is around it.
            Self::Json(_) if level.0 == Some(0) => false,
            Self::Json(reader) => {
                let more = reader.more();
                if !more {
                    level.0 = Some(0);
                }
                more
            }
            Self::Msgpack(_) => {
                let left = level.0.unwrap_or_default();
                level.0 = Some(left.saturating_sub(1));
                left > 0
            }
        }
    }

    /// The key of the next member.
    pub(crate) fn key(&mut self) -> Cow<'de, str> {
        match self {
            Self::Json(reader) => reader.key(),
            Self::Msgpack(reader) => reader.key(),
        }
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self) {
        match self.token() {
            Token::Array(mut level) => {
                while self.more(&mut level) {
                    self.skip();
                }
            }
            Token::Object(mut level) => {
                while self.more(&mut level) {
                    self.key();
                    self.skip();
                }
            }
            _ => {}
        }
    }
}
