//! The server's side of the opening handshake (RFC 6455 §4.2).
//!
//! [`accept`] judges a request that any HTTP library may have read; [`ServerHandshake`] reads it from bytes.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ::http::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ::http::{Method, Request, Response, StatusCode, Uri, Version};

use super::error::HandshakeError;
use super::extension::negotiate;
use super::headers::{ExtraHeaders, elements, has_element, is_token, refuse_body, single};
use super::http::{HeadParser, Parsed};
use super::key::{accept_key, is_valid};
use super::limits::Limits;
use super::origin::{Origins, parse_authority};
use super::rejection::Rejection;
use crate::deflate::{DeflateConfig, DeflateParams};

/// How a server opens connections.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Which pages may connect. Default: those of this server.
    pub origins: Origins,
    /// Which subprotocol is chosen. Default: none.
    pub protocols: Protocols,
    /// Headers that every 101 carries besides those of the handshake. Default: none.
    pub headers: ExtraHeaders,
    /// permessage-deflate, for clients that offer it. Default: `None`, no compression.
    pub deflate: Option<DeflateConfig>,
    /// The limits of [`ServerHandshake`]; [`accept`] does not look at them. Default: 16 KiB, 100 headers, 10 s.
    pub limits: Limits,
}

/// How a subprotocol is chosen of those that the client offers. One that it did not offer is never answered: "the
/// value chosen MUST be derived from the client's handshake" (RFC 6455 §4.2.2).
#[derive(Clone, Default)]
pub enum Protocols {
    /// None is chosen, and the connection is opened without.
    #[default]
    None,
    /// The first of these that the client offers.
    Preference(Vec<String>),
    /// What the function returns; a name that was not offered counts as `None`. It is not called without an offer.
    Choose(Arc<ChooseProtocol>),
}

/// A function that chooses a subprotocol.
pub type ChooseProtocol = dyn Fn(&Offer<'_>) -> Option<String> + Send + Sync;

/// What a client offers, for a function that chooses a subprotocol.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'r> {
    /// The target of the request.
    pub uri: &'r Uri,
    /// The headers of the request.
    pub headers: &'r HeaderMap,
    /// The subprotocols, in the client's order of preference; each is a token and there once.
    pub protocols: &'r [&'r str],
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Preference(names) => f.debug_tuple("Preference").field(names).finish(),
            Self::Choose(_) => f.write_str("Choose(..)"),
        }
    }
}

/// A connection that may be opened.
#[derive(Debug)]
pub struct Accepted {
    /// The 101, complete. Headers may be added before it is sent.
    pub response: Response<()>,
    /// The subprotocol that the response names.
    pub protocol: Option<String>,
    /// The parameters of permessage-deflate, when the response names it.
    pub deflate: Option<DeflateParams>,
}

/// Whether a client asks for a WebSocket, rightly or wrongly: [`accept`] tells which. Everything else is ordinary HTTP.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_element(headers, UPGRADE, "websocket")
}

/// Judges a request to open a WebSocket, from this crate's parser or from an HTTP server's. The body is not looked at,
/// only what the headers say of one.
///
/// # Errors
/// The rule that the request breaks, as the response that tells it: 400, 403 (origin), 405, 426 or 505.
pub fn accept<B>(request: &Request<B>, options: &ServerOptions) -> Result<Accepted, Rejection> {
    Ok(judge(request, options)?)
}

fn judge<B>(request: &Request<B>, options: &ServerOptions) -> Result<Accepted, HandshakeError> {
    let headers = request.headers();
    let key = check_request(request)?;
    options.origins.check(headers)?;
    let offered = offered_protocols(headers)?;
    let protocol = options.protocols.choose(&Offer { uri: request.uri(), headers, protocols: &offered });
    let deflate = negotiate(headers, options.deflate.as_ref())?;

    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, to_value(accept_key(key.as_bytes())));
    if let Some(protocol) = &protocol {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, to_value(protocol.clone()));
    }
    let deflate = deflate.map(|(params, extension)| {
        answer.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
        params
    });
    answer.extend(options.headers.as_map().clone());
    Ok(Accepted { response, protocol, deflate })
}

