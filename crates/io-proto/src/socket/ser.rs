//! What handlers send, through serde into a [`Writer`]: bytes become attachments on the way, and at the top a tuple
//! becomes several arguments.

use serde::Serialize;
use serde::ser::{self, Error as _, Impossible};

use super::error::EncodeError;
use super::writer::{Open, Writer};

type Result<T = (), E = EncodeError> = std::result::Result<T, E>;

/// Writes one value.
pub(super) struct One<'w, 'o>(pub(super) &'w mut Writer<'o>);

/// An array, object, or variant with either inside.
pub(super) struct Compound<'w, 'o> {
    writer: &'w mut Writer<'o>,
    open: Open,
    /// The object around it that names the variant.
    variant: Option<Open>,
}

impl<'w, 'o> One<'w, 'o> {
    fn array(self) -> Compound<'w, 'o> {
        let open = self.0.begin_array();
        Compound { writer: self.0, open, variant: None }
    }

    fn object(self) -> Compound<'w, 'o> {
        let open = self.0.begin_object();
        Compound { writer: self.0, open, variant: None }
    }

    /// `{"Variant":` and what follows.
    fn variant(self, variant: &str) -> Result<(Self, Open)> {
        let mut around = self.0.begin_object();
        self.0.key(&mut around, variant)?;
        Ok((self, around))
    }
}

