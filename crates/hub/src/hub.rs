//! Who is subscribed to what, and publishing to them. Topics are spread over shards by a hash of their name; a shard is
//! locked to find or change a topic's roster, never while parcels are pushed.

use std::array;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crate::audience::Audience;
use crate::door::{Door, MemberId};
use crate::error::HubError;
use crate::limits::HubLimits;
use crate::outcome::Delivery;
use crate::parcel::Parcel;
use crate::roster::{Roster, Snapshot};
use crate::selection::Moment;
use crate::sync::{AtomicU64, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::topic::Topic;

/// Enough that threads which join and leave different topics seldom meet. A model has one: which topics share a lock is
/// random, and a model must be able to do the same thing twice.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// Knows which members there are and what they subscribed to. A clone is another handle to the same hub.
///
/// **Publishing** never waits: each outbox takes the parcel or applies its [policy](crate::Overflow), and each
/// [`Port`](crate::Port) takes one entry for all of its members. It may be done from any thread. What one thread
/// publishes to a topic reaches each member in that order; publishes of different threads may reach different members
/// in different orders. A publish goes to those who are subscribed at one moment during the call. Members whose outbox
/// or port is closed are skipped.
///
/// **What it costs.** A publish takes a snapshot of the topic's members, by a reference count, then one step per outbox
/// and one per port. Joining and leaving take a binary search. While snapshots are out (during a publish, and for ports
/// until the shard has delivered), a change of members copies the 256 of them that it concerns and a list of all such
/// chunks; the rest stays shared. So after every publish to a topic of 100,000, the first change costs 10 to 20
/// microseconds more, and further ones less than one.
///
/// **What it holds.** A member that joined by [`join_slot`](Self::join_slot) and subscribed to one topic costs about 85
/// bytes in all, itself included, if others share the topic, and 360 if it is alone in it.
///
/// **Topics** exist while someone is subscribed: the first subscriber makes one, the last one to leave removes it.
///
/// No code of the user's (parcels, wakers) runs under a lock of the hub.
pub struct Hub<P: Parcel> {
    inner: Arc<Inner<P>>,
}

struct Inner<P: Parcel> {
    limits: HubLimits,
    /// Seeded at random, so that clients who choose topics cannot aim at one shard.
    hasher: RandomState,
    /// Whoever needs several of them at a time locks them in this order, and `everyone` after them.
    shards: [RwLock<Shard<P>>; SHARDS],
    everyone: RwLock<Roster<P>>,
    next_id: AtomicU64,
    counts: Counts,
}

type Shard<P> = HashMap<Topic, Roster<P>>;

#[derive(Default)]
struct Counts {
    dropped: AtomicU64,
    overflowed: AtomicU64,
    topic_too_long: AtomicU64,
    too_many_topics: AtomicU64,
}

/// How often a limit has bitten since the hub was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Published parcels that a full outbox refused, or a full port for each of its members ([`Delivery::dropped`]),
    /// and what was [recorded](Hub::record) as such. What an outbox dropped of its older parcels is in
    /// [`Outbox::dropped`](crate::Outbox::dropped).
    pub dropped: u64,
    /// Members whose outbox a publish overflowed ([`Delivery::overflowed`]), and what was recorded as such.
    pub overflowed: u64,
    /// Subscriptions refused by [`HubLimits::topic_bytes`].
    pub topic_too_long: u64,
    /// Subscriptions refused by [`HubLimits::topics_per_member`].
    pub too_many_topics: u64,
}

impl<P: Parcel> Hub<P> {
    /// A hub without members. [`Hub::default`] makes one with the default limits.
    #[must_use]
    pub fn new(limits: HubLimits) -> Self {
        Self {
            inner: Arc::new(Inner {
                limits,
                hasher: RandomState::new(),
                shards: Default::default(),
                everyone: RwLock::default(),
                next_id: AtomicU64::new(0),
                counts: Counts::default(),
            }),
        }
    }

    /// Publishes to everyone in a topic.
    pub fn publish(&self, topic: &str, parcel: P) -> Delivery {
        self.deliver_topic(None, topic, parcel)
    }

    /// Publishes to everyone in a topic but one member, who need not be in it.
    pub fn publish_from(&self, from: MemberId, topic: &str, parcel: P) -> Delivery {
        self.deliver_topic(Some(from), topic, parcel)
    }

    /// Publishes to every member, subscribed to something or not.
    pub fn publish_all(&self, parcel: P) -> Delivery {
        self.deliver_all(None, parcel)
    }

