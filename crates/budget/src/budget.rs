//! The budget: its limit, how close it is, and what is done about that.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use crate::holder::{Holder, Holders, Reserve, Shortage, Watch};
use crate::ledger::{Ledger, STEP};
use crate::part::Part;

/// A bound on the memory that is held for peers. Clones are the same budget.
///
/// The default has no limit and counts nothing.
#[derive(Clone, Default)]
pub struct Budget(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    limit: i64,
    ledger: Ledger,
    holders: Arc<Holders>,
    /// Who holds most is looked for when so much is held.
    relief_at: AtomicI64,
    refused: AtomicU64,
    evicted: AtomicU64,
    denied: AtomicU64,
}

/// A budget at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The limit, in bytes.
    pub limit: usize,
    /// Bytes that are held now.
    pub used: usize,
    /// The same by what they are held for, in the order of [`Part::ALL`].
    pub parts: [usize; Part::ALL.len()],
    /// Who was not let in because memory was short, so far.
    pub refused: u64,
    /// Who was made to go because memory was short, so far.
    pub evicted: u64,
    /// How often something was not allocated because there was nothing left for it.
    pub denied: u64,
}

impl Inner {
    /// From here on what nobody would miss is let go of: so that there is room for who needs much at once.
    fn strained(&self) -> i64 {
        self.limit / 10 * 8
    }

    /// So much is left when that is gone.
    fn spared(&self) -> i64 {
        self.limit / 10 * 7
    }

    /// From here on memory is short.
    fn tight(&self) -> i64 {
        self.limit / 10 * 9
    }

    /// Large buffers stop growing here: what is left is for the small ones of those who have done nothing.
    fn reserved(&self) -> i64 {
        self.limit / 20 * 19
    }

    /// So much is left when those who hold most are gone.
    fn relieved(&self) -> i64 {
        self.limit / 10 * 8
    }

    fn relieve(&self, used: i64, relief_at: i64) {
        // Not again until a little more is held: those who are told need a moment to let go. And one of us is enough.
        let later = used + self.limit / 64;
        let later = if used < self.tight() { later.min(self.tight()) } else { later };
        if self.relief_at.compare_exchange(relief_at, later, Relaxed, Relaxed).is_err() {
            return;
        }
        let beyond = |mark| usize::try_from(used - mark).unwrap_or(0);
        let spare = beyond(self.spared());
        let freed = self.holders.shrink(spare);
        if freed >= spare {
            return;
        }
        // Nobody new comes while memory is tight: those who hold little go only if those who are here take more and more.
        let excess = if used >= self.tight() { beyond(self.relieved()).saturating_sub(freed) } else { 0 };
        let dire = if used >= self.reserved() { beyond(self.tight()).saturating_sub(freed) } else { 0 };
        let picked = self.holders.pick(Shortage { spare: spare - freed, excess, dire });
        self.evicted.fetch_add(picked.new, Relaxed);
        for holder in picked.holders {
            holder.evict();
        }
    }

    /// Less is held than when relief is due: as it falls, so does that, or memory could stay short and nobody would go.
    #[cold]
    fn ease(&self, used: i64, relief_at: i64) {
        let strained = self.strained();
        let eased = if used < strained { strained } else { relief_at.min(used + self.limit / 64) };
        if eased < relief_at {
            // Who came in between knows better.
            let _ = self.relief_at.compare_exchange(relief_at, eased, Relaxed, Relaxed);
        }
    }
}