impl<'w, 'o> ser::Serializer for One<'w, 'o> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'w, 'o>;
    type SerializeTuple = Compound<'w, 'o>;
    type SerializeTupleStruct = Compound<'w, 'o>;
    type SerializeTupleVariant = Compound<'w, 'o>;
    type SerializeMap = Compound<'w, 'o>;
    type SerializeStruct = Compound<'w, 'o>;
    type SerializeStructVariant = Compound<'w, 'o>;

    fn serialize_bool(self, v: bool) -> Result {
        self.0.bool(v);
        Ok(())
    }

    fn serialize_i8(self, v: i8) -> Result {
        self.0.signed(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result {
        self.0.signed(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result {
        self.0.signed(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result {
        self.0.signed(v)
    }

    fn serialize_u8(self, v: u8) -> Result {
        self.0.unsigned(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result {
        self.0.unsigned(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result {
        self.0.unsigned(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result {
        self.0.unsigned(v)
    }

    fn serialize_f32(self, v: f32) -> Result {
        self.0.float(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result {
        self.0.float(v)
    }

    fn serialize_char(self, v: char) -> Result {
        self.0.string(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result {
        self.0.string(v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result {
        self.0.binary(v)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.0.null();
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.0.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let (inner, around) = self.variant(variant)?;
        value.serialize(One(&mut *inner.0))?;
        inner.0.end_object(&around)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'w, 'o>> {
        Ok(self.array())
    }

    fn serialize_tuple(self, _len: usize) -> Result<Compound<'w, 'o>> {
        Ok(self.array())
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'w, 'o>> {
        Ok(self.array())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'w, 'o>> {
        let (inner, around) = self.variant(variant)?;
        Ok(Compound { variant: Some(around), ..inner.array() })
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'w, 'o>> {
        Ok(self.object())
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Compound<'w, 'o>> {
        Ok(self.object())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'w, 'o>> {
        let (inner, around) = self.variant(variant)?;
        Ok(Compound { variant: Some(around), ..inner.object() })
    }
}

impl Compound<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.writer.element(&mut self.open);
        value.serialize(One(&mut *self.writer))
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result {
        self.writer.key(&mut self.open, key)?;
        value.serialize(One(&mut *self.writer))
    }

    fn end_array(self) -> Result {
        self.writer.end_array(&self.open)?;
        self.variant.map_or(Ok(()), |around| self.writer.end_object(&around))
    }

    fn end_object(self) -> Result {
        self.writer.end_object(&self.open)?;
        self.variant.map_or(Ok(()), |around| self.writer.end_object(&around))
    }
}

impl ser::SerializeSeq for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end_array()
    }
}

impl ser::SerializeTuple for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end_array()
    }
}

impl ser::SerializeTupleStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end_array()
    }
}

impl ser::SerializeTupleVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.end_array()
    }
}

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        key.serialize(Key(self))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(One(&mut *self.writer))
    }

    fn end(self) -> Result {
        self.end_object()
    }
}

impl ser::SerializeStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        self.member(key, value)
    }

    fn end(self) -> Result {
        self.end_object()
    }
}

impl ser::SerializeStructVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        self.member(key, value)
    }

    fn end(self) -> Result {
        self.end_object()
    }
}

macro_rules! unsupported {
    ($message:literal: $($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok> {
            Err(EncodeError::custom($message))
        })*
    };
}

/// Writes a key. JavaScript's are strings: numbers and booleans are spelled out, with either parser.
struct Key<'c, 'w, 'o>(&'c mut Compound<'w, 'o>);

impl Key<'_, '_, '_> {
    fn write(self, key: &str) -> Result {
        self.0.writer.key(&mut self.0.open, key)
    }
}

macro_rules! spelled {
    ($($method:ident($kind:ty))*) => {
        $(fn $method(self, v: $kind) -> Result {
            self.write(&v.to_string())
        })*
    };
}

impl ser::Serializer for Key<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Impossible<(), EncodeError>;
    type SerializeTuple = Impossible<(), EncodeError>;
    type SerializeTupleStruct = Impossible<(), EncodeError>;
    type SerializeTupleVariant = Impossible<(), EncodeError>;
    type SerializeMap = Impossible<(), EncodeError>;
    type SerializeStruct = Impossible<(), EncodeError>;
    type SerializeStructVariant = Impossible<(), EncodeError>;

    fn serialize_str(self, v: &str) -> Result {
        self.write(v)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.write(variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result {
        self.serialize_unit()
    }

    spelled! {
        serialize_bool(bool) serialize_char(char)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64)
    }

    unsupported! { "the key of a map must be a string, a number or a boolean":
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Impossible<(), EncodeError>;
        serialize_tuple(usize) -> Impossible<(), EncodeError>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), EncodeError>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), EncodeError>;
        serialize_map(Option<usize>) -> Impossible<(), EncodeError>;
        serialize_struct(&'static str, usize) -> Impossible<(), EncodeError>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), EncodeError>;
    }
}

/// Writes arguments: the elements of a tuple, nothing for `()`, and one argument for everything else.
pub(super) struct Several<'w, 'o> {
    pub(super) writer: &'w mut Writer<'o>,
    pub(super) open: &'w mut Open,
}

impl<'w, 'o> Several<'w, 'o> {
    fn one(self) -> One<'w, 'o> {
        self.writer.element(self.open);
        One(self.writer)
    }
}

impl ser::SerializeTuple for Several<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.writer.element(self.open);
        value.serialize(One(&mut *self.writer))
    }

    fn end(self) -> Result {
        Ok(())
    }
}

macro_rules! one {
    ($($method:ident($($argument:ident: $kind:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $($argument: $kind),*) -> Result<$ok> {
            self.one().$method($($argument),*)
        })*
    };
}

impl<'w, 'o> ser::Serializer for Several<'w, 'o> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'w, 'o>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Compound<'w, 'o>;
    type SerializeTupleVariant = Compound<'w, 'o>;
    type SerializeMap = Compound<'w, 'o>;
    type SerializeStruct = Compound<'w, 'o>;
    type SerializeStructVariant = Compound<'w, 'o>;

    fn serialize_tuple(self, _len: usize) -> Result<Self> {
        Ok(self)
    }

    fn serialize_unit(self) -> Result {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        self.one().serialize_some(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result {
        self.one().serialize_newtype_struct(name, value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.one().serialize_newtype_variant(name, index, variant, value)
    }

    one! {
        serialize_bool(v: bool) -> ();
        serialize_i8(v: i8) -> ();
        serialize_i16(v: i16) -> ();
        serialize_i32(v: i32) -> ();
        serialize_i64(v: i64) -> ();
        serialize_u8(v: u8) -> ();
        serialize_u16(v: u16) -> ();
        serialize_u32(v: u32) -> ();
        serialize_u64(v: u64) -> ();
        serialize_f32(v: f32) -> ();
        serialize_f64(v: f64) -> ();
        serialize_char(v: char) -> ();
        serialize_str(v: &str) -> ();
        serialize_bytes(v: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Compound<'w, 'o>;
        serialize_tuple_struct(name: &'static str, len: usize) -> Compound<'w, 'o>;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> Compound<'w, 'o>;
        serialize_map(len: Option<usize>) -> Compound<'w, 'o>;
        serialize_struct(name: &'static str, len: usize) -> Compound<'w, 'o>;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Compound<'w, 'o>;
    }
}
