//! A client's transport, and what was read of it ahead of being wanted. It is shared between whoever works on a request
//! and reads its body, and whoever sees meanwhile whether the client is still there.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use switchboard_ws::{BudgetHold, HttpIo};
use tokio::io::{AsyncRead as _, ReadBuf};

/// So many bytes are read at a time.
pub const READ: usize = 8 << 10;
/// So many bytes may wait behind the request that is worked on. With more the connection is closed, and what waits for
/// an answer given up.
pub const READ_AHEAD: usize = 16 << 10;
/// What counts for a connection besides what was read ahead: its task, and the socket's place in the runtime.
const IDLE: usize = 1 << 10;

/// More came than may wait behind a request that is worked on.
#[derive(Debug)]
pub(super) struct TooFarAhead;

impl TooFarAhead {
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|error| error.downcast_ref::<Self>()).is_some()
    }
}

impl fmt::Display for TooFarAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client sends request after request and waits for no answer")
    }
}

impl std::error::Error for TooFarAhead {}

pub(super) struct Wire {
    pub(super) io: HttpIo,
    /// Read, and not yet worked on. At rest it holds no memory.
    ahead: Vec<u8>,
    /// So many bytes of the present request's body are still to be taken.
    left: u64,
    hold: BudgetHold,
}

impl Wire {
    pub(super) fn new(io: HttpIo, mut hold: BudgetHold) -> Self {
        hold.set(IDLE);
        Self { io, ahead: Vec::new(), left: 0, hold }
    }

    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// A request's head was read, and so many bytes of body follow.
    pub(super) fn begin(&mut self, head: usize, body: u64) {
        self.consume(head);
        self.left = body;
    }

    /// Forgets what is there already of a body that nobody has taken. Returns how many bytes of it are still to come.
    pub(super) fn skip(&mut self) -> u64 {
        let count = self.within();
        self.consume(count);
        self.left -= count as u64;
        self.left
    }

    /// Reads and forgets what is still to come of a body, at most so many bytes. Returns whether that was all of it.
    pub(super) async fn forget(&mut self, most: u64) -> io::Result<bool> {
        let mut forgotten = 0;
        while self.left > 0 && forgotten < most {
            let before = self.left;
            if poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                return Ok(false);
            }
            forgotten += before - self.skip();
        }
        Ok(self.left == 0)
    }

    /// Reads once. Nothing: the client has ended.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        let bytes = read.filled();
        self.ahead.extend_from_slice(bytes);
        self.hold.set(IDLE + self.ahead.capacity());
        Poll::Ready(Ok(bytes.len()))
    }

    /// The transport, with what nobody has worked on.
    pub(super) fn into_io(mut self) -> HttpIo {
        self.io.put_back(self.ahead);
        self.io
    }

    /// How the client goes while it is being answered. What it sends meanwhile is kept, up to a bound: beyond, nobody
    /// would see whether it goes, and it has gone too far.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        // The rest of a body is for whoever works on the request.
        while self.left == 0 {
            if self.ahead.len() >= READ_AHEAD {
                return Poll::Ready(io::Error::other(TooFarAhead));
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.ahead.is_empty() && ready!(self.poll_fill(cx))? == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        let count = self.within();
        let bytes = Bytes::copy_from_slice(&self.ahead[..count]);
        self.consume(count);
        self.left -= count as u64;
        Poll::Ready(Some(Ok(bytes)))
    }

    /// How much of what is there belongs to the body.
    fn within(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.ahead.len())
    }

    fn consume(&mut self, count: usize) {
        if count == self.ahead.len() {
            self.ahead = Vec::new();
        } else {
            self.ahead.drain(..count);
        }
        self.hold.set(IDLE + self.ahead.capacity());
    }
}

/// The body of the present request.
pub(super) struct Incoming<'a>(pub(super) &'a Mutex<Wire>);

impl Body for Incoming<'_> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        lock(self.0).poll_body(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        lock(self.0).left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(lock(self.0).left)
    }
}

/// Works on an answer for as long as the client is there to hear it. No `async fn`: that would keep the work twice.
pub(super) fn attended<T>(
    wire: &Mutex<Wire>,
    mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> impl Future<Output = io::Result<T>> {
    poll_fn(move |cx| match work(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => lock(wire).poll_gone(cx).map(Err),
    })
}

pub(super) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    // Nothing that can panic leaves it half done.
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncWrite as _, duplex};

    use super::*;

    #[test]
    fn what_is_sent_ahead_is_bounded() {
        let (ours, mut theirs) = duplex(1 << 10);
        let mut wire = Wire::new(HttpIo::new(Box::new(ours), Vec::new(), None, None), BudgetHold::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let mut sent = 0;
        while wire.poll_gone(cx).is_pending() {
            let written = Pin::new(&mut theirs).poll_write(cx, &[b'x'; 100]);
            sent += if let Poll::Ready(written) = written { written.expect("the other end is there") } else { 0 };
        }
        assert!(wire.ahead().len() >= READ_AHEAD && sent < READ_AHEAD + READ + 2048, "{sent}");
        assert_eq!(wire.hold.bytes(), IDLE + wire.ahead.capacity());
        wire.begin(sent.min(wire.ahead().len()), 0);
        assert_eq!((wire.ahead.capacity(), wire.hold.bytes()), (0, IDLE), "at rest it holds nothing");
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        let read = b"headbodynext".to_vec();
        let (ours, _theirs) = duplex(1);
        let mut wire = Wire::new(HttpIo::new(Box::new(ours), read, None, None), BudgetHold::default());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(wire.poll_fill(cx), Poll::Ready(Ok(12))));
        wire.begin(4, 4);
        let Poll::Ready(Some(Ok(body))) = wire.poll_body(cx) else { panic!("it is there") };
        assert_eq!(&body[..], b"body");
        assert!(matches!(wire.poll_body(cx), Poll::Ready(None)));
        wire.begin(0, 6);
        assert_eq!(wire.skip(), 2, "of one that nobody wants, two bytes are missing");
        assert!(wire.ahead().is_empty());
    }
}
