//! What the process holds, counted. Server and attacker share it, so what an attacker keeps in hand counts too; attackers
//! prepare it before they begin.

use switchboard_testkit::counting::{Counting, begin, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test]
async fn what_is_held_at_the_worst_moment_is_counted() {
    let _turn = crate::arena::turn().await;
    let before = begin();
    let mut bytes = std::hint::black_box(vec![1_u8; 1 << 20]);
    bytes.reserve_exact(2 << 20);
    drop(bytes);
    let taken = peak();
    // What an earlier test has left to end may still give something back.
    assert!(((4 << 20) - (256 << 10)..5 << 20).contains(&taken), "both places, while it was moved: {taken}");
    assert!(begin().abs_diff(before) < 1 << 20, "it was given back");
}
