//! The query string of an Engine.IO request, parsed once into what the rest decides by.

use crate::engine::packet::{Encoding, Protocol, Transport};
use crate::engine::sid::Sid;
use crate::engine::urlencoded;

/// What a client says in its query. What it says wrongly is kept as wrong: whether that matters, and how it is
/// answered, is for [`judge`](crate::engine::judge) to say. Of a field that comes twice the last counts, as in Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// `EIO`. Any other value than `4` counts as v3, none as well, as in Node.
    pub protocol: Protocol,
    /// `transport`. `None`: missing, or none that we know.
    pub transport: Option<Transport>,
    /// `sid`
    pub sid: SessionId,
    /// `b64`, with any value but an empty one: the client takes no bytes.
    pub b64: bool,
    /// `j`, the number of the JSON-P callback. With it answers are scripts and POSTs are forms.
    pub jsonp: Option<u32>,
}

/// The session that a query names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionId {
    /// None: the client wants a new one.
    New,
    /// This one.
    Named(Sid),
    /// One that cannot be, as no id looks like this.
    Impossible,
}

impl Query {
    /// Parses what follows the `?`. `t`, which busts caches, and fields of the application are skipped.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self { protocol: Protocol::V3, transport: None, sid: SessionId::New, b64: false, jsonp: None };
        for (name, value) in urlencoded::fields(query) {
            match &*name {
                "EIO" => parsed.protocol = if value == "4" { Protocol::V4 } else { Protocol::V3 },
                // An enum and no lookup by name: a `transport` of `constructor` crashed Node (CVE-2023-31125).
                "transport" => {
                    parsed.transport = match &*value {
                        "polling" => Some(Transport::Polling),
                        "websocket" => Some(Transport::WebSocket),
                        _ => None,
                    };
                }
                "sid" if value.is_empty() => parsed.sid = SessionId::New,
                "sid" => parsed.sid = Sid::parse(&value).map_or(SessionId::Impossible, SessionId::Named),
                "b64" => parsed.b64 = !value.is_empty(),
                // Stricter than Node, which keeps the digits of whatever stands there: a number or no JSON-P at all.
                "j" => parsed.jsonp = value.parse().ok(),
                _ => {}
            }
        }
        parsed
    }

    /// How the client wants its packets written. A script (JSON-P) cannot carry bytes, whether the client says so or
    /// not.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        let script = self.jsonp.is_some() && self.transport == Some(Transport::Polling);
        Encoding { protocol: self.protocol, b64: self.b64 || script }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_query() {
        let query = Query::parse("EIO=4&transport=polling&t=PGqA1&sid=abcdefghijABCDEFG-_9&token=x");
        assert_eq!(
            query,
            Query {
                protocol: Protocol::V4,
                transport: Some(Transport::Polling),
                sid: SessionId::Named(Sid::parse("abcdefghijABCDEFG-_9").unwrap()),
                b64: false,
                jsonp: None,
            }
        );
        let query = Query::parse("EIO=3&transport=%77ebsocket&b64=1&j=12");
        assert_eq!((query.protocol, query.transport), (Protocol::V3, Some(Transport::WebSocket)));
        assert_eq!((query.b64, query.jsonp, query.sid), (true, Some(12), SessionId::New));
    }

    #[test]
    fn whatever_is_not_four_is_three() {
        for query in ["", "EIO=", "EIO=5", "EIO=04", "EIO=4&EIO=3", "EIO=4%00", "eio=4"] {
            assert_eq!(Query::parse(query).protocol, Protocol::V3, "{query}");
        }
    }

    /// CVE-2023-31125: the names of what every JavaScript object has.
    #[test]
    fn no_other_transport_is_known() {
        for name in ["", "constructor", "__proto__", "webtransport", "Polling", "polling%20", "polling&transport=x"] {
            assert_eq!(Query::parse(&format!("transport={name}")).transport, None, "{name}");
        }
    }

    /// A list that names a thing twice is an object with the last in Node.
    #[test]
    fn of_what_comes_twice_the_last_counts() {
        let query = Query::parse("EIO=3&EIO=4&transport=polling&%74ransport=websocket&sid=x&sid=&b64=1&b64=&j=1&j=2");
        assert_eq!((query.protocol, query.transport), (Protocol::V4, Some(Transport::WebSocket)));
        assert_eq!((query.sid, query.b64, query.jsonp), (SessionId::New, false, Some(2)));
    }

    #[test]
    fn an_empty_sid_is_none_and_a_wrong_one_is_never_found() {
        assert_eq!(Query::parse("sid=").sid, SessionId::New);
        for sid in ["x", "__proto__", "%ff", "abcdefghijABCDEFG-_9&sid=x"] {
            assert_eq!(Query::parse(&format!("sid={sid}")).sid, SessionId::Impossible, "{sid}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_callback() {
        for j in ["", "x", "1;alert(1)", "-1", "99999999999"] {
            assert_eq!(Query::parse(&format!("j={j}")).jsonp, None, "{j}");
        }
        assert!(!Query::parse("b64=").b64);
    }
}
