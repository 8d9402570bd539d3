//! A socket as a namespace keeps it: who it is, how it is reached, what it listens to and what it still owes.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use smallvec::SmallVec;
use switchboard_hub::HubError;
use switchboard_io_proto::engine::Sid;
use switchboard_io_proto::socket::{AckId, Acks, Args, Name, Refused, Value};
use switchboard_ws::BudgetPart;

use crate::engine::{Limit, Session};
use crate::error::EmitError;
use crate::in_place::InFlight;
use crate::listeners::Listeners;
use crate::room;
use crate::seats::Seats;
use crate::space::Space;
use crate::waiter::Waiter;
use crate::watch::{Joined, RoomEvent};

pub(crate) struct Peer {
    /// Known to everyone who hears of this socket, unlike the session's.
    pub(crate) id: Name,
    /// The secret by which its client may come back.
    pub(crate) pid: Option<Sid>,
    pub(crate) session: Session,
    /// Its client's.
    seats: Weak<Seats<Self>>,
    /// Shared with its client's sockets in other namespaces.
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) space: Arc<Space<Self>>,
    /// What the client said for itself: one object, or nothing.
    pub(crate) auth: Args,
    pub(crate) recovered: bool,
    pub(crate) listeners: Listeners<Self>,
    stage: AtomicU8,
    /// Whether it is in the room that bears its id. Changed under the lock of `more`.
    in_own_room: AtomicBool,
    /// Whether it has left all its rooms, for good: they are the session's, and may be its follower's by now. Changed
    /// under the lock of `more`, under which it joins and leaves.
    has_left: AtomicBool,
    /// What the client is known to have received of what can be recovered.
    pub(crate) confirmed: AtomicU64,
    more: Mutex<Option<Box<More>>>,
}

/// How far a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Connected,
    Disconnected,
}

/// What many sockets have not.
#[derive(Default)]
struct More {
    data: Value,
    extensions: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    acks: Option<Acks<Waiter>>,
    /// The rooms of one that comes back, until it is welcomed: it is in there, but is not reached there. What is said
    /// there meanwhile is given to it with what it missed, after all that was said before, and once.
    coming: Option<BTreeSet<Name>>,
}

impl Peer {
    pub(crate) fn new(
        id: Name,
        pid: Option<Sid>,
        session: Session,
        seats: Weak<Seats<Self>>,
        in_flight: Arc<InFlight>,
        space: Arc<Space<Self>>,
        auth: Args,
    ) -> Self {
        session.core().budget().take(BudgetPart::Connections, auth.bytes());
        Self {
            id,
            pid,
            session,
            seats,
            in_flight,
            space,
            auth,
            recovered: false,
            listeners: Listeners::default(),
            stage: AtomicU8::new(0),
            in_own_room: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            confirmed: AtomicU64::new(0),
            more: Mutex::default(),
        }
    }

