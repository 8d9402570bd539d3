//! What an event or an ack carries, kept as it came: checked, but not deserialised until somebody asks for a type, and
//! sent on in the same encoding without being touched.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::de::{All, One, Parameter};
use super::encoding::Parser;
use super::error::{ArgsError, DecodeError, EncodeError};
use super::json::{self, JsonReader, Numbering, Scanner};
use super::limits::Limits;
use super::reader::Reader;
use super::ser::Several;
use super::spread::Spread;
use super::token::Level;
use super::unpack::{Cursor, MsgpackReader};
use super::value::Value;
use super::writer::{Open, Writer};

/// Arguments, in the encoding in which they came or were made. Clones share the bytes.
///
/// Equal means written equally: `1` and `1.0` differ, and so do the two encodings of one value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args {
    body: Body,
    len: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    /// The elements of a JSON array, with the commas between them and no brackets.
    Json { elements: Bytes, attachments: Vec<Bytes> },
    /// The elements of a msgpack array, without its header.
    Msgpack(Bytes),
}

impl Default for Body {
    fn default() -> Self {
        Self::Json { elements: Bytes::new(), attachments: Vec::new() }
    }
}

impl Args {
    /// Serialises arguments, so that they can be sent many times.
    ///
    /// # Errors
    /// What [`EncodeError`] says of values that cannot be written.
    pub fn new(encoding: Parser, args: &(impl Arguments + ?Sized)) -> Result<Self, EncodeError> {
        let (mut elements, mut attachments) = (Vec::new(), Vec::new());
        let mut writer = Writer::new(encoding, &mut elements, &mut attachments);
        let mut open = writer.begin_bare();
        args.write(&mut writer, &mut open)?;
        let len = open.len();
        writer.finish()?;
        let body = match encoding {
            Parser::Json => Body::Json { elements: elements.into(), attachments },
            Parser::Msgpack => Body::Msgpack(elements.into()),
        };
        Ok(Self { body, len })
    }

    /// Takes a JSON array (`["a",1]`, the event's name not among them) and the attachments that its placeholders name.
    ///
    /// # Errors
    /// [`DecodeError`] names the rule broken; [`DecodeError::AckData`] when it is not an array.
    pub fn from_json(array: &str, attachments: Vec<Bytes>, limits: &Limits) -> Result<Self, DecodeError> {
        let mut scanner = Scanner::new(array.as_bytes(), 0, limits.max_depth());
        if !scanner.take(b'[') {
            return Err(DecodeError::AckData);
        }
        let elements = scanner.elements()?;
        scanner.end()?;
        let start = if elements.len > 0 { elements.first.start } else { elements.rest.end };
        let end = if elements.len > 1 { elements.rest.end } else { elements.first.end.max(start) };
        let text = &array.as_bytes()[start..end];
        if !attachments.is_empty() {
            json::check_placeholders(text, attachments.len())?;
        }
        Ok(Self::json(Bytes::copy_from_slice(text), attachments, elements.len))
    }

    /// Takes a msgpack array (the event's name not in it).
    ///
    /// # Errors
    /// [`DecodeError`] names the rule broken; [`DecodeError::AckData`] when it is not an array.
    pub fn from_msgpack(array: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(array);
        cursor.check(0, limits.max_depth())?;
        if cursor.pos() != array.len() {
            return Err(cursor.wrong());
        }
        let mut cursor = Cursor::new(array);
        let Some(super::unpack::Item::Array(len)) = cursor.item() else {
            return Err(DecodeError::AckData);
        };
        Ok(Self::msgpack(array.slice(cursor.pos()..), len))
    }

    /// Elements that were checked. Where there are none, nothing names an attachment, and none is kept.
    pub(super) fn json(elements: Bytes, mut attachments: Vec<Bytes>, len: usize) -> Self {
        if len == 0 {
            attachments = Vec::new();
        }
        Self { body: Body::Json { elements, attachments }, len }
    }

    /// Elements that were checked.
    pub(super) fn msgpack(elements: Bytes, len: usize) -> Self {
        Self { body: Body::Msgpack(elements), len }
    }

    /// The next attachment came.
    pub(super) fn attach(&mut self, attachment: Bytes) {
        if let (Body::Json { attachments, .. }, 1..) = (&mut self.body, self.len) {
            attachments.push(attachment);
        }
    }

    /// All attachments are there. Where a peer has numbered them in another order than that of their placeholders, they
    /// are numbered anew, as Node does: sent on, they are what every encoder writes. Those named more than once stay as
    /// they came, which Node multiplies instead: a small packet could be made a large one so.
    pub(super) fn complete(&mut self) {
        let Body::Json { elements, attachments } = &self.body else { return };
        if attachments.len() > 1
            && json::check_placeholders(elements, attachments.len()) == Ok(Numbering::Shuffled)
            && let Ok(renumbered) = Self::new(Parser::Json, &Spread(self.values()))
        {
            *self = renumbered;
        }
    }

