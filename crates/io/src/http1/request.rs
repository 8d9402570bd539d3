//! Bytes in, a decision out: whether what a client asks for is a plain request of the engine's. Whatever is not that,
//! or in doubt, is for an HTTP library to judge.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method};
use switchboard_ws_proto::handshake::{HeadParser, Limits};

use super::framing::{Follows, HeadEnd, follows};

/// What the bytes so far are.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The beginning of a head.
    Unfinished,
    /// A request of the engine's.
    Plain(Box<Plain>),
    /// Anything else.
    Foreign,
}

/// A GET or POST, of which nothing but its body is still to come.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) parts: Parts,
    /// Bytes of its head.
    pub(crate) head: usize,
    /// Bytes of its body, which follow.
    pub(crate) body: u64,
    /// The client wants no further one answered on this connection.
    pub(crate) is_last: bool,
}

/// Reads one head as it comes.
#[derive(Debug)]
pub(crate) struct Reader {
    end: HeadEnd,
    max_head: usize,
}

impl Reader {
    pub(crate) fn new(max_head: usize) -> Self {
        Self { end: HeadEnd::default(), max_head }
    }

    /// `bytes`: what came before, and what came since. `owns`: whether a path is the engine's.
    pub(crate) fn read(&mut self, bytes: &[u8], owns: impl Fn(&str) -> bool) -> Asked {
        match self.end.find(bytes) {
            Ok(Some(end)) => match plain(&bytes[..end], self.max_head).filter(|plain| owns(plain.parts.uri.path())) {
                Some(plain) => Asked::Plain(Box::new(plain)),
                None => Asked::Foreign,
            },
            Ok(None) if bytes.len() <= self.max_head => Asked::Unfinished,
            Ok(None) | Err(_) => Asked::Foreign,
        }
    }
}

/// Three have to agree: what guards the HTTP library against requests that can be read in two ways, the parser of
/// opening handshakes, which takes less than HTTP allows, and the list of what polling clients send.
fn plain(head: &[u8], max_head: usize) -> Option<Plain> {
    let Ok(Follows::Body(body)) = follows(head) else { return None };
    let limits = Limits { max_head_bytes: max_head, ..Limits::default() };
    let parsed = HeadParser::<http::Request<()>>::new(&limits).push(head).ok()??;
    debug_assert_eq!(parsed.consumed, head.len(), "a head has one end");
    let (parts, ()) = parsed.head.into_parts();
    let has_body = parts.headers.contains_key(CONTENT_LENGTH);
    let is_framed = match parts.method {
        Method::GET => body == 0,
        Method::POST => has_body,
        _ => false,
    };
    if !is_framed || parts.headers.contains_key(EXPECT) || parts.headers.contains_key(UPGRADE) {
        return None;
    }
    let is_last = is_last(&parts.headers)?;
    Some(Plain { parts, head: head.len(), body, is_last })
}

/// Whether the connection is to be closed after this request. `None`: it says more about the connection than that.
fn is_last(headers: &HeaderMap) -> Option<bool> {
    let mut is_last = false;
    for option in options(headers) {
        if option.eq_ignore_ascii_case(b"close") {
            is_last = true;
        } else if !option.eq_ignore_ascii_case(b"keep-alive") {
            return None;
        }
    }
    Some(is_last)
}

/// What a message says of its connection: "Connection = #connection-option", and options "are case-insensitive" (RFC
/// 9110 §7.6.1).
pub(super) fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CONNECTION)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii))
}

#[cfg(test)]
mod tests {
    use super::super::framing::Framing;
    use super::*;

    const MAX: usize = 1024;

    fn owns(path: &str) -> bool {
        path.starts_with("/io/")
    }

    /// The decision, and the number of bytes after which it falls. However the bytes are cut, it is the same, but that
    /// more of them may have come by then.
    fn asked(bytes: &[u8]) -> (Asked, usize) {
        let mut reader = Reader::new(MAX);
        let decision = |asked: Asked| (!matches!(asked, Asked::Unfinished)).then_some(asked);
        let dripped = (1..=bytes.len()).find_map(|end| Some((decision(reader.read(&bytes[..end], owns))?, end)));
        for cut in 0..=bytes.len() {
            let mut reader = Reader::new(MAX);
            let torn = decision(reader.read(&bytes[..cut], owns)).or_else(|| decision(reader.read(bytes, owns)));
            let expected = dripped.as_ref().map(|(asked, _)| asked);
            assert_eq!(format!("{torn:?}"), format!("{:?}", expected), "cut at {cut}: {bytes:?}");
        }
        dripped.unwrap_or((Asked::Unfinished, bytes.len()))
    }

