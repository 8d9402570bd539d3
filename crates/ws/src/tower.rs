//! A tower service whose every request is a WebSocket; as a layer, it leaves ordinary HTTP to the service inside, on
//! the same port.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body_util::Full;
use switchboard_ws_proto::handshake::Rejection;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::Config;
use crate::handler::Handler;
use crate::info::Info;
use crate::socket::Socket;
use crate::upgrade::{Upgrade, log_failure, upgrade};
use switchboard_ws_proto::handshake::is_upgrade;

/// A [`Service`] that opens a WebSocket with whoever asks for one properly, and refuses everybody else: 426 for a plain
/// GET, 403 for a stranger's page, and so on. Connections run in tasks of their own. Always ready; clones share
/// everything.
///
/// It is also a [`Layer`]: then only requests with `Upgrade: websocket` are answered here, on every path, and the
/// others go to the service inside.
///
/// What [`upgrade()`](crate::upgrade()) needs of the server that runs it goes for this as well.
///
/// ```no_run
/// use hyper::server::conn::http1;
/// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
/// use switchboard_ws::{Config, UpgradeService};
///
/// # async fn example() -> std::io::Result<()> {
/// let service = UpgradeService::new(Config::default(), async |mut socket| {
///     while let Ok(Some(message)) = socket.recv().await {
///         if socket.send(message).await.is_err() {
///             break;
///         }
///     }
/// });
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     stream.set_nodelay(true)?;
///     let service = TowerToHyperService::new(service.clone());
///     tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct UpgradeService {
    config: Config,
    start: Arc<dyn Fn(Upgrade) -> Result<(), Rejection> + Send + Sync>,
}

impl UpgradeService {
    /// Runs a function on each socket, in a task of its own. A panic in it ends that connection alone, with 1011, and
    /// is logged.
    pub fn new<F, Fut>(config: Config, run: F) -> Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let run = Arc::new(run);
        let start = move |upgrade: Upgrade| {
            let run = Arc::clone(&run);
            upgrade.spawn(move |socket| run(socket));
            Ok(())
        };
        Self { config, start: Arc::new(start) }
    }

    /// Runs a handler on each connection. `make` is called before the client is answered; a panic in it refuses that
    /// client with 500.
    pub fn handler<H: Handler>(config: Config, make: impl Fn(&Info) -> H + Send + Sync + 'static) -> Self {
        Self { config, start: Arc::new(move |upgrade| upgrade.serve_or(&make, |error| log_failure(&error))) }
    }

    fn answer<B, R: From<Bytes>>(&self, request: &mut Request<B>) -> Response<R> {
        let answered = upgrade(request, &self.config).and_then(|(response, upgrade)| {
            (self.start)(upgrade)?;
            Ok(response)
        });
        answered.unwrap_or_else(Rejection::into_response).map(R::from)
    }
}

impl fmt::Debug for UpgradeService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeService").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for UpgradeService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&mut request)))
    }
}

impl<S> Layer<S> for UpgradeService {
    type Service = UpgradeOr<S>;

    fn layer(&self, inner: S) -> UpgradeOr<S> {
        UpgradeOr { upgrades: self.clone(), inner }
    }
}

/// A service for ordinary HTTP with an [`UpgradeService`] before it.
#[derive(Debug, Clone)]
pub struct UpgradeOr<S> {
    upgrades: UpgradeService,
    inner: S,
}

impl<B, R, S> Service<Request<B>> for UpgradeOr<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<R>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if is_upgrade(request.headers()) {
            Either::Left(ready(Ok(self.upgrades.answer(&mut request))))
        } else {
            Either::Right(self.inner.call(request))
        }
    }
}
