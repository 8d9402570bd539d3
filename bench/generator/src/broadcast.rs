//! One connection of each topic sends, and everyone in the topic hears it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Result;
use crate::connect::connect;
use crate::poller::Poller;
use crate::report::Report;
use crate::script::Script;
use crate::settings::Settings;
use crate::settle::settle;
use crate::socket::{BUFFER, Socket};
use crate::window::Window;

/// Messages of a fixed rate that are sent at once when they are late.
const CATCH_UP: u64 = 64;

/// What was published to a topic and has not reached all.
#[derive(Debug, Default)]
struct Topic {
    /// The number of messages that have.
    done: u64,
    /// When each was published, and how many are still to hear it.
    outstanding: VecDeque<(Instant, usize)>,
}

struct Broadcast {
    sockets: Vec<Socket>,
    topics: Vec<Topic>,
    subscribers: usize,
    script: Script,
    window: Window,
}

pub(crate) fn run(settings: &Settings) -> Result<Report> {
    if settings.polls() {
        return Err("broadcasts are not polled for".into());
    }
    let topics = settings.topics.unwrap_or(1);
    let subscribers = settings.connections / topics;
    if subscribers * topics != settings.connections {
        return Err("every topic needs the same number of connections".into());
    }
    let mut streams = connect(settings)?;
    settle(settings, &mut streams, topics)?;
    let mut poller = Poller::new()?;
    let mut broadcast = Broadcast {
        sockets: Socket::all(streams, settings, &poller)?,
        topics: (0..topics).map(|_| Topic::default()).collect(),
        subscribers,
        script: Script::new(settings),
        window: Window::new(settings, subscribers as u64),
    };
    let mut buffer = vec![0; BUFFER];
    let mut scheduled = 0;
    if settings.rate.is_none() {
        (0..topics).try_for_each(|topic| broadcast.publish(topic, settings.burst, broadcast.window.began))?;
    }
    loop {
        let now = Instant::now();
        if !broadcast.window.is_open(now)? {
            let backlog: usize = broadcast.topics.iter().map(|topic| topic.outstanding.len()).sum();
            return Ok(broadcast.window.report("bcast")?.with("backlog", backlog as f64));
        }
        if let Some(rate) = settings.rate {
            broadcast.publish_due(rate, &mut scheduled, now)?;
        }
        for index in poller.poll()? {
            let before = broadcast.sockets[index].replies.count;
            let heard = broadcast.sockets[index].turn(&broadcast.script, &mut buffer)?;
            let all_heard = heard > 0 && broadcast.heard(index % topics, before..before + heard)?;
            if all_heard && settings.rate.is_none() {
                broadcast.publish(index % topics, settings.burst, Instant::now())?;
            }
        }
    }
}

impl Broadcast {
    fn publish(&mut self, topic: usize, messages: u64, at: Instant) -> Result<()> {
        let messages = self.window.take(messages);
        self.topics[topic].outstanding.extend((0..messages).map(|_| (at, self.subscribers)));
        self.sockets[topic].send(&self.script, messages)
    }

    /// Publishes what the rate wants by now, to each topic in turn.
    fn publish_due(&mut self, rate: f64, scheduled: &mut u64, now: Instant) -> Result<()> {
        let began = self.window.began;
        let due = ((now - began).as_secs_f64() * rate) as u64;
        for _ in 0..due.saturating_sub(*scheduled).min(CATCH_UP) {
            let intended = began + Duration::from_secs_f64(*scheduled as f64 / rate);
            self.publish(*scheduled as usize % self.topics.len(), 1, intended)?;
            *scheduled += 1;
        }
        Ok(())
    }

    /// Someone heard the messages of these numbers. Returns whether everyone has now heard everything.
    fn heard(&mut self, topic: usize, messages: std::ops::Range<u64>) -> Result<bool> {
        let now = Instant::now();
        let topic = &mut self.topics[topic];
        for number in messages {
            let index = (number - topic.done) as usize;
            let (at, left) = topic.outstanding.get_mut(index).ok_or("a message that nobody sent")?;
            *left -= 1;
            self.window.answered(*at, now);
        }
        while topic.outstanding.front().is_some_and(|(_, left)| *left == 0) {
            topic.outstanding.pop_front();
            topic.done += 1;
        }
        Ok(topic.outstanding.is_empty())
    }
}
