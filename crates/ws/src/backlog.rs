//! Output that a transport has refused, kept between the turns of its connection, and counted. Nothing but a pointer
//! while the peer keeps up.

use switchboard_budget::{Budget, Hold, Part};
use switchboard_ws_proto::Output;

/// A buffer that is twice as large as what waits in it, and so many bytes, is not kept for that.
const SLACK: usize = 4 << 10;

#[derive(Debug, Default)]
pub(crate) struct Backlog(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    output: Output,
    hold: Hold,
}

impl Backlog {
    /// For a turn: what waits goes before whatever the turn brings about. `out` is empty, and comes back with
    /// [`keep`](Self::keep).
    #[inline]
    pub(crate) fn lend(&mut self, out: &mut Output) {
        if let Some(kept) = &mut self.0 {
            std::mem::swap(out, &mut kept.output);
        }
    }

    /// After a turn: what of the output is left. `out` is empty then.
    #[inline]
    pub(crate) fn keep(&mut self, out: &mut Output, budget: &Budget) {
        if self.0.is_some() || !out.is_empty() {
            self.keep_some(out, budget);
        }
    }

    fn keep_some(&mut self, out: &mut Output, budget: &Budget) {
        let output =
            if out.memory() - out.len() > out.len() + SLACK { out.take_fitting() } else { std::mem::take(out) };
        match &mut self.0 {
            // What the thread had lent it its own for.
            Some(kept) => *out = std::mem::replace(&mut kept.output, output),
            None => self.0 = Some(Box::new(Kept { output, hold: budget.hold(Part::Unsent) })),
        }
        match &mut self.0 {
            Some(kept) if !kept.output.is_empty() => kept.hold.set(kept.output.memory()),
            _ => self.0 = None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.output.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_little_that_is_left_of_much_does_not_keep_the_room_of_all() {
        let budget = Budget::new(1 << 20);
        let held = || budget.usage().expect("a limit").used;
        let mut out = Output::new();
        let mut backlog = Backlog::default();
        for _ in 0..2 {
            backlog.lend(&mut out);
            out.extend(&[7; 200_000]);
            out.advance(out.len() - 100);
            backlog.keep(&mut out, &budget);
            assert!(out.is_empty() && out.capacity() >= 200_000, "the thread has its buffer again");
            assert_eq!((backlog.len(), held()), (100, 100));
        }
        backlog.lend(&mut out);
        out.advance(100);
        backlog.keep(&mut out, &budget);
        assert!(backlog.is_empty() && out.is_empty());
        assert_eq!(held(), 0);
    }
}
