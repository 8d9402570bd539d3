//! What senders that do not wait are told, what the policies do, and when the driver is woken.

use std::sync::Arc;
use std::task::{Context, Poll};

use switchboard_hub::{Accepted, Limits, Outbox, Overflow, Parcel, Pushed, Refused};

use crate::support::{Bell, drain, outbox, pop, word};

const POLICIES: [Overflow; 3] = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Close];

#[test]
fn defaults_are_those_documented() {
    let limits = Limits::default();
    assert_eq!(limits, Limits { messages: 1024, bytes: 1_048_576, overflow: Overflow::Close });
}

#[test]
fn parcels_leave_in_order_and_are_accounted_for() {
    let outbox = outbox(10, 100, Overflow::Close);
    assert_eq!(outbox.push(word("one")), Pushed::Sent);
    assert_eq!(outbox.try_push(word("three")), Ok(Accepted::Sent));
    assert_eq!((outbox.len(), outbox.bytes(), outbox.is_empty()), (2, 8, false));
    assert_eq!(pop(&outbox), word("one"));
    assert_eq!((outbox.len(), outbox.bytes()), (1, 5));
    assert_eq!(drain(&outbox), ["three"]);
    assert_eq!((outbox.len(), outbox.bytes(), outbox.is_empty()), (0, 0, true));
}

#[test]
fn an_empty_queue_takes_what_is_heavier_than_its_limit() {
    for overflow in POLICIES {
        let outbox = outbox(0, 4, overflow);
        assert_eq!(outbox.push(word("heavier")), Pushed::Sent);
        assert_eq!(outbox.try_push(word("")), Err(Refused::Full(word(""))));
        assert_eq!(drain(&outbox), ["heavier"]);
        assert_eq!(outbox.try_push(word("heavier")), Ok(Accepted::Sent));
    }
}

#[test]
fn either_bound_fills_the_queue() {
    let by_count = outbox(2, 100, Overflow::DropNewest);
    let by_bytes = outbox(100, 4, Overflow::DropNewest);
    for outbox in [by_count, by_bytes] {
        assert_eq!(outbox.push(word("aa")), Pushed::Sent);
        assert_eq!(outbox.push(word("bb")), Pushed::Sent);
        assert_eq!(outbox.push(word("c")), Pushed::Dropped);
        assert_eq!(outbox.try_push(word("c")).unwrap_err().into_parcel(), word("c"));
        assert_eq!(outbox.dropped(), 1, "a refused try_push loses nothing");
        assert_eq!(drain(&outbox), ["aa", "bb"]);
    }
}

#[test]
fn drop_oldest_makes_room_from_the_front() {
    let outbox = outbox(3, 6, Overflow::DropOldest);
    for text in ["aa", "bb", "cc"] {
        assert_eq!(outbox.push(word(text)), Pushed::Sent);
    }
    assert_eq!(outbox.push(word("d")), Pushed::Buffered);
    assert_eq!((outbox.len(), outbox.bytes(), outbox.dropped()), (3, 5, 1));
    assert_eq!(outbox.push(word("eeee")), Pushed::Buffered, "two have to leave for this one");
    assert_eq!((outbox.len(), outbox.bytes(), outbox.dropped()), (2, 5, 3));
    assert_eq!(outbox.push(word("too heavy")), Pushed::Buffered, "all have to leave for this one");
    assert_eq!((outbox.len(), outbox.bytes(), outbox.dropped()), (1, 9, 5));
    assert_eq!(drain(&outbox), ["too heavy"]);
}

#[test]
fn close_empties_the_queue_and_tells_the_driver() {
    let outbox = outbox(2, 100, Overflow::Close);
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    outbox.push(word("a"));
    outbox.push(word("b"));
    assert_eq!(outbox.poll_abandoned(&mut cx), Poll::Pending);
    assert_eq!(outbox.push(word("c")), Pushed::Overflowed);
    assert_eq!(bell.rang(), 1);
    assert!(outbox.is_overflowed() && outbox.is_closed());
    assert_eq!((outbox.len(), outbox.bytes(), outbox.dropped()), (0, 0, 3));
    assert_eq!(outbox.poll_abandoned(&mut cx), Poll::Ready(()));
    assert_eq!(outbox.poll_pop(&mut cx), Poll::Ready(None));
    assert_eq!(outbox.push(word("d")), Pushed::Closed);
    assert_eq!(outbox.try_push(word("d")), Err(Refused::Closed(word("d"))));
    outbox.close();
    outbox.abandon();
    assert!(outbox.is_overflowed(), "how it ended stays known");
    assert_eq!(outbox.dropped(), 3);
}

#[test]
fn a_stall_is_told_to_senders_until_it_settles() {
    let outbox = outbox(10, 100, Overflow::Close);
    assert_eq!(outbox.push(word("a")), Pushed::Sent);
    outbox.stall();
    assert!(outbox.is_stalled());
    assert_eq!(outbox.push(word("b")), Pushed::Buffered);
    assert_eq!(outbox.try_push(word("c")), Ok(Accepted::Buffered));
    outbox.settle();
    assert!(!outbox.is_stalled());
    assert_eq!(outbox.push(word("d")), Pushed::Sent);
}

