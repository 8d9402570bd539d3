//! Reading headers that must be there once or are lists, and [`ExtraHeaders`]: those an application adds to ours.

use std::fmt;

use ::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::error::HandshakeError;

/// The value of a header that may be there once at most; errors give its name as it is `written` in the RFC.
pub(super) fn single<'h>(
    headers: &'h HeaderMap,
    name: HeaderName,
    written: &'static str,
) -> Result<Option<&'h HeaderValue>, HandshakeError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(HandshakeError::Duplicate(written)) } else { Ok(value) }
}

/// The elements of a comma-separated list, all lines of the header joined. "A recipient MUST parse and ignore a
/// reasonable number of empty list elements" (RFC 9110 §5.6.1.2).
pub(super) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether a list has the element, in any case of letters.
pub(super) fn has_element(headers: &HeaderMap, name: HeaderName, element: &str) -> bool {
    elements(headers, name).any(|found| found.eq_ignore_ascii_case(element.as_bytes()))
}

/// A request to upgrade and its 101 have no body: one parser on the way could take it for the first frames, another
/// for something to skip. We refuse what would announce one.
pub(super) fn refuse_body(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length.as_bytes() == b"0");
    if empty && !headers.contains_key(TRANSFER_ENCODING) { Ok(()) } else { Err(HandshakeError::Body) }
}

/// A token of RFC 9110 §5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

/// A byte that a token may have.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Headers that an application adds to a request or to a 101. None of them is one that the handshake writes itself:
/// Host, Connection, Upgrade, Content-Length, Transfer-Encoding, and all that begin with Sec-WebSocket-.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHeaders(HeaderMap);

impl ExtraHeaders {
    /// Adds a header; one of the same name stays.
    ///
    /// # Errors
    /// [`ReservedHeader`] when the handshake writes this header itself.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), ReservedHeader> {
        if is_reserved(&name) {
            return Err(ReservedHeader(name));
        }
        self.0.append(name, value);
        Ok(())
    }

    /// The headers.
    #[must_use]
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }
}

impl TryFrom<HeaderMap> for ExtraHeaders {
    type Error = ReservedHeader;

    fn try_from(headers: HeaderMap) -> Result<Self, ReservedHeader> {
        match headers.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(ReservedHeader(name.clone())),
            None => Ok(Self(headers)),
        }
    }
}

/// A header that the handshake writes itself and an application may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedHeader(
    /// Its name.
    pub HeaderName,
);

impl fmt::Display for ReservedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header {} belongs to the handshake and cannot be set", self.0)
    }
}

impl std::error::Error for ReservedHeader {}

fn is_reserved(name: &HeaderName) -> bool {
    matches!(name.as_str(), "host" | "connection" | "upgrade" | "content-length" | "transfer-encoding")
        || name.as_str().starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests {
    use ::http::header::{CONNECTION, UPGRADE};

    use super::*;

    #[test]
    fn what_belongs_to_the_handshake_is_not_taken_from_an_application() {
        for name in ["Host", "CONNECTION", "Upgrade", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Accept"] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_static("x");
            let refused = ReservedHeader(name.clone());
            assert_eq!(ExtraHeaders::default().append(name.clone(), value.clone()), Err(refused.clone()));
            assert_eq!(ExtraHeaders::try_from(HeaderMap::from_iter([(name, value)])), Err(refused));
        }
        let mut extra = ExtraHeaders::default();
        let cookie = HeaderName::from_static("set-cookie");
        extra.append(cookie.clone(), HeaderValue::from_static("a=1")).unwrap();
        extra.append(cookie, HeaderValue::from_static("b=2")).unwrap();
        assert_eq!(extra.as_map().len(), 2);
    }

    #[test]
    fn lists_join_their_lines() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static(" keep-alive ,,\tUPGRADE"));
        headers.append("connection", HeaderValue::from_static(""));
        headers.append("connection", HeaderValue::from_static("te"));
        assert_eq!(elements(&headers, CONNECTION).collect::<Vec<_>>(), [&b"keep-alive"[..], b"UPGRADE", b"te"]);
        assert!(has_element(&headers, CONNECTION, "upgrade"));
        assert!(!has_element(&headers, CONNECTION, "upgrad"));
        assert_eq!(single(&headers, CONNECTION, "Connection"), Err(HandshakeError::Duplicate("Connection")));
        assert_eq!(single(&headers, UPGRADE, "Upgrade"), Ok(None));
    }
}
