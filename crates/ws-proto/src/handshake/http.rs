//! HTTP/1.1 heads as bytes: a strict parser that resumes where the last read ended, and the writer.
//!
//! The parser looks at each byte once or twice when it arrives and once when its line is complete, so that a head
//! dripped byte by byte costs about what a head in one piece costs. It keeps the unfinished line and the headers so
//! far, nothing else.

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, Request, Response, StatusCode, Uri, Version};

use super::error::HandshakeError;
use super::limits::Limits;

/// A message whose head [`HeadParser`] can read: `http::Request<()>` or `http::Response<()>`.
pub trait Head: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn from_first_line(line: &[u8]) -> Result<Self, HandshakeError>;
    #[doc(hidden)]
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Request<()> {}
    impl Sealed for super::Response<()> {}
}

/// A complete head.
#[derive(Debug)]
pub struct Parsed<H> {
    /// The head.
    pub head: H,
    /// How many bytes of the last slice belong to it. What follows is the peer's first data and must not be lost.
    pub consumed: usize,
}

/// A parser of one head. It takes less than HTTP allows: lines end with CR LF and nothing else, no line continues
/// another, names are tokens, and there is no empty line before the first.
#[derive(Debug)]
pub struct HeadParser<H> {
    limits: Limits,
    taken: usize,
    line: Vec<u8>,
    line_number: usize,
    after_cr: bool,
    head: Option<H>,
    failed: Option<HandshakeError>,
    #[cfg(test)]
    work: usize,
}

impl<H: Head> HeadParser<H> {
    /// A parser with `max_head_bytes` and `max_headers` of the limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            taken: 0,
            line: Vec::new(),
            line_number: 1,
            after_cr: false,
            head: None,
            failed: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Takes the next bytes. `None`: all of them were taken and the head goes on. After a complete head the parser
    /// reads the next one, with what is left of the limit on bytes.
    ///
    /// # Errors
    /// The first rule broken, as soon as its byte or its line is there. Every later call returns the same error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Parsed<H>>, HandshakeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let parsed = self.scan(bytes);
        self.failed = parsed.as_ref().err().copied();
        parsed
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Option<Parsed<H>>, HandshakeError> {
        let mut consumed = 0;
        while let Some(len) = self.find_line_end(&bytes[consumed..])? {
            let line = &bytes[consumed..consumed + len];
            consumed += len;
            if let Some(head) = self.take_line(line)? {
                return Ok(Some(Parsed { head, consumed }));
            }
        }
        self.count_work(bytes.len() - consumed);
        self.line.extend_from_slice(&bytes[consumed..]);
        Ok(None)
    }

