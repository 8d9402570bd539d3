//! The client's side of the opening handshake (RFC 6455 §4.1).

use std::fmt;
use std::time::Instant;

use ::http::header::{
    CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ::http::uri::PathAndQuery;
use ::http::{Request, Response, StatusCode, Uri, Version};

use super::error::HandshakeError;
use super::extension::{check_response, offer};
use super::headers::{ExtraHeaders, elements, has_element, is_token, refuse_body, single};
use super::http::{HeadParser, Parsed, encode_request};
use super::key::{accept_key, generate};
use super::limits::Limits;
use super::origin::parse_authority;
use super::refused::Refused;
use crate::deflate::{DeflateConfig, DeflateParams};

/// What a client asks for: where, and with what.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    secure: bool,
    host: String,
    port: u16,
    host_header: HeaderValue,
    target: PathAndQuery,
    protocols: Vec<String>,
    headers: ExtraHeaders,
    deflate: Option<DeflateConfig>,
}

impl ClientRequest {
    /// A request for a `ws:` or `wss:` address; `http:` and `https:` mean the same, as they do in browsers. Bytes of
    /// the path and the query that are not ASCII are percent-encoded.
    ///
    /// # Errors
    /// [`InvalidRequest`]: another scheme, no host, or a user name, for which there is the Authorization header.
    pub fn new(address: &Uri) -> Result<Self, InvalidRequest> {
        let secure = match address.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(InvalidRequest::Scheme),
        };
        let authority = address.authority().ok_or(InvalidRequest::Host)?.as_str();
        if authority.contains('@') {
            return Err(InvalidRequest::UserInfo);
        }
        let (host, port) = parse_authority(authority).ok_or(InvalidRequest::Host)?;
        let default = if secure { 443 } else { 80 };
        let port = port.unwrap_or(default);
        // The port is named "when not using the default port" (§4.1).
        let host_header = if port == default { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self {
            secure,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            host_header: HeaderValue::try_from(host_header).map_err(|_| InvalidRequest::Host)?,
            target: origin_form(address).ok_or(InvalidRequest::Target)?,
            protocols: Vec::new(),
            headers: ExtraHeaders::default(),
            deflate: None,
        })
    }

    /// Asks for a subprotocol; those asked for first are preferred.
    ///
    /// # Errors
    /// [`InvalidRequest::Protocol`] when it is not a token, or was asked for before (§4.1).
    pub fn protocol(mut self, name: &str) -> Result<Self, InvalidRequest> {
        if !is_token(name.as_bytes()) || self.protocols.iter().any(|other| other == name) {
            return Err(InvalidRequest::Protocol(name.to_owned()));
        }
        self.protocols.push(name.to_owned());
        Ok(self)
    }

    /// Sends these headers too: `Origin`, `Authorization`, `Cookie`, `User-Agent`, ….
    #[must_use]
    pub fn headers(mut self, headers: ExtraHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Sends this Host header in place of the one from the address.
    #[must_use]
    pub fn host_header(mut self, host: HeaderValue) -> Self {
        self.host_header = host;
        self
    }

    /// Offers permessage-deflate, or not (the default).
    #[must_use]
    pub fn deflate(mut self, deflate: Option<DeflateConfig>) -> Self {
        self.deflate = deflate;
        self
    }

    /// Whether the connection must be TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, and whose certificate to ask for. An IPv6 address is without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The request as it is sent, with this key.
    fn to_http(&self, key: &str) -> Request<()> {
        let value = |text: String| HeaderValue::try_from(text).expect("base64 and tokens are header values");
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from(self.target.clone());
        let headers = request.headers_mut();
        headers.insert(HOST, self.host_header.clone());
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, value(key.to_owned()));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if !self.protocols.is_empty() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value(self.protocols.join(", ")));
        }
        if let Some(config) = &self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer(config));
        }
        headers.extend(self.headers.as_map().clone());
        request
    }
}

