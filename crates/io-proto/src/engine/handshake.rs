//! The handshake: which requests open a session or belong to one, which are refused and how, in Node's order of checks;
//! and the packet that opens a session.

use crate::engine::config::Config;
use crate::engine::error::{BadRequest, HandshakeError};
use crate::engine::packet::{Protocol, Transport};
use crate::engine::query::{Query, SessionId};
use crate::engine::sid::Sid;

/// What is to be known of a request to judge it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method. For a WebSocket over HTTP/2, whose method is `CONNECT` (RFC 8441), say `GET`.
    pub method: &'a str,
    /// The query, parsed.
    pub query: Query,
    /// The request asks for a WebSocket.
    pub upgrade: bool,
    /// The `Origin` header, if there is one, as it came.
    pub origin: Option<&'a [u8]>,
}

/// What is known of a session that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its transport now.
    pub transport: Transport,
    /// The version that it was opened with.
    pub protocol: Protocol,
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It wants a new session; see [`Applicant::admit`].
    Open(Applicant),
    /// A GET that waits for packets.
    Poll(Sid),
    /// A POST that brings packets.
    Post(Sid),
    /// A WebSocket for a session: to be [attached](crate::engine::Session::attach).
    Upgrade(Sid),
    /// A method that polling does not know. Node answers 500 with an empty body; the session goes on.
    UnknownMethod(Sid),
}

/// A client that wants a session. The application is asked first (`allowRequest`), its version is looked at second:
/// [`admit`](Self::admit) is the one way to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applicant {
    transport: Transport,
    protocol: Protocol,
}

impl Applicant {
    /// What it gets, after the application has allowed the request.
    ///
    /// # Errors
    /// [`HandshakeError::UnsupportedProtocolVersion`] unless it speaks v4, or v3 is allowed.
    pub fn admit(self, config: &Config) -> Result<Known, HandshakeError> {
        if self.protocol == Protocol::V3 && !config.allow_eio3 {
            return Err(HandshakeError::UnsupportedProtocolVersion);
        }
        Ok(Known { transport: self.transport, protocol: self.protocol })
    }
}

/// Judges a request, in Node's order of checks, so that a request with two faults gets the same answer. `lookup` is
/// asked at most once.
///
/// Stricter than Node in one thing: an upgrade with `transport=polling` is refused at once. Node says 101 and closes.
///
/// # Errors
/// How the request is to be refused.
pub fn judge(
    config: &Config,
    request: &Request<'_>,
    lookup: impl FnOnce(&Sid) -> Option<Known>,
) -> Result<Verdict, HandshakeError> {
    let Query { transport, protocol, .. } = request.query;
    let transport = transport.filter(|&it| config.transports.contains(it)).ok_or(HandshakeError::UnknownTransport)?;
    if !request.origin.unwrap_or_default().iter().all(|&byte| is_header_byte(byte)) {
        return Err(BadRequest::InvalidOrigin.into());
    }
    let sid = match request.query.sid {
        SessionId::New => return open(request, transport).map(Verdict::Open),
        SessionId::Impossible => return Err(HandshakeError::UnknownSid),
        SessionId::Named(sid) => sid,
    };
    let session = lookup(&sid).ok_or(HandshakeError::UnknownSid)?;
    if !request.upgrade && session.transport != transport {
        return Err(BadRequest::TransportMismatch.into());
    }
    if session.protocol != protocol {
        return Err(BadRequest::ProtocolMismatch.into());
    }
    check_kind(request, transport)?;
    Ok(match request.method {
        _ if request.upgrade => Verdict::Upgrade(sid),
        "GET" => Verdict::Poll(sid),
        "POST" => Verdict::Post(sid),
        _ => Verdict::UnknownMethod(sid),
    })
}

fn open(request: &Request<'_>, transport: Transport) -> Result<Applicant, HandshakeError> {
    if request.method != "GET" {
        return Err(HandshakeError::BadHandshakeMethod);
    }
    check_kind(request, transport)?;
    Ok(Applicant { transport, protocol: request.query.protocol })
}

/// A WebSocket comes by an upgrade, and nothing else does.
fn check_kind(request: &Request<'_>, transport: Transport) -> Result<(), BadRequest> {
    let fits = request.upgrade == (transport == Transport::WebSocket);
    fits.then_some(()).ok_or(BadRequest::TransportHandshake)
}

