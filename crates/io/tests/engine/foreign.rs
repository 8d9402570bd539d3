//! Connections in hyper's hands: how they end, and what their clients still get.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use switchboard_io::engine::{EngineConfig, Secure, Unread};
use switchboard_io::http1::{Connection, Foreign, Terms};
use switchboard_testkit::{Wire, within};
use switchboard_ws::{BudgetHold, HttpIo, Metrics, PeerAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{POLLING, engine};

const TIME: Duration = Duration::from_secs(15);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn foreign(stopping: Option<watch::Receiver<bool>>) -> Foreign {
    Foreign {
        peer: PeerAddr::Unknown,
        secure: Secure(false),
        head_timeout: TIME,
        max_head: 16 << 10,
        headers: |_| {},
        stopping,
        metrics: Arc::new(Metrics::default()),
        hold: BudgetHold::default(),
    }
}

fn io(transport: DuplexStream) -> HttpIo {
    HttpIo::new(Box::new(transport), Vec::new(), None, None)
}

/// Says what it was sent, many times.
async fn echo<const TIMES: usize>(request: Request<Unread<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a whole body").to_bytes();
    Ok(Response::new(Full::new(body.repeat(TIMES).into())))
}

/// A connection in hyper's hands, with room for so many bytes on their way.
fn served<const TIMES: usize>(room: usize) -> (DuplexStream, JoinHandle<hyper::Result<()>>) {
    let (ours, theirs) = duplex(room);
    (theirs, tokio::spawn(foreign(None).serve(io(ours), echo::<TIMES>)))
}

async fn answered(theirs: &mut DuplexStream) -> String {
    let mut told = String::new();
    within("the end", theirs.read_to_string(&mut told)).await.expect("text");
    told
}

#[tokio::test]
async fn a_client_that_ends_its_half_gets_what_can_be_answered_at_once() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for requests in [&[GET][..], &[LAST], &[post], &[chunks], &[post, GET, post]] {
        let (ours, mut theirs) = duplex(64 << 10);
        theirs.write_all(requests.concat().as_bytes()).await.expect("room");
        theirs.shutdown().await.expect("an end");
        let serving = tokio::spawn(foreign(None).serve(io(ours), echo::<1>));
        let told = answered(&mut theirs).await;
        assert_eq!(told.matches("HTTP/1.1 200 OK\r\n").count(), requests.len(), "{requests:?}: {told}");
        assert_eq!(told.matches("hello").count(), requests.concat().matches("hello").count(), "{told}");
        serving.await.expect("no panic").expect("no error");
    }
}

/// Not even while it is slow to take the answer.
#[tokio::test]
async fn nor_is_a_long_answer_cut_short() {
    let (mut theirs, serving) = served::<20_000>(100);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    theirs.write_all(post.as_bytes()).await.expect("room");
    theirs.shutdown().await.expect("an end");
    let told = answered(&mut theirs).await;
    assert!(told.ends_with(&"hello".repeat(20_000)), "{}", told.len());
    serving.await.expect("no panic").expect("no error");
}

/// Nobody can know whether it has gone for good; whoever waited for it has to be told so.
#[tokio::test]
async fn what_waits_is_given_up_when_its_client_ends() {
    let (ours, mut theirs) = duplex(64 << 10);
    let (held, mut given_up) = oneshot::channel::<()>();
    let held = std::sync::Mutex::new(Some(held));
    let serving = tokio::spawn(foreign(None).serve(io(ours), move |_| {
        let held = held.lock().expect("no panic").take();
        async move {
            let answer = pending::<Result<Response<Full<Bytes>>, Infallible>>().await;
            drop(held);
            answer
        }
    }));
    theirs.write_all(GET.as_bytes()).await.expect("room");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(given_up.try_recv() == Err(oneshot::error::TryRecvError::Empty), "it waits while the client does");
    theirs.shutdown().await.expect("an end");
    assert!(within("the end of the wait", given_up).await.is_err(), "it was dropped");
    assert!(answered(&mut theirs).await.is_empty());
    assert!(serving.await.expect("no panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_nothing_more_is_not_slow_unless_it_began_to() {
    for (begun, is_slow) in [("", false), ("G", true)] {
        let (theirs, serving) = served::<1>(64 << 10);
        let mut wire = Wire::new(theirs);
        assert_eq!(wire.get("/").await.status, 200);
        let began = Instant::now();
        wire.send(begun).await;
        assert!(wire.rest().await.is_empty());
        let served = serving.await.expect("no panic");
        assert_eq!(served.is_err_and(|error| error.is_timeout()), is_slow, "{begun:?}");
        assert_eq!(began.elapsed(), TIME);
    }
    let (mut theirs, serving) = served::<1>(64 << 10);
    assert!(answered(&mut theirs).await.is_empty());
    assert!(serving.await.expect("no panic").is_err_and(|error| error.is_timeout()), "nor one that never asked");
}

/// A client that has its last answer may be sending still: were that not read, a socket would be reset, and the answer
/// lost.
async fn is_read_on(theirs: &mut DuplexStream) {
    let told = answered(theirs).await;
    assert!(told.starts_with("HTTP/1.1 ") && told.to_ascii_lowercase().contains("connection: close\r\n"), "{told}");
    for _ in 0..100 {
        theirs.write_all(&[b'x'; 1000]).await.expect("it is read");
    }
    theirs.shutdown().await.expect("an end");
}

#[tokio::test]
async fn behind_the_last_answer_a_client_is_read_on() {
    for request in [LAST, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
        let (mut theirs, serving) = served::<1>(16 << 10);
        theirs.write_all(request.as_bytes()).await.expect("room");
        is_read_on(&mut theirs).await;
        serving.await.expect("no panic").expect("no error");
    }
    // And that of a poll.
    let (engine, _heard) = engine(EngineConfig::default());
    let terms = Terms {
        engine,
        secure: Secure(false),
        head_timeout: TIME,
        max_head: 16 << 10,
        headers: |_| {},
        stopping: None,
    };
    let (ours, mut theirs) = duplex(16 << 10);
    let mut connection = Connection::new(io(ours), BudgetHold::default(), PeerAddr::Unknown, Arc::new(terms));
    let serving = tokio::spawn(async move { connection.serve().await });
    let poll = format!("GET {POLLING} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    theirs.write_all(poll.as_bytes()).await.expect("room");
    is_read_on(&mut theirs).await;
    serving.await.expect("no panic").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn but_not_for_long_and_not_when_the_server_stops() {
    for stops in [false, true] {
        let (ours, mut theirs) = duplex(16 << 10);
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(foreign(Some(stopping)).serve(io(ours), echo::<1>));
        theirs.write_all(LAST.as_bytes()).await.expect("room");
        let began = Instant::now();
        assert!(answered(&mut theirs).await.starts_with("HTTP/1.1 200 "));
        stop.send_replace(stops);
        serving.await.expect("no panic").expect("no error");
        assert_eq!(began.elapsed().as_secs(), if stops { 0 } else { 2 });
        stop.closed().await;
    }
}
