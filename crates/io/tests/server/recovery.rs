//! Connection state recovery: who comes back soon gets what it missed, or is told that it is new.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchboard_io::{Builder, HubLimits, JoinError, RecoverySettings, Refusal, Socket, SocketIo, Value};
use switchboard_testkit::within;
use switchboard_ws::{Hub, OutboxLimits};
use tokio::sync::Notify;

use crate::client::{Client, Heard, Journal, Poller, fenced, journal, serve};

/// A server with recovery, and who is lost there.
fn recovering(settings: RecoverySettings) -> (SocketIo, Journal<String>) {
    told_of(SocketIo::builder().connection_state_recovery(settings).build())
}

fn told_of(io: SocketIo) -> (SocketIo, Journal<String>) {
    fenced(&io, "/");
    let (tell, told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_disconnect(move |socket: Socket| {
            let _ = tell.send(socket.id().to_string());
            ready(())
        });
        ready(())
    });
    (io, told)
}

/// An event of one word, without its offset; and the offset.
fn split(event: &str) -> (String, String) {
    let (word, offset) = event.split_once(',').unwrap_or_else(|| panic!("no offset: {event}"));
    (format!("{word}]"), offset.trim_matches(['"', ']']).to_owned())
}

/// Loses its connection, and is known to have lost it.
async fn lose(client: Client, told: &mut Journal<String>) -> (String, String) {
    let (id, pid) = (client.id.clone(), client.pid.clone());
    drop(client);
    assert_eq!(told.next().await, id);
    (id, pid)
}

