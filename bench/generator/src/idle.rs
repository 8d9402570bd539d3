//! Connections that only are: what each costs the server in memory, as opened, after something was said, and after a
//! rest in which pings are answered.

use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Client;
use crate::poller::Poller;
use crate::process;
use crate::report::Report;
use crate::script::Script;
use crate::settings::Settings;
use crate::socket::BUFFER;

/// So many connections are not counted. They are opened, and say something, before the others: what a server needs
/// however many it serves, such as its buffers, is there by then. A run with few leaves out fewer.
const UNCOUNTED: usize = 100;
/// Replies that are waited for at the same time.
const AT_ONCE: usize = 256;
const PATIENCE: Duration = Duration::from_secs(60);

struct Idle<'a> {
    settings: &'a Settings,
    clients: Vec<Client>,
    poller: Poller,
    script: Script,
    buffer: Vec<u8>,
}

/// What was there before the connections that are counted.
struct Before {
    own_kib: u64,
    kernel_kib: u64,
    counted: f64,
}

pub(crate) fn run(settings: &Settings) -> Result<Report> {
    let pid = settings.pid;
    let mut idle = Idle::new(settings)?;
    let uncounted = UNCOUNTED.min(settings.connections / 5);
    idle.open(uncounted)?;
    idle.say_something()?;
    idle.rest(settings.warm())?;
    let before = Before {
        own_kib: process::own_kib(pid),
        kernel_kib: process::kernel_kib(),
        counted: (settings.connections - uncounted) as f64,
    };
    let own = || before.each(process::own_kib(pid), before.own_kib);

    let cpu = process::cpu_ns(pid);
    idle.open(settings.connections)?;
    let opening_ns = (process::cpu_ns(pid) - cpu) as f64;
    idle.rest(settings.warm())?;
    let opened = own();
    let kernel = before.each(process::kernel_kib(), before.kernel_kib);

    idle.say_something()?;
    idle.rest(settings.warm())?;
    let spoken = own();

    let cpu = process::cpu_ns(pid);
    idle.rest(settings.measured())?;
    let idle_ns = (process::cpu_ns(pid) - cpu) as f64;
    let rested = own();
    let pinged = idle.pinged()?;
    // Whom the server has given up meanwhile, because a pong did not count with it, does not answer.
    idle.say_something()?;
    Ok(Report::new("idle")
        .with("count", settings.connections as f64)
        .with("base_kib", before.own_kib as f64)
        .with("bytes_opened", opened)
        .with("bytes_spoken", spoken)
        .with("bytes_rested", rested)
        .with("pinged", pinged)
        // Both ends' sockets, and whatever else the machine did meanwhile.
        .with("kernel_bytes", kernel)
        .with("handshake_us", opening_ns / before.counted / 1000.0)
        .with("idle_cpu_percent", idle_ns / settings.measured().as_nanos() as f64 * 100.0))
}

impl Before {
    /// Bytes for each connection that is counted.
    fn each(&self, kib: u64, before: u64) -> f64 {
        (kib as f64 - before as f64) * 1024.0 / self.counted
    }
}

impl<'a> Idle<'a> {
    fn new(settings: &'a Settings) -> Result<Self> {
        let (poller, script) = (Poller::new()?, Script::new(settings));
        Ok(Self { settings, clients: Vec::new(), poller, script, buffer: vec![0; BUFFER] })
    }

    /// Opens connections until there are so many.
    fn open(&mut self, count: usize) -> Result<()> {
        self.clients.extend(Client::open(self.settings, self.clients.len()..count, &self.poller)?);
        Ok(())
    }

    /// Says nothing for that long, and answers pings. Does not sleep meanwhile: who sends to a sleeper pays for waking
    /// it.
    fn rest(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.turn()? > 0 {
                return Err("a message that nobody asked for".into());
            }
        }
        Ok(())
    }

    /// Every connection hears something: from itself, or all the same from the first. Not where it would hear it from
    /// some of the others.
    fn say_something(&mut self) -> Result<()> {
        if self.settings.topics.is_some() {
            return Ok(());
        }
        let (senders, each_heard_by) = match self.settings.everyone {
            true => (1, self.clients.len()),
            false => (self.clients.len(), 1),
        };
        let until = Instant::now() + PATIENCE;
        let (mut sent, mut heard) = (0, 0);
        while heard < self.clients.len() {
            while sent < senders && sent * each_heard_by < heard + AT_ONCE {
                self.clients[sent].send(&self.script, 1)?;
                sent += 1;
            }
            heard += self.turn()?;
            if Instant::now() > until {
                return Err(format!("{heard} of {} messages came in {PATIENCE:?}", self.clients.len()).into());
            }
        }
        Ok(())
    }

    /// How many of the connections were pinged, of 1.
    fn pinged(&self) -> Result<f64> {
        let pinged = self.clients.iter().filter(|client| client.pings() > 0).count();
        if self.settings.pinged && pinged < self.clients.len() {
            return Err(format!("{pinged} of {} connections were pinged", self.clients.len()).into());
        }
        Ok(pinged as f64 / self.clients.len() as f64)
    }

    fn turn(&mut self) -> Result<usize> {
        let mut replies = 0;
        for index in self.poller.poll()? {
            replies += self.clients[index].turn(&self.script, &mut self.buffer)?;
        }
        Ok(replies as usize)
    }
}
