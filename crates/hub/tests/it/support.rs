//! A parcel that is a word, wakers that count, and a way to wait without a runtime.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use switchboard_hub::{Closed, Limits, Member, Outbox, Overflow, Parcel, Port, Publication};

/// A parcel as heavy as it is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) String);

impl Parcel for Word {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

pub(crate) fn word(text: &str) -> Word {
    Word(text.to_owned())
}

pub(crate) fn outbox<P: Parcel>(messages: usize, bytes: usize, overflow: Overflow) -> Arc<Outbox<P>> {
    Arc::new(Outbox::new(Limits { messages, bytes, overflow }))
}

/// The outbox of a member that has one.
pub(crate) fn own<P: Parcel>(member: &Member<P>) -> Arc<Outbox<P>> {
    member.outbox().expect("it joined with an outbox")
}

/// Everything that can be popped now.
pub(crate) fn drain(outbox: &Outbox<Word>) -> Vec<String> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut words = Vec::new();
    while let Poll::Ready(Some(Word(text))) = outbox.poll_pop(&mut cx) {
        words.push(text);
    }
    words
}

/// Takes one parcel that must be there.
pub(crate) fn pop<P: Parcel>(outbox: &Outbox<P>) -> P {
    match outbox.poll_pop(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(parcel)) => parcel,
        Poll::Ready(None) => panic!("the outbox has ended"),
        Poll::Pending => panic!("the outbox is empty"),
    }
}

/// Everything that can be taken from a port now.
pub(crate) fn take<P: Parcel>(port: &Port<P>) -> Vec<Publication<P>> {
    let mut taken = Vec::new();
    assert_ne!(
        port.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken),
        Poll::Ready(Err(Closed(()))),
        "the port has ended"
    );
    taken
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker)
    }

    /// How often it rang since this was last asked.
    pub(crate) fn rang(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
