//! `Sec-WebSocket-Extensions` (RFC 6455 §9.1): its grammar, and the negotiation of permessage-deflate (RFC 7692 §7).
//!
//! The cursor only moves forward and keeps nothing, so that a header of any shape costs its length and no more.

use std::borrow::Cow;
use std::fmt::Write;

use ::http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

use super::error::HandshakeError;
use super::headers::{is_token, is_token_byte};
use crate::deflate::{DeflateConfig, DeflateParams, WindowBits};

const DEFLATE: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// Answers the offers in a client's headers: the first acceptable offer of permessage-deflate wins, and with it come
/// the parameters and the value of the response's header. Other extensions are passed over, and an offer with a
/// parameter that is unknown, double or out of range is declined, which is no fault ("a server MUST decline an
/// extension negotiation offer", RFC 7692 §7). `None` is no compression, and no header: an empty one breaks clients.
///
/// With no `config` nothing is agreed on, and the grammar is still checked.
///
/// # Errors
/// [`HandshakeError::Extensions`] when the header breaks its grammar: "the recipient of such malformed data MUST
/// immediately _Fail the WebSocket Connection_" (RFC 6455 §9.1).
pub fn negotiate(
    request: &HeaderMap,
    config: Option<&DeflateConfig>,
) -> Result<Option<(DeflateParams, HeaderValue)>, HandshakeError> {
    let mut first = None;
    let mut open = Element::Other;
    let mut close = |element: Element| {
        if let Element::Deflate(offer) = element {
            first.get_or_insert(offer);
        }
    };
    parse(request, |piece| match piece {
        Piece::Extension(name) => close(std::mem::replace(&mut open, Element::named(name))),
        Piece::Param(name, value) => open.take(name, value.as_deref()),
    })?;
    close(open);
    Ok(first.zip(config).map(|(offer, config)| agree(&offer, config)))
}

/// The value of the header with which a client offers permessage-deflate.
///
/// `client_max_window_bits` is always in it: without it a server has no say in how much it must keep for us.
#[must_use]
pub fn offer(config: &DeflateConfig) -> HeaderValue {
    let own = config.own_max_window_bits;
    Params {
        server_no_context_takeover: !config.peer_context_takeover,
        client_no_context_takeover: !config.own_context_takeover,
        server_max_window_bits: Window::below_max(config.peer_max_window_bits),
        client_max_window_bits: if own < WindowBits::MAX { Window::Bits(own) } else { Window::Bare },
    }
    .to_header()
}

/// Checks a server's answer to [`offer`] with the same config (`None`: nothing was offered).
///
/// A server that leaves out `server_no_context_takeover` or `server_max_window_bits`, though we asked, is taken at its
/// word: the result says that it uses its context, or the full window, and inflating either needs memory, not consent.
///
/// # Errors
/// [`HandshakeError::Extensions`] for the grammar, [`HandshakeError::UnofferedExtension`] for an extension that was not
/// offered or is there twice, [`HandshakeError::DeflateResponse`] for a parameter that is unknown, double, out of its
/// range or against the offer. "A client MUST _Fail the WebSocket Connection_" on each (RFC 7692 §7.1).
pub fn check_response(
    response: &HeaderMap,
    config: Option<&DeflateConfig>,
) -> Result<Option<DeflateParams>, HandshakeError> {
    let mut element = None;
    let mut unoffered = false;
    parse(response, |piece| match piece {
        Piece::Extension(name) => {
            unoffered |= config.is_none() || name != DEFLATE || element.is_some();
            element = Some(Element::named(name));
        }
        Piece::Param(name, value) => {
            if let Some(element) = &mut element {
                element.take(name, value.as_deref());
            }
        }
    })?;
    match (element, config) {
        _ if unoffered => Err(HandshakeError::UnofferedExtension),
        (Some(Element::Deflate(answer)), Some(config)) => check_answer(&answer, config).map(Some),
        (Some(_), _) => Err(HandshakeError::DeflateResponse),
        (None, _) => Ok(None),
    }
}

