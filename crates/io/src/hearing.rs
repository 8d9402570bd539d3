//! Calling listeners with what was heard, and telling of what went wrong in that.

use std::fmt;
use std::sync::Arc;

use switchboard_io_proto::socket::{Args, Spread, Value};

use crate::error::Failure;
use crate::in_place::{self, Trouble};
use crate::listeners::{Heard, Listener};
use crate::peer::Peer;

/// Calls a listener with what was heard. What it fails with is told to those who listen for errors; when it panics,
/// `panicked` is called. `counted`: while it waits, it counts as in flight.
pub(crate) fn hear(
    peer: &Arc<Peer>,
    heard: &Heard,
    listener: &dyn Listener<Peer>,
    counted: bool,
    panicked: fn(&Arc<Peer>),
) {
    let in_flight = counted.then_some(&peer.in_flight);
    in_place::start(
        &peer.session,
        in_flight,
        || listener.hear(peer, heard),
        || {
            let (peer, heard) = (Arc::clone(peer), heard.clone());
            move |trouble| match trouble {
                Trouble::Failed(Failure(error)) => fail(&peer, &heard, &error, &Args::default()),
                Trouble::Panicked => panicked(&peer),
            }
        },
    );
}

/// Something that was heard could not be done for a socket: its listeners for errors are told, and the log.
pub(crate) fn fail(peer: &Arc<Peer>, heard: &Heard, error: &dyn fmt::Display, details: &Args) {
    tracing::debug!(id = %peer.id, event = %heard.name, %error, "an event was not handled");
    let listeners = peer.listeners.for_failure();
    if listeners.is_empty() || heard.is_failure {
        return;
    }
    let said = std::iter::once(Value::from(error.to_string())).chain(details.values());
    // Words and what has come as values always serialise.
    let args = Args::new(peer.space.settings.parser, &Spread(said.collect())).unwrap_or_default();
    let heard = Heard { is_failure: true, ..Heard::news("error", args) };
    for listener in listeners {
        hear(peer, &heard, &*listener, false, |peer| tracing::error!(id = %peer.id, "a listener for errors panicked"));
    }
}
