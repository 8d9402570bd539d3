//! What broke an opening handshake: plain data, with the HTTP status that a server answers it with.
//!
//! A leaf: this file imports nothing from its own crate.

use std::fmt;

use ::http::StatusCode;

/// A rule that the peer's head broke, in HTTP or in WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head was not there in time (`Limits::timeout`).
    TimedOut,
    /// The head is longer than `Limits::max_head_bytes`.
    HeadTooLong {
        /// The limit that it broke, in bytes.
        limit: usize,
    },
    /// The head has more header lines than `Limits::max_headers`.
    TooManyHeaders {
        /// The limit that it broke, in lines.
        limit: usize,
    },
    /// A CR without its LF, or an LF without its CR. RFC 9112 §2.2 lets a recipient take a bare LF; we do not, since
    /// two parsers that disagree on where a line ends can be played against each other.
    LineEnd {
        /// Which line of the head, from 1.
        line: usize,
    },
    /// A control byte, NUL among them (RFC 9110 §5.5).
    ControlByte {
        /// Which line of the head, from 1.
        line: usize,
        /// The byte.
        byte: u8,
    },
    /// The first line is not `method target version`, with one space between each (RFC 9112 §3).
    RequestLine,
    /// The first line is not `HTTP/1.1 code reason` (RFC 9112 §4).
    StatusLine,
    /// Not HTTP/1.1. "The HTTP version MUST be at least 1.1" (RFC 6455 §4.1), and later ones have another wire form.
    HttpVersion,
    /// The target is not in origin-form: a path from `/` on, of visible ASCII, without a fragment (RFC 9112 §3.2.1).
    Target,
    /// A header continued on a second line (RFC 9112 §5.2).
    FoldedHeader {
        /// Which line of the head, from 1.
        line: usize,
    },
    /// A line that is not a token, a colon and a value; a space before the colon counts (RFC 9112 §5.1).
    HeaderSyntax {
        /// Which line of the head, from 1.
        line: usize,
    },
    /// "The method of the request MUST be GET" (RFC 6455 §4.1).
    Method,
    /// Content-Length above 0 or Transfer-Encoding, where no body may be.
    Body,
    /// A header that must be there is not.
    Missing(&'static str),
    /// A header that must be there once at most is there twice.
    Duplicate(&'static str),
    /// Host is not a host with an optional port (RFC 9112 §3.2).
    Host,
    /// The Upgrade header does not name WebSocket (§4.2.1).
    Upgrade,
    /// The Connection header does not say Upgrade (§4.2.1).
    Connection,
    /// Sec-WebSocket-Version is absent, or is not 13 (§4.2.2).
    Version,
    /// Sec-WebSocket-Key is not 16 bytes in base64 (§4.2.1).
    Key,
    /// The page that opens the connection comes from an origin that is not allowed (§10.2).
    Origin,
    /// Sec-WebSocket-Protocol holds something that is not a token, or the same name twice (§4.1).
    Protocols,
    /// Sec-WebSocket-Extensions breaks its grammar (§9.1).
    Extensions,
    /// Sec-WebSocket-Accept does not answer our key (§4.1).
    Accept,
    /// No rule: the server is short of memory and takes nobody new in.
    OutOfMemory,
    /// The server chose a subprotocol that the client did not ask for (§4.1).
    UnrequestedProtocol,
    /// The server chose an extension that the client did not offer, or one twice (§4.1).
    UnofferedExtension,
    /// The server accepted permessage-deflate with a parameter that is unknown, double, out of its range or against
    /// the offer (RFC 7692 §7.1).
    DeflateResponse,
}

impl HandshakeError {
    /// What a server answers. The faults that only a response can have map to 502, which is what a gateway says of
    /// the server behind it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLong { .. } | Self::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::OutOfMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::StatusLine
            | Self::Accept
            | Self::UnrequestedProtocol
            | Self::UnofferedExtension
            | Self::DeflateResponse => StatusCode::BAD_GATEWAY,
            Self::LineEnd { .. }
            | Self::ControlByte { .. }
            | Self::RequestLine
            | Self::Target
            | Self::FoldedHeader { .. }
            | Self::HeaderSyntax { .. }
            | Self::Body
            | Self::Missing(_)
            | Self::Duplicate(_)
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Protocols
            | Self::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "handshake_timeout",
            Self::HeadTooLong { .. } => "head_too_long",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::LineEnd { .. } => "line_end",
            Self::ControlByte { .. } => "control_byte",
            Self::RequestLine => "request_line",
            Self::StatusLine => "status_line",
            Self::HttpVersion => "http_version",
            Self::Target => "target",
            Self::FoldedHeader { .. } => "folded_header",
            Self::HeaderSyntax { .. } => "header_syntax",
            Self::Method => "method",
            Self::Body => "body",
            Self::Missing(_) => "missing_header",
            Self::Duplicate(_) => "duplicate_header",
            Self::Host => "host",
            Self::Upgrade => "upgrade",
            Self::Connection => "connection",
            Self::Version => "version",
            Self::Key => "key",
            Self::Origin => "origin",
            Self::Protocols => "protocols",
            Self::Extensions => "extensions",
            Self::Accept => "accept",
            Self::OutOfMemory => "memory_budget",
            Self::UnrequestedProtocol => "unrequested_protocol",
            Self::UnofferedExtension => "unoffered_extension",
            Self::DeflateResponse => "deflate_response",
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the opening handshake was not finished in time"),
            Self::HeadTooLong { limit } => write!(f, "the head is longer than {limit} bytes"),
            Self::TooManyHeaders { limit } => write!(f, "the head has more than {limit} headers"),
            Self::LineEnd { line } => write!(f, "line {line} of the head does not end with CR LF"),
            Self::ControlByte { line, byte } => write!(f, "line {line} of the head has the control byte {byte:#04x}"),
            Self::RequestLine => f.write_str("the first line is not a method, a target and an HTTP version"),
            Self::StatusLine => f.write_str("the first line is not an HTTP version, a status code and a reason"),
            Self::HttpVersion => f.write_str("the opening handshake must be HTTP/1.1"),
            Self::Target => {
                f.write_str("the request target must be a path that starts with / and is visible ASCII without a #")
            }
            Self::FoldedHeader { line } => write!(f, "line {line} of the head continues a header; that is obsolete"),
            Self::HeaderSyntax { line } => write!(f, "line {line} of the head is not a name, a colon and a value"),
            Self::Method => f.write_str("a WebSocket is opened with GET"),
            Self::Body => f.write_str("an opening handshake must not have a body"),
            Self::Missing(name) => write!(f, "the header {name} is missing"),
            Self::Duplicate(name) => write!(f, "the header {name} is there more than once"),
            Self::Host => f.write_str("the header Host is not a host with an optional port"),
            Self::Upgrade => f.write_str("this address speaks WebSocket; send the header Upgrade: websocket"),
            Self::Connection => {
                f.write_str("the header Connection does not say Upgrade; a proxy on the way may have dropped it")
            }
            Self::Version => f.write_str("the header Sec-WebSocket-Version must be 13"),
            Self::Key => f.write_str("the header Sec-WebSocket-Key is not 16 bytes in base64"),
            Self::Origin => f.write_str("pages of this Origin may not open a WebSocket here"),
            Self::Protocols => {
                f.write_str("the header Sec-WebSocket-Protocol names a subprotocol twice, or one that is not a token")
            }
            Self::Extensions => f.write_str("the header Sec-WebSocket-Extensions breaks its grammar"),
            Self::Accept => f.write_str("the header Sec-WebSocket-Accept does not answer our key"),
            Self::OutOfMemory => f.write_str("this server is short of memory; try again in a while"),
            Self::UnrequestedProtocol => f.write_str("the server chose a subprotocol that was not requested"),
            Self::UnofferedExtension => f.write_str("the server chose an extension that was not offered"),
            Self::DeflateResponse => {
                f.write_str("the server accepted permessage-deflate with parameters that do not answer the offer")
            }
        }
    }
}

impl std::error::Error for HandshakeError {}
