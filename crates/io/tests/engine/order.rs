//! The order of what one thread sends and publishes, and of the calls of a conversation.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use switchboard_io::engine::{App, CloseReason, Conversation, Engine, EngineConfig, ParcelOptions, Session, parcel};
use switchboard_testkit::{Wire, frame, within};
use switchboard_ws::{Hub, Message, MessageRef};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{Client, POLLING, WEBSOCKET, text};

/// Answers each message by what the test wants to see in order.
struct Speaker {
    told: UnboundedSender<String>,
    due: Mutex<Option<Instant>>,
}

impl App<Session> for Speaker {
    fn open(&self, session: &Session) -> Box<dyn Conversation<Session>> {
        session.member().subscribe("room").expect("a topic");
        session.send_text("4welcome");
        Box::new(Self { told: self.told.clone(), due: Mutex::new(None) })
    }
}

fn words(text: &str) -> switchboard_ws::Parcel {
    parcel([Message::from(text)], ParcelOptions::default())
}

impl Conversation<Session> for Speaker {
    fn message(&mut self, session: &Session, message: MessageRef<'_>) {
        match message.as_text().expect("text") {
            "speak" => {
                session.send_text("4one");
                session.send(words("4two"));
                session.member().hub().publish("room", words("4three"));
                session.send_text("4four");
                session.send(words("4five"));
            }
            "leave" => {
                session.send_text("4bye");
                session.close(CloseReason::ForcedClose);
                session.send_text("4never");
            }
            "job" => {
                let told = self.told.clone();
                session.run(move |_| told.send("job".into()).expect("heard"));
                self.told.send("after job".into()).expect("heard");
            }
            "wait" => *self.due.lock().expect("a lock") = Some(Instant::now() + Duration::from_millis(10)),
            other => panic!("{other}"),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        *self.due.lock().expect("a lock")
    }

    fn on_deadline(&mut self, session: &Session, _: Instant) {
        *self.due.lock().expect("a lock") = None;
        session.send_text("4due");
    }

    fn closed(&mut self, _: &Session, reason: CloseReason) {
        // A test that does not ask for it is over.
        let _ = self.told.send(reason.to_string());
    }
}

async fn serve() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (told, heard) = unbounded_channel();
    let app = Speaker { told, due: Mutex::new(None) };
    let engine = Engine::new(EngineConfig::default(), Arc::new(app), Hub::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(engine.service());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades());
        }
    });
    (address, heard)
}

#[tokio::test]
async fn sends_and_publishes_of_one_call_keep_their_order() {
    let (address, _heard) = serve().await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    assert!(text(&mut wire).await.starts_with("0{"));
    assert_eq!(text(&mut wire).await, "4welcome");
    for _ in 0..3 {
        wire.send([frame::text("4speak").masked().bytes(), frame::text("4speak").masked().bytes()].concat()).await;
        for _ in 0..2 {
            for word in ["4one", "4two", "4three", "4four", "4five"] {
                assert_eq!(text(&mut wire).await, word);
            }
        }
    }
    let mut client = Client::open(address, POLLING).await;
    assert_eq!(client.poll().await.body, "4welcome");
    client.post("4speak").await;
    assert_eq!(client.poll().await.body, "4one\u{1e}4two\u{1e}4three\u{1e}4four\u{1e}4five");
}

#[tokio::test]
async fn a_close_comes_after_what_was_sent_and_before_what_was_not() {
    let (address, mut heard) = serve().await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    text(&mut wire).await;
    assert_eq!(text(&mut wire).await, "4welcome");
    wire.say(&frame::text("4leave").masked()).await;
    assert_eq!(text(&mut wire).await, "4bye");
    assert_eq!(wire.frame().await, frame::empty_close());
    assert_eq!(heard.recv().await.as_deref(), Some("forced close"));
}

#[tokio::test]
async fn a_job_waits_for_the_call_that_runs() {
    let (address, mut heard) = serve().await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    wire.say(&frame::text("4job").masked()).await;
    assert_eq!(within("a word", heard.recv()).await.as_deref(), Some("after job"));
    assert_eq!(within("a word", heard.recv()).await.as_deref(), Some("job"));
}

#[tokio::test]
async fn a_conversation_is_called_when_it_wants() {
    let (address, _heard) = serve().await;
    let mut wire = Wire::open(address, WEBSOCKET).await;
    text(&mut wire).await;
    assert_eq!(text(&mut wire).await, "4welcome");
    wire.say(&frame::text("4wait").masked()).await;
    assert_eq!(text(&mut wire).await, "4due");
    let mut client = Client::open(address, POLLING).await;
    assert_eq!(client.poll().await.body, "4welcome");
    client.post("4wait").await;
    assert_eq!(client.poll().await.body, "4due");
}

#[tokio::test]
async fn a_websocket_is_not_read_from_while_it_is_paused() {
    let mut host = crate::support::Host::new(EngineConfig::default()).await;
    let (mut wire, session) = host.websocket().await;
    session.pause();
    wire.say(&frame::text("4read with the pause").masked()).await;
    assert_eq!(text(&mut wire).await, "4read with the pause");
    wire.say(&frame::text("4read after it").masked()).await;
    // Written by the same shard after it could have read that.
    session.send_text("4written");
    assert_eq!(text(&mut wire).await, "4written");
    session.resume();
    assert_eq!(text(&mut wire).await, "4read after it");
    wire.say(&frame::text("4and on").masked()).await;
    assert_eq!(text(&mut wire).await, "4and on");
}
