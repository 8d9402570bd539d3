//! Being let in is one moment: a client hears of nothing before it, and misses nothing after.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use switchboard_io::{Refusal, Socket, SocketIo};

use crate::client::{Client, Poller, serve};

/// What another thread says each time that it is told to.
const NOISE: usize = 300;

/// A thread that speaks to everyone when it is told to.
fn noise(io: &SocketIo) -> Sender<()> {
    let (go, told) = channel();
    let io = io.clone();
    thread::spawn(move || {
        for () in told {
            for _ in 0..NOISE {
                io.emit("noise", &()).expect("it serialises");
            }
        }
    });
    go
}

/// Lets everybody in, but from a task: the welcome does not leave with what the client's own words bring about.
async fn ponder() -> Result<(), Refusal> {
    tokio::task::yield_now().await;
    Ok(())
}

async fn whoever_has_the_welcome_hears_what_is_said_then(io: SocketIo) {
    let (address, go) = (serve(&io).await, noise(&io));
    for number in 0..50 {
        let mut client = Client::open(address).await;
        go.send(()).expect("the thread is there");
        // That the welcome is the first thing is looked at in there.
        client.enter("/").await;
        io.emit("mark", &number).expect("it serialises");
        let mark = format!("42[\"mark\",{number}]");
        while client.text().await != mark {}
    }
    for number in 50..70 {
        let poller = Poller::open(address).await;
        go.send(()).expect("the thread is there");
        poller.say("40").await;
        let welcome = poller.poll().await;
        assert!(welcome.starts_with("40{"), "{welcome}");
        io.emit("mark", &number).expect("it serialises");
        let mark = format!("42[\"mark\",{number}]");
        while !poller.poll().await.split('\u{1e}').any(|packet| packet == mark) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_before_the_welcome_and_nothing_after_it_is_missed() {
    whoever_has_the_welcome_hears_what_is_said_then(SocketIo::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_where_a_middleware_takes_its_time() {
    let io = SocketIo::new();
    io.use_(ponder);
    whoever_has_the_welcome_hears_what_is_said_then(io).await;
}

#[tokio::test]
async fn a_handler_of_connections_speaks_to_a_socket_that_is_there() {
    let io = SocketIo::new();
    io.use_(ponder);
    let all = io.clone();
    io.on_connect(move |socket: Socket| {
        let reached = all.emit("here", &**socket.id()).map(|delivery| delivery.reached);
        let found = all.of("/").socket(socket.id()).is_some();
        async move { socket.emit("reached", &(reached.ok(), found)) }
    });
    let address = serve(&io).await;
    let mut first = Client::join(address).await;
    first.expect(&format!("42[\"here\",\"{}\"]", first.id)).await;
    first.expect("42[\"reached\",1,true]").await;
}