/// Comes back, and hears everything up to its welcome.
async fn back(address: SocketAddr, pid: &str, offset: Option<&str>) -> (Client, Vec<String>, String) {
    let mut client = Client::open(address).await;
    let offset = offset.map(|offset| format!(r#","offset":"{offset}""#)).unwrap_or_default();
    client.say(&format!(r#"40{{"pid":"{pid}"{offset}}}"#)).await;
    let (missed, welcome) = until_welcomed(&mut client).await;
    (client, missed, welcome)
}

async fn until_welcomed(client: &mut Client) -> (Vec<String>, String) {
    let mut missed = Vec::new();
    loop {
        match client.hear().await {
            Heard::Text(text) if text.starts_with("40{") => return (missed, text),
            Heard::Text(text) => missed.push(text),
            Heard::Binary(bytes) => missed.push(format!("{bytes:?}")),
            Heard::Close(_) => panic!("it is not let in"),
        }
    }
}

#[tokio::test]
async fn who_comes_back_has_its_rooms_its_data_and_what_it_missed() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    let socket = io.of("/").socket(&client.id).unwrap();
    socket.join("room").unwrap();
    socket.set_data("ann").unwrap();
    io.emit("first", &()).unwrap();
    let (first, offset) = split(&client.text().await);
    assert_eq!(first, r#"42["first"]"#);
    let (id, pid) = lose(client, &mut told).await;
    io.emit("all", &()).unwrap();
    io.to("room").emit("room", &()).unwrap();
    io.to("elsewhere").emit("elsewhere", &()).unwrap();
    io.except("room").emit("others", &()).unwrap();
    io.to(id.as_str()).emit("bytes", &Bytes::from_static(&[1])).unwrap();
    let (mut client, missed, welcome) = back(address, &pid, Some(&offset)).await;
    let words: Vec<_> = missed.iter().map(|event| event.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(words, [r#"42["all""#, r#"42["room""#, r#"451-["bytes""#, "[1]"]);
    assert_eq!(welcome, format!(r#"40{{"sid":"{id}","pid":"{pid}"}}"#));
    let socket = io.of("/").socket(&id).unwrap();
    assert!(socket.recovered());
    assert_eq!((socket.data::<String>().unwrap(), socket.rooms().len()), ("ann".to_owned(), 2));
    io.to("room").emit("again", &()).unwrap();
    assert_eq!(split(&client.text().await).0, r#"42["again"]"#);
    assert_eq!(io.recovery().unwrap().recovered, 1);
}

#[tokio::test]
async fn it_works_any_number_of_times_also_for_one_that_heard_nothing() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    for round in 0..4 {
        let (id, pid) = lose(client, &mut told).await;
        io.emit("missed", &()).unwrap();
        let missed;
        (client, missed, _) = back(address, &pid, None).await;
        // It has named no offset: nothing of what was sent to it is known to have come.
        assert_eq!(missed.len(), round + 1);
        client.id = id;
        client.pid = pid;
        assert!(io.of("/").socket(&client.id).is_some_and(|socket| socket.recovered()));
    }
}

#[tokio::test]
async fn one_whose_old_connection_seems_alive_takes_it_over() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let mut old = Client::join(address).await;
    let (id, pid) = (old.id.clone(), old.pid.clone());
    let (mut new, _, welcome) = back(address, &pid, None).await;
    assert_eq!(told.next().await, id);
    assert_eq!(welcome, format!(r#"40{{"sid":"{id}","pid":"{pid}"}}"#));
    old.expect_end().await;
    new.expect_nothing().await;
    assert_eq!(io.of("/").count(), 1);
}

/// By the clock that everything goes by, which a test may move.
#[tokio::test]
async fn who_stays_away_too_long_is_new() {
    let builder = SocketIo::builder().connection_state_recovery(RecoverySettings::default());
    let (io, mut told) = told_of(builder.ping_interval(Duration::from_secs(3600)).build());
    let address = serve(&io).await;
    for (away, is_back) in [(119, true), (121, false)] {
        let (id, pid) = lose(Client::join(address).await, &mut told).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(away)).await;
        tokio::time::resume();
        let (client, _, welcome) = back(address, &pid, None).await;
        assert_eq!(welcome.contains(&id), is_back, "after {away} seconds");
        drop(client);
        told.next().await;
    }
}

#[tokio::test]
async fn middlewares_are_spared_it_unless_set_otherwise() {
    for skip in [true, false] {
        let (io, mut told) = recovering(RecoverySettings { skip_middlewares: skip, ..RecoverySettings::default() });
        let (tell, mut asked) = journal();
        io.use_(move |socket: Socket| {
            let _ = tell.send(socket.recovered());
            ready(Ok(()))
        });
        let address = serve(&io).await;
        let (_, pid) = lose(Client::join(address).await, &mut told).await;
        back(address, &pid, None).await;
        assert_eq!(asked.so_far(), if skip { vec![false] } else { vec![false, true] });
    }
}

#[tokio::test]
async fn one_that_a_middleware_refuses_does_not_come_back() {
    let (io, mut told) = recovering(RecoverySettings { skip_middlewares: false, ..RecoverySettings::default() });
    io.use_(async |socket: Socket| if socket.recovered() { Err(Refusal::new("not again")) } else { Ok(()) });
    let address = serve(&io).await;
    let (_, pid) = lose(Client::join(address).await, &mut told).await;
    let mut client = Client::open(address).await;
    client.say(&format!(r#"40{{"pid":"{pid}"}}"#)).await;
    client.expect(r#"44{"message":"not again"}"#).await;
    assert_eq!(io.recovery().unwrap().recovered, 0);
}

/// What a middleware does to the rooms of one that comes back, before it takes its time.
type Change = fn(&Socket) -> Result<(), JoinError>;

/// A server with recovery whose middleware does that, tells of it, and decides when it is notified.
struct Deciding {
    io: SocketIo,
    told: Journal<String>,
    changed: Journal<Result<(), JoinError>>,
    gate: Arc<Notify>,
}

fn deciding(builder: Builder, change: Change) -> Deciding {
    let settings = RecoverySettings { skip_middlewares: false, ..RecoverySettings::default() };
    let (io, told) = told_of(builder.connection_state_recovery(settings).build());
    let (tell, changed) = journal();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    io.use_(move |socket: Socket| {
        let (tell, closed) = (tell.clone(), Arc::clone(&closed));
        async move {
            if socket.recovered() {
                let _ = tell.send(change(&socket));
                closed.notified().await;
            }
            if socket.auth::<Value>().is_ok_and(|auth| auth.get("never").is_some()) {
                return Err(Refusal::new("never"));
            }
            Ok(())
        }
    });
    Deciding { io, told, changed, gate }
}

/// It used to hear at once what was said in a room that a middleware put it into, before all that it had missed, and once
/// more among that.
#[tokio::test]
async fn what_is_said_while_a_middleware_decides_comes_once_and_in_its_place() {
    let change: Change = |socket| {
        socket.leave("left");
        socket.join(["kept", "new"])
    };
    let Deciding { io, mut told, mut changed, gate } = deciding(SocketIo::builder(), change);
    let address = serve(&io).await;
    let client = Client::join(address).await;
    io.of("/").socket(&client.id).unwrap().join(["kept", "left"]).unwrap();
    let (id, pid) = lose(client, &mut told).await;
    let say = |word: &str| {
        for room in ["kept", "left", "new"] {
            io.to(room).emit(&format!("{word} {room}"), &()).unwrap();
        }
    };
    say("away");
    let mut client = Client::open(address).await;
    client.say(&format!(r#"40{{"pid":"{pid}"}}"#)).await;
    assert_eq!(changed.next().await, Ok(()));
    say("deciding");
    io.to("kept").volatile().emit("volatile", &()).unwrap();
    assert_eq!(io.of("/").count_in("new"), 0);
    gate.notify_one();
    let (missed, welcome) = until_welcomed(&mut client).await;
    let words: Vec<_> = missed.iter().map(|event| split(event).0).collect();
    let expected = ["away kept", "away left", "deciding kept", "deciding new"];
    assert_eq!(words, expected.map(|word| format!(r#"42["{word}"]"#)));
    assert!(welcome.contains(&id), "{welcome}");
    assert_eq!(["kept", "left", "new"].map(|room| io.of("/").count_in(room)), [1, 0, 1]);
    say("in");
    for word in ["in kept", "in new"] {
        assert_eq!(split(&client.text().await).0, format!(r#"42["{word}"]"#));
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn one_that_comes_back_is_told_as_it_joins_whether_there_is_a_place_for_it() {
    let change: Change = |socket| {
        socket.join(["a", "b"])?;
        assert_eq!(socket.rooms(), ["a", "b"]);
        let refused = socket.join("c");
        socket.leave("a");
        socket.join("c")?;
        assert_eq!(socket.rooms(), ["b", "c"]);
        refused
    };
    let hub = Hub::new(HubLimits { topics_per_member: 2, topic_bytes: 20 });
    let Deciding { io, mut told, mut changed, gate } = deciding(SocketIo::builder().hub(hub), change);
    let address = serve(&io).await;
    let client = Client::join(address).await;
    io.of("/").socket(&client.id).unwrap().join(["a", "b"]).unwrap();
    let (id, pid) = lose(client, &mut told).await;
    gate.notify_one();
    let (_client, ..) = back(address, &pid, None).await;
    assert_eq!(changed.next().await, Err(JoinError::TooManyTopics { limit: 2 }));
    assert_eq!(["a", "b", "c", id.as_str()].map(|room| io.of("/").count_in(room)), [0, 1, 1, 1]);
}

#[tokio::test]
async fn one_that_is_refused_as_it_comes_back_is_in_no_room() {
    let Deciding { io, mut told, mut changed, gate } = deciding(SocketIo::builder(), |socket| socket.join("new"));
    let address = serve(&io).await;
    let client = Client::join(address).await;
    io.of("/").socket(&client.id).unwrap().join("kept").unwrap();
    let (_, pid) = lose(client, &mut told).await;
    let mut client = Client::open(address).await;
    client.say(&format!(r#"40{{"pid":"{pid}","never":true}}"#)).await;
    assert_eq!(changed.next().await, Ok(()));
    gate.notify_one();
    client.expect(r#"44{"message":"never"}"#).await;
    for room in ["kept", "new"] {
        io.to(room).emit("news", &()).unwrap();
        assert_eq!(io.of("/").count_in(room), 0);
    }
    // It is somebody new, in the same session.
    let id = client.enter("/").await;
    assert_eq!(io.of("/").socket(&id).map(|socket| socket.rooms().len()), Some(1));
    client.expect_nothing().await;
}

/// It would overflow its queue, be closed for that, and come back for the same, as long as it may.
#[tokio::test]
async fn who_has_missed_more_than_may_wait_for_it_is_new() {
    for (missed, size, is_back) in [(3, 10, true), (4, 10, false), (3, 1_000, false)] {
        let outbox = OutboxLimits { messages: 4, bytes: 3_000, ..OutboxLimits::default() };
        let builder = SocketIo::builder().connection_state_recovery(RecoverySettings::default());
        let (io, mut told) = told_of(builder.outbox(outbox).build());
        let address = serve(&io).await;
        let client = Client::join(address).await;
        let (id, pid) = lose(client, &mut told).await;
        for _ in 0..missed {
            io.emit("news", &"x".repeat(size)).expect("sent");
        }
        let (client, heard, welcome) = back(address, &pid, None).await;
        assert_eq!((welcome.contains(&id), heard.len()), (is_back, if is_back { missed } else { 0 }), "{size}");
        drop(client);
    }
}

#[tokio::test]
async fn who_is_not_known_is_new() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let (id, pid) = lose(Client::join(address).await, &mut told).await;
    for (pid, offset) in [("AAAAAAAAAAAAAAAAAAAA", None), ("x", None), (pid.as_str(), Some("rubbish"))] {
        let (_, missed, welcome) = back(address, pid, offset).await;
        assert!(missed.is_empty() && !welcome.contains(&id), "{welcome}");
    }
    assert!(io.recovery().unwrap().failed > 0);
}

#[tokio::test]
async fn who_left_or_was_sent_away_does_not_come_back() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let mut newcomers = Vec::new();
    for by_client in [true, false] {
        let mut client = Client::join(address).await;
        let (id, pid) = (client.id.clone(), client.pid.clone());
        if by_client {
            client.say("41").await;
        } else {
            io.of("/").socket(&id).unwrap().disconnect();
        }
        assert_eq!(told.next().await, id);
        let (newcomer, _, welcome) = back(address, &pid, None).await;
        assert!(!welcome.contains(&id));
        newcomers.push(newcomer);
    }
}

#[tokio::test]
async fn offsets_are_on_what_can_be_recovered_and_harmless_on_what_cannot() {
    let (io, mut told) = recovering(RecoverySettings::default());
    io.on_connect(async |socket: Socket| {
        socket.on("ask me", async |socket: Socket| {
            let _ = socket.emit_with_ack::<()>("asked", "word").await;
        });
    });
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    io.emit("kept", &()).unwrap();
    let (_, kept) = split(&client.text().await);
    io.all().volatile().emit("volatile", "word").unwrap();
    let volatile = client.text().await;
    assert_eq!(volatile, format!(r#"42["volatile","word","{kept}"]"#));
    client.say(r#"42["ask me"]"#).await;
    client.expect(r#"420["asked","word"]"#).await;
    let (_, pid) = lose(client, &mut told).await;
    io.all().volatile().emit("volatile", &()).unwrap();
    io.emit("missed", &()).unwrap();
    let (_, missed, _) = back(address, &pid, Some(&kept)).await;
    assert_eq!(missed.len(), 1, "{missed:?}");
}

#[tokio::test]
async fn each_namespace_is_recovered_for_itself() {
    let (io, mut told) = recovering(RecoverySettings::default());
    fenced(&io, "/a");
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    let (root, root_pid) = (client.id.clone(), client.pid.clone());
    let a = client.enter("/a").await;
    let a_pid = client.pid.clone();
    assert_ne!(root_pid, a_pid);
    drop(client);
    told.next().await;
    io.of("/a").emit("missed", &()).unwrap();
    let (mut client, missed, welcome) = back(address, &root_pid, None).await;
    assert!(missed.is_empty() && welcome.contains(&root));
    client.say(&format!(r#"40/a,{{"pid":"{a_pid}"}}"#)).await;
    assert_eq!(split(&client.text().await).0, r#"42/a]"#);
    assert_eq!(client.welcomed("/a").await, a);
}

#[tokio::test]
async fn it_works_over_polling_where_all_comes_in_one_answer() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let poller = Poller::open(address).await;
    poller.say("40").await;
    let welcome = poller.poll().await;
    poller.say("1").await;
    told.next().await;
    io.emit("missed", &()).unwrap();
    let pid = welcome.split("\"pid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let poller = Poller::open(address).await;
    poller.say(&format!(r#"40{{"pid":"{pid}"}}"#)).await;
    let heard = poller.poll().await;
    let (missed, again) = heard.split_once('\u{1e}').unwrap();
    assert_eq!((split(missed).0.as_str(), again), (r#"42["missed"]"#, welcome.as_str()));
}

#[tokio::test]
async fn without_it_there_is_no_secret_and_no_offset() {
    let io = SocketIo::new();
    let mut client = Client::join(serve(&io).await).await;
    assert_eq!(client.pid, "");
    io.emit("news", &()).unwrap();
    client.expect(r#"42["news"]"#).await;
    assert_eq!(io.recovery(), None);
}

#[tokio::test]
async fn what_is_lost_on_its_way_back_is_given_back_again() {
    let (io, mut told) = recovering(RecoverySettings::default());
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    io.emit("first", &()).unwrap();
    let (_, offset) = split(&client.text().await);
    let (id, pid) = lose(client, &mut told).await;
    io.emit("missed", &()).unwrap();
    // It is given back, and the connection ends before the client has read any of it.
    let (client, ..) = back(address, &pid, Some(&offset)).await;
    drop(client);
    assert_eq!(told.next().await, id);
    let (_, missed, _) = back(address, &pid, Some(&offset)).await;
    assert_eq!(missed.len(), 1, "{missed:?}");
    assert_eq!(split(&missed[0]).0, r#"42["missed"]"#);
}

/// Its listeners run on the thread that sends, which holds the log of recovery while it does: they may publish.
#[tokio::test]
async fn one_whose_queue_overflows_is_seen_off_when_no_lock_is_held() {
    for alone in [true, false] {
        let outbox = OutboxLimits { messages: 2, ..OutboxLimits::default() };
        let builder = SocketIo::builder().connection_state_recovery(RecoverySettings::default());
        let (io, mut told) = told_of(builder.outbox(outbox).build());
        let server = io.clone();
        io.on_connect(move |socket: Socket| {
            let server = server.clone();
            socket.on_disconnecting(move || {
                server.emit("somebody leaves", &()).expect("it serialises");
                ready(())
            });
            ready(())
        });
        let address = serve(&io).await;
        let _poller = Poller::join(address).await;
        let socket = io.of("/").sockets().pop().expect("it is in");
        let id = socket.id().to_string();
        // Not on a thread of the runtime, which could not end if this did not.
        let (runtime, (done, sent)) = (tokio::runtime::Handle::current(), tokio::sync::oneshot::channel());
        std::thread::spawn(move || {
            let _runtime = runtime.enter();
            for _ in 0..3 {
                if alone {
                    let _ = socket.emit("news", &());
                } else {
                    let _ = io.to(socket.id()).emit("news", &());
                }
            }
            done.send(io)
        });
        let io = within("the events to be sent", sent).await.expect("it does not panic");
        assert_eq!(told.next().await, id);
        assert_eq!(io.engine().metrics().overflowed(), 1);
    }
}
