//! The chat page and what it is made of, from within the binary.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// Every file of the page.
pub const FILES: [File; 4] = [
    File { path: "/", content_type: "text/html; charset=utf-8", content: include_bytes!("../web/index.html") },
    File { path: "/style.css", content_type: "text/css; charset=utf-8", content: include_bytes!("../web/style.css") },
    File {
        path: "/chat.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../web/chat.js"),
    },
    File { path: "/favicon.svg", content_type: "image/svg+xml", content: include_bytes!("../web/favicon.svg") },
];

/// What a page of this server may do: load its own script and style, and connect to where it came from.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                           connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                           frame-ancestors 'none'";

impl IntoResponse for File {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            // The files change with the binary and have no names of their own per version.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.content).into_response()
    }
}
