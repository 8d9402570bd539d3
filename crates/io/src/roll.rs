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
    pub(crate) fn insert(&mut self, id: &Name, member: MemberId, peer: Arc<P>) {
        self.by_member.insert(member, id.clone());
        self.by_id.insert(id.clone(), Entry { peer, member });
    }

    pub(crate) fn remove(&mut self, id: &Name) -> Option<Arc<P>> {
        let entry = self.by_id.remove(id)?;
        // A transport that was changed for another has a new name already.
        if self.by_member.get(&entry.member) == Some(id) {
            self.by_member.remove(&entry.member);
        }
        Some(entry.peer)
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
