//! A server's refusal as its client sees it: status, headers, and the start of the body, which often says why.

use std::fmt;

use ::http::header::{HeaderMap, HeaderValue};
use ::http::{Response, StatusCode};

/// At most so many bytes of a refusal's body are read, chunk sizes included: 4 KiB. Without an end, a server could keep
/// its client reading for ever (CVE-2022-31080).
pub const BODY_CAP: usize = 4 << 10;

/// The server answered with something else than 101.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// The headers: `Location` of a redirect, `WWW-Authenticate`, `Retry-After`.
    pub headers: HeaderMap,
    /// The start of the body, free of chunked coding, at most [`BODY_CAP`] bytes.
    pub body: Vec<u8>,
    framing: Framing,
    read: usize,
}

/// What of the body is yet to come (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    UntilEof,
    Length(u64),
    /// In the line with a chunk's size; the size so far.
    ChunkSize(u64),
    /// Behind the size, before the line ends.
    ChunkExtension(u64),
    /// In a chunk of which this many bytes are missing.
    Chunk(u64),
    /// In the line end behind a chunk.
    ChunkEnd,
    Complete,
}

impl Refused {
    pub(super) fn new(head: Response<()>) -> Self {
        let (head, ()) = head.into_parts();
        let framing = Framing::of(head.status, &head.headers);
        Self { status: head.status, headers: head.headers, body: Vec::new(), framing, read: 0 }
    }

    /// The body as text, with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Takes the next bytes from the connection; `true` when the body is complete, or as much of it as is read.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let mut bytes = &bytes[..bytes.len().min(BODY_CAP - self.read)];
        self.read += bytes.len();
        while let (Some((&byte, rest)), false) = (bytes.split_first(), self.framing == Framing::Complete) {
            bytes = match self.framing {
                Framing::UntilEof => self.take_body(bytes, u64::MAX).1,
                Framing::Length(left) | Framing::Chunk(left) => {
                    let (taken, rest) = self.take_body(bytes, left);
                    self.framing = self.framing.after(left - taken);
                    rest
                }
                Framing::ChunkSize(_) | Framing::ChunkExtension(_) | Framing::ChunkEnd => {
                    self.framing = self.framing.after_byte(byte);
                    rest
                }
                Framing::Complete => break,
            };
        }
        self.framing == Framing::Complete || self.read == BODY_CAP
    }

    fn take_body<'b>(&mut self, bytes: &'b [u8], most: u64) -> (u64, &'b [u8]) {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
        let (taken, rest) = bytes.split_at(most);
        self.body.extend_from_slice(taken);
        (most as u64, rest)
    }
}

impl Framing {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let coding = headers.get_all("transfer-encoding").iter().next_back();
        let length = headers.get("content-length").map(HeaderValue::to_str);
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            Self::Complete
        } else if let Some(coding) = coding {
            let chunked = coding.as_bytes().to_ascii_lowercase().ends_with(b"chunked");
            if chunked { Self::ChunkSize(0) } else { Self::UntilEof }
        } else {
            match length.and_then(Result::ok).and_then(|length| length.parse().ok()) {
                Some(0) => Self::Complete,
                Some(length) => Self::Length(length),
                None => Self::UntilEof,
            }
        }
    }

    /// When `left` bytes of a body or a chunk are missing.
    fn after(self, left: u64) -> Self {
        match (self, left) {
            (Self::Chunk(_), 0) => Self::ChunkEnd,
            (Self::Chunk(_), left) => Self::Chunk(left),
            (_, 0) => Self::Complete,
            (_, left) => Self::Length(left),
        }
    }

    /// After a byte of chunked coding. The text is only for people to read: what is broken ends it, and is no error.
    fn after_byte(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::ChunkSize(0) | Self::ChunkExtension(0), b'\n') => Self::Complete,
            (Self::ChunkSize(size) | Self::ChunkExtension(size), b'\n') => Self::Chunk(size),
            (Self::ChunkSize(size), b'\r' | b';' | b' ' | b'\t') => Self::ChunkExtension(size),
            (Self::ChunkSize(size), byte) => match char::from(byte).to_digit(16) {
                Some(digit) => Self::ChunkSize(size.saturating_mul(16).saturating_add(u64::from(digit))),
                None => Self::Complete,
            },
            (Self::ChunkEnd, b'\n') => Self::ChunkSize(0),
            (Self::ChunkExtension(_), _) | (Self::ChunkEnd, b'\r') => self,
            _ => Self::Complete,
        }
    }
}

impl fmt::Display for Refused {
    /// The status and the first line of the body, with control bytes made visible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        let text = self.text();
        match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => write!(f, ": {}", line.escape_debug()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and whether it ended, fed in pieces of `step` bytes.
    fn read(headers: &[(&'static str, &'static str)], bytes: &[u8], step: usize) -> (Vec<u8>, bool) {
        let mut head = Response::builder().status(403);
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        let mut refused = Refused::new(head.body(()).unwrap());
        let mut done = refused.push(b"");
        for piece in bytes.chunks(step) {
            done = refused.push(piece);
        }
        (refused.body, done)
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let chunked = &[("transfer-encoding", "gzip, Chunked")][..];
        for step in [1, 2, 3, 100] {
            assert_eq!(read(&[("content-length", "5")], b"hello, and more", step), (b"hello".to_vec(), true));
            assert_eq!(read(&[("content-length", "50")], b"hello", step), (b"hello".to_vec(), false));
            assert_eq!(read(&[("content-length", "0")], b"hello", step), (vec![], true));
            assert_eq!(read(&[], b"hello", step), (b"hello".to_vec(), false));
            let body = b"5;ext=1\r\nhello\r\n0C \r\n, and\r\n more\r\n0\r\n\r\nnext";
            assert_eq!(read(chunked, body, step), (b"hello, and\r\n more".to_vec(), true));
            assert_eq!(read(chunked, b"5\r\nhel", step), (b"hel".to_vec(), false));
            assert_eq!(read(chunked, b"5\r\nhelloX\r\n", step), (b"hello".to_vec(), true), "broken coding ends it");
            assert_eq!(read(chunked, b"<html>", step), (vec![], true));
        }
    }

    /// Attack 18, CVE-2022-31080: a client read the body of a refused upgrade without a limit.
    #[test]
    fn a_body_without_end_is_cut() {
        let endless = vec![b'a'; 1 << 20];
        for step in [1 << 20, 1000] {
            for headers in [&[][..], &[("content-length", "18446744073709551615")]] {
                assert_eq!(read(headers, &endless, step), (vec![b'a'; BODY_CAP], true));
            }
            let chunk = [b"FFFFFFFFFFFFFFFFFFFF\r\n", &endless[..]].concat();
            assert_eq!(read(&[("transfer-encoding", "chunked")], &chunk, step), (vec![b'a'; BODY_CAP - 22], true));
            let extension = [b"1;", &endless[..]].concat();
            assert_eq!(read(&[("transfer-encoding", "chunked")], &extension, step), (vec![], true));
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let mut refused = Refused::new(Response::builder().status(503).body(()).unwrap());
        assert_eq!(refused.to_string(), "the server answered 503 Service Unavailable");
        refused.push(b"\r\n  come \x1b[31mback\r\nlater");
        assert_eq!(refused.to_string(), "the server answered 503 Service Unavailable: come \\u{1b}[31mback");
    }
}
