//! What members cost in memory, counted by the allocator for the thread that asks.
#![cfg(not(loom))]

use std::sync::Arc;

use switchboard_hub::{Hub, Member, Parcel, Port, SlotId};
use switchboard_testkit::counting::{Counting, in_heap};

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
    let before = in_heap();
    let made = make();
    ((in_heap() - before) / MEMBERS as usize, made)
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
    let before = in_heap();
    let hub = Hub::default();
    let lobby = |_| "lobby".to_owned();
    let (in_order, members) = bytes_each(|| join(&hub, 0..MEMBERS, lobby));
    drop(members);
    // Keys that jump about leave room in the lists.
    let (scattered, members) = bytes_each(|| join(&hub, (0..MEMBERS).map(|number| number * 7919 % MEMBERS), lobby));
    drop(members);
    let (own, members) = bytes_each(|| join(&hub, 0..MEMBERS, |key| format!("user {key}")));
    drop((members, hub));
    assert_eq!(in_heap(), before, "nothing stays behind");
    println!("in one topic: {in_order} bytes, {scattered} if keys come in no order; in a topic of its own: {own}");
    assert!(in_order <= 90 && scattered <= 100 && own <= 370);
}
