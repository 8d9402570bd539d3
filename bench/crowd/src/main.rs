//! Waves of peers that connect, chat and leave at random. After each wave the server must hold what it held before:
//! descriptors, tasks, threads, connections, sessions and rooms to the last one, and memory within what is said on the
//! command line.

mod dice;
mod http;
mod peer;
mod place;
mod polling;
mod server;
mod tally;
mod websocket;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::peer::Peer;
use crate::place::Place;
use crate::server::{Reading, Server};
use crate::tally::Tally;

/// So many peers come before the server's state is taken to be that of rest.
const FIRST: usize = 50;

#[derive(Debug, Clone, Parser)]
#[command(about = "Peers that come, chat and leave at random; afterwards the server must be as it was before")]
struct Settings {
    /// The binary `switchboard`.
    #[arg(long)]
    server: PathBuf,
    #[arg(long, default_value_t = 5000)]
    peers: usize,
    #[arg(long, default_value_t = 5, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    waves: usize,
    /// Of each peer in a wave.
    #[arg(long, default_value_t = 3)]
    visits: usize,
    /// That a peer says in a visit.
    #[arg(long, default_value_t = 4)]
    messages: usize,
    /// About so long a wave lasts, where the machine keeps up.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Peers to a room, if all were there at once.
    #[arg(long, default_value_t = 10)]
    room: usize,
    /// The same number makes the same peers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long clients of Socket.IO may take to answer a ping, in seconds: so long those last who have vanished.
    #[arg(long, default_value_t = 15)]
    ping_timeout: u32,
    /// Memory of its own that the server may hold more after a wave than before, in KiB.
    #[arg(long, default_value_t = 16384)]
    slack: u64,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, soak(&settings))) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| println!("FAILED: {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is not as it must be.
async fn soak(settings: &Settings) -> io::Result<Vec<String>> {
    let server = Server::start(&settings.server, settings.ping_timeout).await?;
    let (tally, mut faults) = (Rc::new(Tally::default()), Vec::new());
    let Settings { peers, waves, visits, messages, seed, .. } = settings;
    // The first peers bring about what is made once: a task for deadlines, for instance.
    one_wave(&Settings { peers: FIRST, seconds: 2.0, ..settings.clone() }, 0, &server, &tally).await?;
    let before = server.rest().await?;
    println!("{waves} waves of {peers} peers, {visits} visits with {messages} messages each; seed {seed}");
    println!(
        "                    connections  sessions  descriptors   tasks  own memory KiB  resident KiB  settled in"
    );
    row("before", &before, "");
    for wave in 1..=*waves {
        let peak = one_wave(settings, wave, &server, &tally).await?;
        row(&format!("wave {wave}, most"), &peak, "");
        let (after, took) = server.settle(&before, settings.slack).await?;
        row(&format!("wave {wave}, after"), &after, &format!("{:.1} s", took.as_secs_f64()));
        if !after.is_back_at(&before, settings.slack) {
            faults.push(format!("after wave {wave} the server is not as before: {after:?}; before: {before:?}"));
        }
    }
    let status = server.stop().await?;
    if !status.success() {
        faults.push(format!("the server ended with {status}"));
    }
    let Tally { visits, sent, heard, upgrades, failures, why } = &*tally;
    println!(
        "{} visits, {} messages sent, {} heard, {} upgrades, {} visits that failed",
        visits.get(),
        sent.get(),
        heard.get(),
        upgrades.get(),
        failures.get()
    );
    if heard.get() == 0 || upgrades.get() == 0 {
        faults.push("nobody was heard, or nobody went over to a WebSocket: this proves nothing".to_owned());
    }
    if failures.get() > 0 {
        faults.push(format!("visits failed: {}", why.borrow().join("; ")));
    }
    Ok(faults)
}

/// The most that the server held meanwhile.
async fn one_wave(settings: &Settings, wave: usize, server: &Server, tally: &Rc<Tally>) -> io::Result<Reading> {
    let steps = settings.visits * (settings.messages + 2);
    let pause = Duration::from_secs_f64(settings.seconds / steps as f64);
    let mut peers = JoinSet::new();
    for number in 0..settings.peers {
        let seed = settings.seed.wrapping_mul(1 << 40).wrapping_add((wave * settings.peers + number) as u64);
        let peer = Peer {
            place: Place::new(server.address, 1 + number),
            dice: Dice::new(seed),
            rooms: settings.peers.div_ceil(settings.room),
            visits: settings.visits,
            messages: settings.messages,
            pause,
            tally: Rc::clone(tally),
        };
        peers.spawn_local(peer.live());
    }
    let (mut peak, mut looked) = (Reading::default(), Instant::now());
    while !peers.is_empty() {
        tokio::select! {
            gone = peers.join_next() => gone.transpose().map(drop)?,
            () = sleep(Duration::from_millis(500).saturating_sub(looked.elapsed())) => {
                peak.peak(&server.read().await?);
                looked = Instant::now();
            }
        }
    }
    Ok(peak)
}

fn row(name: &str, reading: &Reading, settled: &str) {
    println!(
        "{name:<18} {:>12}  {:>8}  {:>11}  {:>6}  {:>14}  {:>12}  {settled:>10}",
        reading.gauge("connections_open"),
        reading.gauge("socketio_sessions_open"),
        reading.descriptors,
        reading.gauge("tasks"),
        reading.anonymous,
        reading.resident,
    );
}
