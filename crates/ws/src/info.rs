//! What is known of a connection from its opening handshake.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV6};
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
#[derive(Clone, Default)]
pub struct Info {
    peer: CompactAddr,
    deflate: Option<DeflateParams>,
    /// The larger part, which not every application looks at again.
    head: Option<Box<Head>>,
}

#[derive(Debug, Clone, Default)]
struct Head {
    uri: Uri,
    headers: HeaderMap,
    protocol: Option<String>,
}

/// What is left of heads that were not to be kept.
static NO_HEAD: LazyLock<Head> = LazyLock::new(Head::default);

impl Info {
    pub(crate) fn new(peer: PeerAddr, uri: Uri, headers: HeaderMap) -> Self {
        let head = Head { uri, headers, protocol: None };
        Self { peer: peer.into(), deflate: None, head: Some(Box::new(head)) }
    }

    pub(crate) fn agreed(mut self, protocol: Option<String>, deflate: Option<DeflateParams>) -> Self {
        self.head.get_or_insert_default().protocol = protocol;
        Self { deflate, ..self }
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn set_peer(&mut self, peer: PeerAddr) {
        self.peer = peer.into();
    }

    /// Forgets all of the request but what was agreed on.
    pub(crate) fn forget_request(&mut self) {
        let protocol = self.head.take().and_then(|head| head.protocol);
        if protocol.is_some() {
            self.head = Some(Box::new(Head { protocol, ..Head::default() }));
        }
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.peer.into()
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
        self.head().protocol.as_deref()
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

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info")
            .field("peer", &self.peer())
            .field("uri", self.uri())
            .field("headers", self.headers())
            .field("protocol", &self.protocol())
            .field("deflate", &self.deflate)
            .finish()
    }
}

/// A [`PeerAddr`] in little space, for there may be a million of them: without the flow label of IPv6.
#[derive(Clone, Copy, Default)]
struct CompactAddr {
    ip: [u8; 16],
    scope: u32,
    port: u16,
    kind: AddrKind,
}

#[derive(Clone, Copy, Default)]
enum AddrKind {
    V4,
    V6,
    Unix,
    #[default]
    Unknown,
}

impl From<PeerAddr> for CompactAddr {
    fn from(peer: PeerAddr) -> Self {
        match peer {
            PeerAddr::Ip(SocketAddr::V4(v4)) => {
                let mut ip = [0; 16];
                ip[..4].copy_from_slice(&v4.ip().octets());
                Self { ip, scope: 0, port: v4.port(), kind: AddrKind::V4 }
            }
            PeerAddr::Ip(SocketAddr::V6(v6)) => {
                Self { ip: v6.ip().octets(), scope: v6.scope_id(), port: v6.port(), kind: AddrKind::V6 }
            }
            PeerAddr::Unix => Self { kind: AddrKind::Unix, ..Self::default() },
            PeerAddr::Unknown => Self::default(),
        }
    }
}

impl From<CompactAddr> for PeerAddr {
    fn from(compact: CompactAddr) -> Self {
        let CompactAddr { ip, scope, port, kind } = compact;
        match kind {
            AddrKind::V4 => {
                let [a, b, c, d, ..] = ip;
                Self::Ip(SocketAddr::from(([a, b, c, d], port)))
            }
            AddrKind::V6 => Self::Ip(SocketAddrV6::new(ip.into(), port, 0, scope).into()),
            AddrKind::Unix => Self::Unix,
            AddrKind::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        let v6 = SocketAddrV6::new("fe80::1:2".parse().unwrap(), 443, 0, 7);
        for peer in [
            PeerAddr::Ip("192.0.2.1:65535".parse().unwrap()),
            PeerAddr::Ip("[2001:db8::9]:1".parse().unwrap()),
            PeerAddr::Ip(v6.into()),
            PeerAddr::Unix,
            PeerAddr::Unknown,
        ] {
            assert_eq!(Info::new(peer, Uri::default(), HeaderMap::new()).peer(), peer);
        }
    }

    #[test]
    fn what_was_agreed_on_outlives_the_request() {
        let uri = Uri::from_static("/path");
        let mut info = Info::new(PeerAddr::Unix, uri, HeaderMap::new()).agreed(Some("v1".into()), None);
        info.forget_request();
        assert_eq!((info.protocol(), info.uri().path()), (Some("v1"), "/"));
        // An idle connection has one of these, behind a reference count.
        assert!(size_of::<Info>() <= 40, "{} bytes", size_of::<Info>());
    }
}