/// The path and the query, in ASCII; an empty path is `/` (§3).
fn origin_form(address: &Uri) -> Option<PathAndQuery> {
    let query = address.query().map(|query| ["?", query]).into_iter().flatten();
    let mut target = String::new();
    for byte in std::iter::once(address.path()).chain(query).flat_map(str::bytes) {
        if byte.is_ascii_graphic() {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    PathAndQuery::try_from(target).ok()
}

/// What cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The address has no scheme, or one that is not ws, wss, http or https.
    Scheme,
    /// The address has no host, or none that a Host header can name.
    Host,
    /// The address has a user name or a password.
    UserInfo,
    /// The path or the query cannot stand in a request.
    Target,
    /// The subprotocol is not a token, or was asked for before.
    Protocol(String),
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the address must begin with ws:// or wss://"),
            Self::Host => f.write_str("the address names no valid host"),
            Self::UserInfo => f.write_str("the address has a user name in it; send an Authorization header instead"),
            Self::Target => f.write_str("the path or the query of the address cannot stand in a request"),
            Self::Protocol(name) => write!(f, "the subprotocol {name:?} is not a token, or was asked for twice"),
        }
    }
}

impl std::error::Error for InvalidRequest {}

/// A connection that the server opened.
#[derive(Debug)]
pub struct Established {
    /// The 101.
    pub response: Response<()>,
    /// The subprotocol that the server chose. `None` also when some were asked for and the server took none of them,
    /// which RFC 6455 allows and browsers do not.
    pub protocol: Option<String>,
    /// The parameters of permessage-deflate, when the server accepted it.
    pub deflate: Option<DeflateParams>,
}

/// The server's answer.
#[derive(Debug)]
pub enum Answer {
    /// The connection is open.
    Established {
        /// What was agreed on.
        established: Established,
        /// How many bytes of the last slice belong to the handshake. What follows are the server's first frames.
        consumed: usize,
    },
    /// The server said no. All bytes were taken, and the connection is of no further use.
    Refused(Refused),
}

/// Sends one request and reads the answer to it.
#[derive(Debug)]
pub struct ClientHandshake {
    request: Vec<u8>,
    expected_accept: String,
    protocols: Vec<String>,
    deflate: Option<DeflateConfig>,
    parser: HeadParser<Response<()>>,
    refused: Option<Refused>,
    deadline: Option<Instant>,
}

impl ClientHandshake {
    /// Begins at `now`, with a fresh key; the time limit counts from here.
    ///
    /// # Panics
    /// When the operating system has no random numbers to give.
    #[must_use]
    pub fn new(request: &ClientRequest, limits: &Limits, now: Instant) -> Self {
        Self::with_key(request, &generate(), limits, now)
    }

    fn with_key(request: &ClientRequest, key: &str, limits: &Limits, now: Instant) -> Self {
        let mut bytes = Vec::new();
        encode_request(&request.to_http(key), &mut bytes);
        Self {
            request: bytes,
            expected_accept: accept_key(key.as_bytes()),
            protocols: request.protocols.clone(),
            deflate: request.deflate.clone(),
            parser: HeadParser::new(limits),
            refused: None,
            deadline: now.checked_add(limits.timeout),
        }
    }

