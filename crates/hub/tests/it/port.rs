//! Members that are reached through a shard's port.

use std::sync::Arc;
use std::task::{Context, Poll};

use switchboard_hub::{
    Audience, Closed, Counters, Delivery, Hub, Member, Overflow, Port, PortLimits, Publication, Pushed, SlotId,
};

use crate::support::{Bell, Word, drain, outbox, own, take, word};

const TAKEN: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));
const ENDED: Poll<Result<(), Closed>> = Poll::Ready(Err(Closed(())));

fn port(publications: usize, bytes: usize) -> Arc<Port<Word>> {
    Arc::new(Port::new(PortLimits { publications, bytes }))
}

fn slot(key: u32) -> SlotId {
    SlotId { key, generation: 0 }
}

/// Members in the slots of these keys, subscribed to "news".
fn readers<const N: usize>(hub: &Hub<Word>, port: &Arc<Port<Word>>, keys: [u32; N]) -> [Member<Word>; N] {
    keys.map(|key| {
        let member = hub.join_slot(port, slot(key));
        assert_eq!(member.subscribe("news"), Ok(true));
        member
    })
}

fn reached(members: usize) -> Delivery {
    Delivery { reached: members, ..Delivery::default() }
}

fn dropped(members: usize) -> Delivery {
    Delivery { dropped: members, ..Delivery::default() }
}

/// What was said, and to which keys.
fn heard(publications: &[Publication<Word>]) -> Vec<(&str, Vec<u32>)> {
    let keys = |publication: &Publication<Word>| publication.receivers().map(|slot| slot.key).collect();
    publications.iter().map(|publication| (publication.parcel().0.as_str(), keys(publication))).collect()
}

#[test]
fn a_publish_is_one_entry_for_all_members_of_a_port() {
    let hub = Hub::default();
    let (one, two) = (port(10, 100), port(10, 100));
    let _members = (readers(&hub, &one, [3, 1, 2]), readers(&hub, &two, [1]));
    let ann = hub.join(outbox(10, 100, Overflow::Close));
    ann.subscribe("news").unwrap();
    assert_eq!(hub.publish("news", word("hello")), reached(5));
    assert_eq!(hub.publish("sport", word("lost")), reached(0));
    assert_eq!((one.len(), one.bytes(), two.len()), (1, 5, 1));
    assert_eq!(heard(&take(&one)), [("hello", vec![1, 2, 3])]);
    assert_eq!(heard(&take(&two)), [("hello", vec![1])]);
    assert_eq!(drain(&own(&ann)), ["hello"]);
    assert_eq!((one.len(), one.bytes()), (0, 0));
}

#[test]
fn everyone_is_reached_subscribed_or_not() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann] = readers(&hub, &port, [1]);
    let _ben = hub.join_slot(&port, slot(2));
    assert_eq!(hub.members(), 2);
    assert_eq!(hub.publish_all(word("all")), reached(2));
    assert_eq!(ann.publish_all(word("all but ann")), reached(1));
    assert_eq!(heard(&take(&port)), [("all", vec![1, 2]), ("all but ann", vec![2])]);
}

#[test]
fn the_publisher_is_left_out_whichever_kind_it_is() {
    let hub = Hub::default();
    let (here, there) = (port(10, 100), port(10, 100));
    let [ann, _ben] = readers(&hub, &here, [1, 2]);
    let [cem] = readers(&hub, &there, [1]);
    let dia = hub.join(outbox(10, 100, Overflow::Close));
    dia.subscribe("news").unwrap();
    assert_eq!(ann.publish("news", word("ann")), reached(3));
    assert_eq!(hub.publish_from(cem.id(), "news", word("cem")), reached(3));
    assert_eq!(dia.publish("news", word("dia")), reached(3));
    assert_eq!(heard(&take(&here)), [("ann", vec![2]), ("cem", vec![1, 2]), ("dia", vec![1, 2])]);
    // Where only the publisher would be, nothing is queued at all.
    assert_eq!(heard(&take(&there)), [("ann", vec![1]), ("dia", vec![1])]);
    assert_eq!(drain(&own(&dia)), ["ann", "cem"]);
    assert!(ann.unsubscribe("news"));
    assert_eq!(ann.publish("news", word("from outside")), reached(3));
    assert_eq!(heard(&take(&here)), [("from outside", vec![2])]);
}

