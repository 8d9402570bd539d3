//! How many connections there may be at once, in all and from one address. Whoever is let in holds its place until it
//! is gone; what it is let in to is no business of this.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use switchboard_ws_proto::handshake::{HandshakeError, Rejection};

use crate::info::PeerAddr;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// In all. Default: 100,000.
    pub connections: usize,
    /// From one address. Default: [`PerAddress::Unlimited`].
    pub per_address: PerAddress,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { connections: 100_000, per_address: PerAddress::Unlimited }
    }
}

/// How many connections one address may have. An address of IPv6 is its first 64 bits: the others are for whoever has
/// the network to choose, a new one for each connection if they like. Unix sockets have no address and are not counted.
///
/// Behind a proxy all clients have the proxy's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerAddress {
    /// As many as it likes.
    Unlimited,
    /// So many, if it is an address of the public internet; as many as it likes if it is loopback, link-local or
    /// private (RFC 1918, RFC 4193, RFC 6598): there are proxies and one's own machines.
    Public(usize),
    /// So many, whatever its address.
    Every(usize),
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRoom {
    /// There are as many connections as there may be.
    InAll,
    /// Its address has as many as it may have.
    FromAddress,
    /// As many as may be are in the middle of their opening handshakes.
    Handshakes,
    /// The [`Budget`](crate::Budget) is nearly used up.
    Memory,
}

impl NoRoom {
    /// A short stable name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InAll => "max_connections",
            Self::FromAddress => "max_connections_per_address",
            Self::Handshakes => "max_handshakes",
            Self::Memory => "memory_budget",
        }
    }

    /// What the client is told: 503, or 429 (RFC 6585 §4), and to come back in five seconds.
    #[must_use]
    pub fn rejection(self) -> Rejection {
        let unavailable = |words| Rejection::new(StatusCode::SERVICE_UNAVAILABLE, words);
        let mut rejection = match self {
            Self::InAll => unavailable("This server has as many connections as it may.\n"),
            Self::FromAddress => {
                let words = "Your address has as many connections as it may have.\n";
                Rejection::new(StatusCode::TOO_MANY_REQUESTS, words)
            }
            Self::Handshakes => unavailable("Too many clients are connecting.\n"),
            Self::Memory => HandshakeError::OutOfMemory.into(),
        };
        let headers = rejection.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        // A browser may show it as a page.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let policy = "default-src 'none'; frame-ancestors 'none'";
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        rejection
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InAll => "there are as many connections as there may be",
            Self::FromAddress => "its address has as many connections as it may have",
            Self::Handshakes => "too many others are connecting",
            Self::Memory => "memory is short",
        })
    }
}

/// Counts connections and lets no more in than there may be. Clones count together.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: AdmissionLimits,
    open: AtomicUsize,
    /// How many each address has that has any.
    addresses: Mutex<HashMap<Place, usize>>,
}

impl Admission {
    /// Nobody is in yet.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self(Arc::new(Inner { limits, open: AtomicUsize::new(0), addresses: Mutex::default() }))
    }

    /// Lets a client in, if there is room.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn admit(&self, peer: PeerAddr) -> Result<Admitted, NoRoom> {
        let inner = &self.0;
        let more = |open| (open < inner.limits.connections).then_some(open + 1);
        inner.open.fetch_update(Relaxed, Relaxed, more).map_err(|_| NoRoom::InAll)?;
        // From here on the place in all is given back by whoever drops this.
        let mut admitted = Admitted { admission: Arc::clone(inner), place: None };
        let Some((place, most)) = inner.limits.per_address.of(peer) else { return Ok(admitted) };
        let mut addresses = inner.lock();
        let count = addresses.entry(place).or_default();
        if *count >= most {
            if *count == 0 {
                addresses.remove(&place);
            }
            drop(addresses);
            return Err(NoRoom::FromAddress);
        }
        *count += 1;
        admitted.place = Some(place);
        drop(addresses);
        Ok(admitted)
    }

    /// How many are in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.open.load(Relaxed)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, usize>> {
        // Nothing that may panic runs under the lock.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place. Dropped, it is free again.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Inner>,
    /// Where its address is counted.
    place: Option<Place>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Relaxed);
        let Some(place) = self.place else { return };
        let mut addresses = self.admission.lock();
        if let Some(count) = addresses.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&place);
            }
        }
        if addresses.is_empty() {
            // What a flood took.
            addresses.shrink_to(KEPT);
        }
    }
}

