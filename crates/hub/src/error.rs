//! What can be refused, as plain data. A refused parcel is given back.

use std::error::Error;
use std::fmt;

/// Why [`Outbox::try_push`](crate::Outbox::try_push) did not take the parcel, which is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refused<P> {
    /// There is no room now, or other senders were already waiting for it.
    Full(P),
    /// The outbox is closed; it will never take another parcel.
    Closed(P),
}

impl<P> Refused<P> {
    /// The parcel that was refused.
    pub fn into_parcel(self) -> P {
        match self {
            Self::Full(parcel) | Self::Closed(parcel) => parcel,
        }
    }
}

impl<P> fmt::Display for Refused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the outbox is full"),
            Self::Closed(_) => f.write_str("the outbox is closed"),
        }
    }
}

// By hand, so that parcels need not be `Debug`.
impl<P> fmt::Debug for Refused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
        }
    }
}

impl<P> Error for Refused<P> {}

/// The outbox was closed before the thing asked for was done.
///
/// [`Push`](crate::Push) gives the parcel back in it; [`Flush`](crate::Flush) has nothing to give back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<P = ()>(pub P);

impl<P> fmt::Display for Closed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the outbox is closed")
    }
}

impl<P> fmt::Debug for Closed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<P> Error for Closed<P> {}

/// Why a member could not subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubError {
    /// The topic's name is longer than [`HubLimits::topic_bytes`](crate::HubLimits::topic_bytes).
    TopicTooLong {
        /// Length of the name that was given, in bytes.
        bytes: usize,
        /// Length allowed, in bytes.
        limit: usize,
    },
    /// The member would have more than [`HubLimits::topics_per_member`](crate::HubLimits::topics_per_member) topics.
    TooManyTopics {
        /// Topics allowed.
        limit: usize,
    },
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicTooLong { bytes, limit } => {
                write!(f, "the topic's name has {bytes} bytes; at most {limit} are allowed")
            }
            Self::TooManyTopics { limit } => write!(f, "at most {limit} topics may be subscribed to at a time"),
        }
    }
}

impl Error for HubError {}
