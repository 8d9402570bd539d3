//! Joining, subscribing, publishing and leaving, and what each is told.

use std::sync::Arc;

use switchboard_hub::{Counters, Delivery, Hub, HubError, HubLimits, Member, Outbox, Overflow, Parcel, Topic};

use crate::support::{Word, drain, outbox, own, word};

fn join(hub: &Hub<Word>) -> Member<Word> {
    hub.join(outbox(10, 1000, Overflow::Close))
}

fn heard(member: &Member<Word>) -> Vec<String> {
    drain(&own(member))
}

fn reached(members: usize) -> Delivery {
    Delivery { reached: members, ..Delivery::default() }
}

#[test]
fn a_topic_reaches_its_subscribers_and_nobody_else() {
    let hub = Hub::default();
    let (ann, ben, cem) = (join(&hub), join(&hub), join(&hub));
    assert_eq!(ann.subscribe("news"), Ok(true));
    assert_eq!(ben.subscribe("news"), Ok(true));
    assert_eq!(cem.subscribe("sport"), Ok(true));
    assert_eq!(hub.publish("news", word("hello")), reached(2));
    assert_eq!(hub.publish("nothing", word("lost")), reached(0));
    assert_eq!([heard(&ann), heard(&ben), heard(&cem)], [vec!["hello"], vec!["hello"], vec![]]);
}

#[test]
fn the_publisher_can_be_left_out() {
    let hub = Hub::default();
    let (ann, ben, cem) = (join(&hub), join(&hub), join(&hub));
    ann.subscribe("news").unwrap();
    ben.subscribe("news").unwrap();
    assert_eq!(ann.publish("news", word("by ann")), reached(1));
    assert_eq!(hub.publish_from(ben.id(), "news", word("by ben")), reached(1));
    assert_eq!(cem.publish("news", word("by cem")), reached(2), "who publishes need not be subscribed");
    assert_eq!([heard(&ann), heard(&ben)], [["by ben", "by cem"], ["by ann", "by cem"]]);
    assert_eq!(hub.publish_all(word("all")), reached(3));
    assert_eq!(cem.publish_all(word("all but cem")), reached(2));
    assert_eq!(hub.publish_all_from(ann.id(), word("all but ann")), reached(2));
    assert_eq!(heard(&ann), ["all", "all but cem"]);
    assert_eq!(heard(&cem), ["all", "all but ann"]);
}

#[test]
fn subscribing_twice_is_once() {
    let hub = Hub::default();
    let ann = join(&hub);
    assert_eq!(ann.subscribe("news"), Ok(true));
    assert_eq!(ann.subscribe("news"), Ok(false));
    assert_eq!((hub.count("news"), ann.topics()), (1, vec![Topic::from("news")]));
    assert_eq!(hub.publish("news", word("once")), reached(1));
    assert!(ann.unsubscribe("news"));
    assert!(!ann.unsubscribe("news"));
    assert_eq!((hub.count("news"), ann.topics()), (0, vec![]));
    assert_eq!(hub.publish("news", word("nobody")), reached(0));
    assert_eq!(heard(&ann), ["once"]);
}

#[test]
fn a_dropped_member_has_left_everything() {
    let hub = Hub::default();
    let (ann, ben) = (join(&hub), join(&hub));
    for topic in ["news", "sport"] {
        ann.subscribe(topic).unwrap();
    }
    ben.subscribe("news").unwrap();
    assert_eq!((hub.members(), hub.topics(), hub.count("news"), hub.count("sport")), (2, 2, 2, 1));
    let queue = own(&ann);
    drop(ann);
    assert_eq!((hub.members(), hub.topics(), hub.count("news"), hub.count("sport")), (1, 1, 1, 0));
    assert_eq!(hub.publish_all(word("who is here?")), reached(1));
    assert_eq!(Arc::strong_count(&queue), 1, "the hub has let go of it");
    assert!(!queue.is_closed() && queue.is_empty());
    drop(ben);
    assert_eq!((hub.members(), hub.topics()), (0, 0));
}

#[test]
fn a_topic_keeps_one_name_for_all() {
    let hub = Hub::default();
    let (ann, ben) = (join(&hub), join(&hub));
    ann.subscribe("news").unwrap();
    ben.subscribe("news").unwrap();
    assert_eq!(ann.topics()[0].as_str().as_ptr(), ben.topics()[0].as_str().as_ptr());
    // The one who brought the name may leave.
    drop(ann);
    assert_eq!((hub.count("news"), ben.topics()), (1, vec![Topic::from("news")]));
}

