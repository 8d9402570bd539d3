//! One connection's membership in a hub: while it is held, the connection can be reached; dropped, it left everything.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::audience::Audience;
use crate::door::{Door, MemberId};
use crate::error::HubError;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::outcome::{Delivery, Pushed};
use crate::parcel::Parcel;
use crate::port::Port;
use crate::slot::SlotId;
use crate::sync::{Mutex, MutexGuard};
use crate::topic::Topic;
use crate::topics::Topics;

/// A membership, made by [`Hub::join`] or [`Hub::join_slot`]. Dropping it unsubscribes it from everything and takes it
/// out of the hub; the outbox or port is left as it is.
///
/// All methods take `&self` and may be called from several threads; share it by [`Arc`] where that is wanted. A member
/// with one topic owns no memory of its own but itself.
pub struct Member<P: Parcel> {
    hub: Hub<P>,
    /// Locked before a shard of the hub, never after.
    state: Mutex<State<P>>,
}

struct State<P: Parcel> {
    door: Door<P>,
    topics: Topics,
}

impl<P: Parcel> Hub<P> {
    /// Makes a member that is reached by this outbox, subscribed to nothing yet. It leaves when it is dropped.
    #[must_use = "a member that is dropped has left"]
    pub fn join(&self, outbox: Arc<Outbox<P>>) -> Member<P> {
        self.admit(Door::Outbox { id: self.next_id(), outbox })
    }

    /// Makes a member that is reached through a shard's port, subscribed to nothing yet. It leaves when it is dropped.
    ///
    /// What is published to it comes out of the port, with `slot` among the
    /// [receivers](crate::Publication::receivers). Publications that were made while it was a member may still come out
    /// after it left; the shard tells by the slot's generation that they are not for whoever has the place now.
    #[must_use = "a member that is dropped has left"]
    pub fn join_slot(&self, port: &Arc<Port<P>>, slot: SlotId) -> Member<P> {
        self.admit(Door::Slot { slot, port: Arc::clone(port) })
    }

    fn admit(&self, door: Door<P>) -> Member<P> {
        self.arrive(&door);
        Member { hub: self.clone(), state: Mutex::new(State { door, topics: Topics::default() }) }
    }
}

