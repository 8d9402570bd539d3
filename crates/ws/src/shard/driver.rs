//! The shard's one task: what it looks at in a turn, and in which order.

#[cfg(feature = "simulation")]
pub(super) mod simulation;

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use mio::{Events, Token};
use slab::Slab;
use switchboard_budget::Budget;
use switchboard_hub::{Port, PortLimits, Publication, SlotId};
use switchboard_ws_proto::{CloseFrame, Output};
use tokio::time::Sleep;

use crate::config::Config;
use crate::connections::Watch;
use crate::gate::PAUSE;
use crate::metrics::{Metrics, Tally};
use crate::parcel::Parcel;
use crate::scratch::{OUTPUT_KEPT, READ_BUFFER};
use crate::turn::{Place, Turn, now};

use super::handle::{Arrival, Shard};
use super::listening::{Accepted, Client, Reception};
use super::mailbox::{Mailbox, Rouse};
use super::opening::{Door, Opening, Step};
use super::poller::Poller;
use super::slot::{At, NewSlot, Next, Slot, index};
use super::wheel::{Tick, Wheel};

/// So many events are taken from the kernel at once.
const EVENTS: usize = 1024;
/// So often is what was published taken in a turn, each time all that there is.
const DELIVERIES_PER_TURN: usize = 4;
/// Keys from here on are listeners.
const LISTENERS: usize = 0xffff_0000;

/// Spawns a shard on the runtime of the caller. It ends with the runtime.
///
/// # Errors
/// The kernel has no further poller to give.
pub(crate) fn spawn(config: &Config) -> io::Result<Shard> {
    let mailbox = Arc::new(Mailbox::new());
    let driver = Driver::new(Arc::clone(&mailbox), config)?;
    tokio::spawn(driver.run());
    Ok(Shard::new(mailbox))
}

pub(super) struct Driver {
    poller: Poller,
    events: Events,
    entries: Slab<Entry>,
    receptions: Slab<Reception<Shard>>,
    /// What may have more to read, or to accept.
    ready: Vec<usize>,
    wheel: Wheel,
    sleep: Option<(Pin<Box<Sleep>>, Instant)>,
    mailbox: Arc<Mailbox<Arrival>>,
    /// The same, as connections know it.
    rouser: Arc<dyn Rouse>,
    port: Arc<Port<Parcel>>,
    publications: Vec<Publication<Parcel>>,
    /// Told apart by this are those who have a place one after another.
    generation: u32,
    everyone: Watch,
    buffer: Box<[u8]>,
    /// Its output is empty between connections.
    turn: Turn,
    metrics: Arc<Metrics>,
    budget: Budget,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all entries are open connections, and a box each is what is spared"
)]
enum Entry {
    /// `None` only while it is being driven.
    Opening(Option<Box<Opening>>),
    Open(Slot),
}

impl Driver {
    pub(super) fn new(mailbox: Arc<Mailbox<Arrival>>, config: &Config) -> io::Result<Self> {
        let port = Arc::new(Port::with_budget(PortLimits::default(), config.get_budget()));
        let place = Place { port: Arc::clone(&port), slot: SlotId { key: 0, generation: 0 } };
        Ok(Self {
            poller: Poller::new()?,
            events: Events::with_capacity(EVENTS),
            entries: Slab::new(),
            receptions: Slab::new(),
            ready: Vec::new(),
            wheel: Wheel::new(now()),
            sleep: None,
            rouser: Arc::<Mailbox<Arrival>>::clone(&mailbox),
            mailbox,
            port,
            publications: Vec::new(),
            generation: 0,
            everyone: config.connections().watch(),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            turn: Turn {
                now: now(),
                out: Output::new(),
                place: Some(place),
                delivering: false,
                tally: Tally::default(),
            },
            metrics: Arc::clone(config.get_metrics()),
            budget: config.get_budget().clone(),
        })
    }

    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// One turn over everything that has something to do, then other tasks have theirs.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn.now = now();
        if let Some(frame) = self.everyone.poll_close(cx) {
            self.close_all(&frame);
        }
        let post = self.mailbox.take(cx);
        for arrival in post.new {
            self.arrive(arrival);
        }
        let mut ready = std::mem::take(&mut self.ready);
        let more = self.poll_kernel(cx, &mut ready);
        for key in ready.drain(..) {
            self.drive(key);
        }
        for key in post.woken {
            self.drive(key);
        }
        while let Some(key) = self.wheel.pop(self.turn.now) {
            self.time_out(key as usize);
        }
        let undelivered = self.deliver(cx);
        // Its room is kept for the next turn.
        ready.append(&mut self.ready);
        self.ready = ready;
        if self.turn.out.capacity() > OUTPUT_KEPT {
            self.turn.out = Output::new();
        }
        self.metrics.add(&std::mem::take(&mut self.turn.tally));
        self.budget.relieve();
        if more || undelivered || !self.ready.is_empty() || self.poll_sleep(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Notes whom the kernel has news of. `true`: there may be more.
    fn poll_kernel(&mut self, cx: &mut Context<'_>, ready: &mut Vec<usize>) -> bool {
        let more = self.poller.poll(cx, !ready.is_empty(), &mut self.events);
        for event in &self.events {
            let Token(key) = event.token();
            let hung_up = event.is_read_closed() || event.is_error();
            match self.entries.get_mut(key) {
                Some(Entry::Open(slot)) if event.is_readable() || hung_up => slot.set_readable(hung_up),
                Some(Entry::Opening(Some(opening))) if hung_up => opening.set_hung_up(),
                _ => {}
            }
            ready.push(key);
        }
        more
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Connection(new) => self.adopt(new),
            Arrival::Client(client) => self.welcome(*client),
            Arrival::Listen(reception) => self.listen(*reception),
            Arrival::Shut(door) => self.shut(&door),
        }
    }

