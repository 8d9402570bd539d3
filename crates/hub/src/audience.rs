//! Who a publish is for, when that takes more than one topic to say.

use crate::door::MemberId;

/// Everyone who is in at least one of some topics, or every member of the hub, less those who are in certain others and
/// less one member. Each is meant once, however many of the topics they are in.
///
/// ```
/// use switchboard_hub::Audience;
///
/// let players = Audience::topics(&["red", "blue"]).except(&["muted"]);
/// let all_but_the_muted = Audience::everyone().except(&["muted"]);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Audience<'a> {
    /// `None`: everyone.
    pub(crate) include: Option<&'a [&'a str]>,
    pub(crate) except: &'a [&'a str],
    pub(crate) skip: Option<MemberId>,
}

impl<'a> Audience<'a> {
    /// Those who are in at least one of these topics; of no topics, nobody.
    pub fn topics(include: &'a [&'a str]) -> Self {
        Self { include: Some(include), except: &[], skip: None }
    }

    /// All members of the hub, subscribed to something or not.
    pub fn everyone() -> Self {
        Self { include: None, except: &[], skip: None }
    }

    /// But for those who are in at least one of these topics.
    pub fn except(self, topics: &'a [&'a str]) -> Self {
        Self { except: topics, ..self }
    }

    /// But for this member, which need not be among them.
    pub fn skip(self, member: MemberId) -> Self {
        Self { skip: Some(member), ..self }
    }
}
