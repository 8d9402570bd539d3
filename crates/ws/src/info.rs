//! What is known of a connection from its opening handshake.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, Uri};
use switchboard_ws_proto::DeflateParams;

/// Where the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PeerAddr {
    /// An address of IP.
    Ip(SocketAddr),
    /// A Unix socket, whose peers have no address worth showing.
    Unix,
    /// A transport that has no addresses, or an upgrade by a framework that did not tell.
    #[default]
    Unknown,
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(addr)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The opening handshake, as it was agreed.
#[derive(Debug, Clone, Default)]
pub struct Info {
    pub(crate) peer: PeerAddr,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) protocol: Option<String>,
    pub(crate) deflate: Option<DeflateParams>,
}

impl Info {
    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// The target of the request: what the client asked for, with its query.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers that the peer sent: of the request on a server, of the response on a client.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// permessage-deflate, if it was agreed on.
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref()
    }
}
