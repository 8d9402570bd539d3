//! Who waits for which answer. Shared by server and client; how long is their own to measure.

use std::collections::HashMap;

use super::packet::AckId;

/// Waiters by ack id. Allocates nothing until something is waited for.
#[derive(Debug)]
pub struct Acks<T> {
    waiting: HashMap<AckId, T>,
    limit: usize,
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
        Self { waiting: HashMap::new(), limit }
    }

    /// Waits for the answer to `id`.
    ///
    /// # Errors
    /// The waiter comes back when too many wait already, or one waits for this id.
    pub fn insert(&mut self, id: AckId, waiter: T) -> Result<(), Refused<T>> {
        if self.waiting.contains_key(&id) {
            return Err(Refused::Taken(waiter));
        }
        if self.waiting.len() >= self.limit {
            return Err(Refused::Full(waiter));
        }
        self.waiting.insert(id, waiter);
        Ok(())
    }

    /// The answer came, or nobody is interested any more: who waited for it, once. `None` for an id that was never
    /// given out, was answered, or ran out of time: such answers are to be ignored, as Node does.
    pub fn remove(&mut self, id: AckId) -> Option<T> {
        self.waiting.remove(&id)
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

    #[test]
    fn an_answer_is_given_once() {
        let mut acks = Acks::new(2);
        assert_eq!(acks.insert(1, "a"), Ok(()));
        assert_eq!(acks.insert(1, "b"), Err(Refused::Taken("b")));
        assert_eq!(acks.insert(2, "c"), Ok(()));
        assert_eq!(acks.insert(3, "d"), Err(Refused::Full("d")));
        assert_eq!(acks.remove(1), Some("a"));
        assert_eq!(acks.remove(1), None);
        assert_eq!((acks.len(), acks.remove(2)), (1, Some("c")));
        assert!(acks.is_empty());
    }
}
