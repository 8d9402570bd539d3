//! The shard driver: one task drives very many plain sockets. Connections are small slots on a poller of the shard's own,
//! which the runtime watches through one descriptor; they share one read buffer, one output and one wheel of deadlines.
//! Per message that costs what the kernel costs and little more; per idle connection, a slot.

mod mailbox;
mod plain;
mod poller;
mod slot;
mod wheel;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use mio::{Events, Token};
use slab::Slab;
use switchboard_ws_proto::{CloseFrame, Output};
use tokio::time::Sleep;

use crate::connections::Watch;
use crate::driver::now;
use crate::metrics::{Metrics, Tally};
use crate::scratch::READ_BUFFER;
use crate::turn::Turn;

pub(crate) use self::plain::plain;
pub(crate) use self::slot::NewSlot;

use self::mailbox::Mailbox;
use self::poller::Poller;
use self::slot::{At, Next, Slot};
use self::wheel::Wheel;

/// So many events are taken from the kernel at once.
const EVENTS: usize = 1024;
/// An output that a burst has swollen beyond this is given back.
const CORK_KEPT: usize = 256 << 10;

/// A handle to a shard.
#[derive(Clone)]
pub(crate) struct Shard(Arc<Mailbox<Box<NewSlot>>>);

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shard")
    }
}

impl Shard {
    /// Spawns a shard on the runtime of the caller. It ends with the runtime.
    ///
    /// # Errors
    /// The kernel has no further poller to give.
    pub(crate) fn spawn(everyone: Watch, metrics: Arc<Metrics>) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::new());
        let driver = Driver::new(Arc::clone(&mailbox), everyone, metrics)?;
        tokio::spawn(driver.run());
        Ok(Self(mailbox))
    }

    /// Hands a connection over.
    ///
    /// # Errors
    /// The connection: the shard's runtime is gone.
    pub(crate) fn adopt(&self, new: Box<NewSlot>) -> Result<(), Box<NewSlot>> {
        self.0.adopt(new)
    }
}

struct Driver {
    poller: Poller,
    events: Events,
    slots: Slab<Slot>,
    /// Slots that may have more to read.
    ready: Vec<usize>,
    wheel: Wheel,
    sleep: Option<(Pin<Box<Sleep>>, Instant)>,
    mailbox: Arc<Mailbox<Box<NewSlot>>>,
    everyone: Watch,
    buffer: Box<[u8]>,
    /// Its output is empty between connections.
    turn: Turn,
    metrics: Arc<Metrics>,
}

impl Driver {
    fn new(mailbox: Arc<Mailbox<Box<NewSlot>>>, everyone: Watch, metrics: Arc<Metrics>) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            events: Events::with_capacity(EVENTS),
            slots: Slab::new(),
            ready: Vec::new(),
            wheel: Wheel::new(now()),
            sleep: None,
            mailbox,
            everyone,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            turn: Turn { now: now(), out: Output::new(), tally: Tally::default() },
            metrics,
        })
    }

    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// One turn over everything that has something to do, then other tasks have theirs.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(frame) = self.everyone.poll_close(cx) {
            self.close_all(&frame);
        }
        let post = self.mailbox.take(cx);
        for new in post.new {
            self.adopt(new);
        }
        let more = self.poll_kernel(cx);
        self.turn.now = now();
        for key in std::mem::take(&mut self.ready) {
            self.drive(key);
        }
        for key in post.woken {
            self.drive(key);
        }
        while let Some(key) = self.wheel.pop(self.turn.now) {
            self.time_out(key);
        }
        if self.turn.out.capacity() > CORK_KEPT {
            self.turn.out = Output::new();
        }
        self.metrics.add(&std::mem::take(&mut self.turn.tally));
        if more || !self.ready.is_empty() || self.poll_sleep(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Marks the slots that the kernel has news of. `true`: there may be more.
    fn poll_kernel(&mut self, cx: &mut Context<'_>) -> bool {
        let more = self.poller.poll(cx, &mut self.events);
        for event in &self.events {
            let Token(key) = event.token();
            let Some(slot) = self.slots.get_mut(key) else { continue };
            let hung_up = event.is_read_closed() || event.is_error();
            if event.is_readable() || hung_up {
                slot.set_readable(hung_up);
            }
            self.ready.push(key);
        }
        more
    }

    fn adopt(&mut self, new: Box<NewSlot>) {
        let (mut slot, leftover) = Slot::new(*new);
        let key = self.slots.vacant_key();
        if let Err(error) = self.poller.register(slot.source(), key) {
            slot.session.failed(error);
            slot.finish();
            return;
        }
        self.turn.now = now();
        if let Some(frame) = self.everyone.decided() {
            slot.session.start_close(&frame, self.turn.now);
        }
        self.slots.insert(slot);
        let at = At { mailbox: &self.mailbox, key };
        let next = self.slots[key].open(leftover, at, &mut self.turn);
        self.after(key, next);
    }

    fn drive(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let at = At { mailbox: &self.mailbox, key };
        let next = slot.drive(&mut self.buffer, at, &mut self.turn);
        self.after(key, next);
    }

    fn after(&mut self, key: usize, next: Next) {
        match next {
            Next::Over => return self.remove(key),
            Next::MayRead => self.ready.push(key),
            Next::Waits => {}
        }
        let slot = &mut self.slots[key];
        // The wheel is touched only when a deadline has come nearer than what it knows.
        if let Some(deadline) = slot.session.deadline()
            && slot.armed.is_none_or(|armed| deadline < armed)
        {
            slot.armed = Some(self.wheel.insert(index(key), deadline));
        }
    }

    fn time_out(&mut self, key: u32) {
        let key = key as usize;
        let now = self.turn.now;
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.armed = None;
        if slot.session.deadline().is_some_and(|deadline| deadline <= now) {
            slot.timeout(now);
            self.drive(key);
        } else {
            self.after(key, Next::Waits);
        }
    }

    fn close_all(&mut self, frame: &CloseFrame) {
        self.turn.now = now();
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.slots[key].session.start_close(frame, self.turn.now);
            self.drive(key);
        }
    }

    fn remove(&mut self, key: usize) {
        let mut slot = self.slots.remove(key);
        self.poller.deregister(slot.source());
        slot.finish();
    }

    /// Arms the timer for the wheel's next deadline.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.wheel.next() else { return Poll::Pending };
        let (sleep, at) = self.sleep.get_or_insert_with(|| (Box::pin(tokio::time::sleep_until(next.into())), next));
        if *at != next {
            sleep.as_mut().reset(next.into());
            *at = next;
        }
        sleep.as_mut().poll(cx)
    }
}

impl Drop for Driver {
    /// The runtime shuts down: sessions are told as they are dropped, and so are those that never got here.
    fn drop(&mut self) {
        drop(self.mailbox.close());
    }
}

/// A slot's key in the wheel. There are fewer descriptors than this could count.
fn index(key: usize) -> u32 {
    u32::try_from(key).expect("no process has four thousand million sockets")
}