impl<P: Parcel> Member<P> {
    /// Names this member, for [`Hub::publish_from`]. It is the name of the member's door, and another one after
    /// [`relocate`](Self::relocate).
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.lock().door.id()
    }

    /// The queue that this member is reached by, if it is one of its own and not a shard's [`Port`].
    #[must_use]
    pub fn outbox(&self) -> Option<Arc<Outbox<P>>> {
        match &self.lock().door {
            Door::Outbox { outbox, .. } => Some(Arc::clone(outbox)),
            Door::Slot { .. } => None,
        }
    }

    /// The hub that this is a member of.
    #[must_use]
    pub fn hub(&self) -> &Hub<P> {
        &self.hub
    }

    /// Subscribes to a topic; `false` if it already was. Every publish that begins after this returns reaches it.
    ///
    /// # Errors
    /// [`HubError`] when the name is too long or the member has too many topics. Nothing has changed then, and the hub
    /// has [counted](Hub::counters) it.
    pub fn subscribe(&self, topic: &str) -> Result<bool, HubError> {
        self.hub.check_name(topic)?;
        let State { door, topics } = &mut *self.lock();
        if topics.contains(topic) {
            return Ok(false);
        }
        self.hub.check_room(topics.counted() + 1)?;
        topics.insert(self.hub.enter(topic, door), false);
        Ok(true)
    }

    /// Subscribes to several topics, to all of them or none; whether it was not subscribed yet, in the order of the
    /// names. Publishes of that time may reach it by some of them and not yet by others.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), which counts it once.
    pub fn subscribe_all(&self, names: &[impl AsRef<str>]) -> Result<Vec<bool>, HubError> {
        let State { door, topics } = &mut *self.lock();
        self.check(topics, names)?;
        let subscribe = |name: &str| {
            let is_new = !topics.contains(name);
            if is_new {
                topics.insert(self.hub.enter(name, door), false);
            }
            is_new
        };
        Ok(names.iter().map(AsRef::as_ref).map(subscribe).collect())
    }

    /// Whether [`subscribe_all`](Self::subscribe_all) would be refused now: for who is to know, and subscribes later.
    ///
    /// # Errors
    /// As of that, which this counts too.
    pub fn check_all(&self, names: &[impl AsRef<str>]) -> Result<(), HubError> {
        self.check(&self.lock().topics, names)
    }

    fn check(&self, topics: &Topics, names: &[impl AsRef<str>]) -> Result<(), HubError> {
        names.iter().try_for_each(|name| self.hub.check_name(name.as_ref()))?;
        let more: HashSet<&str> = names.iter().map(AsRef::as_ref).filter(|name| !topics.contains(name)).collect();
        if more.is_empty() { Ok(()) } else { self.hub.check_room(topics.counted() + more.len()) }
    }

    /// Subscribes to a topic that no limit counts: how many there are of them, and how long their names are, is the
    /// caller's to bound. `false` if it already was subscribed, counted or not.
    pub fn subscribe_exempt(&self, topic: &str) -> bool {
        let State { door, topics } = &mut *self.lock();
        let is_new = !topics.contains(topic);
        if is_new {
            topics.insert(self.hub.enter(topic, door), true);
        }
        is_new
    }

    /// [Subscribes](Self::subscribe_exempt) to a topic, and [sends](Self::send) a parcel to this member alone that
    /// comes before all that is published there from now on: in one step, so that whoever publishes because the parcel
    /// has arrived reaches the member, and nobody overtakes the parcel. The answer: whether it was not subscribed yet,
    /// and what became of the parcel. (To one that was subscribed the parcel comes after what was published before.)
    pub fn subscribe_exempt_with(&self, topic: &str, first: P) -> (bool, Pushed) {
        // Outlives the lock: its parcel may be dropped.
        let door = self.lock().door.clone();
        let first = door.offer(first);
        let (is_new, put) = {
            let State { door, topics } = &mut *self.lock();
            if topics.contains(topic) {
                (false, door.put(first))
            } else {
                let (topic, put) = self.hub.enter_with(topic, door, || door.put(first));
                topics.insert(topic, true);
                (true, put)
            }
        };
        let pushed = put.finish();
        door.relieve();
        (is_new, self.sent(pushed))
    }

    /// Unsubscribes from a topic; `false` if it was not subscribed. A publish that began before this returned may still
    /// reach it.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        let State { door, topics } = &mut *self.lock();
        let was = topics.remove(topic);
        if was {
            self.hub.leave(topic, door);
        }
        was
    }

    /// Whether this member is subscribed to a topic. Asks nobody but the member.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.lock().topics.contains(topic)
    }

    /// The topics subscribed to now, in no order.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.lock().topics.iter().cloned().collect()
    }

    /// Publishes to everyone in a topic but this member, who need not be in it.
    pub fn publish(&self, topic: &str, parcel: P) -> Delivery {
        self.publish_to(&Audience::topics(&[topic]), parcel)
    }

    /// Publishes to every member of the hub but this one.
    pub fn publish_all(&self, parcel: P) -> Delivery {
        self.publish_to(&Audience::everyone(), parcel)
    }

    /// Publishes to an audience but for this member, in place of whom the audience [skips](Audience::skip). Unlike
    /// [`Hub::publish_to`] with this member's [name](Self::id) it knows the name of the very moment, also beside a
    /// [`relocate`](Self::relocate).
    pub fn publish_to(&self, audience: &Audience<'_>, parcel: P) -> Delivery {
        let (id, moment) = {
            let state = self.lock();
            (state.door.id(), self.hub.snapshots(audience))
        };
        self.hub.tally(moment.deliver(Some(id), parcel))
    }

    /// Sends a parcel to this member alone, by its door: into its outbox by [`push`](Outbox::push), or through the port
    /// of its shard, as a publication for one. So it keeps its order with what the same thread publishes. Of a member
    /// of a port the answer says only whether the port took it: `Sent`, `Dropped` or `Closed`. What was thrown away is
    /// [counted](Hub::counters).
    pub fn send(&self, parcel: P) -> Pushed {
        let door = self.lock().door.clone();
        self.sent(door.push(parcel))
    }

    /// Whether something that was sent or published to this member may be on its way: in its outbox, or in the port of
    /// its shard, where it may as well be for others. What the calling thread has published itself is always counted.
    #[must_use]
    pub fn has_undelivered(&self) -> bool {
        match &self.lock().door {
            Door::Outbox { outbox, .. } => !outbox.is_empty(),
            Door::Slot { port, .. } => !port.is_empty(),
        }
    }

    /// Gives the member another outbox to be reached by, in place of the outbox or the port that it has. It keeps all
    /// its topics. Each publish goes to exactly one of the two doors, and one that begins after this returns goes to
    /// the new one; the old outbox, with what is in it, is left as it is.
    ///
    /// The member's [name](Self::id) is another one afterwards. All topics of the member wait meanwhile, which takes a
    /// binary search for each of them.
    pub fn relocate(&self, outbox: Arc<Outbox<P>>) {
        self.move_to(Door::Outbox { id: self.hub.next_id(), outbox });
    }

    /// Has the outbox that this member was reached by before it [moved](Self::relocate) take nothing more, and pass on
    /// to the member's door of now what is still pushed there, by publishers who began before the move. So whoever
    /// sends on what the outbox holds after this, and before what comes by the new door, keeps the order of each
    /// publisher.
    ///
    /// The outbox should have been this member's alone, and not be given to a member again. No effect on one that is
    /// closed, or that is the member's door.
    pub fn inherit(&self, old: &Outbox<P>) {
        let door = self.lock().door.clone();
        if !door.is(old) {
            old.pass_on(Arc::new(move |parcel| door.push(parcel)));
        }
    }

    /// As [`relocate`](Self::relocate), to a slot of a shard. What came through the old port may still come out of it,
    /// for the old slot.
    pub fn relocate_slot(&self, port: &Arc<Port<P>>, slot: SlotId) {
        self.move_to(Door::Slot { slot, port: Arc::clone(port) });
    }

    fn sent(&self, pushed: Pushed) -> Pushed {
        let mut delivery = Delivery::default();
        delivery.count(pushed, 1);
        self.hub.record(delivery);
        pushed
    }

    fn move_to(&self, door: Door<P>) {
        let mut state = self.lock();
        self.hub.exchange(state.topics.iter(), &state.door, &door);
        let old = std::mem::replace(&mut state.door, door);
        drop(state);
        // It may be the last that holds the outbox: parcels are not dropped under a lock.
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Parcel> Drop for Member<P> {
    fn drop(&mut self) {
        let State { door, topics } = &*self.lock();
        for topic in topics.iter() {
            self.hub.leave(topic, door);
        }
        self.hub.part(door);
    }
}

impl<P: Parcel> fmt::Debug for Member<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id()).field("topics", &self.topics()).finish_non_exhaustive()
    }
}
