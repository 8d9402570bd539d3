//! Queues that count in a budget.

use std::sync::Arc;
use std::task::Poll;

use switchboard_budget::{Budget, Charge, Part};
use switchboard_hub::{
    Accepted, Audience, Hub, Limits, Outbox, Overflow, Parcel, Port, PortLimits, Pushed, Refused, SlotId,
};

use crate::support::{Bell, Word, drain, poll, pop, take, word};

const LIMIT: usize = 1 << 20;

/// A parcel whose clones are one.
#[derive(Clone)]
struct Shared(Arc<(String, Charge)>);

impl Parcel for Shared {
    fn weight(&self) -> usize {
        self.0.0.len()
    }

    fn count(&self, budget: &Budget) -> bool {
        self.0.1.count(budget, || self.weight())
    }
}

fn outbox<P: Parcel>(budget: &Budget, overflow: Overflow) -> Arc<Outbox<P>> {
    let limits = Limits { messages: 1000, bytes: usize::MAX, overflow };
    Arc::new(Outbox::with_budget(limits, budget))
}

fn queued(budget: &Budget) -> usize {
    budget.usage().expect("it has a limit").parts[Part::Queued as usize]
}

fn long() -> Word {
    word(&"x".repeat(10_000))
}

#[test]
fn what_is_queued_counts_until_it_has_left_or_is_thrown_away() {
    let budget = Budget::new(LIMIT);
    let outbox = outbox(&budget, Overflow::Close);
    for _ in 0..3 {
        assert_eq!(outbox.push(long()), Pushed::Sent);
    }
    // The places in the queue count too, and are small.
    assert!((30_000..30_600).contains(&queued(&budget)), "{}", queued(&budget));
    drop(pop(&outbox));
    assert!((20_000..20_400).contains(&queued(&budget)), "{}", queued(&budget));
    outbox.abandon();
    assert_eq!(queued(&budget), 0);
}

#[test]
fn one_parcel_in_many_queues_counts_once() {
    let budget = Budget::new(LIMIT);
    let outboxes: Vec<_> = (0..100).map(|_| outbox(&budget, Overflow::Close)).collect();
    let parcel = Shared(Arc::new(("x".repeat(10_000), Charge::default())));
    for outbox in &outboxes {
        assert_eq!(outbox.push(parcel.clone()), Pushed::Sent);
    }
    assert!(queued(&budget) < 10_000 + 100 * 100, "{}", queued(&budget));
    assert_eq!(outboxes[0].bytes(), 10_000, "to each queue it is as long as ever");
    drop(outboxes);
    assert_eq!(queued(&budget), 10_000, "somebody has it still");
    drop(parcel);
    assert_eq!(queued(&budget), 0);
}

#[test]
fn with_nothing_left_a_queue_that_holds_anything_is_full() {
    let budget = Budget::new(LIMIT);
    let [closes, drops, waits] =
        [Overflow::Close, Overflow::DropNewest, Overflow::Close].map(|overflow| outbox(&budget, overflow));
    budget.take(Part::Reading, LIMIT);
    for outbox in [&closes, &drops, &waits] {
        assert_eq!(outbox.push(word("first")), Pushed::Sent, "an empty one always takes something");
    }
    assert_eq!(drops.push(word("second")), Pushed::Dropped);
    assert_eq!(closes.push(word("second")), Pushed::Overflowed);
    assert_eq!(waits.try_push(word("second")), Err(Refused::Full(word("second"))));
    let (bell, waker) = Bell::new();
    let mut send = waits.send(word("second"));
    assert_eq!(poll(&mut send, &waker), Poll::Pending);
    assert_eq!(drain(&waits), ["first"]);
    assert_eq!(bell.rang(), 1, "who waits goes on when the queue is empty");
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(Accepted::Sent)));
    budget.give(Part::Reading, LIMIT);
    assert_eq!(waits.push(word("third")), Pushed::Sent);
}

#[test]
fn a_port_counts_too() {
    let budget = Budget::new(LIMIT);
    let port = Arc::new(Port::with_budget(PortLimits::default(), &budget));
    let hub = Hub::default();
    let member = hub.join_slot(&port, SlotId { key: 0, generation: 0 });
    assert_eq!(member.subscribe("news"), Ok(true));
    hub.publish("news", long());
    assert!((10_000..10_300).contains(&queued(&budget)), "{}", queued(&budget));
    budget.take(Part::Reading, LIMIT);
    assert_eq!(hub.publish("news", long()).dropped, 1);
    assert_eq!((take(&port).len(), port.refused(), queued(&budget)), (1, 1, 0));
    assert_eq!(hub.publish("news", long()).reached, 1);
    port.close();
    assert_eq!(queued(&budget), 0);
}

/// To several topics, a list of the receivers is made for each publication.
#[test]
fn a_list_of_receivers_that_no_topic_shares_counts_for_its_port() {
    let budget = Budget::new(LIMIT);
    let limits = PortLimits { bytes: 9000, ..PortLimits::default() };
    let port = Arc::new(Port::with_budget(limits, &budget));
    let hub = Hub::default();
    let members: Vec<_> = (0..1000).map(|key| hub.join_slot(&port, SlotId { key, generation: 0 })).collect();
    for (member, topic) in members.iter().zip(["red", "blue"].iter().cycle()) {
        assert_eq!(member.subscribe(topic), Ok(true));
    }
    let both = Audience::topics(&["red", "blue"]);
    assert_eq!(hub.publish_to(&both, word("x")).reached, 1000);
    assert_eq!(port.bytes(), 8001);
    assert!((8000..8200).contains(&queued(&budget)), "{}", queued(&budget));
    assert_eq!(hub.publish_to(&both, word("x")).dropped, 1000, "there is no room for another list");
    assert_eq!(hub.publish("red", word("x")).reached, 500, "the topic's own is no burden");
    take(&port);
    assert_eq!((port.bytes(), queued(&budget)), (0, 0));
}
