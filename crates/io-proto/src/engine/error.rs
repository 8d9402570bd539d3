//! What can go wrong between two ends of Engine.IO, in the numbers and words of Node's server.
//!
//! A leaf: this file imports nothing from its own crate, so that every other file may use it.

use std::borrow::Cow;
use std::fmt;

/// Why a request was refused. Clients and dashboards know these by Node's numbers and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeError {
    /// 0: the transport is missing, unknown or switched off.
    UnknownTransport,
    /// 1: there is no session of this id (any more, or on this node).
    UnknownSid,
    /// 2: a session is opened with GET only.
    BadHandshakeMethod,
    /// 3: see [`BadRequest`].
    BadRequest(BadRequest),
    /// 4: the application refused. The message reaches the client.
    Forbidden(Cow<'static, str>),
    /// 5: the client does not speak protocol v4, and v3 is not allowed.
    UnsupportedProtocolVersion,
}

/// Which of the reasons lies behind [`HandshakeError::BadRequest`]. Told to the application, never to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRequest {
    /// The `Origin` header has a character that no header may have.
    InvalidOrigin,
    /// The session is on another transport.
    TransportMismatch,
    /// The session was opened with another protocol version.
    ProtocolMismatch,
    /// The transport and the kind of request do not fit: `websocket` without an upgrade, or an upgrade to `polling`.
    TransportHandshake,
    /// No id could be made.
    IdGeneration,
    /// A middleware of the application failed.
    Middleware,
}

impl HandshakeError {
    /// A refusal by the application in its own words; when it has none, Node says `Forbidden`.
    #[must_use]
    pub fn forbidden(message: Option<String>) -> Self {
        Self::Forbidden(message.map_or(Cow::Borrowed("Forbidden"), Cow::Owned))
    }

    /// The HTTP status for a plain request: 403 when the application refused, else 400. A refused upgrade is answered
    /// with 400 in every case, with [`text_body`](Self::text_body).
    #[must_use]
    pub fn status(&self) -> u16 {
        if matches!(self, Self::Forbidden(_)) { 403 } else { 400 }
    }

    /// Node's number for it, 0–5.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest(_) => 3,
            Self::Forbidden(_) => 4,
            Self::UnsupportedProtocolVersion => 5,
        }
    }

    /// The message that the client is told.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest(_) => "Bad request",
            Self::Forbidden(message) => message,
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// Node's name of the reason behind a bad request, for logs and `connection_error`.
    #[must_use]
    pub fn context(&self) -> Option<&'static str> {
        let Self::BadRequest(reason) = self else { return None };
        Some(match reason {
            BadRequest::InvalidOrigin => "INVALID_ORIGIN",
            BadRequest::TransportMismatch => "TRANSPORT_MISMATCH",
            BadRequest::ProtocolMismatch => "PROTOCOL_MISMATCH",
            BadRequest::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            BadRequest::IdGeneration => "ID_GENERATION_ERROR",
            BadRequest::Middleware => "MIDDLEWARE_FAILURE",
        })
    }

    /// The body for a plain request, `application/json`.
    #[must_use]
    pub fn json_body(&self) -> String {
        format!(r#"{{"code":{},"message":{}}}"#, self.code(), serde_json::Value::from(self.message()))
    }

    /// The body for a refused upgrade: the message alone. Node labels it `text/html`; whoever lets the application's
    /// message hold what a client sent should label it `text/plain`.
    #[must_use]
    pub fn text_body(&self) -> &str {
        self.message()
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        self.context().map_or(Ok(()), |context| write!(f, " ({context})"))
    }
}

impl std::error::Error for HandshakeError {}

impl From<BadRequest> for HandshakeError {
    fn from(reason: BadRequest) -> Self {
        Self::BadRequest(reason)
    }
}

impl From<IdError> for HandshakeError {
    fn from(_: IdError) -> Self {
        Self::BadRequest(BadRequest::IdGeneration)
    }
}

/// No id could be made: the system had no random numbers, or the application that makes ids has none to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdError;

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no id could be made")
    }
}

impl std::error::Error for IdError {}

/// Why a session ended, in the words that Node's `disconnect` event uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The transport failed, or the client used it in a way that is not allowed.
    TransportError,
    /// The client said goodbye or its transport ended.
    TransportClose,
    /// The server closed the session.
    ForcedClose,
    /// The client did not answer a ping in time (v3: sent none).
    PingTimeout,
    /// The client sent what is no packet.
    ParseError,
    /// The server goes down.
    ServerShuttingDown,
}

