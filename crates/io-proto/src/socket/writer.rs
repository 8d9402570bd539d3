//! One way to write data in either encoding. Binary data stays where it is in msgpack; in JSON it is taken out, depth
//! first, and a placeholder stands in its place.

use bytes::Bytes;

use super::encoding::Parser;
use super::error::EncodeError;
use super::reader::Reader;
use super::token::Token;

/// The key that marks an object as standing for an attachment.
const PLACEHOLDER: &str = "_placeholder";

/// Appends values to a buffer.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Where JSON puts binary data.
    attachments: &'o mut Vec<Bytes>,
    encoding: Parser,
    /// An object of the user's has the placeholder's key.
    forged: bool,
}

/// An array or object that is being written.
#[derive(Debug)]
pub struct Open {
    /// Where its msgpack header stands.
    at: usize,
    len: usize,
}

impl Open {
    /// Elements so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl<'o> Writer<'o> {
    pub(super) fn new(encoding: Parser, out: &'o mut Vec<u8>, attachments: &'o mut Vec<Bytes>) -> Self {
        Self { out, attachments, encoding, forged: false }
    }

    pub(super) fn encoding(&self) -> Parser {
        self.encoding
    }

    fn is_json(&self) -> bool {
        self.encoding == Parser::Json
    }

    /// To be called when all is written.
    pub(super) fn finish(self) -> Result<(), EncodeError> {
        if self.forged && !self.attachments.is_empty() { Err(EncodeError::Placeholder) } else { Ok(()) }
    }

    pub(super) fn null(&mut self) {
        if self.is_json() {
            self.out.extend_from_slice(b"null");
        } else {
            self.out.push(0xC0);
        }
    }

    pub(super) fn bool(&mut self, value: bool) {
        match (self.is_json(), value) {
            (true, true) => self.out.extend_from_slice(b"true"),
            (true, false) => self.out.extend_from_slice(b"false"),
            (false, _) => self.out.push(0xC2 | u8::from(value)),
        }
    }

