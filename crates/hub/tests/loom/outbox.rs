//! Senders, a driver and the end of an outbox.

use std::sync::Arc;

use loom::thread;
use switchboard_hub::{Closed, Limits, Outbox, Overflow, Pushed};

use crate::support::{Numbered, block_on, model, numbers, parcel, pop};

fn outbox(messages: usize) -> Arc<Outbox<Numbered>> {
    Arc::new(Outbox::new(Limits { messages, bytes: usize::MAX, overflow: Overflow::DropNewest }))
}

#[test]
fn a_driver_that_sleeps_is_woken_for_every_parcel_and_gets_them_in_order() {
    model(|| {
        let outbox = outbox(10);
        let senders = [2, 1].map(|count| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || {
                (0..count).for_each(|number| assert_eq!(outbox.push(parcel(count, number)), Pushed::Sent));
            })
        });
        let popped: Vec<_> = (0..3).map_while(|_| pop(&outbox)).collect();
        assert_eq!((numbers(&popped, 2), numbers(&popped, 1)), (vec![0, 1], vec![0]));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn an_outbox_that_is_abandoned_keeps_nothing_and_tells_the_driver() {
    model(|| {
        let outbox = outbox(10);
        let held = Arc::new(());
        let sender = thread::spawn({
            let (outbox, held) = (Arc::clone(&outbox), Arc::clone(&held));
            move || {
                let push = |number| outbox.push(Numbered { source: 0, number, _held: Arc::clone(&held) });
                let (first, second) = (push(0), push(1));
                assert!(first == Pushed::Sent || second == Pushed::Closed, "what ended does not open again");
            }
        });
        let ender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || outbox.abandon()
        });
        let popped: Vec<_> = std::iter::from_fn(|| pop(&outbox)).collect();
        assert!(numbers(&popped, 0).into_iter().eq(0..popped.len()));
        drop(popped);
        sender.join().unwrap();
        ender.join().unwrap();
        assert!(outbox.is_empty());
        assert_eq!(Arc::strong_count(&held), 1, "what was not popped is gone");
    });
}

#[test]
fn whoever_waits_for_room_is_let_in_or_told_of_the_end() {
    model(|| {
        let outbox = outbox(1);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let senders = [1, 2].map(|source| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || match block_on(outbox.send(parcel(source, 0))) {
                Ok(_) => true,
                Err(Closed(parcel)) => {
                    assert_eq!(parcel.source, source, "it is given back");
                    false
                }
            })
        });
        let popped = [pop(&outbox), pop(&outbox)];
        assert!(popped.iter().all(Option::is_some), "there were three to come");
        outbox.abandon();
        let let_in = senders.map(|sender| sender.join().unwrap());
        let second = popped[1].as_ref().map(|parcel| parcel.source);
        assert!(second.is_some_and(|source| let_in[source - 1]));
    });
}

#[test]
fn a_flush_ends_when_all_is_written_or_thrown_away() {
    model(|| {
        let outbox = outbox(10);
        let sender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                outbox.push(parcel(0, 0));
                block_on(outbox.flush()).is_ok()
            }
        });
        let popped = pop(&outbox);
        outbox.settle();
        outbox.abandon();
        // Pushed before the flush and settled before the end: whether the flush heard of it in time or asked later.
        assert!(popped.is_some() && sender.join().unwrap());
    });
}
