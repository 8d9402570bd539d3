//! The topics of one member. Most have one, which needs no set.

use std::collections::HashSet;

use crate::topic::Topic;

#[derive(Default)]
pub(crate) enum Topics {
    #[default]
    None,
    One {
        topic: Topic,
        /// No limit counts it.
        exempt: bool,
    },
    Many(Box<Many>),
}

#[derive(Default)]
pub(crate) struct Many {
    topics: HashSet<Topic>,
    /// Those of them that no limit counts; few.
    exempt: Vec<Topic>,
}

impl Topics {
    /// How many there are that a limit counts.
    pub(crate) fn counted(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One { exempt, .. } => usize::from(!exempt),
            Self::Many(many) => many.topics.len() - many.exempt.len(),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::One { topic, .. } => topic.as_str() == name,
            Self::Many(many) => many.topics.contains(name),
        }
    }

    /// Adds a topic that is not in yet.
    pub(crate) fn insert(&mut self, topic: Topic, exempt: bool) {
        *self = match std::mem::take(self) {
            Self::None => Self::One { topic, exempt },
            Self::One { topic: first, exempt: first_is_exempt } => {
                let mut many = Box::<Many>::default();
                many.insert(first, first_is_exempt);
                many.insert(topic, exempt);
                Self::Many(many)
            }
            Self::Many(mut many) => {
                many.insert(topic, exempt);
                Self::Many(many)
            }
        };
    }

    /// Removes a topic; `false` if it was not in.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let was = self.contains(name);
        match self {
            Self::Many(many) if was && many.topics.len() > 1 => {
                many.topics.remove(name);
                many.exempt.retain(|exempt| exempt.as_str() != name);
            }
            _ if was => *self = Self::None,
            _ => {}
        }
        was
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Topic> + Clone {
        type Parts<'t> = (Option<&'t Topic>, Option<&'t Many>);
        let (one, many): Parts<'_> = match self {
            Self::None => (None, None),
            Self::One { topic, .. } => (Some(topic), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flat_map(|many| many.topics.iter()))
    }
}

impl Many {
    fn insert(&mut self, topic: Topic, exempt: bool) {
        if exempt {
            self.exempt.push(topic.clone());
        }
        self.topics.insert(topic);
    }
}
