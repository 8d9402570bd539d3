//! The Socket.IO server beside the rest: built from the flags, in the same hub as the rooms of plain WebSockets.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, ORIGIN};
use switchboard_io::engine::{AllowOrigin, ClientFiles, Cookie, Cors, Data, HttpCompression, SameSite, Transports};
use switchboard_io::{Builder, Limits, Namespace, Parser, RecoverySettings, SocketIo};
use switchboard_ws::{AdmissionLimits, Config, DeflateConfig, Hub, Origins, OutboxLimits, Overflow, PerAddress};

use crate::cli::Switch;
use crate::cli::socketio::{ParserName, SameSiteName, SocketIoFlags, TransportName};
use crate::error::{SettingsError, wrong};
use crate::plain::Plain;
use crate::{paths, relay};

/// What pages are told that ask for the client where there is none.
const NO_CLIENT: &str = "The Socket.IO client is not here. Get it with `npm install socket.io-client` and start the server \
                         with `--socketio-client-dir node_modules/socket.io-client/dist`.\n";

/// The Socket.IO server. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The server.
    pub server: SocketIo,
    /// Its main namespace, whose rooms are those of plain WebSockets.
    pub main: Namespace,
    /// The settings of its WebSockets where shards open them.
    pub websocket: Config,
    /// How plain WebSockets hear its events.
    pub plain: Plain,
    /// What the chat page is to know of it, as attributes of HTML.
    pub attributes: Arc<str>,
}

/// What the flags of the whole server say that is true of Socket.IO too.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The plain WebSockets', with the hub.
    pub websocket: &'a Config,
    /// The hub of the rooms.
    pub hub: &'a Hub,
    /// How many connections there may be, which is true of Socket.IO's sessions as well.
    pub admission: AdmissionLimits,
    /// How long a message of a plain WebSocket may be.
    pub max_message: usize,
    /// Whether it is served over TLS.
    pub tls: bool,
}

impl Sockets {
    /// Builds the server; `None` if it is not wanted.
    ///
    /// # Errors
    /// A flag that cannot be had its way.
    pub fn new(flags: &SocketIoFlags, around: &Surroundings<'_>) -> Result<Option<Self>, SettingsError> {
        if flags.no_socketio {
            return Ok(None);
        }
        let words = relay::Words::new(flags).map_err(|(flag, error)| wrong(flag, error))?;
        let plain = Plain::new(around.max_message);
        let server = builder(flags, around, plain.clone())?.state(Arc::clone(&words)).build();
        relay::serve(&server, words);
        let websocket = server.engine().ws_config(around.websocket);
        Ok(Some(Self { main: server.of("/"), websocket, plain, attributes: attributes(flags).into(), server }))
    }

    /// Where it is served.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.server.engine().config().path
    }
}

fn attributes(flags: &SocketIoFlags) -> String {
    let transports = transports(&flags.socketio_transports);
    let transports = [(transports.polling, "polling"), (transports.websocket, "websocket")];
    let transports: Vec<&str> = transports.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
    let settings = [
        ("path", &*flags.socketio_path),
        ("join", &flags.socketio_join_event),
        ("parser", if flags.socketio_parser == ParserName::Msgpack { "msgpack" } else { "default" }),
        ("transports", &transports.join(",")),
        ("recovery", if flags.socketio_recovery.0.is_some() { "on" } else { "off" }),
    ];
    let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let attributes: Vec<String> =
        settings.iter().map(|(name, value)| format!("data-{name}=\"{}\"", escape(value))).collect();
    attributes.join(" ")
}

fn builder(flags: &SocketIoFlags, around: &Surroundings<'_>, plain: Plain) -> Result<Builder, SettingsError> {
    let max_payload = flags.socketio_max_payload.0;
    let children = count(flags.socketio_max_child_namespaces);
    let mut limits = Limits::default();
    limits.attachments = flags.socketio_max_attachments.into();
    limits.depth = flags.socketio_max_depth;
    // One text, and its attachments, each as long as a message may be.
    limits.bytes = max_payload.saturating_mul(limits.attachments + 1);
    let mut builder = SocketIo::builder()
        .hub(around.hub.clone())
        .plain_form(move |event, args| plain.form(event, args))
        .websockets(around.websocket.clone())
        .max_clients(around.admission.connections)
        .clients_per_address(around.admission.per_address)
        .path(path(&flags.socketio_path)?)
        .add_trailing_slash(flags.socketio_add_trailing_slash == Switch::On)
        .client_files(client_files(flags)?)
        .transports(transports(&flags.socketio_transports))
        .allow_upgrades(flags.socketio_allow_upgrades == Switch::On)
        .allow_eio3(flags.socketio_allow_eio3 == Switch::On)
        .ping_interval(flags.socketio_ping_interval)
        .ping_timeout(flags.socketio_ping_timeout)
        .upgrade_timeout(flags.socketio_upgrade_timeout)
        .connect_timeout(flags.socketio_connect_timeout)
        .body_timeout(flags.socketio_body_timeout)
        .attachments_timeout(flags.socketio_attachments_timeout)
        .outbox(outbox(flags))
        .max_namespaces(flags.socketio_max_namespaces.into())
        .max_auth(flags.socketio_max_auth.0)
        .max_child_namespaces(children)
        .child_namespaces_per_address(a_tenth(around.admission.per_address, children))
        .in_flight(count(flags.socketio_in_flight))
        .outgoing_attachments(flags.socketio_max_attachments.into())
        .max_http_buffer_size(max_payload)
        .limits(limits)
        // Namespaces are what clients say they are.
        .cleanup_empty_child_namespaces(true)
        .http_compression(http_compression(flags))
        .parser(match flags.socketio_parser {
            ParserName::Json => Parser::Json,
            ParserName::Msgpack => Parser::Msgpack,
        });
    if let Some(cors) = cors(&around.websocket.get_handshake().origins) {
        builder = builder.cors(cors);
    }
    if let Some(away) = flags.socketio_recovery.0 {
        builder = builder.connection_state_recovery(recovery(flags, away));
    }
    if flags.socketio_compression == Switch::On {
        let threshold = flags.socketio_compression_threshold.0;
        builder = builder.per_message_deflate(DeflateConfig { threshold, ..DeflateConfig::default() });
    }
    if let Some(name) = &flags.socketio_cookie {
        builder = builder.cookie(cookie(name, flags, around.tls)?);
    }
    if let Some(text) = &flags.socketio_initial_packet {
        builder = builder.initial_packet(Data::Text(text.clone().into()));
    }
    Ok(builder)
}

