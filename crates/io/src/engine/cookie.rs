//! The cookie that carries the session's id, for load balancers that keep a client on one node by it. Off by default.

use std::time::Duration;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use switchboard_io_proto::engine::Sid;

/// What ends a value or an attribute in a `Set-Cookie` header.
const ATTRIBUTE: &AsciiSet = &CONTROLS.add(b';').add(b',').add(b' ');

/// A `Set-Cookie` on the answer that opens a polling session. The defaults are Node's for `cookie: true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The name. Default: `io`.
    pub name: String,
    /// The path below which browsers send it back. Default: `/`. `None`: the directory of the request.
    pub path: Option<String>,
    /// The domain that it is for, with all below it. Default: `None`, this host alone.
    pub domain: Option<String>,
    /// Scripts of the page cannot read it. Default: yes. The id is a secret.
    pub http_only: bool,
    /// It is sent over TLS only. Default: no.
    pub secure: bool,
    /// Whether it is sent along from other sites. Default: `Lax`.
    pub same_site: Option<SameSite>,
    /// How long it lives. Default: `None`, as long as the browser runs.
    pub max_age: Option<Duration>,
}

/// Whether browsers send a cookie along with requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always; browsers want `Secure` with it.
    None,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".into(),
            path: Some("/".into()),
            domain: None,
            http_only: true,
            secure: false,
            same_site: Some(SameSite::Lax),
            max_age: None,
        }
    }
}

impl Cookie {
    /// The header. `None` when the name is none that a header may hold.
    pub(crate) fn header(&self, sid: &Sid) -> Option<HeaderValue> {
        let mut text = format!("{}={}", self.name, sid.as_str());
        if let Some(max_age) = self.max_age {
            text.push_str(&format!("; Max-Age={}", max_age.as_secs()));
        }
        for (name, value) in [("Domain", &self.domain), ("Path", &self.path)] {
            if let Some(value) = value {
                text.push_str(&format!("; {name}={}", utf8_percent_encode(value, ATTRIBUTE)));
            }
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        match self.same_site {
            Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
            Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
            Some(SameSite::None) => text.push_str("; SameSite=None"),
            None => {}
        }
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cookie: &Cookie) -> String {
        let sid = Sid::parse("abcdefghijABCDEFG-_9").expect("an id");
        cookie.header(&sid).expect("a header").to_str().expect("text").to_owned()
    }

    #[test]
    fn the_default_is_nodes() {
        assert_eq!(header(&Cookie::default()), "io=abcdefghijABCDEFG-_9; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn every_attribute_is_written_and_none_ends_another() {
        let cookie = Cookie {
            name: "sid".into(),
            path: Some("/a;b".into()),
            domain: Some("example.com".into()),
            http_only: false,
            secure: true,
            same_site: Some(SameSite::None),
            max_age: Some(Duration::from_secs(60)),
        };
        assert_eq!(
            header(&cookie),
            "sid=abcdefghijABCDEFG-_9; Max-Age=60; Domain=example.com; Path=/a%3Bb; Secure; SameSite=None"
        );
    }
}
