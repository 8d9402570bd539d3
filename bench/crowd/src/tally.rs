//! What the peers did.

use std::cell::{Cell, RefCell};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) visits: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    pub(crate) heard: Cell<u64>,
    pub(crate) upgrades: Cell<u64>,
    pub(crate) failures: Cell<u64>,
    /// The first few.
    pub(crate) why: RefCell<Vec<String>>,
}

impl Tally {
    pub(crate) fn count(counter: &Cell<u64>) {
        counter.set(counter.get() + 1);
    }

    pub(crate) fn fail(&self, why: impl FnOnce() -> String) {
        Self::count(&self.failures);
        let mut told = self.why.borrow_mut();
        if told.len() < 10 {
            told.push(why());
        }
    }
}