/// What a server makes of an acceptable offer (RFC 7692 §7.1.1 and §7.1.2): never more than the client can do, and the
/// smaller of what either side wants.
fn agree(offer: &Params, config: &DeflateConfig) -> (DeflateParams, HeaderValue) {
    let server_bits = offer.server_max_window_bits.bits().min(config.own_max_window_bits);
    // "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
    // corresponding extension negotiation response to the offer MUST NOT include" it (§7.1.2.2).
    let client_bits = match offer.client_max_window_bits {
        Window::Absent => WindowBits::MAX,
        asked => asked.bits().min(config.peer_max_window_bits),
    };
    let answer = Params {
        server_no_context_takeover: offer.server_no_context_takeover || !config.own_context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover || !config.peer_context_takeover,
        // An offer of this parameter is accepted by answering it "with the same or smaller value as the offer"
        // (§7.1.2.1), so also when it says no more than an absent one would.
        server_max_window_bits: match offer.server_max_window_bits {
            Window::Absent => Window::below_max(server_bits),
            _ => Window::Bits(server_bits),
        },
        client_max_window_bits: Window::below_max(client_bits),
    };
    (answer.to_agreed(), answer.to_header())
}

fn check_answer(answer: &Params, config: &DeflateConfig) -> Result<DeflateParams, HandshakeError> {
    let asked_of_server = Window::below_max(config.peer_max_window_bits).bits();
    let too_wide = matches!(answer.server_max_window_bits, Window::Bits(bits) if bits > asked_of_server)
        || matches!(answer.client_max_window_bits, Window::Bits(bits) if bits > config.own_max_window_bits);
    // In a response the parameter must have a value (§7.1.2.2); only an offer may have it bare.
    if too_wide || answer.client_max_window_bits == Window::Bare {
        return Err(HandshakeError::DeflateResponse);
    }
    let agreed = answer.to_agreed();
    Ok(DeflateParams {
        // What we said that we would do, we do, whether or not the server repeats it.
        client_no_context_takeover: agreed.client_no_context_takeover || !config.own_context_takeover,
        client_max_window_bits: agreed.client_max_window_bits.min(config.own_max_window_bits),
        ..agreed
    })
}

/// One extension of a list, as far as it was read.
enum Element {
    Deflate(Params),
    /// permessage-deflate with a parameter that must not be.
    BrokenDeflate,
    Other,
}

impl Element {
    fn named(name: &str) -> Self {
        if name == DEFLATE { Self::Deflate(Params::default()) } else { Self::Other }
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        if let Self::Deflate(params) = self
            && params.take(name, value).is_none()
        {
            *self = Self::BrokenDeflate;
        }
    }
}

/// The parameters as they are written, in an offer or in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Window,
    client_max_window_bits: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Window {
    #[default]
    Absent,
    /// Without a value: "I understand this parameter".
    Bare,
    Bits(WindowBits),
}

impl Window {
    fn below_max(bits: WindowBits) -> Self {
        if bits < WindowBits::MAX { Self::Bits(bits) } else { Self::Absent }
    }

    fn bits(self) -> WindowBits {
        if let Self::Bits(bits) = self { bits } else { WindowBits::MAX }
    }
}

impl Params {
    /// Takes one parameter; `None` when it is unknown, has a wrong value or was there before.
    fn take(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        let flag = value.is_none().then_some(true);
        match name {
            SERVER_NO_CONTEXT_TAKEOVER => first_time(&mut self.server_no_context_takeover, flag?),
            CLIENT_NO_CONTEXT_TAKEOVER => first_time(&mut self.client_no_context_takeover, flag?),
            SERVER_MAX_WINDOW_BITS => first_time(&mut self.server_max_window_bits, Window::Bits(parse_bits(value?)?)),
            CLIENT_MAX_WINDOW_BITS => {
                let window = match value {
                    Some(value) => Window::Bits(parse_bits(value)?),
                    None => Window::Bare,
                };
                first_time(&mut self.client_max_window_bits, window)
            }
            _ => None,
        }
    }

