//! A value of any shape, for code that knows no types: JSON's, and binary data.

use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reader::Reader;
use super::token::Token;

/// A value of any shape.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Null; also what is not there, and JavaScript's `undefined`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text. Dates arrive as text too.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object, its members in the order in which they came. Objects of another order are not equal.
    Object(Vec<(String, Self)>),
    /// Binary data.
    Binary(Bytes),
}

/// A number: an integer of 64 bits, with or without sign, or a floating-point number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(Repr);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Repr {
    Unsigned(u64),
    /// Less than zero.
    Signed(i64),
    Float(f64),
}

impl Number {
    /// The number, if it is an integer of at least 0.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Unsigned(number) => Some(number),
            Repr::Signed(_) | Repr::Float(_) => None,
        }
    }

    /// The number, if it is an integer that fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Unsigned(number) => number.try_into().ok(),
            Repr::Signed(number) => Some(number),
            Repr::Float(_) => None,
        }
    }

    /// The number, rounded if it is an integer of more than 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "it is what the doc says")]
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Unsigned(number) => number as f64,
            Repr::Signed(number) => number as f64,
            Repr::Float(number) => number,
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(Repr::Unsigned(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(u64::try_from(number).map_or(Repr::Signed(number), Repr::Unsigned))
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(Repr::Float(number))
    }
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The binary data, if it is some.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The member of this name, if it is an object that has one; of several the last, as in JavaScript.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The next value; binary data is shared.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        match reader.token() {
            Token::Null => Self::Null,
            Token::Bool(value) => value.into(),
            Token::Unsigned(number) => number.into(),
            Token::Signed(number) => number.into(),
            Token::Float(number) => number.into(),
            Token::String(text) => text.into_owned().into(),
            Token::Binary(binary) => binary.to_bytes().into(),
            Token::Array(mut level) => {
                let mut elements = Vec::new();
                while reader.more(&mut level) {
                    elements.push(Self::read(reader));
                }
                Self::Array(elements)
            }
            Token::Object(mut level) => {
                let mut members = Vec::new();
                while reader.more(&mut level) {
                    let key = reader.key().into_owned();
                    members.push((key, Self::read(reader)));
                }
                Self::Object(members)
            }
        }
    }
}

macro_rules! from {
    ($($kind:ty => $convert:expr;)*) => {
        $(impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                ($convert)(value)
            }
        })*
    };
}

from! {
    bool => Value::Bool;
    u8 => |number| Value::Number(u64::from(number).into());
    u16 => |number| Value::Number(u64::from(number).into());
    u32 => |number| Value::Number(u64::from(number).into());
    u64 => |number: u64| Value::Number(number.into());
    i8 => |number| Value::Number(i64::from(number).into());
    i16 => |number| Value::Number(i64::from(number).into());
    i32 => |number| Value::Number(i64::from(number).into());
    i64 => |number: i64| Value::Number(number.into());
    f32 => |number| Value::Number(f64::from(number).into());
    f64 => |number: f64| Value::Number(number.into());
    &str => |text: &str| Value::String(text.into());
    String => Value::String;
    Bytes => Value::Binary;
    () => |()| Value::Null;
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(elements: Vec<T>) -> Self {
        Self::Array(elements.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => value.into(),
            serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number.into(),
                (None, Some(number)) => number.into(),
                (None, None) => number.as_f64().into(),
            },
            serde_json::Value::String(text) => text.into(),
            serde_json::Value::Array(elements) => elements.into(),
            serde_json::Value::Object(members) => {
                Self::Object(members.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

/// JSON knows neither binary data, which becomes an array of numbers, nor infinities, which become null.
impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => value.into(),
            Value::Number(Number(Repr::Unsigned(number))) => number.into(),
            Value::Number(Number(Repr::Signed(number))) => number.into(),
            Value::Number(Number(Repr::Float(number))) => number.into(),
            Value::String(text) => text.into(),
            Value::Array(elements) => elements.into(),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
            Value::Binary(bytes) => bytes.to_vec().into(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number(Repr::Unsigned(number))) => serializer.serialize_u64(*number),
            Self::Number(Number(Repr::Signed(number))) => serializer.serialize_i64(*number),
            Self::Number(Number(Repr::Float(number))) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(elements) => elements.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Bytes::copy_from_slice(bytes).into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Bytes::from(bytes).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}
