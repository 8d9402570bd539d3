//! What the process holds, counted. Server and attacker share it, so what an attacker keeps in hand counts too; attackers
//! prepare it before they begin. And attacks on the budget by what is little each: in a crowd, or left behind.

use switchboard_testkit::Wire;
use switchboard_testkit::counting::{Counting, begin, peak};
use switchboard_ws::BudgetUsage;

use crate::arena::{Arena, POLLING, Side, echoes, text};

const MIB: usize = 1 << 20;
/// What a thread keeps, a turn, and the clients of these tests.
const BASE: usize = 8 * MIB;

fn usage(arena: &Arena) -> BudgetUsage {
    arena.budget().usage().expect("it has a limit")
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test]
async fn what_is_held_at_the_worst_moment_is_counted() {
    let _turn = crate::arena::turn().await;
    let before = begin();
    let mut bytes = std::hint::black_box(vec![1_u8; 8 * MIB]);
    bytes.reserve_exact(16 * MIB);
    drop(bytes);
    let taken = peak();
    // What an earlier test has left to end may still give something back.
    assert!((28 * MIB..36 * MIB).contains(&taken), "both places, while it was moved: {taken}");
    assert!(begin().abs_diff(before) < 4 * MIB, "it was given back");
}

/// One connection opens session after session, none of which ever says who it is. Each holds so little that to close it
/// helps nobody.
#[tokio::test]
async fn a_crowd_that_never_joins_goes_before_anybody_who_is_in() {
    // Nobody goes for anything else.
    let patient = ["--socketio-ping-interval=1h", "--socketio-connect-timeout=1h"];
    let mut arena = Arena::new(&[&["--memory-budget=16MiB"], &patient[..]].concat()).await;
    let mut plain = arena.open(Side::Plain).await;
    let polling = arena.session().await;
    assert_eq!(arena.post(&polling, b"40").await, 200);
    assert!(arena.get(&polling).await.body.starts_with("40{"));
    let large = "x".repeat(MIB / 2);
    echoes(&mut plain, &large).await;
    arena.begin();
    let mut crowd = Wire::connect(arena.address).await;
    let mut opened = 0_u64;
    for round in 1..=3 {
        let evicted = usage(&arena).evicted;
        while usage(&arena).evicted == evicted {
            assert!(opened < 20_000, "nobody goes: {:?}", usage(&arena));
            opened += u64::from(crowd.get(POLLING).await.status == 200);
        }
        arena.is_well().await;
        echoes(&mut plain, &large).await;
        assert_eq!(arena.post(&polling, format!(r#"42{round}["still here"]"#).as_bytes()).await, 200);
        assert_eq!(arena.get(&polling).await.body, format!("43{round}[0]"));
    }
    // All who have gone are of the crowd.
    let BudgetUsage { evicted, denied, .. } = usage(&arena);
    let crowd = opened - evicted;
    arena.is_well_until("only those who were told are gone", |arena| arena.sessions() as u64 == 2 + crowd).await;
    assert_eq!(denied, 0);
    arena.goes_on(16 * MIB + BASE).await;
}

/// Clients that join as many rooms as they may, with long names, and are lost: all of that is kept in case they come back.
#[tokio::test]
async fn what_is_kept_for_the_lost_goes_before_anybody_does() {
    let mut arena = Arena::new(&["--memory-budget=32MiB", "--socketio-recovery=2m"]).await;
    let mut plain = arena.open(Side::Plain).await;
    let rooms: Vec<_> = (0..1_000).map(|number| format!(r#""{}{number}""#, "r".repeat(100))).collect();
    let join = text(&format!(r#"421["join",[{}]]"#, rooms.join(","))).bytes();
    let large = "x".repeat(MIB);
    arena.begin();
    for number in 0.. {
        assert!(number < 1_000, "nothing is let go of: {:?}", usage(&arena));
        if arena.recovery().sessions_dropped > 0 {
            break;
        }
        let mut lost = arena.join().await;
        lost.send(&join).await;
        assert_eq!(lost.frame().await.payload[..3], *b"431");
        drop(lost);
        arena.is_well().await;
    }
    for _ in 0..10 {
        echoes(&mut plain, &large).await;
        arena.session().await;
        arena.is_well().await;
    }
    let BudgetUsage { evicted, denied, refused, .. } = usage(&arena);
    assert_eq!((evicted, denied, refused), (0, 0, 0));
    arena.goes_on(32 * MIB + BASE).await;
}
