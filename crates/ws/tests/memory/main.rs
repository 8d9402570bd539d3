//! A budget for the memory of a whole server, with real sockets and both drivers: the process never grows past it,
//! those who hold most go first and are told why, and who has done nothing goes on undisturbed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::thread;

use switchboard_testkit::counting::{self, Counting};
use switchboard_ws::{Budget, BudgetPart, BudgetUsage, Config, Hub, OutboxLimits};

use support::{Peer, Running, again_until, told};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
const LIMIT: usize = 32 * MIB;
/// What SECURITY.md states on top of the budget for one thread: 8 MiB of buffers that are kept for messages to come,
/// and for what is in hand in one turn a message of 4 MiB or the replies to one read; tables and the test itself.
const BASE: usize = 16 * MIB;

fn drivers(config: impl Fn() -> Config) -> [Config; 2] {
    [config(), config().task_per_connection()]
}

fn usage(budget: &Budget) -> BudgetUsage {
    budget.usage().unwrap()
}

#[test]
fn messages_that_are_never_finished_make_their_senders_go_and_nobody_else() {
    let _alone = counting::alone();
    for config in drivers(|| Config::default().budget(Budget::new(LIMIT))) {
        let budget = config.get_budget().clone();
        let server = Running::start(config);
        let mut healthy = server.peer();
        let mut peers: Vec<_> = (0..60).map(|_| server.peer()).collect();
        counting::begin();
        for peer in &mut peers {
            // Who was told to go meanwhile may find its connection closed.
            let _ = peer.begin_message(16 * MIB, 900 << 10);
            healthy.echo();
        }
        let peak = counting::peak();
        let BudgetUsage { used, evicted, .. } = usage(&budget);
        assert!(peak <= LIMIT + BASE, "{peak}");
        assert!(used <= LIMIT, "{used}");
        assert!(evicted >= 28, "60 of 1 MiB do not fit: {evicted}");
        let told: Vec<_> = peers.iter_mut().take(20).map(|peer| peer.close_frame().unwrap()).collect();
        for (code, reason) in told {
            assert_eq!((code, &*reason), (1013, told::MEMORY));
        }
        healthy.echo();
        drop(peers);
        healthy.echo_until(|| usage(&budget).used < 64 << 10);
        assert_eq!(usage(&budget).parts[BudgetPart::Unsent as usize], 0);
    }
}

/// All at once, each as long a message as there may be: what does not fit is not allocated.
#[test]
fn a_message_that_does_not_fit_is_refused_before_there_is_room_for_it() {
    let _alone = counting::alone();
    for config in drivers(|| Config::default().budget(Budget::new(LIMIT))) {
        let budget = config.get_budget().clone();
        let server = Running::start(config);
        let mut healthy = server.peer();
        let peers: Vec<_> = (0..12).map(|_| server.peer()).collect();
        counting::begin();
        let sending: Vec<_> = peers
            .into_iter()
            .map(|mut peer| {
                thread::spawn(move || {
                    let _ = peer.begin_message(16 * MIB, 16 * MIB - 1);
                    peer
                })
            })
            .collect();
        healthy.echo_until(|| sending.iter().all(thread::JoinHandle::is_finished));
        let peers: Vec<_> = sending.into_iter().map(|sending| sending.join().unwrap()).collect();
        healthy.echo();
        let peak = counting::peak();
        let BudgetUsage { evicted, denied, .. } = usage(&budget);
        assert!(peak <= LIMIT + BASE, "{peak}");
        assert!(evicted + denied >= 10, "two of them fit at most: {evicted}, {denied}");
        drop(peers);
        healthy.echo_until(|| usage(&budget).used < 64 << 10);
    }
}

#[test]
fn those_who_do_not_read_go_and_what_waits_for_them_with_them() {
    let _alone = counting::alone();
    let outbox = OutboxLimits { messages: 1 << 16, bytes: 4 * MIB, ..OutboxLimits::default() };
    for config in drivers(|| Config::default().budget(Budget::new(LIMIT)).outbox(outbox)) {
        let budget = config.get_budget().clone();
        let server = Running::start(config);
        let mut healthy = server.peer();
        let mut slow: Vec<_> = (0..40).map(|_| server.peer()).collect();
        counting::begin();
        for peer in &mut slow {
            // It takes none of it.
            peer.ask_for(6 * MIB);
            healthy.echo();
        }
        healthy.echo_until(|| usage(&budget).evicted >= 20);
        let (peak, used) = (counting::peak(), usage(&budget).used);
        assert!(peak <= LIMIT + BASE, "{peak}");
        assert!(used <= LIMIT, "{used}");
        drop(slow);
        healthy.echo_until(|| usage(&budget).used < 64 << 10);
    }
}

/// One message to very many who do not read is one message.
#[test]
fn what_many_wait_for_counts_once() {
    let _alone = counting::alone();
    let outbox = OutboxLimits { messages: 1 << 16, bytes: 4 * MIB, ..OutboxLimits::default() };
    for config in drivers(|| Config::default().budget(Budget::new(LIMIT)).outbox(outbox).hub(Hub::default())) {
        let budget = config.get_budget().clone();
        let server = Running::start(config);
        let mut healthy = server.peer();
        let mut slow: Vec<_> = (0..30).map(|_| server.peer()).collect();
        for peer in &mut slow {
            peer.subscribe();
        }
        for _ in 0..7 {
            healthy.publish(MIB / 2);
            healthy.echo();
        }
        let BudgetUsage { evicted, denied, used, .. } = usage(&budget);
        assert_eq!((evicted, denied), (0, 0), "{used}");
        // The half megabyte that is being written counts for each; the others, in its outbox, for all of them.
        assert!(used < 24 * MIB, "{used}");
    }
}

#[test]
fn nobody_new_comes_in_while_memory_is_short() {
    let _alone = counting::alone();
    for config in drivers(|| Config::default().budget(Budget::new(LIMIT))) {
        let budget = config.get_budget().clone();
        let server = Running::start(config);
        let mut healthy = server.peer();
        budget.take(BudgetPart::Connections, LIMIT / 100 * 92);
        for _ in 0..3 {
            let answer = server.refused();
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        }
        healthy.echo();
        assert!(usage(&budget).refused >= 3);
        budget.give(BudgetPart::Connections, LIMIT / 100 * 92);
        server.peer().echo();
        healthy.echo();
    }
}

/// What is read and never asked for counts too: the stream style.
#[test]
fn what_an_application_does_not_read_counts() {
    let _alone = counting::alone();
    let config = Config::default().budget(Budget::new(LIMIT));
    let (budget, metrics) = (config.get_budget().clone(), Arc::clone(config.get_metrics()));
    let server = Running::start_idle(config);
    let mut peers: Vec<Peer> = (0..60).map(|_| server.peer()).collect();
    for peer in &mut peers {
        for _ in 0..10 {
            // Who was told to go meanwhile may find its connection closed.
            let _ = peer.begin_message(100 << 10, 100 << 10);
        }
    }
    // No inbox is full by that: if nobody has to go, all of it is read.
    let all = 60 * 10 * (100 << 10);
    again_until(|| usage(&budget).evicted > 0 || metrics.snapshot().bytes_in >= all, thread::yield_now);
    assert!(usage(&budget).evicted > 0);
    assert!(usage(&budget).used <= LIMIT, "{}", usage(&budget).used);
    let (code, reason) = peers.iter_mut().find_map(|peer| peer.close_frame().ok()).unwrap();
    assert_eq!((code, &*reason), (1013, told::MEMORY));
    drop((server, peers));
}
