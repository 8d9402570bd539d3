//! Members that come and go beside each other and beside publishers.

use std::sync::Arc;

use loom::thread;
use switchboard_hub::{Audience, Hub, Limits, Member, Outbox, Port, Pushed, SlotId};

use crate::support::{Numbered, model, numbers, parcel, pop, take, take_now};

fn join(hub: &Hub<Numbered>) -> (Member<Numbered>, Arc<Outbox<Numbered>>) {
    let outbox = Arc::new(Outbox::new(Limits::default()));
    (hub.join(Arc::clone(&outbox)), outbox)
}

#[test]
fn the_last_who_leaves_takes_no_topic_from_one_who_comes() {
    model(|| {
        let hub = Hub::default();
        let (ann, _) = join(&hub);
        let (ben, outbox) = join(&hub);
        assert_eq!(ann.subscribe("news"), Ok(true));
        let leaves = thread::spawn(move || drop(ann));
        assert_eq!(ben.subscribe("news"), Ok(true));
        leaves.join().unwrap();
        assert_eq!((hub.members(), hub.count("news"), hub.topics()), (1, 1, 1));
        assert_eq!(hub.publish("news", parcel(0, 0)).reached, 1);
        assert_eq!(outbox.len(), 1);
    });
}

#[test]
fn whoever_stays_hears_everything_in_order_while_others_come_and_go() {
    model(|| {
        let hub = Hub::default();
        let (stayer, outbox) = join(&hub);
        assert_eq!(stayer.subscribe("news"), Ok(true));
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || (0..2).for_each(|number| assert!(hub.publish("news", parcel(0, number)).reached >= 1))
        });
        let (passer_by, other) = join(&hub);
        assert_eq!(passer_by.subscribe("news"), Ok(true));
        drop(passer_by);
        publisher.join().unwrap();
        outbox.close();
        other.close();
        let heard = |outbox| std::iter::from_fn(|| pop(outbox)).collect::<Vec<_>>();
        assert_eq!(numbers(&heard(&outbox), 0), [0, 1]);
        assert!(numbers(&heard(&other), 0).is_sorted());
        assert_eq!((hub.members(), hub.count("news")), (1, 1));
    });
}

#[test]
fn whoever_moves_hears_each_publish_by_one_of_both_doors_however_many_topics_it_goes_to() {
    model(|| {
        let hub = Hub::default();
        let (mover, old) = join(&hub);
        assert_eq!((mover.subscribe("news"), mover.subscribe("sport")), (Ok(true), Ok(true)));
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || {
                assert_eq!(hub.publish("news", parcel(0, 0)).reached, 1);
                assert_eq!(hub.publish_to(&Audience::topics(&["sport", "news"]), parcel(0, 1)).reached, 1);
            }
        });
        let new = Arc::new(Outbox::new(Limits::default()));
        mover.relocate(Arc::clone(&new));
        assert_eq!(hub.publish("sport", parcel(1, 0)).reached, 1);
        publisher.join().unwrap();
        old.close();
        new.close();
        let heard = |outbox| std::iter::from_fn(|| pop(outbox)).collect::<Vec<_>>();
        let (old, new) = (heard(&old), heard(&new));
        assert_eq!([numbers(&old, 0), numbers(&new, 0)].concat(), [0, 1], "once each, and none goes back");
        assert_eq!((numbers(&old, 1), numbers(&new, 1)), (vec![], vec![0]), "what comes after goes to the new one");
    });
}

#[test]
fn whoever_moves_is_left_out_where_it_is_excepted() {
    model(|| {
        let hub = Hub::default();
        let (mover, _old) = join(&hub);
        assert_eq!((mover.subscribe("news"), mover.subscribe("sport")), (Ok(true), Ok(true)));
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || hub.publish_to(&Audience::topics(&["news"]).except(&["sport"]), parcel(0, 0)).reached
        });
        mover.relocate(Arc::new(Outbox::new(Limits::default())));
        assert_eq!(publisher.join().unwrap(), 0);
    });
}

