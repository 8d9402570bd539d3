//! Whether the client lives. v4: the server pings, the client answers in time, and the next ping is counted from its
//! pong. v3: the client pings, and the server counts from that.

use std::time::Instant;

use crate::engine::config::Config;
use crate::engine::packet::Protocol;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// When something falls due. `None`: beyond all times.
    at: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// v4: at `at` a ping is due.
    Resting,
    /// v4: by `at` the pong must be here.
    Asked {
        /// The ping is with the driver.
        written: bool,
        /// Another packet came meanwhile, and the client got its time anew for it.
        graced: bool,
    },
    /// v3: by `at` a ping must be here.
    Listening,
}

impl Heartbeat {
    pub(crate) fn new(protocol: Protocol, config: &Config, now: Instant) -> Self {
        match protocol {
            Protocol::V4 => Self { at: now.checked_add(config.ping_interval), state: State::Resting },
            Protocol::V3 => Self { at: silence(config, now), state: State::Listening },
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Nothing is asked of the client.
    pub(crate) fn is_resting(&self) -> bool {
        self.state == State::Resting
    }

    /// Makes a ping due if its time has come. `false`: the client did not show life in time.
    ///
    /// The client's time runs from here, written or not: on polling a ping that nobody fetches is a client that is
    /// gone.
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, config: &Config, now: Instant) -> bool {
        if self.at.is_none_or(|at| now < at) {
            return true;
        }
        if !self.is_resting() {
            return false;
        }
        *self =
            Self { at: now.checked_add(config.ping_timeout), state: State::Asked { written: false, graced: false } };
        true
    }

    /// A ping is to be written now.
    pub(crate) fn take_ping(&mut self) -> bool {
        match &mut self.state {
            State::Asked { written, .. } => !std::mem::replace(written, true),
            State::Resting | State::Listening => false,
        }
    }

    /// A ping waits to be written.
    pub(crate) fn has_ping(&self) -> bool {
        matches!(self.state, State::Asked { written: false, .. })
    }

    /// A ping that is not written yet is taken back, to be due again at once.
    pub(crate) fn take_back(&mut self, now: Instant) {
        if self.has_ping() {
            *self = Self { at: Some(now), state: State::Resting };
        }
    }

    /// The client's half of the heartbeat came. `false`: it is the wrong half ("invalid heartbeat direction").
    #[must_use]
    pub(crate) fn beat(&mut self, half: Half, config: &Config, now: Instant) -> bool {
        match (half, self.state) {
            (Half::Pong, State::Resting | State::Asked { .. }) => {
                *self = Self { at: now.checked_add(config.ping_interval), state: State::Resting };
                true
            }
            (Half::Ping, State::Listening) => {
                self.at = silence(config, now);
                true
            }
            (Half::Pong, State::Listening) | (Half::Ping, State::Resting | State::Asked { .. }) => false,
        }
    }

    /// Another packet came. While a pong is awaited the first of these gives the client its time anew: a large upload
    /// before the pong is no reason to cut it. Only the first, or a client that never answers could live for ever.
    pub(crate) fn other(&mut self, config: &Config, now: Instant) {
        if let State::Asked { graced: graced @ false, .. } = &mut self.state {
            *graced = true;
            self.at = now.checked_add(config.ping_timeout);
        }
    }
}

/// Which half of the heartbeat a packet is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Half {
    Ping,
    Pong,
}

/// v3: how long a client may be silent.
fn silence(config: &Config, now: Instant) -> Option<Instant> {
    now.checked_add(config.ping_interval)?.checked_add(config.ping_timeout)
}
