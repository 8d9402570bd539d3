//! The topics of one member. Most have one, which needs no set.

use std::collections::HashSet;

use crate::topic::Topic;

#[derive(Default)]
pub(crate) struct Topics {
    first: Option<Topic>,
    /// Not there while it would be empty.
    #[expect(clippy::box_collection, reason = "a member with one topic need not hold the 48 bytes of a set")]
    rest: Option<Box<HashSet<Topic>>>,
}

impl Topics {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.is_first(topic) || self.rest.as_ref().is_some_and(|rest| rest.contains(topic))
    }

    /// Adds a topic that is not in yet.
    pub(crate) fn insert(&mut self, topic: Topic) {
        match self.first {
            None => self.first = Some(topic),
            Some(_) => {
                self.rest.get_or_insert_default().insert(topic);
            }
        }
    }

    /// Removes a topic; `false` if it was not in.
    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        if self.is_first(topic) {
            self.first = None;
            return true;
        }
        let Some(rest) = &mut self.rest else { return false };
        let was = rest.remove(topic);
        if rest.is_empty() {
            self.rest = None;
        }
        was
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Topic> + Clone {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    fn is_first(&self, topic: &str) -> bool {
        self.first.as_ref().is_some_and(|first| first.as_str() == topic)
    }
}
