//! JSON, read in two ways: [`Scanner`] checks text that came from outside, once and without recursion; [`JsonReader`]
//! walks what was checked, and cannot fail. The bytes of both are UTF-8 already.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::error::DecodeError;
use super::token::{Binary, Level, Token};

/// Checks JSON (RFC 8259) value by value, under a limit on depth.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    max_depth: u8,
}

impl<'a> Scanner<'a> {
    /// Begins at `pos`.
    pub(crate) fn new(bytes: &'a [u8], pos: usize, max_depth: u8) -> Self {
        Self { bytes, pos, max_depth }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.pos = skip_space(self.bytes, self.pos);
        self.bytes.get(self.pos).copied()
    }

    /// Takes `byte`, if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.pos += usize::from(taken);
        taken
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), DecodeError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong()) }
    }

    /// Checks the elements of an array whose `[` was taken, up to its `]`.
    pub(crate) fn elements(&mut self) -> Result<Elements, DecodeError> {
        let mut elements = Elements { first: 0..0, rest: self.pos..self.pos, len: 0 };
        if self.take(b']') {
            return Ok(elements);
        }
        loop {
            let value = self.value(1)?;
            match elements.len {
                0 => elements.first = value,
                1 => elements.rest = value,
                _ => elements.rest.end = value.end,
            }
            elements.len += 1;
            if self.take(b']') {
                return Ok(elements);
            }
            if !self.take(b',') {
                return Err(self.wrong());
            }
        }
    }

    /// Checks one value that stands inside `around` arrays and objects, and says where it stands.
    pub(crate) fn value(&mut self, around: u8) -> Result<Range<usize>, DecodeError> {
        self.peek();
        let start = self.pos;
        // The open arrays (0) and objects (1), the innermost in the lowest bit: never more than 128 of them.
        let (mut open, mut depth) = (0_u128, around);
        loop {
            match self.peek() {
                Some(bracket @ (b'[' | b'{')) => {
                    if depth >= self.max_depth {
                        return Err(DecodeError::TooDeep { limit: self.max_depth });
                    }
                    let object = bracket == b'{';
                    self.pos += 1;
                    if !self.take(if object { b'}' } else { b']' }) {
                        (open, depth) = (open << 1 | u128::from(object), depth + 1);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.wrong()),
            }
            // A value has ended: another one follows it, or what is around it ends too.
            loop {
                if depth == around {
                    return Ok(start..self.pos);
                }
                let object = open & 1 == 1;
                if self.take(b',') {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                if !self.take(if object { b'}' } else { b']' }) {
                    return Err(self.wrong());
                }
                (open, depth) = (open >> 1, depth - 1);
            }
        }
    }

    fn key(&mut self) -> Result<(), DecodeError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong());
        }
        self.string()?;
        if self.take(b':') { Ok(()) } else { Err(self.wrong()) }
    }

    fn string(&mut self) -> Result<(), DecodeError> {
        self.pos += 1;
        loop {
            self.pos = find_special(self.bytes, self.pos);
            match (self.bytes.get(self.pos), self.bytes.get(self.pos + 1)) {
                (Some(b'"'), _) => {
                    self.pos += 1;
                    return Ok(());
                }
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => self.pos += 2,
                // Half a surrogate pair is allowed, as in JavaScript.
                (Some(b'\\'), Some(b'u')) if hex(self.bytes, self.pos + 2).is_some() => self.pos += 6,
                // A control character, an unknown escape, or the end.
                _ => return Err(self.wrong()),
            }
        }
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<(), DecodeError> {
        self.pos += usize::from(self.bytes.get(self.pos) == Some(&b'-'));
        if self.bytes.get(self.pos) == Some(&b'0') {
            self.pos += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.pos) == Some(&b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.pos) {
            self.pos += 1;
            self.pos += usize::from(matches!(self.bytes.get(self.pos), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let start = self.pos;
        while self.bytes.get(self.pos).is_some_and(u8::is_ascii_digit) {
            self.pos += 1;
        }
        if self.pos > start { Ok(()) } else { Err(self.wrong()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), DecodeError> {
        if !self.bytes[self.pos..].starts_with(literal) {
            return Err(self.wrong());
        }
        self.pos += literal.len();
        Ok(())
    }

    fn wrong(&self) -> DecodeError {
        DecodeError::Json { at: self.pos.min(self.bytes.len()) }
    }
}

/// Where the elements of an array stand.
#[derive(Debug)]
pub(crate) struct Elements {
    pub(crate) first: Range<usize>,
    /// From the second to the last, with the commas between them.
    pub(crate) rest: Range<usize>,
    pub(crate) len: usize,
}

/// Walks JSON that a [`Scanner`] passed or that a writer of ours wrote. Should it be anything else after all, it gives
/// nulls, never an endless loop.
#[derive(Debug, Clone)]
pub(crate) struct JsonReader<'de> {
    bytes: &'de [u8],
    pos: usize,
    attachments: &'de [Bytes],
}

/// What an object that may stand for an attachment is.
enum Placeholder {
    No,
    Yes { num: usize, end: usize },
    Bad,
}

impl<'de> JsonReader<'de> {
    pub(crate) fn new(bytes: &'de [u8], attachments: &'de [Bytes]) -> Self {
        Self { bytes, pos: 0, attachments }
    }

    fn peek(&mut self) -> Option<u8> {
        self.pos = skip_space(self.bytes, self.pos);
        self.bytes.get(self.pos).copied()
    }

    pub(crate) fn is_null(&mut self) -> bool {
        matches!(self.peek(), Some(b'n') | None)
    }

    /// The next value, or its beginning; null when there is none.
    pub(crate) fn token(&mut self) -> Token<'de> {
        match self.peek() {
            Some(b'"') => Token::String(self.string()),
            Some(b'[') => {
                self.pos += 1;
                Token::Array(Level::unknown())
            }
            Some(b'{') => self.object(),
            Some(b't') => self.literal(4, Token::Bool(true)),
            Some(b'f') => self.literal(5, Token::Bool(false)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(4, Token::Null),
        }
    }

    /// Whether another element of the open array or object follows; if not, it is closed.
    pub(crate) fn more(&mut self) -> bool {
        let next = self.peek();
        self.pos += usize::from(matches!(next, Some(b',' | b']' | b'}')));
        !matches!(next, Some(b']' | b'}') | None)
    }

    pub(crate) fn key(&mut self) -> Cow<'de, str> {
        self.peek();
        let key = self.string();
        self.peek();
        self.pos += 1;
        key
    }

    fn object(&mut self) -> Token<'de> {
        // Without attachments, an object that looks like a placeholder is an object like any other.
        if !self.attachments.is_empty()
            && let Placeholder::Yes { num, end } = self.placeholder()
            && let Some(attachment) = self.attachments.get(num)
        {
            self.pos = end;
            return Token::Binary(Binary { owner: attachment, bytes: attachment });
        }
        self.pos += 1;
        Token::Object(Level::unknown())
    }

    /// Whether the object that begins here stands for an attachment: it has the members `_placeholder` (true) and
    /// `num`, and no other. Node takes more members; nobody writes any, and to look no further keeps this linear.
    fn placeholder(&self) -> Placeholder {
        let mut ahead = Self { attachments: &[], ..self.clone() };
        ahead.pos += 1;
        let (mut marked, mut num) = (None, None);
        for _ in 0..2 {
            if !ahead.more() {
                break;
            }
            match (&*ahead.key(), ahead.token()) {
                ("_placeholder", Token::Bool(mark)) => marked = Some(mark),
                ("num", Token::Unsigned(number)) => num = usize::try_from(number).ok(),
                ("_placeholder" | "num", Token::Array(_) | Token::Object(_)) => break,
                ("_placeholder" | "num", _) => {}
                _ => break,
            }
        }
        match (marked, num) {
            (Some(true), Some(num)) if !ahead.more() => Placeholder::Yes { num, end: ahead.pos },
            (Some(true), _) => Placeholder::Bad,
            _ => Placeholder::No,
        }
    }

    fn string(&mut self) -> Cow<'de, str> {
        let start = self.pos + 1;
        let mut end = find_special(self.bytes, start);
        self.pos = (end + 1).min(self.bytes.len());
        if self.bytes.get(end) != Some(&b'\\') {
            return String::from_utf8_lossy(self.bytes.get(start..end).unwrap_or_default());
        }
        while let Some(b'\\') = self.bytes.get(end) {
            end = find_special(self.bytes, end + 2);
        }
        self.pos = (end + 1).min(self.bytes.len());
        Cow::Owned(unescape(self.bytes.get(start..end).unwrap_or_default()))
    }

    fn number(&mut self) -> Token<'de> {
        let rest = &self.bytes[self.pos..];
        let len = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let digits = &rest[..len.unwrap_or(rest.len())];
        self.pos += digits.len();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        if let Ok(number) = text.parse() {
            Token::Unsigned(number)
        } else if let Ok(number) = text.parse() {
            Token::Signed(number)
        } else {
            Token::Float(text.parse().unwrap_or(f64::NAN))
        }
    }

    fn literal(&mut self, len: usize, token: Token<'de>) -> Token<'de> {
        self.pos = (self.pos + len).min(self.bytes.len());
        token
    }
}

/// Whether every placeholder in these elements (JSON that was checked) names one of `count` attachments. An object with
/// more members than a placeholder has, `_placeholder` among them, is refused: JavaScript would take it for one, with
/// the last `num` in it, and whoever relays it would have his receivers close their connections.
pub(crate) fn check_placeholders(elements: &[u8], count: usize) -> Result<Numbering, DecodeError> {
    let mut reader = JsonReader::new(elements, &[]);
    let mut named = Vec::new();
    while reader.more() {
        reader.check_placeholders(count, &mut named)?;
    }
    if named.iter().copied().eq(0..named.len()) {
        return Ok(Numbering::Ascending);
    }
    named.sort_unstable();
    Ok(if named.into_iter().eq(0..count) { Numbering::Shuffled } else { Numbering::Uneven })
}

/// How placeholders name attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// In the order in which they stand, as every known encoder does it.
    Ascending,
    /// Each once, in another order.
    Shuffled,
    /// Some more than once, or not at all.
    Uneven,
}

