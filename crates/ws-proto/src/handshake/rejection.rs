//! A server's refusal to open a WebSocket: an HTTP response with a sentence for whoever reads it.

use ::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use ::http::{Response, StatusCode};
use bytes::Bytes;

use super::error::HandshakeError;
use super::http::encode_response;

/// What a server answers instead of 101: any status, headers and body that the application likes, or what
/// [`From<HandshakeError>`] makes of a broken rule.
#[derive(Debug, Clone)]
pub struct Rejection {
    response: Box<Response<Bytes>>,
    error: Option<HandshakeError>,
}

impl Rejection {
    /// A refusal by the application. The body is announced as `text/plain; charset=utf-8`; set Content-Type in
    /// [`headers_mut`](Self::headers_mut) when it is something else.
    ///
    /// A status below 200 would tell the client that the answer is yet to come, or is yes: it becomes 500. With 204,
    /// 205 and 304 the body is dropped, as HTTP has no place for it.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let status = if status.is_informational() { StatusCode::INTERNAL_SERVER_ERROR } else { status };
        let mut response = Response::new(Bytes::new());
        if !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
            *response.body_mut() = body.into();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
        }
        *response.status_mut() = status;
        Self { response: Box::new(response), error: None }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The headers, to add to. Content-Length, Transfer-Encoding and Connection are not taken from here.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// The rule that the client broke; `None` when the application refused.
    #[must_use]
    pub fn error(&self) -> Option<HandshakeError> {
        self.error
    }

    /// The response for an HTTP server that frames the body and minds the connection itself.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = *self.response;
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONNECTION);
        if headers.contains_key(UPGRADE) {
            // "A sender of Upgrade MUST also send an "Upgrade" connection option" (RFC 9110 §7.8).
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        response
    }

    /// Appends the whole response, body included, with `Connection: close`: the bytes that follow a request which was
    /// refused cannot be told for what they are, so the caller must close after it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut response = self.clone().into_response();
        let length = response.body().len();
        let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let headers = response.headers_mut();
        if !bodiless {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.append(CONNECTION, HeaderValue::from_static("close"));
        encode_response(&response, out);
        out.extend_from_slice(response.body());
    }
}

impl From<HandshakeError> for Rejection {
    /// The status of the error, its sentence as the body, and the headers that tell the client what would be right.
    fn from(error: HandshakeError) -> Self {
        let mut sentence = error.to_string();
        sentence[..1].make_ascii_uppercase();
        sentence.push_str(".\n");
        let mut rejection = Self::new(error.status(), sentence);
        let headers = rejection.headers_mut();
        match error.status() {
            // "The origin server MUST generate an Allow header field in a 405 response" (RFC 9110 §15.5.6).
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            // "The server MUST send an Upgrade header field in a 426 response" (§15.5.22), and with it the version that
            // it speaks (RFC 6455 §4.4).
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        rejection.error = Some(error);
        rejection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(rejection: &Rejection) -> String {
        let mut out = Vec::new();
        rejection.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_broken_rule_becomes_a_whole_response() {
        assert_eq!(
            encoded(&HandshakeError::Method.into()),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nAllow: GET\r\n\
             Content-Length: 32\r\nConnection: close\r\n\r\nA WebSocket is opened with GET.\n"
        );
        let upgrade = encoded(&HandshakeError::Version.into());
        assert!(upgrade.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{upgrade}");
        for line in ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Connection: upgrade", "Connection: close"] {
            assert!(upgrade.contains(&format!("\r\n{line}\r\n")), "{upgrade}");
        }
        assert_eq!(Rejection::from(HandshakeError::Key).error(), Some(HandshakeError::Key));
    }

    #[test]
    fn an_application_says_anything_but_yes() {
        let mut rejection = Rejection::new(StatusCode::UNAUTHORIZED, "{\"who\":\"are you\"}");
        let headers = rejection.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        // What would make the body read as something else does not get through.
        headers.insert("content-length", HeaderValue::from_static("1"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("connection", HeaderValue::from_static("keep-alive"));
        assert_eq!(
            encoded(&rejection),
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
             Content-Length: 17\r\nConnection: close\r\n\r\n{\"who\":\"are you\"}"
        );
        assert_eq!(rejection.error(), None);
        assert_eq!(Rejection::new(StatusCode::SWITCHING_PROTOCOLS, "").status(), 500);
        assert_eq!(
            encoded(&Rejection::new(StatusCode::NO_CONTENT, "lost")),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_response_for_hyper_has_no_framing_of_ours() {
        let response = Rejection::from(HandshakeError::Upgrade).into_response();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()["connection"], "upgrade");
        assert!(!response.headers().contains_key("content-length"));
        assert!(response.body().starts_with(b"This address speaks WebSocket"), "{:?}", response.body());
    }

    /// Attack 14, CVE-2026-1527: a line end smuggled into a value would begin a header of the attacker's.
    #[test]
    fn a_line_end_is_no_header_value() {
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\0"] {
            assert!(HeaderValue::from_str(value).is_err(), "{value:?}");
        }
    }
}