    /// Publishes to every member but one.
    pub fn publish_all_from(&self, from: MemberId, parcel: P) -> Delivery {
        self.deliver_all(Some(from), parcel)
    }

    /// Publishes to those in several topics, to each of them once. What holds for a publish to one topic holds for
    /// this: it goes to those who are in the audience at one moment.
    ///
    /// An audience of one topic (or of everyone) without exceptions costs what [`publish_from`](Self::publish_from)
    /// costs. Others are worked out anew with each publish, in time that grows with the members of the topics that are
    /// included, and each port is given a list of its own.
    pub fn publish_to(&self, audience: &Audience<'_>, parcel: P) -> Delivery {
        self.tally(self.snapshots(audience).deliver(audience.skip, parcel))
    }

    /// Names those who are in an audience now, in no order.
    #[must_use]
    pub fn members_of(&self, audience: &Audience<'_>) -> Vec<MemberId> {
        self.snapshots(audience).ids(audience.skip)
    }

    /// How many are in an audience now. Takes the time of a [publish](Self::publish_to) to it, but that nothing is
    /// published.
    #[must_use]
    pub fn count_of(&self, audience: &Audience<'_>) -> usize {
        self.snapshots(audience).count(audience.skip)
    }

    /// Counts what became of published parcels after a [`Port`](crate::Port) took them: `dropped` and `overflowed` are
    /// added to the [counters](Self::counters). A shard calls this when it has something to tell, say once per turn.
    pub fn record(&self, later: Delivery) {
        count(&self.inner.counts.dropped, later.dropped);
        count(&self.inner.counts.overflowed, later.overflowed);
    }

    /// How many members are subscribed to a topic now.
    #[must_use]
    pub fn count(&self, topic: &str) -> usize {
        read(self.shard(topic)).get(topic).map_or(0, Roster::len)
    }

    /// How many members there are now.
    #[must_use]
    pub fn members(&self) -> usize {
        read(&self.inner.everyone).len()
    }

    /// How many topics have subscribers now.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.inner.shards.iter().map(|shard| read(shard).len()).sum()
    }

    /// How often a limit has bitten.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let Counts { dropped, overflowed, topic_too_long, too_many_topics } = &self.inner.counts;
        Counters {
            dropped: dropped.load(Ordering::Relaxed),
            overflowed: overflowed.load(Ordering::Relaxed),
            topic_too_long: topic_too_long.load(Ordering::Relaxed),
            too_many_topics: too_many_topics.load(Ordering::Relaxed),
        }
    }

    /// The bounds that were given to [`new`](Self::new).
    #[must_use]
    pub fn limits(&self) -> HubLimits {
        self.inner.limits
    }
}

/// What a member sees.
impl<P: Parcel> Hub<P> {
    pub(crate) fn check_name(&self, topic: &str) -> Result<(), HubError> {
        let limit = self.inner.limits.topic_bytes;
        if topic.len() > limit {
            count(&self.inner.counts.topic_too_long, 1);
            return Err(HubError::TopicTooLong { bytes: topic.len(), limit });
        }
        Ok(())
    }

    /// Whether a member may have so many topics.
    pub(crate) fn check_room(&self, topics: usize) -> Result<(), HubError> {
        let limit = self.inner.limits.topics_per_member;
        if topics > limit {
            count(&self.inner.counts.too_many_topics, 1);
            return Err(HubError::TooManyTopics { limit });
        }
        Ok(())
    }

    /// Adds a member to a topic that it is not in, and returns the hub's own copy of the name.
    pub(crate) fn enter(&self, topic: &str, door: &Door<P>) -> Topic {
        self.enter_with(topic, door, || ()).0
    }

    /// The same, and does something at the moment of the change: after every publish that misses the member, and before
    /// any that reaches it. That runs under the lock.
    pub(crate) fn enter_with<R>(&self, topic: &str, door: &Door<P>, first: impl FnOnce() -> R) -> (Topic, R) {
        let mut shard = write(self.shard(topic));
        let name = shard.get_key_value(topic).map_or_else(|| Topic::from(topic), |(name, _)| name.clone());
        shard.entry(name.clone()).or_default().insert(door);
        (name, first())
    }

    /// Removes a member from a topic, and the topic with its last member.
    pub(crate) fn leave(&self, topic: &str, door: &Door<P>) {
        let mut shard = write(self.shard(topic));
        let Some(roster) = shard.get_mut(topic) else { return };
        roster.remove(door);
        if roster.is_empty() {
            shard.remove(topic);
        }
    }

