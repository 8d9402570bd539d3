//! A client's transport in the hands of an HTTP server: what was read of it before comes first, what admitted it is
//! held to its end, and a client that does not take its answers is cut off, which HTTP libraries leave to whoever
//! accepts.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::driver::Io;

/// All that waits for a client has to be taken within so many times the time in which some of it has to be.
const WHOLE: u32 = 4;

/// A client's transport, for an HTTP server.
///
/// Writing, flushing and shutting down fail with [`io::ErrorKind::TimedOut`] when the client has taken nothing of what
/// waits for it for the time that [`new`](Self::new) was given, or not all of it within four times that. So one that
/// takes an answer byte by byte does not hold it for ever. Over TLS "nothing" is less than 64 KiB.
pub struct HttpIo {
    io: Box<dyn Io>,
    read: Bytes,
    /// Dropped with the transport.
    _pass: Option<Box<dyn Any + Send>>,
    write_timeout: Option<Duration>,
    /// Made when somebody may want to lift them: most clients hold a transport for long and ask for no upgrade.
    lifted: Option<Arc<AtomicBool>>,
    waits: Option<Waits>,
}

/// Something waits to be written.
struct Waits {
    until: Pin<Box<Sleep>>,
    all_until: Instant,
}

/// Ends the time limits of an [`HttpIo`]: from the 101 on they are for the WebSocket to keep.
#[derive(Debug, Clone)]
pub struct Upgraded(Arc<AtomicBool>);

impl Upgraded {
    /// The client was answered with 101.
    pub fn lift_limits(&self) {
        self.0.store(true, Relaxed);
    }
}

impl HttpIo {
    /// `read` is what was read of the transport already, and `pass` what admitted it. `None`: the client may take its
    /// time.
    #[must_use]
    pub fn new(
        io: Box<dyn Io>,
        read: Vec<u8>,
        pass: Option<Box<dyn Any + Send>>,
        write_timeout: Option<Duration>,
    ) -> Self {
        Self { io, read: read.into(), _pass: pass, write_timeout, lifted: None, waits: None }
    }

    /// Gives back what was read: it is what is read next.
    pub fn put_back(&mut self, mut read: Vec<u8>) {
        read.extend_from_slice(&self.read);
        self.read = read.into();
    }

    /// For whoever answers with 101.
    #[must_use]
    pub fn upgraded(&mut self) -> Upgraded {
        Upgraded(Arc::clone(self.lifted.get_or_insert_default()))
    }

    /// Waits until the runtime knows that the transport takes something. A socket that a shard has handed over is new
    /// to the runtime, and hyper, where it refuses an upgrade and closes, drops an answer that does not leave at once.
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

    /// Whether an error, of hyper's for instance, comes from these time limits.
    #[must_use]
    pub fn has_timed_out(error: &(dyn Error + 'static)) -> bool {
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

    fn is_lifted(&self) -> bool {
        self.lifted.as_ref().is_some_and(|lifted| lifted.load(Relaxed))
    }

    /// Something was taken.
    fn progress(&mut self) {
        if let (Some(Waits { until, all_until }), Some(write_timeout)) = (&mut self.waits, self.write_timeout) {
            until.as_mut().reset((Instant::now() + write_timeout).min(*all_until));
        }
    }

    /// The transport takes nothing now: an error, when that has lasted too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(write_timeout) = self.write_timeout.filter(|_| !self.is_lifted()) else {
            return Poll::Pending;
        };
        let waits = self.waits.get_or_insert_with(|| {
            let until = Box::pin(tokio::time::sleep(write_timeout));
            Waits { until, all_until: Instant::now() + write_timeout.saturating_mul(WHOLE) }
        });
        waits
            .until
            .as_mut()
            .poll(cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer"))
    }
}

impl AsyncRead for HttpIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..count]);
        self.read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                self.progress();
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_patience(cx).map(Err),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write_vectored(cx, slices) {
            Poll::Ready(written) => {
                self.progress();
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_patience(cx).map(Err),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Whoever flushes has handed over all that there was: when it is done, nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.waits = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => self.poll_patience(cx).map(Err),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.poll_patience(cx).map(Err),
            done => done,
        }
    }
}

impl fmt::Debug for HttpIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpIo")
            .field("unread", &self.read.len())
            .field("waits", &self.waits.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Its transport has room for four bytes.
    fn pair() -> (HttpIo, DuplexStream) {
        let (ours, theirs) = duplex(4);
        (HttpIo::new(Box::new(ours), b"before".to_vec(), None, Some(LIMIT)), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_comes_first_and_the_pass_goes_last() {
        let (ours, mut theirs) = duplex(4);
        let pass = Arc::new(());
        let held: Box<dyn Any + Send> = Box::new(Arc::clone(&pass));
        let mut io = HttpIo::new(Box::new(ours), b"before".to_vec(), Some(held), Some(LIMIT));
        theirs.write_all(b"now").await.expect("room");
        let mut read = [0; 9];
        io.read_exact(&mut read).await.expect("nine bytes");
        assert_eq!(&read, b"beforenow");
        theirs.write_all(b"last").await.expect("room");
        io.put_back(b"second".to_vec());
        io.put_back(b"first".to_vec());
        let mut read = [0; 15];
        io.read_exact(&mut read).await.expect("fifteen bytes");
        assert_eq!(&read, b"firstsecondlast");
        assert_eq!(Arc::strong_count(&pass), 2);
        drop(io);
        assert_eq!(Arc::strong_count(&pass), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let (mut io, _theirs) = pair();
        let began = Instant::now();
        let error = io.write_all(&[7; 100]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    /// A byte now and then is progress, but not for ever.
    #[tokio::test(start_paused = true)]
    async fn who_takes_it_by_the_byte_is_cut_off() {
        let (mut io, mut theirs) = pair();
        let began = Instant::now();
        let dripping = async {
            loop {
                tokio::time::sleep(LIMIT * 9 / 10).await;
                theirs.read_u8().await.expect("a byte");
            }
        };
        let error = tokio::select! {
            error = io.write_all(&[7; 100]) => error.expect_err("it takes too long"),
            () = dripping => unreachable!(),
        };
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT * 4));
    }

    /// The time of one answer is not counted with the next.
    #[tokio::test(start_paused = true)]
    async fn who_takes_its_answers_is_not() {
        let (mut io, mut theirs) = pair();
        let reading = async {
            for _ in 0..100 {
                tokio::time::sleep(LIMIT * 9 / 10).await;
                theirs.read_exact(&mut [0; 10]).await.expect("an answer");
            }
        };
        let writing = async {
            for _ in 0..100 {
                io.write_all(&[7; 10]).await.expect("it is taken");
                io.flush().await.expect("it is taken");
            }
        };
        tokio::join!(reading, writing);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_upgrade_there_is_no_limit() {
        let (mut io, mut theirs) = pair();
        io.upgraded().lift_limits();
        let reading = async {
            tokio::time::sleep(LIMIT * 10).await;
            theirs.read_exact(&mut [0; 10]).await.expect("ten bytes");
        };
        let (written, ()) = tokio::join!(io.write_all(&[7; 10]), reading);
        written.expect("late, and taken");
    }
}
