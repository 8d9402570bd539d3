//! A budget for the memory of a Socket.IO server: what polls, POSTs and attachments make it hold stays within it, those
//! who hold most are disconnected, and who has done nothing goes on undisturbed.

#[path = "../server/client.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod client;

use std::net::SocketAddr;

use switchboard_io::{Parser, RecoverySettings, SocketIo};
use switchboard_testkit::counting::{self, Counting};
use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{Budget, BudgetPart, BudgetUsage};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use client::{Client, Heard, Poller, WEBSOCKET, fenced, get, serve};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
const LIMIT: usize = 16 * MIB;
/// On top of it: 8 MiB of buffers that a thread keeps, what hyper reads ahead of us, and the clients of this test.
const BASE: usize = 12 * MIB;
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

fn usage(budget: &Budget) -> BudgetUsage {
    budget.usage().expect("it has a limit")
}

/// A server, and a client that is on it before anything happens.
async fn start() -> (SocketIo, Budget, SocketAddr, Client) {
    let budget = Budget::new(LIMIT);
    let io = SocketIo::builder().budget(budget.clone()).build();
    fenced(&io, "/");
    // By a listener of our own, as a framework may have hyper read on as far as it likes.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let serving = io.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let healthy = Client::join(address).await;
    (io, budget, address, healthy)
}

#[tokio::test]
async fn what_waits_for_clients_that_do_not_poll_stays_within_the_budget() {
    let _alone = counting::alone();
    let (io, budget, address, mut healthy) = start().await;
    let mut pollers = Vec::new();
    for number in 0..12 {
        pollers.push(Poller::join(address).await);
        pollers[number].say(&format!("42[\"join\",\"{number}\"]")).await;
    }
    let sockets = io.of("/").sockets();
    counting::begin();
    for socket in &sockets {
        if *socket.id() == *healthy.id {
            continue;
        }
        for _ in 0..30 {
            // One whose turn it is to go has nothing more queued.
            let _ = socket.emit("news", &"x".repeat(64 << 10));
        }
        healthy.expect_nothing().await;
    }
    let peak = counting::peak();
    let BudgetUsage { evicted, used, .. } = usage(&budget);
    println!("{peak} bytes at the worst moment, of {}", LIMIT + BASE);
    assert!(peak <= LIMIT + BASE, "{peak}");
    assert!(used <= LIMIT, "{used}");
    assert!(evicted >= 4, "12 of 1.9 MiB, in two forms each, do not fit: {evicted}");
    let mut told = 0;
    for poller in &pollers {
        // Who is gone entirely is told that there is no such session.
        let heard = poller.poll().await;
        told += usize::from(heard == "41");
        assert!(heard == "41" || heard.contains("Session ID unknown") || heard.starts_with("42"), "{heard:.40}");
    }
    assert!(told > 0, "nobody was told");
    healthy.expect_nothing().await;
}