    /// A number for a member that has none of its own.
    pub(crate) fn next_id(&self) -> u64 {
        self.inner.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a member that is subscribed to nothing yet.
    pub(crate) fn arrive(&self, door: &Door<P>) {
        write(&self.inner.everyone).insert(door);
    }

    /// Removes a member that has left its topics.
    pub(crate) fn part(&self, door: &Door<P>) {
        write(&self.inner.everyone).remove(door);
    }

    /// Gives a member of these topics another door, in all of them at the same moment: an audience of several topics
    /// must not find it by both doors, nor by neither.
    pub(crate) fn exchange<'t>(&self, topics: impl Iterator<Item = &'t Topic> + Clone, old: &Door<P>, new: &Door<P>) {
        let places = self.places(topics.clone().map(Topic::as_str));
        let mut shards =
            array::from_fn::<_, SHARDS, _>(|place| places[place].then(|| write(&self.inner.shards[place])));
        let mut everyone = write(&self.inner.everyone);
        for topic in topics {
            let shard = shards[self.place(topic)].as_mut();
            if let Some(roster) = shard.and_then(|shard| shard.get_mut(topic)) {
                roster.exchange(old, new);
            }
        }
        everyone.exchange(old, new);
    }

    /// The rosters of an audience at one moment.
    pub(crate) fn snapshots(&self, audience: &Audience<'_>) -> Moment<P> {
        let snapshot = |topic: &str| read(self.shard(topic)).get(topic).map(Roster::snapshot);
        match (audience.include, audience.except) {
            (Some([topic]), []) => Moment::One(snapshot(topic)),
            (None, []) => Moment::One(Some(read(&self.inner.everyone).snapshot())),
            (include, except) => self.snapshots_of_several(include, except),
        }
    }

    fn snapshots_of_several(&self, include: Option<&[&str]>, except: &[&str]) -> Moment<P> {
        let places = self.places(include.unwrap_or_default().iter().chain(except).copied());
        let shards = array::from_fn::<_, SHARDS, _>(|place| places[place].then(|| read(&self.inner.shards[place])));
        let snapshots = |topics: &[&str]| -> Vec<Snapshot<P>> {
            let roster = |topic: &&str| shards[self.place(topic)].as_ref()?.get(*topic).map(Roster::snapshot);
            topics.iter().filter_map(roster).collect()
        };
        let everyone = || vec![read(&self.inner.everyone).snapshot()];
        Moment::of_several(include.map_or_else(everyone, snapshots), snapshots(except))
    }

    /// Where the shards of these topics are.
    fn places<'t>(&self, topics: impl Iterator<Item = &'t str>) -> [bool; SHARDS] {
        let mut places = [false; SHARDS];
        topics.for_each(|topic| places[self.place(topic)] = true);
        places
    }

    fn shard(&self, topic: &str) -> &RwLock<Shard<P>> {
        &self.inner.shards[self.place(topic)]
    }

    fn place(&self, topic: &str) -> usize {
        let hash = self.inner.hasher.hash_one(topic);
        // The remainder is below `SHARDS`, so it fits whatever the width of `usize`.
        #[expect(clippy::cast_possible_truncation, reason = "below SHARDS")]
        let place = (hash % SHARDS as u64) as usize;
        place
    }

    fn deliver_topic(&self, except: Option<MemberId>, topic: &str, parcel: P) -> Delivery {
        // By a name: in place it would be gone with its line, for Rust 1.88.
        let topics = [topic];
        let audience = Audience { include: Some(&topics), except: &[], skip: except };
        self.publish_to(&audience, parcel)
    }

    fn deliver_all(&self, except: Option<MemberId>, parcel: P) -> Delivery {
        self.publish_to(&Audience { skip: except, ..Audience::everyone() }, parcel)
    }

    pub(crate) fn tally(&self, delivery: Delivery) -> Delivery {
        self.record(delivery);
        delivery
    }
}

/// Counts for statistics: nothing is ordered by these. Nothing to count, the usual case, touches no shared memory.
fn count(counter: &AtomicU64, more: usize) {
    if more > 0 {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}

// No code that may panic runs under these locks, so a poisoned one holds nothing half done.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Parcel> Clone for Hub<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P: Parcel> Default for Hub<P> {
    fn default() -> Self {
        Self::new(HubLimits::default())
    }
}

impl<P: Parcel> fmt::Debug for Hub<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("members", &self.members())
            .field("topics", &self.topics())
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}