    /// Checks each byte for itself, up to the first that completes a line, and tells how many they are; `None` when
    /// none does.
    fn find_line_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        let left = self.limits.max_head_bytes - self.taken;
        let within = &bytes[..bytes.len().min(left)];
        if let Some(len) = well_formed_line(within).filter(|_| !self.after_cr) {
            self.count_work(len);
            self.taken += len;
            return Ok(Some(len));
        }
        self.count_work(within.len());
        let mut after_cr = self.after_cr;
        for (at, &byte) in within.iter().enumerate() {
            self.count_work(1);
            match (byte, std::mem::replace(&mut after_cr, byte == b'\r')) {
                (b'\n', true) => {
                    self.taken += at + 1;
                    self.after_cr = false;
                    return Ok(Some(at + 1));
                }
                (b'\n', false) | (_, true) => return Err(HandshakeError::LineEnd { line: self.line_number }),
                (b'\r' | b'\t' | 0x20..=0x7e | 0x80.., false) => {}
                (_, false) => return Err(HandshakeError::ControlByte { line: self.line_number, byte }),
            }
        }
        if bytes.len() > left {
            return Err(HandshakeError::HeadTooLong { limit: self.limits.max_head_bytes });
        }
        self.taken += bytes.len();
        self.after_cr = after_cr;
        Ok(None)
    }

    /// Takes the end of a line, CR LF included; the beginning may wait in `self.line`.
    fn take_line(&mut self, end: &[u8]) -> Result<Option<H>, HandshakeError> {
        let mut line = std::mem::take(&mut self.line);
        let done = if line.is_empty() {
            self.parse_line(end)
        } else {
            self.count_work(end.len());
            line.extend_from_slice(end);
            self.parse_line(&line)
        };
        line.clear();
        self.line = line;
        done
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<Option<H>, HandshakeError> {
        self.count_work(line.len());
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        match self.head.take() {
            None => self.head = Some(H::from_first_line(line)?),
            Some(head) if line.is_empty() => {
                self.line_number = 1;
                return Ok(Some(head));
            }
            Some(mut head) => {
                self.parse_header(line, head.headers_mut())?;
                self.head = Some(head);
            }
        }
        self.line_number += 1;
        Ok(None)
    }

    fn parse_header(&self, line: &[u8], headers: &mut HeaderMap) -> Result<(), HandshakeError> {
        let number = self.line_number;
        let too_many = HandshakeError::TooManyHeaders { limit: self.limits.max_headers };
        if headers.len() >= self.limits.max_headers {
            return Err(too_many);
        }
        // "A server that receives an obs-fold in a request message [...] MUST either reject the message" or mend it
        // (RFC 9112 §5.2).
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(HandshakeError::FoldedHeader { line: number });
        }
        let syntax = HandshakeError::HeaderSyntax { line: number };
        let colon = line.iter().position(|&byte| byte == b':').ok_or(syntax)?;
        // "No whitespace is allowed between the field name and colon" (§5.1): white space is not in a token.
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| syntax)?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| syntax)?;
        headers.try_append(name, value).map_err(|_| too_many)?;
        Ok(())
    }

    /// Bytes looked at or copied, for the tests that show that work grows with the head and not with its square.
    #[cfg(test)]
    fn count_work(&mut self, bytes: usize) {
        self.work += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the same shape as its twin in tests")]
    fn count_work(&mut self, _: usize) {}
}

