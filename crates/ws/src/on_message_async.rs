//! Handlers that await: a future for each message, polled once where the message was read. Most are ready then, and no
//! task was needed; only one that waits is given a task.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Waker};

use futures_util::FutureExt as _;
use switchboard_ws_proto::{Message, MessageRef};

use crate::context::Context;
use crate::handler::Handler;
use crate::sender::Sender;

/// So many messages of one connection may be worked on at a time, unless set otherwise.
pub(crate) const IN_FLIGHT: usize = 64;

/// A handler that is one asynchronous closure, called for each message with a [`Sender`] for the replies.
///
/// The futures of one connection start in the order of its messages, and each runs to its first await before the next
/// one starts. So several may be under way, 64 unless [set otherwise](Self::in_flight); with more, reading pauses until
/// one is done (the rest of what was read already is still handled). They are dropped when the connection ends. A panic
/// ends the connection with 1011.
///
/// ```
/// use switchboard_ws::OnMessageAsync;
///
/// let slow_echo = OnMessageAsync::new(async |sender, message| {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
///     // The peer may be gone by now.
///     let _ = sender.send(message).await;
/// });
/// ```
pub struct OnMessageAsync<F> {
    f: Arc<F>,
    limit: usize,
    in_flight: Arc<AtomicUsize>,
}

impl<F> OnMessageAsync<F> {
    /// The handler that calls `f`.
    pub fn new<Fut>(f: F) -> Self
    where
        F: Fn(Sender, Message) -> Fut,
    {
        Self { f: Arc::new(f), limit: IN_FLIGHT, in_flight: Arc::default() }
    }

    /// Sets how many messages may be worked on at a time; at least one. With one, each is done before the next is
    /// looked at, but for those that came in the same read.
    #[must_use]
    pub fn in_flight(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }
}

impl<F, Fut> Handler for OnMessageAsync<F>
where
    F: Fn(Sender, Message) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        self.on_owned_message(cx, message.to_owned());
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        let sender = cx.sender();
        let mut future = Box::pin((self.f)(sender.clone(), message));
        // Nobody need be woken yet: the task that it may be given polls it again first.
        if future.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        let under_way = UnderWay::begin(&self.in_flight, self.limit, &sender);
        if self.in_flight.load(Ordering::Acquire) >= self.limit {
            cx.pause_for_inbox();
            // One may have ended in between, before there was a pause to end.
            if self.in_flight.load(Ordering::Acquire) < self.limit {
                sender.resume();
            }
        }
        tokio::spawn(finish(future, sender, under_way));
    }
}

impl<F> fmt::Debug for OnMessageAsync<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnMessageAsync").field("limit", &self.limit).finish_non_exhaustive()
    }
}

async fn finish<Fut: Future<Output = ()>>(future: Pin<Box<Fut>>, sender: Sender, under_way: UnderWay) {
    tokio::select! {
        biased;
        _ = sender.ended() => {}
        done = AssertUnwindSafe(future).catch_unwind() => {
            if done.is_err() {
                tracing::error!(peer = %sender.info().peer(), "a handler panicked; its connection ends with 1011");
                sender.link().request_close_after_panic();
            }
        }
    }
    drop(under_way);
}

/// One message that is worked on.
struct UnderWay {
    in_flight: Arc<AtomicUsize>,
    limit: usize,
    sender: Sender,
}

impl UnderWay {
    fn begin(in_flight: &Arc<AtomicUsize>, limit: usize, sender: &Sender) -> Self {
        in_flight.fetch_add(1, Ordering::AcqRel);
        Self { in_flight: Arc::clone(in_flight), limit, sender: sender.clone() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == self.limit {
            self.sender.resume();
        }
    }
}
