//! When a handler is told that its connection is open: before its client can know.

use std::io::{ErrorKind, Read};
use std::sync::{Arc, Mutex};

use switchboard_testkit::frame;
use switchboard_ws::{Config, Context, Handler, Hub, MessageRef, Server};
use tokio::net::TcpStream;

use crate::peer::{Driver, Peer, REQUEST, on_both_drivers};

on_both_drivers!(whoever_is_told_of_its_connection_is_subscribed);

/// The client's end of a connection, not blocking, and what came of reading from it.
type Looking = Arc<Mutex<(Option<std::net::TcpStream>, Vec<Result<usize, ErrorKind>>)>>;

/// Joins the room, greets, and then looks what its client knows.
struct Member(Looking);

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("room").unwrap();
        cx.send("hello");
        let (client, found) = &mut *self.0.lock().unwrap();
        found.push(client.as_mut().unwrap().read(&mut [0]).map_err(|error| error.kind()));
    }

    fn on_message(&mut self, _: &mut Context<'_>, _: MessageRef<'_>) {}
}

async fn whoever_is_told_of_its_connection_is_subscribed(driver: Driver) {
    let (hub, looking) = (Hub::default(), Looking::default());
    let config = Config::default().hub(hub.clone());
    let config = if driver == Driver::Task { config.task_per_connection() } else { config };
    let server = Server::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let address = server.local_addr().unwrap();
    let looks = Arc::clone(&looking);
    tokio::spawn(server.serve(move |_| Member(Arc::clone(&looks))));
    let mut room = Vec::new();
    for newcomer in 1..=20 {
        let client = TcpStream::connect(address).await.unwrap().into_std().unwrap();
        looking.lock().unwrap().0 = Some(client.try_clone().unwrap());
        let mut peer = Peer::over(Box::new(TcpStream::from_std(client).unwrap()));
        peer.sends(REQUEST).await;
        peer.is_let_in().await;
        assert_eq!(hub.publish("room", "now".into()).reached, newcomer);
        room.push(peer);
        let heard = looking.lock().unwrap().1.pop();
        assert_eq!(heard, Some(Err(ErrorKind::WouldBlock)), "nothing was sent while the handler was asked");
    }
    for (place, peer) in room.iter_mut().enumerate() {
        peer.expects(frame::text("hello")).await;
        for _ in place..20 {
            peer.expects(frame::text("now")).await;
        }
    }
    // Bytes of the handshake are not those of messages.
    let sent = 20 * b"..hello".len() + (1..=20).sum::<usize>() * b"..now".len();
    while config.get_metrics().snapshot().bytes_out < sent as u64 {
        tokio::task::yield_now().await;
    }
    assert_eq!(config.get_metrics().snapshot().bytes_out, sent as u64);
}
