//! Messages that wait for a poll or for an upgrade's end, bounded in number and in bytes.

use std::collections::VecDeque;

use crate::engine::config::Config;

#[derive(Debug)]
pub(crate) struct Queue<M> {
    waiting: VecDeque<(M, usize)>,
    bytes: usize,
}

impl<M> Default for Queue<M> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }
}

impl<M> Queue<M> {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many messages wait, and their bytes.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    /// `false`: there is no room. One message alone always has room, or none above the limit could ever be sent.
    #[must_use]
    pub(crate) fn push(&mut self, message: M, weight: usize, config: &Config) -> bool {
        let bytes = self.bytes.saturating_add(weight);
        let full = self.waiting.len() >= config.max_queued || bytes > config.max_queued_bytes;
        if full && !self.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.waiting.push_back((message, weight));
        true
    }

    /// The next message, if it fits the room that is left in a payload, or is to leave `whatever` its size.
    pub(crate) fn pop(&mut self, room: &mut usize, whatever: bool) -> Option<M> {
        // The byte that stands between two packets counts as well.
        let cost = self.waiting.front()?.1.saturating_add(1);
        if cost > *room && !whatever {
            return None;
        }
        *room = room.saturating_sub(cost);
        let (message, weight) = self.waiting.pop_front()?;
        self.bytes -= weight;
        if self.waiting.is_empty() {
            // Most sessions have nothing waiting for most of their time.
            self.waiting = VecDeque::new();
        }
        Some(message)
    }
}
