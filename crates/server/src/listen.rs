//! Listeners and what is done with the connections that they accept: TLS, then HTTP/1.1 with upgrades.

use std::fmt;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_ws::{Io, Metrics, PeerAddr, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service as _;

use crate::settings::{Address, Listen, SettingsError};

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
/// The most a request's head may have, in bytes. Bodies are not read at all.
const MAX_HEAD: usize = 16 << 10;

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; its file is removed at the end.
    Unix(UnixListener, PathBuf),
}

/// Binds what the settings want. `Ok`'s second half: something that the operator should be told.
///
/// # Errors
/// An address that cannot be had.
pub async fn bind(listen: &Listen) -> Result<(Vec<Listener>, Option<String>), SettingsError> {
    match listen {
        Listen::At(addresses) => {
            let mut listeners = Vec::new();
            for address in addresses {
                listeners.push(bind_one(address).await?);
            }
            Ok((listeners, None))
        }
        Listen::Anywhere => bind_next_free().await,
    }
}

async fn bind_next_free() -> Result<(Vec<Listener>, Option<String>), SettingsError> {
    for port in PORT..PORT + PORTS {
        match TcpListener::bind(("127.0.0.1", port)).await {
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

async fn bind_one(address: &Address) -> Result<Listener, SettingsError> {
    let result = match address {
        Address::Tcp(tcp) => TcpListener::bind(tcp).await.map(Listener::Tcp),
        Address::Unix(path) => bind_unix(path).await,
    };
    result.map_err(|error| SettingsError(format!("cannot listen on {address}: {error}")))
}

/// A socket file that nobody answers on is what a server that was killed has left behind: it is replaced.
async fn bind_unix(path: &Path) -> io::Result<Listener> {
    match UnixListener::bind(path) {
        // A file of another kind refuses connections too, and is not ours to remove.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_socket(path) => {
            match tokio::net::UnixStream::connect(path).await {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                _ => return Err(error),
            }
            UnixListener::bind(path)
        }
        result => result,
    }
    .map(|listener| Listener::Unix(listener, path.to_owned()))
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
            Self::Unix(_, path) => Address::Unix(path.clone()),
        })
    }

    async fn accept(&self) -> io::Result<(Box<dyn Io>, PeerAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), peer.into()))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), PeerAddr::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A file that is gone already is what we want.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What every connection is served with.
#[derive(Debug, Clone)]
pub struct Service {
    /// The routes.
    pub router: Router,
    /// TLS, where it is on.
    pub tls: Option<ServerTls>,
    /// A permit for each connection that may be open.
    pub permits: Arc<Semaphore>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
    /// Becomes true when no further requests are to be taken. Each connection holds a clone until it has ended or
    /// become a WebSocket.
    pub stopping: watch::Receiver<bool>,
}

/// Accepts and serves until the future is dropped; connections that were accepted go on.
pub async fn serve(listener: Listener, service: Service) {
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(permit) = Arc::clone(&service.permits).try_acquire_owned() else {
                    service.metrics.refuse("max_connections");
                    if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                        tokio::spawn(turn_away(stream, service.tls.is_some(), permit));
                    }
                    continue;
                };
                let service = service.clone();
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, peer, service, permit).await {
                        tracing::debug!(%peer, %error, "a connection failed before or between requests");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: Box<dyn Io>,
    peer: PeerAddr,
    service: Service,
    permit: OwnedSemaphorePermit,
) -> io::Result<()> {
    let Service { router, tls, mut stopping, metrics, .. } = service;
    let stream: Box<dyn Io> = match tls {
        Some(tls) => match tls.accept(stream, TLS_TIMEOUT).await {
            Ok(stream) => Box::new(stream),
            Err(error) => {
                metrics.refuse("tls");
                return Err(error);
            }
        },
        None => stream,
    };
    // The permit goes with the transport, through the upgrade and to its end.
    let io = TokioIo::new(Permitted { io: stream, _permit: permit });
    let answer = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
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
    let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: \
                  47\r\nRetry-After: 5\r\nConnection: close\r\n\r\nThis server has as many connections as it may.\n";
    // A client that is gone needs no answer.
    let _ = tokio::time::timeout(TURNING_AWAY, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection, and the answer could be lost.
        tokio::io::copy(&mut stream.take(TURNED_AWAY_BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// A transport that gives its permit back when it is dropped.
struct Permitted {
    io: Box<dyn Io>,
    _permit: OwnedSemaphorePermit,
}

impl tokio::io::AsyncRead for Permitted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Permitted {
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
