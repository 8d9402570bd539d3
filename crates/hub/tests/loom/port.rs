//! Publishers, a shard and the end of a port.

use std::sync::Arc;

use loom::thread;
use switchboard_hub::{Closed, Delivery, Hub, Member, Port, Publication, SlotId};

use crate::support::{Numbered, model, numbers, parcel, take, take_now};

fn joined(key: u32) -> (Hub<Numbered>, Arc<Port<Numbered>>, Member<Numbered>) {
    let (hub, port) = (Hub::default(), Arc::new(Port::default()));
    let member = hub.join_slot(&port, SlotId { key, generation: 0 });
    assert_eq!(member.subscribe("news"), Ok(true));
    (hub, port, member)
}

#[test]
fn a_shard_that_sleeps_is_woken_for_every_publication_and_gets_them_in_order() {
    model(|| {
        let (hub, port, _member) = joined(1);
        let publishers = [2, 1].map(|count| {
            let hub = hub.clone();
            thread::spawn(move || {
                for number in 0..count {
                    assert_eq!(hub.publish("news", parcel(count, number)).reached, 1);
                }
            })
        });
        let mut taken = Vec::new();
        while taken.len() < 3 {
            taken.extend(take(&port).unwrap());
        }
        let parcels = || taken.iter().map(Publication::parcel);
        assert_eq!((numbers(parcels(), 2), numbers(parcels(), 1)), (vec![0, 1], vec![0]));
        assert!(port.is_empty());
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn a_port_that_closes_keeps_nothing_and_tells_the_shard() {
    model(|| {
        let (hub, port, _member) = joined(1);
        let held = Arc::new(());
        let publisher = thread::spawn({
            let (hub, held) = (hub.clone(), Arc::clone(&held));
            move || {
                let publish = |number| {
                    hub.publish("news", Numbered { source: 0, number, _held: Arc::clone(&held) }) != Delivery::default()
                };
                let (first, second) = (publish(0), publish(1));
                assert!(first || !second, "what closed does not open again");
                usize::from(first) + usize::from(second)
            }
        });
        let closer = thread::spawn({
            let port = Arc::clone(&port);
            move || port.close()
        });
        let mut taken = Vec::new();
        let end = loop {
            match take(&port) {
                Ok(more) => taken.extend(more),
                Err(end) => break end,
            }
        };
        assert_eq!(end, Closed(()));
        let reached = publisher.join().unwrap();
        closer.join().unwrap();
        assert!(numbers(taken.iter().map(Publication::parcel), 0).into_iter().eq(0..taken.len()));
        assert!(taken.len() <= reached, "only what was accepted comes out");
        drop(taken);
        assert!(port.is_empty());
        assert_eq!(Arc::strong_count(&held), 1, "what was not taken is gone");
    });
}

#[test]
fn a_publish_reaches_all_who_were_in_before_it_and_none_who_came_after() {
    model(|| {
        let (hub, port, stayer) = joined(1);
        let passer_by = thread::spawn({
            let (hub, port) = (hub.clone(), Arc::clone(&port));
            move || {
                let member = hub.join_slot(&port, SlotId { key: 2, generation: 0 });
                assert_eq!(member.subscribe("news"), Ok(true));
                assert_eq!(hub.publish("news", parcel(1, 0)).reached, 2);
                assert!(member.unsubscribe("news"));
                assert_eq!(hub.publish("news", parcel(1, 1)).reached, 1);
            }
        });
        for number in 0..2 {
            let reached = stayer.publish("news", parcel(0, number)).reached;
            assert!(reached <= 1, "never the one who published");
        }
        passer_by.join().unwrap();
        let taken = take_now(&port);
        for publication in &taken {
            let keys: Vec<_> = publication.receivers().map(|slot| slot.key).collect();
            match (publication.parcel().source, publication.parcel().number) {
                (1, 0) => assert_eq!(keys, [1, 2]),
                (1, _) => assert_eq!(keys, [1]),
                _ => assert_eq!(keys, [2]),
            }
        }
        let parcels = || taken.iter().map(Publication::parcel);
        assert_eq!(numbers(parcels(), 1), [0, 1]);
        assert!(numbers(parcels(), 0).is_sorted());
        assert_eq!((hub.members(), hub.count("news"), hub.topics()), (1, 1, 1));
    });
}
