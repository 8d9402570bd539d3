//! Any order of what senders, publishers and the driver may do: nobody waits in vain, and nothing is lost, doubled or
//! out of order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use switchboard_hub::{Closed, Limits, Outbox, Overflow, Parcel, Push, Pushed};

use crate::support::{Bell, poll, pop};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered {
    number: usize,
    weight: usize,
}

impl Parcel for Numbered {
    fn weight(&self) -> usize {
        self.weight
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    TryPush(usize),
    /// Starts a send and polls it once.
    Send(usize),
    /// Polls the n-th sender that waits.
    Poll(usize),
    /// Polls every sender that was woken.
    PollWoken,
    /// Drops the n-th sender that waits, woken or not.
    Cancel(usize),
    Pop,
    Stall,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let weight = 0..12_usize;
    prop_oneof![
        2 => weight.clone().prop_map(Step::Push),
        2 => weight.clone().prop_map(Step::TryPush),
        4 => weight.prop_map(Step::Send),
        2 => (0..8_usize).prop_map(Step::Poll),
        2 => Just(Step::PollWoken),
        2 => (0..8_usize).prop_map(Step::Cancel),
        5 => Just(Step::Pop),
        1 => Just(Step::Stall),
        1 => Just(Step::Settle),
    ]
}

struct Waiter {
    push: Push<Numbered>,
    parcel: Numbered,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The outbox beside a plain queue that is told what the outbox said.
struct World {
    outbox: Arc<Outbox<Numbered>>,
    queued: VecDeque<Numbered>,
    waiters: Vec<Waiter>,
    dropped: u64,
    numbers: usize,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            outbox: Arc::new(Outbox::new(limits)),
            queued: VecDeque::new(),
            waiters: Vec::new(),
            dropped: 0,
            numbers: 0,
        }
    }

    fn parcel(&mut self, weight: usize) -> Numbered {
        self.numbers += 1;
        Numbered { number: self.numbers, weight }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Push(weight) => self.push(weight),
            Step::TryPush(weight) => {
                let parcel = self.parcel(weight);
                match self.outbox.try_push(parcel.clone()) {
                    Ok(_) => self.queued.push_back(parcel),
                    Err(refused) => {
                        assert!(!self.queued.is_empty() || !self.waiters.is_empty(), "refused with nothing in the way");
                        assert_eq!(refused.into_parcel(), parcel);
                    }
                }
            }
            Step::Send(weight) => {
                let parcel = self.parcel(weight);
                let (bell, waker) = Bell::new();
                self.waiters.push(Waiter { push: self.outbox.send(parcel.clone()), parcel, bell, waker });
                self.poll(self.waiters.len() - 1);
            }
            Step::Poll(place) if place < self.waiters.len() => _ = self.poll(place),
            Step::PollWoken => self.poll_woken(),
            Step::Cancel(place) if place < self.waiters.len() => drop(self.waiters.remove(place)),
            Step::Pop if !self.queued.is_empty() => assert_eq!(Some(pop(&self.outbox)), self.queued.pop_front()),
            Step::Poll(_) | Step::Cancel(_) | Step::Pop => {}
            Step::Stall => self.outbox.stall(),
            Step::Settle => self.outbox.settle(),
        }
        assert_eq!(self.outbox.len(), self.queued.len());
        assert_eq!(self.outbox.bytes(), self.queued.iter().map(|parcel| parcel.weight).sum::<usize>());
        assert_eq!(self.outbox.dropped(), self.dropped);
    }

    fn push(&mut self, weight: usize) {
        let parcel = self.parcel(weight);
        match self.outbox.push(parcel.clone()) {
            Pushed::Sent | Pushed::Buffered => self.queued.push_back(parcel),
            Pushed::Dropped => self.dropped += 1,
            Pushed::Overflowed | Pushed::Closed => panic!("the policy is not to close"),
        }
        // Those that were evicted are the oldest; the sums are compared after the step.
        while self.outbox.len() < self.queued.len() {
            self.queued.pop_front();
            self.dropped += 1;
        }
    }

    /// Polls one sender, and says whether it is done.
    fn poll(&mut self, place: usize) -> bool {
        let waiter = &mut self.waiters[place];
        match poll(&mut waiter.push, &waiter.waker) {
            Poll::Ready(Ok(_)) => {
                self.queued.push_back(self.waiters.remove(place).parcel);
                true
            }
            Poll::Ready(Err(Closed(_))) => panic!("nobody closed it"),
            Poll::Pending => false,
        }
    }

    fn poll_woken(&mut self) {
        let mut place = 0;
        while place < self.waiters.len() {
            if self.waiters[place].bell.rang() == 0 {
                place += 1;
            } else {
                assert!(self.poll(place), "woken without need");
            }
        }
    }

    /// The driver takes everything and only those who were woken go on. A waker that rang for a sender that was then
    /// polled by another step is gone with that sender.
    fn finish(&mut self) {
        loop {
            self.poll_woken();
            if self.queued.is_empty() {
                break;
            }
            self.run(&Step::Pop);
        }
        assert!(self.waiters.is_empty(), "somebody waits in vain");
    }
}

proptest! {
    #[test]
    fn nobody_waits_in_vain(
        messages in 0..5_usize,
        bytes in 0..20_usize,
        oldest in any::<bool>(),
        steps in vec(step(), 0..60),
    ) {
        let overflow = if oldest { Overflow::DropOldest } else { Overflow::DropNewest };
        let mut world = World::new(Limits { messages, bytes, overflow });
        for step in &steps {
            world.run(step);
        }
        world.finish();
    }
}
