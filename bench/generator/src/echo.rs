//! Every connection sends, and what it sends comes back: as fast as it comes, or at a fixed rate.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Client;
use crate::poller::Poller;
use crate::report::Report;
use crate::script::Script;
use crate::settings::Settings;
use crate::socket::BUFFER;
use crate::window::Window;

/// With so many replies outstanding on a connection, further messages of a fixed rate are left out, and counted.
const LAG: usize = 1024;
/// How long one that rests sleeps at most.
const NAP: Duration = Duration::from_micros(50);

struct Echo {
    clients: Vec<Client>,
    /// When the messages that are on their way were sent, per connection.
    sent: Vec<VecDeque<Instant>>,
    script: Script,
    window: Window,
    missed: u64,
}

pub(crate) fn run(settings: &Settings) -> Result<Report> {
    let mut poller = Poller::new()?;
    let mut echo = Echo {
        sent: vec![VecDeque::new(); settings.connections],
        clients: Client::open(settings, 0..settings.connections, &poller)?,
        script: Script::new(settings),
        window: Window::new(settings, 1),
        missed: 0,
    };
    let mut buffer = vec![0; BUFFER];
    let mut scheduled = 0;
    if settings.rate.is_none() {
        (0..echo.clients.len()).try_for_each(|index| echo.send(index, settings.depth, echo.window.began))?;
    }
    loop {
        let now = Instant::now();
        if !echo.window.is_open(now)? {
            return echo.report(settings);
        }
        if let Some(rate) = settings.rate {
            echo.send_due(rate, &mut scheduled, now)?;
        }
        // Where others need the CPU; the next message is due soon.
        let most = if settings.rests { NAP } else { Duration::ZERO };
        for index in poller.wait(most)? {
            let replies = echo.clients[index].turn(&echo.script, &mut buffer)?;
            if replies > 0 {
                echo.answered(index, replies)?;
                if settings.rate.is_none() {
                    echo.send(index, replies, Instant::now())?;
                }
            }
        }
    }
}

impl Echo {
    fn send(&mut self, index: usize, messages: u64, at: Instant) -> Result<()> {
        let messages = self.window.take(messages);
        self.sent[index].extend((0..messages).map(|_| at));
        self.clients[index].send(&self.script, messages)
    }

    /// Sends what the rate wants by now, each connection in turn.
    fn send_due(&mut self, rate: f64, scheduled: &mut u64, now: Instant) -> Result<()> {
        let began = self.window.began;
        let due = ((now - began).as_secs_f64() * rate) as u64;
        while *scheduled < due {
            let index = *scheduled as usize % self.clients.len();
            let intended = began + Duration::from_secs_f64(*scheduled as f64 / rate);
            *scheduled += 1;
            if self.sent[index].len() < LAG {
                self.send(index, 1, intended)?;
            } else {
                self.missed += 1;
            }
        }
        Ok(())
    }

    fn answered(&mut self, index: usize, replies: u64) -> Result<()> {
        let now = Instant::now();
        for _ in 0..replies {
            let sent = self.sent[index].pop_front().ok_or("a reply to nothing")?;
            self.window.answered(sent, now);
        }
        Ok(())
    }

    fn report(&self, settings: &Settings) -> Result<Report> {
        let report = self.window.report("echo")?.with("missed", self.missed as f64);
        if !settings.deflate {
            return Ok(report);
        }
        let bytes: u64 = self.clients.iter().map(Client::wire_bytes).sum();
        let replies: u64 = self.clients.iter().map(Client::replies).sum();
        Ok(report.with("reply_bytes", bytes as f64 / replies.max(1) as f64))
    }
}
