//! The hub beside the plainest thing that does the same: a list of members with lists of topics. Some members have an
//! outbox, others are reached through two ports.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use switchboard_hub::{
    Audience, Delivery, Hub, HubError, HubLimits, Member, Overflow, Port, PortLimits, Pushed, SlotId, Topic,
};

use crate::support::{Word, drain, outbox, own, take, word};

/// The first have an outbox, the others take turns at the ports.
const MEMBERS: usize = 10;
const WITH_OUTBOX: usize = 5;
const PORTS: usize = 2;
const TOPICS: [&str; 5] = ["a", "b", "c", "d", "too long"];
const LIMITS: HubLimits = HubLimits { topics_per_member: 3, topic_bytes: 4 };
const PORT_LIMITS: PortLimits = PortLimits { publications: 4, bytes: usize::MAX };

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(usize),
    /// Closes the outbox, or the port and with it all who are reached through it.
    Close(usize),
    /// Empties the outbox or the port.
    Read(usize),
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    PublishFrom(usize, usize),
    PublishAll,
    PublishAllFrom(usize),
    /// To topics but others, by sets of bits; to everyone when there are none.
    PublishTo {
        from: Option<usize>,
        include: u8,
        except: u8,
    },
    Send(usize),
    /// To another outbox, or another slot of the same port.
    Relocate(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    let topic = 0..TOPICS.len();
    prop_oneof![
        4 => member.clone().prop_map(Step::Join),
        1 => member.clone().prop_map(Step::Leave),
        1 => member.clone().prop_map(Step::Close),
        2 => member.clone().prop_map(Step::Read),
        8 => (member.clone(), topic.clone()).prop_map(|(member, topic)| Step::Subscribe(member, topic)),
        2 => (member.clone(), topic.clone()).prop_map(|(member, topic)| Step::Unsubscribe(member, topic)),
        3 => topic.clone().prop_map(Step::Publish),
        3 => (member.clone(), topic).prop_map(|(member, topic)| Step::PublishFrom(member, topic)),
        1 => Just(Step::PublishAll),
        1 => member.clone().prop_map(Step::PublishAllFrom),
        5 => (option::of(member.clone()), 0..16_u8, prop_oneof![Just(0), 0..16_u8])
            .prop_map(|(from, include, except)| Step::PublishTo { from, include, except }),
        1 => member.clone().prop_map(Step::Send),
        2 => member.prop_map(Step::Relocate),
    ]
}

/// What a member is in the model. Odd ones with an outbox have two places, and what is new is dropped.
struct Plain {
    topics: BTreeSet<&'static str>,
    queue: Vec<String>,
    room: usize,
    closed: bool,
    slot: SlotId,
}

/// Members by place, in the hub and in the model.
struct World {
    hub: Hub<Word>,
    members: [Option<(Member<Word>, Plain)>; MEMBERS],
    /// With how many publications are queued.
    ports: [(Arc<Port<Word>>, usize); PORTS],
    published: usize,
    joined: u32,
}

/// A set of topics by its bits.
fn topics(bits: u8) -> Vec<&'static str> {
    TOPICS.into_iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1).map(|(_, topic)| topic).collect()
}

/// The port of a member that has no outbox.
fn port_of(place: usize) -> Option<usize> {
    place.checked_sub(WITH_OUTBOX).map(|place| place % PORTS)
}

