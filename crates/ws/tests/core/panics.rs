//! A panic in any of a handler's methods, on a busy server: it ends that connection, and the others do not notice. What
//! panics in a [`Gate`](switchboard_ws::Gate) is tested in `gate`.

use std::time::{Duration, Instant};

use switchboard_testkit::{Frame, frame};
use switchboard_ws::{
    CloseFrame, Config, Context, Handler, Hub, Message, MessageRef, OnMessageAsync, Outcome, ProtocolError, Sender,
};
use tokio::io::AsyncWriteExt;

use crate::peer::{Driver, Peer, eventually, on_both_drivers, serve};

on_both_drivers!(
    a_panic_in_any_method_ends_its_connection_alone,
    a_panic_in_any_part_of_an_async_handler_ends_its_connection_alone,
);

/// Where the panic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Open,
    Message,
    OwnedMessage,
    Ping,
    Pong,
    PeerClose,
    Failed,
    Drain,
    Deadline,
    OnDeadline,
    Close,
    Drop,
}

const EVERYWHERE: [At; 12] = [
    At::Open,
    At::Message,
    At::OwnedMessage,
    At::Ping,
    At::Pong,
    At::PeerClose,
    At::Failed,
    At::Drain,
    At::Deadline,
    At::OnDeadline,
    At::Close,
    At::Drop,
];

/// In a room, with echoes, until it comes to one method.
struct Fragile {
    breaks: Option<At>,
    due: Option<Instant>,
}

impl Fragile {
    fn at(&self, here: At) {
        assert_ne!(self.breaks, Some(here), "on purpose");
    }
}

impl Handler for Fragile {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("room").unwrap();
        self.due = Some(cx.now() + Duration::from_secs(1));
        cx.deadline_moved();
        self.at(At::Open);
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        self.at(At::Message);
        match message.as_text() {
            // More than the transport takes at once.
            Some("flood") => cx.send(&[0; 900_000][..]),
            _ => cx.send(message),
        };
    }

    fn on_owned_message(&mut self, cx: &mut Context<'_>, message: Message) {
        self.at(At::OwnedMessage);
        cx.send_owned(message);
    }

    fn on_ping(&mut self, _: &mut Context<'_>, _: &[u8]) {
        self.at(At::Ping);
    }

    fn on_pong(&mut self, _: &mut Context<'_>, _: &[u8], _: Option<Duration>) {
        self.at(At::Pong);
    }

    fn on_peer_close(&mut self, _: &mut Context<'_>, _: &CloseFrame) {
        self.at(At::PeerClose);
    }

    fn on_failed(&mut self, _: &mut Context<'_>, _: ProtocolError) {
        self.at(At::Failed);
    }

    fn on_drain(&mut self, _: &mut Context<'_>) {
        self.at(At::Drain);
    }

    fn deadline(&self) -> Option<Instant> {
        self.at(At::Deadline);
        self.due
    }

    fn on_deadline(&mut self, _: &mut Context<'_>) {
        self.due = None;
        self.at(At::OnDeadline);
    }

    fn on_close(&mut self, _: &Outcome) {
        self.at(At::Close);
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.at(At::Drop);
    }
}

/// What the peer says to bring it about.
fn provocation(at: At) -> Vec<Frame> {
    match at {
        At::Message => vec![frame::text("hi"), frame::text("again")],
        At::OwnedMessage => vec![frame::text("in ").fin(false), frame::continuation("pieces")],
        At::Ping => vec![frame::ping("?")],
        At::Pong => vec![frame::pong("!")],
        At::PeerClose => vec![frame::close(1000, "")],
        At::Failed => vec![frame::raw(0x83, "reserved")],
        At::Drain => vec![frame::text("flood")],
        At::Open | At::Deadline | At::OnDeadline | At::Close | At::Drop => Vec::new(),
    }
}

/// A room with two who talk all the time, whatever happens to a third.
struct Room {
    driver: Driver,
    config: Config,
    hub: Hub,
    peers: Vec<Peer>,
}