impl CloseReason {
    /// Node's string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rule that a packet or a payload breaks. The session ends with [`CloseReason::ParseError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// A packet of no bytes: it lacks its type.
    Empty,
    /// The first byte is no packet type.
    UnknownType(u8),
    /// v3: text in a body of bytes that is not UTF-8.
    InvalidUtf8,
    /// v3: a packet whose length is missing, is no number, or is longer than what follows.
    InvalidLength,
    /// v3: a binary packet that is no message.
    BinaryControl,
}

impl PacketError {
    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty_packet",
            Self::UnknownType(_) => "unknown_packet_type",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidLength => "invalid_length",
            Self::BinaryControl => "binary_control",
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a packet without a type"),
            Self::UnknownType(byte) => write!(f, "a packet of the unknown type {byte:#04x}"),
            Self::InvalidUtf8 => f.write_str("a packet that is not UTF-8"),
            Self::InvalidLength => f.write_str("a packet that does not have the length it names"),
            Self::BinaryControl => f.write_str("a binary packet that is no message"),
        }
    }
}

impl std::error::Error for PacketError {}

/// Why a message was not queued. The session goes on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The session is closing or closed.
    Closed,
    /// The client does not fetch what waits for it: the queue holds
    /// [`max_queued`](crate::engine::Config::max_queued) messages or
    /// [`max_queued_bytes`](crate::engine::Config::max_queued_bytes).
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session is closed",
            Self::Full => "the queue of the session is full",
        })
    }
}

impl std::error::Error for SendError {}

/// Why a polling request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Another request of the same method is still open. The session is closed by it (transport error); answer 400 with
    /// an empty body.
    Overlap,
    /// The session is over; answer as for [`HandshakeError::UnknownSid`].
    Closed,
    /// The session has moved to a WebSocket; answer as for [`BadRequest::TransportMismatch`].
    Upgraded,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "another request of this method is still open",
            Self::Closed => "the session is closed",
            Self::Upgraded => "the session has moved to a WebSocket",
        })
    }
}

impl std::error::Error for RequestError {}

/// Why a WebSocket does not become a candidate of the session. Close it; the session goes on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachError {
    /// The session is closing or closed.
    Closed,
    /// The session is on a WebSocket already.
    Upgraded,
    /// Another candidate is being probed.
    Busy,
    /// Upgrades are switched off.
    Forbidden,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session is closed",
            Self::Upgraded => "the session has a WebSocket already",
            Self::Busy => "another WebSocket is being probed",
            Self::Forbidden => "upgrades are switched off",
        })
    }
}

impl std::error::Error for AttachError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_nodes() {
        let told = |error: HandshakeError| (error.status(), error.json_body());
        assert_eq!(told(HandshakeError::UnknownTransport), (400, r#"{"code":0,"message":"Transport unknown"}"#.into()));
        assert_eq!(told(HandshakeError::UnknownSid), (400, r#"{"code":1,"message":"Session ID unknown"}"#.into()));
        assert_eq!(
            told(HandshakeError::BadHandshakeMethod),
            (400, r#"{"code":2,"message":"Bad handshake method"}"#.into())
        );
        assert_eq!(told(BadRequest::InvalidOrigin.into()), (400, r#"{"code":3,"message":"Bad request"}"#.into()));
        assert_eq!(told(HandshakeError::forbidden(None)), (403, r#"{"code":4,"message":"Forbidden"}"#.into()));
        assert_eq!(
            told(HandshakeError::UnsupportedProtocolVersion),
            (400, r#"{"code":5,"message":"Unsupported protocol version"}"#.into())
        );
    }

    #[test]
    fn the_applications_words_are_escaped() {
        let error = HandshakeError::forbidden(Some("no \"you\"\n".into()));
        assert_eq!(error.json_body(), r#"{"code":4,"message":"no \"you\"\n"}"#);
        assert_eq!(error.text_body(), "no \"you\"\n");
    }

    #[test]
    fn the_reason_of_a_bad_request_is_told_to_the_application_only() {
        let error = HandshakeError::from(BadRequest::TransportMismatch);
        assert_eq!(error.context(), Some("TRANSPORT_MISMATCH"));
        assert_eq!(error.to_string(), "Bad request (TRANSPORT_MISMATCH)");
        assert!(!error.json_body().contains("MISMATCH"));
        assert_eq!(HandshakeError::UnknownSid.context(), None);
    }
}
