//! One connection's membership in a hub: while it is held, the connection can be reached; dropped, it left everything.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::door::{Door, MemberId};
use crate::error::HubError;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::outcome::Delivery;
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
    door: Door<P>,
    /// Locked before a shard of the hub, never after.
    topics: Mutex<Topics>,
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
        Member { hub: self.clone(), door, topics: Mutex::default() }
    }
}

impl<P: Parcel> Member<P> {
    /// Names this member, for [`Hub::publish_from`].
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.door.id()
    }

    /// The queue that this member is reached by, if it is one of its own and not a shard's [`Port`].
    #[must_use]
    pub fn outbox(&self) -> Option<&Arc<Outbox<P>>> {
        match &self.door {
            Door::Outbox { outbox, .. } => Some(outbox),
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
        let mut topics = self.lock();
        if topics.contains(topic) {
            return Ok(false);
        }
        self.hub.check_room(topics.len())?;
        topics.insert(self.hub.enter(topic, &self.door));
        Ok(true)
    }

    /// Unsubscribes from a topic; `false` if it was not subscribed. A publish that began before this returned may still
    /// reach it.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        let mut topics = self.lock();
        let was = topics.remove(topic);
        if was {
            self.hub.leave(topic, &self.door);
        }
        was
    }

    /// Whether this member is subscribed to a topic. Asks nobody but the member.
    #[must_use]
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.lock().contains(topic)
    }

    /// The topics subscribed to now, in no order.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.lock().iter().cloned().collect()
    }

    /// Publishes to everyone in a topic but this member, who need not be in it.
    pub fn publish(&self, topic: &str, parcel: P) -> Delivery {
        self.hub.publish_from(self.id(), topic, parcel)
    }

    /// Publishes to every member of the hub but this one.
    pub fn publish_all(&self, parcel: P) -> Delivery {
        self.hub.publish_all_from(self.id(), parcel)
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Parcel> Drop for Member<P> {
    fn drop(&mut self) {
        for topic in self.lock().iter() {
            self.hub.leave(topic, &self.door);
        }
        self.hub.part(&self.door);
    }
}

impl<P: Parcel> fmt::Debug for Member<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id()).field("topics", &self.topics()).finish_non_exhaustive()
    }
}
