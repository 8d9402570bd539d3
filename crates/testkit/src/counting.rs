//! An allocator that counts: what the process holds and held at its worst moment, how often each thread allocates and
//! what it takes of the heap. Everything is left to the system's. A test becomes its user by `#[global_allocator]
//! static ALLOCATOR: Counting = Counting;`.
#![expect(unsafe_code, reason = "the trait of allocators is unsafe; every call is passed on as it came")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// From here on an allocation counts as large.
pub const LARGE: usize = 64 << 10;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static START: AtomicUsize = AtomicUsize::new(0);
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static ALLOCATIONS: Cell<Allocations> = const { Cell::new(Allocations { all: 0, large: 0 }) };
    static HEAP: Cell<usize> = const { Cell::new(0) };
}

/// How often something was allocated or moved to another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocations {
    /// Of any size.
    pub all: usize,
    /// Of [`LARGE`] bytes or more.
    pub large: usize,
}

/// What this thread has allocated so far.
#[must_use]
pub fn so_far() -> Allocations {
    ALLOCATIONS.get()
}

/// What `run` allocates on this thread.
pub fn allocated_by(run: impl FnOnce()) -> Allocations {
    let before = so_far();
    run();
    let after = so_far();
    Allocations { all: after.all - before.all, large: after.large - before.large }
}

/// What this thread has taken of the heap and not given back, with what glibc's heap adds to each piece. What a thread
/// gives back that another has taken makes it wrap around.
#[must_use]
pub fn in_heap() -> usize {
    HEAP.get()
}

/// The turn of one test: those of a process share what is held.
#[derive(Debug)]
pub struct Alone {
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn, blocking the thread; each test has one of its own.
#[must_use]
pub fn alone() -> Alone {
    Alone { _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
}

/// Begins to watch for the worst moment; how many bytes the process holds now.
pub fn begin() -> usize {
    let held = HELD.load(Relaxed);
    START.store(held, Relaxed);
    MOST.store(held, Relaxed);
    held
}

/// How many bytes were held at the worst moment since [`begin`], on top of what was held then.
#[must_use]
pub fn peak() -> usize {
    MOST.load(Relaxed).saturating_sub(START.load(Relaxed))
}

/// The allocator.
#[derive(Debug)]
pub struct Counting;

fn taken(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(held, Relaxed);
    // A thread that ends has no counter any more.
    let _ = HEAP.try_with(|heap| heap.set(heap.get().wrapping_add(place(bytes))));
    let _ = ALLOCATIONS.try_with(|allocations| {
        let Allocations { all, large } = allocations.get();
        allocations.set(Allocations { all: all + 1, large: large + usize::from(bytes >= LARGE) });
    });
}

fn given(bytes: usize) {
    HELD.fetch_sub(bytes, Relaxed);
    let _ = HEAP.try_with(|heap| heap.set(heap.get().wrapping_sub(place(bytes))));
}

/// What a piece takes in glibc's heap: a word of its own, multiples of 16, at least 32.
fn place(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call is passed on to `System` as it came, whose promises are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    /// Both places are counted while there may be both.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(place, layout, size) };
        given(layout.size());
        moved
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        given(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}
