//! The settings of an engine.

use std::time::Duration;

use switchboard_io_proto::engine;
use switchboard_ws::{Admission, Config as WsConfig, DeflateConfig, OutboxLimits, PerAddress};

use super::answer::Answer;
use super::client_files::ClientFiles;
use super::compression::HttpCompression;
use super::cookie::Cookie;
use super::cors::Cors;
use super::hooks::Hooks;

/// Settings of an [`Engine`](crate::engine::Engine). The defaults are those of Node's engine.io, but for the limits
/// that Node does not have.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where it is served, without a slash at the end. Default: `/engine.io`. Everything below it is answered as well.
    pub path: String,
    /// The path ends with a slash, and is not answered without. Default: yes.
    pub add_trailing_slash: bool,
    /// Heartbeat, upgrades, transports, the largest payload. What waits for a poll is bounded by `outbox`; the bounds
    /// of queues in here are not used.
    pub session: engine::Config,
    /// What may wait for one client, and what happens beyond. Default: 16,384 messages, 4 MiB, close. Node has no
    /// bound, and between two polls a client is sent whatever the application has for it, however fast it reads.
    pub outbox: OutboxLimits,
    /// How long the body of a POST may take, from the request's head to its last byte. Default: 30 seconds, in which a
    /// body of the largest size comes over 300 kbit/s. Longer: 408, and the session ends, as in Node, where it is 300
    /// seconds.
    pub body_timeout: Duration,
    /// How many sessions there may be. Default: `None`, as many as come. Beyond: 503. Whoever asks for one has its
    /// place before the [hooks](Self::hooks) are asked.
    pub max_sessions: Option<usize>,
    /// How many of them one address may have, by the address that a [`Handshake`](super::Handshake::peer) tells: those
    /// without one are not counted. One connection can open any number of sessions by polling, so a limit on
    /// connections is none on these. Default: [`PerAddress::Unlimited`], as behind a proxy all clients have its
    /// address. Beyond: 429.
    pub sessions_per_address: PerAddress,
    /// How many connections there may be where the engine [serves](crate::engine::Engine::serve) a listener by itself,
    /// in all and from one address. Default: `None`, as many as come. Beyond: 503 or 429.
    pub admission: Option<Admission>,
    /// What pages of other origins may do. Default: `None`, nothing; see [`Cors`].
    pub cors: Option<Cors>,
    /// A cookie with the session's id. Default: `None`.
    pub cookie: Option<Cookie>,
    /// Compression of answers to polls. Default: gzip and deflate from 1,024 bytes.
    pub http_compression: Option<HttpCompression>,
    /// permessage-deflate for WebSockets. Default: `None`, off, as in Node.
    pub per_message_deflate: Option<DeflateConfig>,
    /// What WebSockets are made from: with the settings of another endpoint they are counted and closed with its own.
    /// Limits, origins, outbox and hub are the engine's; where no subprotocol is set, the first that a client offers is
    /// answered, as in Node. Default: an endpoint for themselves.
    pub websockets: WsConfig,
    /// The client's own files, answered for below the path (Node: `serveClient`). Default: `None`, as if there were no
    /// such path.
    pub client_files: Option<ClientFiles>,
    /// The application's say in requests. Default: none.
    pub hooks: Hooks,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: "/engine.io".into(),
            add_trailing_slash: true,
            session: engine::Config::default(),
            outbox: OutboxLimits { messages: 16_384, bytes: 4 << 20, ..OutboxLimits::default() },
            body_timeout: Duration::from_secs(30),
            max_sessions: None,
            sessions_per_address: PerAddress::Unlimited,
            admission: None,
            cors: None,
            cookie: None,
            http_compression: Some(HttpCompression::default()),
            per_message_deflate: None,
            websockets: WsConfig::default(),
            client_files: None,
            hooks: Hooks::default(),
        }
    }
}

impl EngineConfig {
    /// The answer to a request for one of the client's own files.
    pub(crate) fn file(&self, request: &http::request::Parts) -> Option<Answer> {
        let name = request.uri.path().strip_prefix(self.path.trim_end_matches('/'))?.strip_prefix('/')?;
        self.client_files.as_ref()?.answer(name, &request.method, &request.headers)
    }

    /// Whether a request for this path is the engine's.
    pub(crate) fn owns(&self, path: &str) -> bool {
        match path.strip_prefix(self.path.trim_end_matches('/')) {
            Some("") => !self.add_trailing_slash,
            Some(rest) => rest.starts_with('/'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_whole() {
        let config = EngineConfig::default();
        assert!(config.owns("/engine.io/") && config.owns("/engine.io/more"));
        assert!(!config.owns("/engine.io") && !config.owns("/engine.iox/") && !config.owns("/"));
        let config = EngineConfig { add_trailing_slash: false, path: "/a/".into(), ..config };
        assert!(config.owns("/a") && config.owns("/a/"));
        assert!(!config.owns("/ab"));
    }
}
