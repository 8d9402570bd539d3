//! What is known of a connection from its opening handshake.

use std::fmt;
use std::net::SocketAddr;
use std::sync::LazyLock;

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
    peer: PeerAddr,
    protocol: Option<Box<str>>,
    deflate: Option<DeflateParams>,
    /// The larger part, which not every application looks at again.
    head: Option<Box<Head>>,
}

#[derive(Debug, Clone, Default)]
struct Head {
    uri: Uri,
    headers: HeaderMap,
}

/// What is left of heads that were not to be kept.
static NO_HEAD: LazyLock<Head> = LazyLock::new(Head::default);

impl Info {
    pub(crate) fn new(peer: PeerAddr, uri: Uri, headers: HeaderMap) -> Self {
        Self { peer, head: Some(Box::new(Head { uri, headers })), ..Self::default() }
    }

    pub(crate) fn agreed(self, protocol: Option<String>, deflate: Option<DeflateParams>) -> Self {
        Self { protocol: protocol.map(Into::into), deflate, ..self }
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn set_peer(&mut self, peer: PeerAddr) {
        self.peer = peer;
    }

    pub(crate) fn forget_head(&mut self) {
        self.head = None;
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// The target of the request: what the client asked for, with its query. `/` when it was
    /// [not to be kept](crate::Config::keep_request).
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.head().uri
    }

    /// The headers that the peer sent: of the request on a server, of the response on a client. None when they were
    /// [not to be kept](crate::Config::keep_request).
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head().headers
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

    fn head(&self) -> &Head {
        self.head.as_deref().unwrap_or_else(|| &NO_HEAD)
    }
}