impl World {
    fn new() -> Self {
        let ports = [(); PORTS].map(|()| (Arc::new(Port::new(PORT_LIMITS)), 0));
        Self { hub: Hub::new(LIMITS), members: Default::default(), ports, published: 0, joined: 0 }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Join(place) => self.join(place),
            Step::Leave(place) => self.members[place] = None,
            Step::Close(place) => self.close(place),
            Step::Read(place) => match port_of(place) {
                Some(port) => self.read_port(port),
                None => {
                    if let Some((member, plain)) = &mut self.members[place] {
                        assert_eq!(drain(&own(member)), std::mem::take(&mut plain.queue));
                    }
                }
            },
            Step::Subscribe(place, topic) => self.subscribe(place, TOPICS[topic]),
            Step::Unsubscribe(place, topic) => {
                if let Some((member, plain)) = &mut self.members[place] {
                    assert_eq!(member.unsubscribe(TOPICS[topic]), plain.topics.remove(TOPICS[topic]));
                }
            }
            Step::Publish(topic) => self.publish(None, Some(&TOPICS[topic..=topic]), &[]),
            Step::PublishFrom(place, topic) => self.publish(Some(place), Some(&TOPICS[topic..=topic]), &[]),
            Step::PublishAll => self.publish(None, None, &[]),
            Step::PublishAllFrom(place) => self.publish(Some(place), None, &[]),
            Step::PublishTo { from, include, except } => {
                let include = (include > 0).then(|| topics(include));
                self.publish(from, include.as_deref(), &topics(except));
            }
            Step::Send(place) => self.send(place),
            Step::Relocate(place) => self.relocate(place),
        }
        self.compare();
    }

    fn join(&mut self, place: usize) {
        // In two steps, so that a member that is replaced leaves first.
        self.members[place] = None;
        self.joined += 1;
        // Places are used again, and the order of keys is not that of members.
        let slot = SlotId { key: u32::try_from(MEMBERS - place).unwrap_or_default(), generation: self.joined };
        let room = if place < WITH_OUTBOX && place % 2 == 1 { 2 } else { 1000 };
        let plain = Plain { topics: BTreeSet::new(), queue: Vec::new(), room, closed: false, slot };
        let member = match port_of(place) {
            Some(port) => self.hub.join_slot(&self.ports[port].0, slot),
            None => self.hub.join(outbox(room, usize::MAX, Overflow::DropNewest)),
        };
        self.members[place] = Some((member, plain));
    }

    fn relocate(&mut self, place: usize) {
        // What came by the old door is read there.
        self.run(&Step::Read(place));
        self.joined += 1;
        let Some((member, plain)) = &mut self.members[place] else { return };
        let before = member.id();
        match port_of(place) {
            Some(port) => {
                plain.slot.generation = self.joined;
                member.relocate_slot(&self.ports[port].0, plain.slot);
            }
            None => member.relocate(outbox(plain.room, usize::MAX, Overflow::DropNewest)),
        }
        plain.closed = false;
        assert_ne!(member.id(), before);
    }

    fn send(&mut self, place: usize) {
        self.published += 1;
        let text = self.published.to_string();
        let Some((member, plain)) = &mut self.members[place] else { return };
        let (queued, room) = match port_of(place) {
            Some(port) => (self.ports[port].1, PORT_LIMITS.publications),
            None => (plain.queue.len(), plain.room),
        };
        let expected = match (plain.closed, queued < room) {
            (true, _) => Pushed::Closed,
            (false, true) => Pushed::Sent,
            (false, false) => Pushed::Dropped,
        };
        assert_eq!(member.send(word(&text)), expected);
        if expected == Pushed::Sent {
            plain.queue.push(text);
            if let Some(port) = port_of(place) {
                self.ports[port].1 += 1;
            }
        }
    }

    fn close(&mut self, place: usize) {
        let Some(port) = port_of(place) else {
            if let Some((member, plain)) = &mut self.members[place] {
                own(member).close();
                plain.closed = true;
            }
            return;
        };
        self.ports[port].0.close();
        assert!(self.ports[port].0.is_empty());
        self.ports[port] = (Arc::new(Port::new(PORT_LIMITS)), 0);
        for (place, member) in self.members.iter_mut().enumerate() {
            if let Some((_, plain)) = member.as_mut().filter(|_| port_of(place) == Some(port)) {
                plain.closed = true;
                plain.queue.clear();
            }
        }
    }

    fn read_port(&mut self, port: usize) {
        let taken = take(&self.ports[port].0);
        assert_eq!(taken.len(), std::mem::take(&mut self.ports[port].1));
        for (place, member) in self.members.iter_mut().enumerate() {
            let Some((_, plain)) = member.as_mut().filter(|_| port_of(place) == Some(port)) else { continue };
            let mine = taken.iter().filter(|publication| publication.receivers().any(|slot| slot == plain.slot));
            let heard: Vec<_> = mine.map(|publication| publication.parcel().0.clone()).collect();
            assert_eq!(heard, std::mem::take(&mut plain.queue));
        }
        for publication in taken {
            let receivers: Vec<_> = publication.receivers().collect();
            assert!(receivers.is_sorted());
            assert_eq!(receivers.len(), publication.reach());
        }
    }

    fn subscribe(&mut self, place: usize, topic: &'static str) {
        let Some((member, plain)) = &mut self.members[place] else { return };
        let expected = if topic.len() > LIMITS.topic_bytes {
            Err(HubError::TopicTooLong { bytes: topic.len(), limit: LIMITS.topic_bytes })
        } else if plain.topics.contains(topic) {
            Ok(false)
        } else if plain.topics.len() == LIMITS.topics_per_member {
            Err(HubError::TooManyTopics { limit: LIMITS.topics_per_member })
        } else {
            Ok(plain.topics.insert(topic))
        };
        assert_eq!(member.subscribe(topic), expected);
    }

    fn publish(&mut self, from: Option<usize>, include: Option<&[&str]>, except: &[&str]) {
        self.published += 1;
        let text = self.published.to_string();
        let parcel = word(&text);
        let from_id = match from {
            Some(place) => match &self.members[place] {
                Some((member, _)) => Some(member.id()),
                None => return,
            },
            None => None,
        };
        let audience = include.map_or_else(Audience::everyone, Audience::topics).except(except);
        let audience = from_id.map_or(audience, |id| audience.skip(id));
        let mut named = self.hub.members_of(&audience);
        let delivery = match (from_id, include, except) {
            (None, Some([topic]), []) => self.hub.publish(topic, parcel),
            (Some(id), Some([topic]), []) => self.hub.publish_from(id, topic, parcel),
            (None, None, []) => self.hub.publish_all(parcel),
            (Some(id), None, []) => self.hub.publish_all_from(id, parcel),
            _ => self.hub.publish_to(&audience, parcel),
        };
        let mut meant_ids = Vec::new();
        let mut expected = Delivery::default();
        let mut used = [false; PORTS];
        for (place, member) in self.members.iter_mut().enumerate() {
            let Some((member, plain)) = member else { continue };
            let in_any = |topics: &[&str]| topics.iter().any(|topic| plain.topics.contains(topic));
            if !include.is_none_or(in_any) || in_any(except) || from == Some(place) {
                continue;
            }
            meant_ids.push(member.id());
            if plain.closed {
                continue;
            }
            let (queued, room) = match port_of(place) {
                Some(port) => {
                    used[port] = true;
                    (self.ports[port].1, PORT_LIMITS.publications)
                }
                None => (plain.queue.len(), plain.room),
            };
            if queued < room {
                plain.queue.push(text.clone());
                expected.reached += 1;
            } else {
                expected.dropped += 1;
            }
        }
        assert_eq!(delivery, expected);
        assert_eq!(self.hub.count_of(&audience), named.len());
        named.sort_unstable();
        meant_ids.sort_unstable();
        assert_eq!(named, meant_ids);
        for ((_, queued), _) in self.ports.iter_mut().zip(used).filter(|(_, used)| *used) {
            *queued = PORT_LIMITS.publications.min(*queued + 1);
        }
    }

    fn compare(&self) {
        let present = || self.members.iter().flatten();
        assert_eq!(self.hub.members(), present().count());
        for topic in TOPICS {
            let count = present().filter(|(_, plain)| plain.topics.contains(topic)).count();
            assert_eq!(self.hub.count(topic), count);
            for (member, plain) in present() {
                assert_eq!(member.is_subscribed(topic), plain.topics.contains(topic));
            }
        }
        let topics: HashSet<_> = present().flat_map(|(_, plain)| &plain.topics).collect();
        assert_eq!(self.hub.topics(), topics.len());
        for (member, plain) in present() {
            let topics = member.topics();
            assert_eq!(topics.iter().map(Topic::as_str).collect::<BTreeSet<_>>(), plain.topics);
            if let Some(outbox) = member.outbox() {
                assert_eq!(outbox.len(), plain.queue.len());
            }
        }
        for (port, queued) in &self.ports {
            assert_eq!(port.len(), *queued);
        }
    }
}

proptest! {
    #[test]
    fn the_hub_does_what_the_plain_list_does(steps in vec(step(), 0..150)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        for place in 0..MEMBERS {
            world.run(&Step::Read(place));
        }
    }
}
