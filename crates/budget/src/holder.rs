//! Who holds something, and can be made to let go of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Who holds less is no offender alone, in bytes: to close it would help nobody.
pub const LEAST: usize = 4 << 10;
/// Who holds less goes in no case: very many would have to for a little.
const LITTLE: usize = 1 << 10;

/// A connection, or a session, that memory is held for.
///
/// The methods are called by whichever thread [found memory short](crate::Budget::relieve), all but `evict` under the
/// lock of the list of holders. They may take no lock under which somebody relieves, [watches](crate::Budget::watch) or
/// drops a [`Watch`]; one under which somebody counts they may: counting takes none. They run nobody else's code but
/// wakers.
pub trait Holder: Send + Sync {
    /// Bytes that would be free if it were gone. What it shares with others counts in full.
    fn held(&self) -> usize;

    /// It has not said yet who it is, and loses nothing that it had. Of those who hold less than [`LEAST`] such ones go
    /// first if together they hold all that is too much, and else as one would that holds as much as they do: who is
    /// longest on the list first. Whoever means it well is one for a moment only. Default: no.
    fn is_stranger(&self) -> bool {
        false
    }

    /// It is to go: to tell its peer why, and give back what is held. Called again when memory is short once more and
    /// it still holds something: then its peer had its chance to hear it.
    fn evict(&self);
}

/// Something that is held and that nobody needs: it goes before anybody does.
pub trait Reserve: Send + Sync {
    /// Lets go of so many bytes, or of all there is if that is less. Returns how many it lets go of: at once, or
    /// whoever has it in hands does when it is done.
    ///
    /// Called by whichever thread [found memory short](crate::Budget::relieve), under whatever locks: it may wait for
    /// none under which somebody relieves.
    fn shrink(&self, bytes: usize) -> usize;
}

/// A holder's or a reserve's place in the list. Dropped, it has left.
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
            let mut table = holders.lock();
            let left = (table.entries.remove(&number), table.reserves.remove(&number));
            drop(table);
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
    /// In the order in which they came.
    entries: BTreeMap<u64, Entry>,
    reserves: BTreeMap<u64, Weak<dyn Reserve>>,
    next: u64,
}

struct Entry {
    holder: Weak<dyn Holder>,
    evicted: bool,
}

/// How much too much is held, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortage {
    /// For what nobody would miss.
    pub(crate) spare: usize,
    /// For those who hold most.
    pub(crate) excess: usize,
    /// For those who hold little.
    pub(crate) dire: usize,
}

/// Who is to be evicted.
#[derive(Default)]
pub(crate) struct Picked {
    pub(crate) holders: Vec<Arc<dyn Holder>>,
    /// How many of them for the first time.
    pub(crate) new: u64,
    /// What they hold.
    freed: usize,
}

/// A holder as it was found.
struct Found {
    number: u64,
    held: usize,
    evicted: bool,
    holder: Arc<dyn Holder>,
}

impl Holders {
    pub(crate) fn enter(self: &Arc<Self>, holder: Weak<dyn Holder>) -> Watch {
        let mut table = self.lock();
        let number = table.number();
        table.entries.insert(number, Entry { holder, evicted: false });
        Watch { place: Some((Arc::clone(self), number)) }
    }

    pub(crate) fn enter_reserve(self: &Arc<Self>, reserve: Weak<dyn Reserve>) -> Watch {
        let mut table = self.lock();
        let number = table.number();
        table.reserves.insert(number, reserve);
        Watch { place: Some((Arc::clone(self), number)) }
    }

    /// Has reserves let go of what they hold, and returns how much of the excess that is.
    pub(crate) fn shrink(&self, excess: usize) -> usize {
        let reserves: Vec<_> = self.lock().reserves.values().filter_map(Weak::upgrade).collect();
        let mut left = excess;
        for reserve in reserves {
            left = left.saturating_sub(reserve.shrink(left));
        }
        excess - left
    }

    /// Chooses strangers if all that is to be spared is theirs. Else those who hold most until what they hold is the
    /// excess; strangers go as one would that holds as much as they do together. Those who were chosen before and still
    /// hold something come first. In dire need those who hold little go too, the newest first.
    pub(crate) fn pick(&self, Shortage { spare, excess, dire }: Shortage) -> Picked {
        let (mut large, mut strangers, mut little) = (Vec::new(), Vec::new(), Vec::new());
        // Whoever is let go of last here must not be so under the lock, which it takes to leave the list.
        let mut least = Vec::new();
        let mut table = self.lock();
        for (number, entry) in &table.entries {
            let Some(holder) = entry.holder.upgrade() else { continue };
            let held = holder.held();
            let place = match held {
                LEAST.. => &mut large,
                _ if holder.is_stranger() => &mut strangers,
                LITTLE.. => &mut little,
                _ => &mut least,
            };
            place.push(Found { number: *number, held, evicted: entry.evicted, holder });
        }
        let mut picked = Picked::default();
        let crowd = strangers.iter().map(|found| found.held).sum();
        if spare <= crowd {
            picked.choose(&mut table, &strangers, spare);
            drop(table);
            return picked;
        }
        large.sort_by_key(|found| Reverse((found.evicted, found.held)));
        let mut smaller = large.split_off(large.partition_point(|found| found.evicted || found.held > crowd));
        large.append(&mut strangers);
        large.append(&mut smaller);
        little.sort_by_key(|found| Reverse((found.evicted, found.number)));
        if excess > 0 {
            picked.choose(&mut table, &large, excess);
        }
        if picked.freed < dire {
            picked.choose(&mut table, &little, dire);
        }
        drop(table);
        picked
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Picked {
    /// The first of these, until all that is let go of is so much; those who were chosen before in any case.
    fn choose(&mut self, table: &mut Table, order: &[Found], enough: usize) {
        for Found { number, held, evicted, holder } in order {
            if !*evicted && self.freed >= enough {
                continue;
            }
            self.freed = self.freed.saturating_add(*held);
            self.new += u64::from(!*evicted);
            self.holders.push(Arc::clone(holder));
            if let Some(entry) = table.entries.get_mut(number) {
                entry.evicted = true;
            }
        }
    }
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holders").field("count", &self.lock().entries.len()).finish()
    }
}
