//! What a TLS stream keeps between turns. It is counted, and let go of at once when memory is short and this connection
//! holds much of it, whoever finds that and whatever the stream's owner is doing: the connection is lost then.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Context;

use futures_util::task::AtomicWaker;
use switchboard_budget::{Budget, Exhausted, Hold, Holder, LEAST, Part, Watch};

/// Bytes that wait: for more of them, for a reader, or for the transport.
#[derive(Default)]
pub(super) struct Remains {
    /// Of records, or of handshake messages, that have not come whole.
    pub(super) partial: Vec<u8>,
    /// Decrypted, when the reader had no room for it.
    pub(super) unread: Rest,
    /// Encrypted, when the transport had no room for it.
    pub(super) unsent: Rest,
}

impl Remains {
    fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.unread.is_empty() && self.unsent.is_empty()
    }

    fn memory(&self) -> usize {
        self.partial.capacity() + self.unread.bytes.capacity() + self.unsent.bytes.capacity()
    }
}

/// Bytes that are taken from the front. With the last of them their room is given back.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) bytes: Vec<u8>,
    taken: usize,
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// Keeps the remains of one stream from turn to turn, and counts what else the stream is. While there are none, nothing
/// is allocated for them, and nobody knows of them.
pub(super) struct Keeper {
    /// Of the stream as such.
    own: Hold,
    kept: Option<Arc<Kept>>,
    /// Remains were let go of: what was to come after them is no longer TLS.
    is_lost: bool,
}

impl Keeper {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { own: budget.hold(Part::Tls), kept: None, is_lost: false }
    }

    /// What the stream needs besides its remains, in bytes.
    pub(super) fn set_own(&mut self, bytes: usize) {
        self.own.set(bytes);
    }

    /// For a turn. What is left after it is to come back by [`keep`](Self::keep).
    ///
    /// # Errors
    /// They were let go of, [`Exhausted`] inside: now, or when they were wanted before.
    pub(super) fn lend(&mut self) -> io::Result<Remains> {
        match self.kept.as_ref().map(|kept| kept.take()) {
            _ if self.is_lost => Err(shortage()),
            None => Ok(Remains::default()),
            Some(Ok(remains)) => Ok(remains),
            Some(Err(Exhausted)) => Err(self.lose()),
        }
    }

    /// After a turn, whose task is woken should they be let go of.
    ///
    /// # Errors
    /// There is no memory for them, or the connection was told to go meanwhile; [`Exhausted`] inside.
    pub(super) fn keep(&mut self, remains: Remains, cx: &Context<'_>) -> io::Result<()> {
        if remains.is_empty() {
            self.kept = None;
            return Ok(());
        }
        let budget = self.own.budget();
        let kept = self.kept.get_or_insert_with(|| Kept::new(budget));
        // Before they are there to be let go of.
        kept.waker.register(cx.waker());
        let is_large = remains.memory() >= LEAST;
        if kept.put(remains).is_err() {
            return Err(self.lose());
        }
        if is_large && budget.is_limited() {
            let holder: Weak<dyn Holder> = Arc::<Kept>::downgrade(kept);
            kept.watch.get_or_init(|| budget.watch(holder));
        }
        budget.relieve();
        Ok(())
    }

    /// Bytes of remains.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.held())
    }

    fn lose(&mut self) -> io::Error {
        self.kept = None;
        self.is_lost = true;
        shortage()
    }
}

fn shortage() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, Exhausted)
}

/// Between turns.
struct Kept {
    state: Mutex<State>,
    waker: AtomicWaker,
    /// From when it was first much.
    watch: OnceLock<Watch>,
}

struct State {
    remains: Remains,
    /// Of them; during a turn of as many as there were before it.
    hold: Hold,
    evicted: bool,
}

impl Kept {
    fn new(budget: &Budget) -> Arc<Self> {
        let state = State { remains: Remains::default(), hold: budget.hold(Part::Tls), evicted: false };
        Arc::new(Self { state: Mutex::new(state), waker: AtomicWaker::new(), watch: OnceLock::new() })
    }

    fn take(&self) -> Result<Remains, Exhausted> {
        let mut state = self.lock();
        if state.evicted { Err(Exhausted) } else { Ok(std::mem::take(&mut state.remains)) }
    }

