//! Connections that only are: what each costs the server in memory, as opened and after it said one thing.

use std::time::{Duration, Instant};

use crate::Result;
use crate::client::{BUFFER, Client};
use crate::connect::connect;
use crate::poller::Poller;
use crate::process;
use crate::report::Report;
use crate::script::Script;
use crate::settings::Settings;

/// Replies that are waited for at the same time.
const AT_ONCE: usize = 256;
const PATIENCE: Duration = Duration::from_secs(60);

struct Idle {
    clients: Vec<Client>,
    poller: Poller,
    script: Script,
    buffer: Vec<u8>,
}

pub(crate) fn run(settings: &Settings) -> Result<Report> {
    let pid = settings.pid;
    let (resident, slab, cpu) = (process::resident_kib(pid), process::slab_kib(), process::cpu_ns(pid));
    let streams = connect(settings)?;
    let opening = process::cpu_ns(pid) - cpu;
    let poller = Poller::new()?;
    let clients = Client::all(streams, settings, &poller)?;
    let mut idle = Idle { clients, poller, script: Script::new(settings), buffer: vec![0; BUFFER] };
    let per_connection = |kib: u64, before: u64| (kib as f64 - before as f64) * 1024.0 / settings.connections as f64;

    idle.rest(settings.warm())?;
    let opened = per_connection(process::resident_kib(pid), resident);
    let kernel = per_connection(process::slab_kib(), slab);
    if settings.topics.is_none() {
        idle.echo_once()?;
        idle.rest(settings.warm())?;
    }
    let spoken = per_connection(process::resident_kib(pid), resident);
    let cpu = process::cpu_ns(pid);
    idle.rest(settings.measured())?;
    let idle_ns = (process::cpu_ns(pid) - cpu) as f64;
    Ok(Report::new("idle")
        .with("count", settings.connections as f64)
        .with("base_kib", resident as f64)
        .with("bytes_opened", opened)
        .with("bytes_spoken", spoken)
        // Both ends' sockets, and whatever else the machine did meanwhile.
        .with("kernel_bytes", kernel)
        .with("handshake_us", opening as f64 / settings.connections as f64 / 1000.0)
        .with("idle_cpu_percent", idle_ns / settings.measured().as_nanos() as f64 * 100.0))
}

impl Idle {
    /// Says nothing for that long, and answers pings.
    fn rest(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.turn()? > 0 {
                return Err("a message that nobody asked for".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn echo_once(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let (mut sent, mut answered) = (0, 0);
        while answered < self.clients.len() {
            while sent < self.clients.len() && sent - answered < AT_ONCE {
                self.clients[sent].send(&self.script, 1)?;
                sent += 1;
            }
            answered += self.turn()?;
            if Instant::now() > until {
                return Err(format!("{answered} of {sent} messages came back in {PATIENCE:?}").into());
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<usize> {
        let mut replies = 0;
        for index in self.poller.poll()? {
            replies += self.clients[index].turn(&self.script, &mut self.buffer)?;
        }
        Ok(replies as usize)
    }
}