    /// Never fails: the writer is a `Vec`.
    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), EncodeError> {
        serde_json::to_writer(&mut *self.out, value).map_err(<EncodeError as serde::ser::Error>::custom)
    }

    pub(super) fn unsigned(&mut self, number: u64) -> Result<(), EncodeError> {
        if self.is_json() {
            return self.json(&number);
        }
        // As few bytes as the number needs, as notepack.io does.
        match number {
            0..=0x7F => self.out.push(low(number)),
            0x80..=0xFF => self.out.extend_from_slice(&[0xCC, low(number)]),
            0x100..=0xFFFF => self.head(0xCD, 2, number),
            0x1_0000..=0xFFFF_FFFF => self.head(0xCE, 4, number),
            _ => self.head(0xCF, 8, number),
        }
        Ok(())
    }

    pub(super) fn signed(&mut self, number: i64) -> Result<(), EncodeError> {
        if let Ok(number) = u64::try_from(number) {
            return self.unsigned(number);
        }
        if self.is_json() {
            return self.json(&number);
        }
        let bits = u64::from_ne_bytes(number.to_ne_bytes());
        match number {
            -32..0 => self.out.push(low(bits)),
            -0x80..-32 => self.out.extend_from_slice(&[0xD0, low(bits)]),
            -0x8000..-0x80 => self.head(0xD1, 2, bits),
            -0x8000_0000..-0x8000 => self.head(0xD2, 4, bits),
            _ => self.head(0xD3, 8, bits),
        }
        Ok(())
    }

    /// JSON has no word for what is not a finite number: null, as `JSON.stringify` writes.
    pub(super) fn float(&mut self, number: f64) -> Result<(), EncodeError> {
        if self.is_json() {
            return self.json(&number);
        }
        self.out.push(0xCB);
        self.out.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    pub(super) fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        if self.is_json() {
            return self.json(text);
        }
        match text.len() as u64 {
            len @ 0..=31 => self.out.push(0xA0 | low(len)),
            len @ 32..=0xFF => self.out.extend_from_slice(&[0xD9, low(len)]),
            len @ 0x100..=0xFFFF => self.head(0xDA, 2, len),
            len => self.head(0xDB, 4, length(len)?),
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Bytes are copied; who has them as `Bytes` writes [`attachment`](Self::attachment).
    pub(super) fn binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        if self.is_json() {
            return self.attachment(Bytes::copy_from_slice(bytes));
        }
        match bytes.len() as u64 {
            len @ 0..=0xFF => self.out.extend_from_slice(&[0xC4, low(len)]),
            len @ 0x100..=0xFFFF => self.head(0xC5, 2, len),
            len => self.head(0xC6, 4, length(len)?),
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn attachment(&mut self, bytes: Bytes) -> Result<(), EncodeError> {
        if !self.is_json() {
            return self.binary(&bytes);
        }
        self.out.extend_from_slice(br#"{"_placeholder":true,"num":"#);
        self.json(&self.attachments.len())?;
        self.out.push(b'}');
        self.attachments.push(bytes);
        Ok(())
    }

    /// A sequence that nothing is around: arguments by themselves.
    pub(super) fn begin_bare(&mut self) -> Open {
        Open { at: self.out.len(), len: 0 }
    }

    pub(super) fn begin_array(&mut self) -> Open {
        self.begin(b'[')
    }

    pub(super) fn begin_object(&mut self) -> Open {
        self.begin(b'{')
    }

    fn begin(&mut self, bracket: u8) -> Open {
        let at = self.out.len();
        // In msgpack this byte is for the header, which is known at the end only.
        self.out.push(bracket);
        Open { at, len: 0 }
    }

    /// Another element follows.
    pub(super) fn element(&mut self, open: &mut Open) {
        if self.is_json() && open.len > 0 {
            self.out.push(b',');
        }
        open.len += 1;
    }

    /// Another member follows, under this key; then its value.
    pub(super) fn key(&mut self, open: &mut Open, key: &str) -> Result<(), EncodeError> {
        self.element(open);
        self.forged |= key == PLACEHOLDER;
        self.string(key)?;
        if self.is_json() {
            self.out.push(b':');
        }
        Ok(())
    }

    pub(super) fn end_array(&mut self, open: &Open) -> Result<(), EncodeError> {
        self.end(open, b']', 0x90, 0xDC)
    }

    pub(super) fn end_object(&mut self, open: &Open) -> Result<(), EncodeError> {
        self.end(open, b'}', 0x80, 0xDE)
    }

    fn end(&mut self, open: &Open, bracket: u8, short: u8, long: u8) -> Result<(), EncodeError> {
        if self.is_json() {
            self.out.push(bracket);
            return Ok(());
        }
        let bytes = open.len.to_be_bytes();
        let (at, len) = (open.at, open.len as u64);
        match len {
            0..=15 => self.out[at] = short | low(len),
            16..=0xFFFF => {
                self.out[at] = long;
                self.out.splice(at + 1..at + 1, bytes[bytes.len() - 2..].iter().copied());
            }
            _ => {
                length(len)?;
                self.out[at] = long + 1;
                self.out.splice(at + 1..at + 1, bytes[bytes.len() - 4..].iter().copied());
            }
        }
        Ok(())
    }

    /// Elements that are written already, in this encoding; their attachments must be the only ones.
    pub(super) fn elements(&mut self, open: &mut Open, elements: &[u8], len: usize, attachments: &[Bytes]) {
        if len > 0 {
            self.element(open);
            open.len += len - 1;
            self.out.extend_from_slice(elements);
            self.attachments.extend_from_slice(attachments);
        }
    }

    /// A value that is written already, in this encoding.
    pub(super) fn raw(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// A value of the other encoding.
    pub(super) fn copy(&mut self, reader: &mut Reader<'_>) -> Result<(), EncodeError> {
        match reader.token() {
            Token::Null => self.null(),
            Token::Bool(value) => self.bool(value),
            Token::Unsigned(number) => self.unsigned(number)?,
            Token::Signed(number) => self.signed(number)?,
            Token::Float(number) => self.float(number)?,
            Token::String(text) => self.string(&text)?,
            Token::Binary(binary) if self.is_json() => self.attachment(binary.to_bytes())?,
            Token::Binary(binary) => self.binary(binary.bytes)?,
            Token::Array(mut level) => {
                let mut open = self.begin_array();
                while reader.more(&mut level) {
                    self.element(&mut open);
                    self.copy(reader)?;
                }
                self.end_array(&open)?;
            }
            Token::Object(mut level) => {
                let mut open = self.begin_object();
                while reader.more(&mut level) {
                    self.key(&mut open, &reader.key())?;
                    self.copy(reader)?;
                }
                self.end_object(&open)?;
            }
        }
        Ok(())
    }

    /// A msgpack header byte, and the last `width` bytes of a number.
    fn head(&mut self, head: u8, width: usize, number: u64) {
        self.out.push(head);
        self.out.extend_from_slice(&number.to_be_bytes()[8 - width..]);
    }
}

/// The lowest byte.
fn low(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// The longest that msgpack can say is 32 bits.
fn length(len: u64) -> Result<u64, EncodeError> {
    if u32::try_from(len).is_err() {
        return Err(EncodeError::Serialize("msgpack cannot say a length of more than 32 bits".into()));
    }
    Ok(len)
}