    /// The request, to be written whole before the answer is awaited.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Takes bytes from the server. `None`: all were taken, and the head, or the body of a refusal, goes on. When the
    /// connection ends or the time is over before the answer is complete, [`into_refused`](Self::into_refused) has what
    /// there is of a refusal.
    ///
    /// # Errors
    /// The rule that the answer breaks; the connection must be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Answer>, HandshakeError> {
        let mut rest = bytes;
        while self.refused.is_none() {
            let Some(Parsed { head, consumed }) = self.parser.push(rest)? else { return Ok(None) };
            rest = &rest[consumed..];
            if head.status() == StatusCode::SWITCHING_PROTOCOLS {
                let established = self.establish(head)?;
                return Ok(Some(Answer::Established { established, consumed: bytes.len() - rest.len() }));
            }
            // "A client MUST be able to parse one or more 1xx responses received prior to a final response" (RFC 9110
            // §15.2); all of them together have the limit on bytes that one has.
            if !head.status().is_informational() {
                self.refused = Some(Refused::new(head));
            }
        }
        let complete = self.refused.as_mut().is_some_and(|refused| refused.push(rest));
        Ok(if complete { self.refused.take().map(Answer::Refused) } else { None })
    }

    /// The refusal whose head is there and whose body is not complete.
    #[must_use]
    pub fn into_refused(self) -> Option<Refused> {
        self.refused
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; never later than at the start.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells the time.
    ///
    /// # Errors
    /// [`HandshakeError::TimedOut`] once the deadline is reached.
    pub fn handle_timeout(&self, now: Instant) -> Result<(), HandshakeError> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(HandshakeError::TimedOut),
            _ => Ok(()),
        }
    }

    /// The checks of §4.1 on a 101, in the order of the RFC.
    fn establish(&self, response: Response<()>) -> Result<Established, HandshakeError> {
        let headers = response.headers();
        if response.version() != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        // A 101 names the one protocol that it switches to.
        let upgrade = single(headers, UPGRADE, "Upgrade")?.ok_or(HandshakeError::Upgrade)?;
        if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
            return Err(HandshakeError::Upgrade);
        }
        if !has_element(headers, CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection);
        }
        let name = "Sec-WebSocket-Accept";
        let accept = single(headers, SEC_WEBSOCKET_ACCEPT, name)?.ok_or(HandshakeError::Missing(name))?;
        if *accept != *self.expected_accept {
            return Err(HandshakeError::Accept);
        }
        refuse_body(headers)?;
        let deflate = check_response(headers, self.deflate.as_ref())?;
        let protocol = self.check_protocol(&response)?;
        Ok(Established { response, protocol, deflate })
    }

    fn check_protocol(&self, response: &Response<()>) -> Result<Option<String>, HandshakeError> {
        let name = "Sec-WebSocket-Protocol";
        let Some(chosen) = single(response.headers(), SEC_WEBSOCKET_PROTOCOL, name)? else { return Ok(None) };
        if elements(response.headers(), SEC_WEBSOCKET_PROTOCOL).nth(1).is_some() {
            return Err(HandshakeError::Duplicate(name));
        }
        // If "this header field indicates the use of a subprotocol that was not present in the client's handshake
        // [...], the client MUST _Fail the WebSocket Connection_" (§4.1).
        let requested = self.protocols.iter().find(|requested| *chosen == ***requested);
        requested.cloned().map(Some).ok_or(HandshakeError::UnrequestedProtocol)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::http::HeaderMap;

    use super::super::server::{Protocols, ServerHandshake, ServerOptions, accept};
    use super::*;
    use crate::handshake::encode_response;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn request(address: &str) -> Result<ClientRequest, InvalidRequest> {
        ClientRequest::new(&address.parse().expect("a URI"))
    }

    fn chat() -> ClientRequest {
        request("ws://server.example.com/chat").and_then(|request| request.protocol("v1")).unwrap()
    }

    fn handshake(request: &ClientRequest) -> ClientHandshake {
        ClientHandshake::with_key(request, KEY, &Limits::default(), Instant::now())
    }

    fn established(request: &ClientRequest, answer: &str) -> Result<Established, HandshakeError> {
        match handshake(request).receive(answer.as_bytes())? {
            Some(Answer::Established { established, consumed }) => {
                assert_eq!(consumed, answer.len());
                Ok(established)
            }
            other => panic!("{answer} gave {other:?}"),
        }
    }

    fn fault(answer: &str) -> HandshakeError {
        established(&chat().deflate(Some(DeflateConfig::default())), answer).expect_err(answer)
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        let mut headers = ExtraHeaders::default();
        headers.append(::http::header::ORIGIN, HeaderValue::from_static("http://example.com")).unwrap();
        let asked = chat().protocol("superchat").unwrap().headers(headers).deflate(Some(DeflateConfig::default()));
        assert_eq!(
            String::from_utf8_lossy(handshake(&asked).request()),
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: v1, superchat\r\nSec-WebSocket-Extensions: permessage-deflate; \
             server_no_context_takeover; client_no_context_takeover; client_max_window_bits\r\n\
             Origin: http://example.com\r\n\r\n"
        );
    }

    #[test]
    fn an_address_is_taken_apart() {
        for (address, secure, host, port, header, target) in [
            ("ws://example.com", false, "example.com", 80, "example.com", "/"),
            ("wss://example.com", true, "example.com", 443, "example.com", "/"),
            ("ws://example.com:80/a", false, "example.com", 80, "example.com", "/a"),
            ("ws://example.com:443/", false, "example.com", 443, "example.com:443", "/"),
            ("https://example.com:8443?q=/", true, "example.com", 8443, "example.com:8443", "/?q=/"),
            ("WS://[::1]:9001/a/b?c=d&e#f", false, "::1", 9001, "[::1]:9001", "/a/b?c=d&e"),
            ("ws://a/\u{e9}?\u{e9}", false, "a", 80, "a", "/%C3%A9?%C3%A9"),
        ] {
            let request = request(address).expect(address);
            assert_eq!((request.is_secure(), request.host(), request.port()), (secure, host, port), "{address}");
            let sent = handshake(&request);
            let start = format!("GET {target} HTTP/1.1\r\nHost: {header}\r\n");
            assert!(sent.request().starts_with(start.as_bytes()), "{}", sent.request().escape_ascii());
        }
        for (address, error) in [
            ("ftp://example.com", InvalidRequest::Scheme),
            ("/only/a/path", InvalidRequest::Scheme),
            ("ws://user:secret@example.com", InvalidRequest::UserInfo),
            ("ws://example.com:99999", InvalidRequest::Host),
        ] {
            assert_eq!(request(address).err(), Some(error), "{address}");
        }
        let named = request("ws://127.0.0.1:1").unwrap().host_header(HeaderValue::from_static("example.com"));
        assert!(handshake(&named).request().starts_with(b"GET / HTTP/1.1\r\nHost: example.com\r\n"));
    }

    /// Attack 14 (CVE-2026-1527, PYSEC-2020-25): what an application passes on from a stranger ends no line.
    #[test]
    fn a_request_cannot_be_injected_into() {
        for name in ["", "a b", "a,b", "a\r\nX: y", "a\0", "\u{e9}"] {
            let error = chat().protocol(name).expect_err(name);
            assert_eq!(error, InvalidRequest::Protocol(name.to_owned()));
        }
        assert!(chat().protocol("v1").is_err(), "asked for twice");
        for address in ["ws://a/\r\nX: y", "ws://a/ HTTP/1.1", "ws://a\r\nX: y/", "ws://a/?\n"] {
            assert!(address.parse::<Uri>().is_err(), "{address:?}");
        }
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("b"))]);
        assert!(ExtraHeaders::try_from(headers).is_err());
    }

    #[test]
    fn an_answer_cut_anywhere_is_the_same_answer() {
        let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{ANSWER}Sec-WebSocket-Protocol: v1\r\n\r\n");
        let frames = b"\x81\x02hi";
        let bytes = [answer.as_bytes(), frames].concat();
        for cut in 0..answer.len() {
            let mut client = handshake(&chat());
            assert!(client.receive(&bytes[..cut]).unwrap().is_none());
            let answer = client.receive(&bytes[cut..]).unwrap();
            let Some(Answer::Established { established, consumed }) = answer else {
                panic!("cut at {cut}: {answer:?}")
            };
            // Attack 20: frames that came with the 101 are the first of the connection.
            assert_eq!(&bytes[cut + consumed..], frames);
            assert_eq!((established.protocol.as_deref(), established.deflate), (Some("v1"), None));
        }
    }

    #[test]
    fn each_check_of_the_rfc_is_made() {
        let but = |old: &str, new: &str| {
            assert!(ANSWER.contains(old), "{old}");
            format!("{}\r\n", ANSWER.replace(old, new))
        };
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        for (answer, error) in [
            (but("HTTP/1.1", "HTTP/1.0"), HandshakeError::HttpVersion),
            (but("Upgrade: websocket\r\n", ""), HandshakeError::Upgrade),
            (but("Upgrade: websocket", "Upgrade: h2c"), HandshakeError::Upgrade),
            (but("Upgrade: websocket", "Upgrade: websocket, h2c"), HandshakeError::Upgrade),
            (
                but("Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"),
                HandshakeError::Duplicate("Upgrade"),
            ),
            (but("Connection: Upgrade\r\n", ""), HandshakeError::Connection),
            (but("Connection: Upgrade", "Connection: close"), HandshakeError::Connection),
            (but(accept, ""), HandshakeError::Missing("Sec-WebSocket-Accept")),
            (but(accept, &accept.repeat(2)), HandshakeError::Duplicate("Sec-WebSocket-Accept")),
            (but("s3pPLMB", "S3pPLMB"), HandshakeError::Accept),
            (but("xOo=", "xOo"), HandshakeError::Accept),
            (but("101 Switching", "1O1 Switching"), HandshakeError::StatusLine),
            (but("Upgrade: websocket\r\n", "Upgrade: websocket\n"), HandshakeError::LineEnd { line: 2 }),
            (format!("{ANSWER}Content-Length: 5\r\n\r\n"), HandshakeError::Body),
            (format!("{ANSWER}Transfer-Encoding: chunked\r\n\r\n"), HandshakeError::Body),
            (format!("{ANSWER}Sec-WebSocket-Protocol: v2\r\n\r\n"), HandshakeError::UnrequestedProtocol),
            (format!("{ANSWER}Sec-WebSocket-Protocol:\r\n\r\n"), HandshakeError::UnrequestedProtocol),
            (format!("{ANSWER}Sec-WebSocket-Protocol: V1\r\n\r\n"), HandshakeError::UnrequestedProtocol),
            (
                format!("{ANSWER}Sec-WebSocket-Protocol: v1, v1\r\n\r\n"),
                HandshakeError::Duplicate("Sec-WebSocket-Protocol"),
            ),
            (
                format!("{ANSWER}{}\r\n", "Sec-WebSocket-Protocol: v1\r\n".repeat(2)),
                HandshakeError::Duplicate("Sec-WebSocket-Protocol"),
            ),
            (format!("{ANSWER}Sec-WebSocket-Extensions: a b\r\n\r\n"), HandshakeError::Extensions),
            (format!("{ANSWER}Sec-WebSocket-Extensions: x-other\r\n\r\n"), HandshakeError::UnofferedExtension),
            // Attack 11, CVE-2026-2229, through the whole handshake.
            (
                format!("{ANSWER}Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=1000\r\n\r\n"),
                HandshakeError::DeflateResponse,
            ),
        ] {
            assert_eq!(fault(&answer), error, "{answer}");
        }
        established(&chat(), &but("websocket", "WebSocket")).expect("in any case of letters");
        let bare = established(&chat(), &format!("{ANSWER}Content-Length: 0\r\n\r\n")).expect("no body");
        assert_eq!((bare.protocol, bare.deflate), (None, None));
    }

    #[test]
    fn a_refusal_is_told_with_its_body() {
        let answer = "HTTP/1.0 403 Forbidden\r\nContent-Length: 5\r\nX-Why: because\r\n\r\nno wa";
        for cut in 0..answer.len() {
            let mut client = handshake(&chat());
            assert!(client.receive(&answer.as_bytes()[..cut]).unwrap().is_none());
            let Some(Answer::Refused(refused)) = client.receive(&answer.as_bytes()[cut..]).unwrap() else {
                panic!("not refused, cut at {cut}")
            };
            assert_eq!((refused.status.as_u16(), &refused.body[..]), (403, &b"no wa"[..]));
            assert_eq!(refused.headers["x-why"], "because");
        }
        let mut client = handshake(&chat());
        assert!(client.receive(b"HTTP/1.1 500 Oops\r\n\r\nas far as it w").unwrap().is_none());
        assert_eq!(client.into_refused().map(|refused| refused.text().into_owned()).as_deref(), Some("as far as it w"));
        assert_eq!(handshake(&chat()).into_refused(), None);
    }

    /// Attack 5 and 18 (CVE-2023-43669, CVE-2022-31080) from a server: no head and no row of heads is without end.
    #[test]
    fn a_server_cannot_talk_for_ever() {
        let mut client = handshake(&chat());
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
        let error = client.receive(hints.as_bytes()).expect_err("more than 16 KiB of heads");
        assert_eq!(error, HandshakeError::HeadTooLong { limit: 16 << 10 });

        let start = Instant::now();
        let limits = Limits { timeout: Duration::from_secs(3), ..Limits::default() };
        let client = ClientHandshake::new(&chat(), &limits, start);
        let deadline = start + Duration::from_secs(3);
        assert_eq!(client.poll_timeout(), Some(deadline));
        assert_eq!(client.handle_timeout(deadline - Duration::from_nanos(1)), Ok(()));
        assert_eq!(client.handle_timeout(deadline), Err(HandshakeError::TimedOut));
    }

    #[test]
    fn client_and_server_agree() {
        let config = DeflateConfig { own_context_takeover: true, ..DeflateConfig::default() };
        let now = Instant::now();
        let asked = chat().deflate(Some(config.clone()));
        let mut client = ClientHandshake::new(&asked, &Limits::default(), now);
        let mut server = ServerHandshake::new(&Limits::default(), now);
        let parsed = server.receive(client.request()).unwrap().expect("the whole request");
        assert_eq!(parsed.consumed, client.request().len());
        let protocols = Protocols::Preference(vec!["v1".into()]);
        let options = ServerOptions { protocols, deflate: Some(config), ..ServerOptions::default() };
        let accepted = accept(&parsed.head, &options).unwrap();
        let mut out = Vec::new();
        encode_response(&accepted.response, &mut out);
        let Some(Answer::Established { established, consumed }) = client.receive(&out).unwrap() else {
            panic!("refused: {}", out.escape_ascii())
        };
        assert_eq!(consumed, out.len());
        assert_eq!(established.protocol.as_deref(), Some("v1"));
        assert_eq!(established.deflate, accepted.deflate);
        assert!(established.deflate.is_some());
    }
}
