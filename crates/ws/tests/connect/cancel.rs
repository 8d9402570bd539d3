//! A client that gives up: dropped after each number of polls, it leaves nothing open on either side.

use std::pin::Pin;
use std::task::{Context, Poll};

use switchboard_ws::{AcceptError, Client, Config, Error, Handler, MessageRef, Server, Socket, accept};
use tokio::net::TcpListener;

/// Polls a future that often, then drops it.
struct Polls<F> {
    future: Option<Pin<Box<F>>>,
    left: usize,
}

fn polls<F: Future>(times: usize, future: F) -> Polls<F> {
    Polls { future: Some(Box::pin(future)), left: times }
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.left -= 1;
        let polled = self.future.as_mut().expect("not ready yet").as_mut().poll(cx).map(Some);
        if polled.is_pending() && self.left == 0 {
            self.future = None;
            return Poll::Ready(None);
        }
        polled
    }
}

/// Connects and gives up after one poll, after two, and so on, until a connection comes about. `serve` takes a
/// connection through its handshake.
async fn give_up<S>(client: impl Fn(&str) -> Client, serve: impl Fn(tokio::net::TcpStream) -> S) -> usize
where
    S: Future<Output = Result<Socket, AcceptError>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::default();
    let client = client(&listener.local_addr().unwrap().to_string()).config(config.clone());
    for times in 1.. {
        // It ends only because the transport does.
        let served = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut socket) = serve(stream).await else { return };
            let end = socket.recv().await;
            assert!(matches!(end, Ok(None) | Err(Error::Disconnected | Error::Io(_))), "{end:?}");
            socket.sender().ended().await;
        };
        let given_up = async { polls(times, client.connect()).await.map(Result::unwrap).is_none() };
        let (given_up, ()) = tokio::join!(given_up, served);
        config.connections().wait_closed().await;
        if !given_up {
            return times;
        }
        assert_eq!(config.get_metrics().snapshot().total, 0, "nothing was opened");
    }
    unreachable!("the loop has no end")
}

#[tokio::test]
async fn connecting_can_be_given_up_at_any_poll() {
    let config = Config::default();
    let times = give_up(|host| Client::new(format!("ws://{host}/")), |stream| accept(stream, &config)).await;
    assert!(times > 2, "it took {times} polls: no step was interrupted");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn connecting_through_tls_can_be_given_up_at_any_poll() {
    use std::time::Duration;

    use switchboard_ws::ServerTls;

    use crate::tls::Authority;

    let ca = Authority::new();
    let tls = ServerTls::new(&ca.identity(&["127.0.0.1"]));
    let config = Config::default();
    let client = |host: &str| Client::new(format!("wss://{host}/")).tls(ca.trusted());
    let serve = |stream| async {
        let stream = tls.accept(stream, Duration::from_secs(10)).await.map_err(AcceptError::Io)?;
        accept(stream, &config).await
    };
    let times = give_up(client, serve).await;
    assert!(times > 3, "it took {times} polls: no step was interrupted");
}

struct Deaf;

impl Handler for Deaf {
    fn on_message(&mut self, _: &mut switchboard_ws::Context<'_>, _: MessageRef<'_>) {}
}

#[tokio::test]
async fn a_handler_s_connection_is_cut_when_its_future_is_dropped() {
    let mut server = Server::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let config = Config::default();
    let client = Client::new(format!("ws://{}/", server.local_addr().unwrap())).config(config.clone());
    let mut serving = Box::pin(client.serve(Deaf));
    let mut socket = tokio::select! {
        socket = server.accept() => socket,
        ended = &mut serving => panic!("{ended:?}"),
    };
    drop(serving);
    let end = socket.recv().await;
    // By a reset, if it had not even read the answer.
    assert!(matches!(end, Err(Error::Disconnected | Error::Io(_))), "{end:?}");
    assert_eq!(config.connections().count(), 0);
}
