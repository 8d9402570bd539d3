//! Listeners and what is done with the connections that they accept: TLS, then HTTP/1.1. Clients that poll are served
//! without hyper; it is for everyone else, and for upgrades.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{Domain, Protocol, Socket, Type};
use switchboard_io::engine::Secure;
use switchboard_io::http1::{Connection, End, Foreign, Terms};
use switchboard_ws::{Admission, BudgetPart, Config, GatedListener, HttpIo, Io, NoRoom, Pass, PeerAddr, ServerTls};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tower_service::Service as _;

use crate::error::SettingsError;
use crate::hardening;
use crate::patience::Patience;
use crate::settings::{Address, Listen};

/// The port of the default address, and how many above it are tried when it is taken.
const PORT: u16 = 3000;
const PORTS: u16 = 100;
/// A pause after a listener failed, out of descriptors for instance.
const PAUSE: Duration = Duration::from_millis(100);
/// So many clients may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;
/// The most a request's head may have, in bytes. Bodies are read by Socket.IO alone.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// A bound listener, not yet watched by any runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(net::TcpListener),
    /// A Unix socket; its file is removed at the end.
    Unix(unix::UnixListener, SocketFile),
}

/// The file of a Unix socket, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that is gone already is what we want.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds what the settings want, once for each worker where several can have the same address. `Ok`'s second half:
/// something that the operator should be told.
///
/// # Errors
/// An address that cannot be had.
pub fn bind(listen: &Listen, workers: usize) -> Result<(Vec<Vec<Listener>>, Option<String>), SettingsError> {
    let (first, note) = match listen {
        Listen::At(addresses) => {
            let bound = addresses.iter().map(|address| bind_one(address, workers)).collect::<Result<_, _>>();
            (bound?, None)
        }
        Listen::Anywhere => bind_next_free(workers)?,
    };
    let mut sets = vec![first];
    for _ in 1..workers {
        let set = sets[0].iter().filter_map(Listener::another).collect::<io::Result<_>>();
        sets.push(set.map_err(|error| SettingsError(format!("cannot listen once more for another worker: {error}")))?);
    }
    Ok((sets, note))
}

fn bind_next_free(workers: usize) -> Result<(Vec<Listener>, Option<String>), SettingsError> {
    for port in PORT..PORT + PORTS {
        match bind_tcp((Ipv4Addr::LOCALHOST, port).into(), workers) {
            Ok(listener) => {
                let note = (port != PORT).then(|| format!("Port {PORT} is taken; using {port}, the next one free."));
                return Ok((vec![Listener::Tcp(listener)], note));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(SettingsError(format!("cannot listen on 127.0.0.1:{port}: {error}"))),
        }
    }
    Err(SettingsError(format!("the ports {PORT} to {} are all taken; name one with --listen", PORT + PORTS - 1)))
}

fn bind_one(address: &Address, workers: usize) -> Result<Listener, SettingsError> {
    let result = match address {
        Address::Tcp(tcp) => bind_tcp(*tcp, workers).map(Listener::Tcp),
        Address::Unix(path) => bind_unix(path),
    };
    result.map_err(|error| SettingsError(format!("cannot listen on {address}: {error}")))
}

/// With several workers the port is shared, but only among them: another process that shares it too, an older server of
/// ours for instance, must not go unnoticed. So it is first asked for as one's own.
fn bind_tcp(address: SocketAddr, workers: usize) -> io::Result<net::TcpListener> {
    let own = tcp_socket(address, false)?;
    if workers == 1 {
        own.listen(BACKLOG)?;
        return Ok(own.into());
    }
    let found = own.local_addr()?.as_socket().unwrap_or(address);
    drop(own);
    let shared = tcp_socket(found, true)?;
    shared.listen(BACKLOG)?;
    Ok(shared.into())
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a server that has just ended do not keep the next one from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket file that nobody answers on is what a server that was killed has left behind: it is replaced.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let listener = match unix::UnixListener::bind(path) {
        // A file of another kind refuses connections too, and is not ours to remove.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_socket(path) => {
            match unix::UnixStream::connect(path) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                _ => return Err(error),
            }
            unix::UnixListener::bind(path)
        }
        result => result,
    }?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// The address, with the port that was found.
    ///
    /// # Errors
    /// The kernel does not know.
    pub fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Self::Unix(_, file) => Address::Unix(file.0.clone()),
        })
    }

    /// One more at the same address. The kernel shares clients out among those of a TCP port; of a Unix socket there is
    /// only one.
    fn another(&self) -> Option<io::Result<Self>> {
        let Self::Tcp(listener) = self else { return None };
        let another = listener.local_addr().and_then(|address| {
            let socket = tcp_socket(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(Self::Tcp(socket.into()))
        });
        Some(another)
    }

    /// Watched by the caller's runtime; and the file to remove at the end.
    ///
    /// # Errors
    /// The runtime will not have it.
    pub fn into_gated(self) -> io::Result<(GatedListener, Option<SocketFile>)> {
        Ok(match self {
            Self::Tcp(listener) => (GatedListener::Tcp(TcpListener::from_std(listener)?), None),
            Self::Unix(listener, file) => (GatedListener::Unix(UnixListener::from_std(listener)?), Some(file)),
        })
    }
}