#[test]
fn limits_refuse_and_count() {
    let hub = Hub::<Word>::new(HubLimits { topics_per_member: 2, topic_bytes: 4 });
    let ann = join(&hub);
    assert_eq!(ann.subscribe("12345"), Err(HubError::TopicTooLong { bytes: 5, limit: 4 }));
    assert_eq!(ann.subscribe("äää"), Err(HubError::TopicTooLong { bytes: 6, limit: 4 }));
    assert_eq!(ann.subscribe("1234"), Ok(true));
    assert_eq!(ann.subscribe(""), Ok(true));
    assert_eq!(ann.subscribe("x"), Err(HubError::TooManyTopics { limit: 2 }));
    assert_eq!(ann.subscribe("1234"), Ok(false), "what it has it may ask for again");
    assert_eq!((hub.topics(), hub.count("x")), (2, 0));
    assert!(ann.unsubscribe(""));
    assert_eq!(ann.subscribe("x"), Ok(true));
    assert_eq!(hub.counters(), Counters { topic_too_long: 2, too_many_topics: 1, ..Counters::default() });
}

#[test]
fn default_limits_are_those_documented() {
    assert_eq!(Hub::<Word>::default().limits(), HubLimits { topics_per_member: 1024, topic_bytes: 256 });
}

#[test]
fn a_slow_member_harms_itself_alone() {
    let hub = Hub::default();
    let policies = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Close];
    let [oldest, newest, close] = policies.map(|overflow| hub.join(outbox(1, 1000, overflow)));
    let quick = join(&hub);
    for member in [&oldest, &newest, &close, &quick] {
        member.subscribe("news").unwrap();
    }
    assert_eq!(hub.publish("news", word("one")), reached(4));
    assert_eq!(hub.publish("news", word("two")), Delivery { reached: 2, lagging: 1, dropped: 1, overflowed: 1 });
    assert_eq!(
        hub.publish_all(word("three")),
        Delivery { reached: 2, lagging: 1, dropped: 1, overflowed: 0 },
        "the one that is closed is skipped"
    );
    assert_eq!(hub.counters(), Counters { dropped: 2, overflowed: 1, ..Counters::default() });
    assert!(own(&close).is_overflowed());
    assert_eq!(heard(&quick), ["one", "two", "three"]);
    assert_eq!(heard(&oldest), ["three"]);
    assert_eq!(heard(&newest), ["one"]);
}

#[test]
fn a_member_whose_outbox_is_closed_is_skipped() {
    let hub = Hub::default();
    let ann = join(&hub);
    ann.subscribe("news").unwrap();
    own(&ann).close();
    assert_eq!(hub.publish("news", word("too late")), Delivery::default());
    assert_eq!(hub.count("news"), 1, "it is a member until it is dropped");
}

/// Small enough that a step which looked at everyone, ten thousand million times in all, would be noticed.
#[test]
fn a_hundred_thousand_topics_and_subscriptions_come_and_go() {
    const MANY: usize = 100_000;
    let hub = Hub::<Word>::new(HubLimits { topics_per_member: MANY, ..HubLimits::default() });
    let ann = join(&hub);
    let names: Vec<String> = (0..MANY).map(|number| format!("topic {number}")).collect();
    for name in &names {
        ann.subscribe(name).unwrap();
    }
    assert_eq!(hub.topics(), MANY);
    for name in &names {
        assert!(ann.unsubscribe(name));
    }
    assert_eq!(hub.topics(), 0);

    let shared = outbox(1, 1, Overflow::DropNewest);
    let mut crowd: Vec<_> = (0..MANY).map(|_| hub.join(Arc::clone(&shared))).collect();
    for member in &crowd {
        member.subscribe("lobby").unwrap();
    }
    assert_eq!((hub.count("lobby"), hub.members()), (MANY, MANY + 1));
    // From the front, which is the far end of a list that grows at its end.
    crowd.drain(..MANY / 2);
    assert_eq!(hub.publish("lobby", word("a")), Delivery { reached: 1, dropped: MANY / 2 - 1, ..Delivery::default() });
    drop(crowd);
    assert_eq!((hub.topics(), hub.members()), (0, 1));
}

/// A parcel whose code uses the hub that carries it, which a lock held meanwhile would turn into a deadlock.
#[derive(Clone)]
struct Meddler(Arc<Member<Self>>);

impl Parcel for Meddler {
    fn weight(&self) -> usize {
        if self.0.subscribe("meddlers") == Ok(true) { 1 } else { 2 }
    }
}

#[test]
fn parcels_may_use_the_hub_that_carries_them() {
    let hub = Hub::default();
    let join = || Arc::new(hub.join(Arc::new(Outbox::new(switchboard_hub::Limits::default()))));
    let (ann, ben) = (join(), join());
    ann.subscribe("meddlers").unwrap();
    assert_eq!(hub.publish("meddlers", Meddler(Arc::clone(&ben))), reached(1), "it went to who was in when it began");
    assert_eq!(hub.count("meddlers"), 2);
    assert_eq!(hub.publish_all(Meddler(Arc::clone(&ben))), reached(2));
    // The queued parcels hold members, who hold the queues: let go of them.
    for member in [ann, ben] {
        own(&member).abandon();
    }
}