    fn put(&self, remains: Remains) -> Result<(), Exhausted> {
        let mut state = self.lock();
        if state.evicted {
            return Err(Exhausted);
        }
        state.hold.try_set(remains.memory())?;
        state.remains = remains;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its lock is held to move a few words, and nothing is relieved, watched or left under it.
impl Holder for Kept {
    fn held(&self) -> usize {
        self.lock().hold.bytes()
    }

    fn evict(&self) {
        let mut state = self.lock();
        state.evicted = true;
        state.remains = Remains::default();
        state.hold.set(0);
        drop(state);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Wake, Waker};

    use super::*;

    const KIB: usize = 1 << 10;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn partial(bytes: usize) -> Remains {
        Remains { partial: vec![7; bytes], ..Remains::default() }
    }

    fn held(budget: &Budget) -> usize {
        budget.usage().expect("a limit").parts[Part::Tls as usize]
    }

    fn is_shortage(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(inner) if inner.is::<Exhausted>())
    }

    #[test]
    fn what_is_kept_is_counted_and_nothing_is_there_for_nothing() {
        let budget = Budget::new(1 << 20);
        let mut keeper = Keeper::new(&budget);
        let cx = Context::from_waker(Waker::noop());
        keeper.keep(Remains::default(), &cx).expect("it is nothing");
        assert!(keeper.kept.is_none());
        keeper.set_own(100);
        for bytes in [10 * KIB, 20 * KIB, 3] {
            keeper.keep(partial(bytes), &cx).expect("there is room");
            assert_eq!(held(&budget), 100 + bytes);
            assert_eq!(keeper.lend().expect("nobody took it").partial.len(), bytes);
            assert_eq!(held(&budget), 100 + bytes, "it is still in hand");
        }
        keeper.keep(Remains::default(), &cx).expect("it is nothing");
        assert!(keeper.kept.is_none());
        assert_eq!(held(&budget), 100);
        keeper.keep(partial(5), &cx).expect("there is room");
        drop(keeper);
        assert_eq!(held(&budget), 0);
    }

    #[test]
    fn the_largest_is_let_go_of_without_its_owner_and_the_others_stay() {
        let budget = Budget::new(1 << 20);
        let (woken, mut keepers) = (Arc::<Woken>::default(), [16, 60, 3].map(|_| Keeper::new(&budget)));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        for (keeper, kib) in keepers.iter_mut().zip([16, 60, 3]) {
            keeper.keep(partial(kib * KIB), &cx).expect("there is room");
        }
        // With these memory is short, and 100 KiB less would be enough; who holds least cannot be made to go.
        budget.take(Part::Reading, 900 * KIB);
        budget.relieve();
        assert_eq!((woken.0.load(Relaxed), budget.usage().expect("a limit").evicted), (2, 2));
        assert_eq!(held(&budget), 3 * KIB);
        let [one, two, three] = &mut keepers;
        for lost in [one, two] {
            for _ in 0..2 {
                assert!(lost.lend().is_err_and(|error| is_shortage(&error)));
            }
        }
        assert_eq!(three.lend().expect("it stays").partial.len(), 3 * KIB);
    }

    #[test]
    fn who_is_told_to_go_within_a_turn_goes_after_it() {
        let budget = Budget::new(1 << 20);
        let cx = Context::from_waker(Waker::noop());
        for left in [5 * KIB, 0] {
            let mut keeper = Keeper::new(&budget);
            keeper.keep(partial(10 * KIB), &cx).expect("there is room");
            let remains = keeper.lend().expect("nobody took it");
            keeper.kept.as_ref().expect("it is kept").evict();
            drop(remains);
            // One that has nothing left has lost nothing.
            let kept = keeper.keep(partial(left), &cx);
            assert_eq!((kept.is_err(), keeper.lend().is_err()), (left > 0, left > 0));
            assert_eq!(held(&budget), 0);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let budget = Budget::new(1 << 20);
        let cx = Context::from_waker(Waker::noop());
        budget.take(Part::Reading, 1 << 20);
        let mut keeper = Keeper::new(&budget);
        assert!(keeper.keep(partial(3), &cx).is_err_and(|error| is_shortage(&error)));
        assert!(keeper.lend().is_err_and(|error| is_shortage(&error)));
        let usage = budget.usage().expect("a limit");
        assert_eq!((held(&budget), usage.denied, usage.evicted), (0, 1, 0));
    }
}
