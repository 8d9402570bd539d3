//! Why a socket was disconnected, in Node's words.

use std::fmt;

use switchboard_io_proto::engine::CloseReason;

/// Why a socket was disconnected. [`as_str`](Self::as_str) gives what Node passes to `disconnect` listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The transport failed.
    TransportError,
    /// The client closed its transport, or lost it.
    TransportClose,
    /// The session was closed because of what the client sent.
    ForcedClose,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client sent what is no Engine.IO packet.
    ParseError,
    /// This server closed the whole connection: the client joined no namespace in time, or joined one twice, or memory
    /// was short and much of it held for this client.
    ForcedServerClose,
    /// This server shuts down.
    ServerShuttingDown,
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// [`Socket::disconnect`](crate::Socket::disconnect) was called, or [`disconnect_all`](crate::Socket::disconnect_all)
    /// of a socket of the same client, or a handler of the socket panicked.
    ServerNamespaceDisconnect,
}

impl DisconnectReason {
    /// The words of Node.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::TransportError,
            Self::TransportClose,
            Self::ForcedClose,
            Self::PingTimeout,
            Self::ParseError,
            Self::ForcedServerClose,
            Self::ServerShuttingDown,
            Self::ClientNamespaceDisconnect,
            Self::ServerNamespaceDisconnect,
        ];
        all.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether neither side wanted to part: the client may come back and be given what it missed.
    pub(crate) fn may_recover(self) -> bool {
        !matches!(self, Self::ClientNamespaceDisconnect | Self::ServerNamespaceDisconnect | Self::ParseError)
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportError => Self::TransportError,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::ServerShuttingDown => Self::ServerShuttingDown,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
