//! Waiting until what was queued is with the kernel.

use std::sync::Arc;
use std::task::{Poll, Waker};

use switchboard_hub::{Closed, Flush, Outbox, Overflow, Pushed};

use crate::support::{Bell, Word, drain, outbox, poll, pop, word};

const DONE: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));
const LOST: Poll<Result<(), Closed>> = Poll::Ready(Err(Closed(())));

fn waiting(outbox: &Arc<Outbox<Word>>) -> (Flush<Word>, Arc<Bell>, Waker) {
    let (bell, waker) = Bell::new();
    let mut flush = outbox.flush();
    assert_eq!(poll(&mut flush, &waker), Poll::Pending);
    (flush, bell, waker)
}

#[test]
fn nothing_queued_is_flushed_at_once() {
    let outbox = outbox::<Word>(10, 100, Overflow::Close);
    assert_eq!(poll(&mut outbox.flush(), Waker::noop()), DONE);
}

#[test]
fn popped_is_not_yet_flushed() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    let (mut flush, bell, waker) = waiting(&outbox);
    pop(&outbox);
    assert_eq!(bell.rang(), 0);
    assert_eq!(poll(&mut flush, &waker), Poll::Pending);
    outbox.settle();
    assert_eq!(bell.rang(), 1);
    assert_eq!(poll(&mut flush, &waker), DONE);
    assert_eq!(poll(&mut outbox.flush(), &waker), DONE);
}

#[test]
fn what_comes_later_does_not_prolong_it() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    let (mut early, early_bell, early_waker) = waiting(&outbox);
    outbox.push(word("b"));
    let (mut late, late_bell, late_waker) = waiting(&outbox);
    pop(&outbox);
    outbox.settle();
    assert_eq!((early_bell.rang(), late_bell.rang()), (1, 0));
    assert_eq!(poll(&mut early, &early_waker), DONE);
    assert_eq!(poll(&mut late, &late_waker), Poll::Pending);
    pop(&outbox);
    outbox.settle();
    assert_eq!(late_bell.rang(), 1);
    assert_eq!(poll(&mut late, &late_waker), DONE);
}

#[test]
fn many_may_wait_and_any_may_leave() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    let mut flushes = [(); 3].map(|()| waiting(&outbox));
    let (bell, waker) = Bell::new();
    assert_eq!(poll(&mut flushes[2].0, &waker), Poll::Pending, "it moved to another task");
    let [first, mut second, mut third] = flushes;
    drop(first.0);
    pop(&outbox);
    outbox.settle();
    assert_eq!((first.1.rang(), second.1.rang(), third.1.rang(), bell.rang()), (0, 1, 0, 1));
    assert_eq!(poll(&mut second.0, &second.2), DONE);
    drop(second.0);
    assert_eq!(poll(&mut third.0, &waker), DONE);
}

#[test]
fn evicted_parcels_are_not_waited_for() {
    let outbox = outbox(1, 100, Overflow::DropOldest);
    outbox.push(word("a"));
    let (mut flush, bell, waker) = waiting(&outbox);
    assert_eq!(outbox.push(word("b")), Pushed::Buffered);
    outbox.settle();
    assert_eq!(bell.rang(), 1);
    assert_eq!(poll(&mut flush, &waker), DONE);
    assert_eq!(drain(&outbox), ["b"]);
}

#[test]
fn a_close_lets_it_finish() {
    let outbox = outbox(10, 100, Overflow::Close);
    outbox.push(word("a"));
    let (mut flush, bell, waker) = waiting(&outbox);
    outbox.close();
    assert_eq!(poll(&mut flush, &waker), Poll::Pending);
    assert_eq!(drain(&outbox), ["a"]);
    outbox.settle();
    assert_eq!(bell.rang(), 1);
    assert_eq!(poll(&mut flush, &waker), DONE);
}

#[test]
fn what_was_thrown_away_is_never_called_flushed() {
    let ends: [fn(&Outbox<Word>); 2] =
        [Outbox::abandon, |outbox| assert_eq!(outbox.push(word("c")), Pushed::Overflowed)];
    for end in ends {
        let outbox = outbox(2, 100, Overflow::Close);
        outbox.push(word("a"));
        outbox.push(word("b"));
        pop(&outbox);
        outbox.settle();
        let mut before = outbox.flush();
        outbox.push(word("b"));
        let (mut flush, bell, waker) = waiting(&outbox);
        end(&outbox);
        assert_eq!(bell.rang(), 1);
        outbox.settle();
        assert_eq!(poll(&mut flush, &waker), LOST);
        assert_eq!(poll(&mut before, &waker), LOST);
        assert_eq!(poll(&mut outbox.flush(), &waker), LOST);
    }
}
