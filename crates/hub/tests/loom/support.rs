//! Parcels, and a way to wait that loom understands.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use switchboard_hub::{Closed, Outbox, Parcel, Port, Publication};

/// Runs a model in all orders in which threads are interrupted four times at most, or as often as the environment's
/// `LOOM_MAX_PREEMPTIONS` says. Without a bound they all end too, in half a minute; but one more lock on a path would
/// make that hours.
pub(crate) fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(4);
    builder.check(run);
}

/// The n-th parcel of one source. What it holds shows whether it was dropped.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    pub(crate) source: usize,
    pub(crate) number: usize,
    pub(crate) _held: Arc<()>,
}

impl Parcel for Numbered {
    fn weight(&self) -> usize {
        1
    }
}

pub(crate) fn parcel(source: usize, number: usize) -> Numbered {
    Numbered { source, number, _held: Arc::default() }
}

/// Runs a future on this thread of the model.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Bell(Notify);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.wait();
    }
}

/// Polls a future twice, if it is not ready before, and drops it. What wakes it in between wakes nobody.
pub(crate) fn give_up<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..2 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        loom::thread::yield_now();
    }
    None
}

/// Waits until what is in an outbox is thrown away.
pub(crate) fn abandoned(outbox: &Outbox<Numbered>) -> impl Future<Output = ()> {
    std::future::poll_fn(|cx| outbox.poll_abandoned(cx))
}

/// Waits for the next parcel of an outbox.
pub(crate) fn pop(outbox: &Outbox<Numbered>) -> Option<Numbered> {
    block_on(std::future::poll_fn(|cx| outbox.poll_pop(cx)))
}

/// Waits for the next publications of a port.
pub(crate) fn take(port: &Port<Numbered>) -> Result<Vec<Publication<Numbered>>, Closed> {
    let mut taken = Vec::new();
    block_on(std::future::poll_fn(|cx| port.poll_take(cx, &mut taken))).map(|()| taken)
}

/// What is in a port now.
pub(crate) fn take_now(port: &Port<Numbered>) -> Vec<Publication<Numbered>> {
    let mut taken = Vec::new();
    let polled = port.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken);
    assert_ne!(polled, Poll::Ready(Err(Closed(()))));
    taken
}

/// The numbers of one source, in the order in which they came.
pub(crate) fn numbers<'a>(parcels: impl IntoIterator<Item = &'a Numbered>, source: usize) -> Vec<usize> {
    parcels.into_iter().filter(|parcel| parcel.source == source).map(|parcel| parcel.number).collect()
}