/// What every connection is served with.
#[derive(Debug, Clone)]
pub struct Service {
    /// The routes.
    pub router: Router,
    /// How clients of Socket.IO are served that poll, if it is on. It holds a clone of `stopping`, too.
    pub polling: Option<Arc<Terms>>,
    /// Whether shards accept, and hand over only those who want no WebSocket.
    pub gated: bool,
    /// TLS, where it is on.
    pub tls: Option<ServerTls>,
    /// How many connections there may be.
    pub admission: Admission,
    /// How long clients may take.
    pub patience: Patience,
    /// The endpoint that all clients are counted with, and in whose budget what is held for them counts.
    pub endpoint: Config,
    /// Becomes true when no further requests are to be taken. Each connection holds a clone until it has ended or
    /// become a WebSocket.
    pub stopping: watch::Receiver<bool>,
}

/// A client that is to be served by HTTP.
pub struct Visit {
    /// Its transport.
    pub io: Box<dyn Io>,
    /// What was read of it already.
    pub read: Vec<u8>,
    /// Where it is.
    pub peer: PeerAddr,
    /// What admitted it.
    pub pass: Pass,
}

impl Service {
    /// Serves a client by HTTP in a task of its own.
    pub fn visit(&self, visit: Visit) {
        tokio::spawn(connection(visit, self.clone()));
    }

    /// Lets a client in, if there is a place and memory for it.
    ///
    /// # Errors
    /// There is none.
    pub fn admit(&self, peer: PeerAddr) -> Result<Pass, NoRoom> {
        if !self.endpoint.get_budget().admit() {
            return Err(NoRoom::Memory);
        }
        Ok(Box::new(self.admission.admit(peer)?))
    }

    fn turn_away(&self, io: Box<dyn Io>, no_room: NoRoom) {
        if self.tls.is_some() {
            // To tell it would take a handshake, which costs more than the client is owed.
            return self.endpoint.get_metrics().refuse(no_room.name());
        }
        self.endpoint.turn_away(io, no_room);
    }
}

/// Accepts and serves by HTTP until the future is dropped; connections that were accepted go on.
pub async fn serve(listener: Listener, service: Service) {
    let (listener, _file) = match listener.into_gated() {
        Ok(watched) => watched,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched, and was closed"),
    };
    loop {
        match accept(&listener).await {
            Ok((io, peer)) => match service.admit(peer) {
                Ok(pass) => service.visit(Visit { io, read: Vec::new(), peer, pass }),
                Err(no_room) => service.turn_away(io, no_room),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &GatedListener) -> io::Result<(Box<dyn Io>, PeerAddr)> {
    match listener {
        GatedListener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream), peer.into()))
        }
        GatedListener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok((Box::new(stream), PeerAddr::Unix))
        }
    }
}

/// Serves a client. No `async fn`: that would keep what it was given beside what it made of that.
fn connection(visit: Visit, service: Service) -> impl Future<Output = ()> + Send {
    let peer = visit.peer;
    // What is large is in boxes of its own: a client that polls does without it for nearly all of its time.
    let begun = Box::pin(begin(visit, service.clone()));
    async move {
        let served = match begun.await {
            Ok(Begun::Polls(mut polls)) => match polls.serve().await {
                Ok(End::Closed) => Ok(()),
                Ok(End::TooSlow) => {
                    service.endpoint.get_metrics().refuse("head_timeout");
                    Ok(())
                }
                Ok(End::Foreign) => Box::pin(by_hyper(polls.into_io(), peer, service)).await,
                Err(error) => Err(counted(error, &service.endpoint)),
            },
            Ok(Begun::Other(io)) => Box::pin(by_hyper(*io, peer, service)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "a connection failed before or between requests");
        }
    }
}

/// A client that can be talked to.
enum Begun {
    /// It may poll, for all that is known.
    Polls(Box<Connection>),
    /// Nobody polls here.
    Other(Box<HttpIo>),
}

async fn begin(visit: Visit, service: Service) -> io::Result<Begun> {
    let Service { polling, tls, endpoint, patience, .. } = service;
    let Visit { io, read, peer, pass } = visit;
    let io: Box<dyn Io> = match tls {
        Some(tls) => match tls.accept(io, patience.handshake).await {
            Ok(io) => Box::new(io),
            Err(error) => {
                let is_short = error.kind() == io::ErrorKind::OutOfMemory;
                endpoint.get_metrics().refuse(if is_short { NoRoom::Memory.name() } else { "tls" });
                return Err(error);
            }
        },
        None => io,
    };
    let mut io = HttpIo::new(io, read, Some(pass), Some(patience.write));
    let Some(terms) = polling else {
        io.ready().await?;
        return Ok(Begun::Other(Box::new(io)));
    };
    let hold = endpoint.get_budget().hold(BudgetPart::Connections);
    Ok(Begun::Polls(Box::new(Connection::new(io, hold, peer, terms))))
}

/// Counts a client that has not taken its answer.
fn counted(error: io::Error, endpoint: &Config) -> io::Error {
    if HttpIo::has_timed_out(&error) {
        endpoint.get_metrics().refuse("write_timeout");
    }
    error
}

async fn by_hyper(io: HttpIo, peer: PeerAddr, service: Service) -> io::Result<()> {
    let Service { router, tls, stopping, endpoint, patience, .. } = service;
    let metrics = endpoint.get_metrics();
    let foreign = Foreign {
        peer,
        secure: Secure(tls.is_some()),
        head_timeout: patience.request,
        max_head: MAX_HEAD,
        headers: hardening::add,
        stopping: Some(stopping),
        metrics: Arc::clone(metrics),
        hold: endpoint.get_budget().hold(BudgetPart::Connections),
    };
    foreign.serve(io, |request| router.clone().call(request)).await.map_err(|error| {
        if HttpIo::has_timed_out(&error) {
            metrics.refuse("write_timeout");
        } else if error.is_timeout() {
            metrics.refuse("head_timeout");
        } else if error.is_parse() {
            metrics.refuse("bad_head");
        }
        io::Error::other(error)
    })
}
