//! Senders that wait for room: order, fairness, and being dropped at each point of their life.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use switchboard_hub::{Accepted, Closed, Outbox, Overflow, Push, Pushed, Refused};

use crate::support::{Bell, Word, drain, outbox, poll, pop, word};

const SENT: Poll<Result<Accepted, Closed<Word>>> = Poll::Ready(Ok(Accepted::Sent));

/// A sender that has been polled and waits.
struct Waiter {
    push: Push<Word>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Waiter {
    fn new(outbox: &Arc<Outbox<Word>>, text: &str) -> Self {
        let (bell, waker) = Bell::new();
        let mut waiter = Self { push: outbox.send(word(text)), bell, waker };
        assert_eq!(waiter.poll(), Poll::Pending);
        waiter
    }

    fn poll(&mut self) -> Poll<Result<Accepted, Closed<Word>>> {
        poll(&mut self.push, &self.waker)
    }

    fn rang(&self) -> usize {
        self.bell.rang()
    }
}

/// An outbox of two places, both taken.
fn full() -> Arc<Outbox<Word>> {
    let outbox = outbox(2, 100, Overflow::DropNewest);
    outbox.push(word("a"));
    outbox.push(word("b"));
    outbox
}

#[test]
fn with_room_it_does_not_wait() {
    let outbox = outbox(2, 100, Overflow::Close);
    assert_eq!(poll(&mut outbox.send(word("a")), Waker::noop()), SENT);
    outbox.stall();
    assert_eq!(poll(&mut outbox.send(word("b")), Waker::noop()), Poll::Ready(Ok(Accepted::Buffered)));
    assert_eq!(drain(&outbox), ["a", "b"]);
}

#[test]
fn those_who_wait_are_served_in_order_each_woken_once() {
    let outbox = full();
    let mut first = Waiter::new(&outbox, "c");
    let mut second = Waiter::new(&outbox, "d");
    assert_eq!(second.poll(), Poll::Pending);
    pop(&outbox);
    assert_eq!((first.rang(), second.rang()), (1, 0));
    assert_eq!(second.poll(), Poll::Pending, "it is not its turn");
    assert_eq!(first.poll(), SENT);
    pop(&outbox);
    assert_eq!((first.rang(), second.rang()), (0, 1));
    assert_eq!(second.poll(), SENT);
    assert_eq!(drain(&outbox), ["c", "d"]);
}

#[test]
fn room_set_aside_is_taken_by_nobody_else() {
    let outbox = full();
    let mut waiter = Waiter::new(&outbox, "c");
    pop(&outbox);
    assert_eq!(outbox.try_push(word("d")), Err(Refused::Full(word("d"))));
    assert_eq!(outbox.push(word("d")), Pushed::Dropped);
    let mut late = Waiter::new(&outbox, "e");
    assert_eq!(waiter.poll(), SENT);
    assert_eq!(late.poll(), Poll::Pending);
    assert_eq!(drain(&outbox), ["b", "c"]);
    assert_eq!(late.poll(), SENT);
}

#[test]
fn a_newcomer_does_not_overtake_even_if_it_would_fit() {
    let outbox = outbox(10, 5, Overflow::DropNewest);
    outbox.push(word("aaa"));
    let mut heavy = Waiter::new(&outbox, "bbbb");
    assert_eq!(outbox.try_push(word("c")), Err(Refused::Full(word("c"))));
    let mut light = Waiter::new(&outbox, "d");
    assert_eq!(outbox.push(word("e")), Pushed::Sent, "who cannot wait takes what room there is");
    assert_eq!(pop(&outbox), word("aaa"));
    assert_eq!((heavy.rang(), light.rang()), (1, 0));
    assert_eq!(heavy.poll(), SENT);
    assert_eq!(pop(&outbox), word("e"));
    assert_eq!(light.poll(), SENT);
    assert_eq!(drain(&outbox), ["bbbb", "d"]);
}

#[test]
fn one_pop_lets_as_many_go_on_as_fit() {
    let outbox = outbox(10, 4, Overflow::Close);
    outbox.push(word("aaaa"));
    let mut waiters = ["b", "cc", "dd"].map(|text| Waiter::new(&outbox, text));
    pop(&outbox);
    assert_eq!(waiters.each_ref().map(Waiter::rang), [1, 1, 0]);
    // They may come in any order.
    assert_eq!(waiters[1].poll(), SENT);
    assert_eq!(waiters[0].poll(), SENT);
    assert_eq!(drain(&outbox), ["cc", "b"]);
    assert_eq!(waiters[2].poll(), SENT);
}

#[test]
fn a_slow_waiter_costs_a_reading_peer_nothing() {
    let outbox = outbox(1, 100, Overflow::Close);
    outbox.push(word("a"));
    let mut waiter = Waiter::new(&outbox, "b");
    pop(&outbox);
    assert_eq!(outbox.push(word("c")), Pushed::Sent, "the queue is empty, though its one place is set aside");
    assert_eq!(waiter.poll(), SENT);
    assert_eq!(drain(&outbox), ["c", "b"]);
}

#[test]
fn eviction_by_a_lighter_parcel_lets_waiters_go_on() {
    let outbox = outbox(2, 10, Overflow::DropOldest);
    outbox.push(word("aaaaaaaa"));
    outbox.push(word("a"));
    let mut waiter = Waiter::new(&outbox, "bbb");
    assert_eq!(outbox.push(word("cc")), Pushed::Buffered);
    assert_eq!(waiter.rang(), 0, "still two queued");
    assert_eq!(outbox.push(word("dddddddddd")), Pushed::Buffered, "both leave for this one");
    assert_eq!(waiter.rang(), 0);
    pop(&outbox);
    assert_eq!(waiter.rang(), 1);
    assert_eq!(waiter.poll(), SENT);

    let outbox = self::outbox(10, 10, Overflow::DropOldest);
    outbox.push(word("aaaaaaaaaa"));
    let mut waiter = Waiter::new(&outbox, "bbb");
    assert_eq!(outbox.push(word("c")), Pushed::Buffered);
    assert_eq!(waiter.rang(), 1);
    assert_eq!(waiter.poll(), SENT);
    assert_eq!(drain(&outbox), ["c", "bbb"]);
}

#[test]
fn dropped_before_the_first_poll() {
    let outbox = full();
    drop(outbox.send(word("c")));
    assert_eq!(outbox.send(word("d")).into_parcel(), Some(word("d")));
    assert_eq!(drain(&outbox), ["a", "b"]);
}

#[test]
fn dropped_while_it_waits() {
    let outbox = full();
    let first = Waiter::new(&outbox, "c");
    let mut second = Waiter::new(&outbox, "d");
    drop(first);
    assert_eq!(second.rang(), 0, "there is still no room");
    pop(&outbox);
    assert_eq!(second.rang(), 1);
    assert_eq!(second.poll(), SENT);
    assert_eq!(drain(&outbox), ["b", "d"]);
}

#[test]
fn a_heavy_one_that_leaves_lets_lighter_ones_go_on() {
    let outbox = outbox(10, 5, Overflow::Close);
    outbox.push(word("aaa"));
    let heavy = Waiter::new(&outbox, "bbbb");
    let mut light = Waiter::new(&outbox, "c");
    drop(heavy);
    assert_eq!(light.rang(), 1);
    assert_eq!(light.poll(), SENT);
    assert_eq!(drain(&outbox), ["aaa", "c"]);
}

#[test]
fn dropped_after_it_was_woken() {
    let outbox = full();
    let first = Waiter::new(&outbox, "c");
    let mut second = Waiter::new(&outbox, "d");
    pop(&outbox);
    assert_eq!((first.rang(), second.rang()), (1, 0));
    assert_eq!(first.push.into_parcel(), Some(word("c")), "not queued, so it is given back");
    assert_eq!(second.rang(), 1, "the wake is passed on");
    assert_eq!(second.poll(), SENT);
    assert_eq!(drain(&outbox), ["b", "d"]);
    assert_eq!(outbox.try_push(word("e")), Ok(Accepted::Sent), "nothing stays set aside");
}

#[test]
fn dropped_after_it_was_ready() {
    let outbox = full();
    let mut waiter = Waiter::new(&outbox, "c");
    pop(&outbox);
    assert_eq!(waiter.poll(), SENT);
    assert_eq!(waiter.push.into_parcel(), None, "queued");
    assert_eq!(drain(&outbox), ["b", "c"]);
}

#[test]
fn an_end_gives_parcels_back_to_all_who_wait() {
    let ends: [fn(&Outbox<Word>); 2] = [Outbox::close, Outbox::abandon];
    for end in ends {
        let outbox = full();
        let mut woken = Waiter::new(&outbox, "c");
        let mut waiting = Waiter::new(&outbox, "d");
        let dropped = Waiter::new(&outbox, "e");
        pop(&outbox);
        assert_eq!(woken.rang(), 1);
        end(&outbox);
        assert_eq!((woken.rang(), waiting.rang(), dropped.rang()), (0, 1, 1));
        drop(dropped);
        assert_eq!(woken.poll(), Poll::Ready(Err(Closed(word("c")))));
        assert_eq!(waiting.poll(), Poll::Ready(Err(Closed(word("d")))));
        let mut late = outbox.send(word("f"));
        assert_eq!(poll(&mut late, Waker::noop()), Poll::Ready(Err(Closed(word("f")))));
    }
}

#[test]
fn an_overflow_ends_those_who_wait_too() {
    let outbox = outbox(1, 100, Overflow::Close);
    outbox.push(word("a"));
    let mut waiter = Waiter::new(&outbox, "b");
    assert_eq!(outbox.push(word("c")), Pushed::Overflowed);
    assert_eq!(waiter.rang(), 1);
    assert_eq!(waiter.poll(), Poll::Ready(Err(Closed(word("b")))));
}

#[test]
fn a_push_that_moved_to_another_task_wakes_that_one() {
    let outbox = full();
    let mut waiter = Waiter::new(&outbox, "c");
    let (bell, waker) = Bell::new();
    assert_eq!(poll(&mut waiter.push, &waker), Poll::Pending);
    pop(&outbox);
    assert_eq!((waiter.rang(), bell.rang()), (0, 1));
}

/// A waker that owns what its task owned, as some executors do: the last waker to go drops the task.
struct Owner(#[expect(dead_code, reason = "only held")] Mutex<Option<Push<Word>>>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_own_a_sender_of_the_same_outbox() {
    let outbox = full();
    let owner = || {
        let waiting = Waiter::new(&outbox, "owned").push;
        Waker::from(Arc::new(Owner(Mutex::new(Some(waiting)))))
    };
    let mut push = outbox.send(word("c"));
    assert_eq!(poll(&mut push, &owner()), Poll::Pending);
    assert_eq!(poll(&mut push, &owner()), Poll::Pending, "displaces the first, which drops a waiting push");
    drop(push);
    let mut flush = outbox.flush();
    assert_eq!(poll(&mut flush, &owner()), Poll::Pending);
    assert_eq!(poll(&mut flush, &owner()), Poll::Pending);
    drop(flush);
    for _ in 0..2 {
        assert!(outbox.poll_abandoned(&mut Context::from_waker(&owner())).is_pending());
    }
    outbox.abandon();
    assert_eq!(drain(&outbox), [""; 0]);
}
