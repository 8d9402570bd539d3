//! A transport on which hyper sees no request whose end is in doubt.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::framing::Framing;
use super::linger::Linger;
use super::wire::READ;

/// A transport, read through [`Framing`]. hyper keeps it to itself while it serves, and hands it on when the connection
/// becomes something else.
pub(super) struct Framed<S> {
    io: S,
    framing: Framing,
    /// What hyper may see next.
    ready: Vec<u8>,
    serving: Weak<Serving>,
    linger: Option<Linger>,
}

/// What whoever has hyper serve knows of the transport, and the transport of them. It is held by them alone, so that the
/// transport knows whether it is still one of HTTP.
#[derive(Debug)]
pub(super) struct Serving {
    /// Becomes true when no further requests are to be taken.
    pub(super) stopping: Option<watch::Receiver<bool>>,
    is_between: AtomicBool,
}

impl Serving {
    pub(super) fn new(stopping: Option<watch::Receiver<bool>>) -> Self {
        Self { stopping, is_between: AtomicBool::new(false) }
    }

    /// Whether there were requests, and nothing has come of a further one.
    pub(super) fn is_between(&self) -> bool {
        self.is_between.load(Relaxed)
    }
}

impl<S> Framed<S> {
    /// Heads beyond `max_head` bytes are for hyper to refuse.
    pub(super) fn new(io: S, max_head: usize, serving: &Arc<Serving>) -> Self {
        let serving = Arc::downgrade(serving);
        Self { io, framing: Framing::new(max_head), ready: Vec::new(), serving, linger: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, framing, ready, serving, .. } = &mut *self;
        while ready.is_empty() {
            if framing.is_done() {
                return Pin::new(io).poll_read(cx, buf);
            }
            if framing.has_refused() {
                // hyper has all it needs, answers at once, and closes.
                return Poll::Pending;
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            framing.take(read.filled(), ready);
            if let Some(serving) = serving.upgrade() {
                serving.is_between.store(framing.is_between(), Relaxed);
            }
        }
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        ready.drain(..count);
        if ready.is_empty() {
            // A client that waits for its next request holds nothing.
            *ready = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// hyper closes when this is done.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, serving, linger, .. } = &mut *self;
        if linger.is_none() {
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            // What the connection has become meanwhile has its own way to end.
            let Some(serving) = serving.upgrade() else { return Poll::Ready(Ok(())) };
            *linger = Some(Linger::new(serving.stopping.clone()));
        }
        linger.as_mut().map_or(Poll::Ready(()), |linger| linger.poll(io, cx)).map(Ok)
    }
}
