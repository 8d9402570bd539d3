//! Bytes that are held, counted for as long as they are.

use std::fmt;

use crate::budget::Budget;
use crate::part::Part;

/// There is nothing left: what was to be allocated must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is short of memory")
    }
}

impl std::error::Error for Exhausted {}

/// So many bytes, counted until this is dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Budget,
    part: Part,
    bytes: usize,
}

impl Budget {
    /// A hold of nothing yet.
    #[must_use]
    pub fn hold(&self, part: Part) -> Hold {
        Hold { budget: self.clone(), part, bytes: 0 }
    }
}

impl Hold {
    /// How many bytes are counted here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whose bytes they are.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// So many are held now, whether they fit or not: for what is there already.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.take(self.part, bytes - self.bytes);
        } else if bytes < self.bytes {
            self.budget.give(self.part, self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// So many will be held, if there is room for them: to be called before they are allocated.
    ///
    /// # Errors
    /// [`Exhausted`], and nothing has changed.
    pub fn try_set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if bytes > self.bytes && !self.budget.try_take(self.part, bytes - self.bytes) {
            return Err(Exhausted);
        }
        if bytes < self.bytes {
            self.budget.give(self.part, self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// Without a limit, of nothing.
impl Default for Hold {
    fn default() -> Self {
        Budget::default().hold(Part::Reading)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give(self.part, self.bytes);
        }
    }
}
