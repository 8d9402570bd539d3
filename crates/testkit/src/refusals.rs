//! How peers were refused, and how long that took: every [`Wire`](crate::Wire) of the process notes it when it is told so
//! or cut off. Tests that read it take turns.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static NOTED: Mutex<Vec<Refused>> = Mutex::new(Vec::new());

/// How somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// By an answer with this status, 400 or more.
    Status(u16),
    /// By a Close frame with this code.
    Close(u16),
    /// By the end of the connection, and without a word.
    CutOff,
    /// By an error of ours, where the peer is a server.
    Error,
}

/// Somebody who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// How.
    pub how: Refusal,
    /// How long after the connection was begun, from before it was asked for, somebody knew of it.
    pub after: Duration,
    began: Instant,
}

/// Forgets all that were noted.
pub fn begin() {
    noting().clear();
}

/// Those who were refused since [`begin`], in the order in which that was known.
#[must_use]
pub fn noted() -> Vec<Refused> {
    noting().clone()
}

/// Notes that who had begun then is refused now.
pub fn note(how: Refusal, began: Instant) {
    noting().push(Refused { how, after: began.elapsed(), began });
}

/// The same of one who may have been noted as cut off before what was said to him was read.
pub(crate) fn explain(how: Refusal, began: Instant) {
    if let Some(cut_off) = noting().iter_mut().rev().find(|noted| noted.began == began) {
        cut_off.how = how;
    }
}

fn noting() -> MutexGuard<'static, Vec<Refused>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Close(code) => write!(f, "close {code}"),
            Self::CutOff => f.write_str("cut off"),
            Self::Error => f.write_str("an error"),
        }
    }
}
