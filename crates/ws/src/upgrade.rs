//! Upgrades inside hyper 1: hyper reads the request, we judge it, and hyper hands its transport over once it has
//! written our 101. Frames that came right behind the request are handed over with it.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use switchboard_ws_proto::Role;
use switchboard_ws_proto::handshake::Rejection;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::accept::judge;
use crate::config::Config;
use crate::driver::Io;
use crate::error::Outcome;
use crate::handler::Handler;
use crate::info::{Info, PeerAddr};
use crate::opened::{Begun, Opened};
use crate::refusal::{AcceptError, internal_error};
use crate::socket::Socket;

/// Answers a request for a WebSocket that hyper has read: the 101 to return, and the connection that it will become.
/// The request is judged by the same rules as everywhere, [origins](crate::ServerOptions::origins) and bodies included.
///
/// The response has whatever body the service uses, empty. hyper must serve the connection `with_upgrades()`, as
/// `axum::serve` does. The peer's address is taken from the request's extensions ([`PeerAddr::of`]); see also
/// [`Upgrade::peer`].
///
/// hyper's listener is the application's: `set_nodelay(true)` on its TCP streams, or small messages may wait for each
/// other's acknowledgement.
///
/// # Errors
/// The refusal to answer with, by [`Rejection::into_response`]; it is counted in the configuration's metrics. 500 when
/// the request has no transport to hand over, because something else took it.
///
/// ```no_run
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::{Request, Response, server::conn::http1, service::service_fn};
/// use hyper_util::rt::TokioIo;
/// use switchboard_ws::{Config, Socket, is_upgrade, upgrade};
///
/// async fn echo(mut socket: Socket) {
///     while let Ok(Some(message)) = socket.recv().await {
///         if socket.send(message).await.is_err() {
///             break;
///         }
///     }
/// }
///
/// fn answer(mut request: Request<Incoming>, config: &Config) -> Response<Full<Bytes>> {
///     if !is_upgrade(request.headers()) {
///         return Response::new("an ordinary page".into());
///     }
///     match upgrade(&mut request, config) {
///         Ok((response, upgrade)) => {
///             upgrade.spawn(echo);
///             response
///         }
///         Err(rejection) => rejection.into_response().map(Full::new),
///     }
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let config = Config::default();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     stream.set_nodelay(true)?;
///     let config = config.clone();
///     let service = service_fn(move |request| {
///         let response = answer(request, &config);
///         async move { Ok::<_, std::convert::Infallible>(response) }
///     });
///     tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
/// }
/// # }
/// ```
pub fn upgrade<B, R: Default>(request: &mut Request<B>, config: &Config) -> Result<(Response<R>, Upgrade), Rejection> {
    let (response, upgrade) = Asked::take(request).answer(config)?;
    Ok((response.map(|()| R::default()), upgrade))
}

/// A connection that will be open when hyper has sent the 101.
///
/// Dropped, the client sees 101 and then the end of the connection.
#[must_use = "the client is told that the connection is open"]
pub struct Upgrade {
    transport: OnUpgrade,
    info: Info,
    config: Config,
}

impl Upgrade {
    /// Sets the peer's address, for whoever knows it better than the request's extensions do.
    pub fn peer(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.info.set_peer(peer.into());
        self
    }