/// The requirements of §4.2.1, in the order in which a sentence about them helps most: what is no request for a
/// WebSocket at all is told so before what is a bad one.
fn check_request<B>(request: &Request<B>) -> Result<&HeaderValue, HandshakeError> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    if request.uri().scheme().is_some() || request.uri().authority().is_some() || !request.uri().path().starts_with('/')
    {
        return Err(HandshakeError::Target);
    }
    if !has_element(headers, UPGRADE, "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !has_element(headers, CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    refuse_body(headers)?;
    let host = single(headers, HOST, "Host")?.ok_or(HandshakeError::Missing("Host"))?;
    host.to_str().ok().and_then(parse_authority).ok_or(HandshakeError::Host)?;
    if single(headers, SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version")?.is_none_or(|version| version != "13") {
        return Err(HandshakeError::Version);
    }
    let key =
        single(headers, SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")?.ok_or(HandshakeError::Missing("Sec-WebSocket-Key"))?;
    if is_valid(key.as_bytes()) { Ok(key) } else { Err(HandshakeError::Key) }
}

/// "The elements that comprise this value MUST be non-empty strings [of tokens] and MUST all be unique" (§4.1).
fn offered_protocols(headers: &HeaderMap) -> Result<Vec<&str>, HandshakeError> {
    let mut seen = HashSet::new();
    elements(headers, SEC_WEBSOCKET_PROTOCOL)
        .map(|element| {
            let name = str::from_utf8(element).ok().filter(|_| is_token(element));
            name.filter(|name| seen.insert(*name)).ok_or(HandshakeError::Protocols)
        })
        .collect()
}

impl Protocols {
    fn choose(&self, offer: &Offer<'_>) -> Option<String> {
        let offered = |name: &String| offer.protocols.contains(&name.as_str());
        match self {
            Self::Preference(names) => names.iter().find(|name| offered(name)).cloned(),
            Self::Choose(choose) if !offer.protocols.is_empty() => choose(offer).filter(offered),
            Self::None | Self::Choose(_) => None,
        }
    }
}

fn to_value(token: String) -> HeaderValue {
    HeaderValue::try_from(token).expect("base64 and tokens are header values")
}

/// Reads one request from bytes. The caller sends what [`accept`] or an error gives: a 101 with
/// [`encode_response`](super::encode_response), a rejection with [`Rejection::encode`].
#[derive(Debug)]
pub struct ServerHandshake {
    parser: HeadParser<Request<()>>,
    deadline: Option<Instant>,
}

impl ServerHandshake {
    /// Begins at `now`, when the connection is there; the time limit counts from here.
    #[must_use]
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self { parser: HeadParser::new(limits), deadline: now.checked_add(limits.timeout) }
    }

    /// Takes bytes from the client. `None`: all were taken and the request goes on. After a whole request the machine
    /// has done its work; the bytes beyond [`Parsed::consumed`] are the client's first frames.
    ///
    /// # Errors
    /// What to answer before closing, as soon as the byte or the line is there that breaks a rule of HTTP.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Parsed<Request<()>>>, Rejection> {
        Ok(self.parser.push(bytes)?)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; never later than at the start.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells the time.
    ///
    /// # Errors
    /// The 408 to send before closing, once the deadline is reached.
    pub fn handle_timeout(&self, now: Instant) -> Result<(), Rejection> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(HandshakeError::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::http::encode_response;
    use super::*;

    const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n";

    fn receive(text: &str) -> Result<Request<()>, Rejection> {
        let mut handshake = ServerHandshake::new(&Limits::default(), Instant::now());
        handshake.receive(text.as_bytes()).map(|parsed| parsed.expect("a whole head").head)
    }

    fn conversation(request: &str, options: &ServerOptions) -> Result<Accepted, Rejection> {
        accept(&receive(request)?, options)
    }

    /// The example request with further headers.
    fn with(headers: &str) -> String {
        format!("{REQUEST}{headers}\r\n")
    }

    /// The example request with one text in place of another.
    fn but(old: &str, new: &str) -> String {
        assert!(REQUEST.contains(old), "{old}");
        format!("{}\r\n", REQUEST.replace(old, new))
    }

    fn fault(request: &str) -> HandshakeError {
        let rejection = conversation(request, &ServerOptions::default()).expect_err(request);
        let error = rejection.error().expect("a broken rule");
        assert_eq!(rejection.status(), error.status());
        let sentence = String::from_utf8_lossy(rejection.body()).to_lowercase();
        assert_eq!(sentence, format!("{error}.\n").to_lowercase(), "the body says what is wrong");
        error
    }

    #[test]
    fn the_example_of_the_rfc() {
        let accepted = conversation(&with(""), &ServerOptions::default()).unwrap();
        let mut out = Vec::new();
        encode_response(&accepted.response, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        assert_eq!((accepted.protocol, accepted.deflate), (None, None));
    }

    #[test]
    fn a_request_cut_anywhere_is_the_same_request() {
        let frames = b"\x81\x80\0\0\0\0";
        let request = with("Origin: http://server.example.com\r\nSec-WebSocket-Protocol: a, b\r\n");
        let bytes = [request.as_bytes(), frames].concat();
        let options = ServerOptions { protocols: Protocols::Preference(vec!["b".into()]), ..ServerOptions::default() };
        for cut in 0..request.len() {
            let mut handshake = ServerHandshake::new(&Limits::default(), Instant::now());
            assert!(handshake.receive(&bytes[..cut]).unwrap().is_none());
            let parsed = handshake.receive(&bytes[cut..]).unwrap().expect("complete");
            // Attack 20 (sockudo#17, #77): frames that came with the request were dropped with its buffer.
            assert_eq!(&bytes[cut + parsed.consumed..], frames);
            assert_eq!(accept(&parsed.head, &options).unwrap().protocol.as_deref(), Some("b"));
        }
    }

    /// Attack 7 (CVE-2024-37890): each header that must be there is missed by name.
    #[test]
    fn what_must_be_there_is_missed() {
        for (line, error) in [
            ("Host: server.example.com\r\n", HandshakeError::Missing("Host")),
            ("Upgrade: websocket\r\n", HandshakeError::Upgrade),
            ("Connection: keep-alive, Upgrade\r\n", HandshakeError::Connection),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", HandshakeError::Missing("Sec-WebSocket-Key")),
            ("Sec-WebSocket-Version: 13\r\n", HandshakeError::Version),
        ] {
            assert_eq!(fault(&but(line, "")), error);
        }
    }

    #[test]
    fn what_is_there_must_be_right() {
        for (old, new, error, status) in [
            ("GET", "POST", HandshakeError::Method, 405),
            ("GET", "get", HandshakeError::Method, 405),
            ("HTTP/1.1", "HTTP/1.0", HandshakeError::HttpVersion, 505),
            ("Upgrade: websocket", "Upgrade: h2c", HandshakeError::Upgrade, 426),
            ("Upgrade: websocket", "Upgrade: websockets", HandshakeError::Upgrade, 426),
            ("keep-alive, Upgrade", "keep-alive", HandshakeError::Connection, 400),
            ("Version: 13", "Version: 8", HandshakeError::Version, 426),
            ("Version: 13", "Version: 13, 8", HandshakeError::Version, 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", HandshakeError::Key, 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", HandshakeError::Key, 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSBsb25n", HandshakeError::Key, 400),
            ("server.example.com", "", HandshakeError::Host, 400),
            ("server.example.com", "user@server.example.com", HandshakeError::Host, 400),
            ("server.example.com", "a, b", HandshakeError::Host, 400),
        ] {
            assert_eq!(fault(&but(old, new)), error, "{new}");
            assert_eq!(error.status(), status, "{new}");
        }
        for (old, new) in [("websocket", "h2c, WebSocket"), ("keep-alive, Upgrade", "uPgRaDe")] {
            conversation(&but(old, new), &ServerOptions::default()).expect(new);
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let headers = |request: &str| conversation(request, &ServerOptions::default()).unwrap_err().headers().clone();
        assert_eq!(headers(&but("GET", "PUT"))["allow"], "GET");
        assert_eq!(headers(&but("Upgrade: websocket\r\n", ""))["upgrade"], "websocket");
        assert_eq!(headers(&but("Version: 13", "Version: 7"))["sec-websocket-version"], "13");
    }

    /// Attack 19 (sockudo#82, #83): what proxy and server read differently smuggles a request past the proxy.
    #[test]
    fn ambiguous_requests_are_refused() {
        for name in ["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
            let line = REQUEST.lines().find(|line| line.starts_with(name)).expect("in the example");
            assert_eq!(fault(&with(&format!("{line}\r\n"))), HandshakeError::Duplicate(name));
        }
        for origin in ["http://server.example.com", "http://other.example"] {
            let twice = with(&format!("Origin: http://server.example.com\r\nOrigin: {origin}\r\n"));
            assert_eq!(fault(&twice), HandshakeError::Duplicate("Origin"));
        }
        for body in [
            "Content-Length: 5",
            "Content-Length: +0",
            "Content-Length: 0, 5",
            "Content-Length: 0\r\nContent-Length: 5",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
        ] {
            assert_eq!(fault(&with(&format!("{body}\r\n"))), HandshakeError::Body, "{body}");
        }
        conversation(&with("Content-Length: 0\r\n"), &ServerOptions::default()).expect("no body");
    }

    /// Attack 18 (GHSA-c4j6-fc7j-m34r), for requests that another parser read.
    #[test]
    fn a_target_that_names_a_host_is_refused() {
        for uri in ["http://169.254.169.254/latest", "internal:80", "*"] {
            let mut request = receive(&with("")).unwrap();
            *request.uri_mut() = uri.parse().unwrap();
            let rejection = accept(&request, &ServerOptions::default()).expect_err(uri);
            assert_eq!(rejection.error(), Some(HandshakeError::Target), "{uri}");
        }
    }

    /// Attack 15 (GO-2026-4310 and its like), through the whole handshake.
    #[test]
    fn a_strangers_page_is_refused_by_default() {
        assert_eq!(fault(&with("Origin: https://evil.example\r\n")), HandshakeError::Origin);
        conversation(&with("Origin: https://server.example.com\r\n"), &ServerOptions::default()).expect("same origin");
        let open = ServerOptions { origins: Origins::Any, ..ServerOptions::default() };
        conversation(&with("Origin: https://evil.example\r\n"), &open).expect("any origin");
    }

    #[test]
    fn a_subprotocol_is_chosen_of_those_offered() {
        let chosen = |protocols: Protocols, headers: &str| {
            let options = ServerOptions { protocols, ..ServerOptions::default() };
            let accepted = conversation(&with(headers), &options).expect(headers);
            let answered = accepted.response.headers().get("sec-websocket-protocol");
            assert_eq!(answered.map(|value| value.to_str().unwrap()), accepted.protocol.as_deref());
            accepted.protocol
        };
        let preference = || Protocols::Preference(vec!["v2".into(), "v1".into()]);
        let two_lines = "Sec-WebSocket-Protocol: v0 ,v1\r\nSec-WebSocket-Protocol: ,v2\r\n";
        assert_eq!(chosen(preference(), two_lines).as_deref(), Some("v2"), "the server's order counts");
        assert_eq!(chosen(preference(), "Sec-WebSocket-Protocol: V2\r\n"), None, "names keep their case");
        assert_eq!(chosen(preference(), ""), None);
        assert_eq!(chosen(Protocols::None, two_lines), None);

        let choose = Protocols::Choose(Arc::new(|offer| {
            assert_eq!((offer.uri.path(), offer.protocols), ("/chat", &["v0", "v1", "v2"][..]));
            offer.headers.get("x-want").and_then(|want| want.to_str().ok()).map(str::to_owned)
        }));
        assert_eq!(chosen(choose.clone(), two_lines), None);
        assert_eq!(chosen(choose.clone(), &format!("{two_lines}X-Want: v1\r\n")).as_deref(), Some("v1"));
        assert_eq!(chosen(choose.clone(), &format!("{two_lines}X-Want: v9\r\n")), None, "v9 was not offered");
        assert_eq!(chosen(choose, "X-Want: v9\r\n"), None, "not asked without an offer");
    }

    #[test]
    fn subprotocols_are_tokens_and_unique() {
        for list in ["v1, v1", "v1\r\nSec-WebSocket-Protocol: v1", "a b", "a;b", "\"a\"", "a/b", "\u{e9}"] {
            let request = with(&format!("Sec-WebSocket-Protocol: {list}\r\n"));
            assert_eq!(fault(&request), HandshakeError::Protocols, "{list}");
        }
    }

    #[test]
    fn extra_headers_and_extensions_are_in_the_answer() {
        let mut headers = ExtraHeaders::default();
        for cookie in ["a=1", "b=2"] {
            headers.append(::http::header::SET_COOKIE, HeaderValue::from_static(cookie)).unwrap();
        }
        let options = ServerOptions { headers, deflate: Some(DeflateConfig::default()), ..ServerOptions::default() };
        let offer = with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
        let accepted = conversation(&offer, &options).unwrap();
        let answer = accepted.response.headers();
        assert_eq!(answer.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(answer["sec-websocket-extensions"], expected);
        assert!(accepted.deflate.is_some_and(|params| params.server_no_context_takeover));

        // uWebSockets.js#76: an empty Sec-WebSocket-Extensions header breaks Safari.
        for request in [with(""), with("Sec-WebSocket-Extensions: x-other\r\n")] {
            let accepted = conversation(&request, &options).unwrap();
            assert_eq!(accepted.response.headers().get("sec-websocket-extensions"), None);
            assert_eq!(accepted.deflate, None);
        }
        let off = conversation(&offer, &ServerOptions::default()).unwrap();
        assert_eq!(off.response.headers().get("sec-websocket-extensions"), None);
        assert_eq!(fault(&with("Sec-WebSocket-Extensions: a;;b\r\n")), HandshakeError::Extensions);
    }

    /// Attack 5 (CVE-2023-43669): the time limit is for the whole head, however slowly it drips.
    #[test]
    fn the_deadline_does_not_move() {
        let start = Instant::now();
        let limits = Limits { timeout: Duration::from_secs(10), ..Limits::default() };
        let mut handshake = ServerHandshake::new(&limits, start);
        let deadline = start + Duration::from_secs(10);
        for byte in REQUEST.as_bytes() {
            assert!(handshake.receive(&[*byte]).unwrap().is_none());
            assert_eq!(handshake.poll_timeout(), Some(deadline));
        }
        handshake.handle_timeout(deadline - Duration::from_millis(1)).expect("not yet");
        let late = handshake.handle_timeout(deadline).expect_err("now");
        assert_eq!((late.status(), late.error()), (StatusCode::REQUEST_TIMEOUT, Some(HandshakeError::TimedOut)));
    }
}
