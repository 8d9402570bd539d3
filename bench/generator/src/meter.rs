//! What the server and this process used of the CPUs between two moments.

use std::time::Instant;

use crate::process;
use crate::report::Report;

#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    began: Instant,
    server_ns: u64,
    server_ticks: (u64, u64),
    generator_ns: u64,
    first_cpu: u64,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Self {
        Self {
            pid,
            began: Instant::now(),
            server_ns: process::cpu_ns(pid),
            server_ticks: process::user_and_system(pid),
            generator_ns: process::cpu_ns(std::process::id()),
            first_cpu: process::first_cpu_busy(),
        }
    }

    /// Adds speed and cost of so many messages.
    pub(crate) fn report(&self, report: Report, count: u64) -> Report {
        let wall = self.began.elapsed().as_nanos() as f64;
        let server = (process::cpu_ns(self.pid) - self.server_ns) as f64;
        let generator = (process::cpu_ns(std::process::id()) - self.generator_ns) as f64;
        let (user, system) = process::user_and_system(self.pid);
        let (user, system) = ((user - self.server_ticks.0) as f64, (system - self.server_ticks.1) as f64);
        let first_cpu = (process::first_cpu_busy() - self.first_cpu) as f64 * 1e7;
        report
            .with("count", count as f64)
            .with("per_second", count as f64 / wall * 1e9)
            .with("cpu_us", server / count.max(1) as f64 / 1000.0)
            .with("server_load", server / wall)
            .with("kernel_share", system / (user + system).max(1.0))
            .with("generator_load", generator / wall)
            .with("foreign_load", ((first_cpu - server) / wall).max(0.0))
    }
}
