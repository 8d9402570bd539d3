//! A transport of which something was read already, for whoever reads on: an HTTP server that a shard hands a client to.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::driver::Io;

/// A transport of which something was read already: reading begins with that. HTTP servers seldom limit how long a client
/// may take to read an answer; this does, by its [`write_timeout`](Self::write_timeout).
pub struct ReadAhead {
    read: Bytes,
    io: Box<dyn Io>,
    write_timeout: Option<Duration>,
    /// There while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    kept: Option<Box<dyn std::any::Any + Send>>,
}

impl ReadAhead {
    /// `read` is what was read of it.
    pub fn new(io: Box<dyn Io>, read: impl Into<Bytes>) -> Self {
        Self { read: read.into(), io, write_timeout: None, stalled: None, kept: None }
    }

    /// Keeps something for as long as there is the transport, a permit for instance.
    #[must_use]
    pub fn keep(mut self, kept: Option<Box<dyn std::any::Any + Send>>) -> Self {
        self.kept = kept;
        self
    }

    /// A peer that takes no byte for so long is cut off: the write fails with [`io::ErrorKind::TimedOut`]. `None`, as by
    /// default: never.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Waits until the runtime knows that the transport takes something. A socket that a shard has handed over is new to the
    /// runtime, and hyper, where it refuses an upgrade and closes, drops an answer that does not leave at once.
    ///
    /// # Errors
    /// The transport is broken.
    ///
    /// # Cancel safety
    /// Nothing is written.
    pub async fn ready(&mut self) -> io::Result<()> {
        let written = self.io.write(&[]).await?;
        debug_assert_eq!(written, 0, "there was nothing to write");
        Ok(())
    }

    /// Whether an error, of hyper's for instance, comes from the [`write_timeout`](Self::write_timeout).
    #[must_use]
    pub fn timed_out(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                // The kernel's own timeouts have a number.
                return error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none();
            }
            next = error.source();
        }
        false
    }

    /// Looks at the time while the peer takes nothing.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let (Poll::Pending, Some(timeout)) = (&written, self.write_timeout) else {
            self.stalled = None;
            return written;
        };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for ReadAhead {
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
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead")
            .field("read", &self.read.len())
            .field("write_timeout", &self.write_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reading_begins_with_what_was_read() {
        let (mut peer, io) = duplex(64);
        let mut ahead = ReadAhead::new(Box::new(io), &b"GET / "[..]);
        peer.write_all(b"HTTP/1.1").await.unwrap();
        drop(peer);
        let mut all = String::new();
        ahead.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "GET / HTTP/1.1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_cut_off_and_one_that_is_slow_is_not() {
        let (mut peer, io) = duplex(10);
        let mut ahead = ReadAhead::new(Box::new(io), Bytes::new()).write_timeout(Some(Duration::from_secs(30)));
        ahead.ready().await.unwrap();
        let writing = tokio::spawn(async move { (ahead.write_all(&[0; 50]).await, Instant::now()) });
        let mut taken = [0; 10];
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(29)).await;
            peer.read_exact(&mut taken).await.unwrap();
        }
        let last = Instant::now();
        let (written, at) = writing.await.unwrap();
        assert!(ReadAhead::timed_out(&written.unwrap_err()));
        assert_eq!(at - last, Duration::from_secs(30));
    }
}
