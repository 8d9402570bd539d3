//! Many threads at once, without a runtime.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;

use switchboard_hub::{Audience, Hub, Limits, Outbox, Overflow, Parcel};

use crate::support::{block_on, outbox, own, poll};

/// The n-th parcel of one source.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    source: usize,
    number: usize,
}

impl Parcel for Numbered {
    fn weight(&self) -> usize {
        1 + self.number % 7
    }
}

/// What a driver thread does: takes parcels until the outbox ends, and settles when there is nothing more for now.
fn drive(outbox: &Outbox<Numbered>, mut take: impl FnMut(Numbered)) {
    while let Some(parcel) = block_on(poll_fn(|cx| {
        let popped = outbox.poll_pop(cx);
        if popped.is_pending() {
            outbox.settle();
        }
        popped
    })) {
        take(parcel);
    }
}

#[test]
fn every_sender_gets_through_in_its_order_whoever_gives_up() {
    const SENDERS: usize = 4;
    const EACH: usize = 2_000;
    let outbox = outbox(3, 12, Overflow::DropNewest);
    let mut received = [const { Vec::new() }; SENDERS];
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|source| {
                let outbox = &outbox;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let parcel = Numbered { source, number };
                        // One in three is polled once and then given up, unless that was enough.
                        if number % 3 == 0 && poll(&mut outbox.send(parcel), Waker::noop()).is_ready() {
                            continue;
                        }
                        block_on(outbox.send(parcel)).unwrap();
                        if number % 100 == 0 {
                            block_on(outbox.flush()).unwrap();
                        }
                    }
                    block_on(outbox.flush()).unwrap();
                })
            })
            .collect();
        let driver = scope.spawn(|| drive(&outbox, |parcel| received[parcel.source].push(parcel.number)));
        for sender in senders {
            sender.join().unwrap();
        }
        outbox.close();
        driver.join().unwrap();
    });
    for numbers in received {
        assert!(numbers.into_iter().eq(0..EACH), "lost, doubled or out of order");
    }
}

#[test]
fn an_end_releases_every_thread_that_waits() {
    for _ in 0..200 {
        let outbox = outbox(1, 100, Overflow::Close);
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..3)
                .map(|source| {
                    let outbox = &outbox;
                    // Without a driver one gets in, and the others wait until the end.
                    scope.spawn(move || block_on(outbox.send(Numbered { source, number: 0 })).is_ok())
                })
                .collect();
            let driver = scope.spawn(|| block_on(poll_fn(|cx| outbox.poll_abandoned(cx))));
            while outbox.is_empty() {
                thread::yield_now();
            }
            outbox.abandon();
            driver.join().unwrap();
            let got_in = waiters.into_iter().map(|waiter| waiter.join().unwrap());
            assert_eq!(got_in.filter(|got_in| *got_in).count(), 1);
        });
    }
}

/// Some stay subscribed throughout and must hear everything; others come and go, and what they hear must be in order.
#[test]
fn publishing_is_right_while_members_come_and_go() {
    const PUBLISHERS: usize = 3;
    const EACH: usize = 1_000;
    const TOPICS: [&str; 2] = ["lobby", "news"];
    let hub = Hub::default();
    let roomy = Limits { messages: usize::MAX, bytes: usize::MAX, overflow: Overflow::Close };
    let stayers: Vec<_> = (0..4)
        .map(|_| {
            let member = hub.join(Arc::new(Outbox::new(roomy)));
            for topic in TOPICS {
                assert_eq!(member.subscribe(topic), Ok(true));
            }
            member
        })
        .collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|source| {
                let hub = &hub;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let parcel = Numbered { source, number };
                        let delivery = if number % 10 == 9 {
                            hub.publish_all(parcel)
                        } else {
                            hub.publish(TOPICS[source % 2], parcel)
                        };
                        assert!(delivery.reached >= 4);
                    }
                })
            })
            .collect();
        for topic in TOPICS {
            let (hub, over) = (&hub, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let passer_by = hub.join(Arc::new(Outbox::new(roomy)));
                    assert_eq!(passer_by.subscribe(topic), Ok(true));
                    assert!(passer_by.unsubscribe(topic));
                    assert_eq!(passer_by.subscribe(topic), Ok(true));
                    own(&passer_by).close();
                    assert_in_order(&own(&passer_by), PUBLISHERS);
                }
            });
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    for member in &stayers {
        own(member).close();
        assert_eq!(assert_in_order(&own(member), PUBLISHERS), [EACH; PUBLISHERS], "something was missed");
    }
    assert_eq!((hub.members(), hub.count("lobby"), hub.count("news"), hub.topics()), (4, 4, 4, 2));
}

/// Members move all the time; what is published to some of their topics reaches each of them once, by one of both
/// doors.
#[test]
fn publishing_is_right_while_members_move() {
    const PUBLISHERS: usize = 2;
    const EACH: usize = 1_000;
    const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let hub = Hub::default();
    let roomy = Limits { messages: usize::MAX, bytes: usize::MAX, overflow: Overflow::Close };
    let movers: Vec<_> = (0..2).map(|_| hub.join(Arc::new(Outbox::new(roomy)))).collect();
    for member in &movers {
        TOPICS.iter().for_each(|topic| assert_eq!(member.subscribe(topic), Ok(true)));
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|source| {
                let hub = &hub;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let audience = Audience::topics(&TOPICS[number % 4..]).except(&["nobody"]);
                        assert_eq!(hub.publish_to(&audience, Numbered { source, number }).reached, 2);
                        let nobody = Audience::everyone().except(&TOPICS[number % 5..]);
                        assert_eq!(hub.publish_to(&nobody, Numbered { source, number }).reached, 0);
                    }
                })
            })
            .collect();
        for member in &movers {
            let over = &over;
            scope.spawn(move || {
                let mut doors = vec![own(member)];
                while !over.load(Ordering::Relaxed) {
                    let door = Arc::new(Outbox::new(roomy));
                    member.relocate(Arc::clone(&door));
                    doors.push(door);
                    thread::yield_now();
                }
                doors.iter().for_each(|door| door.close());
                let counts = doors.iter().map(|door| assert_in_order(door, PUBLISHERS));
                let heard = counts.fold(vec![0; PUBLISHERS], |heard, counts| {
                    heard.into_iter().zip(counts).map(|(heard, count)| heard + count).collect()
                });
                assert_eq!(heard, [EACH; PUBLISHERS]);
            });
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// Empties an ended outbox, whose parcels must come in each source's order, and counts them by source.
fn assert_in_order(outbox: &Outbox<Numbered>, sources: usize) -> Vec<usize> {
    let mut counts = vec![0; sources];
    let mut next = vec![0; sources];
    drive(outbox, |Numbered { source, number }| {
        assert!(number >= next[source], "out of order, or twice");
        next[source] = number + 1;
        counts[source] += 1;
    });
    counts
}

#[test]
fn a_wake_is_never_missed_between_a_push_and_a_poll() {
    const PARCELS: usize = 20_000;
    let outbox = Arc::new(Outbox::new(Limits { messages: PARCELS, bytes: usize::MAX, overflow: Overflow::Close }));
    let mut next = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..PARCELS {
                outbox.push(Numbered { source: 0, number });
            }
            outbox.close();
        });
        drive(&outbox, |parcel| {
            assert_eq!(parcel.number, next);
            next += 1;
        });
    });
    assert_eq!(next, PARCELS);
}