    fn ours(bytes: &str) -> Plain {
        match asked(bytes.as_bytes()) {
            (Asked::Plain(plain), end) => {
                assert_eq!(end, plain.head, "known with its last byte");
                *plain
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn polls_and_posts_are_plain() {
        let poll = ours("GET /io/?EIO=4&sid=x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\nGET /more");
        assert_eq!((poll.parts.method, poll.body, poll.is_last), (Method::GET, 0, false));
        assert_eq!(poll.parts.uri, "/io/?EIO=4&sid=x");
        assert_eq!(poll.parts.headers["accept"], "*/*");
        let post = ours("POST /io/ HTTP/1.1\r\nhost: a\r\nConnection: Keep-Alive\r\ncontent-length: 12\r\n\r\nbody");
        assert_eq!((post.parts.method, post.body, post.is_last), (Method::POST, 12, false));
        assert!(ours("GET /io/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").is_last);
        assert!(ours("GET /io/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\n").is_last);
    }

    #[test]
    fn everything_else_is_foreign() {
        for (first, lines) in [
            ("GET /health", ""),
            ("HEAD /io/", ""),
            ("OPTIONS /io/", ""),
            ("PUT /io/", "Content-Length: 1\r\n"),
            ("get /io/", ""),
            ("GET http://a/io/", ""),
            ("GET /io/ HTTP/1.1\r\nHost:", ""),
            ("GET /io/#x", ""),
            ("POST /io/", ""),
            ("POST /io/", "Transfer-Encoding: chunked\r\n"),
            ("POST /io/", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            ("POST /io/", "Content-Length: 5\r\nContent-Length: 5\r\n"),
            ("POST /io/", "Content-Length: 5, 5\r\n"),
            ("POST /io/", "Content-Length: +5\r\n"),
            ("POST /io/", "Content-Length:\r\n"),
            ("POST /io/", "Content-Length : 5\r\n"),
            ("POST /io/", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
            ("GET /io/", "Content-Length: 5\r\n"),
            ("GET /io/", "Host: b\r\n"),
            ("GET /io/", "Upgrade: websocket\r\n"),
            ("GET /io/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            ("GET /io/", "Connection: Upgrade\r\n"),
            ("GET /io/", "Connection: keep-alive, x-secret\r\n"),
            ("GET /io/", "Connection:\r\n"),
            ("GET /io/", "X: a\r\n b\r\n"),
            ("GET /io/", "X: a\nY: b\r\n"),
            ("GET /io/", "X: a\rY: b\r\n"),
            ("GET /io/", "X: a\0\r\n"),
            ("GET /io/", "no colon\r\n"),
            ("GET /io/", "\u{fc}: x\r\n"),
        ] {
            let request = format!("{first} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            assert!(matches!(asked(request.as_bytes()), (Asked::Foreign, _)), "{request:?}");
        }
        for whole in [
            "GET /io/ HTTP/1.1\r\n\r\n",
            "GET /io/ HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET /io/ HTTP/2.0\r\nHost: a\r\n\r\n",
            "\r\nGET /io/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /io/ HTTP/1.1\nHost: a\n\n",
            "\u{16}\u{3}\u{1}\0",
        ] {
            assert!(matches!(asked(whole.as_bytes()), (Asked::Foreign, _)), "{whole:?}");
        }
    }

    #[test]
    fn heads_have_limits() {
        let long = |bytes: usize| format!("GET /io/ HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - 35));
        assert_eq!(ours(&long(MAX)).head, MAX);
        assert!(matches!(asked(long(MAX + 1).as_bytes()), (Asked::Foreign, _)));
        let endless = vec![b'x'; MAX + 100];
        assert!(matches!(asked(&endless), (Asked::Foreign, end) if end == MAX + 1));
        let lines = format!("GET /io/ HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert!(matches!(asked(lines.as_bytes()), (Asked::Foreign, _)), "the HTTP library counts them too");
    }

    /// What requests are made of, right and wrong.
    const PIECES: [&str; 22] = [
        "GET /io/ HTTP/1.1\r\n",
        "POST /io/ HTTP/1.1\r\n",
        "POST /io/ HTTP/1.1\r\nHost: a\r\n",
        "GET /io/ HTTP/1.1\r\nHost: a\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "content-length:0\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding : x\r\n",
        "Upgrade: websocket\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        " folded\r\n",
        "no colon\r\n",
        ":\r\n",
        "X: y\r\n",
        "\r\n",
        "\r",
        "\n",
        "\0",
        "abc",
    ];

    proptest::proptest! {
        /// Whatever is plain here, the guard of the HTTP library lets through, and sees end at the same byte.
        #[test]
        fn what_is_plain_has_one_end(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..12)) {
            let head = format!("{}\r\n", pieces.concat());
            if let Asked::Plain(plain) = Reader::new(MAX).read(head.as_bytes(), owns) {
                let (mut framing, mut seen) = (Framing::new(MAX), Vec::new());
                let body = usize::try_from(plain.body).unwrap();
                let request = format!("{}{}", &head[..plain.head], "x".repeat(body));
                framing.take(request.as_bytes(), &mut seen);
                proptest::prop_assert_eq!(&seen[..], request.as_bytes());
                // The next head is held back until it is whole: the guard takes it for one as well.
                framing.take(b"GET /next", &mut seen);
                proptest::prop_assert_eq!(&seen[..], request.as_bytes());
                proptest::prop_assert!(!framing.is_done() && !framing.has_refused());
            }
        }
    }
}