impl Room {
    async fn new(driver: Driver) -> Self {
        let hub = Hub::default();
        let config = Config::default().hub(hub.clone());
        let mut room = Self { driver, config, hub, peers: Vec::new() };
        for _ in 0..2 {
            let (_, peer) = serve(driver, &room.config, Fragile { breaks: None, due: None }).await;
            room.peers.push(peer);
        }
        room.chat("welcome").await;
        room
    }

    /// Everyone who is well is answered, and hears the room.
    async fn chat(&mut self, text: &str) {
        for peer in &mut self.peers {
            peer.says(&[frame::text(text), frame::ping(text)]).await;
        }
        for peer in &mut self.peers {
            peer.expects(frame::text(text)).await;
            peer.expects(frame::pong(text)).await;
        }
        assert!(self.hub.publish("room", "to all".into()).reached >= self.peers.len());
        for peer in &mut self.peers {
            peer.expects(frame::text("to all")).await;
        }
    }

    /// All is as if the third one had never been there, but for what is counted.
    async fn is_well(&mut self, at: &str) {
        self.chat("still here?").await;
        let open = self.peers.len();
        eventually("its end", || self.config.connections().count() <= open).await;
        let counted = self.config.get_metrics().snapshot();
        assert_eq!((self.hub.members(), self.hub.count("room")), (open, open), "at {at}");
        assert_eq!((counted.open, counted.total), (2, 3), "at {at}");
        assert_eq!(counted.closes.values().sum::<u64>(), 1, "at {at}");
        // Whoever comes after is served, in the same place on a shard.
        let (_, peer) = serve(self.driver, &self.config, Fragile { breaks: None, due: None }).await;
        self.peers.push(peer);
        self.chat("and a new one").await;
    }
}

/// Answers a Close frame, and reads to the end. Returns the code.
async fn see_off(peer: &mut Peer) -> Option<u16> {
    let mut code = None;
    while let Some(frame) = peer.hears().await {
        if frame.first == 0x88 {
            code = Some(u16::from_be_bytes([frame.payload[0], frame.payload[1]]));
            // It may have said so already, or the server may be gone.
            let _ = peer.io.write_all(&frame::close(1000, "").masked().bytes()).await;
        }
    }
    code
}

async fn a_panic_in_any_method_ends_its_connection_alone(driver: Driver) {
    for at in EVERYWHERE {
        let mut room = Room::new(driver).await;
        let (end, mut peer) = serve(driver, &room.config, Fragile { breaks: Some(at), due: None }).await;
        peer.says(&provocation(at)).await;
        let ends_by_itself = matches!(at, At::Close | At::Drop);
        if ends_by_itself {
            room.chat("before the end").await;
            peer.says(&[frame::close(1000, "")]).await;
        }
        let code = see_off(&mut peer).await;
        let wanted = match at {
            At::Close | At::Drop => 1000,
            // The peer had broken a rule before.
            At::Failed => 1002,
            _ => 1011,
        };
        assert_eq!(code, Some(wanted), "at {at:?}");
        // Who has panicked is told nothing more; who does so at the very end was told.
        assert_eq!(end.await.is_ok(), at == At::Drop, "at {at:?}");
        room.is_well(&format!("{at:?}")).await;
        let failures = room.config.get_metrics().snapshot().failures;
        assert_eq!(failures, if ends_by_itself { [].into() } else { [("panic", 1)].into() }, "at {at:?}");
    }
}

async fn a_panic_in_any_part_of_an_async_handler_ends_its_connection_alone(driver: Driver) {
    for part in ["making", "first poll", "later"] {
        let mut room = Room::new(driver).await;
        let panics = OnMessageAsync::new(move |sender: Sender, message: Message| {
            assert_ne!(message.as_text(), Some("making"), "on purpose");
            async move {
                assert_ne!(message.as_text(), Some("first poll"), "on purpose");
                sender.send("under way").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                panic!("on purpose");
            }
        });
        let (_, mut peer) = serve(driver, &room.config, panics).await;
        peer.says(&[frame::text(part)]).await;
        assert_eq!(see_off(&mut peer).await, Some(1011), "{part}");
        room.is_well(part).await;
        assert_eq!(room.config.get_metrics().snapshot().failures, [("panic", 1)].into(), "{part}");
    }
}
