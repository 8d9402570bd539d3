//! The extractor of axum. The request's form is checked when it is extracted; everything that the configuration decides
//! is decided when the upgrade is spent, so that a route can have a configuration of its own.

use std::fmt;
use std::future::Future;
use std::mem;

use ::axum::body::Body;
use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::response::{IntoResponse, Response};
use http::Request;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;
use switchboard_ws_proto::handshake::{self, Origins, Protocols, Rejection, ServerOptions};

use crate::config::Config;
use crate::handler::Handler;
use crate::info::{Info, PeerAddr};
use crate::refusal::AcceptError;
use crate::socket::Socket;
use crate::upgrade::{Asked, Upgrade, log_failure, refuse};
use switchboard_ws_proto::handshake::is_upgrade;

/// A client that waits for its WebSocket, as an extractor of axum. Returned is what
/// [`on_upgrade`](Self::on_upgrade) or [`serve`](Self::serve) makes of it.
///
/// Its configuration is the [`Config`] in the request's extensions (put there by axum's `Extension(config)` as a
/// layer), else the default; [`config`](Self::config) overrides it. Connections whose configurations are clones of one
/// are counted together, and closed together by [`Config::connections`].
///
/// Routes take it by `any` or `get`; as `Option<WebSocketUpgrade>` it is `None` where no WebSocket is asked for, so
/// that one path can have both. The peer's address is known when the app is served with `ConnectInfo<SocketAddr>`, or
/// has [`PeerAddr`] in its extensions. `axum::serve` needs to be asked for `TCP_NODELAY`, as below.
///
/// ```no_run
/// use axum::{Extension, Router, extract::Path, response::Response, routing::{any, get}, serve::ListenerExt};
/// use switchboard_ws::{Config, Socket, WebSocketUpgrade};
///
/// async fn chat(Path(room): Path<String>, upgrade: WebSocketUpgrade) -> Response {
///     upgrade.protocols(["v1"]).on_upgrade(|socket| run(socket, room))
/// }
///
/// async fn run(mut socket: Socket, room: String) {
///     if socket.send(format!("welcome to {room}")).await.is_err() {
///         return;
///     }
///     while let Ok(Some(message)) = socket.recv().await {
///         println!("{room}: {message:?}");
///     }
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let app = Router::new()
///     .route("/", get("an ordinary page"))
///     .route("/chat/{room}", any(chat))
///     .layer(Extension(Config::default()));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?.tap_io(|stream| {
///     let _ = stream.set_nodelay(true);
/// });
/// axum::serve(listener, app).await
/// # }
/// ```
#[must_use = "the client waits for the response that `on_upgrade` or `serve` makes"]
pub struct WebSocketUpgrade {
    asked: Asked,
    config: Config,
    protocols: Option<Protocols>,
    on_failed: Box<dyn FnOnce(AcceptError) + Send>,
}

impl WebSocketUpgrade {
    /// Sets the configuration: limits, origins, compression, outbox and all.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the subprotocols that are spoken, best first; of those that the client offers too, the first is chosen.
    /// They stand in place of the configuration's.
    pub fn protocols<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.protocols = Some(Protocols::Preference(names.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets the peer's address, for apps that know it better than the request's extensions do.
    pub fn peer(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.asked.set_peer(peer.into());
        self
    }

    /// Sets what is done when the client was answered with 101, but the connection never came about:
    /// [`AcceptError::Disconnected`] or [`AcceptError::Io`], see [`Upgrade::socket`]. Default: it is logged. A client
    /// that is refused is not reported here, but by the response.
    pub fn on_failed(mut self, failed: impl FnOnce(AcceptError) + Send + 'static) -> Self {
        self.on_failed = Box::new(failed);
        self
    }

    /// The subprotocols that the client offers, in its order.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &str> {
        let values = self.asked.request().headers().get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
        // That they are tokens was checked when the request was extracted.
        let names = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        names.map(str::trim_ascii).filter(|name| !name.is_empty())
    }

    /// Answers the client, and runs a function on the socket in a task of its own. A panic in it ends this connection
    /// alone, with 1011, and is logged.
    ///
    /// The response is the 101, or the refusal by the configuration: 403 for a foreign origin, 400 for extensions that
    /// make no sense, 500 when the server cannot hand the connection over. Headers may be added to it.
    #[must_use = "the client waits for this response"]
    pub fn on_upgrade<F, Fut>(self, run: F) -> Response
    where
        F: FnOnce(Socket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.spend(|upgrade, on_failed| {
            upgrade.spawn_or(run, on_failed);
            Ok(())
        })
    }

    /// Answers the client, and runs a handler on the connection in a task of its own. `make` is called before the
    /// client is answered; a panic in it refuses the client with 500. See [`on_upgrade`](Self::on_upgrade) for the
    /// response.
    #[must_use = "the client waits for this response"]
    pub fn serve<H: Handler>(self, make: impl FnOnce(&Info) -> H) -> Response {
        self.spend(|upgrade, on_failed| upgrade.serve_or(make, on_failed))
    }

    fn spend(
        self,
        start: impl FnOnce(Upgrade, Box<dyn FnOnce(AcceptError) + Send>) -> Result<(), Rejection>,
    ) -> Response {
        let Self { asked, mut config, protocols, on_failed } = self;
        if let Some(protocols) = protocols {
            let options = ServerOptions { protocols, ..config.get_handshake().clone() };
            config = config.handshake(options);
        }
        let answered = asked.answer(&config).and_then(|(response, upgrade)| {
            start(upgrade, on_failed)?;
            Ok(response.map(|()| Body::empty()))
        });
        answered.unwrap_or_else(|rejection| UpgradeRejection(rejection).into_response())
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = UpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, UpgradeRejection> {
        let config = parts.extensions.get::<Config>().cloned().unwrap_or_default();
        let asked = take(parts);
        // Which origins may connect is not known before the application has had its say.
        let any = ServerOptions { origins: Origins::Any, ..ServerOptions::default() };
        if let Err(rejection) = handshake::accept(asked.request(), &any) {
            return Err(refuse(rejection, &config).into());
        }
        Ok(Self { asked, config, protocols: None, on_failed: Box::new(|error| log_failure(&error)) })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for WebSocketUpgrade {
    type Rejection = UpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, UpgradeRejection> {
        if !is_upgrade(&parts.headers) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// Why a request is no proper one for a WebSocket. As a response it has the status, the headers and the sentence of the
/// [`Rejection`] in it: 400, 405 with Allow, 426 with `Sec-WebSocket-Version`, or 505.
#[derive(Debug, Clone)]
pub struct UpgradeRejection(pub Rejection);

impl From<Rejection> for UpgradeRejection {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl IntoResponse for UpgradeRejection {
    fn into_response(self) -> Response {
        self.0.into_response().map(Body::from)
    }
}

impl fmt::Display for UpgradeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AcceptError::Rejected(self.0.clone()).fmt(f)
    }
}

impl std::error::Error for UpgradeRejection {}

/// [`Asked::take`] for a request without its body.
fn take(parts: &mut Parts) -> Asked {
    let (empty, ()) = Request::new(()).into_parts();
    let mut request = Request::from_parts(mem::replace(parts, empty), ());
    let asked = Asked::take(&mut request);
    (*parts, ()) = request.into_parts();
    asked
}
