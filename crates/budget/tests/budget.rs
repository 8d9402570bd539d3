//! What a budget does as it fills up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use switchboard_budget::{Budget, Charge, Exhausted, Hold, Holder, Part, Reserve, Watch};

const MIB: usize = 1 << 20;

/// A holder that lets go when it is told to, or when it is told twice.
struct Peer {
    budget: Budget,
    held: AtomicUsize,
    evictions: AtomicUsize,
    stubborn: bool,
    stranger: bool,
}

impl Holder for Peer {
    fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn is_stranger(&self) -> bool {
        self.stranger
    }

    fn evict(&self) {
        let before = self.evictions.fetch_add(1, Relaxed);
        if !self.stubborn || before > 0 {
            self.budget.give(Part::Queued, self.held.swap(0, Relaxed));
        }
    }
}

impl Peer {
    fn new(budget: &Budget, bytes: usize, stubborn: bool) -> (Arc<Self>, Watch) {
        Self::enter(budget, bytes, stubborn, false)
    }

    fn stranger(budget: &Budget, bytes: usize) -> (Arc<Self>, Watch) {
        Self::enter(budget, bytes, false, true)
    }

    fn enter(budget: &Budget, bytes: usize, stubborn: bool, stranger: bool) -> (Arc<Self>, Watch) {
        budget.take(Part::Queued, bytes);
        let peer = Arc::new(Self {
            budget: budget.clone(),
            held: AtomicUsize::new(bytes),
            evictions: AtomicUsize::new(0),
            stubborn,
            stranger,
        });
        let weak: Weak<Self> = Arc::downgrade(&peer);
        (peer, budget.watch(weak))
    }

    fn evictions(&self) -> usize {
        self.evictions.load(Relaxed)
    }
}

/// Something that nobody needs.
struct Spare(Mutex<Hold>);

impl Reserve for Spare {
    fn shrink(&self, bytes: usize) -> usize {
        let mut hold = self.0.lock().unwrap();
        let before = hold.bytes();
        hold.set(before.saturating_sub(bytes));
        before - hold.bytes()
    }
}

fn used(budget: &Budget) -> usize {
    budget.usage().unwrap().used
}

fn evicted(peers: &[(Arc<Peer>, Watch)]) -> usize {
    peers.iter().filter(|(peer, _)| peer.evictions() > 0).count()
}

