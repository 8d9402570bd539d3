//! How a socket leaves: who hears of it, in which order, and what is kept for the case that its client comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use switchboard_io_proto::engine::CloseReason;
use switchboard_io_proto::socket::{Args, Flags, Parser};

use crate::engine::now;
use crate::hearing;
use crate::listeners::{For, Heard};
use crate::peer::{Peer, Stage};
use crate::publish;
use crate::reason::DisconnectReason;
use crate::recovery::Lost;

/// The server takes a socket out of its namespace, and tells the client.
pub(crate) fn dismiss(peer: &Arc<Peer>) {
    // One that is still on its way in is told by a refusal.
    dismiss_for(peer, DisconnectReason::ServerNamespaceDisconnect);
}

/// The client is told that a socket of it is disconnected, and that has left for `reason`.
pub(crate) fn dismiss_for(peer: &Arc<Peer>, reason: DisconnectReason) {
    see_off(peer, reason, || {
        publish::send(peer, &peer.space.settings.parser.disconnect(&peer.space.name), Flags::default());
    });
}

/// The server closes the client's connection: its sockets in all namespaces are disconnected, as in Node. None of them
/// may come back to what it was.
pub(crate) fn close(peer: &Arc<Peer>) {
    // One that a middleware still decides about is not among them.
    peer.all_of_client().iter().chain([peer]).for_each(dismiss);
    peer.session.close(CloseReason::ForcedClose);
}

/// A socket leaves. Listeners hear `disconnecting` while it is still in its rooms, and `disconnect` when it is not.
pub(crate) fn depart(peer: &Arc<Peer>, reason: DisconnectReason) {
    see_off(peer, reason, || {});
}

/// Has it leave. `say_goodbye` is for one that was told that it is in.
fn see_off(peer: &Arc<Peer>, reason: DisconnectReason, say_goodbye: impl FnOnce()) {
    match peer.set_disconnected() {
        Stage::Disconnected => {}
        // Nobody has heard of it yet; but a middleware may have put it into a room.
        Stage::Connecting => {
            peer.leave_all();
            peer.retire();
            peer.space.guest_left();
        }
        Stage::Connected => {
            // As in Node first of all: what listeners say to its rooms does not come to the client as if it were in
            // them. It may come again at once, and is let in when this is over.
            say_goodbye();
            tell(peer, &For::Disconnecting, reason);
            keep(peer, reason);
            if let (Some(recovery), Some(pid)) = (&peer.space.recovery, &peer.pid) {
                recovery.set_gone(pid, peer);
            }
            peer.leave_all();
            peer.space.roll().remove(&peer.id, peer);
            peer.session.keep(peer.auth.bytes(), 0);
            tell(peer, &For::Disconnect, reason);
            peer.retire();
            peer.space.guest_left();
            // The last of all: its client may come again now, by the same membership in the hub.
            peer.leave_seat();
        }
    }
}

/// Remembers it for the case that its client comes back.
fn keep(peer: &Peer, reason: DisconnectReason) {
    let (Some(recovery), Some(pid), true) = (&peer.space.recovery, peer.pid, reason.may_recover()) else { return };
    let lost = Lost {
        id: peer.id.clone(),
        namespace: peer.space.name.clone(),
        rooms: peer.joined(),
        data: peer.data(),
        confirmed: peer.confirmed.load(Ordering::Acquire),
    };
    recovery.keep(pid, lost, now());
}

fn tell(peer: &Arc<Peer>, what: &For, reason: DisconnectReason) {
    let listeners = peer.listeners.for_other(what);
    if listeners.is_empty() {
        return;
    }
    // A word always serialises.
    let args = Args::new(Parser::Json, reason.as_str()).unwrap_or_default();
    let heard = Heard::news(if *what == For::Disconnect { "disconnect" } else { "disconnecting" }, args);
    for listener in listeners {
        let panicked = |peer: &Arc<Peer>| tracing::error!(id = %peer.id, "a listener panicked as its socket left");
        hearing::hear(peer, &heard, &*listener, false, panicked);
    }
}
