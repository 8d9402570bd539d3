//! The server under test: a process of its own, and what it holds, by its own account and by the kernel's.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::http::Http;
use crate::place::Place;

/// Flags that let an hour's worth of heartbeats and deadlines happen in minutes.
const FLAGS: [&str; 8] = [
    "--listen=127.0.0.1:0",
    "--workers=2",
    "--max-connections=20000",
    "--compression=on",
    "--ping-interval=2s",
    "--socketio-ping-interval=2s",
    "--give-back-memory=1s",
    "--log=warn",
];
/// How long the server may take to be as it was: longer than any of its deadlines.
const SETTLING: Duration = Duration::from_secs(90);
/// What must come back to where it was, by the names in `/metrics`.
const GAUGES: [&str; 6] =
    ["connections_open", "room_members", "rooms", "socketio_sessions_open", "socketio_sockets", "tasks"];

pub(crate) struct Server {
    child: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
}

/// What the server holds at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) gauges: BTreeMap<&'static str, u64>,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// Memory of its own (heap and stacks), and all that is resident, in KiB.
    pub(crate) anonymous: u64,
    pub(crate) resident: u64,
    /// Handlers that panicked.
    pub(crate) panics: u64,
}

impl Server {
    pub(crate) async fn start(binary: &Path, ping_timeout: u32) -> io::Result<Self> {
        let more = format!("--socketio-ping-timeout={ping_timeout}s");
        let mut child =
            Command::new(binary).args(FLAGS).arg(more).env_clear().stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or(ErrorKind::NotFound)?;
        let mut lines = child.stdout.take().map(|out| BufReader::new(out).lines()).ok_or(ErrorKind::BrokenPipe)?;
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("http://") {
                let address = rest.trim_end_matches('/').parse().map_err(io::Error::other)?;
                return Ok(Self { child, pid, address });
            }
        }
        Err(io::Error::other("the server did not say where it listens"))
    }

    /// What it holds now.
    pub(crate) async fn read(&self) -> io::Result<Reading> {
        let text = Http::new(Place::new(self.address, 0)).get("/metrics").await?.body;
        let value = |name: &str| -> Option<u64> {
            text.lines()
                .find_map(|line| line.strip_prefix("switchboard_")?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        let gauges = GAUGES.iter().map(|name| value(name).map(|value| (*name, value))).collect::<Option<_>>();
        let gauges = gauges.ok_or_else(|| io::Error::other("a gauge is missing in /metrics"))?;
        let panics = value("socketio_panics_total").unwrap_or_default();
        let process = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid));
        let (memory, status) = (process("smaps_rollup")?, process("status")?);
        Ok(Reading {
            gauges,
            descriptors: fs::read_dir(format!("/proc/{}/fd", self.pid))?.count(),
            threads: field(&status, "Threads:"),
            anonymous: field(&memory, "Anonymous:"),
            resident: field(&memory, "Rss:"),
            panics,
        })
    }

    /// Waits until nobody is there and nothing moves: the state to come back to.
    pub(crate) async fn rest(&self) -> io::Result<Reading> {
        let begun = Instant::now();
        let mut last = self.read().await?;
        loop {
            sleep(Duration::from_secs(1)).await;
            let now = self.read().await?;
            let is_alone = now.gauges.iter().all(|(name, value)| *name == "tasks" || *value == 0);
            if is_alone && now.is_back_at(&last, 0) {
                return Ok(now);
            }
            if begun.elapsed() > SETTLING {
                return Err(io::Error::other(format!("the first peers left something behind: {now:?}")));
            }
            last = now;
        }
    }

    /// Waits until all that can be counted is as it was. If that takes too long, the reading is of what is left.
    pub(crate) async fn settle(&self, before: &Reading, slack: u64) -> io::Result<(Reading, Duration)> {
        let begun = Instant::now();
        loop {
            let now = self.read().await?;
            if now.is_back_at(before, slack) || begun.elapsed() > SETTLING {
                return Ok((now, begun.elapsed()));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Has it stop, which it must do by itself and without a fault.
    pub(crate) async fn stop(mut self) -> io::Result<ExitStatus> {
        Command::new("sh").args(["-c", &format!("kill {}", self.pid)]).status().await?;
        self.child.wait().await
    }
}

impl Reading {
    /// All that can be counted, and memory but for so many KiB: pieces of the heap stay, wherever something of little
    /// size that is made once lies between things that were freed.
    pub(crate) fn is_back_at(&self, before: &Self, slack: u64) -> bool {
        let counted = |reading: &Self| (reading.gauges.clone(), reading.descriptors, reading.threads, reading.panics);
        counted(self) == counted(before) && self.anonymous <= before.anonymous + slack
    }

    /// The larger of each.
    pub(crate) fn peak(&mut self, other: &Self) {
        for (name, value) in &other.gauges {
            let own = self.gauges.entry(name).or_default();
            *own = (*own).max(*value);
        }
        self.descriptors = self.descriptors.max(other.descriptors);
        self.anonymous = self.anonymous.max(other.anonymous);
        self.resident = self.resident.max(other.resident);
    }

    pub(crate) fn gauge(&self, name: &str) -> u64 {
        self.gauges.get(name).copied().unwrap_or_default()
    }
}

/// A number from a file of /proc.
fn field(text: &str, name: &str) -> u64 {
    let words = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    words.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}
