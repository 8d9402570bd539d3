//! Where one HTTP request ends and the next begins. hyper takes what HTTP lets a lenient server take; a proxy before us
//! may take it otherwise, and what is the body of one request to it is the next request to us, sent by whoever wrote
//! the body (request smuggling). So each head is looked at here first, and one that can be read in two ways is not let
//! through.

/// The method of the request that hyper is shown in place of one that can be read in two ways. A client that sends it
/// gets the answer that belongs to it.
pub(super) const REFUSED: &str = "REFUSED";
const IN_ITS_PLACE: &[u8] = b"REFUSED / HTTP/1.1\r\nHost: refused\r\n\r\n";

/// The bytes of a connection on their way to hyper.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The head so far: hyper sees it when it is whole.
    head: Vec<u8>,
    end: HeadEnd,
    max_head: usize,
}

/// Looks for the end of a head that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    /// So much of the head has been looked at, and where the line begins that it ends in.
    seen: usize,
    line: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// Nothing that comes is a request.
    Last,
    Refused,
}

/// What a head says of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// So many bytes.
    Body(u64),
    Anything,
}

/// It can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Framing {
    /// Heads beyond `max_head` bytes are let through: hyper refuses those.
    pub(super) fn new(max_head: usize) -> Self {
        Self { state: State::Head, head: Vec::new(), end: HeadEnd::default(), max_head }
    }

    /// Takes bytes of the client; to `out` goes what hyper may see of them.
    pub(super) fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let count = match self.state {
                State::Head => self.take_head(bytes, out),
                State::Body(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    out.extend_from_slice(&bytes[..count]);
                    self.state = body(left - count as u64);
                    count
                }
                State::Last => {
                    out.extend_from_slice(bytes);
                    bytes.len()
                }
                State::Refused => bytes.len(),
            };
            bytes = &bytes[count..];
        }
    }

    /// Whether all requests that have begun have come to their ends.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Head) && self.head.is_empty()
    }

    /// Whether all that comes now goes through as it is.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Last)
    }

    /// Whether what comes now is read and forgotten.
    pub(super) fn has_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    fn take_head(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let end = match self.end.find(&self.head) {
            Ok(Some(end)) => end,
            // hyper counts too.
            Ok(None) if self.head.len() > self.max_head => {
                self.state = State::Last;
                out.append(&mut self.head);
                return bytes.len();
            }
            Ok(None) => return bytes.len(),
            Err(Ambiguous) => return self.refuse(bytes, out),
        };
        self.state = match follows(&self.head[..end]) {
            Ok(Follows::Body(length)) => body(length),
            Ok(Follows::Anything) => State::Last,
            Err(Ambiguous) => return self.refuse(bytes, out),
        };
        out.extend_from_slice(&self.head[..end]);
        (self.head, self.end) = (Vec::new(), HeadEnd::default());
        end - before
    }

    fn refuse(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        self.state = State::Refused;
        self.head = Vec::new();
        out.extend_from_slice(IN_ITS_PLACE);
        bytes.len()
    }
}

impl HeadEnd {
    /// The length of the head, once its last line is there. Each byte is looked at once: `head` is what came before,
    /// and what came since.
    ///
    /// "A recipient MAY recognize a single LF as a line terminator" (RFC 9112 §2.2); not all do, so it is no line's end
    /// and no part of a line here, and neither is a CR alone.
    pub(super) fn find(&mut self, head: &[u8]) -> Result<Option<usize>, Ambiguous> {
        // What a CR means is known with the byte behind it.
        while let [byte, rest @ ..] = &head[self.seen..] {
            match (byte, rest) {
                (b'\r', []) => break,
                (b'\r', [b'\n', ..]) => {
                    let is_empty = self.line == self.seen;
                    self.seen += 2;
                    self.line = self.seen;
                    // One empty line before the request "a server [...] SHOULD ignore" (§2.2); of two, the second is
                    // the end of a request without a first line.
                    if is_empty && self.seen > 2 {
                        return Ok(Some(self.seen));
                    }
                }
                (b'\r' | b'\n' | 0, _) => return Err(Ambiguous),
                _ => self.seen += 1,
            }
        }
        Ok(None)
    }
}

fn body(left: u64) -> State {
    if left == 0 { State::Head } else { State::Body(left) }
}

