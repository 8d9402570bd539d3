//! What the kernel tells about a process and the machine, out of `/proc`.

use std::fs;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit, setrlimit};

/// CPU time in ns: the scheduler's run time of all threads.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    threads.flatten().map(|thread| first_number(&read(thread.path().join("schedstat")))).sum()
}

/// CPU time in clock ticks, in user space and in the kernel.
pub(crate) fn user_and_system(pid: u32) -> (u64, u64) {
    let stat = read(format!("/proc/{pid}/stat"));
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
    (next(), next())
}

/// Memory of a process's own that is resident, in KiB: heaps and stacks, and no page of a file, which is there for
/// everyone and comes and goes with what code was last run.
pub(crate) fn own_kib(pid: u32) -> u64 {
    labelled(&read(format!("/proc/{pid}/smaps_rollup")), "Anonymous:")
}

/// The kernel's own objects, sockets among them, and what lies in sockets' buffers, in KiB, for the whole machine.
pub(crate) fn kernel_kib() -> u64 {
    let sockets = read("/proc/net/sockstat");
    let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or_default();
    let pages = tcp.split_once("mem ").map_or(0, |(_, pages)| first_number(pages));
    labelled(&read("/proc/meminfo"), "Slab:") + pages * page_size() as u64 / 1024
}

/// How long the server's CPU, which is the first, was busy with anything: clock ticks.
pub(crate) fn first_cpu_busy() -> u64 {
    let stat = read("/proc/stat");
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu0 ")).unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // All but idle (3) and waiting for disks (4), and but the guests' time, which is counted in user time too.
    fields.iter().enumerate().filter(|(index, _)| !matches!(index, 3 | 4 | 8..)).map(|(_, ticks)| ticks).sum()
}

pub(crate) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

fn read(path: impl AsRef<std::path::Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn labelled(text: &str, label: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(label)).map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
