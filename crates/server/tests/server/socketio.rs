//! A Socket.IO client as far as these tests need one: packets written by hand, over a WebSocket.

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Client, Server, hear, next, say};

/// A client in a namespace.
pub(crate) struct Io {
    pub(crate) client: Client,
    /// `/rooms/a,`, or nothing for the main one.
    namespace: &'static str,
    /// The public one, of its socket.
    pub(crate) id: String,
    acks: u32,
}

impl Io {
    /// In the main namespace.
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_to(server, "").await
    }

    /// In a namespace: `/rooms/a,`.
    pub(crate) async fn connect_to(server: &Server, namespace: &'static str) -> Self {
        let mut client = server.connect("/socket.io/?EIO=4&transport=websocket").await;
        assert!(hear(&mut client).await.starts_with("0{\"sid\":"));
        say(&mut client, format!("40{namespace}")).await;
        let welcome = hear(&mut client).await;
        assert!(welcome.starts_with(&format!("40{namespace}{{\"sid\":")), "{welcome}");
        let welcome: Value = serde_json::from_str(&welcome[2 + namespace.len()..]).expect("an object");
        let id = welcome["sid"].as_str().expect("an id").to_owned();
        Self { client, namespace, id, acks: 0 }
    }

    /// In the main namespace and in a room there.
    pub(crate) async fn join(server: &Server, room: &str) -> Self {
        let mut io = Self::connect(server).await;
        io.ask(&serde_json::json!(["join", room])).await;
        io
    }

    /// Sends an event: its name and its arguments.
    pub(crate) async fn emit(&mut self, event: &Value) {
        say(&mut self.client, format!("42{}{event}", self.namespace)).await;
    }

    /// Sends an event and gives back the first argument of its ack.
    pub(crate) async fn ask(&mut self, event: &Value) -> Value {
        self.acks += 1;
        let id = self.acks;
        say(&mut self.client, format!("42{}{id}{event}", self.namespace)).await;
        let answer = hear(&mut self.client).await;
        let args = answer.strip_prefix(&format!("43{}{id}", self.namespace)).unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str::<Value>(args).unwrap()[0].take()
    }

    /// The next event: its name and its arguments.
    pub(crate) async fn hear(&mut self) -> Value {
        let packet = hear(&mut self.client).await;
        let event = packet.strip_prefix(&format!("42{}", self.namespace)).unwrap_or_else(|| panic!("{packet}"));
        serde_json::from_str(event).unwrap()
    }

    /// The next event, which has one piece of binary data.
    pub(crate) async fn hear_binary(&mut self) -> (String, Vec<u8>) {
        let packet = hear(&mut self.client).await;
        let Message::Binary(bytes) = next(&mut self.client).await else { panic!("no binary data after {packet}") };
        (packet, bytes.to_vec())
    }
}
