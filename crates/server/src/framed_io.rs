//! A transport that shows hyper no request whose end is in doubt: what a client sends is looked at by [`Framing`] first.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use switchboard_ws::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::framing::Framing;

/// So much is read of a client at a time, before it is known where its request ends.
const READ: usize = 8 << 10;
/// So much of what clients go on sending whose request is ambiguous is read and forgotten.
const FORGOTTEN: u64 = 64 << 10;

/// A transport on which no request is seen whose end is in doubt.
pub(crate) struct FramedIo {
    framing: Framing,
    /// What hyper may see next.
    ready: Vec<u8>,
    /// So much was read and forgotten.
    forgotten: u64,
    io: Box<dyn Io>,
}

impl FramedIo {
    /// Some of it was `read` already.
    pub(crate) fn new(io: Box<dyn Io>, read: &[u8], max_head: usize) -> Self {
        let (mut framing, mut ready) = (Framing::new(max_head), Vec::new());
        framing.take(read, &mut ready);
        Self { framing, ready, forgotten: 0, io }
    }
}

impl AsyncRead for FramedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { framing, ready, forgotten, io, .. } = &mut *self;
        while ready.is_empty() {
            if framing.is_done() {
                return Pin::new(io).poll_read(cx, buf);
            }
            if *forgotten > FORGOTTEN {
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

impl AsyncWrite for FramedIo {
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
