//! What was sent of late, and to whom: in the order in which it was sent, for those who come back. They look through it
//! a step at a time, so that nobody who publishes waits for more than one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use switchboard_io_proto::socket::{Frames, Name, Namespace, Selector};
use switchboard_ws::{BudgetHold, OutboxLimits};

/// A packet's place among all that were recorded. Zero comes before the first.
pub(crate) type Place = u64;

/// So many packets are taken at once to be looked through.
pub(super) const STEP: usize = 256;

/// The packets.
#[derive(Debug, Default)]
pub(super) struct Packets {
    /// The place of the newest, which may be gone like any other.
    newest: Place,
    kept: VecDeque<Arc<Recorded>>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Recorded {
    at: Instant,
    namespace: Namespace,
    selector: Selector,
    frames: Frames,
    /// What it takes.
    bytes: usize,
}

impl Packets {
    pub(super) fn newest(&self) -> Place {
        self.newest
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a packet behind the newest.
    pub(super) fn push(&mut self, at: Instant, namespace: Namespace, selector: Selector, frames: Frames) {
        /// Its own, with the counts of who holds it, and its place in the queue.
        const PLACES: usize = size_of::<Recorded>() + 2 * size_of::<usize>() + size_of::<Arc<Recorded>>();
        let rooms = selector.rooms.iter().chain(&selector.except);
        let bytes = PLACES + frames.bytes() + rooms.map(size).sum::<usize>();
        self.newest += 1;
        self.bytes += bytes;
        self.kept.push_back(Arc::new(Recorded { at, namespace, selector, frames, bytes }));
    }

    /// Since when the oldest is here.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.kept.front().map(|oldest| oldest.at)
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.bytes;
        }
    }

    /// The packets from a place on, up to [`STEP`] of them: if there are fewer, those are all. `None`: the first of them
    /// is not here any more.
    pub(super) fn step(&self, from: Place) -> Option<Vec<Arc<Recorded>>> {
        let oldest = self.newest - self.kept.len() as u64 + 1;
        // As the place is a count of packets that are or were in memory, it fits.
        let start = usize::try_from(from.checked_sub(oldest)?).ok()?;
        Some(self.kept.iter().skip(start).take(STEP).cloned().collect())
    }
}

/// What somebody has missed, as far as the packets were looked through for it.
#[derive(Debug)]
pub(crate) struct Missed {
    namespace: Namespace,
    /// A set: every packet asks for its rooms.
    rooms: HashSet<Name>,
    /// What is to be looked at next.
    next: Place,
    found: Vec<Frames>,
    /// Of all that was found.
    messages: usize,
    bytes: usize,
    /// The packets may be dropped meanwhile.
    hold: BudgetHold,
    room: OutboxLimits,
}

impl Missed {
    /// For who was in these rooms, its own among them. Nothing was looked at yet of what came after `received`. It is to
    /// fit into a queue of these limits.
    pub(super) fn new(
        namespace: Namespace,
        rooms: HashSet<Name>,
        received: Place,
        room: OutboxLimits,
        hold: BudgetHold,
    ) -> Self {
        Self { namespace, rooms, next: received + 1, found: Vec::new(), messages: 0, bytes: 0, hold, room }
    }

    pub(super) fn next(&self) -> Place {
        self.next
    }

    /// Middlewares have put it into other rooms meanwhile: what is looked at from now on is for those.
    pub(crate) fn move_to(&mut self, rooms: HashSet<Name>) {
        self.rooms = rooms;
    }

    /// Looks at the packets that come next. `false`: it is too much.
    pub(super) fn look_at(&mut self, step: &[Arc<Recorded>]) -> bool {
        self.next += step.len() as u64;
        for Recorded { namespace, selector, frames, .. } in step.iter().map(|packet| &**packet) {
            if *namespace != self.namespace || !selector.selects(|room| self.rooms.contains(room)) {
                continue;
            }
            self.messages += frames.len();
            self.bytes += frames.bytes();
            if !self.fits() {
                return false;
            }
            self.found.push(frames.clone());
        }
        self.hold.set(self.bytes);
        true
    }

    /// What was found since this was called last.
    pub(crate) fn take(&mut self) -> Vec<Frames> {
        std::mem::take(&mut self.found)
    }

    /// Whether a queue holds it all, the welcome too: bytes as base64, which they are on polling.
    fn fits(&self) -> bool {
        const WELCOME: usize = 256;
        let Self { messages, bytes, room, .. } = self;
        let coded = bytes.saturating_add(bytes / 3).saturating_add(messages.saturating_mul(4)).saturating_add(WELCOME);
        *messages < room.messages && coded <= room.bytes
    }
}

/// A place as clients know it: opaque to them, and never empty.
pub(super) fn offset(place: Place) -> String {
    format!("{place:x}")
}

pub(super) fn place(offset: &str) -> Option<Place> {
    // `from_str_radix` would take a sign.
    let is_hex = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(offset, 16).ok()).flatten()
}

/// What a name takes: with its text, which a long one keeps elsewhere.
pub(super) fn size(name: &Name) -> usize {
    size_of::<Name>() + name.len()
}
