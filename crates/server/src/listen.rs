//! Listeners and what is done with the connections that they accept: TLS, then HTTP/1.1 with upgrades.

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use switchboard_io::engine::Secure;
use switchboard_ws::{GatedListener, Io, Metrics, Pass, PeerAddr, Rejection, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::settings::{Address, Listen, SettingsError};
use crate::{framed, hardening};

/// The port of the default address, and how many above it are tried when it is taken.
const PORT: u16 = 3000;
const PORTS: u16 = 100;
/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the TLS handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// So many clients are told at a time that there is no room for them, and how long that may take; further ones are
/// dropped.
const TURNED_AWAY: usize = 64;
const TURNING_AWAY: Duration = Duration::from_secs(2);
/// So much of what they go on sending is read and forgotten.
const TURNED_AWAY_BYTES: u64 = 64 << 10;
/// A pause after a listener failed, out of descriptors for instance.
const PAUSE: Duration = Duration::from_millis(100);
/// So many clients may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;
/// The most a request's head may have, in bytes. Bodies are not read at all.
const MAX_HEAD: usize = 16 << 10;

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
    /// Whether shards accept, and hand over only those who want no WebSocket.
    pub gated: bool,
    /// TLS, where it is on.
    pub tls: Option<ServerTls>,
    /// A permit for each connection that may be open.
    pub permits: Arc<Semaphore>,
    /// One for each client that may be told at a time that there is no room for it.
    pub turning_away: Arc<Semaphore>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
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
    /// Its permit.
    pub pass: Option<Pass>,
}

impl Service {
    /// Serves a client in a task of its own.
    pub fn visit(&self, visit: Visit) {
        let service = self.clone();
        tokio::spawn(async move {
            let peer = visit.peer;
            if let Err(error) = connection(visit, service).await {
                tracing::debug!(%peer, %error, "a connection failed before or between requests");
            }
        });
    }

    /// Tells a client that there is no room for it, in a task of its own, unless too many are being told already.
    pub fn turn_away(&self, io: Box<dyn Io>) {
        if let Ok(permit) = Arc::clone(&self.turning_away).try_acquire_owned() {
            tokio::spawn(turn_away(io, self.tls.is_some(), permit));
        }
    }
}

/// How many may be told at a time that there is no room for them.
#[must_use]
pub fn turning_away() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(TURNED_AWAY))
}

/// Accepts and serves by HTTP until the future is dropped; connections that were accepted go on.
pub async fn serve(listener: Listener, service: Service) {
    let (listener, _file) = match listener.into_gated() {
        Ok(watched) => watched,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched, and was closed"),
    };
    loop {
        match accept(&listener).await {
            Ok((io, peer)) => match Arc::clone(&service.permits).try_acquire_owned() {
                Ok(permit) => service.visit(Visit { io, read: Vec::new(), peer, pass: Some(Box::new(permit)) }),
                Err(_) => {
                    service.metrics.refuse("max_connections");
                    service.turn_away(io);
                }
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

async fn connection(visit: Visit, service: Service) -> io::Result<()> {
    let Service { router, tls, mut stopping, metrics, .. } = service;
    let Visit { mut io, read, peer, pass } = visit;
    // Writing nothing waits until the runtime knows that the socket takes something. One that a shard has handed over is
    // new to the runtime, and hyper, where it refuses an upgrade and closes, drops an answer that does not leave at once.
    let written = io.write(&[]).await?;
    debug_assert_eq!(written, 0, "there was nothing to write");
    let secure = Secure(tls.is_some());
    let io: Box<dyn Io> = match tls {
        Some(tls) => match tls.accept(io, TLS_TIMEOUT).await {
            Ok(io) => Box::new(io),
            Err(error) => {
                metrics.refuse("tls");
                return Err(error);
            }
        },
        None => io,
    };
    let visiting = Visiting { read: Bytes::from(read), io, _pass: pass };
    let io = TokioIo::new(framed::Framed::new(visiting, MAX_HEAD));
    let counters = Arc::clone(&metrics);
    let answer = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(secure);
        framed::answer(router.clone(), request, Arc::clone(&counters))
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, answer)
        .with_upgrades();
    let mut connection = std::pin::Pin::new(&mut connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        // The sender outlives the connections; were it gone, that would mean to stop as well.
        _ = async { stopping.wait_for(|stopping| *stopping).await.map(drop) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(|error| {
        if error.is_timeout() {
            metrics.refuse("head_timeout");
        } else if error.is_parse() {
            metrics.refuse("bad_head");
        }
        io::Error::other(error)
    })
}

/// Tells a client that there is no room for it. Through TLS that would cost more than the client is owed.
async fn turn_away(mut stream: Box<dyn Io>, tls: bool, _permit: OwnedSemaphorePermit) {
    if tls {
        return;
    }
    let mut rejection =
        Rejection::new(http::StatusCode::SERVICE_UNAVAILABLE, "This server has as many connections as it may.\n");
    rejection.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("5"));
    hardening::add(rejection.headers_mut());
    let mut answer = Vec::new();
    rejection.encode(&mut answer);
    // A client that is gone needs no answer.
    let _ = tokio::time::timeout(TURNING_AWAY, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection, and the answer could be lost.
        tokio::io::copy(&mut stream.take(TURNED_AWAY_BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// A transport of which something was read already. Its permit goes with it, through an upgrade and to its end.
struct Visiting {
    read: Bytes,
    io: Box<dyn Io>,
    _pass: Option<Pass>,
}

impl tokio::io::AsyncRead for Visiting {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(count));
            return std::task::Poll::Ready(Ok(()));
        }
        std::pin::Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Visiting {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