/// Reads of a whole head only what says how it is framed, and whom it is for; the rest is hyper's affair.
pub(super) fn follows(head: &[u8]) -> Result<Follows, Ambiguous> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.by_ref().find(|line| !line.is_empty()).unwrap_or_default();
    // Servers must take absolute targets (RFC 9112 §3.2.2), which are for proxies. We are none; and one before us may
    // forward by Host what we would then take to be for somebody else.
    let target = first.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if !(target.starts_with(b"/") || target == b"*") {
        return Err(Ambiguous);
    }
    let (mut length, mut hosts, mut chunked, mut upgrade) = (None, 0, false, false);
    for line in lines.take_while(|line| !line.is_empty()) {
        // A folded line belongs to the one before, to some.
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Ambiguous);
        }
        let (name, value) = split(line);
        if name.eq_ignore_ascii_case(b"content-length") {
            // The same length twice is one to some, and none to others.
            let digits = number(value).filter(|_| length.is_none());
            length = Some(digits.ok_or(Ambiguous)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        }
    }
    // "A server MUST respond with a 400 [...] to any HTTP/1.1 request message that lacks a Host header field and to any
    // request message that contains more than one" (§3.2).
    if hosts > 1 || (hosts == 0 && first.ends_with(b"HTTP/1.1")) || (chunked && length.is_some()) {
        return Err(Ambiguous);
    }
    let anything = chunked || upgrade;
    Ok(if anything { Follows::Anything } else { Follows::Body(length.unwrap_or(0)) })
}

/// A header's name, with what some would take to belong to it, and its value.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    (line[..colon].trim_ascii(), line.get(colon + 1..).unwrap_or_default().trim_ascii())
}

/// "Content-Length = 1*DIGIT" (RFC 9110 §8.6): no sign, no list.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper sees of these bytes, however they are cut.
    fn seen(bytes: &str) -> String {
        let whole = cut(bytes.as_bytes(), bytes.len().max(1));
        for size in 1..bytes.len() {
            assert_eq!(cut(bytes.as_bytes(), size), whole, "in pieces of {size}: {bytes:?}");
        }
        String::from_utf8(whole).unwrap()
    }

    fn cut(bytes: &[u8], size: usize) -> Vec<u8> {
        let (mut framing, mut out) = (Framing::new(1024), Vec::new());
        bytes.chunks(size).for_each(|piece| framing.take(piece, &mut out));
        out
    }

    fn refused() -> &'static str {
        std::str::from_utf8(IN_ITS_PLACE).unwrap()
    }

    #[test]
    fn plain_requests_go_through_as_they_are() {
        for fine in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /health HTTP/1.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nbGET / HTTP/1.1\r\nHost: a\r\nX: \u{fc}\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\u{1}\n\u{2}\0",
        ] {
            assert_eq!(seen(fine), fine);
        }
        // Until the head is whole, nothing is seen.
        assert_eq!(seen("GET / HTTP/1.1\r\nHost: a\r\n"), "");
    }

    #[test]
    fn what_can_be_read_in_two_ways_does_not_go_through() {
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: -0",
            "Content-Length: 0x3",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Content-Length : 3\r\nContent-Length: 0",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding:\u{b}chunked",
            "Transfer-Encoding:",
            "X: a\r\n Content-Length: 3",
            "X: a\r\n\tb",
            "X: a\nContent-Length: 3",
            "X: a\rContent-Length: 3",
            "X: a\0b",
            "Host: b",
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nabcGET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(seen(&request), refused(), "{lines}");
        }
        for whole in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(seen(whole), refused(), "{whole}");
        }
    }

    #[test]
    fn what_came_before_is_still_answered() {
        let fine = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(seen(&format!("{fine}GET / HTTP/1.1\r\n\r\nmore")), format!("{fine}{}", refused()));
    }

    #[test]
    fn a_head_without_end_is_for_hyper_to_refuse() {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(2000));
        for size in [1, 100, head.len()] {
            assert_eq!(cut(head.as_bytes(), size), head.as_bytes());
        }
    }

    /// What requests are made of, right and wrong.
    const PIECES: [&str; 22] = [
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "content-length:0\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: x\r\n",
        "Upgrade: websocket\r\n",
        " folded\r\n",
        "no colon\r\n",
        ":\r\n",
        "\r\n",
        "\r",
        "\n",
        "\0",
        "abc",
        "\u{fc}",
        "Host: a\r\n\r\n",
    ];

    proptest::proptest! {
        /// However the bytes are cut, hyper sees the same: the beginning of what came, and nothing else but the request
        /// that stands for one that was refused, behind which nothing follows.
        #[test]
        fn nothing_is_made_up(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24), size in 1_usize..40) {
            let bytes = pieces.concat();
            let whole = cut(bytes.as_bytes(), bytes.len().max(1));
            proptest::prop_assert_eq!(&cut(bytes.as_bytes(), size), &whole);
            let let_through = whole.strip_suffix(IN_ITS_PLACE).unwrap_or(&whole);
            proptest::prop_assert!(bytes.as_bytes().starts_with(let_through));
        }
    }
}
