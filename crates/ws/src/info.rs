//! What is known of a connection from its opening handshake.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::LazyLock;

use http::{Extensions, HeaderMap, Uri};
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

impl PeerAddr {
    /// The address that a server or a middleware left in a request: as a `PeerAddr`, a [`SocketAddr`], or axum's
    /// `ConnectInfo<SocketAddr>` (with the feature `axum`), the first of these that is there. Else `Unknown`.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let told = extensions.get::<Self>().copied();
        let told = told.or_else(|| extensions.get::<SocketAddr>().copied().map(Self::Ip));
        #[cfg(feature = "axum")]
        let told = told.or_else(|| {
            let info = extensions.get::<::axum::extract::ConnectInfo<SocketAddr>>()?;
            Some(Self::Ip(info.0))
        });
        told.unwrap_or_default()
    }

    /// The address of IP without the port, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix | Self::Unknown => None,
        }
    }
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
///
/// Every open connection holds one: what many have not is boxed.
#[derive(Debug, Clone, Default)]
pub struct Info {
    peer: Peer,
    more: Option<Box<More>>,
}

/// A [`PeerAddr`], of which the rarer and by far the longest kind is boxed.
#[derive(Debug, Clone, Default)]
enum Peer {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    Unix,
    #[default]
    Unknown,
}

#[derive(Debug, Clone, Default)]
struct More {
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
        let more = More { head: Some(Box::new(Head { uri, headers })), ..More::default() };
        Self { peer: peer.into(), more: Some(Box::new(more)) }
    }

    pub(crate) fn agreed(mut self, protocol: Option<String>, deflate: Option<DeflateParams>) -> Self {
        let more = self.more.get_or_insert_default();
        more.protocol = protocol.map(Into::into);
        more.deflate = deflate;
        self
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn set_peer(&mut self, peer: PeerAddr) {
        self.peer = peer.into();
    }

    pub(crate) fn forget_head(&mut self) {
        let Some(more) = &mut self.more else { return };
        more.head = None;
        if more.protocol.is_none() && more.deflate.is_none() {
            self.more = None;
        }
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        PeerAddr::from(&self.peer)
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
        self.more.as_ref()?.protocol.as_deref()
    }

    /// permessage-deflate, if it was agreed on.
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.more.as_ref()?.deflate.as_ref()
    }

    fn head(&self) -> &Head {
        self.more.as_ref().and_then(|more| more.head.as_deref()).unwrap_or_else(|| &NO_HEAD)
    }
}

impl From<PeerAddr> for Peer {
    fn from(peer: PeerAddr) -> Self {
        match peer {
            PeerAddr::Ip(SocketAddr::V4(address)) => Self::V4(address),
            PeerAddr::Ip(SocketAddr::V6(address)) => Self::V6(Box::new(address)),
            PeerAddr::Unix => Self::Unix,
            PeerAddr::Unknown => Self::Unknown,
        }
    }
}

impl From<&Peer> for PeerAddr {
    fn from(peer: &Peer) -> Self {
        match peer {
            Peer::V4(address) => SocketAddr::from(*address).into(),
            Peer::V6(address) => SocketAddr::from(**address).into(),
            Peer::Unix => Self::Unix,
            Peer::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_stays_when_the_request_is_forgotten() {
        let peers =
            ["192.0.2.1:5", "[2001:db8::1%7]:5"].map(|address| PeerAddr::Ip(address.parse().expect("an address")));
        for peer in peers.into_iter().chain([PeerAddr::Unix, PeerAddr::Unknown]) {
            let deflate = Some(DeflateParams::default());
            for (protocol, deflate) in [(None, None), (Some("chat"), None), (None, deflate), (Some("chat"), deflate)] {
                let info = Info::new(peer, Uri::from_static("/room"), HeaderMap::new());
                let mut info = info.agreed(protocol.map(str::to_owned), deflate);
                assert_eq!(info.uri(), "/room");
                info.forget_head();
                assert_eq!(info.uri(), "/");
                assert_eq!((info.peer(), info.protocol(), info.deflate()), (peer, protocol, deflate.as_ref()));
            }
        }
    }

    /// With the two counters before it, it takes 48 bytes of the heap.
    #[test]
    fn it_is_small() {
        assert!(size_of::<Info>() <= 24, "{} bytes", size_of::<Info>());
    }
}