#[test]
fn a_place_that_changed_hands_is_told_by_its_generation() {
    let hub = Hub::default();
    let port = port(10, 100);
    let before = SlotId { key: 7, generation: 1 };
    let after = SlotId { key: 7, generation: 2 };
    let ann = hub.join_slot(&port, before);
    ann.subscribe("news").unwrap();
    hub.publish("news", word("to ann"));
    let name = ann.id();
    drop(ann);
    let ben = hub.join_slot(&port, after);
    ben.subscribe("news").unwrap();
    assert_eq!(hub.publish_from(name, "news", word("to ben")), reached(1), "the name was Ann's and is not Ben's");
    let receivers: Vec<Vec<_>> = take(&port).iter().map(|publication| publication.receivers().collect()).collect();
    assert_eq!(receivers, [[before], [after]]);
}

#[test]
fn a_publication_keeps_the_members_of_its_moment() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann, ben] = readers(&hub, &port, [1, 2]);
    hub.publish("news", word("one"));
    drop(ann);
    hub.publish("news", word("two"));
    let _cem = readers(&hub, &port, [3]);
    assert!(ben.unsubscribe("news"));
    hub.publish("news", word("three"));
    assert_eq!(heard(&take(&port)), [("one", vec![1, 2]), ("two", vec![2]), ("three", vec![3])]);
}

#[test]
fn a_member_says_what_it_is() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann] = readers(&hub, &port, [1]);
    assert!(ann.outbox().is_none());
    for number in 0..100 {
        assert_eq!(ann.subscribe(&format!("topic {number}")), Ok(true));
    }
    assert!(ann.is_subscribed("news") && ann.is_subscribed("topic 99") && !ann.is_subscribed("topic 100"));
    assert!(ann.unsubscribe("news"));
    assert!(!ann.is_subscribed("news") && ann.is_subscribed("topic 99"));
    assert_eq!(ann.subscribe("news"), Ok(true));
    assert_eq!((ann.topics().len(), hub.topics()), (101, 101));
    drop(ann);
    assert_eq!((hub.members(), hub.topics()), (0, 0));
    assert_eq!(Arc::strong_count(&port), 1, "the hub has let go of it");
}

#[test]
fn a_sleeping_shard_is_woken_once() {
    let hub = Hub::default();
    let port = port(10, 100);
    let _members = readers(&hub, &port, [1]);
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    let mut taken = Vec::new();
    assert_eq!(port.poll_take(&mut cx, &mut taken), Poll::Pending);
    for text in ["a", "b", "c"] {
        hub.publish("news", word(text));
    }
    assert_eq!(bell.rang(), 1);
    assert_eq!(port.poll_take(&mut cx, &mut taken), TAKEN);
    hub.publish("news", word("d"));
    assert_eq!(bell.rang(), 0, "it is awake, and has not said that it sleeps again");
    assert_eq!(port.poll_take(&mut cx, &mut taken), TAKEN);
    assert_eq!(heard(&taken).concat_texts(), "abcd", "what is taken comes after what was there");
    assert_eq!(port.poll_take(&mut cx, &mut taken), Poll::Pending);
    let (other_bell, other_waker) = Bell::new();
    assert_eq!(port.poll_take(&mut Context::from_waker(&other_waker), &mut taken), Poll::Pending);
    hub.publish("news", word("e"));
    assert_eq!((bell.rang(), other_bell.rang()), (0, 1), "the last waker given is the one");
}

trait ConcatTexts {
    fn concat_texts(&self) -> String;
}

impl ConcatTexts for Vec<(&str, Vec<u32>)> {
    fn concat_texts(&self) -> String {
        self.iter().map(|(text, _)| *text).collect()
    }
}

#[test]
fn a_full_port_refuses_what_is_new_and_harms_no_other() {
    let hub = Hub::default();
    let (full, roomy) = (port(2, 100), port(10, 100));
    let _members = (readers(&hub, &full, [1, 2, 3]), readers(&hub, &roomy, [1]));
    assert_eq!(hub.publish("news", word("a")), reached(4));
    assert_eq!(hub.publish("news", word("b")), reached(4));
    assert_eq!(hub.publish("news", word("c")), Delivery { reached: 1, ..dropped(3) });
    assert_eq!((full.refused(), roomy.refused()), (1, 0));
    assert_eq!(hub.counters(), Counters { dropped: 3, ..Counters::default() });
    assert_eq!(heard(&take(&full)).concat_texts(), "ab");
    assert_eq!(heard(&take(&roomy)).concat_texts(), "abc");
    assert_eq!(hub.publish("news", word("d")), reached(4), "there is room again");
    assert_eq!(heard(&take(&full)).concat_texts(), "d");
}

