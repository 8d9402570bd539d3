//! The body of a request, which is read on behind the answer's back when nobody wants the rest of it. A connection that
//! is closed over bytes that nobody read is reset by the kernel, and the client loses the answer that tells it why.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf as _;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// The most that is read of what nobody wants, in bytes. Whoever has more to send loses the answer.
pub const MOST_UNREAD: u64 = 8 << 20;

/// A body whose rest, when it is dropped before its end, is read and forgotten: at most [`MOST_UNREAD`] of it, in the
/// time that the whole body has. The engine's own requests have it; for those of other routes beside it, wrap their
/// bodies.
///
/// Nothing is read of a client that asks first (`Expect`). Dropped outside of a tokio runtime, it reads nothing.
pub struct Unread<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    /// Nothing when there is no more to read.
    rest: Option<Pin<Box<B>>>,
    /// Whether the client waits for a word before it sends anything.
    asks_first: bool,
    until: Instant,
    on_cut: Option<Box<dyn FnOnce() + Send>>,
}

impl<B> Unread<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    /// A body of a request with these headers, and the time it has from now.
    #[must_use]
    pub fn new(body: B, headers: &HeaderMap, time: Duration) -> Self {
        let rest = (!body.is_end_stream()).then(|| Box::pin(body));
        Self { rest, asks_first: headers.contains_key(EXPECT), until: Instant::now() + time, on_cut: None }
    }

    /// Has this called when the rest is not read to its end as it is longer, or slower, than is bearable. Not when the
    /// client goes.
    #[must_use]
    pub fn on_cut(mut self, tell: impl FnOnce() + Send + 'static) -> Self {
        self.on_cut = self.rest.is_some().then(|| Box::new(tell) as _);
        self
    }
}

impl<B> fmt::Debug for Unread<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl<B> Body for Unread<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || rest.is_end_stream() {
            self.rest = None;
        }
        self.asks_first = false;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for Unread<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        let is_late = self.until <= Instant::now();
        // Without a runtime nothing can be read, and nobody waits for an answer.
        let (false, false, Ok(runtime)) = (self.asks_first, is_late, Handle::try_current()) else { return };
        let (until, on_cut) = (self.until, self.on_cut.take());
        let tell = move || on_cut.into_iter().for_each(|tell| tell());
        if rest.size_hint().lower() > MOST_UNREAD {
            return tell();
        }
        runtime.spawn(async move {
            if !timeout_at(until, forget(rest)).await.unwrap_or(false) {
                tell();
            }
        });
    }
}

/// Reads to the end, or as far as is bearable. `false`: there is more.
async fn forget<B: Body>(body: Pin<Box<B>>) -> bool {
    let (mut body, mut read) = (pin!(body), 0);
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if read > MOST_UNREAD {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    /// Pieces, each of which is counted when it is taken. With `stuck`, more never comes.
    struct Pieces {
        pieces: VecDeque<Bytes>,
        left: Arc<AtomicUsize>,
        stuck: bool,
        told: u64,
    }

    impl Pieces {
        fn new(count: usize, size: usize) -> Self {
            let pieces = (0..count).map(|_| Bytes::from(vec![b'4'; size])).collect();
            Self { pieces, left: Arc::new(AtomicUsize::new(count)), stuck: false, told: 0 }
        }
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let piece = self.pieces.pop_front();
            self.left.store(self.pieces.len(), Ordering::Relaxed);
            if piece.is_none() && self.stuck { Poll::Pending } else { Poll::Ready(piece.map(Frame::data).map(Ok)) }
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.told);
            hint
        }
    }

    impl Drop for Pieces {
        fn drop(&mut self) {
            self.left.fetch_add(1 << 20, Ordering::Relaxed);
        }
    }

    /// How many pieces are left when the body is at last gone.
    async fn left(left: &AtomicUsize) -> usize {
        while left.load(Ordering::Relaxed) < 1 << 20 {
            tokio::task::yield_now().await;
        }
        left.load(Ordering::Relaxed) - (1 << 20)
    }

    #[tokio::test]
    async fn what_nobody_wants_is_read_to_its_end() {
        let pieces = Pieces::new(5, 10);
        let seen = Arc::clone(&pieces.left);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut body =
            Unread::new(pieces, &HeaderMap::new(), TIME).on_cut(move || tell.send(()).expect("the test listens"));
        assert_eq!(body.frame().await.expect("a piece").expect("no error").data_ref().map(Bytes::len), Some(10));
        assert_eq!(seen.load(Ordering::Relaxed), 4);
        drop(body);
        assert_eq!(left(&seen).await, 0);
        assert_eq!(told.recv().await, None, "nothing was cut off");
    }

    #[tokio::test]
    async fn but_not_more_than_is_bearable() {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let pieces = Pieces::new(20, 1 << 20);
        let seen = Arc::clone(&pieces.left);
        let telling = tell.clone();
        drop(Unread::new(pieces, &HeaderMap::new(), TIME).on_cut(move || telling.send(1).expect("the test listens")));
        assert_eq!(left(&seen).await, 11);
        assert_eq!(told.recv().await, Some(1));
        let mut pieces = Pieces::new(20, 1 << 20);
        pieces.told = MOST_UNREAD + 1;
        let seen = Arc::clone(&pieces.left);
        drop(Unread::new(pieces, &HeaderMap::new(), TIME).on_cut(move || tell.send(2).expect("the test listens")));
        assert_eq!(left(&seen).await, 20, "more was announced: not begun");
        assert_eq!(told.recv().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn nor_for_longer_than_the_whole_may_take() {
        let mut pieces = Pieces::new(1, 1);
        pieces.stuck = true;
        let seen = Arc::clone(&pieces.left);
        let begun = Instant::now();
        let body = Unread::new(pieces, &HeaderMap::new(), TIME);
        tokio::time::advance(TIME / 2).await;
        drop(body);
        while seen.load(Ordering::Relaxed) < 1 << 20 {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(begun.elapsed().abs_diff(TIME) < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    /// "A client that will wait for a 100 (Continue) response before sending the request content" (RFC 9110, 10.1.1):
    /// it has the answer instead.
    #[tokio::test]
    async fn whoever_asks_first_is_not_read_from() {
        let pieces = Pieces::new(5, 10);
        let seen = Arc::clone(&pieces.left);
        let headers = HeaderMap::from_iter([(EXPECT, http::HeaderValue::from_static("100-continue"))]);
        drop(Unread::new(pieces, &headers, TIME));
        assert_eq!(left(&seen).await, 5);
    }
}