#[test]
fn a_closed_outbox_still_drains() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    outbox.close();
    assert_eq!(outbox.push(word("b")), Pushed::Closed);
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(outbox.poll_abandoned(&mut cx), Poll::Pending, "what is queued is still to be written");
    assert_eq!(outbox.poll_pop(&mut cx), Poll::Ready(Some(word("a"))));
    assert_eq!(outbox.poll_pop(&mut cx), Poll::Ready(None));
    assert!(outbox.is_closed() && !outbox.is_overflowed());
    assert_eq!(bell.rang(), 0);
    outbox.abandon();
    assert_eq!(bell.rang(), 1);
    assert_eq!(outbox.poll_abandoned(&mut cx), Poll::Ready(()));
}

#[test]
fn an_abandoned_outbox_is_empty() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    outbox.abandon();
    assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
    assert_eq!(drain(&outbox), [""; 0]);
    assert!(outbox.is_closed() && !outbox.is_overflowed());
    assert_eq!(outbox.dropped(), 0, "that was no policy's doing");
}

#[test]
fn the_driver_is_woken_once_each_time_it_found_nothing() {
    let outbox = outbox(100, 1000, Overflow::Close);
    let (bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    outbox.push(word("before it ever polled"));
    assert_eq!(bell.rang(), 0);
    for _ in 0..3 {
        while outbox.poll_pop(&mut cx).is_ready() {}
        assert_eq!(outbox.poll_pop(&mut cx), Poll::Pending);
        for _ in 0..10 {
            outbox.push(word("a"));
        }
        assert_eq!(bell.rang(), 1);
        // It has work, and knows it: parcels that come while it works do not wake it.
        assert!(outbox.poll_pop(&mut cx).is_ready());
        outbox.push(word("b"));
        assert_eq!(bell.rang(), 0);
    }
    while outbox.poll_pop(&mut cx).is_ready() {}
    outbox.close();
    assert_eq!(bell.rang(), 1);
    outbox.close();
    assert_eq!(bell.rang(), 0);
    assert_eq!(outbox.poll_pop(&mut cx), Poll::Ready(None));
}

#[test]
fn the_waker_given_last_is_woken() {
    let outbox = outbox(10, 100, Overflow::Close);
    let (old_bell, old) = Bell::new();
    let (new_bell, new) = Bell::new();
    assert_eq!(outbox.poll_pop(&mut Context::from_waker(&old)), Poll::Pending);
    assert_eq!(outbox.poll_pop(&mut Context::from_waker(&new)), Poll::Pending);
    outbox.push(word("a"));
    assert_eq!((old_bell.rang(), new_bell.rang()), (0, 1));
}

#[test]
fn a_stalled_driver_is_woken_by_the_end_and_not_by_parcels() {
    type End = fn(&Outbox<crate::support::Word>);
    let ends: [End; 2] = [Outbox::abandon, |outbox| while outbox.push(word("flood")) != Pushed::Overflowed {}];
    for end in ends {
        let outbox = outbox(10, 100, Overflow::Close);
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(outbox.poll_pop(&mut cx), Poll::Pending);
        outbox.push(word("a"));
        assert_eq!(bell.rang(), 1);
        assert_eq!(outbox.poll_pop(&mut cx), Poll::Ready(Some(word("a"))));
        outbox.stall();
        assert_eq!(outbox.poll_abandoned(&mut cx), Poll::Pending);
        outbox.push(word("b"));
        outbox.push(word("c"));
        assert_eq!(bell.rang(), 0);
        end(&outbox);
        assert_eq!(bell.rang(), 1);
    }
}

/// A parcel whose code comes back to the outbox that holds it, which a lock held meanwhile would turn into a deadlock.
#[derive(Clone)]
struct Nosy(Arc<Outbox<Self>>);

impl Parcel for Nosy {
    fn weight(&self) -> usize {
        self.0.len() + 1
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        _ = self.0.bytes();
    }
}

#[test]
fn parcels_may_use_the_outbox_that_holds_them() {
    for overflow in POLICIES {
        let outbox = outbox(2, 1000, overflow);
        let fill = || (0..4).map(|_| outbox.push(Nosy(Arc::clone(&outbox)))).collect::<Vec<_>>();
        let expected = match overflow {
            Overflow::DropOldest => [Pushed::Sent, Pushed::Sent, Pushed::Buffered, Pushed::Buffered],
            Overflow::DropNewest => [Pushed::Sent, Pushed::Sent, Pushed::Dropped, Pushed::Dropped],
            Overflow::Close => [Pushed::Sent, Pushed::Sent, Pushed::Overflowed, Pushed::Closed],
        };
        assert_eq!(fill(), expected);
        outbox.abandon();
        assert_eq!(outbox.len(), 0);
        assert_eq!(fill(), [Pushed::Closed; 4]);
    }
}

/// A parcel that is worth nothing later.
#[derive(Clone, Debug, PartialEq)]
struct Fleeting(bool);

impl Parcel for Fleeting {
    fn weight(&self) -> usize {
        1
    }

    fn is_volatile(&self) -> bool {
        self.0
    }
}

#[test]
fn what_is_volatile_makes_room_for_others_and_takes_none_from_them() {
    for overflow in POLICIES {
        let outbox = outbox(2, 100, overflow);
        let push = |volatile| outbox.push(Fleeting(volatile));
        assert_eq!([push(true), push(false), push(true)], [Pushed::Sent, Pushed::Sent, Pushed::Dropped], "it is full");
        assert_eq!((pop(&outbox), pop(&outbox)), (Fleeting(true), Fleeting(false)));
        outbox.stall();
        assert_eq!([push(true), push(false)], [Pushed::Dropped, Pushed::Buffered], "the peer lags");
        outbox.settle();
        assert_eq!((push(true), outbox.len(), outbox.dropped()), (Pushed::Sent, 2, 2));
    }
}