    /// How many arguments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The encoding in which they can be sent on as they are.
    #[must_use]
    pub fn encoding(&self) -> Parser {
        match self.body {
            Body::Json { .. } => Parser::Json,
            Body::Msgpack(_) => Parser::Msgpack,
        }
    }

    /// Bytes that they hold, attachments included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.raw().len() + self.attachments().iter().map(Bytes::len).sum::<usize>()
    }

    /// The elements as they are written: of a JSON array, with commas and without brackets; or of a msgpack array,
    /// without its header.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        match &self.body {
            Body::Json { elements, .. } | Body::Msgpack(elements) => elements,
        }
    }

    /// What the placeholders in JSON stand for; empty for msgpack, which holds binary data in place.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        match &self.body {
            Body::Json { attachments, .. } => attachments,
            Body::Msgpack(_) => &[],
        }
    }

    /// The argument at `index`, counted from 0. One that was not sent reads as null, so that an `Option` is `None`.
    ///
    /// # Errors
    /// The argument does not fit the type.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, index: usize) -> Result<T, ArgsError> {
        let mut reader = self.reader();
        let mut level = Level::of(self.len);
        for _ in 0..index.min(self.len) {
            reader.more(&mut level);
            reader.skip();
        }
        reader.more(&mut level);
        T::deserialize(One(&mut reader))
    }

    /// All the arguments as a sequence: a tuple, a `Vec`, or a struct whose fields are the arguments in their order. A
    /// tuple or struct gets null for what was not sent and leaves out what it does not ask for.
    ///
    /// # Errors
    /// An argument does not fit its type.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        T::deserialize(All { reader: &mut self.reader(), len: self.len })
    }

    /// What a handler's parameter of this type is to get, by the rule of [`Arguments`]: a tuple gets all the arguments,
    /// `()` none, every other type the first one. (A fixed array is a tuple to serde.)
    ///
    /// # Errors
    /// An argument does not fit its type.
    pub fn extract<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        T::deserialize(Parameter(All { reader: &mut self.reader(), len: self.len }))
    }

    /// All the arguments, for code that knows no types. Binary data is shared, not copied.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        let mut reader = self.reader();
        let mut level = Level::of(self.len);
        let mut values = Vec::new();
        while reader.more(&mut level) {
            values.push(Value::read(&mut reader));
        }
        values
    }

    /// The same arguments in this encoding: a cheap clone if they are in it already.
    ///
    /// # Errors
    /// [`EncodeError::Placeholder`].
    pub fn convert(&self, encoding: Parser) -> Result<Self, EncodeError> {
        if self.encoding() == encoding { Ok(self.clone()) } else { Self::new(encoding, self) }
    }

    fn reader(&self) -> Reader<'_> {
        match &self.body {
            Body::Json { elements, attachments } => Reader::Json(JsonReader::new(elements, attachments)),
            Body::Msgpack(elements) => Reader::Msgpack(MsgpackReader::new(elements)),
        }
    }

    /// Whether the first argument is an object.
    pub(super) fn is_object(&self) -> bool {
        matches!(self.reader().token(), super::token::Token::Object(_))
    }
}

/// What can be given to an event or an ack: everything that serialises. A tuple is several arguments, `()` is none, and
/// everything else is one argument; serde takes a fixed array (`[T; N]`) for a tuple. [`Args`] are themselves, and are
/// written as they are if the encoding is theirs.
///
/// Bytes that serialise as such ([`Bytes`], [`Value::Binary`], what `serde_bytes` wraps) travel as binary data; a
/// `Vec<u8>` alone is an array of numbers to serde.
pub trait Arguments {
    /// Writes the arguments.
    #[doc(hidden)]
    fn write(&self, writer: &mut Writer<'_>, open: &mut Open) -> Result<(), EncodeError>;

    /// About how many bytes they take.
    #[doc(hidden)]
    fn size_hint(&self) -> usize {
        64
    }
}

impl<T: Serialize + ?Sized> Arguments for T {
    fn write(&self, writer: &mut Writer<'_>, open: &mut Open) -> Result<(), EncodeError> {
        self.serialize(Several { writer, open })
    }
}

impl Arguments for Args {
    fn write(&self, writer: &mut Writer<'_>, open: &mut Open) -> Result<(), EncodeError> {
        if writer.encoding() == self.encoding() {
            writer.elements(open, self.raw(), self.len, self.attachments());
            return Ok(());
        }
        let mut reader = self.reader();
        let mut level = Level::of(self.len);
        while reader.more(&mut level) {
            writer.element(open);
            writer.copy(&mut reader)?;
        }
        Ok(())
    }

    fn size_hint(&self) -> usize {
        self.raw().len()
    }
}