impl Head for Request<()> {
    fn from_first_line(line: &[u8]) -> Result<Self, HandshakeError> {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(HandshakeError::RequestLine);
        };
        match parse_version(version) {
            Some(Version::HTTP_11) => {}
            Some(_) => return Err(HandshakeError::HttpVersion),
            None => return Err(HandshakeError::RequestLine),
        }
        let mut request = Self::new(());
        *request.method_mut() = Method::from_bytes(method).map_err(|_| HandshakeError::RequestLine)?;
        *request.uri_mut() = parse_target(target)?;
        Ok(request)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl Head for Response<()> {
    /// HTTP/1.0 is read too, so that the refusal of an old server is told as what it is; a 101 must be HTTP/1.1.
    fn from_first_line(line: &[u8]) -> Result<Self, HandshakeError> {
        let (version, rest) = line.split_at_checked(8).ok_or(HandshakeError::StatusLine)?;
        let version = parse_version(version).ok_or(HandshakeError::StatusLine)?;
        if !matches!(version, Version::HTTP_11 | Version::HTTP_10) {
            return Err(HandshakeError::HttpVersion);
        }
        // The space after the code belongs there even without a reason (RFC 9112 §4); servers forget it.
        let code = match rest {
            [b' ', a, b, c] | [b' ', a, b, c, b' ', ..] => [*a, *b, *c],
            _ => return Err(HandshakeError::StatusLine),
        };
        let mut response = Self::new(());
        *response.version_mut() = version;
        *response.status_mut() = StatusCode::from_bytes(&code).map_err(|_| HandshakeError::StatusLine)?;
        Ok(response)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

/// The length of the line in front, if it is whole and no byte of it is against a rule. Nearly all lines are such, and
/// this is the fast way to know.
fn well_formed_line(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let text = bytes[..end].strip_suffix(b"\r")?;
    let fine = text.iter().fold(true, |fine, byte| fine & matches!(byte, b'\t' | 0x20..=0x7e | 0x80..));
    fine.then_some(end + 1)
}

/// `HTTP/` and two digits. Those that we do not speak all read as HTTP/2.
fn parse_version(text: &[u8]) -> Option<Version> {
    match text.strip_prefix(b"HTTP/")? {
        b"1.1" => Some(Version::HTTP_11),
        b"1.0" => Some(Version::HTTP_10),
        [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => Some(Version::HTTP_2),
        _ => None,
    }
}

/// Only the origin-form: an absolute target makes a server that passes requests on fetch what the client names.
fn parse_target(target: &[u8]) -> Result<Uri, HandshakeError> {
    let visible = target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    if !visible || target.first() != Some(&b'/') {
        return Err(HandshakeError::Target);
    }
    let target = PathAndQuery::try_from(target).map_err(|_| HandshakeError::Target)?;
    Ok(Uri::from(target))
}

/// Appends the head of a request, its empty line included. The body, if any, is the caller's.
pub fn encode_request<B>(request: &Request<B>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri().path_and_query().map_or("/", PathAndQuery::as_str).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode_headers(request.headers(), out);
}

/// Appends the head of a response, its empty line included. The body, if any, is the caller's. What an application
/// put into a name or a value cannot end a line: the types of `http` hold neither CR nor LF.
pub fn encode_response<B>(response: &Response<B>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.status().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(response.status().canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    encode_headers(response.headers(), out);
}

fn encode_headers(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        encode_name(name.as_str(), out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Names are the same in any case, but there are peers that look for the case they know: that of the RFC.
fn encode_name(name: &str, out: &mut Vec<u8>) {
    let (start, rest) = match name.strip_prefix("sec-websocket-") {
        Some(rest) => ("Sec-WebSocket-", rest),
        None => ("", name),
    };
    out.extend_from_slice(start.as_bytes());
    let mut upper = true;
    for byte in rest.bytes() {
        out.push(if upper { byte.to_ascii_uppercase() } else { byte });
        upper = byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"GET /chat?room=a HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\nX-Twice: 1\r\nX-Twice:\t2 \r\n\r\n";

    fn request(bytes: &[u8]) -> Result<Option<Parsed<Request<()>>>, HandshakeError> {
        HeadParser::new(&Limits::default()).push(bytes)
    }

    fn fault(bytes: &[u8]) -> HandshakeError {
        let whole = request(bytes).expect_err("a broken head");
        let mut parser = HeadParser::<Request<()>>::new(&Limits::default());
        let dripped = bytes.iter().find_map(|byte| parser.push(std::slice::from_ref(byte)).err());
        assert_eq!(dripped, Some(whole), "chopping changes nothing");
        assert_eq!(parser.push(b"GET / HTTP/1.1\r\n\r\n").err(), Some(whole), "a broken head stays broken");
        whole
    }

    fn with_header(line: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_head_cut_anywhere_is_the_same_head() {
        let bytes = [HEAD, b"\x81\x85rest"].concat();
        for cut in 0..HEAD.len() {
            for second in [cut, (cut + HEAD.len()) / 2] {
                let mut parser = HeadParser::<Request<()>>::new(&Limits::default());
                assert!(parser.push(&bytes[..cut]).unwrap().is_none());
                assert!(parser.push(&bytes[cut..second]).unwrap().is_none());
                let Parsed { head, consumed } = parser.push(&bytes[second..]).unwrap().unwrap();
                assert_eq!(second + consumed, HEAD.len(), "what follows the head is left alone");
                assert_eq!(head.uri(), "/chat?room=a");
                assert_eq!(head.headers()["host"], "example.com");
                assert_eq!(head.headers()["x-empty"], "");
                assert_eq!(head.headers().get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
            }
        }
    }

    /// Attack 5, CVE-2023-43669: a head dripped byte by byte was parsed anew with each byte.
    #[test]
    fn a_dripped_head_costs_no_more_than_its_length() {
        for headers in [10, 20, 40, 80] {
            let head =
                format!("GET / HTTP/1.1\r\n{}\r\n", "X-Filler: 0123456789012345678901234567890\r\n".repeat(headers));
            let mut parser = HeadParser::<Request<()>>::new(&Limits::default());
            let done = head.bytes().filter(|&byte| parser.push(&[byte]).unwrap().is_some()).count();
            assert_eq!(done, 1);
            // Searched for the end of the line, looked at, kept for the line, read with its line: four touches of each
            // byte, however it arrives.
            assert!(parser.work <= 4 * head.len(), "{} touches of {} bytes", parser.work, head.len());
        }
        let line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(10_000));
        let mut parser = HeadParser::<Request<()>>::new(&Limits::default());
        assert_eq!(line.bytes().filter(|&byte| parser.push(&[byte]).unwrap().is_some()).count(), 1);
        assert!(parser.work <= 4 * line.len(), "one long line neither");
    }

    /// Attack 5 and 24 (CVE-2023-43669, CVE-2026-33219): what an unknown peer can make us keep has an end.
    #[test]
    fn the_limit_on_bytes_holds_to_the_byte() {
        let limits = Limits { max_head_bytes: HEAD.len(), ..Limits::default() };
        let mut parser = HeadParser::<Request<()>>::new(&limits);
        let parsed = parser.push(&[HEAD, b"not of the head"].concat()).unwrap();
        assert_eq!(parsed.map(|parsed| parsed.consumed), Some(HEAD.len()));

        let limits = Limits { max_head_bytes: HEAD.len() - 1, ..Limits::default() };
        let mut parser = HeadParser::<Request<()>>::new(&limits);
        let error = HandshakeError::HeadTooLong { limit: HEAD.len() - 1 };
        assert_eq!(parser.push(HEAD).err(), Some(error));
        assert_eq!(error.status(), 431);

        let mut parser = HeadParser::<Request<()>>::new(&Limits::default());
        assert_eq!(parser.push(&[b'A'; 1 << 20]).err(), Some(HandshakeError::HeadTooLong { limit: 16 << 10 }));
        assert!(parser.line.capacity() <= 16 << 10, "what is over the limit is not even kept");
    }

    /// Attack 7, CVE-2024-37890: a server dropped the headers above its limit, Upgrade among them, and crashed.
    #[test]
    fn too_many_headers_are_refused_and_not_dropped() {
        let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
        assert_eq!(request(&head(100)).unwrap().unwrap().head.headers().len(), 100);
        let error = fault(&head(101));
        assert_eq!(error, HandshakeError::TooManyHeaders { limit: 100 });
        assert_eq!(error.status(), 431);
        let limits = Limits { max_head_bytes: 1 << 20, max_headers: usize::MAX, ..Limits::default() };
        let names: String = (0..40_000).map(|number| format!("n{number}: b\r\n")).collect();
        let parsed = HeadParser::<Request<()>>::new(&limits).push(format!("GET / HTTP/1.1\r\n{names}").as_bytes());
        assert_eq!(parsed.err(), Some(HandshakeError::TooManyHeaders { limit: usize::MAX }), "no panic in the map");
    }

    /// Attack 14, CVE-2026-1527, and attack 19: what two parsers could read in two ways is not read at all.
    #[test]
    fn ambiguous_bytes_are_refused() {
        use HandshakeError as E;
        for (bytes, error) in [
            (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], E::LineEnd { line: 1 }),
            (b"GET / HTTP/1.1\r\nHost: a\n\n", E::LineEnd { line: 2 }),
            (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", E::LineEnd { line: 2 }),
            (b"GET / HTTP/1.1\r\r\n", E::LineEnd { line: 1 }),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", E::RequestLine),
            (b"GET  / HTTP/1.1\r\n", E::RequestLine),
            (b"GET / HTTP/1.1 \r\n", E::RequestLine),
            (b" GET / HTTP/1.1\r\n", E::RequestLine),
            (b"GET\t/ HTTP/1.1\r\n", E::RequestLine),
            (b"G(T / HTTP/1.1\r\n", E::RequestLine),
            (b"GET /\r\n", E::RequestLine),
            (b"GET / http/1.1\r\n", E::RequestLine),
            (b"GET / HTTP/11\r\n", E::RequestLine),
            (b"\x16\x03\x01\x02\x00\x01\x00", E::ControlByte { line: 1, byte: 0x16 }),
            (b"GET /a\0 HTTP/1.1\r\n", E::ControlByte { line: 1, byte: 0 }),
        ] {
            assert_eq!(fault(bytes), error, "{}", bytes.escape_ascii());
            assert_eq!(error.status(), 400);
        }
        for (line, error) in [
            ("X: a\r\n b", E::FoldedHeader { line: 4 }),
            ("X: a\r\n\tb", E::FoldedHeader { line: 4 }),
            ("X : a", E::HeaderSyntax { line: 3 }),
            ("X\t: a", E::HeaderSyntax { line: 3 }),
            (": a", E::HeaderSyntax { line: 3 }),
            ("no colon", E::HeaderSyntax { line: 3 }),
            ("X(y): a", E::HeaderSyntax { line: 3 }),
            ("Ünicode: a", E::HeaderSyntax { line: 3 }),
            ("X: a\0b", E::ControlByte { line: 3, byte: 0 }),
            ("X: \x1b[31m", E::ControlByte { line: 3, byte: 0x1b }),
            ("X: \x7f", E::ControlByte { line: 3, byte: 0x7f }),
        ] {
            assert_eq!(fault(&with_header(line)), error, "{line:?}");
            assert_eq!(error.status(), 400);
        }
    }

    /// Attack 18, GHSA-c4j6-fc7j-m34r: an upgrade with an absolute target made a server fetch what the client named.
    #[test]
    fn only_a_path_is_a_target() {
        for target in [
            "http://internal/",
            "http://169.254.169.254/latest",
            "internal:80",
            "*",
            "chat",
            "/a#b",
            "/\u{e9}",
            "/\"<>",
        ] {
            assert_eq!(fault(format!("GET {target} HTTP/1.1\r\n").as_bytes()), HandshakeError::Target, "{target}");
        }
        assert_eq!(HandshakeError::Target.status(), 400);
        for target in ["/", "//evil.example/x", "/a?b=c|d[]{}&e=/?:@", "/%00"] {
            let parsed = request(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!(parsed.head.uri().path_and_query().map(PathAndQuery::as_str), Some(target));
            assert_eq!(parsed.head.uri().authority(), None, "{target} is a path and names no host");
        }
    }

    #[test]
    fn other_versions_are_told_so() {
        for line in ["GET / HTTP/1.0", "GET / HTTP/2.0", "PRI * HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1.2"] {
            assert_eq!(fault(format!("{line}\r\n").as_bytes()), HandshakeError::HttpVersion, "{line}");
        }
        assert_eq!(HandshakeError::HttpVersion.status(), 505);
    }

    #[test]
    fn status_lines() {
        let response = |line: &str| {
            let parsed = HeadParser::<Response<()>>::new(&Limits::default()).push(format!("{line}\r\n\r\n").as_bytes());
            parsed.map(|parsed| parsed.expect("a whole head").head)
        };
        assert_eq!(response("HTTP/1.1 101 Switching Protocols").unwrap().status(), 101);
        assert_eq!(response("HTTP/1.1 101 ").unwrap().status(), 101);
        assert_eq!(response("HTTP/1.1 404").unwrap().status(), 404);
        assert_eq!(response("HTTP/1.0 502 B\u{e4}d").unwrap().version(), Version::HTTP_10);
        assert_eq!(response("HTTP/2.0 200 OK").err(), Some(HandshakeError::HttpVersion));
        for line in [
            "HTTP/1.1 1010",
            "HTTP/1.1 99 x",
            "HTTP/1.1 099 x",
            "HTTP/1.1  200",
            "HTTP/1.1",
            "ICY 200 OK",
            "",
            "SSH-2.0-OpenSSH_9",
        ] {
            assert_eq!(response(line).err(), Some(HandshakeError::StatusLine), "{line}");
        }
    }

    #[test]
    fn names_are_written_as_the_rfc_spells_them() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("sec-websocket-accept", HeaderValue::from_static("x="));
        response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
        let mut out = Vec::new();
        encode_response(&response, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Accept: x=\r\n"), "{text}");
        assert!(text.contains("\r\nUpgrade: websocket\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}
