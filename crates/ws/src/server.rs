//! The simple server: a listener whose every connection is a WebSocket. Paths, pages and other routes are an HTTP
//! framework's affair: see `hyper` and `axum`.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::net::{TcpListener, ToSocketAddrs, UnixListener};
#[cfg(unix)]
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::accept::Pending;
use crate::admission::{Admission, Admitted, NoRoom};
use crate::config::Config;
use crate::driver::Io;
#[cfg(unix)]
use crate::gate::{Gate, GatedListener as Listener, PAUSE, Pass, Visitor};
use crate::handler::{Handler, Held};
use crate::info::PeerAddr;
use crate::refusal::{AcceptError, admit, internal_error, refuse};
use crate::socket::Socket;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

/// So many clients may be in the middle of their handshakes; further ones wait in the kernel's queue, or are refused.
pub(crate) const MAX_HANDSHAKES: usize = 16 << 10;

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
    admission: Option<Admission>,
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

    /// Serves `wss://` in place of `ws://`. What that keeps for clients counts in the endpoint's
    /// [budget](Config::budget).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls.budget(self.config.get_budget().clone()));
        self
    }

    /// Sets how many connections there may be, in all and from one address; those in their opening handshakes count.
    /// Further ones are told so with 503 or 429, or closed without a word where TLS is on. Default: as many as come.
    #[must_use]
    pub fn admission(mut self, admission: Admission) -> Self {
        self.admission = Some(admission);
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
                    Ok((stream, peer)) => if let Some((stream, admitted)) = self.admit(stream, peer) {
                        self.handshakes.spawn(self.open(stream, peer, admitted));
                    },
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
                    let Some((stream, admitted)) = self.admit(stream, peer) else { continue };
                    let pending = self.pending(stream, peer);
                    let make = Arc::clone(&make);
                    tokio::spawn(async move {
                        let served = async {
                            let pending = pending.await?;
                            let made = catch_unwind(AssertUnwindSafe(|| make(pending.request())));
                            drop(permit);
                            match made {
                                Ok(handler) => pending.spawn(Held::new(handler, admitted)).await,
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
        let Self { listener, config, admission, .. } = self;
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let gate = Arc::new(OpenGate { make, config: config.clone(), admission, handshakes });
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
            admission: None,
            handshakes: JoinSet::new(),
        }
    }

    /// The client's transport, and its place where places are counted; `None` when there is none, and it is being told.
    fn admit(&self, stream: Stream, peer: PeerAddr) -> Option<(Stream, Option<Admitted>)> {
        match self.admission.as_ref().map(|admission| admission.admit(peer)).transpose() {
            Ok(admitted) => Some((stream, admitted)),
            Err(no_room) => {
                self.turn_away(stream, no_room);
                None
            }
        }
    }

    fn turn_away(&self, stream: Stream, no_room: NoRoom) {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            // To tell it would take a handshake, which costs more than the client is owed.
            return self.config.get_metrics().refuse(no_room.name());
        }
        self.config.turn_away(stream, no_room);
    }

    fn open(
        &self,
        stream: Stream,
        peer: PeerAddr,
        admitted: Option<Admitted>,
    ) -> impl Future<Output = Result<Socket, AcceptError>> + use<> {
        let pending = self.pending(stream, peer);
        async move { pending.await?.accept_holding(admitted).await }
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
    admission: Option<Admission>,
    handshakes: Arc<Semaphore>,
}

/// What a client is let in by: a place among the handshakes, and one for as long as it stays.
#[cfg(unix)]
type Entry = (OwnedSemaphorePermit, Option<Admitted>);

#[cfg(unix)]
impl<H: Handler, F: Fn(&http::Request<()>) -> H + Send + Sync + 'static> Gate for OpenGate<F> {
    fn admit(&self, peer: PeerAddr) -> Result<Pass, NoRoom> {
        if !self.config.get_budget().admit() {
            return Err(NoRoom::Memory);
        }
        let permit = Arc::clone(&self.handshakes).try_acquire_owned().map_err(|_| NoRoom::Handshakes)?;
        let admitted = self.admission.as_ref().map(|admission| admission.admit(peer)).transpose()?;
        Ok(Box::<Entry>::new((permit, admitted)))
    }

    fn open(&self, request: &http::Request<()>, _: PeerAddr, pass: Pass) -> Result<Box<dyn Handler>, Pass> {
        let (_, admitted) = *pass.downcast::<Entry>()?;
        let handler = (self.make)(request);
        Ok(match admitted {
            Some(admitted) => Box::new(Held::new(handler, admitted)),
            None => Box::new(handler),
        })
    }

    fn visit(&self, visitor: Visitor) {
        let config = self.config.clone();
        self.config.in_background(async move {
            let peer = visitor.peer;
            let error = visitor.refuse(&config).await;
            tracing::debug!(%peer, %error, "no connection was opened");
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
