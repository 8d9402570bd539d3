//! The simple server: a listener whose every connection is a WebSocket. Paths, pages and other routes are an HTTP
//! framework's affair: see `hyper` and `axum`.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::accept::Pending;
use crate::config::Config;
use crate::driver::Io;
#[cfg(unix)]
use crate::gate::{Gate, GatedListener as Listener, Pass, Visitor};
use crate::handler::Handler;
use crate::info::PeerAddr;
use crate::refusal::{AcceptError, admit, internal_error, refuse};
use crate::socket::Socket;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

/// So many clients may be in the middle of their handshakes; further ones wait in the kernel's queue, or are refused.
pub(crate) const MAX_HANDSHAKES: usize = 16 << 10;
/// So many are told at a time why they are refused; further ones are dropped.
pub(crate) const MAX_REFUSALS: usize = 1024;
/// A pause after the listener failed, out of descriptors for instance: retrying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener for WebSocket connections.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use switchboard_ws::{Config, Server};
///
/// let mut server = Server::bind("127.0.0.1:0", Config::default()).await?;
/// loop {
///     let mut socket = server.accept().await;
///     tokio::spawn(async move {
///         while let Ok(Some(message)) = socket.recv().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    config: Config,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    handshakes: JoinSet<Result<Socket, AcceptError>>,
}

impl Server {
    /// Listens on TCP.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    ///
    /// # Cancel safety
    /// Dropped, nothing is listened on.
    pub async fn bind(address: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        Ok(Self::new(Listener::Tcp(TcpListener::bind(address).await?), config))
    }

    /// Listens on a Unix socket.
    ///
    /// # Errors
    /// The path exists, or cannot be made.
    pub fn bind_unix(path: impl AsRef<std::path::Path>, config: Config) -> io::Result<Self> {
        Ok(Self::new(Listener::Unix(UnixListener::bind(path)?), config))
    }

    /// Serves `wss://` in place of `ws://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The address listened on, with the port that was found.
    ///
    /// # Errors
    /// A Unix socket has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next connection, its handshake done. Many clients may be in the middle of theirs at once; those who fail are
    /// logged and counted, and bother nobody.
    ///
    /// # Cancel safety
    /// Dropped, it loses nothing.
    pub async fn accept(&mut self) -> Socket {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(socket)) => return socket,
                    Ok(Err(error)) => tracing::debug!(%error, "no connection was opened"),
                    Err(error) => tracing::error!(%error, "a handshake was lost"),
                },
                accepted = self.listener.accept(), if self.handshakes.len() < MAX_HANDSHAKES => match accepted {
                    Ok((stream, peer)) => { self.handshakes.spawn(self.open(stream, peer)); }
                    Err(error) => {
                        tracing::warn!(%error, "the listener failed; trying again");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    /// Serves every connection by a handler of its own, until the future is dropped. `make` sees the request first.
    ///
    /// # Cancel safety
    /// Dropped, it stops listening; open connections go on. See [`Config::connections`] to close them.
    pub async fn serve<H: Handler>(self, make: impl Fn(&http::Request<()>) -> H + Send + Sync + 'static) {
        let make = Arc::new(make);
        #[cfg(unix)]
        let Some((this, make)) = self.serve_by_shards(make).await else { return };
        #[cfg(not(unix))]
        let this = self;
        this.serve_by_tasks(make).await;
    }

    /// For transports that no shard can drive.
    async fn serve_by_tasks<H: Handler>(self, make: Arc<impl Fn(&http::Request<()>) -> H + Send + Sync + 'static>) {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let pending = self.pending(stream, peer);
                    let make = Arc::clone(&make);
                    tokio::spawn(async move {
                        let served = async {
                            let pending = pending.await?;
                            let made = catch_unwind(AssertUnwindSafe(|| make(pending.request())));
                            drop(permit);
                            match made {
                                Ok(handler) => pending.spawn(handler).await,
                                Err(_) => {
                                    tracing::error!(%peer, "making a handler panicked; its client is refused with 500");
                                    pending.reject(internal_error()).await;
                                    Ok(())
                                }
                            }
                        };
                        if let Err(error) = served.await {
                            tracing::debug!(%peer, %error, "no connection was opened");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the listener failed; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves plain sockets, unless each is to have a task.
    #[cfg(unix)]
    async fn serve_by_shards<H: Handler, F>(self, make: Arc<F>) -> Option<(Self, Arc<F>)>
    where
        F: Fn(&http::Request<()>) -> H + Send + Sync + 'static,
    {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return Some((self, make));
        }
        if !self.config.uses_shards() {
            return Some((self, make));
        }
        let Self { listener, config, .. } = self;
        let gate = Arc::new(OpenGate {
            make,
            config: config.clone(),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        });
        if let Err(error) = config.serve_gate(listener, gate).await {
            tracing::error!(%error, "the listener was closed");
        }
        None
    }

    fn new(listener: Listener, config: Config) -> Self {
        Self {
            listener,
            config,
            #[cfg(feature = "tls")]
            tls: None,
            handshakes: JoinSet::new(),
        }
    }

    fn open(&self, stream: Stream, peer: PeerAddr) -> impl Future<Output = Result<Socket, AcceptError>> + use<> {
        let pending = self.pending(stream, peer);
        async move { pending.await?.accept().await }
    }

    /// Reads a client's request, through TLS if that is on.
    fn pending(
        &self,
        stream: Stream,
        peer: PeerAddr,
    ) -> impl Future<Output = Result<Pending<Stream>, AcceptError>> + use<> {
        let config = self.config.clone();
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        async move {
            if let Err(rejection) = admit(&config) {
                let error = AcceptError::Rejected(rejection);
                // Through TLS, to say so would cost more than the client is owed.
                #[cfg(feature = "tls")]
                if tls.is_some() {
                    return Err(error.counted(&config));
                }
                return Err(refuse(stream, error, &config).await);
            }
            #[cfg(feature = "tls")]
            let stream: Stream = match tls {
                Some(tls) => Box::new(tls.accept(stream, config.get_handshake().limits.timeout).await?),
                None => stream,
            };
            Pending::read(stream, peer, &config).await
        }
    }
}

/// Lets everyone in, and has nothing for those who want no WebSocket.
#[cfg(unix)]
struct OpenGate<F> {
    make: Arc<F>,
    config: Config,
    handshakes: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

#[cfg(unix)]
impl<H: Handler, F: Fn(&http::Request<()>) -> H + Send + Sync + 'static> Gate for OpenGate<F> {
    fn admit(&self, _: PeerAddr) -> Option<Pass> {
        if !self.config.get_budget().admit() {
            return None;
        }
        let permit = Arc::clone(&self.handshakes).try_acquire_owned().ok()?;
        Some(Box::new(permit))
    }

    fn open(&self, request: &http::Request<()>, _: PeerAddr, _: Pass) -> Result<Box<dyn Handler>, Pass> {
        Ok(Box::new((self.make)(request)))
    }

    fn visit(&self, visitor: Visitor) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            self.config.get_metrics().refuse("too_many_refusals");
            return;
        };
        let config = self.config.clone();
        tokio::spawn(async move {
            let peer = visitor.peer;
            let error = visitor.refuse(&config).await;
            tracing::debug!(%peer, %error, "no connection was opened");
            drop(permit);
        });
    }
}

type Stream = Box<dyn Io>;

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, PeerAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small messages should leave at once; they are gathered here, not in the kernel.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), peer.into()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), PeerAddr::Unix))
            }
        }
    }
}
