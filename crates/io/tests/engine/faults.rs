//! A session by polling that goes over to a WebSocket, on transports that fail at the n-th step: what is heard, on
//! either side, is in order and whole, and in the end nothing is left of it.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use switchboard_io::engine::{Engine, EngineConfig};
use switchboard_testkit::faults::under_all_faults;
use switchboard_testkit::{Faults, Frame, frame};
use switchboard_ws::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{Heard, POLLING, WEBSOCKET, engine, post, sid};

/// What the client says; the server says it back.
const SAID: [&str; 4] = ["one", "two", "three", "four"];

/// A client's end of a connection. Everything is `None` once the server has ended it.
struct Line(DuplexStream);

impl Line {
    /// A connection whose server's side has the faults.
    fn to(engine: &Engine, faults: &Faults) -> Self {
        let (server, client) = tokio::io::duplex(4 << 10);
        let service = TowerToHyperService::new(engine.service());
        let serving = http1::Builder::new().serve_connection(TokioIo::new(faults.on(server)), service).with_upgrades();
        tokio::spawn(serving);
        Self(client)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.0.write_all(bytes.as_ref()).await.ok()
    }

    async fn ask(&mut self, path: &str) -> Option<()> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        String::from_utf8(head).ok()
    }

    /// The body of a good answer.
    async fn body(&mut self) -> Option<String> {
        let head = self.head().await?.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ")?;
        let mut body = vec![0; length.lines().next()?.parse().ok()?];
        self.0.read_exact(&mut body).await.ok()?;
        head.starts_with("http/1.1 200 ").then_some(String::from_utf8(body).ok()?)
    }

    async fn upgrade(&mut self, path: &str) -> Option<()> {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ))
        .await?;
        self.head().await?.starts_with("HTTP/1.1 101 ").then_some(())
    }

    async fn say(&mut self, text: &str) -> Option<()> {
        self.send(frame::text(text).masked().bytes()).await
    }

    /// The next text of a WebSocket; they are short here.
    async fn text(&mut self) -> Option<String> {
        let mut bytes = vec![0; 2];
        self.0.read_exact(&mut bytes).await.ok()?;
        bytes.resize(2 + usize::from(bytes[1]), 0);
        self.0.read_exact(&mut bytes[2..]).await.ok()?;
        let Frame { first: 0x81, payload, .. } = Frame::parse_all(&bytes).remove(0) else { return None };
        String::from_utf8(payload).ok()
    }
}

/// The client's side of it: as far as it goes. What comes back is added to `heard`.
async fn talk(engine: &Engine, faults: &Faults, heard: &mut Vec<String>) -> Option<()> {
    let mut polling = Line::to(engine, faults);
    polling.ask(POLLING).await?;
    let sid = sid(&polling.body().await?);
    let path = format!("{POLLING}&sid={sid}");
    polling.send(post(&path, "", "4one\u{1e}4two")).await?;
    assert_eq!(polling.body().await?, "ok");
    polling.ask(&path).await?;
    heard.extend(polling.body().await?.split('\u{1e}').map(str::to_owned));
    // A poll is open while the session moves.
    polling.ask(&path).await?;
    let mut socket = Line::to(engine, faults);
    socket.upgrade(&format!("{WEBSOCKET}&sid={sid}")).await?;
    socket.say("2probe").await?;
    assert_eq!(socket.text().await?, "3probe");
    // Where the WebSocket has died meanwhile, the poll ends with the next ping.
    (polling.body().await? == "6").then_some(())?;
    socket.say("5").await?;
    for text in &SAID[2..] {
        socket.say(&format!("4{text}")).await?;
        heard.push(socket.text().await?);
    }
    Some(())
}

async fn converse(faults: Faults) {
    let (engine, mut told) = engine(EngineConfig::default());
    let mut heard = Vec::new();
    let talked = talk(&engine, &faults, &mut heard).await;
    assert!(talked.is_some() || !faults.is_harmless(), "nobody should have noticed");
    // Sessions whose client is gone would else wait for its pong.
    engine.close().await;
    assert_eq!(engine.sessions(), 0);
    let wanted = SAID.map(|text| format!("4{text}"));
    assert!(wanted.starts_with(&heard), "{heard:?}");
    let hub = engine.hub().clone();
    drop(engine);
    let (mut opened, mut closed, mut said) = (0, 0, Vec::new());
    while let Some(news) = told.recv().await {
        match news {
            Heard::Open(_) => opened += 1,
            Heard::Message(Message::Text(text)) => said.push(text.to_string()),
            Heard::Closed(_) => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(SAID.starts_with(&said.iter().map(String::as_str).collect::<Vec<_>>()[..]), "{said:?}");
    assert!(said.len() >= heard.len(), "what came back was heard before");
    assert_eq!(hub.members(), 0);
    assert_eq!((closed, opened <= 1), (opened, true), "whoever came has left");
}

#[test]
fn an_upgrade_survives_any_fault_at_any_step() {
    // Heartbeats are waited for, and a session by polling has 30 seconds for the poll that tells of the end.
    under_all_faults(25, Duration::from_secs(120), converse);
}
