//! Headers that every answer carries, whoever gives it: the browser guesses no types, frames nothing, runs nothing but
//! the chat page's own files, and tells nobody where it was.

use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};

use crate::pages;

/// Adds them.
pub(crate) fn add(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY));
}

/// Adds them to an answer that may be shown as a page; the beginning of a WebSocket is none.
pub(crate) async fn harden(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        add(response.headers_mut());
    }
    response
}
