//! Arguments to the types that handlers ask for. Where a type asks for bytes it gets them, whichever encoding they came
//! in; where it asks for a sequence of numbers (`Vec<u8>`, `[u8; 16]`), bytes do as well.

use std::borrow::Cow;

use serde::de::value::{CowStrDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Error as _, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::error::ArgsError;
use super::reader::Reader;
use super::spread::EVERY;
use super::token::{Level, Token};

/// One value.
pub(super) struct One<'r, 'de>(pub(super) &'r mut Reader<'de>);

impl<'de> One<'_, 'de> {
    fn visit<V: Visitor<'de>>(self, token: Token<'de>, visitor: V) -> Result<V::Value, ArgsError> {
        match token {
            Token::Null => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(number) => visitor.visit_u64(number),
            Token::Signed(number) => visitor.visit_i64(number),
            Token::Float(number) => visitor.visit_f64(number),
            Token::String(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Token::String(Cow::Owned(text)) => visitor.visit_string(text),
            Token::Binary(binary) => visitor.visit_borrowed_bytes(binary.bytes),
            Token::Array(level) => self.array(level, visitor),
            Token::Object(level) => {
                let mut members = Members { reader: self.0, level };
                let value = visitor.visit_map(&mut members)?;
                members.finish()?;
                Ok(value)
            }
        }
    }

    fn array<V: Visitor<'de>>(self, level: Level, visitor: V) -> Result<V::Value, ArgsError> {
        let mut elements = Elements { reader: self.0, level };
        let value = visitor.visit_seq(&mut elements)?;
        elements.finish()?;
        Ok(value)
    }
}

impl<'de> de::Deserializer<'de> for One<'_, 'de> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        let token = self.0.token();
        self.visit(token, visitor)
    }

    /// Binary data is no text, though serde would take it for some if it happens to be UTF-8.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0.token() {
            Token::Binary(binary) => Err(ArgsError::invalid_type(Unexpected::Bytes(binary.bytes), &visitor)),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.is_null() {
            self.0.skip();
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0.token() {
            Token::Binary(binary) => visitor.visit_seq(SeqDeserializer::new(binary.bytes.iter().copied())),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ArgsError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        match self.0.token() {
            Token::String(variant) => visitor.visit_enum(CowStrDeserializer::new(variant)),
            Token::Object(level) => {
                let mut members = Members { reader: self.0, level };
                let value = visitor.visit_enum(Variant(&mut members))?;
                members.finish()?;
                Ok(value)
            }
            _ => Err(ArgsError::custom("expected a variant: its name, or an object with its name as the only key")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.0.skip();
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct map struct identifier
    }
}

/// All the arguments, as a sequence. Arguments that were not sent read as null; those that nobody asked for are
/// ignored, as a JavaScript function does.
pub(super) struct All<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
    pub(super) len: usize,
}

impl<'de> All<'_, 'de> {
    /// As many as were asked for.
    fn padded<V: Visitor<'de>>(self, wanted: usize, visitor: V) -> Result<V::Value, ArgsError> {
        let wanted = if wanted == EVERY { self.len } else { wanted };
        visitor.visit_seq(Sent { reader: self.reader, left: wanted })
    }
}

impl<'de> de::Deserializer<'de> for All<'_, 'de> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        let len = self.len;
        self.padded(len, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ArgsError> {
        self.padded(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.padded(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.padded(fields.len(), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct seq map enum
        identifier ignored_any
    }
}

/// What a handler's parameter asks for: a tuple is all the arguments, `()` none of them, everything else the first one.
pub(super) struct Parameter<'r, 'de>(pub(super) All<'r, 'de>);

macro_rules! first {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, ArgsError> {
            One(self.0.reader).$method($($argument,)* visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Parameter<'_, 'de> {
    type Error = ArgsError;

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ArgsError> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    first! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_seq() deserialize_map()
        deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

struct Sent<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Sent<'_, 'de> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ArgsError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        // Where no more follows, the reader reads null.
        self.reader.more(&mut Level::unknown());
        seed.deserialize(One(self.reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    level: Level,
}

impl Elements<'_, '_> {
    fn finish(mut self) -> Result<(), ArgsError> {
        if self.reader.more(&mut self.level) {
            return Err(ArgsError::custom("the array has more elements than were asked for"));
        }
        Ok(())
    }
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ArgsError> {
        if !self.reader.more(&mut self.level) {
            return Ok(None);
        }
        seed.deserialize(One(self.reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.level.left()
    }
}

struct Members<'r, 'de> {
    reader: &'r mut Reader<'de>,
    level: Level,
}

impl Members<'_, '_> {
    fn finish(mut self) -> Result<(), ArgsError> {
        if self.reader.more(&mut self.level) {
            return Err(ArgsError::custom("the object has more members than were asked for"));
        }
        Ok(())
    }
}

impl<'de> de::MapAccess<'de> for &mut Members<'_, 'de> {
    type Error = ArgsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ArgsError> {
        if !self.reader.more(&mut self.level) {
            return Ok(None);
        }
        seed.deserialize(Key(self.reader.key())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        seed.deserialize(One(self.reader))
    }

    fn size_hint(&self) -> Option<usize> {
        self.level.left()
    }
}

/// A key is a string; a type that asks for a number or a boolean gets what the string spells, as JSON cannot say it
/// else.
struct Key<'de>(Cow<'de, str>);

macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
            match self.0.parse() {
                Ok(parsed) => visitor.$visit(parsed),
                Err(_) => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32 deserialize_i64 visit_i64
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32 deserialize_u64 visit_u64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_enum(CowStrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// `{"Variant": content}`.
struct Variant<'m, 'r, 'de>(&'m mut Members<'r, 'de>);

impl<'m, 'r, 'de> de::EnumAccess<'de> for Variant<'m, 'r, 'de> {
    type Error = ArgsError;
    type Variant = One<'m, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, One<'m, 'de>), ArgsError> {
        let mut members = self.0;
        let Some(variant) = de::MapAccess::next_key_seed(&mut members, seed)? else {
            return Err(ArgsError::custom("expected a variant, not an empty object"));
        };
        Ok((variant, One(members.reader)))
    }
}

impl<'de> de::VariantAccess<'de> for One<'_, 'de> {
    type Error = ArgsError;

    fn unit_variant(self) -> Result<(), ArgsError> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ArgsError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ArgsError> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}
