//! Who holds something, and can be made to let go of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Who holds less is no offender, in bytes: to close it would help nobody.
pub const LEAST: usize = 4 << 10;

/// A connection, or a session, that memory is held for.
///
/// Both methods are called by whichever thread [found memory short](crate::Budget::relieve), `held` under the lock of
/// the list of holders. They may take no lock under which somebody relieves, [watches](crate::Budget::watch) or drops a
/// [`Watch`]; one under which somebody counts they may: counting takes none. They run nobody else's code but wakers.
pub trait Holder: Send + Sync {
    /// Bytes that would be free if it were gone. What it shares with others counts in full.
    fn held(&self) -> usize;

    /// It is to go: to tell its peer why, and give back what is held. Called again when memory is short once more and
    /// it still holds something: then its peer had its chance to hear it.
    fn evict(&self);
}

/// A holder's place in the list. Dropped, it has left.
#[must_use = "who has left the list is not found when memory is short"]
pub struct Watch {
    /// `None`: there is no limit, and no list.
    place: Option<(Arc<Holders>, u64)>,
}

impl Watch {
    pub(crate) fn none() -> Self {
        Self { place: None }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((holders, number)) = self.place.take() {
            let left = holders.lock().entries.remove(&number);
            drop(left);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

#[derive(Default)]
pub(crate) struct Holders(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

struct Entry {
    holder: Weak<dyn Holder>,
    evicted: bool,
}

/// Who is to be evicted.
pub(crate) struct Picked {
    pub(crate) holders: Vec<Arc<dyn Holder>>,
    /// How many of them for the first time.
    pub(crate) new: u64,
}

impl Holders {
    pub(crate) fn enter(self: &Arc<Self>, holder: Weak<dyn Holder>) -> Watch {
        let mut table = self.lock();
        table.next += 1;
        let number = table.next;
        table.entries.insert(number, Entry { holder, evicted: false });
        Watch { place: Some((Arc::clone(self), number)) }
    }

    /// Chooses those who hold most until what they hold is `excess`. Those who were chosen before and still hold
    /// something come first.
    pub(crate) fn pick(&self, excess: usize) -> Picked {
        // Whoever is let go of last here must not be so under the lock, which it takes to leave the list.
        let mut all = Vec::new();
        let mut table = self.lock();
        for (number, entry) in &table.entries {
            if let Some(holder) = entry.holder.upgrade() {
                let held = holder.held();
                all.push((entry.evicted, held, *number, holder));
            }
        }
        all.sort_by_key(|(evicted, held, ..)| Reverse((*evicted, *held)));
        let mut picked = Picked { holders: Vec::new(), new: 0 };
        let mut freed = 0_usize;
        for (evicted, held, number, holder) in &all {
            if *held < LEAST || (!*evicted && freed >= excess) {
                continue;
            }
            freed = freed.saturating_add(*held);
            picked.new += u64::from(!*evicted);
            picked.holders.push(Arc::clone(holder));
            if let Some(entry) = table.entries.get_mut(number) {
                entry.evicted = true;
            }
        }
        drop(table);
        picked
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holders").field("count", &self.lock().entries.len()).finish()
    }
}