/// Where an address may not have all connections, its clients may have made a tenth of all of something else.
fn a_tenth(connections: PerAddress, all: usize) -> PerAddress {
    let tenth = (all / 10).max(1);
    match connections {
        PerAddress::Unlimited => PerAddress::Unlimited,
        PerAddress::Public(_) => PerAddress::Public(tenth),
        PerAddress::Every(_) => PerAddress::Every(tenth),
    }
}

/// A number that a flag says, for which memory is the bound.
pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn outbox(flags: &SocketIoFlags) -> OutboxLimits {
    OutboxLimits {
        messages: count(flags.socketio_outbox_messages),
        bytes: flags.socketio_outbox_bytes.0,
        overflow: Overflow::Close,
    }
}

fn path(path: &str) -> Result<&str, SettingsError> {
    if !is_path(path) {
        return Err(wrong("--socketio-path", format!("`{}` is no path such as /socket.io", path.escape_debug())));
    }
    match paths::hidden_by(path) {
        None => Ok(path),
        Some(route) => {
            Err(wrong("--socketio-path", format!("`{path}` would hide `{route}`, which is this server's own")))
        }
    }
}

/// Whether browsers send it as it is written here: of the characters of RFC 3986 §3.3, `%` apart, and without segments
/// that are folded away (§5.2.4).
fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let mut segments = path.trim_end_matches('/').split('/');
    let is_whole = |segment: &str| !["", ".", ".."].contains(&segment);
    path.bytes().all(is_plain) && segments.next() == Some("") && path.starts_with('/') && segments.all(is_whole)
}

fn client_files(flags: &SocketIoFlags) -> Result<ClientFiles, SettingsError> {
    match &flags.socketio_client_dir {
        None => Ok(ClientFiles::missing(NO_CLIENT)),
        Some(folder) => ClientFiles::read(folder)
            .map_err(|error| wrong("--socketio-client-dir", format!("{}: {error}", folder.display()))),
    }
}

fn transports(names: &[TransportName]) -> Transports {
    let has = |name| names.contains(&name);
    Transports { polling: has(TransportName::Polling), websocket: has(TransportName::Websocket) }
}

fn http_compression(flags: &SocketIoFlags) -> Option<HttpCompression> {
    let threshold = flags.socketio_http_compression.0?;
    Some(HttpCompression { threshold, ..HttpCompression::default() })
}

fn recovery(flags: &SocketIoFlags, away: Duration) -> RecoverySettings {
    RecoverySettings {
        max_disconnection_duration: away,
        max_packets: count(flags.socketio_recovery_packets),
        max_bytes: flags.socketio_recovery_bytes.0,
        max_sessions: count(flags.socketio_recovery_clients),
        ..RecoverySettings::default()
    }
}

/// The rule for WebSockets, in the words of CORS. Sites that were named are trusted with cookies, as a WebSocket from
/// there brings them anyway.
fn cors(origins: &Origins) -> Option<Cors> {
    match origins {
        Origins::SameOrigin => None,
        Origins::Any => Some(Cors::default()),
        list @ Origins::List(_) => {
            let list = list.clone();
            let allows = move |origin: &str| {
                HeaderValue::from_str(origin)
                    .is_ok_and(|origin| list.check(&HeaderMap::from_iter([(ORIGIN, origin)])).is_ok())
            };
            Some(Cors { origin: AllowOrigin::predicate(allows), credentials: true, ..Cors::default() })
        }
    }
}

fn cookie(name: &str, flags: &SocketIoFlags, tls: bool) -> Result<Cookie, SettingsError> {
    // RFC 6265 §4.1.1: a cookie's name is a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(wrong("--socketio-cookie", format!("`{name}` is no name for a cookie, as `io` is")));
    }
    let path = &flags.socketio_cookie_path;
    // RFC 6265 §4.1.1: a path is "any CHAR except CTLs or ';'"; one that begins otherwise is not looked at (§5.2.4).
    if !path.starts_with('/') || path.contains(|c: char| c == ';' || !c.is_ascii() || c.is_ascii_control()) {
        return Err(wrong("--socketio-cookie-path", format!("`{path}` is no path for a cookie, as / is")));
    }
    let same_site = match flags.socketio_cookie_same_site {
        SameSiteName::Strict => SameSite::Strict,
        SameSiteName::Lax => SameSite::Lax,
        SameSiteName::None => SameSite::None,
    };
    Ok(Cookie {
        name: name.to_owned(),
        path: Some(path.clone()),
        secure: tls || same_site == SameSite::None,
        same_site: Some(same_site),
        ..Cookie::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_for_those_who_have_no_more_connections_than_others() {
        assert_eq!(a_tenth(PerAddress::Public(7), 40), PerAddress::Public(4));
        assert_eq!(a_tenth(PerAddress::Every(7), 9), PerAddress::Every(1));
        assert_eq!(a_tenth(PerAddress::Unlimited, 40), PerAddress::Unlimited);
    }
}