/// So many addresses have room in the table when it is empty.
const KEPT: usize = 64;

/// An address, as far as it is counted: the first 64 bits of IPv6, or IPv4 behind a prefix that no host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place(NonZeroU64);

impl Place {
    fn of(ip: IpAddr) -> Self {
        let bits = match ip {
            // 0:1::/32 is reserved (RFC 4291 §2.4), so no network has it.
            IpAddr::V4(ip) => 1 << 32 | u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        // Loopback and unspecified are the only addresses in 0::/64.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

impl PerAddress {
    /// Where a peer is counted, and how many there may be.
    fn of(self, peer: PeerAddr) -> Option<(Place, usize)> {
        let PeerAddr::Ip(address) = peer else { return None };
        // ::ffff:192.0.2.1 is an address of IPv4.
        let ip = address.ip().to_canonical();
        match self {
            Self::Unlimited => None,
            Self::Public(_) if is_private(ip) => None,
            Self::Public(most) | Self::Every(most) => Some((Place::of(ip), most)),
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // RFC 6598: 100.64.0.0/10, where load balancers of clouds are too.
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> PeerAddr {
        PeerAddr::Ip((ip.parse::<IpAddr>().expect("an address"), 7).into())
    }

    fn admission(connections: usize, per_address: PerAddress) -> Admission {
        Admission::new(AdmissionLimits { connections, per_address })
    }

    #[test]
    fn no_more_are_let_in_than_there_may_be() {
        let admission = admission(2, PerAddress::Unlimited);
        let first = admission.admit(peer("192.0.2.1")).expect("room");
        let _second = admission.admit(PeerAddr::Unix).expect("room");
        assert_eq!(admission.admit(peer("192.0.2.2")).expect_err("full"), NoRoom::InAll);
        drop(first);
        assert_eq!(admission.count(), 1);
        admission.admit(peer("192.0.2.2")).expect("room again");
    }

    #[test]
    fn an_address_has_its_share() {
        let admission = admission(100, PerAddress::Every(1));
        let first = admission.admit(peer("192.0.2.1")).expect("room");
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(admission.admit(peer(same)).expect_err("one too many"), NoRoom::FromAddress);
        }
        assert_eq!(admission.count(), 1, "who was refused holds no place");
        let _others = ["192.0.2.2", "127.0.0.1", "::1"].map(|ip| admission.admit(peer(ip)).expect(ip));
        drop(first);
        admission.admit(peer("192.0.2.1")).expect("room again");
        let _unix = [(); 3].map(|()| admission.admit(PeerAddr::Unix).expect("no address"));
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let admission = admission(100, PerAddress::Every(1));
        let _first = admission.admit(peer("2001:db8:0:1::1")).expect("room");
        let same = admission.admit(peer("2001:db8:0:1:ffff::2"));
        assert_eq!(same.expect_err("the same network"), NoRoom::FromAddress);
        admission.admit(peer("2001:db8:0:2::1")).expect("another network");
    }

    #[test]
    fn private_addresses_may_be_spared() {
        let admission = admission(100, PerAddress::Public(0));
        let private =
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "100.127.0.1"];
        for ip in private.into_iter().chain(["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"]) {
            admission.admit(peer(ip)).expect(ip);
        }
        for ip in ["192.0.2.1", "100.63.0.1", "100.128.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(admission.admit(peer(ip)).expect_err(ip), NoRoom::FromAddress);
        }
        assert_eq!(admission.count(), 0);
        assert!(admission.0.lock().is_empty(), "nobody leaves anything behind");
    }
}