    /// What the opening handshake agreed on: the request, subprotocol and compression.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Waits for the transport and opens the connection in the stream style. To be awaited in a task of its own: the
    /// transport comes only after the response was returned to hyper.
    ///
    /// # Errors
    /// [`AcceptError::Disconnected`] when the client went away first; [`AcceptError::Io`] when the 101 was not taken
    /// within the [handshake's time limit](crate::HandshakeLimits::timeout), or hyper serves without upgrades.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub async fn socket(self) -> Result<Socket, AcceptError> {
        let Self { transport, info, config } = self;
        // What the client sent behind its request is in there.
        let io = TokioIo::new(arrival(transport, &config).await?);
        Ok(Opened { io, role: Role::Server, info, config, leftover: Vec::new() }.socket())
    }

    /// Tells the handler at once that the connection is open, and gives a future that waits for the transport, then
    /// runs the handler on the connection to its end. To be called before the response is returned to hyper, if what
    /// [`on_open`](Handler::on_open) does is to be done before the client knows; to be awaited in a task of its own, as
    /// [`socket`](Self::socket).
    ///
    /// # Errors
    /// As `socket`; [`on_close`](Handler::on_close) is called then, too.
    ///
    /// # Cancel safety
    /// Dropped, the connection is cut without a Close frame.
    pub fn serve<H: Handler>(self, handler: H) -> impl Future<Output = Result<Outcome, AcceptError>> + Send + use<H> {
        let Self { transport, info, config } = self;
        let mut begun = Begun::new(info, &config, handler);
        begun.open();
        async move {
            let io = TokioIo::new(arrival(transport, &config).await?);
            Ok(begun.serve(io, Vec::new()).await)
        }
    }

    /// Runs a handler on the connection without the caller: on a shard, where hyper was given a plain socket, else in a
    /// task of its own. [`on_open`](Handler::on_open) is called at once, before the client knows. When the transport
    /// never comes, that is logged, and [`on_close`](Handler::on_close) is called.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_handler<H: Handler>(self, handler: H) {
        self.spawn_handler_or(handler, |error| log_failure(&error));
    }

    /// [`spawn_handler`](Self::spawn_handler) for a handler that is to know of nothing before its connection has its
    /// driver: [`on_open`](Handler::on_open) is called a moment after the client was sent the 101, or never. What it
    /// [joins](crate::Context::join) is then reached the shortest way.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_handler_late<H: Handler>(self, handler: H) {
        let Self { transport, info, config } = self;
        let begun = Begun::new(info, &config, Box::new(handler) as Box<dyn Handler>);
        spawn(transport, begun, config, |error| log_failure(&error));
    }

    fn spawn_handler_or<H: Handler>(self, handler: H, failed: impl FnOnce(AcceptError) + Send + 'static) {
        let Self { transport, info, config } = self;
        let mut begun = Begun::new(info, &config, Box::new(handler) as Box<dyn Handler>);
        begun.open();
        spawn(transport, begun, config, failed);
    }

    /// Runs a function on the socket in a task of its own. A panic in it ends this connection alone, with 1011, and is
    /// logged; so is a transport that never comes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<F, Fut>(self, run: F)
    where
        F: FnOnce(Socket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.spawn_or(run, |error| log_failure(&error));
    }

    /// [`spawn`](Self::spawn), which tells somebody when the transport never comes.
    pub(crate) fn spawn_or<F, Fut>(self, run: F, failed: impl FnOnce(AcceptError) + Send + 'static)
    where
        F: FnOnce(Socket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            match self.socket().await {
                Ok(socket) => run_guarded(socket, run).await,
                Err(error) => failed(error),
            }
        });
    }

    /// Makes a handler and runs it in a task of its own. The handler is made before the client is answered, so that a
    /// panic can still be told as what it is.
    #[cfg(any(feature = "tower", feature = "axum"))]
    pub(crate) fn serve_or<H: Handler>(
        self,
        make: impl FnOnce(&Info) -> H,
        failed: impl FnOnce(AcceptError) + Send + 'static,
    ) -> Result<(), Rejection> {
        let Ok(handler) = std::panic::catch_unwind(AssertUnwindSafe(|| make(&self.info))) else {
            tracing::error!(peer = %self.info.peer(), "making a handler panicked; its client is refused with 500");
            return Err(refuse(internal_error(), &self.config));
        };
        self.spawn_handler_or(handler, failed);
        Ok(())
    }
}

/// Waits until hyper has sent the 101.
async fn arrival(transport: OnUpgrade, config: &Config) -> Result<Upgraded, AcceptError> {
    let failure = match timeout(config.get_handshake().limits.timeout, transport).await {
        Ok(Ok(upgraded)) => return Ok(upgraded),
        Ok(Err(error)) if error.is_canceled() => AcceptError::Disconnected,
        Ok(Err(error)) => AcceptError::Io(io::Error::other(error)),
        Err(_) => AcceptError::Io(io::ErrorKind::TimedOut.into()),
    };
    Err(failure.counted(config))
}

/// Has a connection driven as soon as it has its transport: by a shard if that can be taken back out of hyper and is a
/// plain socket.
fn spawn(
    transport: OnUpgrade,
    begun: Begun<Box<dyn Handler>>,
    config: Config,
    failed: impl FnOnce(AcceptError) + Send + 'static,
) {
    tokio::spawn(async move {
        match arrival(transport, &config).await.map(recover) {
            Ok(Ok((io, read))) => drive(begun, io, read.to_vec()),
            Ok(Err(upgraded)) => drive(begun, TokioIo::new(upgraded), Vec::new()),
            Err(error) => failed(error),
        }
    });
}

