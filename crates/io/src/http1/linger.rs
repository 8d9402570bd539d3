//! The moment between our end of a connection and its close. A connection that is closed over bytes that nobody read is
//! reset by the kernel, and the client loses the answer that it may not have read yet.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use switchboard_ws::fixed;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::stop::stop;
use super::wire::READ;
use crate::engine::MOST_UNREAD;

/// Reads and forgets what a client goes on sending after its last answer, until it ends as well: for two seconds, and
/// [`MOST_UNREAD`] bytes. When a server stops, no longer than there is something to read: what has been answered holds up
/// nobody's shutdown.
pub(super) struct Linger {
    until: Pin<Box<dyn Future<Output = ()> + Send>>,
    left: u64,
}

impl Linger {
    pub(super) fn new(stopping: Option<watch::Receiver<bool>>) -> Self {
        let until = async move {
            // Either is the end of it.
            let _ = timeout(fixed::REFUSED.0, stop(&stopping)).await;
        };
        Self { until: Box::pin(until), left: MOST_UNREAD }
    }

    pub(super) fn poll(&mut self, io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.left = self.left.saturating_sub(read.filled().len() as u64);
                }
                // It has ended, one way or the other.
                Poll::Ready(_) => break,
                Poll::Pending => return self.until.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    /// How long it lingers, and how much of what is sent meanwhile is not read.
    async fn lingers(stopping: Option<watch::Receiver<bool>>, sent: usize, ends: bool) -> (bool, usize) {
        let (mut ours, mut theirs) = duplex(16 << 20);
        theirs.write_all(&vec![0; sent]).await.expect("room");
        if ends {
            theirs.shutdown().await.expect("an end");
        }
        let (mut linger, began) = (Linger::new(stopping), Instant::now());
        poll_fn(|cx| linger.poll(&mut ours, cx)).await;
        drop(theirs);
        let mut left = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut ours, &mut left).await.expect("the rest");
        (began.elapsed() >= fixed::REFUSED.0, left.len())
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_sends_is_read_until_it_ends_or_its_time() {
        assert_eq!(lingers(None, 0, true).await, (false, 0));
        assert_eq!(lingers(None, 1 << 20, true).await, (false, 0));
        assert_eq!(lingers(None, 1 << 20, false).await, (true, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn but_not_more_than_is_bearable() {
        let most = usize::try_from(MOST_UNREAD).expect("it fits in memory");
        assert_eq!(lingers(None, most + (1 << 20), false).await, (false, 1 << 20));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_server_stops_only_what_is_there_is_read() {
        let (stop, stopping) = watch::channel(true);
        assert_eq!(lingers(Some(stopping.clone()), 64 << 10, false).await, (false, 0));
        stop.send_replace(false);
        assert_eq!(lingers(Some(stopping), 64 << 10, false).await, (true, 0));
    }
}
