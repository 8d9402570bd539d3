//! An event on its way to the handlers of a socket: past its middlewares, then to each listener in turn.

use std::sync::Arc;

use switchboard_io_proto::socket::{AckId, Args};

use crate::depart;
use crate::handler::fail;
use crate::in_place;
use crate::listeners::Heard;
use crate::peer::Peer;

/// A client has sent an event.
pub(crate) fn event(peer: &Arc<Peer>, heard: Heard) {
    let guards = peer.listeners.guards();
    if guards.is_empty() {
        return hear(peer, heard);
    }
    let guarded = Arc::clone(peer);
    let deciding = async move {
        for guard in guards {
            if let Err(refusal) = guard.decide(&guarded, &heard).await {
                return fail(&guarded, &heard, &refusal, refusal.data());
            }
        }
        hear(&guarded, heard);
    };
    in_place::start(&peer.session, Some(&peer.in_flight), || Some(Box::pin(deciding)), panicked(peer));
}

/// A client has answered an event.
pub(crate) fn ack(peer: &Arc<Peer>, id: AckId, args: Args) {
    let answered = || {
        peer.acked(id, args);
        None
    };
    in_place::start(&peer.session, None, answered, panicked(peer));
}

fn hear(peer: &Arc<Peer>, mut heard: Heard) {
    let called = peer.listeners.for_event(&heard.name);
    if called.len() > 1 && heard.ack.is_some() {
        heard.answered = Some(Arc::default());
    }
    for listener in called {
        in_place::start(&peer.session, Some(&peer.in_flight), || listener.hear(peer, &heard), panicked(peer));
    }
}

/// A handler that panics costs its socket its place.
fn panicked(peer: &Arc<Peer>) -> impl FnOnce() + Send + 'static {
    let peer = Arc::clone(peer);
    move || {
        tracing::error!(id = %peer.id, "a handler panicked; its socket is disconnected");
        depart::dismiss(&peer);
    }
}
