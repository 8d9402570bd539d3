//! What members cost in memory, counted by the allocator for the thread that asks.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use switchboard_hub::{Hub, Member, Parcel, Port, SlotId};

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

/// What an allocation takes in glibc's heap: a word of its own, multiples of 16, at least 32.
fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

#[expect(unsafe_code, reason = "the trait of allocators is unsafe; everything is left to the system's")]
// SAFETY: every call is passed on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(taken(layout.size())));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(taken(layout.size())));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone)]
struct Nothing;

impl Parcel for Nothing {
    fn weight(&self) -> usize {
        0
    }
}

const MEMBERS: u32 = 100_000;

/// What something takes for each of [`MEMBERS`].
fn bytes_each<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    let made = make();
    ((HELD.get() - before) / MEMBERS as usize, made)
}

/// Members in a table without unused room, each subscribed to one topic.
fn join(hub: &Hub<Nothing>, keys: impl Iterator<Item = u32>, topic: impl Fn(u32) -> String) -> Vec<Member<Nothing>> {
    let port = Arc::new(Port::default());
    let mut members = Vec::with_capacity(MEMBERS as usize);
    members.extend(keys.map(|key| {
        let member = hub.join_slot(&port, SlotId { key, generation: 0 });
        assert_eq!(member.subscribe(&topic(key)), Ok(true));
        member
    }));
    members
}

#[test]
fn members_are_small() {
    let before = HELD.get();
    let hub = Hub::default();
    let lobby = |_| "lobby".to_owned();
    let (in_order, members) = bytes_each(|| join(&hub, 0..MEMBERS, lobby));
    drop(members);
    // Keys that jump about leave room in the lists.
    let (scattered, members) = bytes_each(|| join(&hub, (0..MEMBERS).map(|number| number * 7919 % MEMBERS), lobby));
    drop(members);
    let (own, members) = bytes_each(|| join(&hub, 0..MEMBERS, |key| format!("user {key}")));
    drop((members, hub));
    assert_eq!(HELD.get(), before, "nothing stays behind");
    println!("in one topic: {in_order} bytes, {scattered} if keys come in no order; in a topic of its own: {own}");
    assert!(in_order <= 90 && scattered <= 100 && own <= 370);
}
