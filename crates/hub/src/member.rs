//! One connection's membership in a hub: while it is held, the connection can be reached; dropped, it left everything.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::HubError;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::outcome::Delivery;
use crate::parcel::Parcel;
use crate::roster::{MemberId, Seat};
use crate::topic::Topic;

/// A membership, made by [`Hub::join`]. Dropping it unsubscribes it from everything and takes it out of the hub; the
/// outbox is left as it is.
///
/// All methods take `&self` and may be called from several threads; share it by [`Arc`] where that is wanted.
pub struct Member<P: Parcel> {
    hub: Hub<P>,
    id: MemberId,
    outbox: Arc<Outbox<P>>,
    /// Locked before a shard of the hub, never after.
    topics: Mutex<HashSet<Topic>>,
}

impl<P: Parcel> Hub<P> {
    /// Makes a member that is reached by this outbox, subscribed to nothing yet. It leaves when it is dropped.
    #[must_use = "a member that is dropped has left"]
    pub fn join(&self, outbox: Arc<Outbox<P>>) -> Member<P> {
        let id = self.arrive(&outbox);
        Member { hub: self.clone(), id, outbox, topics: Mutex::default() }
    }
}

impl<P: Parcel> Member<P> {
    /// Names this member, for [`Hub::publish_from`].
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The queue that this member is reached by.
    #[must_use]
    pub fn outbox(&self) -> &Arc<Outbox<P>> {
        &self.outbox
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
        topics.insert(self.hub.enter(topic, Seat { id: self.id, outbox: Arc::clone(&self.outbox) }));
        Ok(true)
    }

    /// Unsubscribes from a topic; `false` if it was not subscribed. A publish that began before this returned may still
    /// reach it.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        let mut topics = self.lock();
        let was = topics.remove(topic);
        if was {
            self.hub.leave(topic, self.id);
        }
        was
    }

    /// The topics subscribed to now, in no order.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.lock().iter().cloned().collect()
    }

    /// Publishes to everyone in a topic but this member, who need not be in it.
    pub fn publish(&self, topic: &str, parcel: P) -> Delivery {
        self.hub.publish_from(self.id, topic, parcel)
    }

    /// Publishes to every member of the hub but this one.
    pub fn publish_all(&self, parcel: P) -> Delivery {
        self.hub.publish_all_from(self.id, parcel)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Topic>> {
        // No code that may panic runs under the lock, so a poisoned one holds nothing half done.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Parcel> Drop for Member<P> {
    fn drop(&mut self) {
        for topic in self.lock().drain() {
            self.hub.leave(&topic, self.id);
        }
        self.hub.part(self.id);
    }
}

impl<P: Parcel> fmt::Debug for Member<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("topics", &*self.lock()).finish_non_exhaustive()
    }
}
