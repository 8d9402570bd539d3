//! What a session keeps of the request that opened it. The head is one string of bytes, read anew by whoever asks: a
//! parsed map of headers is several times as large, and most are never looked at.

use std::fmt;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use switchboard_ws::PeerAddr;

/// Put into a request's extensions by a server that ends TLS itself: [`Handshake::secure`] is what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secure(pub bool);

/// The request that opened a session.
pub struct Handshake {
    peer: PeerAddr,
    time: SystemTime,
    secure: bool,
    xdomain: bool,
    /// The target, a line feed, then `name: value` and a line feed for each header.
    head: Box<[u8]>,
}

impl Handshake {
    pub(crate) fn new(uri: &Uri, headers: &HeaderMap, peer: PeerAddr, secure: bool) -> Self {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut head = Vec::with_capacity(64 + headers.len() * 48);
        head.extend_from_slice(target.as_bytes());
        head.push(b'\n');
        for (name, value) in headers {
            // Neither may hold a line feed.
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
                head.extend_from_slice(piece);
            }
        }
        let xdomain = headers.contains_key(http::header::ORIGIN);
        Self { peer, time: SystemTime::now(), secure, xdomain, head: head.into_boxed_slice() }
    }

    pub(crate) fn of(parts: &Parts) -> Self {
        let secure = parts.extensions.get::<Secure>().is_some_and(|secure| secure.0)
            || parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        Self::new(&parts.uri, &parts.headers, PeerAddr::of(&parts.extensions), secure)
    }

    /// Bytes of the head.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len()
    }

    /// The client's address, as the server has left it in the request: see [`PeerAddr::of`].
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// When it came.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// It came over TLS, as far as this server knows: a proxy that ends TLS tells by headers of its own.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// It came from a page, of this or another site: it has an `Origin` header.
    #[must_use]
    pub fn xdomain(&self) -> bool {
        self.xdomain
    }

    /// The target: path and query.
    #[must_use]
    pub fn url(&self) -> &str {
        std::str::from_utf8(self.lines().next().unwrap_or_default()).unwrap_or_default()
    }

    /// The fields of the query in order, decoded. What is not UTF-8 in them is replaced.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.url().split_once('?').map_or("", |(_, query)| query);
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        query.split('&').filter(|field| !field.is_empty()).map(move |field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (decode(name), decode(value))
        })
    }

    /// The first header of this name, whatever its case. `None` also when its value is not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(value).ok()
    }

    /// All headers. They are parsed anew with every call.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let header = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?));
        let mut headers = HeaderMap::new();
        for (name, value) in self.fields().filter_map(header) {
            headers.append(name, value);
        }
        headers
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line.get(colon + 2..)?))
        })
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.head.split(|&byte| byte == b'\n')
    }
}

impl fmt::Debug for Handshake {
    /// Without the head, which holds cookies and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("peer", &self.peer).field("secure", &self.secure).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_as_it_came() {
        let (parts, ()) = http::Request::get("/engine.io/?EIO=4&a=x%20y+z&b")
            .header("Host", "example.com")
            .header("Cookie", "a=1")
            .header("X-Two", "1")
            .header("X-Two", "2")
            .extension(Secure(true))
            .body(())
            .expect("a request")
            .into_parts();
        let handshake = Handshake::of(&parts);
        assert_eq!(handshake.url(), "/engine.io/?EIO=4&a=x%20y+z&b");
        assert_eq!(handshake.headers(), parts.headers);
        assert_eq!(handshake.header("COOKIE"), Some("a=1"));
        assert_eq!(handshake.header("origin"), None);
        let query: Vec<_> = handshake.query().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query, [pair("EIO", "4"), pair("a", "x y z"), pair("b", "")]);
        assert!(handshake.secure() && !handshake.xdomain());
        assert_eq!(handshake.peer(), PeerAddr::Unknown);
    }
}