    fn adopt(&mut self, mut new: Box<NewSlot>) {
        let key = self.entries.vacant_key();
        if let Err(error) = self.poller.register(new.socket.source(), key) {
            new.session.enter();
            new.session.failed(error);
            new.session.finish();
            return;
        }
        self.entries.insert(Entry::Opening(None));
        self.open(key, new);
    }

    /// Takes a client in that is to say what it wants.
    fn welcome(&mut self, client: Client) {
        let Client { socket, peer, pass, door } = client;
        if door.is_shut() {
            return;
        }
        let mut opening = Box::new(Opening::new(socket, peer, pass, &door, self.turn.now));
        let key = self.entries.vacant_key();
        if let Err(error) = self.poller.register(opening.socket().source(), key) {
            tracing::warn!(%peer, %error, "a client was dropped: its socket cannot be watched");
            return;
        }
        self.arm(key, &mut opening);
        self.entries.insert(Entry::Opening(Some(opening)));
    }

    fn arm(&mut self, key: usize, opening: &mut Opening) {
        if let Some(deadline) = opening.deadline() {
            opening.armed = self.wheel.insert(index(key), self.wheel.tick_after(deadline));
        }
    }

    /// A connection takes its slot, which is there and watched.
    fn open(&mut self, key: usize, new: Box<NewSlot>) {
        self.generation = self.generation.wrapping_add(1);
        let (mut slot, first) = Slot::new(*new, self.generation);
        if let Some(frame) = self.everyone.decided() {
            slot.session.start_close(&frame, self.turn.now);
        }
        let at = At { mailbox: &self.rouser, key };
        self.turn.set_slot(slot.id(key));
        let next = slot.open(first, at, &mut self.turn);
        self.entries[key] = Entry::Open(slot);
        self.after(key, next);
    }

    fn drive(&mut self, key: usize) {
        self.drive_or_time_out(key, false);
    }

    /// `due`: a deadline of the connection has passed.
    fn drive_or_time_out(&mut self, key: usize, due: bool) {
        match self.entries.get_mut(key) {
            Some(Entry::Open(slot)) => {
                let at = At { mailbox: &self.rouser, key };
                self.turn.set_slot(slot.id(key));
                let next = slot.drive(due, &mut self.buffer, at, &mut self.turn);
                self.after(key, next);
            }
            Some(Entry::Opening(opening)) => {
                let Some(opening) = opening.take() else { return };
                let step = opening.drive(&mut self.buffer, self.turn.now, |socket| self.poller.deregister(socket));
                self.step(key, step);
            }
            None if key >= LISTENERS => self.accept(key),
            None => {}
        }
    }

    /// Writes what was published, here or elsewhere, since the last turn: to each receiver all of it at once where it
    /// is the same for all of them. `true`: there may be more. Publishers on other threads must not keep a shard from
    /// reading.
    fn deliver(&mut self, cx: &mut Context<'_>) -> bool {
        let mut publications = std::mem::take(&mut self.publications);
        let mut more = true;
        for _ in 0..DELIVERIES_PER_TURN {
            let Poll::Ready(Ok(())) = self.port.poll_take(cx, &mut publications) else {
                more = false;
                break;
            };
            self.turn.delivering = true;
            for group in publications.chunk_by(Publication::shares_receivers) {
                self.deliver_group(group);
            }
            publications.clear();
            self.turn.delivering = false;
        }
        self.publications = publications;
        more
    }

