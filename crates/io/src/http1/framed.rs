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
    has_ended: bool,
    /// The transport has taken less than there is to write.
    is_stuck: bool,
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
        let framing = Framing::new(max_head);
        Self { io, framing, ready: Vec::new(), serving, has_ended: false, is_stuck: false, linger: None }
    }

    /// The client has ended its half, and may still listen. hyper, told so, drops what it is working on, and the answer
    /// that it is writing; told nothing (its `half_close`), it would not see that somebody goes during a poll. So what
    /// can be answered at once is answered, as by those who serve polls without it: it is told a turn later, and not
    /// while an answer is on its way.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_news = !std::mem::replace(&mut self.has_ended, true);
        if self.serving.strong_count() == 0 {
            return Poll::Ready(Ok(()));
        }
        if is_news {
            cx.waker().wake_by_ref();
        }
        if is_news || self.is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Something was to be written. Reading and writing are one task's.
    fn written<T>(&mut self, written: Poll<T>, cx: &mut Context<'_>) -> Poll<T> {
        let was_stuck = std::mem::replace(&mut self.is_stuck, written.is_pending());
        if was_stuck && !self.is_stuck && self.has_ended {
            cx.waker().wake_by_ref();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.ready.is_empty() {
            if self.framing.has_refused() {
                // hyper has all it needs, answers at once, and closes.
                return Poll::Pending;
            }
            if self.has_ended {
                return self.poll_end(cx);
            }
            if self.framing.is_done() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
                return if buf.filled().len() == before { self.poll_end(cx) } else { Poll::Ready(Ok(())) };
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return self.poll_end(cx);
            }
            let Self { framing, ready, serving, .. } = &mut *self;
            framing.take(read.filled(), ready);
            if let Some(serving) = serving.upgrade() {
                serving.is_between.store(framing.is_between(), Relaxed);
            }
        }
        let ready = &mut self.ready;
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
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(flushed, cx)
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