impl Budget {
    /// A budget of so many bytes. One of less than a few megabytes is too small to be exact: what is counted may be 256
    /// KiB behind what is held.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX / 2);
        let inner = Inner {
            limit,
            ledger: Ledger::default(),
            holders: Arc::default(),
            relief_at: AtomicI64::new(0),
            refused: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        };
        inner.relief_at.store(inner.strained(), Relaxed);
        Self(Some(Arc::new(inner)))
    }

    /// Whether there is a limit. Without one nothing is counted.
    #[must_use]
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// 90 % and more is held.
    #[must_use]
    #[inline]
    pub fn is_tight(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.ledger.sum() >= inner.tight())
    }

    /// All of it is held: who can do without should.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.ledger.sum() >= inner.limit)
    }

    /// Bytes that a [`Reserve`] is to let go of: from 80 % on what is beyond 70 %.
    #[must_use]
    #[inline]
    pub fn excess(&self) -> usize {
        let Some(inner) = &self.0 else { return 0 };
        let used = inner.ledger.sum();
        if used >= inner.strained() { usize::try_from(used - inner.spared()).unwrap_or(0) } else { 0 }
    }

    /// Whether somebody new may come in. `false`, when memory is [short](Self::is_tight), is counted.
    #[must_use]
    pub fn admit(&self) -> bool {
        let Some(inner) = self.0.as_ref().filter(|_| self.is_tight()) else { return true };
        inner.refused.fetch_add(1, Relaxed);
        false
    }

    /// How it stands. `None` without a limit.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let inner = self.0.as_ref()?;
        // What one thread took and another gives back may be seen in the wrong order.
        let parts = Part::ALL.map(|part| usize::try_from(inner.ledger.part(part)).unwrap_or(0));
        Some(Usage {
            limit: usize::try_from(inner.limit).unwrap_or(usize::MAX),
            used: parts.iter().sum(),
            parts,
            refused: inner.refused.load(Relaxed),
            evicted: inner.evicted.load(Relaxed),
            denied: inner.denied.load(Relaxed),
        })
    }

    /// Counts bytes that are held from now on, until they are [given back](Self::give). For those who cannot keep a
    /// [`Hold`](crate::Hold).
    pub fn take(&self, part: Part, bytes: usize) {
        if let Some(inner) = &self.0 {
            inner.ledger.add(part, signed(bytes));
        }
    }

    /// Counts bytes that are held no more.
    pub fn give(&self, part: Part, bytes: usize) {
        if let Some(inner) = &self.0 {
            inner.ledger.add(part, -signed(bytes));
        }
    }

    /// Takes bytes if they are there to be had.
    pub(crate) fn try_take(&self, part: Part, bytes: usize) -> bool {
        let Some(inner) = &self.0 else { return true };
        let bytes = signed(bytes);
        let limit = if bytes >= STEP { inner.reserved() } else { inner.limit };
        let taken = inner.ledger.try_add(part, bytes, limit);
        if !taken {
            inner.denied.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Puts a holder on the list of those who may have to go.
    pub fn watch(&self, holder: Weak<dyn Holder>) -> Watch {
        self.0.as_ref().map_or_else(Watch::none, |inner| inner.holders.enter(holder))
    }

    /// Puts something on the list of what goes before anybody does.
    pub fn reserve(&self, reserve: Weak<dyn Reserve>) -> Watch {
        self.0.as_ref().map_or_else(Watch::none, |inner| inner.holders.enter_reserve(reserve))
    }

    /// As memory gets short, has reserves let go of what they hold, and if that is not enough evicts strangers, and those
    /// who hold most. To be called after something was counted, where no lock is held that a [`Holder`] needs. Costs a
    /// comparison mostly; while memory stays short those who are to go are looked for each time that a 64th of the limit
    /// more is held than then, or than was held at the least since.
    #[inline]
    pub fn relieve(&self) {
        let Some(inner) = &self.0 else { return };
        let used = inner.ledger.sum();
        let relief_at = inner.relief_at.load(Relaxed);
        if used >= relief_at {
            inner.relieve(used, relief_at);
        } else if relief_at > inner.strained() {
            inner.ease(used, relief_at);
        }
    }
}

/// No process has more bytes than this can tell.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2)
}

/// The same budget, or neither has a limit.
impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Budget {}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.usage() {
            Some(Usage { limit, used, .. }) => {
                f.debug_struct("Budget").field("limit", &limit).field("used", &used).finish()
            }
            None => f.write_str("Budget(unlimited)"),
        }
    }
}