    fn deliver_group(&mut self, group: &[Publication<Parcel>]) {
        for id in group[0].members() {
            let key = id.key as usize;
            // Whoever was meant may have left, and another have its place.
            let Some(Entry::Open(slot)) = self.entries.get_mut(key) else { continue };
            if slot.id(key) != id {
                continue;
            }
            let at = At { mailbox: &self.rouser, key };
            self.turn.set_slot(id);
            let parcels =
                group.iter().filter(|publication| publication.excepted() != Some(id)).map(Publication::parcel);
            let next = slot.publish(parcels, at, &mut self.turn);
            self.after(key, next);
        }
    }

    fn after(&mut self, key: usize, next: Next) {
        let Some(Entry::Open(slot)) = self.entries.get_mut(key) else { return };
        match next {
            Next::Over => {
                slot.session.finish();
                // The poller forgets a socket that is closed, without a call for that alone.
                let gone = self.entries.remove(key);
                // What a handler does as it is dropped is its own affair too.
                if catch_unwind(AssertUnwindSafe(|| drop(gone))).is_err() {
                    tracing::error!("a handler panicked as it was dropped");
                }
                return;
            }
            Next::MayRead => self.ready.push(key),
            Next::Waits => {}
        }
        // The wheel is touched only when a deadline has come nearer than what it knows, and mostly none can have.
        if slot.armed != Tick::NEVER && slot.session.is_settled() {
            return;
        }
        if let Some(deadline) = slot.session.deadline() {
            let tick = self.wheel.tick_after(deadline);
            if tick < slot.armed {
                slot.armed = self.wheel.insert(index(key), tick);
            }
        }
    }

    fn step(&mut self, key: usize, step: Step) {
        match step {
            Step::Waits(opening) => self.entries[key] = Entry::Opening(Some(opening)),
            Step::Opened(new) => self.open(key, new),
            Step::Left => drop(self.entries.remove(key)),
        }
    }

    fn time_out(&mut self, key: usize) {
        let now = self.turn.now;
        match self.entries.get_mut(key) {
            // Nothing is ever taken out of the wheel: this may be what a former tenant of the slot has left there.
            Some(Entry::Open(slot)) if !self.wheel.has_come(slot.armed) => {}
            Some(Entry::Open(slot)) => {
                slot.armed = Tick::NEVER;
                if slot.session.deadline().is_some_and(|deadline| deadline <= now) {
                    self.drive_or_time_out(key, true);
                } else {
                    self.after(key, Next::Waits);
                }
            }
            Some(Entry::Opening(opening)) => {
                let armed = |opening: &mut Box<Opening>| self.wheel.has_come(opening.armed);
                let Some(opening) = opening.take_if(armed) else { return };
                let mut step = opening.timeout(now, |socket| self.poller.deregister(socket));
                // Its deadline is beyond the wheel.
                if let Step::Waits(opening) = &mut step {
                    self.arm(key, opening);
                }
                self.step(key, step);
            }
            None if key >= LISTENERS => self.accept(key),
            None => {}
        }
    }

    fn close_all(&mut self, frame: &CloseFrame) {
        let keys: Vec<usize> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(Entry::Open(slot)) = self.entries.get_mut(key) {
                slot.session.start_close(frame, self.turn.now);
                self.drive(key);
            }
        }
    }

    fn listen(&mut self, reception: Reception<Shard>) {
        let key = LISTENERS + self.receptions.vacant_key();
        match reception.register(|source| self.poller.register(source, key)) {
            Ok(()) => drop(self.receptions.insert(reception)),
            Err(error) => tracing::error!(%error, "a listener cannot be watched, and was closed"),
        }
    }

    /// Nobody comes in by this door any more.
    fn shut(&mut self, door: &Arc<Door>) {
        self.receptions.retain(|_, reception| !Arc::ptr_eq(&reception.door, door));
        // Who has said nothing yet will not be missed; others may finish what they have begun.
        self.entries.retain(|_, entry| match entry {
            Entry::Opening(Some(opening)) => !opening.is_idle_at(door),
            _ => true,
        });
    }

    fn accept(&mut self, key: usize) {
        let Some(reception) = self.receptions.get_mut(key - LISTENERS) else { return };
        let mut clients = Vec::new();
        match reception.accept(|client| clients.push(client)) {
            Accepted::All => {}
            Accepted::Some => self.ready.push(key),
            Accepted::Failed(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                self.wheel.insert(index(key), self.wheel.tick_after(self.turn.now + PAUSE));
            }
        }
        for client in clients {
            self.welcome(client);
        }
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
        self.port.close();
        drop(self.mailbox.close());
    }
}
