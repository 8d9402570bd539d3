//! How the rest of the process reaches a shard: what it is sent, and connections that have something to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A shard's post. `N` is what it is sent.
#[derive(Debug)]
pub(crate) struct Mailbox<N> {
    post: Mutex<Post<N>>,
    shard: AtomicWaker,
}

/// What has come since the shard looked last.
#[derive(Debug)]
pub(crate) struct Post<N> {
    pub(crate) new: Vec<N>,
    pub(crate) woken: Vec<usize>,
    closed: bool,
}

impl<N> Default for Post<N> {
    fn default() -> Self {
        Self { new: Vec::new(), woken: Vec::new(), closed: false }
    }
}

impl<N> Mailbox<N> {
    pub(crate) fn new() -> Self {
        Self { post: Mutex::default(), shard: AtomicWaker::new() }
    }

    /// Hands something to the shard.
    ///
    /// # Errors
    /// It is given back: the shard is gone.
    pub(crate) fn send(&self, new: N) -> Result<(), N> {
        {
            let mut post = self.lock();
            if post.closed {
                return Err(new);
            }
            post.new.push(new);
        }
        self.shard.wake();
        Ok(())
    }

    /// Everything that has come. The shard's task is woken for what comes later.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Post<N> {
        self.shard.register(cx.waker());
        let mut post = self.lock();
        Post { new: std::mem::take(&mut post.new), woken: std::mem::take(&mut post.woken), closed: false }
    }

    /// Takes nothing more; gives back what nobody will look at.
    pub(crate) fn close(&self) -> Vec<N> {
        let mut post = self.lock();
        post.closed = true;
        std::mem::take(&mut post.new)
    }

    fn lock(&self) -> MutexGuard<'_, Post<N>> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a shard drive one of its connections, whatever else the shard may be sent.
pub(crate) trait Rouse: Send + Sync {
    /// The connection in this slot has something to do.
    fn rouse(&self, slot: usize);
}

impl<N: Send> Rouse for Mailbox<N> {
    fn rouse(&self, slot: usize) {
        let first = {
            let mut post = self.lock();
            post.woken.push(slot);
            post.woken.len() == 1
        };
        if first {
            self.shard.wake();
        }
    }
}

/// Wakes one connection of a shard: however often it is woken before it is driven, it is named once.
pub(crate) struct SlotWaker {
    mailbox: Arc<dyn Rouse>,
    slot: usize,
    named: AtomicBool,
}

impl SlotWaker {
    pub(crate) fn new(mailbox: &Arc<dyn Rouse>, slot: usize) -> Arc<Self> {
        Arc::new(Self { mailbox: Arc::clone(mailbox), slot, named: AtomicBool::new(false) })
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// The connection is driven now: what happens from here on must name it again.
    pub(crate) fn driven(&self) {
        self.named.store(false, Ordering::Release);
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.named.swap(true, Ordering::AcqRel) {
            self.mailbox.rouse(self.slot);
        }
    }
}