#[test]
fn bytes_fill_a_port_too_but_never_an_empty_one() {
    let hub = Hub::default();
    let port = port(10, 5);
    let _members = readers(&hub, &port, [1, 2]);
    assert_eq!(hub.publish("news", word("aaa")), reached(2));
    assert_eq!(hub.publish("news", word("bbb")), dropped(2));
    assert_eq!(hub.publish("news", word("cc")), reached(2));
    assert_eq!((port.len(), port.bytes()), (2, 5));
    take(&port);
    assert_eq!(hub.publish("news", word("longer than five")), reached(2));
    assert_eq!(hub.publish("news", word("d")), dropped(2));
    assert_eq!(heard(&take(&port)).concat_texts(), "longer than five");
    let none = self::port(0, 0);
    let _reader = readers(&hub, &none, [1]);
    assert_eq!(hub.publish("news", word("one")), reached(3), "a bound of zero acts as one");
}

#[test]
fn default_limits_are_those_documented() {
    assert_eq!(Port::<Word>::default().limits(), PortLimits { publications: 65_536, bytes: 64 * 1024 * 1024 });
}

#[test]
fn a_closed_port_is_skipped_and_holds_nothing() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann, _ben] = readers(&hub, &port, [1, 2]);
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    let mut taken = Vec::new();
    assert_eq!(port.poll_take(&mut cx, &mut taken), Poll::Pending);
    port.close();
    assert_eq!(bell.rang(), 1, "who waits is told");
    assert_eq!(port.poll_take(&mut cx, &mut taken), ENDED);
    assert_eq!(hub.publish("news", word("too late")), Delivery::default());
    assert_eq!(hub.counters(), Counters::default());
    assert!(port.is_closed() && port.is_empty());
    assert_eq!(hub.count("news"), 2, "they are members until they are dropped");
    assert!(ann.unsubscribe("news") && ann.subscribe("news") == Ok(true));
}

#[test]
fn closing_throws_away_what_is_queued() {
    let hub = Hub::default();
    let port = Arc::new(Port::new(PortLimits::default()));
    let member = hub.join_slot(&port, slot(1));
    member.subscribe("news").unwrap();
    let owned = Arc::new(());
    hub.publish("news", Counted(Arc::clone(&owned)));
    assert_eq!(Arc::strong_count(&owned), 2);
    port.close();
    assert_eq!((Arc::strong_count(&owned), port.len(), port.bytes()), (1, 0, 0));
    hub.publish("news", Counted(Arc::clone(&owned)));
    assert_eq!(Arc::strong_count(&owned), 1);
    drop((member, hub));
    assert_eq!(Arc::strong_count(&port), 1);
}

#[derive(Clone)]
struct Counted(#[expect(dead_code, reason = "only held")] Arc<()>);

impl switchboard_hub::Parcel for Counted {
    fn weight(&self) -> usize {
        1
    }
}

#[test]
fn what_a_shard_records_is_counted() {
    let hub = Hub::<Word>::default();
    hub.record(Delivery { reached: 9, lagging: 9, dropped: 2, overflowed: 1 });
    hub.record(Delivery { dropped: 1, ..Delivery::default() });
    assert_eq!(hub.counters(), Counters { dropped: 3, overflowed: 1, ..Counters::default() });
}

#[test]
fn one_port_may_serve_several_hubs() {
    let port = port(10, 100);
    let hubs = [Hub::default(), Hub::default()];
    let _members = (readers(&hubs[0], &port, [1]), readers(&hubs[1], &port, [2]));
    hubs[0].publish("news", word("a"));
    hubs[1].publish("news", word("b"));
    assert_eq!(heard(&take(&port)), [("a", vec![1]), ("b", vec![2])]);
}

/// Small enough that a step which looked at everyone, ten thousand million times in all, would be noticed; and a copy
/// of everyone for each that joins or leaves while publications wait would be, too.
#[test]
fn a_hundred_thousand_slots_come_and_go_while_publications_wait() {
    const MANY: u32 = 100_000;
    let hub = Hub::default();
    let port = port(usize::MAX, usize::MAX);
    let mut members = Vec::new();
    let mut publications = 0;
    // Not in order: the last number of the step is chosen so that all are met.
    for key in (0..MANY).map(|number| number * 7919 % MANY) {
        let [member] = readers(&hub, &port, [key]);
        members.push(member);
        if key % 50 == 0 {
            hub.publish("news", word("a"));
            publications += 1;
        }
    }
    assert_eq!((hub.count("news"), hub.members()), (100_000, 100_000));
    let taken = take(&port);
    assert_eq!(taken.len(), publications);
    let last = hub.publish("news", word("last"));
    assert_eq!(last, reached(100_000));
    let last = take(&port).pop().unwrap();
    drop(taken);
    for (number, member) in members.into_iter().enumerate() {
        drop(member);
        if number % 50 == 0 {
            hub.publish("news", word("b"));
        }
    }
    assert!(last.receivers().map(|slot| slot.key).eq(0..MANY));
    assert_eq!((hub.topics(), hub.members()), (0, 0));
}

#[test]
fn what_is_sent_to_one_member_keeps_its_place_among_what_is_published() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann, ben] = readers(&hub, &port, [1, 2]);
    assert_eq!(ann.send(word("one")), Pushed::Sent);
    hub.publish("news", word("two"));
    assert_eq!(ann.send(word("three")), Pushed::Sent);
    assert_eq!(ann.send(word("four")), Pushed::Sent);
    assert_eq!(ben.send(word("five")), Pushed::Sent);
    let taken = take(&port);
    assert_eq!(
        heard(&taken),
        [("one", vec![1]), ("two", vec![1, 2]), ("three", vec![1]), ("four", vec![1]), ("five", vec![2])]
    );
    let together: Vec<_> = taken.chunk_by(Publication::shares_receivers).map(<[_]>::len).collect();
    assert_eq!(together, [1, 1, 2, 1], "what is for one and the same may be written together");
    port.close();
    assert_eq!(ann.send(word("lost")), Pushed::Closed);
}

