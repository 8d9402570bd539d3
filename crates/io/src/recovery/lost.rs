//! Whom we lost of late: found by the secret with which their clients may come back, and by how long they are away.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use switchboard_io_proto::engine::Sid;
use switchboard_io_proto::socket::{Name, Namespace, Value};

use super::packets::{Place, size};

/// A socket that was lost.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) id: Name,
    pub(crate) namespace: Namespace,
    pub(crate) rooms: Vec<Name>,
    pub(crate) data: Value,
    /// It is known to have received everything up to here.
    pub(crate) confirmed: Place,
}

/// All the lost.
#[derive(Debug, Default)]
pub(super) struct Absent {
    by_pid: HashMap<Sid, Away>,
    /// For those that nobody comes back for.
    by_age: BTreeMap<Since, Sid>,
    bytes: usize,
    /// So many were ever lost: tells those of one moment apart.
    count: u64,
}

/// Since when somebody is away.
type Since = (Instant, u64);

#[derive(Debug)]
struct Away {
    since: Since,
    lost: Lost,
    /// What it takes.
    bytes: usize,
}

impl Absent {
    pub(super) fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Somebody is away from now on, in place of whoever had the same secret.
    pub(super) fn insert(&mut self, pid: Sid, lost: Lost, now: Instant) {
        self.remove(&pid);
        self.count += 1;
        let (since, bytes) = ((now, self.count), lost.bytes());
        self.by_pid.insert(pid, Away { since, lost, bytes });
        self.by_age.insert(since, pid);
        self.bytes += bytes;
    }

    /// Somebody, and since when it is away.
    pub(super) fn get(&self, pid: &Sid) -> Option<(Instant, &Lost)> {
        self.by_pid.get(pid).map(|Away { since, lost, .. }| (since.0, lost))
    }

    /// Somebody is lost no more, or for good.
    pub(super) fn remove(&mut self, pid: &Sid) -> Option<Lost> {
        let Away { since, lost, bytes } = self.by_pid.remove(pid)?;
        self.by_age.remove(&since);
        self.bytes -= bytes;
        Some(lost)
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some((_, pid)) = self.oldest() {
            self.remove(&pid);
        }
    }

    /// Who is away for longest, and since when.
    pub(super) fn oldest(&self) -> Option<(Instant, Sid)> {
        self.by_age.first_key_value().map(|(since, pid)| (since.0, *pid))
    }
}

impl Lost {
    /// About what it takes, with its places in the tables.
    fn bytes(&self) -> usize {
        const PLACES: usize = size_of::<(Sid, Away)>() + size_of::<(Since, Sid)>();
        PLACES + self.rooms.iter().map(size).sum::<usize>() + held_by(&self.data)
    }
}

/// What a value holds, besides its own place.
fn held_by(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + held_by(value)).sum(),
        Value::Object(members) => {
            let size = |(name, value): &(String, Value)| size_of::<(String, Value)>() + name.len() + held_by(value);
            members.iter().map(size).sum()
        }
    }
}