impl JsonReader<'_> {
    fn check_placeholders(&mut self, count: usize, named: &mut Vec<usize>) -> Result<(), DecodeError> {
        if self.peek() == Some(b'{') {
            match self.placeholder() {
                Placeholder::Yes { num, end } if num < count => {
                    self.pos = end;
                    named.push(num);
                    return Ok(());
                }
                Placeholder::Yes { .. } | Placeholder::Bad => return Err(DecodeError::Placeholder),
                Placeholder::No => {}
            }
        }
        match self.token() {
            Token::Array(_) => {
                while self.more() {
                    self.check_placeholders(count, named)?;
                }
            }
            Token::Object(_) => {
                while self.more() {
                    if self.key() == "_placeholder" {
                        return Err(DecodeError::Placeholder);
                    }
                    self.check_placeholders(count, named)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn skip_space(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// The first `"`, `\` or control character at or after `from`, eight bytes at a time; the length if there is none.
fn find_special(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    let rest = bytes.get(from..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The usual trick: subtracting borrows from a byte's top bit if the byte was smaller. The first hit is exact.
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (zero(word ^ QUOTES) | zero(word ^ BACKSLASHES) | control) & HIGH;
        if hits != 0 {
            return from + index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    from + words.len() * 8 + tail.iter().position(special).unwrap_or(tail.len())
}

/// The number in four hexadecimal digits.
fn hex(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u16::try_from(digit).ok()?)
    })
}

/// The text of a string with escapes. Half a surrogate pair, which JavaScript can hold and we cannot, becomes U+FFFD,
/// as it does when JavaScript writes UTF-8.
fn unescape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut pos = 0;
    while pos < bytes.len() {
        let end = find_special(bytes, pos);
        text.push_str(&String::from_utf8_lossy(&bytes[pos..end]));
        pos = end + 2;
        match bytes.get(end + 1) {
            None => break,
            Some(b'u') => {
                let unit = hex(bytes, pos).unwrap_or(0xFFFD);
                pos += 4;
                let pair = hex(bytes, pos + 2).filter(|_| bytes[pos..].starts_with(b"\\u"));
                let decoded = char::decode_utf16([unit].into_iter().chain(pair)).next();
                let one = decoded.and_then(Result::ok);
                pos += if one.is_some_and(|one| one.len_utf16() == 2) { 6 } else { 0 };
                text.push(one.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(b'b') => text.push('\u{8}'),
            Some(b'f') => text.push('\u{c}'),
            Some(b'n') => text.push('\n'),
            Some(b'r') => text.push('\r'),
            Some(b't') => text.push('\t'),
            Some(other) => text.push(char::from(*other)),
        }
    }
    text
}
