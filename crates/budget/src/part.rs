//! What memory is held for.

/// What memory is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Connections as such: an estimate for each, of what it needs while it does nothing.
    Connections,
    /// Messages that are put together, or were and are still in somebody's hands; what comes out of inflating; what was
    /// read and not asked for yet.
    Reading,
    /// Messages that wait in outboxes and for shards. One that waits in several places counts once, where it can be
    /// told.
    Queued,
    /// What was encoded and the transport has not taken.
    Unsent,
    /// Bodies of POSTs and answers to polls.
    Polling,
    /// A server's TLS: keys, records that have not come whole, and what was encrypted and the transport has not taken.
    Tls,
    /// What is kept for clients that may come back.
    Recovery,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Connections, Self::Reading, Self::Queued, Self::Unsent, Self::Polling, Self::Tls, Self::Recovery];

    /// A short stable name, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Reading => "reading",
            Self::Queued => "queued",
            Self::Unsent => "unsent",
            Self::Polling => "polling",
            Self::Tls => "tls",
            Self::Recovery => "recovery",
        }
    }
}
