//! Which pages may open a connection (RFC 6455 §10.2): a browser sends cookies along for any page that asks, so that
//! only the Origin header tells a user's own page from a stranger's.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ::http::header::{HOST, HeaderMap, ORIGIN};

use super::error::HandshakeError;
use super::headers::single;

/// The origins that a server takes. A request without an Origin header does not come from a page and is always taken:
/// other programs can write into that header what they like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Pages that were loaded over http or https from the host and port that the Host header names. The default. The
    /// port that neither names is that of the Origin's scheme, so that it works behind a proxy that ends TLS; a proxy
    /// must pass Host on.
    #[default]
    SameOrigin,
    /// Any page on any site. Whatever a user's cookies allow here, every site that the user visits can then do.
    Any,
    /// These and no others; the server's own origin is only in it when it is on the list.
    List(Vec<OriginPattern>),
}

impl Origins {
    /// A list, each entry written as [`OriginPattern`] says.
    ///
    /// # Errors
    /// The first entry that is not an origin.
    pub fn list<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, InvalidOrigin> {
        let patterns = patterns.into_iter().map(|pattern| pattern.as_ref().parse());
        patterns.collect::<Result<_, _>>().map(Self::List)
    }

    /// Checks the Origin of a request.
    ///
    /// # Errors
    /// [`HandshakeError::Origin`] when it is not allowed or not an origin, [`HandshakeError::Duplicate`] when there are
    /// two.
    pub fn check(&self, request: &HeaderMap) -> Result<(), HandshakeError> {
        let Some(origin) = single(request, ORIGIN, "Origin")? else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let allowed = match self {
            Self::Any => true,
            Self::SameOrigin => single(request, HOST, "Host")?
                .and_then(|host| host.to_str().ok())
                .is_some_and(|host| is_same_origin(origin, host)),
            Self::List(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        };
        if allowed { Ok(()) } else { Err(HandshakeError::Origin) }
    }
}

/// One entry of a list of origins, parsed from `https://example.com`, `http://localhost:8080` (a port that is not named
/// is the scheme's), `https://*.example.com` (all names below example.com, at any depth, and not example.com itself),
/// or `null` (pages without an origin: files, sandboxed frames; any site can make one). A path or a trailing slash is
/// an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Null,
    Exact { scheme: String, host: String, port: Option<u16> },
    Subdomains { scheme: String, suffix: String, port: Option<u16> },
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(pattern: &str) -> Result<Self, InvalidOrigin> {
        if pattern == "null" {
            return Ok(Self(Pattern::Null));
        }
        let invalid = || InvalidOrigin(pattern.to_owned());
        let (scheme, authority) = pattern.split_once("://").ok_or_else(invalid)?;
        let (subdomains, authority) = match authority.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, authority),
        };
        let plain = format!("{scheme}://{authority}");
        let Origin { scheme, host, port } = Origin::parse(&plain).ok_or_else(invalid)?;
        if host.contains('*') {
            return Err(invalid());
        }
        let scheme = scheme.to_owned();
        Ok(Self(if subdomains {
            Pattern::Subdomains { scheme, suffix: format!(".{host}"), port }
        } else {
            Pattern::Exact { scheme, host: host.to_owned(), port }
        }))
    }
}

impl OriginPattern {
    fn matches(&self, origin: &str) -> bool {
        if self.0 == Pattern::Null {
            return origin == "null";
        }
        let Some(origin) = Origin::parse(origin) else { return false };
        match &self.0 {
            Pattern::Null => false,
            Pattern::Exact { scheme, host, port } => {
                origin.scheme.eq_ignore_ascii_case(scheme)
                    && origin.host.eq_ignore_ascii_case(host)
                    && origin.port == *port
            }
            Pattern::Subdomains { scheme, suffix, port } => {
                let below = origin.host.len() > suffix.len()
                    && origin.host.as_bytes()[origin.host.len() - suffix.len()..]
                        .eq_ignore_ascii_case(suffix.as_bytes());
                origin.scheme.eq_ignore_ascii_case(scheme) && below && origin.port == *port
            }
        }
    }
}

/// An entry of a list of origins that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin(
    /// The entry.
    pub String,
);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin; write it like https://example.com or https://*.example.com", self.0)
    }
}

impl std::error::Error for InvalidOrigin {}

/// A host with an optional port, as in a Host header or in an origin. An IPv6 address keeps its brackets.
pub(super) fn parse_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let end = bracketed.find(']')?;
            bracketed[..end].parse::<Ipv6Addr>().ok()?;
            text.split_at(end + 2)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(name)) {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        // `port = *DIGIT` (RFC 3986 §3.2.3): a colon with nothing behind it is no port.
        Some("") => Some((host, None)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some((host, Some(digits.parse().ok()?))),
        _ => None,
    }
}

/// An origin in its three parts (RFC 6454 §4). The port is the scheme's where none is named.
struct Origin<'o> {
    scheme: &'o str,
    host: &'o str,
    port: Option<u16>,
}

