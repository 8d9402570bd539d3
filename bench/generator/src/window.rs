//! What part of a run is measured, and when the run is over: after a time, or after a number of messages.

use std::time::{Duration, Instant};

use crate::Result;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::report::Report;
use crate::settings::Settings;

/// A server that answers nothing for so long, while answers are due, has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Window {
    pid: u32,
    pub(crate) began: Instant,
    /// When to measure from and to; `None`: all of the given number of messages.
    times: Option<(Instant, Instant)>,
    meter: Option<Meter>,
    latency: Histogram,
    count: u64,
    /// Messages that may still be sent.
    unsent: u64,
    /// Answers that are still to come, when their number is known.
    missing: u64,
    heard: Instant,
}

impl Window {
    /// Begins now. `answers` are due to each message.
    pub(crate) fn new(settings: &Settings, answers: u64) -> Self {
        let began = Instant::now();
        let from = began + settings.warm();
        Self {
            pid: settings.pid,
            began,
            times: settings.messages.is_none().then(|| (from, from + settings.measured())),
            meter: settings.messages.map(|_| Meter::start(settings.pid)),
            latency: Histogram::new(),
            count: 0,
            unsent: settings.messages.unwrap_or(u64::MAX),
            missing: settings.messages.map_or(u64::MAX, |messages| messages * answers),
            heard: began,
        }
    }

    /// Whether the run goes on.
    pub(crate) fn is_open(&mut self, now: Instant) -> Result<bool> {
        if self.missing == 0 {
            return Ok(false);
        }
        if now.duration_since(self.heard) > PATIENCE {
            return Err(format!("no answer for {PATIENCE:?}; {} came before", self.count).into());
        }
        let Some((from, to)) = self.times else { return Ok(true) };
        if now >= from && self.meter.is_none() {
            self.meter = Some(Meter::start(self.pid));
            self.latency = Histogram::new();
            self.count = 0;
        }
        Ok(now < to)
    }

    /// How many of the messages wanted may be sent.
    pub(crate) fn take(&mut self, wanted: u64) -> u64 {
        let taken = wanted.min(self.unsent);
        self.unsent -= taken;
        taken
    }

    /// An answer came to what was sent at that time.
    pub(crate) fn answered(&mut self, sent: Instant, now: Instant) {
        self.latency.add(now.saturating_duration_since(sent).as_nanos() as u64);
        self.count += 1;
        self.missing = self.missing.saturating_sub(1);
        self.heard = now;
    }

    /// # Errors
    /// Nothing was measured: neither this process nor the server got to run, or the server is very slow.
    pub(crate) fn report(&self, kind: &'static str) -> Result<Report> {
        let Some(meter) = self.meter.as_ref().filter(|_| self.count > 0) else {
            return Err("no answer came in the time that was measured".into());
        };
        Ok(meter
            .report(Report::new(kind), self.count)
            .with("p50_us", self.latency.quantile_us(0.5))
            .with("p99_us", self.latency.quantile_us(0.99))
            .with("p999_us", self.latency.quantile_us(0.999)))
    }
}