#[tokio::test]
async fn bodies_that_are_never_finished_stay_within_the_budget() {
    let _alone = counting::alone();
    let (_io, budget, address, mut healthy) = start().await;
    counting::begin();
    let mut posts = Vec::new();
    for _ in 0..60 {
        let opened = get(address, POLLING).await;
        if opened.status == 503 {
            continue;
        }
        let (_, rest) = opened.body.split_once(r#""sid":""#).expect("a session");
        let (sid, _) = rest.split_once('"').expect("a whole id");
        let mut post = TcpStream::connect(address).await.expect("someone listens");
        let head = format!("POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
        post.write_all(head.as_bytes()).await.expect("the server reads");
        // Who was answered before the end need not be read any more.
        let _ = post.write_all(&vec![b'x'; 900_000]).await;
        healthy.expect_nothing().await;
        posts.push(post);
    }
    let peak = counting::peak();
    let BudgetUsage { evicted, denied, refused, used, .. } = usage(&budget);
    println!("{peak} bytes at the worst moment, of {}", LIMIT + BASE);
    assert!(peak <= LIMIT + BASE, "{peak}");
    assert!(used <= LIMIT, "{used}");
    assert!(evicted + denied + refused >= 35, "60 of 1 MB do not fit: {evicted}, {denied}, {refused}");
    drop(posts);
    within("the bodies to be dropped", async {
        while usage(&budget).parts[BudgetPart::Polling as usize] > 0 {
            healthy.expect_nothing().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_holds_attachments_back_is_disconnected_and_told_why() {
    let _alone = counting::alone();
    let (_io, budget, address, mut healthy) = start().await;
    counting::begin();
    let mut peers = Vec::new();
    while usage(&budget).evicted == 0 {
        assert!(peers.len() < 40, "40 of 0.9 MB do not fit");
        let mut peer = Client::join(address).await;
        let places: Vec<_> = (0..10).map(|n| format!(r#"{{"_placeholder":true,"num":{n}}}"#)).collect();
        peer.say(&format!(r#"4510-["file",{}]"#, places.join(","))).await;
        for _ in 0..9 {
            peer.say_bytes(&vec![7; 100_000]).await;
        }
        healthy.expect_nothing().await;
        peers.push(peer);
    }
    let peak = counting::peak();
    println!("{peak} bytes at the worst moment, of {}", LIMIT + BASE);
    assert!(peak <= LIMIT + BASE, "{peak}");
    assert!(peers.len() > 5, "{}", peers.len());
    let mut gone = 0;
    for mut peer in peers {
        peer.say("42777[\"fence\"]").await;
        match peer.hear().await {
            Heard::Text(text) if text == "41" => {
                let close = peer.frame().await;
                assert_eq!((close.first, &close.payload[..2]), (0x88, &1013_u16.to_be_bytes()[..]));
                assert!(close.payload[2..].starts_with(b"the server is short of memory"));
                gone += 1;
            }
            // An event where an attachment belongs.
            _ => {}
        }
    }
    assert!(gone > 0);
    healthy.expect_nothing().await;
}

#[tokio::test]
async fn what_clients_say_of_themselves_counts_and_they_may_have_to_go_for_it() {
    let _alone = counting::alone();
    let (_io, budget, address, mut healthy) = start().await;
    let counted = || usage(&budget).parts[BudgetPart::Connections as usize];
    let before = counted();
    let poller = Poller::open(address).await;
    let opened = counted();
    assert!(opened >= before + (1 << 10) + POLLING.len(), "the head of its request counts");
    poller.say(&format!(r#"40{{"token":"{}"}}"#, "x".repeat(10_000))).await;
    assert!(poller.poll().await.starts_with("40{"));
    assert!(counted() >= opened + 10_000);
    budget.take(BudgetPart::Queued, LIMIT / 100 * 92);
    budget.relieve();
    assert_eq!(poller.poll().await, "41");
    budget.give(BudgetPart::Queued, LIMIT / 100 * 92);
    within("what it said to be forgotten", async {
        while counted() > before {
            healthy.expect_nothing().await;
        }
    })
    .await;
}

/// What is kept is a part of a message, and not the message.
#[tokio::test]
async fn a_packet_is_not_kept_for_the_auth_in_it() {
    let _alone = counting::alone();
    let io = SocketIo::builder().parser(Parser::Msgpack).build();
    let address = serve(&io).await;
    let (tell, mut told) = client::journal();
    io.on_connect(move || {
        let _ = tell.send(());
        std::future::ready(())
    });
    let mut peers = Vec::new();
    // {"type":0,"nsp":"/","data":{"a":1},"x":…}
    let mut packet = b"\x84\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa1a\x01\xa1x\xc6".to_vec();
    packet.extend_from_slice(&900_000_u32.to_be_bytes());
    packet.resize(packet.len() + 900_000, 7);
    let begin = counting::begin();
    for _ in 0..40 {
        let mut peer = Client::open(address).await;
        peer.say_bytes(&packet).await;
        told.next().await;
        peers.push(peer);
    }
    let peak = counting::peak();
    assert!(peak <= 16 * MIB, "{begin}, {peak}");
    assert_eq!(io.of("/").count(), 40);
}

#[tokio::test]
async fn no_session_is_opened_while_memory_is_short() {
    let _alone = counting::alone();
    let (_io, budget, address, mut healthy) = start().await;
    let poller = Poller::join(address).await;
    budget.take(BudgetPart::Connections, LIMIT / 100 * 92);
    assert_eq!(get(address, POLLING).await.status, 503);
    assert_eq!(Wire::ask(address, WEBSOCKET, "").await.response().await.status, 503);
    assert!(usage(&budget).refused >= 2);
    // Those who are in notice nothing.
    healthy.expect_nothing().await;
    poller.say("42777[\"fence\"]").await;
    assert_eq!(poller.poll().await, "43777[]");
    budget.give(BudgetPart::Connections, LIMIT / 100 * 92);
    Client::join(address).await.expect_nothing().await;
}

#[tokio::test]
async fn what_could_be_recovered_goes_before_anybody_does() {
    let _alone = counting::alone();
    let budget = Budget::new(LIMIT);
    let recovery = RecoverySettings::default();
    let io = SocketIo::builder().budget(budget.clone()).connection_state_recovery(recovery).build();
    fenced(&io, "/");
    let address = serve(&io).await;
    let mut healthy = Client::join(address).await;
    for _ in 0..10 {
        io.to("nowhere").emit("news", &"x".repeat(MIB)).expect("it serialises");
    }
    assert!(usage(&budget).parts[BudgetPart::Recovery as usize] > 10 * MIB);
    for _ in 0..10 {
        io.to("nowhere").emit("news", &"x".repeat(MIB)).expect("it serialises");
    }
    let BudgetUsage { used, evicted, .. } = usage(&budget);
    assert!(used <= LIMIT && evicted == 0, "{used}, {evicted}");
    assert!(io.recovery().expect("it is on").packets_dropped >= 5);
    healthy.expect_nothing().await;
}

#[tokio::test]
async fn an_idle_session_counts_for_what_it_takes() {
    const COUNT: usize = 3_000;
    let _alone = counting::alone();
    let (_io, budget, address, mut healthy) = start().await;
    let mut wire = Wire::connect(address).await;
    assert_eq!(wire.get(POLLING).await.status, 200);
    let before = (usage(&budget).used, counting::in_heap());
    for _ in 0..COUNT {
        assert_eq!(wire.get(POLLING).await.status, 200);
    }
    let (counted, taken) = (usage(&budget).used - before.0, counting::in_heap() - before.1);
    println!("{} bytes count for a session, and it takes {}", counted / COUNT, taken / COUNT);
    assert!(taken <= counted, "{taken}, {counted}");
    assert!(counted <= taken / 2 * 3, "{taken}, {counted}");
    healthy.expect_nothing().await;
}

/// With a frame of the raw kind, to see that a healthy client's large message still gets through.
#[tokio::test]
async fn a_large_message_has_room_while_there_is_some() {
    let _alone = counting::alone();
    let (_io, budget, address, _healthy) = start().await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    assert_eq!(wire.frame().await.first, 0x81);
    wire.say(&frame::text("40").masked()).await;
    assert_eq!(wire.frame().await.first, 0x81);
    let event = format!("42777[\"fence\",\"{}\"]", "x".repeat(900_000));
    wire.say(&frame::text(event).masked()).await;
    assert_eq!(wire.frame().await, frame::text("43777[]"));
    assert_eq!(usage(&budget).denied, 0);
}