impl<'o> Origin<'o> {
    fn parse(text: &'o str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(valid) {
            return None;
        }
        let (host, port) = parse_authority(authority)?;
        Some(Self { scheme, host, port: port.or_else(|| default_port(scheme)) })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    let is = |other: &str| scheme.eq_ignore_ascii_case(other);
    if is("http") {
        Some(80)
    } else if is("https") {
        Some(443)
    } else {
        None
    }
}

/// Only http and https name hosts of the network; `app://example.com` is no page of example.com.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let (Some(origin), Some((host, port))) = (Origin::parse(origin), parse_authority(host)) else { return false };
    let Some(default) = default_port(origin.scheme) else { return false };
    origin.host.eq_ignore_ascii_case(host) && origin.port == Some(port.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn check(origins: &Origins, origin: &str, host: &str) -> Result<(), HandshakeError> {
        let mut request = HeaderMap::new();
        request.insert("origin", HeaderValue::from_str(origin).unwrap());
        request.insert("host", HeaderValue::from_str(host).unwrap());
        origins.check(&request)
    }

    /// Attack 15 (GO-2026-4310 and its like): a stranger's page opens a connection with the user's cookies.
    #[test]
    fn a_stranger_is_refused_by_default() {
        for (origin, host) in [
            ("https://evil.example", "example.com"),
            ("https://example.com.evil.example", "example.com"),
            ("https://evil-example.com", "example.com"),
            ("https://sub.example.com", "example.com"),
            ("https://example.com", "sub.example.com"),
            ("https://example.com@evil.example", "example.com"),
            ("https://evil.example/example.com", "example.com"),
            ("https://example.com:8443", "example.com"),
            ("http://example.com", "example.com:8080"),
            ("http://example.com", "example.com:443"),
            ("http://localhost:3000", "localhost:3001"),
            ("http://localhost", "127.0.0.1"),
            ("http://[::1]:80", "[::2]:80"),
            ("app://example.com", "example.com"),
            ("file://", "example.com"),
            ("null", "example.com"),
            ("null", "null"),
            ("", "example.com"),
            ("example.com", "example.com"),
            ("https://a.example https://example.com", "example.com"),
            ("https://example.com", ""),
            ("https://example.com", "example.com:x"),
            ("https://example.com:99999", "example.com:99999"),
        ] {
            assert_eq!(check(&Origins::default(), origin, host), Err(HandshakeError::Origin), "{origin} to {host}");
        }
        assert_eq!(HandshakeError::Origin.status(), 403);
    }

    #[test]
    fn the_servers_own_pages_are_taken() {
        for (origin, host) in [
            ("https://example.com", "example.com"),
            ("https://example.com", "EXAMPLE.com:443"),
            ("HTTP://Example.com:80", "example.com"),
            ("http://example.com", "example.com:"),
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("http://[::1]", "[::1]"),
            ("http://my_host", "my_host"),
        ] {
            assert_eq!(check(&Origins::SameOrigin, origin, host), Ok(()), "{origin} to {host}");
        }
        assert_eq!(Origins::SameOrigin.check(&HeaderMap::new()), Ok(()), "not a browser");
    }

    #[test]
    fn a_list_takes_what_is_on_it() {
        let list =
            Origins::list(["https://example.com", "http://localhost:8080", "https://*.apps.example:444"]).unwrap();
        for (origin, allowed) in [
            ("https://example.com", true),
            ("https://EXAMPLE.COM:443", true),
            ("http://example.com", false),
            ("https://www.example.com", false),
            ("http://localhost:8080", true),
            ("http://localhost", false),
            ("https://a.apps.example:444", true),
            ("https://a.B.APPS.example:444", true),
            ("https://a.apps.example", false),
            ("https://apps.example:444", false),
            ("https://.apps.example:444", false),
            ("https://evilapps.example:444", false),
            ("https://own.host", false),
            ("null", false),
        ] {
            assert_eq!(check(&list, origin, "own.host").is_ok(), allowed, "{origin}");
        }
        assert_eq!(list.check(&HeaderMap::new()), Ok(()), "not a browser");
        let null = Origins::list(["null"]).unwrap();
        assert_eq!(check(&null, "null", "own.host"), Ok(()));
        assert_eq!(check(&Origins::Any, "null", "own.host"), Ok(()));
        assert_eq!(check(&Origins::Any, "https://anyone.example", "own.host"), Ok(()));
    }

    #[test]
    fn two_origins_are_refused_everywhere() {
        let mut request = HeaderMap::new();
        request.append("origin", HeaderValue::from_static("https://a.example"));
        request.append("origin", HeaderValue::from_static("https://a.example"));
        for origins in [Origins::SameOrigin, Origins::Any, Origins::list(["https://a.example"]).unwrap()] {
            assert_eq!(origins.check(&request), Err(HandshakeError::Duplicate("Origin")));
        }
    }

    #[test]
    fn an_entry_must_be_an_origin() {
        for entry in [
            "",
            "*",
            "example.com",
            "https://",
            "https://example.com/",
            "https://*",
            "https://*.",
            "https://a.*.example",
            "https://**.example",
            "https://exa mple.com",
            "https://a:b",
            "https://user@example.com",
            "://a",
            "1http://a",
        ] {
            let error = Origins::list([entry]).expect_err(entry);
            assert_eq!(error, InvalidOrigin(entry.to_owned()));
        }
    }
}
