//! Handlers: what they can ask for, in which order they run, and what happens to one that fails.

use std::future::ready;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use switchboard_io::engine::Limit;
use switchboard_io::{
    Ack, Args, Auth, CallError, Data, DisconnectReason, Error, Event, HubLimits, Socket, SocketIo, State,
};
use switchboard_ws::Hub;
use tokio::sync::Notify;

use crate::client::{Client, fenced, journal, serve};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Clone)]
struct Counter(Arc<std::sync::atomic::AtomicU32>);

#[tokio::test]
async fn one_error_is_for_all_that_a_handler_does() {
    let io = SocketIo::builder().hub(Hub::new(HubLimits { topic_bytes: 10, ..HubLimits::default() })).build();
    io.on_connect(async |socket: Socket| {
        socket.on_error(async |socket: Socket, Data(error): Data<String>| socket.emit("failed", &error));
        socket.on("enter", async |socket: Socket, args: Args, ack: Ack| {
            let room: String = args.get(0)?;
            socket.join(&room)?;
            socket.emit("entered", &room)?;
            ack.send(&())?;
            Ok::<_, Error>(())
        });
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"421["enter","a"]"#).await;
    client.expect(r#"42["entered","a"]"#).await;
    client.expect("431[]").await;
    client.say(r#"422["enter","a long name"]"#).await;
    assert!(client.text().await.starts_with(r#"42["failed","#));
    client.say(r#"423["enter",7]"#).await;
    assert!(client.text().await.starts_with(r#"42["failed","#));
}

#[tokio::test]
async fn typed_data_is_read_and_written() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("move", async |Data(point): Data<Point>, ack: Ack| ack.send(&Point { x: point.y, y: point.x }));
        socket.on("line", async |Data((from, to)): Data<(Point, Option<Point>)>, ack: Ack| ack.send(&(to, from)));
        socket
            .on("many", async |Data((first, rest)): Data<(String, Vec<u8>)>, ack: Ack| ack.send(&(rest.len(), first)));
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"420["move",{"x":1,"y":-2}]"#).await;
    client.expect(r#"430[{"x":-2,"y":1}]"#).await;
    client.say(r#"421["line",{"x":1,"y":2}]"#).await;
    client.expect(r#"431[null,{"x":1,"y":2}]"#).await;
    client.say(r#"422["many","a",[1,2,3]]"#).await;
    client.expect(r#"432[3,"a"]"#).await;
}

#[tokio::test]
async fn a_handler_gets_all_that_it_asks_for() {
    let counter = Counter(Arc::default());
    let io = SocketIo::builder().state(counter.clone()).build();
    io.on_connect(async |socket: Socket| {
        socket.on(
            "all",
            async |socket: Socket,
                   Event(name): Event,
                   Data(word): Data<String>,
                   args: Args,
                   Auth(auth): Auth<Point>,
                   State(counter): State<Counter>,
                   missing: Result<State<u8>, CallError>,
                   ack: Ack| {
                counter.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                ack.send(&(socket.namespace(), &*name, word, args.len(), auth, missing.is_err()))
            },
        );
    });
    let mut client = Client::open(serve(&io).await).await;
    client.say(r#"40{"x":1,"y":2}"#).await;
    client.welcomed("/").await;
    client.say(r#"420["all","word",2]"#).await;
    client.expect(r#"430["/","all","word",2,{"x":1,"y":2},true]"#).await;
    assert_eq!(counter.0.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn arguments_that_do_not_fit_reach_the_listeners_for_errors_and_no_handler() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_connect(async |socket: Socket| {
        socket.on("number", async |socket: Socket, Data(number): Data<u8>| socket.emit("heard", &number));
        socket.on("if it fits", async |socket: Socket, data: Result<Data<u8>, CallError>| {
            socket.emit("heard", &data.is_ok())
        });
        socket.on_error(async |socket: Socket, Data(why): Data<String>| {
            socket.emit("error!", &why.starts_with("the client's arguments are not what the handler asks for"))
        });
    });
    let mut client = Client::join(serve(&io).await).await;
    for wrong in [r#"42["number","word"]"#, r#"42["number"]"#, r#"42["number",256]"#, r#"42["number",-1]"#] {
        client.say(wrong).await;
        client.expect(r#"42["error!",true]"#).await;
    }
    client.say(r#"42["if it fits","word"]"#).await;
    client.expect(r#"42["heard",false]"#).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn errors_that_handlers_return_reach_the_listeners_for_errors() {
    let io = SocketIo::new();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    io.on_connect(move |socket: Socket| {
        let closed = Arc::clone(&closed);
        socket.on("now", async || Err::<(), _>("failed at once"));
        socket.on("later", move || {
            let closed = Arc::clone(&closed);
            async move {
                closed.notified().await;
                Err::<(), _>("failed later")
            }
        });
        socket.on_error(async |socket: Socket, Data(why): Data<String>| socket.emit("why", &why));
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"42["later"]"#).await;
    client.say(r#"42["now"]"#).await;
    client.expect(r#"42["why","failed at once"]"#).await;
    gate.notify_one();
    client.expect(r#"42["why","failed later"]"#).await;
}

#[tokio::test]
async fn a_client_that_breaks_a_rule_is_told_of_before_it_ends() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let (error, end) = (tell.clone(), tell.clone());
        socket.on_error(move |Data(why): Data<String>| {
            let _ = error.send(why);
            ready(())
        });
        socket.on_disconnect(move |reason: DisconnectReason| {
            let _ = end.send(reason.to_string());
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say("4!").await;
    assert_eq!(told.next().await, "the peer sent a packet of an unknown type");
    assert_eq!(told.next().await, "forced close");
}

// Order.

#[tokio::test]
async fn events_start_in_order_and_run_to_their_first_await() {
    let io = SocketIo::new();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    io.on_connect(move |socket: Socket| {
        let closed = Arc::clone(&closed);
        socket.on("n", move |socket: Socket, Data(number): Data<u8>| {
            let closed = Arc::clone(&closed);
            async move {
                socket.emit("begun", &number)?;
                if number == 1 {
                    closed.notified().await;
                }
                socket.emit("done", &number)
            }
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    for number in 1..=3 {
        client.say(&format!(r#"42["n",{number}]"#)).await;
    }
    for heard in [r#"["begun",1]"#, r#"["begun",2]"#, r#"["done",2]"#, r#"["begun",3]"#, r#"["done",3]"#] {
        client.expect(&format!("42{heard}")).await;
    }
    gate.notify_one();
    client.expect(r#"42["done",1]"#).await;
}

#[tokio::test]
async fn what_is_added_as_a_client_joins_hears_its_first_event() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        socket.on("first", async |ack: Ack| ack.send(&()));
    });
    let mut client = Client::open(serve(&io).await).await;
    // As a client may that does not wait for its welcome.
    client.say("40").await;
    client.say(r#"420["first"]"#).await;
    client.welcomed("/").await;
    client.expect("430[]").await;
}

#[tokio::test]
async fn with_too_many_handlers_under_way_nothing_more_is_read() {
    let io = SocketIo::builder().in_flight(2).build();
    fenced(&io, "/");
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let (closed, tell) = (Arc::clone(&closed), tell.clone());
        socket.on("wait", move |Data(number): Data<u32>| {
            let (closed, tell) = (Arc::clone(&closed), tell.clone());
            async move {
                let _ = tell.send(number);
                closed.notified().await;
            }
        });
        ready(())
    });
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    for number in 1..=2 {
        client.say(&format!(r#"42["wait",{number}]"#)).await;
    }
    assert_eq!([told.next().await, told.next().await], [1, 2]);
    client.say(r#"42["wait",3]"#).await;
    // Others are served meanwhile.
    Client::join(address).await.expect_nothing().await;
    assert!(told.so_far().is_empty());
    assert_eq!(io.engine().metrics().limit(Limit::Handlers), 1);
    gate.notify_one();
    assert_eq!(told.next().await, 3);
    gate.notify_waiters();
    client.expect_nothing().await;
}

// Panics.

#[tokio::test]
async fn a_handler_that_panics_ends_its_socket_only() {
    let io = SocketIo::new();
    let gate = Arc::new(Notify::new());
    let closed = Arc::clone(&gate);
    for name in ["/", "/a"] {
        fenced(&io, name);
        let closed = Arc::clone(&closed);
        io.of(name).on_connect(move |socket: Socket| {
            let closed = Arc::clone(&closed);
            socket.on("now", async |Data(number): Data<u8>| assert_eq!(number, 0, "a bug in a handler"));
            socket.on("later", move |socket: Socket| {
                let closed = Arc::clone(&closed);
                async move {
                    closed.notified().await;
                    assert!(socket.recovered(), "a bug in a handler");
                }
            });
            ready(())
        });
    }
    let address = serve(&io).await;
    let mut other = Client::join(address).await;
    let mut client = Client::join(address).await;
    client.enter("/a").await;
    client.say(r#"42/a,["now",1]"#).await;
    client.expect("41/a,").await;
    client.expect_nothing().await;
    client.say(r#"42["later"]"#).await;
    client.expect_nothing().await;
    gate.notify_one();
    client.expect("41").await;
    client.enter("/a").await;
    client.expect_nothing_in("/a").await;
    other.expect_nothing().await;
    assert_eq!(io.of("/").count(), 1);
}

#[tokio::test]
async fn a_handler_of_connections_that_panics_ends_that_socket() {
    let io = SocketIo::new();
    fenced(&io, "/a");
    io.on_connect(async |socket: Socket| assert!(socket.recovered(), "a bug in a handler"));
    let mut client = Client::join(serve(&io).await).await;
    client.expect("41").await;
    client.enter("/a").await;
    client.expect_nothing_in("/a").await;
}

#[tokio::test]
async fn a_listener_for_the_end_that_panics_ends_nothing_else() {
    let io = SocketIo::new();
    fenced(&io, "/");
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_disconnecting(async |socket: Socket| assert!(!socket.connected() && socket.recovered(), "a bug"));
        socket.on_disconnect(move || {
            let _ = tell.send(());
            ready(())
        });
        ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say("41").await;
    told.next().await;
    client.enter("/").await;
    client.expect_nothing().await;
    assert_eq!(io.of("/").count(), 1);
}
