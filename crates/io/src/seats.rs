//! The namespaces that one client is in, and those that it has asked for and is not in yet.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use switchboard_io_proto::socket::Namespace;

use crate::peer::Peer;
use crate::recovery::Place;

#[derive(Default)]
pub(crate) struct Seats(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Most often one.
    peers: SmallVec<[Arc<Peer>; 1]>,
    asked: SmallVec<[Namespace; 1]>,
    /// It has been in a namespace.
    was_in: bool,
    is_over: bool,
    /// What had been sent when the last pong came: the next one confirms it.
    sent: Place,
}

/// Why a client may not ask for a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    Twice,
    TooMany,
}

impl Seats {
    /// The client asks for a namespace.
    pub(crate) fn ask(&self, name: &Namespace, limit: usize) -> Result<(), Unasked> {
        let mut table = self.lock();
        if table.asked.contains(name) || table.peers.iter().any(|peer| peer.space.name == *name && peer.is_connected())
        {
            return Err(Unasked::Twice);
        }
        if table.peers.len() + table.asked.len() >= limit {
            return Err(Unasked::TooMany);
        }
        table.asked.push(name.clone());
        Ok(())
    }

    /// The client is in. `false`: it is gone meanwhile.
    pub(crate) fn admit(&self, peer: &Arc<Peer>) -> bool {
        let mut table = self.lock();
        table.asked.retain(|name| *name != peer.space.name);
        if table.is_over {
            return false;
        }
        // One that has left may come back.
        table.peers.retain(|other| other.space.name != peer.space.name);
        table.peers.push(Arc::clone(peer));
        table.was_in = true;
        true
    }

    /// The client is not let in.
    pub(crate) fn refuse(&self, name: &Namespace) {
        self.lock().asked.retain(|other| other != name);
    }

    pub(crate) fn get(&self, name: &Namespace) -> Option<Arc<Peer>> {
        self.lock().peers.iter().find(|peer| peer.space.name == *name).cloned()
    }

    pub(crate) fn all(&self) -> SmallVec<[Arc<Peer>; 1]> {
        self.lock().peers.clone()
    }

    pub(crate) fn remove(&self, name: &Namespace) -> Option<Arc<Peer>> {
        let mut table = self.lock();
        let place = table.peers.iter().position(|peer| peer.space.name == *name)?;
        Some(table.peers.remove(place))
    }

    /// Whether the client has ever been in a namespace.
    pub(crate) fn was_in(&self) -> bool {
        self.lock().was_in
    }

    /// The client is gone.
    pub(crate) fn end(&self) -> SmallVec<[Arc<Peer>; 1]> {
        let mut table = self.lock();
        table.is_over = true;
        std::mem::take(&mut table.peers)
    }

    /// The client has answered a ping, and `newest` is the last that was sent by now. All that was sent before the ping
    /// before was received; what was sent since may not have been.
    pub(crate) fn confirm(&self, newest: Place) {
        let mut table = self.lock();
        let confirmed = std::mem::replace(&mut table.sent, newest);
        for peer in &table.peers {
            peer.confirmed.fetch_max(confirmed, Ordering::AcqRel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