    /// What an answer with these parameters means.
    fn to_agreed(self) -> DeflateParams {
        DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.bits(),
            client_max_window_bits: self.client_max_window_bits.bits(),
        }
    }

    fn to_header(self) -> HeaderValue {
        let mut text = String::from(DEFLATE);
        for (flag, name) in [
            (self.server_no_context_takeover, SERVER_NO_CONTEXT_TAKEOVER),
            (self.client_no_context_takeover, CLIENT_NO_CONTEXT_TAKEOVER),
        ] {
            if flag {
                let _ = write!(text, "; {name}");
            }
        }
        for (window, name) in [
            (self.server_max_window_bits, SERVER_MAX_WINDOW_BITS),
            (self.client_max_window_bits, CLIENT_MAX_WINDOW_BITS),
        ] {
            let _ = match window {
                Window::Absent => Ok(()),
                Window::Bare => write!(text, "; {name}"),
                Window::Bits(bits) => write!(text, "; {name}={}", bits.get()),
            };
        }
        HeaderValue::try_from(text).expect("tokens and digits are a header value")
    }
}

fn first_time<T: Default + PartialEq>(slot: &mut T, value: T) -> Option<()> {
    (std::mem::replace(slot, value) == T::default()).then_some(())
}

/// "A decimal integer value without leading zeroes between 8 to 15, inclusive" (RFC 7692 §7.1.2).
fn parse_bits(value: &str) -> Option<WindowBits> {
    WindowBits::new(value.parse().ok()?).filter(|bits| bits.get().to_string() == value)
}

/// What the header is made of, in order.
enum Piece<'h> {
    Extension(&'h str),
    /// A parameter of the last extension. A quoted value is unquoted.
    Param(&'h str, Option<Cow<'h, str>>),
}

/// Reads all lines of the header as one list.
fn parse<'h>(headers: &'h HeaderMap, mut visit: impl FnMut(Piece<'h>)) -> Result<(), HandshakeError> {
    for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        Cursor::new(value.as_bytes()).list(&mut visit)?;
    }
    Ok(())
}

struct Cursor<'h> {
    rest: &'h [u8],
    #[cfg(test)]
    steps: usize,
}

