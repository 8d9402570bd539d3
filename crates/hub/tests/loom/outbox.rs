//! Senders, a driver and the end of an outbox.

use std::sync::Arc;

use loom::thread;
use switchboard_hub::{Closed, Limits, Outbox, Overflow, Pushed};

use crate::support::{Numbered, abandoned, block_on, give_up, model, numbers, parcel, pop};

fn outbox(messages: usize) -> Arc<Outbox<Numbered>> {
    outbox_with(messages, Overflow::DropNewest)
}

fn outbox_with(messages: usize, overflow: Overflow) -> Arc<Outbox<Numbered>> {
    Arc::new(Outbox::new(Limits { messages, bytes: usize::MAX, overflow }))
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

#[test]
fn whoever_gives_up_waiting_passes_the_room_on() {
    model(|| {
        let outbox = outbox(1);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let fickle = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || give_up(outbox.send(parcel(1, 0))).is_some()
        });
        let patient = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || block_on(outbox.send(parcel(2, 0))).is_ok()
        });
        let popped = [pop(&outbox), pop(&outbox)];
        assert!(popped.iter().all(Option::is_some) && patient.join().unwrap(), "room was made twice");
        let was_sent = fickle.join().unwrap();
        assert_eq!(outbox.len(), usize::from(was_sent));
    });
}

#[test]
fn an_outbox_that_closes_still_sends_what_it_has_and_turns_the_others_away() {
    model(|| {
        let outbox = outbox(1);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let waits = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || block_on(outbox.send(parcel(1, 0))).is_ok()
        });
        let closes = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                outbox.close();
                // A flush waits for what is left, and is not told of an end that comes after that.
                block_on(outbox.flush())
            }
        });
        let mut popped = Vec::new();
        while let Some(parcel) = pop(&outbox) {
            popped.push(parcel);
            outbox.settle();
        }
        outbox.settle();
        assert_eq!(closes.join().unwrap(), Ok(()));
        let let_in = waits.join().unwrap();
        assert_eq!(numbers(&popped, 0), [0]);
        assert_eq!(numbers(&popped, 1).len(), usize::from(let_in), "what was taken leaves, and nothing else");
        assert!(outbox.is_closed() && !outbox.is_overflowed());
    });
}

#[test]
fn an_overflow_tells_a_driver_that_cannot_write_and_everyone_who_waits() {
    model(|| {
        let outbox = outbox_with(1, Overflow::Close);
        outbox.stall();
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Buffered);
        let waits = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || block_on(outbox.send(parcel(1, 0))).is_err()
        });
        let flushes = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                let flush = outbox.flush();
                assert_eq!(outbox.push(parcel(2, 0)), Pushed::Overflowed);
                block_on(flush)
            }
        });
        block_on(abandoned(&outbox));
        // Too late: what was thrown away was not written.
        outbox.settle();
        assert!(outbox.is_overflowed() && pop(&outbox).is_none());
        assert!(waits.join().unwrap());
        assert_eq!(flushes.join().unwrap(), Err(Closed(())));
        assert_eq!((outbox.len(), outbox.bytes(), outbox.dropped()), (0, 0, 2));
    });
}

#[test]
fn those_who_push_others_out_leave_the_line_and_the_count_right() {
    model(|| {
        let outbox = outbox_with(1, Overflow::DropOldest);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let waits = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || assert!(block_on(outbox.send(parcel(1, 0))).is_ok())
        });
        let pushes = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || assert_ne!(outbox.push(parcel(2, 0)), Pushed::Closed)
        });
        let mut popped = vec![pop(&outbox), pop(&outbox)];
        pushes.join().unwrap();
        // Its room was made by one of the two, if not by the one who pushed.
        waits.join().unwrap();
        outbox.close();
        popped.extend(std::iter::repeat_with(|| pop(&outbox)).take_while(Option::is_some));
        assert_eq!(popped.iter().flatten().count() as u64 + outbox.dropped(), 3, "each was popped or counted");
    });
}

#[test]
fn a_flush_that_nobody_waits_for_holds_nobody_up() {
    model(|| {
        let outbox = outbox(10);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let fickle = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || assert_ne!(give_up(outbox.flush()), Some(Err(Closed(()))))
        });
        let patient = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || block_on(outbox.flush())
        });
        assert!(pop(&outbox).is_some());
        outbox.settle();
        assert_eq!(patient.join().unwrap(), Ok(()));
        fickle.join().unwrap();
    });
}

#[test]
fn a_flush_that_waits_is_told_when_all_is_thrown_away() {
    model(|| {
        let outbox = outbox(10);
        assert_eq!(outbox.push(parcel(0, 0)), Pushed::Sent);
        let flushes = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || block_on(outbox.flush())
        });
        let driver = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                let popped = pop(&outbox);
                outbox.settle();
                popped.is_some()
            }
        });
        outbox.abandon();
        let was_popped = driver.join().unwrap();
        let flushed = flushes.join().unwrap();
        assert!(was_popped || flushed.is_err(), "what was thrown away was not written");
    });
}