#[test]
fn whoever_moves_and_inherits_hears_each_publisher_in_order() {
    model(|| {
        let hub = Hub::default();
        let (mover, old) = join(&hub);
        assert_eq!(mover.subscribe("news"), Ok(true));
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || (0..2).for_each(|number| assert_eq!(hub.publish("news", parcel(0, number)).reached, 1))
        });
        let port = Arc::new(Port::default());
        mover.relocate_slot(&port, SlotId { key: 1, generation: 1 });
        mover.inherit(&old);
        // What it holds now goes first; then comes what the port holds.
        let first: Vec<_> = std::iter::from_fn(|| pop(&old)).collect();
        publisher.join().unwrap();
        assert!(pop(&old).is_none(), "nothing is left behind");
        let then = take_now(&port);
        let then = numbers(then.iter().map(switchboard_hub::Publication::parcel), 0);
        assert_eq!([numbers(&first, 0), then].concat(), [0, 1]);
    });
}

#[test]
fn the_first_word_comes_first_and_whoever_has_it_misses_nothing() {
    model(|| {
        let (hub, port) = (Hub::default(), Arc::new(Port::default()));
        let comer = hub.join_slot(&port, SlotId { key: 1, generation: 1 });
        let publisher = thread::spawn({
            let hub = hub.clone();
            move || hub.publish("news", parcel(0, 0)).reached
        });
        let reader = thread::spawn({
            let (hub, port) = (hub.clone(), Arc::clone(&port));
            move || {
                let heard = take(&port).expect("the port is open");
                assert_eq!(heard[0].parcel().source, 1, "the first word is the first");
                assert_eq!(hub.publish("news", parcel(2, 0)).reached, 1, "the comer is there");
                heard.len()
            }
        });
        assert!(comer.subscribe_exempt_with("news", parcel(1, 0)).0);
        let reached = publisher.join().unwrap();
        let heard = reader.join().unwrap() + take_now(&port).len();
        assert_eq!(heard, 2 + reached);
    });
}

#[test]
fn a_publish_beside_a_member_that_leaves_keeps_nothing_and_counts_nobody_twice() {
    model(|| {
        let hub = Hub::default();
        let (ann, outbox) = join(&hub);
        let (ben, bens) = join(&hub);
        assert_eq!((ann.subscribe("news"), ben.subscribe("news")), (Ok(true), Ok(true)));
        let held = Arc::new(());
        let publisher = thread::spawn({
            let (hub, held) = (hub.clone(), Arc::clone(&held));
            move || hub.publish("news", Numbered { source: 0, number: 0, _held: held }).reached
        });
        let leaver = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                drop(ann);
                outbox.abandon();
            }
        });
        let reached = publisher.join().unwrap();
        leaver.join().unwrap();
        assert!(reached == 1 || reached == 2, "{reached}");
        assert!(outbox.is_empty(), "who has left keeps nothing");
        drop((ben, bens));
        assert_eq!((hub.members(), hub.topics(), Arc::strong_count(&held)), (0, 0, 1));
    });
}

#[test]
fn what_is_sent_to_a_member_that_moves_is_in_one_of_both_outboxes() {
    model(|| {
        let hub = Hub::default();
        let (mover, old) = join(&hub);
        let mover = Arc::new(mover);
        let sender = thread::spawn({
            let mover = Arc::clone(&mover);
            move || (0..2).for_each(|number| assert_ne!(mover.send(parcel(0, number)), Pushed::Closed))
        });
        let new = Arc::new(Outbox::new(Limits::default()));
        mover.relocate(Arc::clone(&new));
        sender.join().unwrap();
        old.close();
        new.close();
        let heard = |outbox| std::iter::from_fn(|| pop(outbox)).collect::<Vec<_>>();
        let (old, new) = (heard(&old), heard(&new));
        assert_eq!([numbers(&old, 0), numbers(&new, 0)].concat(), [0, 1]);
    });
}