impl<'h> Cursor<'h> {
    fn new(rest: &'h [u8]) -> Self {
        Self {
            rest,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// `extension-list = 1#extension`, where an element may be empty (RFC 9110 §5.6.1.2).
    fn list(&mut self, visit: &mut impl FnMut(Piece<'h>)) -> Result<(), HandshakeError> {
        loop {
            self.skip_space();
            if !self.eat(b',') {
                if self.rest.is_empty() {
                    return Ok(());
                }
                self.extension(visit)?;
                if !self.rest.is_empty() && !self.eat(b',') {
                    return Err(HandshakeError::Extensions);
                }
            }
        }
    }

    /// `extension = extension-token *( ";" extension-param )`
    fn extension(&mut self, visit: &mut impl FnMut(Piece<'h>)) -> Result<(), HandshakeError> {
        visit(Piece::Extension(self.token()?));
        self.skip_space();
        while self.eat(b';') {
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let mut value = None;
            if self.eat(b'=') {
                self.skip_space();
                value = Some(if self.eat(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()?) });
                self.skip_space();
            }
            visit(Piece::Param(name, value));
        }
        Ok(())
    }

    fn token(&mut self) -> Result<&'h str, HandshakeError> {
        let start = self.rest;
        while self.next_if(is_token_byte).is_some() {}
        let token = &start[..start.len() - self.rest.len()];
        match str::from_utf8(token) {
            Ok(token) if !token.is_empty() => Ok(token),
            _ => Err(HandshakeError::Extensions),
        }
    }

    /// The inside of a quoted string. "The value after quoted-string unescaping MUST conform to the 'token' ABNF"
    /// (RFC 6455 §9.1).
    fn quoted(&mut self) -> Result<Cow<'h, str>, HandshakeError> {
        let mut value = Vec::new();
        loop {
            match self.next_if(|_| true).ok_or(HandshakeError::Extensions)? {
                b'"' => break,
                b'\\' => value.push(self.next_if(|_| true).ok_or(HandshakeError::Extensions)?),
                byte => value.push(byte),
            }
        }
        if !is_token(&value) {
            return Err(HandshakeError::Extensions);
        }
        String::from_utf8(value).map(Cow::Owned).map_err(|_| HandshakeError::Extensions)
    }

    fn skip_space(&mut self) {
        while self.next_if(|byte| matches!(byte, b' ' | b'\t')).is_some() {}
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.next_if(|next| next == byte).is_some()
    }

    /// The only way forward; there is none back.
    fn next_if(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        let (&byte, rest) = self.rest.split_first()?;
        if wanted(byte) {
            self.rest = rest;
            return Some(byte);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).expect("a header value");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, value(line));
        }
        headers
    }

    fn bits(bits: u8) -> WindowBits {
        WindowBits::new(bits).expect("8 to 15")
    }

    /// Both sides keep their contexts and full windows: what is agreed on is what the peer asked.
    fn willing() -> DeflateConfig {
        DeflateConfig { own_context_takeover: true, peer_context_takeover: true, ..DeflateConfig::default() }
    }

    fn answer(config: &DeflateConfig, lines: &[&str]) -> Option<String> {
        let (params, header) = negotiate(&headers(lines), Some(config)).expect("the grammar is kept")?;
        let text = header.to_str().expect("visible ASCII").to_owned();
        // What we answer, a client of ours that offered everything takes, and understands as we do.
        let understood = check_response(&headers(&[&text]), Some(&willing()));
        assert_eq!(understood, Ok(Some(params)), "{text}");
        Some(text)
    }

    fn answered(config: &DeflateConfig, offer: &str) -> String {
        answer(config, &[offer]).unwrap_or_else(|| format!("{offer} was declined"))
    }

    #[test]
    fn each_parameter_is_granted() {
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
            ("permessage-deflate; client_max_window_bits=15", "permessage-deflate"),
            ("permessage-deflate;server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits = 8", "permessage-deflate; server_max_window_bits=8"),
            ("permessage-deflate; server_max_window_bits=\"1\\0\"", "permessage-deflate; server_max_window_bits=10"),
            ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
            ("permessage-deflate\t;\tclient_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
            (
                "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9; client_no_context_takeover; \
                 server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=9; client_max_window_bits=9",
            ),
        ] {
            assert_eq!(answered(&willing(), offer), expected, "{offer}");
        }
    }

    #[test]
    fn our_own_wishes_are_in_the_answer() {
        let offer = "permessage-deflate; client_max_window_bits";
        assert_eq!(
            answered(&DeflateConfig::default(), offer),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
        let narrow = DeflateConfig { own_max_window_bits: bits(9), peer_max_window_bits: bits(10), ..willing() };
        let both = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10";
        assert_eq!(answered(&narrow, offer), both);
        assert_eq!(
            answered(&narrow, "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8"),
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
            "the smaller wish wins"
        );
        assert_eq!(
            answered(&narrow, "permessage-deflate"),
            "permessage-deflate; server_max_window_bits=9",
            "client_max_window_bits is not answered to a client that did not offer it"
        );
    }

    /// Attack 11 (CVE-2026-2229) from a client: wrong parameters decline the offer that has them.
    #[test]
    fn the_first_acceptable_offer_wins() {
        for broken in [
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=1e1",
            "permessage-deflate; server_max_window_bits=18446744073709551624",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"true\"",
            "permessage-deflate; __proto__",
            "permessage-deflate; Server_no_context_takeover",
            "x-webkit-deflate-frame",
            "permessage-bzip2; constructor=1",
        ] {
            assert_eq!(answer(&willing(), &[broken]), None, "{broken}");
            let second = format!("{broken} , permessage-deflate; server_max_window_bits=12, permessage-deflate");
            let expected = Some("permessage-deflate; server_max_window_bits=12".to_owned());
            assert_eq!(answer(&willing(), &[&second]), expected, "{second}");
            assert_eq!(answer(&willing(), &[broken, "", "permessage-deflate;server_max_window_bits=12"]), expected);
        }
        assert_eq!(answer(&willing(), &[]), None);
        assert_eq!(answer(&willing(), &["", " , ,"]), None);
        assert_eq!(negotiate(&headers(&["permessage-deflate"]), None), Ok(None));
    }

    #[test]
    fn a_broken_grammar_fails_either_role() {
        for line in [
            ";",
            "=",
            "a b",
            "a;",
            "a;;b",
            "a; b=",
            "a; b=\"",
            "a; b=\"c",
            "a; b=\"\"",
            "a; b=\"c d\"",
            "a; b=\"c\\",
            "a; b=\"c\\\"",
            "a; b=\"c\"d",
            "a; b=c=d",
            "a; =c",
            "\"a\"",
            "a/b",
            "a; b c",
            "permessage-deflate; \u{e9}",
        ] {
            let list = format!("permessage-deflate, {line}");
            for lines in [&[line][..], &["permessage-deflate", line], &[&list]] {
                assert_eq!(negotiate(&headers(lines), Some(&willing())), Err(HandshakeError::Extensions), "{line}");
                assert_eq!(negotiate(&headers(lines), None), Err(HandshakeError::Extensions), "{line}");
                assert_eq!(check_response(&headers(lines), Some(&willing())), Err(HandshakeError::Extensions));
            }
        }
    }

    #[test]
    fn an_offer_says_what_we_want() {
        assert_eq!(offer(&willing()), "permessage-deflate; client_max_window_bits");
        let narrow =
            DeflateConfig { own_max_window_bits: bits(8), peer_max_window_bits: bits(12), ..DeflateConfig::default() };
        assert_eq!(
            offer(&narrow),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; \
             client_max_window_bits=8"
        );
    }

    #[test]
    fn an_answer_is_read() {
        let full = DeflateParams::default();
        let bare = &["permessage-deflate"];
        assert_eq!(check_response(&headers(&[]), Some(&willing())), Ok(None));
        assert_eq!(check_response(&headers(&[""]), Some(&willing())), Ok(None));
        assert_eq!(check_response(&headers(bare), Some(&willing())), Ok(Some(full)));
        let unasked = ["permessage-deflate; server_max_window_bits=9; client_max_window_bits=\"10\"; \
                        server_no_context_takeover"];
        let agreed = DeflateParams {
            server_no_context_takeover: true,
            server_max_window_bits: bits(9),
            client_max_window_bits: bits(10),
            ..full
        };
        assert_eq!(check_response(&headers(&unasked), Some(&willing())), Ok(Some(agreed)));

        let narrow =
            DeflateConfig { own_max_window_bits: bits(9), peer_max_window_bits: bits(9), ..DeflateConfig::default() };
        let agreed = DeflateParams { client_no_context_takeover: true, client_max_window_bits: bits(9), ..full };
        let told = "our own promises hold, and a server that says nothing of its own does as it likes";
        assert_eq!(check_response(&headers(bare), Some(&narrow)), Ok(Some(agreed)), "{told}");
    }

    /// Attack 11, CVE-2026-2229: a server's `server_max_window_bits` out of range reached zlib and threw.
    #[test]
    fn an_answer_that_does_not_fit_the_offer_fails() {
        let narrow = DeflateConfig { own_max_window_bits: bits(10), peer_max_window_bits: bits(10), ..willing() };
        for params in [
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=1000",
            "server_max_window_bits=-9",
            "server_max_window_bits=09",
            "server_max_window_bits=11",
            "client_max_window_bits",
            "client_max_window_bits=11",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
            "unknown",
            "server_max_window_bits=9; server_max_window_bits=9",
        ] {
            let line = format!("permessage-deflate; {params}");
            let checked = check_response(&headers(&[&line]), Some(&narrow));
            assert_eq!(checked, Err(HandshakeError::DeflateResponse), "{line}");
        }
        for (lines, config) in [
            (&["permessage-deflate"][..], None),
            (&["permessage-bzip2"], Some(&narrow)),
            (&["permessage-deflate, permessage-deflate"], Some(&narrow)),
            (&["permessage-deflate", "permessage-deflate; unknown"], Some(&narrow)),
            (&["permessage-deflate", "x"], Some(&narrow)),
        ] {
            assert_eq!(check_response(&headers(lines), config), Err(HandshakeError::UnofferedExtension), "{lines:?}");
        }
    }

    /// Attack 6 (CVE-2021-32640, CVE-2020-7662): headers that made a backtracking parser take minutes.
    #[test]
    fn work_is_linear_in_the_header() {
        let repeated: [(&str, &str, &str); 6] = [
            ("", " ", ""),
            ("", "a ", ""),
            ("a; b=\"", "\\\\", ""),
            ("a", ";b", ""),
            ("", "permessage-deflate;server_no_context_takeover,", ""),
            ("a; b=", "\"", "c"),
        ];
        for (before, piece, after) in repeated {
            for count in [100, 1_000, 10_000] {
                let line = format!("{before}{}{after}", piece.repeat(count));
                let mut cursor = Cursor::new(line.as_bytes());
                let _ = cursor.list(&mut |_| ());
                // A byte is tried by a handful of rules at most before one takes it.
                assert!(
                    cursor.steps <= 8 * line.len() + 8,
                    "{} steps, {} bytes of {piece:?}",
                    cursor.steps,
                    line.len()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_two_of_us_want_they_agree_on(client in config(), server in config()) {
            let mut request = HeaderMap::new();
            request.insert(SEC_WEBSOCKET_EXTENSIONS, offer(&client));
            let (agreed, header) = negotiate(&request, Some(&server)).expect("our own grammar").expect("accepted");
            let mut response = HeaderMap::new();
            response.insert(SEC_WEBSOCKET_EXTENSIONS, header);
            prop_assert_eq!(check_response(&response, Some(&client)), Ok(Some(agreed)));
            prop_assert!(agreed.server_max_window_bits <= client.peer_max_window_bits.min(server.own_max_window_bits));
            prop_assert!(agreed.client_max_window_bits <= client.own_max_window_bits.min(server.peer_max_window_bits));
            let (server_may, client_may) = (!agreed.server_no_context_takeover, !agreed.client_no_context_takeover);
            prop_assert_eq!(server_may, client.peer_context_takeover && server.own_context_takeover);
            prop_assert_eq!(client_may, client.own_context_takeover && server.peer_context_takeover);
        }

        #[test]
        fn any_header_is_read_or_refused(line in "[a-z;,=\"\\\\ ]{0,40}") {
            let mut cursor = Cursor::new(line.as_bytes());
            let read = cursor.list(&mut |_| ());
            prop_assert!(read.is_err() || cursor.rest.is_empty());
            prop_assert!(cursor.steps <= 8 * line.len() + 8);
        }
    }

    fn config() -> impl Strategy<Value = DeflateConfig> {
        (any::<[bool; 2]>(), 8u8..=15, 8u8..=15).prop_map(|([own, peer], own_bits, peer_bits)| DeflateConfig {
            own_context_takeover: own,
            peer_context_takeover: peer,
            own_max_window_bits: bits(own_bits),
            peer_max_window_bits: bits(peer_bits),
            ..DeflateConfig::default()
        })
    }
}
