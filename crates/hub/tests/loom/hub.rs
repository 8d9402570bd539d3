//! Members that come and go beside each other and beside publishers.

use std::sync::Arc;

use loom::thread;
use switchboard_hub::{Hub, Limits, Member, Outbox};

use crate::support::{Numbered, model, numbers, parcel, pop};

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
