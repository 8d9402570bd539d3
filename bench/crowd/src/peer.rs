//! What one peer does: it comes, joins a room, says something now and then, and leaves in one way or another.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::http::Http;
use crate::place::Place;
use crate::polling::Polling;
use crate::tally::Tally;
use crate::websocket::{self, Ear, Mouth, Said};

/// What takes so much longer than it was meant to has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A peer, whose whole life follows from its dice.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) place: Place,
    pub(crate) dice: Dice,
    pub(crate) rooms: usize,
    pub(crate) visits: usize,
    pub(crate) messages: usize,
    /// How long it waits between two steps, on average.
    pub(crate) pause: Duration,
    pub(crate) tally: Rc<Tally>,
}

/// How a peer leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// As the protocol has it.
    Close,
    /// The connection ends.
    Fin,
    /// The connection is reset.
    Reset,
    /// In the middle of a message.
    Torn,
}

impl Peer {
    pub(crate) async fn live(mut self) {
        let limit = PATIENCE + self.pause * 2 * u32::try_from(self.messages + 2).unwrap_or(u32::MAX);
        for _ in 0..self.visits {
            self.wait().await;
            let kind = self.dice.below(100);
            Tally::count(&self.tally.visits);
            match timeout(limit, self.visit(kind)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.tally.fail(|| format!("visit of kind {kind}: {error}")),
                Err(_) => self.tally.fail(|| format!("visit of kind {kind}: stuck")),
            }
        }
    }

    async fn visit(&mut self, kind: usize) -> io::Result<()> {
        match kind {
            0..30 => self.websocket().await,
            30..50 => self.socketio().await,
            50..70 => self.polling().await,
            70..94 => self.upgrade().await,
            94..97 => self.page().await,
            _ => self.vanish().await,
        }
    }

    async fn wait(&mut self) {
        sleep(self.dice.around(self.pause)).await;
    }

    fn room(&mut self) -> String {
        format!("room-{}", self.dice.below(self.rooms))
    }

    fn end(&mut self) -> End {
        [End::Close, End::Close, End::Fin, End::Reset, End::Torn][self.dice.below(5)]
    }

    /// Mostly short, now and then longer than a read.
    fn words(&mut self) -> String {
        let length = if self.dice.below(50) == 0 { 40_000 } else { 20 + self.dice.below(400) };
        "some words that are said in a room, again and again. ".repeat(length / 53 + 1)[..length].to_owned()
    }

    async fn websocket(&mut self) -> io::Result<()> {
        let offers = ["", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"];
        let path = format!("/rooms/{}", self.room());
        let (ear, mouth) = websocket::open(self.place, &path, offers[self.dice.below(2)], self.dice.clone()).await?;
        let listening = self.listen(ear);
        for _ in 0..self.messages {
            self.wait().await;
            mouth.text(&self.words()).await?;
            Tally::count(&self.tally.sent);
        }
        self.wait().await;
        self.leave(listening, mouth, "").await
    }

    async fn socketio(&mut self) -> io::Result<()> {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let (mut ear, mouth) = websocket::open(self.place, path, "", self.dice.clone()).await?;
        ear.until("0{").await?;
        mouth.text("40").await?;
        ear.until("40{").await?;
        mouth.text(&format!("420[\"join\",\"{}\"]", self.room())).await?;
        ear.until("430[").await?;
        self.chat(ear, mouth).await
    }

    /// By a WebSocket that has joined.
    async fn chat(&mut self, ear: Ear, mouth: Mouth) -> io::Result<()> {
        let listening = self.listen(ear);
        for id in 1..=self.messages {
            self.wait().await;
            mouth.text(&format!("42{id}[\"message\",\"{}\"]", self.words())).await?;
            Tally::count(&self.tally.sent);
        }
        self.wait().await;
        let goodbye = ["41", "1", ""][self.dice.below(3)];
        self.leave(listening, mouth, goodbye).await
    }

    async fn polling(&mut self) -> io::Result<()> {
        let room = self.room();
        let session = Polling::open(self.place, &room, &self.tally).await?;
        for id in 1..=self.messages {
            self.wait().await;
            session.send(&format!("42{id}[\"message\",\"{}\"]", self.words())).await?;
            Tally::count(&self.tally.sent);
        }
        self.wait().await;
        match self.end() {
            End::Close => session.close().await,
            // Its poll is cut too.
            End::Fin => Ok(()),
            end => session.tear(end == End::Reset).await,
        }
    }

    async fn upgrade(&mut self) -> io::Result<()> {
        let room = self.room();
        let mut session = Polling::open(self.place, &room, &self.tally).await?;
        let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", session.sid);
        let (mut ear, mouth) = websocket::open(self.place, &path, "", self.dice.clone()).await?;
        let lost_at = self.dice.below(12);
        if lost_at == 0 {
            return Ok(());
        }
        mouth.text("2probe").await?;
        ear.until("3probe").await?;
        session.send("429[\"message\",\"on the way\"]").await?;
        Tally::count(&self.tally.sent);
        if lost_at == 1 {
            return ear.reset();
        }
        session.pause().await?;
        if lost_at == 2 {
            return Ok(());
        }
        mouth.text("5").await?;
        Tally::count(&self.tally.upgrades);
        drop(session);
        self.chat(ear, mouth).await
    }

    async fn page(&mut self) -> io::Result<()> {
        let mut http = Http::new(self.place);
        for path in ["/", "/chat.js", "/health", "/nowhere"] {
            let answer = http.get(path).await?;
            let expected = if path == "/nowhere" { 404 } else { 200 };
            if answer.status != expected {
                return Err(io::Error::other(format!("{path}: {}", answer.status)));
            }
        }
        self.wait().await;
        Ok(())
    }

    /// Comes, and is gone before it is clear what it wanted.
    async fn vanish(&mut self) -> io::Result<()> {
        let mut http = Http::new(self.place);
        let all = "GET /rooms/lobby HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        http.begin(&all[..self.dice.below(all.len())]).await?;
        self.wait().await;
        if self.dice.below(2) == 0 { http.reset() } else { Ok(()) }
    }

    fn listen(&self, ear: Ear) -> Listening {
        Listening(tokio::task::spawn_local(listen(ear, Rc::clone(&self.tally))))
    }

    async fn leave(&mut self, mut listening: Listening, mouth: Mouth, goodbye: &str) -> io::Result<()> {
        match self.end() {
            End::Close => {
                if !goodbye.is_empty() {
                    mouth.text(goodbye).await?;
                }
                // The server may have closed by then, as it was told to.
                match mouth.close().await {
                    Err(error) if goodbye.is_empty() => return Err(error),
                    _ => {}
                }
                match (&mut listening.0).await? {
                    Ok(_) => Ok(()),
                    Err(_) if !goodbye.is_empty() => Ok(()),
                    Err(error) => Err(error),
                }
            }
            End::Fin => Ok(()),
            End::Reset => mouth.reset().await,
            End::Torn => mouth.tear().await,
        }
    }
}

/// Listens until it is dropped.
struct Listening(JoinHandle<io::Result<()>>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(mut ear: Ear, tally: Rc<Tally>) -> io::Result<()> {
    while let Said::Message(_) = ear.next().await? {
        Tally::count(&tally.heard);
    }
    Ok(())
}
