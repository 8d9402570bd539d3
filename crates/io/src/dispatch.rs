//! An event on its way to the handlers of a socket: past its middlewares, then to each listener in turn; and what else a client
//! does that there are listeners for.

use std::sync::Arc;

use switchboard_io_proto::engine::Transport;
use switchboard_io_proto::socket::{AckId, Args, Parser};

use crate::depart;
use crate::hearing::{self, fail};
use crate::in_place::{self, Trouble};
use crate::listeners::{Called, For, Guards, Heard, Next};
use crate::peer::Peer;

/// A client has sent an event.
pub(crate) fn event(peer: &Arc<Peer>, heard: Heard) {
    match peer.listeners.on_event(&heard.name) {
        Next::Call(called) => hear(peer, heard, called),
        Next::Ask(guards) => ask(peer, heard, guards),
    }
}

fn ask(peer: &Arc<Peer>, heard: Heard, guards: Guards<Peer>) {
    let guarded = Arc::clone(peer);
    let deciding = async move {
        for guard in guards {
            if let Err(refusal) = guard.decide(&guarded, &heard).await {
                fail(&guarded, &heard, &refusal, refusal.data());
                return Ok(());
            }
        }
        let called = guarded.listeners.for_event(&heard.name);
        hear(&guarded, heard, called);
        Ok(())
    };
    in_place::start(&peer.session, Some(&peer.in_flight), || Some(Box::pin(deciding)), || in_trouble(peer));
}

/// A client has answered an event.
pub(crate) fn ack(peer: &Arc<Peer>, id: AckId, args: Args) {
    let answered = || {
        peer.acked(id, args);
        None
    };
    in_place::start(&peer.session, None, answered, || in_trouble(peer));
}

/// A client has gone over to another transport.
pub(crate) fn upgraded(peer: &Arc<Peer>, to: Transport) {
    let listeners = peer.listeners.for_other(&For::Upgrade);
    if listeners.is_empty() {
        return;
    }
    // A word always serialises.
    let args = Args::new(Parser::Json, to.as_str()).unwrap_or_default();
    let heard = Heard::news("upgrade", args);
    for listener in listeners {
        hearing::hear(peer, &heard, &*listener, false, panicked);
    }
}

fn hear(peer: &Arc<Peer>, mut heard: Heard, called: Called<Peer>) {
    if called.len() > 1 && heard.ack.is_some() {
        heard.answered = Some(Arc::default());
    }
    for listener in called {
        hearing::hear(peer, &heard, &*listener, true, panicked);
    }
}

/// Nothing that is started with this fails.
fn in_trouble(peer: &Arc<Peer>) -> impl FnOnce(Trouble) + Send + 'static {
    let peer = Arc::clone(peer);
    move |_| panicked(&peer)
}

/// A handler that panics costs its socket its place.
fn panicked(peer: &Arc<Peer>) {
    tracing::error!(id = %peer.id, "a handler panicked; its socket is disconnected");
    depart::dismiss(peer);
}
