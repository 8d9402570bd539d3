//! A Socket.IO session by polling: one connection asks, another sends.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::http::{Answer, Http, post};
use crate::place::Place;
use crate::tally::Tally;

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

/// A session that has joined a room. What it hears is counted while it lasts.
#[derive(Debug)]
pub(crate) struct Polling {
    path: String,
    pub(crate) sid: String,
    /// One POST at a time: more are against the protocol.
    posts: Rc<Mutex<Http>>,
    paused: Rc<Cell<bool>>,
    polls: JoinHandle<io::Result<()>>,
}

impl Polling {
    pub(crate) async fn open(place: Place, room: &str, tally: &Rc<Tally>) -> io::Result<Self> {
        let (mut polls, mut posts) = (Http::new(place), Http::new(place));
        let opened = fine(polls.get(POLL).await?)?;
        let sid = opened.split('"').nth(3).ok_or_else(|| wrong(&opened))?.to_owned();
        let path = format!("{POLL}&sid={sid}");
        for (packet, answer) in [("40".to_owned(), "40{"), (format!("420[\"join\",\"{room}\"]"), "430[")] {
            fine(posts.post(&path, &packet).await?)?;
            while !hear(&mut polls, &path, &mut posts, tally).await?.iter().any(|packet| packet.starts_with(answer)) {}
        }
        let (posts, paused) = (Rc::new(Mutex::new(posts)), Rc::new(Cell::new(false)));
        let polls = tokio::task::spawn_local(listen(
            polls,
            path.clone(),
            Rc::clone(&posts),
            Rc::clone(&paused),
            Rc::clone(tally),
        ));
        Ok(Self { path, sid, posts, paused, polls })
    }

    pub(crate) async fn send(&self, packet: &str) -> io::Result<()> {
        fine(self.posts.lock().await.post(&self.path, packet).await?).map(drop)
    }

    /// Waits for the poll that is under way, which is the last one.
    pub(crate) async fn pause(&mut self) -> io::Result<()> {
        self.paused.set(true);
        (&mut self.polls).await?
    }

    /// Says goodbye, and hears it.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.paused.set(true);
        self.send("1").await?;
        // The session is gone, or going: the last poll may be told so.
        let _ = (&mut self.polls).await?;
        Ok(())
    }

    /// Begins to send, and is gone: with a FIN or with a reset.
    pub(crate) async fn tear(self, reset: bool) -> io::Result<()> {
        let mut posts = self.posts.lock().await;
        posts.begin(&post(&self.path, 1000, "42[\"half")).await?;
        if reset { posts.reset() } else { Ok(()) }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.polls.abort();
    }
}

/// Asks again and again.
async fn listen(
    mut polls: Http,
    path: String,
    posts: Rc<Mutex<Http>>,
    paused: Rc<Cell<bool>>,
    tally: Rc<Tally>,
) -> io::Result<()> {
    while !paused.get() {
        let packets = fine(polls.get(&path).await?)?;
        for packet in packets.split('\x1e') {
            match packet.as_bytes() {
                b"1" => return Ok(()),
                b"2" => fine(posts.lock().await.post(&path, "3").await?).map(drop)?,
                [b'4', ..] => Tally::count(&tally.heard),
                _ => {}
            }
        }
    }
    Ok(())
}

/// One poll. Pings are answered.
async fn hear(polls: &mut Http, path: &str, posts: &mut Http, tally: &Tally) -> io::Result<Vec<String>> {
    let body = fine(polls.get(path).await?)?;
    let packets: Vec<String> = body.split('\x1e').map(str::to_owned).collect();
    for packet in &packets {
        Tally::count(&tally.heard);
        if packet == "2" {
            fine(posts.post(path, "3").await?)?;
        }
    }
    Ok(packets)
}

fn fine(answer: Answer) -> io::Result<String> {
    if answer.status == 200 { Ok(answer.body) } else { Err(wrong(&format!("{} {}", answer.status, answer.body))) }
}

fn wrong(answer: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("polling: {answer}"))
}
