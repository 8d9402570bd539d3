//! Who is in a namespace: found by the id that the public knows, and by the membership that the hub knows.

use std::collections::HashMap;
use std::sync::Arc;

use switchboard_hub::MemberId;
use switchboard_io_proto::socket::Name;

/// The members of a namespace. Generic, because what is kept is made of what is above this.
pub(crate) struct Roll<P> {
    by_id: HashMap<Name, Entry<P>>,
    by_member: HashMap<MemberId, Name>,
}

struct Entry<P> {
    peer: Arc<P>,
    member: MemberId,
}

impl<P> Roll<P> {
    /// Somebody is here, in place of whoever had the same id.
    pub(crate) fn insert(&mut self, id: &Name, member: MemberId, peer: Arc<P>) {
        if let Some(before) = self.by_id.insert(id.clone(), Entry { peer, member }) {
            self.forget(before.member, id);
        }
        self.by_member.insert(member, id.clone());
    }

    /// This one is here no more. Whoever has come by the same id since still is.
    pub(crate) fn remove(&mut self, id: &Name, peer: &Arc<P>) {
        if self.get(id).is_some_and(|known| Arc::ptr_eq(known, peer))
            && let Some(entry) = self.by_id.remove(id)
        {
            self.forget(entry.member, id);
        }
    }

    /// A transport that was changed for another has a new name already.
    fn forget(&mut self, member: MemberId, id: &Name) {
        if self.by_member.get(&member) == Some(id) {
            self.by_member.remove(&member);
        }
    }

    /// The hub calls a member by another name, whoever it is here: its transport was changed for another.
    pub(crate) fn rename(&mut self, before: MemberId, member: MemberId) {
        let Some(id) = self.by_member.remove(&before) else { return };
        if let Some(entry) = self.by_id.get_mut(&id) {
            entry.member = member;
            self.by_member.insert(member, id);
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<P>> {
        self.by_id.get(id).map(|entry| &entry.peer)
    }

    pub(crate) fn of_member(&self, member: MemberId) -> Option<&Arc<P>> {
        self.by_member.get(&member).and_then(|id| self.get(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<P>> {
        self.by_id.values().map(|entry| &entry.peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

impl<P> Default for Roll<P> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), by_member: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_hub::Outbox;
    use switchboard_ws::{Hub, OutboxLimits};

    use super::*;

    #[test]
    fn who_goes_late_does_not_take_its_follower_of_the_same_id_along() {
        let hub = Hub::default();
        let members = [(); 2].map(|()| hub.join(Arc::new(Outbox::new(OutboxLimits::default()))));
        let [before, after] = members.each_ref().map(switchboard_hub::Member::id);
        let (mut roll, ann) = (Roll::default(), Name::from("ann"));
        let peers = ["before", "after"].map(Arc::new);
        roll.insert(&ann, before, Arc::clone(&peers[0]));
        roll.insert(&ann, after, Arc::clone(&peers[1]));
        assert!(roll.of_member(before).is_none());
        roll.remove(&ann, &peers[0]);
        assert_eq!((roll.of_member(after), roll.len()), (Some(&peers[1]), 1));
        roll.remove(&ann, &peers[1]);
        assert_eq!((roll.of_member(after), roll.len(), roll.by_member.len()), (None, 0, 0));
    }
}
