//! Answers of the HTTP service: bodies are whole, and headers are Node's.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use switchboard_io_proto::engine::HandshakeError;
use switchboard_ws::NoRoom;

/// The body of an answer.
pub type EngineBody = Full<Bytes>;

/// An answer before the last headers are added.
pub(crate) type Answer = Response<Bytes>;

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=UTF-8";
pub(crate) const HTML: &str = "text/html";
pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const SCRIPT: &str = "text/javascript; charset=UTF-8";

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}

pub(crate) fn with_body(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = body.into();
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, body.len().into());
    *answer.body_mut() = body;
    answer
}

/// A refusal of a plain request.
pub(crate) fn refusal(error: &HandshakeError) -> Answer {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    with_body(status, JSON, error.json_body())
}

/// A refusal of a WebSocket: 400 whatever the reason, and the message alone.
pub(crate) fn refused_upgrade(error: &HandshakeError) -> Answer {
    // Node's label. The words may be the application's, and hold what the client sent; but no browser shows the answer
    // to a request for an upgrade as a page.
    let mut answer = with_body(StatusCode::BAD_REQUEST, HTML, error.text_body().to_owned());
    answer.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A refusal for want of a place: in the form of one by the application, as it would be in Node, but with the status
/// that tells a client to come back, and when.
pub(crate) fn full(no_room: NoRoom, upgrade: bool) -> Answer {
    let (status, words) = match no_room {
        // RFC 6585 §4.
        NoRoom::FromAddress => (StatusCode::TOO_MANY_REQUESTS, "Your address has as many sessions as it may have"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "This server has as many sessions as it may"),
    };
    let error = HandshakeError::Forbidden(words.into());
    let mut answer = if upgrade { refused_upgrade(&error) } else { refusal(&error) };
    *answer.status_mut() = status;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

/// What every answer to a client of a session has.
pub(crate) fn finish(answer: &mut Answer, is_explorer: bool) {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_explorer {
        headers.insert(HeaderName::from_static("x-xss-protection"), HeaderValue::from_static("0"));
    }
}

/// Whether the client is an Internet Explorer, which takes payloads for attacks unless it is told otherwise.
pub(crate) fn is_explorer(request: &HeaderMap) -> bool {
    let agent = request.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.contains(";MSIE") || agent.contains("Trident/")
}
