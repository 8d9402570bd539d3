//! How cost grows with connections, beyond the sockets that a process may have: bytes of each, and time for a heartbeat
//! and for a broadcast. Slots, connection machines, timers and subscriptions are the server's own; sockets are not
//! there, and the clock is stopped and moved by hand. Fails when somebody was not pinged or did not hear. One number of
//! connections per process: memory that was used before would be used again.

mod memory;

use std::io;
use std::time::{Duration, Instant};

use clap::Parser;
use switchboard_hub::Hub;
use switchboard_ws::{Config, Context, Handler, MessageRef, Parcel, Prepared, Simulation};

/// The default interval of pings, and a bit.
const PING: Duration = Duration::from_millis(30_200);
/// The default time for a pong, and a bit: the shard looks whether it has come.
const PONG: Duration = Duration::from_millis(20_200);
const TOPIC: &str = "all";

#[derive(Parser)]
#[command(
    about = "Connections without sockets: bytes of each, and ns for heartbeats and broadcasts, as a line of JSON"
)]
struct Arguments {
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// All of one topic, to which something is published.
    #[arg(long)]
    subscribed: bool,
    /// The median of so many heartbeats and broadcasts is reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Of an echo server.
struct Echo;

impl Handler for Echo {
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.send(message);
    }
}

/// Has subscribed to a topic.
struct Subscriber;

impl Handler for Subscriber {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe(TOPIC).expect("a short name");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.publish_to_all(TOPIC, message);
    }
}

struct Run {
    simulation: Simulation,
    config: Config,
    connections: usize,
    /// What was allocated and resident before.
    before: [usize; 2],
}

/// All times in ns per connection.
#[derive(Default)]
struct Heartbeat {
    /// Pings fall due and are written.
    ping: f64,
    /// Pongs are read.
    pong: f64,
    /// The time for pongs is over, and they have come.
    look: f64,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> io::Result<()> {
    let Arguments { connections, subscribed, rounds } = Arguments::parse();
    let mut run = if subscribed {
        Run::start(connections, || Box::new(Subscriber))?
    } else {
        Run::start(connections, || Box::new(Echo))?
    };
    let [allocated, resident] = run.bytes();
    let Heartbeat { ping, pong, look } = run.heartbeats(rounds).await;
    let [_, rested] = run.bytes();
    print!("{{\"kind\":\"simulated\",\"count\":{connections},\"subscribed\":{subscribed}");
    print!(",\"bytes_allocated\":{allocated:.1},\"bytes_resident\":{resident:.1},\"bytes_rested\":{rested:.1}");
    print!(",\"ping_ns\":{ping:.1},\"pong_ns\":{pong:.1},\"look_ns\":{look:.1}");
    if subscribed {
        print!(",\"publish_ns\":{:.1},\"publish16_ns\":{:.1}", run.broadcasts(rounds, 1), run.broadcasts(rounds, 16));
    }
    println!("}}");
    Ok(())
}

impl Run {
    fn start(connections: usize, handler: fn() -> Box<dyn Handler>) -> io::Result<Self> {
        let config = Config::default().hub(Hub::default()).keep_request(false);
        // What a shard has for itself is not counted, and what was counted before is given back.
        drop(Simulation::new(&config, 1, handler)?);
        let before = [memory::allocated(), memory::resident()];
        let simulation = Simulation::new(&config, connections, handler)?;
        Ok(Self { simulation, config, connections, before })
    }

    /// Bytes of each connection: allocated, and resident.
    fn bytes(&self) -> [f64; 2] {
        let now = [memory::allocated(), memory::resident()];
        [0, 1].map(|which| (now[which] as f64 - self.before[which] as f64) / self.connections as f64)
    }

    async fn heartbeats(&mut self, rounds: usize) -> Heartbeat {
        let mut beats = Vec::new();
        for _ in 0..rounds {
            let (read, written) = self.traffic();
            tokio::time::advance(PING).await;
            let ping = self.turn();
            self.simulation.answer();
            let pong = self.turn();
            tokio::time::advance(PONG).await;
            let look = self.turn();
            let (read, written) = (self.traffic().0 - read, self.traffic().1 - written);
            assert_eq!(written, 10 * self.connections as u64, "everyone is pinged");
            assert_eq!(read, 14 * self.connections as u64, "everyone answers");
            assert_eq!(self.config.connections().count(), self.connections, "nobody is given up");
            beats.push(Heartbeat { ping, pong, look });
        }
        Heartbeat {
            ping: median(beats.iter().map(|beat| beat.ping)),
            pong: median(beats.iter().map(|beat| beat.pong)),
            look: median(beats.iter().map(|beat| beat.look)),
        }
    }

    /// Ns per message and connection, of so many messages published at once.
    fn broadcasts(&mut self, rounds: usize, burst: usize) -> f64 {
        let hub = self.config.get_hub().expect("it was given one").clone();
        let text = "x".repeat(128);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let before = self.config.get_metrics().snapshot().messages_out;
            let began = Instant::now();
            for _ in 0..burst {
                hub.publish(TOPIC, Parcel::from(Prepared::text(&text)));
            }
            self.simulation.turn();
            let each = began.elapsed().as_nanos() as f64 / (self.connections * burst) as f64;
            let heard = self.config.get_metrics().snapshot().messages_out - before;
            assert_eq!(heard, (self.connections * burst) as u64, "everyone hears all");
            times.push(each);
        }
        median(times)
    }

    /// Ns per connection.
    fn turn(&mut self) -> f64 {
        let began = Instant::now();
        self.simulation.turn();
        began.elapsed().as_nanos() as f64 / self.connections as f64
    }

    /// Bytes read and written so far.
    fn traffic(&self) -> (u64, u64) {
        let snapshot = self.config.get_metrics().snapshot();
        (snapshot.bytes_in, snapshot.bytes_out)
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