#[test]
fn an_audience_of_one_topic_shares_its_list_and_others_have_their_own() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann, ben] = readers(&hub, &port, [1, 2]);
    assert_eq!(ann.subscribe("sport"), Ok(true));
    hub.publish_to(&Audience::topics(&["news"]), word("a"));
    hub.publish_to(&Audience::topics(&["news", "nothing"]).except(&["nobody"]).skip(ben.id()), word("b"));
    hub.publish_to(&Audience::topics(&["news", "sport", "news"]), word("c"));
    hub.publish_to(&Audience::everyone().except(&["sport"]), word("d"));
    assert_eq!(hub.publish_to(&Audience::everyone().except(&["news"]), word("e")), reached(0));
    assert_eq!(hub.publish_to(&Audience::topics(&[]), word("f")), reached(0));
    assert_eq!(ann.publish_to(&Audience::topics(&["sport", "news"]), word("g")), reached(1));
    let taken = take(&port);
    assert_eq!(heard(&taken), [("a", vec![1, 2]), ("b", vec![1]), ("c", vec![1, 2]), ("d", vec![2]), ("g", vec![2])]);
    let together: Vec<_> = taken.chunk_by(Publication::shares_receivers).map(<[_]>::len).collect();
    assert_eq!(together, [2, 1, 2]);
}

#[test]
fn a_member_that_moves_keeps_its_topics_and_leaves_the_old_door_as_it_is() {
    let hub = Hub::default();
    let port = port(10, 100);
    let [ann] = readers(&hub, &port, [1]);
    let old = outbox(10, 100, Overflow::Close);
    let ben = hub.join(Arc::clone(&old));
    assert_eq!((ben.subscribe("news"), ben.subscribe("sport")), (Ok(true), Ok(true)));
    hub.publish("news", word("before"));
    let name = ben.id();
    ben.relocate_slot(&port, slot(2));
    assert!(ben.outbox().is_none());
    assert_eq!(hub.publish("news", word("after")), reached(2));
    assert_eq!(hub.publish_from(name, "sport", word("no name")), reached(1), "the name was the old door's");
    assert_eq!(ben.publish_all(word("ben")), reached(1));
    assert_eq!((drain(&old), old.is_closed()), (vec!["before".to_owned()], false));
    assert_eq!(Arc::strong_count(&old), 1, "the hub has let go of it");
    let taken = take(&port);
    assert_eq!(heard(&taken), [("before", vec![1]), ("after", vec![1, 2]), ("no name", vec![2]), ("ben", vec![1])]);
    ben.relocate(Arc::clone(&old));
    drop(ann);
    assert_eq!(hub.publish("news", word("back")), reached(1));
    assert_eq!((drain(&old), hub.members(), hub.topics()), (vec!["back".to_owned()], 1, 2));
    drop(ben);
    assert_eq!((hub.members(), hub.topics(), Arc::strong_count(&old), Arc::strong_count(&port)), (0, 0, 1, 1));
}