    /// It was here before, with this and in these rooms.
    pub(crate) fn come_back(&mut self, data: Value, rooms: &[Name]) {
        self.recovered = true;
        let mut more = self.more();
        let more = more.get_or_insert_default();
        (more.data, more.coming) = (data, Some(rooms.iter().cloned().collect()));
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Connecting,
            1 => Stage::Connected,
            _ => Stage::Disconnected,
        }
    }

    /// `false` if it was disconnected meanwhile. Who is welcomed holds the lock of the [roll](Space::roll) from here
    /// until it is in: whoever disconnects it does so before all of that, or after.
    pub(crate) fn set_connected(&self) -> bool {
        self.stage.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// How far it was; whoever finds it connected has to see it off.
    pub(crate) fn set_disconnected(&self) -> Stage {
        let _roll = self.space.roll();
        match self.stage.swap(2, Ordering::AcqRel) {
            0 => Stage::Connecting,
            1 => Stage::Connected,
            _ => Stage::Disconnected,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.stage() == Stage::Connected
    }

    /// Its client's sockets in all namespaces.
    pub(crate) fn all_of_client(&self) -> SmallVec<[Arc<Self>; 1]> {
        self.seats.upgrade().map_or_else(SmallVec::new, |seats| seats.all())
    }

    /// Its client has it no longer, and may come again. To be called when it has left all else.
    pub(crate) fn leave_seat(self: &Arc<Self>) {
        let seats = self.seats.upgrade();
        if let Some(next) = seats.and_then(|seats| seats.leave(self, self.space.settings.max_namespaces)) {
            next();
        }
    }

    // Rooms.

    /// Joins all of them, or none. One that has left joins nothing.
    pub(crate) fn join(&self, rooms: &[Name]) -> Result<(), HubError> {
        let joined = self.join_untold(rooms)?;
        rooms.iter().zip(joined).for_each(|(room, joined)| self.tell_joined(room, joined));
        Ok(())
    }

    /// Joins all of them or none, and leaves it to the caller to [tell](Self::tell_joined) those who watch: they run
    /// what an application likes, which must not be under a lock. Of nothing that is to be told there may be nothing in
    /// the answer.
    fn join_untold(&self, rooms: &[Name]) -> Result<Vec<Joined>, HubError> {
        self.join_those(rooms, || self.subscribe(rooms))
    }

    /// Has `subscribe` join rooms, and finds out what there is to tell of that.
    fn join_those(
        &self,
        rooms: &[Name],
        subscribe: impl FnOnce() -> Result<Vec<bool>, HubError>,
    ) -> Result<Vec<Joined>, HubError> {
        let space = &*self.space;
        if space.watchers.is_empty() {
            return subscribe().map(|_| Vec::new());
        }
        let _changing = space.watchers.changing();
        let were_empty: Vec<bool> = rooms.iter().map(|room| count_in(space, room) == 0).collect();
        let joined = subscribe()?.into_iter().zip(were_empty).map(|(is_new, was_empty)| match (is_new, was_empty) {
            (true, true) => Joined::First,
            (true, false) => Joined::Later,
            (false, _) => Joined::Untold,
        });
        Ok(joined.collect())
    }

    /// Whether it is reached in each from now on, and was not before.
    fn subscribe(&self, rooms: &[Name]) -> Result<Vec<bool>, HubError> {
        let member = self.session.member();
        let topics: Vec<String> = self.but_own(rooms).map(|room| self.topic(room)).collect();
        let mut more = self.more();
        if self.has_left() {
            return Ok(vec![false; rooms.len()]);
        }
        if let Some(coming) = coming(&mut more) {
            let is_new = |room: &&Name| !coming.contains(*room) && !member.is_subscribed(&self.topic(room));
            let new: Vec<&Name> = self.but_own(rooms).filter(is_new).collect();
            if !new.is_empty() {
                let topics: Vec<String> = coming.iter().chain(new.iter().copied()).map(|it| self.topic(it)).collect();
                member.check_all(&topics)?;
                coming.extend(new.into_iter().cloned());
            }
            return Ok(vec![false; rooms.len()]);
        }
        let mut subscribed = member.subscribe_all(&topics)?.into_iter();
        let enter_own = || !self.in_own_room.swap(true, Ordering::AcqRel);
        let is_new = |room: &Name| if self.is_own(room) { enter_own() } else { subscribed.next() == Some(true) };
        Ok(rooms.iter().map(is_new).collect())
    }

    /// Who comes back is reached in its rooms from now on. What there is to tell of each.
    pub(crate) fn enter_untold(&self) -> Vec<(Name, Joined)> {
        let mut entered = Vec::new();
        while let Some(room) = self.next_coming() {
            let subscribe = || {
                let mut more = self.more();
                // Unless it has left it since. There is a place for it: it was in all of them before, or was told when
                // it joined. If another of its client's namespaces took that meanwhile, the hub counts it.
                let is_in = coming(&mut more).is_some_and(|coming| coming.remove(&room));
                Ok(vec![is_in && self.session.member().subscribe(&self.topic(&room)) == Ok(true)])
            };
            let told = self.join_those(std::slice::from_ref(&room), subscribe).unwrap_or_default().first().copied();
            entered.extend(told.map(|told| (room, told)));
        }
        entered
    }

    /// A room in which it is not reached yet. `None`: there is none any more, nor will be.
    fn next_coming(&self) -> Option<Name> {
        let mut more = self.more();
        let next = coming(&mut more)?.first().cloned();
        if let (None, Some(more)) = (&next, more.as_mut()) {
            more.coming = None;
        }
        next
    }

    /// Joins the room that bears its id, as everyone does who is let in.
    pub(crate) fn join_own_untold(&self) -> Joined {
        let joined = self.join_untold(std::slice::from_ref(&self.id)).ok();
        joined.and_then(|joined| joined.first().copied()).unwrap_or(Joined::Untold)
    }

    pub(crate) fn tell_joined(&self, name: &str, joined: Joined) {
        if joined == Joined::Untold {
            return;
        }
        for watcher in self.space.watchers.all() {
            if joined == Joined::First {
                watcher.tell(RoomEvent::Create(name));
            }
            watcher.tell(RoomEvent::Join(name, &self.id));
        }
    }

    /// One that has left everything leaves nothing more.
    pub(crate) fn leave(&self, name: &str) {
        self.leave_those(|more| {
            // Those who watch were not told of it yet.
            if let Some(coming) = coming(more) {
                coming.remove(name);
            }
            let is_in = !self.has_left() && self.take_out(name);
            is_in.then(|| Name::from(name)).into_iter().collect()
        });
    }

    /// Leaves everything in this namespace, for good. When this returns it has, also if another thread was about it.
    pub(crate) fn leave_all(&self) {
        self.leave_those(|more| {
            if self.has_left.swap(true, Ordering::AcqRel) {
                return Vec::new();
            }
            if let Some(more) = more {
                more.coming = None;
            }
            self.session.member().unsubscribe(&self.space.everyone);
            let rooms = self.topics().into_iter().chain([self.id.clone()]);
            rooms.filter(|room| self.take_out(room)).collect()
        });
    }

    /// Has `leave` leave rooms, under the lock of `more`, and tells those who watch of which those were.
    fn leave_those(&self, leave: impl FnOnce(&mut Option<Box<More>>) -> Vec<Name>) {
        let space = &*self.space;
        let leave = || leave(&mut self.more());
        let watchers = space.watchers.all();
        if watchers.is_empty() {
            leave();
            return;
        }
        let left: Vec<(Name, bool)> = {
            let _changing = space.watchers.changing();
            let is_empty = |room: &Name| count_in(space, room) == 0;
            leave().into_iter().map(|room| (room.clone(), is_empty(&room))).collect()
        };
        for watcher in watchers {
            for (room, is_empty) in &left {
                watcher.tell(RoomEvent::Leave(room, &self.id));
                if *is_empty {
                    watcher.tell(RoomEvent::Delete(room));
                }
            }
        }
    }

    /// Whether it was in there. Under the lock of `more`.
    fn take_out(&self, room: &str) -> bool {
        let unsubscribed = self.session.member().unsubscribe(&self.topic(room));
        if self.is_own(room) { self.in_own_room.swap(false, Ordering::AcqRel) } else { unsubscribed }
    }

    /// The rooms that it is in, its own first.
    pub(crate) fn rooms(&self) -> Vec<Name> {
        let own = self.is_in_own_room().then(|| self.id.clone());
        own.into_iter().chain(self.joined()).collect()
    }

    /// The rooms that it joined, without the one that bears its id.
    pub(crate) fn joined(&self) -> Vec<Name> {
        let mut more = self.more();
        if self.has_left() {
            return Vec::new();
        }
        let coming = coming(&mut more).into_iter().flat_map(|coming| coming.iter().cloned());
        self.topics().into_iter().chain(coming).collect()
    }

    /// The rooms of its session in this namespace, without the one that bears its id.
    fn topics(&self) -> Vec<Name> {
        let topics = self.session.member().topics();
        let rooms = topics.iter().filter_map(|topic| room::of_topic(&self.space.name, topic));
        rooms.filter(|room| !self.is_own(room)).map(Name::from).collect()
    }

    fn topic(&self, room: &str) -> String {
        room::topic(&self.space.name, room)
    }

    fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    // The room that bears its id. It is in there as in any other room, but the hub knows only once somebody needs that:
    // most are never spoken to but alone.

    pub(crate) fn is_in_own_room(&self) -> bool {
        self.in_own_room.load(Ordering::Acquire)
    }

    /// Has the hub know, if it is in.
    pub(crate) fn make_own_room(&self) {
        let _changing = self.more();
        if self.is_in_own_room() {
            self.session.member().subscribe_exempt(&self.topic(&self.id));
        }
    }

    fn is_own(&self, room: &str) -> bool {
        *self.id == *room
    }

    fn but_own<'r>(&self, rooms: &'r [Name]) -> impl Iterator<Item = &'r Name> {
        rooms.iter().filter(|room| !self.is_own(room))
    }

    // Acks.

    /// Waits for an answer of this socket.
    pub(crate) fn expect_ack(&self, id: AckId, waiter: Waiter) -> Result<(), (EmitError, Waiter)> {
        let limit = self.space.settings.max_acks;
        let mut more = self.more();
        // Looked at under the lock, under which the disconnected are seen off.
        if self.stage() == Stage::Disconnected {
            return Err((EmitError::Disconnected, waiter));
        }
        let acks = more.get_or_insert_default().acks.get_or_insert_with(|| Acks::new(limit));
        acks.insert(id, waiter).map_err(|refused| {
            self.session.hit(Limit::Acks);
            let (Refused::Full(waiter) | Refused::Taken(waiter)) = refused;
            (EmitError::TooManyAcks, waiter)
        })
    }

    /// Whoever waits for it does so no longer.
    pub(crate) fn take_ack(&self, id: AckId) -> Option<Waiter> {
        self.more().as_mut().and_then(|more| more.acks.as_mut()?.remove(id))
    }

    /// An answer has come.
    pub(crate) fn acked(&self, id: AckId, args: Args) {
        match self.take_ack(id) {
            Some(waiter) => waiter.tell(args),
            None => self.space.polls.answer(id, &self.id, args),
        }
    }

    /// Nothing is heard of it any more: those who wait for it are told, and listeners, which may own it, are dropped.
    pub(crate) fn retire(&self) {
        let acks = self.more().as_mut().and_then(|more| more.acks.take());
        drop(acks);
        let onlookers = self.listeners.remove_onlookers();
        self.space.onlookers.fetch_sub(onlookers, Ordering::Relaxed);
        self.listeners.clear();
    }

    // Data.

    pub(crate) fn data(&self) -> Value {
        self.more().as_ref().map_or(Value::Null, |more| more.data.clone())
    }

    pub(crate) fn set_data(&self, data: Value) {
        let old = std::mem::replace(&mut self.more().get_or_insert_default().data, data);
        drop(old);
    }

    pub(crate) fn extension(&self, kind: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.more().as_ref()?.extensions.get(&kind).cloned()
    }

    pub(crate) fn set_extension(&self, kind: TypeId, value: Arc<dyn Any + Send + Sync>) {
        let old = self.more().get_or_insert_default().extensions.insert(kind, value);
        drop(old);
    }

    fn more(&self) -> MutexGuard<'_, Option<Box<More>>> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rooms of one that comes back, until it is reached there.
fn coming(more: &mut Option<Box<More>>) -> Option<&mut BTreeSet<Name>> {
    more.as_mut()?.coming.as_mut()
}

/// How many are in a room, whether or not the hub knows of the one whose id it bears.
pub(crate) fn count_in(space: &Space<Peer>, room: &str) -> usize {
    let topic = room::topic(&space.name, room);
    let known = space.hub.count(&topic);
    let is_unknown = |owner: Arc<Peer>| owner.is_in_own_room() && !owner.session.member().is_subscribed(&topic);
    known + usize::from(space.owner(room).is_some_and(is_unknown))
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.session.core().budget().give(BudgetPart::Connections, self.auth.bytes());
        // Its client has gone before it was decided whether to let it in.
        if self.stage() == Stage::Connecting {
            self.space.guest_left();
        }
    }
}
