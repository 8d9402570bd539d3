//! Output that a transport has refused, kept between the turns of its connection, and counted. Nothing but a pointer while
//! the peer keeps up.

use switchboard_budget::{Budget, Hold, Part};
use switchboard_ws_proto::Output;

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
        match &mut self.0 {
            Some(kept) => std::mem::swap(out, &mut kept.output),
            None => {
                let kept = Kept { output: std::mem::take(out), hold: budget.hold(Part::Unsent) };
                self.0 = Some(Box::new(kept));
            }
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
