//! An event on its way to the handlers of a socket: past its middlewares, then to each listener in turn.

use std::sync::Arc;

use crate::depart;
use crate::handler::fail;
use crate::in_place::{self, InFlight};
use crate::listeners::Heard;
use crate::peer::Peer;

/// A client has sent an event.
pub(crate) fn event(peer: &Arc<Peer>, in_flight: &Arc<InFlight>, heard: Heard) {
    let guards = peer.listeners.guards();
    if guards.is_empty() {
        return hear(peer, in_flight, heard);
    }
    let (guarded, flights) = (Arc::clone(peer), Arc::clone(in_flight));
    let deciding = async move {
        for guard in guards {
            if let Err(refusal) = guard.decide(&guarded, &heard).await {
                return fail(&guarded, &heard, &refusal, refusal.data());
            }
        }
        hear(&guarded, &flights, heard);
    };
    in_place::start(&peer.session, Some(in_flight), || Some(Box::pin(deciding)), panicked(peer));
}

fn hear(peer: &Arc<Peer>, in_flight: &Arc<InFlight>, mut heard: Heard) {
    let called = peer.listeners.for_event(&heard.name);
    if called.len() > 1 && heard.ack.is_some() {
        heard.answered = Some(Arc::default());
    }
    for listener in called {
        in_place::start(&peer.session, Some(in_flight), || listener.hear(peer, &heard), panicked(peer));
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
