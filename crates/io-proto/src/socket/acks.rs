//! Who waits for which answer, until when. Shared by server and client; the caller brings the clock.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::packet::AckId;

/// Waiters by ack id, each with a deadline or none. Allocates nothing until something is waited for.
#[derive(Debug)]
pub struct Acks<T> {
    waiting: HashMap<AckId, Waiting<T>>,
    /// The same, by time.
    deadlines: BTreeSet<(Instant, AckId)>,
    limit: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    deadline: Option<Instant>,
    waiter: T,
}

/// Why a waiter was not taken, and the waiter back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused<T> {
    /// As many wait already as may: the peer does not answer.
    Full(T),
    /// Somebody waits for this id already.
    Taken(T),
}

impl<T> Acks<T> {
    /// Nobody waits; at most `limit` may.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { waiting: HashMap::new(), deadlines: BTreeSet::new(), limit }
    }

    /// Waits for the answer to `id`, until `deadline` or forever.
    ///
    /// # Errors
    /// The waiter comes back when too many wait already, or one waits for this id.
    pub fn insert(&mut self, id: AckId, deadline: Option<Instant>, waiter: T) -> Result<(), Refused<T>> {
        if self.waiting.contains_key(&id) {
            return Err(Refused::Taken(waiter));
        }
        if self.waiting.len() >= self.limit {
            return Err(Refused::Full(waiter));
        }
        self.waiting.insert(id, Waiting { deadline, waiter });
        self.deadlines.extend(deadline.map(|at| (at, id)));
        Ok(())
    }

    /// The answer came, or nobody is interested any more: who waited for it, once. `None` for an id that was never given
    /// out, was answered, or ran out of time: such answers are to be ignored, as Node does.
    pub fn remove(&mut self, id: AckId) -> Option<T> {
        let Waiting { deadline, waiter } = self.waiting.remove(&id)?;
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, id));
        }
        Some(waiter)
    }

    /// When [`expire`](Self::expire) is to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A waiter whose deadline has come, the earliest first; call until `None`.
    pub fn expire(&mut self, now: Instant) -> Option<(AckId, T)> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        self.waiting.remove(&id).map(|waiting| (id, waiting.waiter))
    }

    /// Everybody who waits, in no order: the connection is gone.
    pub fn drain(&mut self) -> impl Iterator<Item = (AckId, T)> {
        self.deadlines.clear();
        std::mem::take(&mut self.waiting).into_iter().map(|(id, waiting)| (id, waiting.waiter))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_is_given_once() {
        let mut acks = Acks::new(2);
        assert_eq!(acks.insert(1, None, "a"), Ok(()));
        assert_eq!(acks.insert(1, None, "b"), Err(Refused::Taken("b")));
        assert_eq!(acks.insert(2, None, "c"), Ok(()));
        assert_eq!(acks.insert(3, None, "d"), Err(Refused::Full("d")));
        assert_eq!(acks.remove(1), Some("a"));
        assert_eq!(acks.remove(1), None);
        assert_eq!(acks.next_timeout(), None);
        assert_eq!(acks.drain().collect::<Vec<_>>(), [(2, "c")]);
        assert!(acks.is_empty());
    }

    #[test]
    fn deadlines_come_in_their_order_and_leave_with_their_answers() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut acks = Acks::new(8);
        for (id, seconds) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            assert_eq!(acks.insert(id, Some(at(seconds)), id), Ok(()));
        }
        assert_eq!(acks.next_timeout(), Some(at(10)));
        assert_eq!(acks.expire(at(9)), None);
        assert_eq!(acks.remove(2), Some(2));
        assert_eq!(acks.expire(at(20)), Some((4, 4)));
        assert_eq!(acks.expire(at(20)), Some((3, 3)));
        assert_eq!(acks.expire(at(20)), None);
        assert_eq!((acks.next_timeout(), acks.len()), (Some(at(30)), 1));
    }
}