/// A byte that a field value may have: "field-vchar" with "obs-text", space and tab (RFC 9110 §5.5).
fn is_header_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The packet that opens a session, type included: exactly five fields, in Node's order. Times are in milliseconds.
#[must_use]
pub fn open_packet(sid: &Sid, config: &Config, transport: Transport) -> String {
    let upgrades = if transport == Transport::Polling && config.upgrades() { r#"["websocket"]"# } else { "[]" };
    format!(
        r#"0{{"sid":"{}","upgrades":{upgrades},"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
        sid.as_str(),
        config.ping_interval.as_millis(),
        config.ping_timeout.as_millis(),
        config.max_payload,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::Transports;

    const SID: &str = "abcdefghijABCDEFG-_9";
    const POLLING: Known = Known { transport: Transport::Polling, protocol: Protocol::V4 };
    const WEBSOCKET: Known = Known { transport: Transport::WebSocket, protocol: Protocol::V4 };

    fn request<'a>(method: &'a str, query: &str, upgrade: bool) -> Request<'a> {
        Request { method, query: Query::parse(query), upgrade, origin: None }
    }

    fn answer(method: &str, query: &str, upgrade: bool, known: Option<Known>) -> Result<Verdict, HandshakeError> {
        judge(&Config::default(), &request(method, query, upgrade), |_| known)
    }

    fn sid() -> Sid {
        Sid::parse(SID).unwrap()
    }

    #[test]
    fn requests_are_what_they_ask_for() {
        let of = |transport| format!("EIO=4&transport={transport}&sid={SID}");
        assert_eq!(answer("GET", &of("polling"), false, Some(POLLING)), Ok(Verdict::Poll(sid())));
        assert_eq!(answer("POST", &of("polling"), false, Some(POLLING)), Ok(Verdict::Post(sid())));
        assert_eq!(answer("PUT", &of("polling"), false, Some(POLLING)), Ok(Verdict::UnknownMethod(sid())));
        assert_eq!(answer("GET", &of("websocket"), true, Some(POLLING)), Ok(Verdict::Upgrade(sid())));
        let opened = answer("GET", "EIO=4&transport=polling", false, None).unwrap();
        let Verdict::Open(applicant) = opened else { panic!("{opened:?}") };
        assert_eq!(applicant.admit(&Config::default()), Ok(POLLING));
        let opened = answer("GET", "EIO=4&transport=websocket", true, None).unwrap();
        let Verdict::Open(applicant) = opened else { panic!("{opened:?}") };
        assert_eq!(applicant.admit(&Config::default()), Ok(WEBSOCKET));
    }

    #[test]
    fn each_fault_has_its_answer() {
        use HandshakeError::{BadHandshakeMethod, UnknownSid, UnknownTransport};
        let refused = |method, query: &str, upgrade, known| answer(method, query, upgrade, known).unwrap_err();
        assert_eq!(refused("GET", "EIO=4", false, None), UnknownTransport);
        assert_eq!(refused("GET", "EIO=4&transport=webtransport", false, None), UnknownTransport);
        assert_eq!(refused("GET", "EIO=4&transport=polling&sid=x", false, Some(POLLING)), UnknownSid);
        let query = &format!("EIO=4&transport=polling&sid={SID}");
        assert_eq!(refused("GET", query, false, None), UnknownSid);
        assert_eq!(refused("GET", query, false, Some(WEBSOCKET)), BadRequest::TransportMismatch.into());
        let v3 = Known { protocol: Protocol::V3, ..POLLING };
        assert_eq!(refused("GET", query, false, Some(v3)), BadRequest::ProtocolMismatch.into());
        assert_eq!(refused("GET", query, true, Some(POLLING)), BadRequest::TransportHandshake.into());
        assert_eq!(refused("POST", "EIO=4&transport=polling", false, None), BadHandshakeMethod);
        assert_eq!(refused("OPTIONS", "EIO=4&transport=polling", false, None), BadHandshakeMethod);
        let query = "EIO=4&transport=websocket";
        assert_eq!(refused("GET", query, false, None), BadRequest::TransportHandshake.into());
    }

    #[test]
    fn of_several_faults_the_first_is_told() {
        let everything_wrong =
            Request { origin: Some(b"http://a\x7f"), ..request("PUT", "EIO=2&transport=carrier-pigeon&sid=x", false) };
        let config = Config::default();
        let verdict = |request: &Request<'_>| judge(&config, request, |_| None).unwrap_err();
        assert_eq!(verdict(&everything_wrong), HandshakeError::UnknownTransport);
        let mut better = everything_wrong;
        better.query.transport = Some(Transport::WebSocket);
        assert_eq!(verdict(&better), BadRequest::InvalidOrigin.into());
        better.origin = Some("http://exämple".as_bytes());
        assert_eq!(verdict(&better), HandshakeError::UnknownSid);
        better.query.sid = SessionId::New;
        assert_eq!(verdict(&better), HandshakeError::BadHandshakeMethod);
        better.method = "GET";
        assert_eq!(verdict(&better), BadRequest::TransportHandshake.into());
        better.upgrade = true;
        let Ok(Verdict::Open(applicant)) = judge(&config, &better, |_| None) else { panic!("not open") };
        // Between these two the application is asked, so that its refusal comes before the version's.
        assert_eq!(applicant.admit(&config), Err(HandshakeError::UnsupportedProtocolVersion));
        assert!(applicant.admit(&Config { allow_eio3: true, ..config }).is_ok());
    }

    #[test]
    fn a_transport_that_is_off_is_unknown() {
        let config = Config { transports: Transports { polling: false, websocket: true }, ..Config::default() };
        let polling = request("GET", "EIO=4&transport=polling", false);
        assert_eq!(judge(&config, &polling, |_| None), Err(HandshakeError::UnknownTransport));
    }

    #[test]
    fn the_open_packet_has_five_fields() {
        let config = Config::default();
        assert_eq!(
            open_packet(&sid(), &config, Transport::Polling),
            format!(
                r#"0{{"sid":"{SID}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
            )
        );
        let none = r#""upgrades":[],"#;
        assert!(open_packet(&sid(), &config, Transport::WebSocket).contains(none));
        let config = Config { allow_upgrades: false, ..config };
        assert!(open_packet(&sid(), &config, Transport::Polling).contains(none));
    }
}
