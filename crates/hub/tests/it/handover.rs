//! What has to happen in one step: a first word and all that follows it, and a move from one door to another.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use switchboard_hub::{Counters, Hub, HubError, HubLimits, Limits, Outbox, Overflow, Port, Pushed, SlotId};

use crate::support::{Word, drain, outbox, take, word};

const SLOT: SlotId = SlotId { key: 1, generation: 1 };

/// Publishes the moment that it is woken: earlier than any reader of what woke it could.
struct Eager {
    hub: Hub<Word>,
    reached: Mutex<Vec<usize>>,
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let reached = self.hub.publish("news", word("all")).reached;
        self.reached.lock().expect("nobody panicked").push(reached);
    }
}

fn eager(hub: &Hub<Word>) -> (Arc<Eager>, Waker) {
    let eager = Arc::new(Eager { hub: hub.clone(), reached: Mutex::default() });
    (Arc::clone(&eager), Waker::from(eager))
}

#[test]
fn whoever_publishes_because_the_first_word_arrived_reaches_the_member_of_a_port() {
    let (hub, port) = (Hub::default(), Arc::new(Port::default()));
    let member = hub.join_slot(&port, SLOT);
    let (eager, waker) = eager(&hub);
    assert!(port.poll_take(&mut Context::from_waker(&waker), &mut Vec::new()).is_pending());
    assert_eq!(member.subscribe_exempt_with("news", word("welcome")), (true, Pushed::Sent));
    assert_eq!(*eager.reached.lock().unwrap(), [1]);
    let words: Vec<_> = take(&port).iter().map(|publication| publication.parcel().0.clone()).collect();
    assert_eq!(words, ["welcome", "all"]);
}

#[test]
fn whoever_publishes_because_the_first_word_arrived_reaches_the_member_with_an_outbox() {
    let hub = Hub::default();
    let queue = outbox(10, 100, Overflow::Close);
    let member = hub.join(Arc::clone(&queue));
    let (eager, waker) = eager(&hub);
    assert!(queue.poll_pop(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(member.subscribe_exempt_with("news", word("welcome")), (true, Pushed::Sent));
    assert_eq!(*eager.reached.lock().unwrap(), [1]);
    assert_eq!(drain(&queue), ["welcome", "all"]);
    assert_eq!(member.subscribe_exempt_with("news", word("again")), (false, Pushed::Sent));
    assert_eq!(drain(&queue), ["again"]);
}

#[test]
fn no_limit_counts_a_topic_that_is_exempt() {
    let hub = Hub::new(HubLimits { topics_per_member: 1, topic_bytes: 5 });
    let queue = outbox(1, 100, Overflow::Close);
    let member = hub.join(Arc::clone(&queue));
    assert_eq!(member.subscribe("one"), Ok(true));
    assert_eq!(member.subscribe_exempt_with("with a name", word("a")), (true, Pushed::Sent));
    assert!(member.subscribe_exempt("another name"));
    assert!(!member.subscribe_exempt("another name") && !member.subscribe_exempt("one"));
    assert_eq!(member.subscribe("two"), Err(HubError::TooManyTopics { limit: 1 }));
    assert_eq!(drain(&queue), ["a"]);
    assert!(
        ["with a name", "another name", "one"].iter().all(|topic| hub.count(topic) == 1 && member.unsubscribe(topic))
    );
    assert!(member.subscribe_exempt("free"), "as the first one");
    assert_eq!((member.subscribe("two"), member.subscribe("three").is_err()), (Ok(true), true));
    assert!(member.unsubscribe("free") && member.subscribe("three").is_err());
    assert!(member.unsubscribe("two"));
    assert_eq!((member.subscribe("three"), member.topics().len()), (Ok(true), 1));
    queue.push(word("full"));
    assert_eq!(member.subscribe_exempt_with("four", word("d")), (true, Pushed::Overflowed));
    assert_eq!(hub.counters().overflowed, 1);
}

#[test]
fn several_topics_are_subscribed_to_all_or_none() {
    let hub = Hub::<Word>::new(HubLimits { topics_per_member: 3, topic_bytes: 5 });
    let member = hub.join(outbox(1, 100, Overflow::Close));
    assert_eq!(member.subscribe_all(&["a", "b", "a"]), Ok(vec![true, true, false]));
    assert_eq!(member.subscribe_all(&["c", "d"]), Err(HubError::TooManyTopics { limit: 3 }));
    assert_eq!(member.check_all(&["c", "d"]), Err(HubError::TooManyTopics { limit: 3 }));
    assert_eq!(member.check_all(&["a", "c"]), Ok(()));
    assert_eq!(member.subscribe_all(&["c", "longer"]), Err(HubError::TopicTooLong { bytes: 6, limit: 5 }));
    assert_eq!((member.topics().len(), hub.count("c")), (2, 0));
    assert_eq!(hub.counters(), Counters { too_many_topics: 2, topic_too_long: 1, ..Counters::default() });
    assert_eq!(member.subscribe_all(&["b", "c", "a"]), Ok(vec![false, true, false]));
    assert_eq!(member.subscribe_all(&["b", "c", "a"]), Ok(vec![false; 3]), "nothing new is not too many");
}

#[test]
fn an_inherited_outbox_passes_on_what_is_still_pushed() {
    let (hub, port) = (Hub::default(), Arc::new(Port::default()));
    let old = outbox(10, 100, Overflow::Close);
    let member = hub.join(Arc::clone(&old));
    assert_eq!(old.push(word("before")), Pushed::Sent);
    member.relocate_slot(&port, SLOT);
    // A publisher that began before the move.
    assert_eq!(old.push(word("meanwhile")), Pushed::Sent);
    member.inherit(&old);
    assert_eq!(old.push(word("late")), Pushed::Sent);
    member.send(word("after"));
    assert_eq!(drain(&old), ["before", "meanwhile"]);
    let polled = old.poll_pop(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(None), "nothing more comes by it");
    let words: Vec<_> = take(&port).iter().map(|publication| publication.parcel().0.clone()).collect();
    assert_eq!(words, ["late", "after"]);
    assert!(old.try_push(word("x")).is_err(), "to those who wait for room it is closed");
}

#[test]
fn an_outbox_that_has_ended_passes_nothing_on_and_ones_own_is_not_inherited() {
    let hub = Hub::default();
    let (closed, gone, new) =
        (Outbox::new(Limits::default()), Outbox::new(Limits::default()), outbox(10, 100, Overflow::Close));
    let member = hub.join(Arc::clone(&new));
    closed.close();
    member.inherit(&closed);
    member.inherit(&gone);
    gone.abandon();
    member.inherit(&new);
    assert_eq!([closed.push(word("a")), gone.push(word("b"))], [Pushed::Closed; 2]);
    assert_eq!(new.push(word("own")), Pushed::Sent);
    assert_eq!(drain(&new), ["own"]);
}