fn drive<S: Io>(begun: Begun<Box<dyn Handler>>, io: S, leftover: Vec<u8>) {
    #[cfg(unix)]
    let Some((begun, io, _, leftover)) = begun.into_shard(io, Vec::new(), leftover) else { return };
    tokio::spawn(begun.serve(io, leftover));
}

/// The transport that hyper was given, with what hyper has read ahead of it: known are the kinds that hyper itself is
/// usually given, and `axum::serve`.
fn recover(upgraded: Upgraded) -> Result<(Box<dyn Io>, Bytes), Upgraded> {
    let upgraded = match recover_as::<TcpStream>(upgraded) {
        Ok(recovered) => return Ok(recovered),
        Err(upgraded) => upgraded,
    };
    let upgraded = match recover_as::<UnixStream>(upgraded) {
        Ok(recovered) => return Ok(recovered),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<Box<dyn Io>>>()?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

fn recover_as<T: Io>(upgraded: Upgraded) -> Result<(Box<dyn Io>, Bytes), Upgraded> {
    match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => Ok((Box::new(parts.io.into_inner()), parts.read_buf)),
        // What tells HTTP/1 and HTTP/2 apart wraps it once more.
        Err(upgraded) => auto::upgrade::downcast::<TokioIo<T>>(upgraded)
            .map(|parts| -> (Box<dyn Io>, Bytes) { (Box::new(parts.io.into_inner()), parts.read_buf) }),
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What a client asked for, and the transport that hyper holds back for it, if it does. Not judged yet.
#[derive(Debug)]
pub(crate) struct Asked {
    request: Request<()>,
    peer: PeerAddr,
    transport: Option<OnUpgrade>,
}

impl Asked {
    /// Takes the transport out of a request; the rest stays for the application.
    pub(crate) fn take<B>(request: &mut Request<B>) -> Self {
        let mut copy = Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        // A nested router cuts the path; what counts is what the client asked for.
        #[cfg(feature = "axum")]
        if let Some(original) = request.extensions().get::<::axum::extract::OriginalUri>() {
            copy.uri_mut().clone_from(&original.0);
        }
        let peer = PeerAddr::of(request.extensions());
        Self { request: copy, peer, transport: request.extensions_mut().remove() }
    }

    /// Answers the client by this configuration.
    pub(crate) fn answer(self, config: &Config) -> Result<(Response<()>, Upgrade), Rejection> {
        let Self { request, peer, transport } = self;
        let (response, info) = judge(request, peer, config).map_err(|rejection| refuse(rejection, config))?;
        let Some(transport) = transport else {
            tracing::error!(%peer, "a request for a WebSocket has no transport to hand over");
            return Err(refuse(internal_error(), config));
        };
        Ok((response, Upgrade { transport, info, config: config.clone() }))
    }

    #[cfg(feature = "axum")]
    pub(crate) fn request(&self) -> &Request<()> {
        &self.request
    }

    #[cfg(feature = "axum")]
    pub(crate) fn set_peer(&mut self, peer: PeerAddr) {
        self.peer = peer;
    }
}

/// Logs why a connection was announced and never opened.
pub(crate) fn log_failure(error: &AcceptError) {
    tracing::debug!(%error, "no connection was opened");
}

/// Runs user code on a socket.
async fn run_guarded<F, Fut>(socket: Socket, run: F)
where
    F: FnOnce(Socket) -> Fut,
    Fut: Future<Output = ()>,
{
    let peer = socket.info().peer();
    // The block drops what it awaits while the panic unwinds, and by that the socket knows that it is to say 1011.
    let running = async move { run(socket).await };
    // Nothing that the panic may have left half-done is looked at afterwards.
    if AssertUnwindSafe(running).catch_unwind().await.is_err() {
        tracing::error!(%peer, "the task of a connection panicked; it ends with 1011");
    }
}

/// Counts a refusal.
pub(crate) fn refuse(rejection: Rejection, config: &Config) -> Rejection {
    match AcceptError::Rejected(rejection).counted(config) {
        AcceptError::Rejected(rejection) => rejection,
        other => unreachable!("{other}"),
    }
}
