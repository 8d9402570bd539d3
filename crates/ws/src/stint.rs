//! How long one peer's messages may keep a thread to themselves. A few bytes may ask for much, an event to everyone in a
//! thousand rooms for instance, and one read holds thousands of such: others have their turn in between.

use std::time::{Duration, Instant};

/// The clock is looked at after so many messages. What few ask for is little.
pub(crate) const LOOK_EVERY: u32 = 8;
/// About so long a stint lasts, from the first look on.
pub(crate) const LONGEST: Duration = Duration::from_millis(1);

/// Begins with the first message that is heard of a read, or of a request's body.
#[derive(Debug)]
pub struct Stint {
    unseen: u32,
    began: Option<Instant>,
}

impl Stint {
    /// One that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { unseen: LOOK_EVERY, began: None }
    }

    /// Another message was heard. `true`: it is time for others.
    #[inline]
    pub fn is_over(&mut self) -> bool {
        self.unseen -= 1;
        self.unseen == 0 && self.look()
    }

    #[cold]
    fn look(&mut self) -> bool {
        self.unseen = LOOK_EVERY;
        // Not by the clock that tests stop: this is about what the processor does.
        let now = Instant::now();
        now.duration_since(*self.began.get_or_insert(now)) >= LONGEST
    }
}

impl Default for Stint {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stint_ends_when_it_has_lasted() {
        let mut stint = Stint::new();
        assert!((0..LOOK_EVERY).all(|_| !stint.is_over()), "the first look begins it");
        stint.began = stint.began.and_then(|began| began.checked_sub(LONGEST));
        assert!((1..LOOK_EVERY).all(|_| !stint.is_over()));
        assert!(stint.is_over());
    }
}
