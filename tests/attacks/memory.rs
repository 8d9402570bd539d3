//! The allocator of this test: how many bytes the process holds, and held at the worst moment. Server and attacker share
//! the process, so what an attacker keeps in hand counts too; attackers prepare it before they begin.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn taken(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(held, Relaxed);
}

#[expect(unsafe_code, reason = "the trait of allocators is unsafe; everything is left to the system's")]
// SAFETY: every call is passed on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(place, layout) }
    }

    /// Both places are counted while there may be both.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { System.realloc(place, layout, size) };
        HELD.fetch_sub(layout.size(), Relaxed);
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Begins to watch for the worst moment; how many bytes are held now.
pub(crate) fn watch() -> usize {
    let held = HELD.load(Relaxed);
    MOST.store(held, Relaxed);
    held
}

/// How many bytes were held at the worst moment since [`watch`].
pub(crate) fn most() -> usize {
    MOST.load(Relaxed)
}

#[tokio::test]
async fn what_is_held_at_the_worst_moment_is_counted() {
    let _turn = crate::arena::turn().await;
    let before = watch();
    let mut bytes = std::hint::black_box(vec![1_u8; 1 << 20]);
    bytes.reserve_exact(2 << 20);
    drop(bytes);
    let taken = most() - before;
    // What an earlier test has left to end may still give something back.
    assert!(((4 << 20) - (256 << 10)..5 << 20).contains(&taken), "both places, while it was moved: {taken}");
    assert!(watch().abs_diff(before) < 1 << 20, "it was given back");
}
