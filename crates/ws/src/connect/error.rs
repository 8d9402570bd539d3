//! Why a client did not get its connection, and whose doing that was.

use std::fmt;
use std::io;

use switchboard_ws_proto::handshake::{HandshakeError, Refused};

/// Why no connection was opened. Nothing of it is left behind.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none that one can connect to; says why. Nothing was sent.
    InvalidUrl(String),
    /// A header, subprotocol or setting that cannot be asked for; says why. Nothing was sent.
    InvalidRequest(String),
    /// The URL is `wss:` and there is no TLS to connect with: the feature is off, or nobody is trusted. Says what to
    /// do. Nothing was sent.
    TlsUnavailable(String),
    /// The network failed.
    Io {
        /// During what.
        step: ConnectStep,
        /// How.
        error: io::Error,
    },
    /// TLS failed: the server's certificate is not trusted, not valid now or not for this host; the server does not
    /// take ours; nothing in common. Inside is a `rustls::Error`, but where the server chose another protocol.
    Tls(io::Error),
    /// The URL is `wss:` and the server answered with something that is not TLS. It was sent no request.
    SpeaksNoTls,
    /// The URL is `ws:` and the server answered with TLS.
    SpeaksTls,
    /// The server hung up before its answer was complete.
    Disconnected,
    /// The server answered with another status than 101: a refusal, a redirect, a page.
    Refused(Refused),
    /// The server's answer breaks a rule of the opening handshake.
    Handshake(HandshakeError),
    /// The time limit of [`Client::timeout`](crate::Client::timeout) passed.
    TimedOut(ConnectStep),
    /// The server did not agree to permessage-deflate, which was
    /// [required](crate::Client::require_compression). It was told so by Close 1010.
    ExtensionRequired,
}

/// The steps to a connection, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectStep {
    /// Finding the addresses of the host.
    Resolve,
    /// Reaching one of them, or the Unix socket.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The opening handshake of WebSocket: request and answer.
    Handshake,
}

impl ConnectError {
    /// A short stable name, for metrics and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => "invalid_url",
            Self::InvalidRequest(_) => "invalid_request",
            Self::TlsUnavailable(_) => "tls_unavailable",
            Self::Io { step: ConnectStep::Resolve, .. } => "resolve",
            Self::Io { step: ConnectStep::Connect, .. } => "connect",
            Self::Io { .. } => "io",
            Self::Tls(_) => "tls",
            Self::SpeaksNoTls => "speaks_no_tls",
            Self::SpeaksTls => "speaks_tls",
            Self::Disconnected => "disconnected",
            Self::Refused(_) => "refused",
            Self::Handshake(error) => error.name(),
            Self::TimedOut(_) => "timed_out",
            Self::ExtensionRequired => "extension_required",
        }
    }
}

impl fmt::Display for ConnectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the WebSocket handshake",
        })
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(why) | Self::InvalidRequest(why) | Self::TlsUnavailable(why) => f.write_str(why),
            Self::Io { step, error } => write!(f, "{step} failed: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::SpeaksNoTls => f.write_str("the server does not speak TLS, which wss:// asks for"),
            Self::SpeaksTls => f.write_str("the server speaks TLS; the address should begin with wss://"),
            Self::Disconnected => f.write_str("the server hung up before its answer was complete"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Handshake(error) => write!(f, "the server's answer is no WebSocket handshake: {error}"),
            Self::TimedOut(step) => write!(f, "the time was over during {step}"),
            Self::ExtensionRequired => {
                f.write_str("the server did not agree to permessage-deflate, which was required")
            }
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::Tls(error) => Some(error),
            Self::Refused(refused) => Some(refused),
            Self::Handshake(error) => Some(error),
            _ => None,
        }
    }
}
