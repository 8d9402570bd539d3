//! A transport on which hyper sees no request whose end is in doubt.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;
use super::wire::READ;

/// So much of what a refused client goes on sending is read and forgotten, so that it can read the answer.
const FORGOTTEN: u64 = 64 << 10;

/// A transport, read through [`Framing`].
pub(super) struct Framed<S> {
    io: S,
    framing: Framing,
    /// What hyper may see next.
    ready: Vec<u8>,
    forgotten: u64,
}

impl<S> Framed<S> {
    /// Heads beyond `max_head` bytes are for hyper to refuse.
    pub(super) fn new(io: S, max_head: usize) -> Self {
        Self { io, framing: Framing::new(max_head), ready: Vec::new(), forgotten: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, framing, ready, forgotten } = &mut *self;
        while ready.is_empty() {
            if framing.is_done() {
                return Pin::new(io).poll_read(cx, buf);
            }
            if *forgotten > FORGOTTEN {
                // hyper has all it needs, and closes.
                return Poll::Pending;
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if framing.has_refused() {
                *forgotten += read.filled().len() as u64;
            }
            framing.take(read.filled(), ready);
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
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

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
