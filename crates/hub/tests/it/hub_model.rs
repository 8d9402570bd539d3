//! The hub beside the plainest thing that does the same: a list of members with lists of topics.

use std::collections::{BTreeSet, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use switchboard_hub::{Delivery, Hub, HubError, HubLimits, Member, Overflow, Topic};

use crate::support::{Word, drain, outbox, word};

const MEMBERS: usize = 6;
const TOPICS: [&str; 5] = ["a", "b", "c", "d", "too long"];
const LIMITS: HubLimits = HubLimits { topics_per_member: 3, topic_bytes: 4 };

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(usize),
    Close(usize),
    Read(usize),
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    PublishFrom(usize, usize),
    PublishAll,
    PublishAllFrom(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    let topic = 0..TOPICS.len();
    prop_oneof![
        3 => member.clone().prop_map(Step::Join),
        1 => member.clone().prop_map(Step::Leave),
        1 => member.clone().prop_map(Step::Close),
        1 => member.clone().prop_map(Step::Read),
        6 => (member.clone(), topic.clone()).prop_map(|(member, topic)| Step::Subscribe(member, topic)),
        2 => (member.clone(), topic.clone()).prop_map(|(member, topic)| Step::Unsubscribe(member, topic)),
        3 => topic.clone().prop_map(Step::Publish),
        3 => (member.clone(), topic).prop_map(|(member, topic)| Step::PublishFrom(member, topic)),
        1 => Just(Step::PublishAll),
        1 => member.prop_map(Step::PublishAllFrom),
    ]
}

/// What a member is in the model. Odd ones have an outbox of two places that drops what is new.
struct Plain {
    topics: BTreeSet<&'static str>,
    queue: Vec<String>,
    room: usize,
    closed: bool,
}

/// Members by place, in the hub and in the model.
struct World {
    hub: Hub<Word>,
    members: [Option<(Member<Word>, Plain)>; MEMBERS],
    published: usize,
}

impl World {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::Join(place) => {
                let room = if place % 2 == 1 { 2 } else { 1000 };
                let plain = Plain { topics: BTreeSet::new(), queue: Vec::new(), room, closed: false };
                // In two steps, so that a member that is replaced leaves first.
                self.members[place] = None;
                let member = self.hub.join(outbox(room, usize::MAX, Overflow::DropNewest));
                self.members[place] = Some((member, plain));
            }
            Step::Leave(place) => self.members[place] = None,
            Step::Close(place) => {
                if let Some((member, plain)) = &mut self.members[place] {
                    member.outbox().close();
                    plain.closed = true;
                }
            }
            Step::Read(place) => {
                if let Some((member, plain)) = &mut self.members[place] {
                    assert_eq!(drain(member.outbox()), std::mem::take(&mut plain.queue));
                }
            }
            Step::Subscribe(place, topic) => self.subscribe(place, TOPICS[topic]),
            Step::Unsubscribe(place, topic) => {
                if let Some((member, plain)) = &mut self.members[place] {
                    assert_eq!(member.unsubscribe(TOPICS[topic]), plain.topics.remove(TOPICS[topic]));
                }
            }
            Step::Publish(topic) => self.publish(None, Some(TOPICS[topic])),
            Step::PublishFrom(place, topic) => self.publish(Some(place), Some(TOPICS[topic])),
            Step::PublishAll => self.publish(None, None),
            Step::PublishAllFrom(place) => self.publish(Some(place), None),
        }
        self.compare();
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

    fn publish(&mut self, from: Option<usize>, topic: Option<&str>) {
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
        let delivery = match (from_id, topic) {
            (None, Some(topic)) => self.hub.publish(topic, parcel),
            (Some(id), Some(topic)) => self.hub.publish_from(id, topic, parcel),
            (None, None) => self.hub.publish_all(parcel),
            (Some(id), None) => self.hub.publish_all_from(id, parcel),
        };
        let mut expected = Delivery::default();
        for (place, member) in self.members.iter_mut().enumerate() {
            let Some((_, plain)) = member else { continue };
            let meant = topic.is_none_or(|topic| plain.topics.contains(topic));
            if !meant || from == Some(place) || plain.closed {
                continue;
            }
            if plain.queue.len() < plain.room {
                plain.queue.push(text.clone());
                expected.reached += 1;
            } else {
                expected.dropped += 1;
            }
        }
        assert_eq!(delivery, expected);
    }

    fn compare(&self) {
        let present = || self.members.iter().flatten();
        assert_eq!(self.hub.members(), present().count());
        for topic in TOPICS {
            let count = present().filter(|(_, plain)| plain.topics.contains(topic)).count();
            assert_eq!(self.hub.count(topic), count);
        }
        let topics: HashSet<_> = present().flat_map(|(_, plain)| &plain.topics).collect();
        assert_eq!(self.hub.topics(), topics.len());
        for (member, plain) in present() {
            let topics = member.topics();
            assert_eq!(topics.iter().map(Topic::as_str).collect::<BTreeSet<_>>(), plain.topics);
            assert_eq!(member.outbox().len(), plain.queue.len());
        }
    }
}

proptest! {
    #[test]
    fn the_hub_does_what_the_plain_list_does(steps in vec(step(), 0..120)) {
        let mut world = World { hub: Hub::new(LIMITS), members: Default::default(), published: 0 };
        for step in &steps {
            world.run(step);
        }
        for place in 0..MEMBERS {
            world.run(&Step::Read(place));
        }
    }
}