#[test]
fn nobody_comes_in_at_nine_tenths_and_nothing_grows_at_the_limit() {
    let budget = Budget::new(100 * MIB);
    let mut hold = budget.hold(Part::Reading);
    hold.try_set(90 * MIB - 1).unwrap();
    assert!(budget.admit() && !budget.is_tight());
    let mut large = budget.hold(Part::Reading);
    large.try_set(5 * MIB).unwrap();
    assert!(!budget.admit() && budget.is_tight() && !budget.is_full());
    assert_eq!(large.try_set(6 * MIB), Err(Exhausted), "the last twentieth is for small things");
    let mut small: Vec<Hold> = Vec::new();
    let refused = loop {
        let mut hold = budget.hold(Part::Reading);
        match hold.try_set(8 << 10) {
            Ok(()) => small.push(hold),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Exhausted);
    assert!(used(&budget).abs_diff(100 * MIB) <= 8 << 10, "{}", used(&budget));
    assert_eq!(large.try_set(5 * MIB + (8 << 10)), Err(Exhausted));
    assert_eq!(large.bytes(), 5 * MIB, "what was refused has changed nothing");
    large.set(6 * MIB);
    assert!(used(&budget) > 100 * MIB && budget.is_full(), "what is there already is counted");
    let usage = budget.usage().unwrap();
    assert_eq!((usage.refused, usage.denied, usage.evicted), (1, 3, 0));
    drop((hold, large, small));
    assert_eq!(used(&budget), 0);
    assert!(budget.admit());
}

#[test]
fn the_largest_go_first_and_no_more_of_them_than_must() {
    let budget = Budget::new(100 * MIB);
    let peers: Vec<_> = [5, 20, 1, 30, 10, 23].map(|mib| Peer::new(&budget, mib * MIB, false)).into();
    budget.relieve();
    assert!(peers.iter().all(|(peer, _)| peer.evictions() == 0), "89 are not 90");
    budget.take(Part::Connections, MIB);
    budget.relieve();
    let gone: Vec<_> = peers.iter().map(|(peer, _)| peer.evictions()).collect();
    assert_eq!(gone, [0, 0, 0, 1, 0, 0], "60 are less than 80");
    assert_eq!((used(&budget), budget.usage().unwrap().evicted), (60 * MIB, 1));
    budget.take(Part::Connections, 38 * MIB);
    budget.relieve();
    let gone: Vec<_> = peers.iter().map(|(peer, _)| peer.evictions()).collect();
    assert_eq!(gone, [0, 0, 0, 1, 0, 1], "98 less 23 are less than 80");
}

#[test]
fn who_was_told_and_still_holds_something_is_told_again_before_others_are() {
    let budget = Budget::new(100 * MIB);
    let (stubborn, _first) = Peer::new(&budget, 50 * MIB, true);
    let (other, _second) = Peer::new(&budget, 40 * MIB, false);
    budget.relieve();
    assert_eq!((stubborn.evictions(), used(&budget)), (1, 90 * MIB));
    budget.relieve();
    assert_eq!(stubborn.evictions(), 1, "it has its moment");
    budget.take(Part::Connections, 2 * MIB);
    budget.relieve();
    assert_eq!((stubborn.evictions(), other.evictions()), (2, 0));
    assert_eq!((used(&budget), budget.usage().unwrap().evicted), (42 * MIB, 1));
}

/// Relief that found nobody, or not enough, is no reason to wait for as much again.
#[test]
fn those_who_hold_most_go_as_well_when_less_is_held_than_before_and_still_too_much() {
    let budget = Budget::new(100 * MIB);
    budget.take(Part::Connections, 97 * MIB);
    budget.relieve();
    budget.give(Part::Connections, 6 * MIB);
    budget.relieve();
    let (peer, _watch) = Peer::new(&budget, MIB, false);
    budget.relieve();
    assert_eq!(peer.evictions(), 0, "92 are not a 64th more than 91");
    budget.take(Part::Connections, MIB);
    budget.relieve();
    assert_eq!(peer.evictions(), 1);
}

#[test]
fn who_holds_next_to_nothing_is_no_offender() {
    let budget = Budget::new(100 * MIB);
    budget.take(Part::Connections, 94 * MIB);
    let (small, _watch) = Peer::new(&budget, 4095, false);
    budget.relieve();
    assert_eq!(small.evictions(), 0);
    assert!(!budget.admit());
}

#[test]
fn strangers_go_before_one_who_holds_less_than_all_of_them_the_oldest_first() {
    let budget = Budget::new(100 * MIB);
    let strangers: Vec<_> = (0..45_000).map(|_| Peer::stranger(&budget, 2 << 10)).collect();
    let (large, _large) = Peer::new(&budget, 3 * MIB, false);
    assert!(budget.is_tight());
    budget.relieve();
    assert_eq!(large.evictions(), 0);
    let gone = evicted(&strangers);
    assert!(used(&budget).abs_diff(70 * MIB) <= 256 << 10, "{}", used(&budget));
    assert!(strangers[..gone].iter().all(|(peer, _)| peer.evictions() == 1), "who came last has had no time yet");
    assert_eq!(budget.usage().unwrap().evicted, gone as u64);
}

#[test]
fn strangers_go_before_memory_is_short_if_that_is_enough() {
    let budget = Budget::new(100 * MIB);
    let strangers: Vec<_> = (0..10_000).map(|_| Peer::stranger(&budget, 2 << 10)).collect();
    let (large, _large) = Peer::new(&budget, 50 * MIB, false);
    let others = Peer::new(&budget, 10 * MIB, false);
    budget.relieve();
    assert_eq!(evicted(&strangers), 0, "79.5 are not 80");
    budget.take(Part::Connections, MIB);
    budget.relieve();
    let gone = evicted(&strangers);
    assert!(gone > 5_000 && used(&budget).abs_diff(70 * MIB) <= 256 << 10, "{gone}, {}", used(&budget));
    // What they still hold is not enough.
    budget.take(Part::Connections, 19 * MIB);
    budget.relieve();
    assert_eq!((evicted(&strangers), large.evictions(), others.0.evictions()), (gone, 0, 0));
    budget.take(Part::Connections, 2 * MIB);
    budget.relieve();
    assert_eq!((evicted(&strangers), large.evictions(), others.0.evictions()), (gone, 1, 0));
}

#[test]
fn a_few_strangers_stay_when_somebody_holds_more_than_they_do() {
    let budget = Budget::new(100 * MIB);
    let strangers: Vec<_> = (0..100).map(|_| Peer::stranger(&budget, 2 << 10)).collect();
    let large: Vec<_> = [2, 48, 40].map(|mib| Peer::new(&budget, mib * MIB, false)).into();
    budget.relieve();
    assert_eq!((evicted(&strangers), evicted(&large), large[1].0.evictions()), (0, 1, 1));
    budget.relieve();
    // A stranger that holds much is like anybody who does.
    let (greedy, _greedy) = Peer::stranger(&budget, 49 * MIB);
    budget.relieve();
    assert_eq!((greedy.evictions(), evicted(&strangers), evicted(&large)), (1, 0, 1));
}

#[test]
fn those_who_hold_little_go_when_nothing_else_is_left_and_the_newest_first() {
    let budget = Budget::new(100 * MIB);
    let peers: Vec<_> = (0..47_000).map(|_| Peer::new(&budget, 2 << 10, false)).collect();
    let idle: Vec<_> = (0..10).map(|_| Peer::new(&budget, 100, false)).collect();
    let (large, _large) = Peer::new(&budget, MIB, false);
    budget.relieve();
    assert_eq!((large.evictions(), evicted(&peers)), (1, 0), "nobody new comes: it is enough");
    // They take more and more.
    let more: Vec<_> = (0..2_000).map(|_| Peer::new(&budget, 2 << 10, false)).collect();
    budget.relieve();
    assert_eq!((evicted(&more), evicted(&idle)), (more.len(), 0), "to close these helps nobody");
    let stay = peers.len() - evicted(&peers);
    assert!(used(&budget).abs_diff(90 * MIB) <= 256 << 10, "{}", used(&budget));
    assert!(peers[..stay].iter().all(|(peer, _)| peer.evictions() == 0));
}

#[test]
fn what_nobody_needs_goes_before_anybody_does() {
    let budget = Budget::new(100 * MIB);
    let mut hold = budget.hold(Part::Recovery);
    hold.set(30 * MIB);
    let spare = Arc::new(Spare(Mutex::new(hold)));
    let weak: Weak<Spare> = Arc::downgrade(&spare);
    let reserve = budget.reserve(weak);
    let peers: Vec<_> = [50, 11].map(|mib| Peer::new(&budget, mib * MIB, false)).into();
    assert_eq!(budget.excess(), 21 * MIB);
    budget.relieve();
    assert_eq!((budget.excess(), used(&budget), evicted(&peers)), (0, 70 * MIB, 0));
    // What is left of it is not enough.
    let more = Peer::new(&budget, 40 * MIB, false);
    budget.relieve();
    assert_eq!(spare.0.lock().unwrap().bytes(), 0);
    assert_eq!((peers[0].0.evictions(), peers[1].0.evictions(), more.0.evictions()), (1, 0, 0));
    budget.relieve();
    // Who has left the list is not asked.
    spare.0.lock().unwrap().set(60 * MIB);
    drop(reserve);
    budget.relieve();
    assert_eq!((spare.0.lock().unwrap().bytes(), more.0.evictions()), (60 * MIB, 1));
}

#[test]
fn who_has_left_the_list_is_not_found() {
    let budget = Budget::new(100 * MIB);
    let (gone, watch) = Peer::new(&budget, 95 * MIB, false);
    drop(watch);
    budget.relieve();
    assert_eq!(gone.evictions(), 0);
}

#[test]
fn what_many_share_counts_once() {
    let (budget, other) = (Budget::new(MIB), Budget::new(MIB));
    let charge = Charge::default();
    charge.grow(|| 7);
    assert_eq!(used(&budget), 0, "nobody holds it");
    assert!(charge.count(&budget, || 1000) && charge.count(&budget, || 1000));
    assert!(!charge.count(&other, || 1000));
    charge.grow(|| 1500);
    assert_eq!((used(&budget), used(&other)), (1500, 0));
    drop(charge);
    assert_eq!(used(&budget), 0);
}

/// By another thread, say.
#[test]
fn what_grows_while_it_is_counted_counts() {
    let budget = Budget::new(MIB);
    let charge = Charge::default();
    let weigh_and_grow = || {
        charge.grow(|| 1500);
        1000
    };
    assert!(charge.count(&budget, weigh_and_grow));
    assert_eq!(used(&budget), 1500);
    charge.grow(|| 1200);
    assert_eq!(used(&budget), 1500, "another saw all of it before");
    drop(charge);
    assert_eq!(used(&budget), 0);
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let budget = Budget::default();
    let mut hold = budget.hold(Part::Reading);
    hold.try_set(usize::MAX).unwrap();
    budget.relieve();
    assert!(budget.admit() && budget.usage().is_none() && !budget.is_limited());
    assert_eq!(budget, Budget::default());
    assert_ne!(budget, Budget::new(1));
}
