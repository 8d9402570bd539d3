//! A client's way into a namespace: found or refused, past the middlewares, given back what it missed if it was here
//! before, and welcomed.

use std::sync::Arc;

use switchboard_hub::Pushed;
use switchboard_io_proto::engine::{CloseReason, Protocol, Sid};
use switchboard_io_proto::socket;
use switchboard_io_proto::socket::{Args, Flags, Name, Namespace, Parser, Value};
use switchboard_ws::Message;

use crate::depart;
use crate::engine::{Limit, Session, now};
use crate::error::Refusal;
use crate::hearing;
use crate::in_place::{self, InFlight};
use crate::listeners::Heard;
use crate::peer::Peer;
use crate::publish;
use crate::reason::DisconnectReason;
use crate::recovery::{Claim, Recovery};
use crate::router::{Found, Parent, Router};
use crate::seats::Seats;
use crate::space::Space;
use crate::watch::Joined;

/// A client that asks for a namespace.
#[derive(Clone)]
pub(crate) struct Entrant {
    pub(crate) router: Arc<Router>,
    pub(crate) session: Session,
    pub(crate) seats: Arc<Seats<Peer>>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) name: Namespace,
    pub(crate) auth: Args,
}

/// Lets a client in, or refuses it: now, or when everyone who is to be asked has answered.
pub(crate) fn enter(mut entrant: Entrant) {
    if entrant.name.as_str().len().saturating_add(entrant.auth.bytes()) > entrant.router.settings.max_auth {
        entrant.session.hit(Limit::Auth);
        return refuse(&entrant, &Refusal::new("too much is said in auth"));
    }
    // It is kept for long. As it came it may be a part of a message, and keep all of that.
    if let Ok(auth) = Args::new(entrant.auth.encoding(), &entrant.auth) {
        entrant.auth = auth;
    }
    let address = entrant.session.handshake().peer();
    match entrant.router.find(&entrant.name, address) {
        Found::Ask(parents) => {
            let asking = Router::ask(parents, entrant.name.clone(), entrant.auth.clone());
            let unanswered = entrant.clone();
            let session = entrant.session.clone();
            let pending = async move {
                let parent = asking.await;
                // What follows is to happen among the calls for what the client says.
                entrant.session.clone().run(move |_| {
                    let child = |parent: Arc<Parent>| entrant.router.child(&parent, &entrant.name, address);
                    let found = parent.map_or(Found::Nowhere, child);
                    arrive(entrant, &found);
                });
                Ok(())
            };
            let in_trouble = || move |_| panicked(&unanswered, None);
            in_place::start(&session, None, || Some(Box::pin(pending)), in_trouble);
        }
        found => arrive(entrant, &found),
    }
}

/// It is known whether there is such a namespace.
fn arrive(entrant: Entrant, found: &Found) {
    match found {
        Found::Here(space) => approach(entrant, space),
        Found::Full(limit) => turn_away(&entrant, *limit),
        Found::Nowhere | Found::Ask(_) => nowhere(&entrant),
    }
}

/// There are as many namespaces of this kind as may be. The client is told that there is no such one.
fn turn_away(entrant: &Entrant, limit: Limit) {
    entrant.session.hit(limit);
    nowhere(entrant);
}

/// There is no such namespace. As in Node the words are in an object, also for clients of Socket.IO 2, which get those
/// of middlewares bare.
fn nowhere(entrant: &Entrant) {
    let mut refusal = Refusal::new("Invalid namespace");
    if entrant.session.protocol() == Protocol::V3 {
        let words = Value::Object(vec![("message".into(), refusal.message.as_str().into())]);
        refusal = refusal.with_data(words).expect("words can be written");
    }
    refuse(entrant, &refusal);
}

/// What a client of Socket.IO 2 names: a namespace with a query, which is all that it has to say for itself.
pub(crate) fn named_by_version_2(name: &Namespace) -> (Namespace, Args) {
    let (name, query) = name.split_query();
    let pairs = query.map(|query| {
        form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into_owned(), Value::from(&*value))).collect()
    });
    let auth = pairs.map(|pairs| Args::new(Parser::Json, &(Value::Object(pairs),)).unwrap_or_default());
    (name, auth.unwrap_or_default())
}

/// The namespace is there. Its middlewares are asked, unless there are none or the client was here a moment ago.
fn approach(entrant: Entrant, space: &Arc<Space<Peer>>) {
    let Some(space) = &entrant.router.keep(space) else {
        return turn_away(&entrant, Limit::ChildNamespaces);
    };
    let claim = claim(&entrant, space);
    let Some(peer) = peer(&entrant, space, claim.as_ref()) else {
        space.guest_left();
        return refuse(&entrant, &Refusal::new("the server has no random numbers to make an id of"));
    };
    let peer = Arc::new(peer);
    let is_spared = claim.is_some() && space.recovery.as_ref().is_some_and(|recovery| recovery.skips_middlewares());
    let guards = if is_spared { Vec::new() } else { space.rules.guards() };
    if guards.is_empty() {
        return admit(&entrant, &peer, claim);
    }
    let (unanswered, undecided) = (entrant.clone(), Arc::clone(&peer));
    let session = entrant.session.clone();
    let heard = Heard::news("connection", entrant.auth.clone());
    let pending = async move {
        for guard in guards {
            if let Err(refusal) = guard.decide(&peer, &heard).await {
                entrant.session.clone().run(move |_| reject(&entrant, &peer, &refusal));
                return Ok(());
            }
        }
        entrant.session.clone().run(move |_| admit(&entrant, &peer, claim));
        Ok(())
    };
    let in_trouble = || move |_| panicked(&unanswered, Some(undecided));
    in_place::start(&session, None, || Some(Box::pin(pending)), in_trouble);
}

fn peer(entrant: &Entrant, space: &Arc<Space<Peer>>, claim: Option<&Claim>) -> Option<Peer> {
    let Entrant { session, auth, .. } = entrant;
    let pid = match (&space.recovery, session.protocol()) {
        (Some(_), Protocol::V4) => Some(claim.map_or_else(|| Sid::generate().ok(), |claim| Some(claim.pid))?),
        _ => None,
    };
    let id = match (claim, session.protocol()) {
        (Some(claim), _) => claim.lost.id.clone(),
        (None, Protocol::V4) => Name::from(Sid::generate().ok()?.as_str()),
        // Clients of Socket.IO 2 make their ids themselves, of the session's.
        (None, Protocol::V3) if space.name.is_root() => session.sid().as_str().into(),
        (None, Protocol::V3) => format!("{}#{}", space.name, session.sid().as_str()).into(),
    };
    let (seats, in_flight) = (Arc::downgrade(&entrant.seats), Arc::clone(&entrant.in_flight));
    let mut peer = Peer::new(id, pid, session.clone(), seats, in_flight, Arc::clone(space), auth.clone());
    if let Some(claim) = claim {
        peer.come_back(claim.lost.data.clone(), &claim.lost.rooms);
    }
    Some(peer)
}

/// Whether the client was here before, and what it was given may be given back.
fn claim(entrant: &Entrant, space: &Arc<Space<Peer>>) -> Option<Claim> {
    #[derive(serde::Deserialize)]
    struct Back {
        pid: String,
        offset: Option<String>,
    }

    let recovery = space.recovery.as_ref()?;
    let Back { pid, offset } = entrant.auth.get(0).ok()?;
    let pid = Sid::parse(&pid)?;
    if let Some(before) = recovery.live(&pid) {
        // The connection before this one is not yet known to be dead. Its client is here, so it is.
        depart::depart(&before, DisconnectReason::TransportClose);
        before.session.close(CloseReason::TransportClose);
    }
    recovery.claim(&pid, &space.name, offset.as_deref(), now())
}

/// The client is in.
fn admit(entrant: &Entrant, peer: &Arc<Peer>, claim: Option<Claim>) {
    if !(entrant.seats.admit(&peer.space.name, peer) && entrant.session.is_open()) {
        return depart::depart(peer, DisconnectReason::TransportClose);
    }
    // From here on it has something to lose.
    peer.session.set_stranger(false);
    let auth = peer.auth.bytes();
    // Before it can leave, by which this is taken back.
    peer.session.keep(0, auth);
    let entered = match &peer.space.recovery {
        None => welcome(peer, Vec::new()).map(|welcomed| welcomed.settle(peer)).ok_or(Outside::Dismissed),
        Some(recovery) => give_back(recovery, peer, claim),
    };
    if let Err(outside) = entered {
        peer.session.keep(auth, 0);
        match outside {
            Outside::Dismissed => {
                reject(entrant, peer, &Refusal::new("the server has disconnected this socket"));
            }
            Outside::Forgotten => {
                // It is to come as somebody new.
                depart::depart(peer, DisconnectReason::ServerNamespaceDisconnect);
                entrant.session.close(CloseReason::TransportError);
            }
        }
        return;
    }
    let heard = Heard::news("connection", peer.auth.clone());
    for listener in peer.space.rules.on_connect() {
        hearing::hear(peer, &heard, &*listener, false, |peer| {
            tracing::error!(id = %peer.id, "a handler of connections panicked; its socket is disconnected");
            depart::dismiss(peer);
        });
    }
}

/// Why somebody is not let in after all.
#[derive(Debug, PartialEq, Eq)]
enum Outside {
    /// A middleware has disconnected it, or somebody else to whom a middleware gave it.
    Dismissed,
    /// What it missed is gone meanwhile.
    Forgotten,
}

/// Sends what was missed, then the welcome; the last of it in one step for those who publish, so that nothing is missed
/// or sent twice.
fn give_back(recovery: &Recovery<Peer>, peer: &Arc<Peer>, claim: Option<Claim>) -> Result<(), Outside> {
    let (mut first, mut joined) = (Vec::new(), Vec::new());
    let (log, confirmed) = match claim {
        None => {
            let log = recovery.lock();
            let newest = log.newest();
            (log, newest)
        }
        Some(mut claim) => {
            // What was said since it came is for the rooms that it is in now: as if it had joined and left then. What
            // another thread joins from here on counts from the welcome.
            claim.missed.move_to(peer.joined().into_iter().chain([peer.id.clone()]).collect());
            // Nearly all of it, while others may still publish.
            first.extend(claim.missed.take().iter().flat_map(publish::parts));
            let log = recovery.give_back(&mut claim).ok_or(Outside::Forgotten)?;
            first.extend(claim.missed.take().iter().flat_map(publish::parts));
            joined = peer.enter_untold();
            // What is given back is on its way, and may be lost once more.
            (log, claim.received)
        }
    };
    peer.confirmed.store(confirmed, std::sync::atomic::Ordering::Release);
    // Before it may be shown out by others, who take it out again.
    if let Some(pid) = peer.pid {
        recovery.set_live(pid, peer);
    }
    let welcomed = welcome(peer, first);
    drop(log);
    let Some(welcomed) = welcomed else {
        if let Some(pid) = &peer.pid {
            recovery.set_gone(pid, peer);
        }
        return Err(Outside::Dismissed);
    };
    // Listeners and those who watch rooms may publish in answer to that, which takes the lock.
    for (room, joined) in &joined {
        peer.tell_joined(room, *joined);
    }
    welcomed.settle(peer);
    Ok(())
}

/// Tells the client that it is in, and everyone else how to reach it, in one step: the client hears of nothing before
/// that it is in but of what comes `first`, and of everything after. It is then in the room that bears its id.
///
/// All of that is one parcel: it fits, or the client has to go. `None`: it was disconnected meanwhile, and is told nothing.
fn welcome(peer: &Arc<Peer>, mut first: Vec<Message>) -> Option<Welcomed> {
    let (space, parser) = (&peer.space, peer.space.settings.parser);
    let frames = match (peer.session.protocol(), peer.pid) {
        (Protocol::V3, _) => parser.connect(&space.name, &()),
        (Protocol::V4, None) => parser.connect(&space.name, &Welcome { sid: &peer.id, pid: None }),
        (Protocol::V4, Some(pid)) => parser.connect(&space.name, &Welcome { sid: &peer.id, pid: Some(pid.as_str()) }),
    };
    first.extend(publish::parts(&frames.expect("two words can be written")));
    let first = crate::engine::parcel(first, publish::options(Flags::default()));
    let own = peer.join_own_untold();
    let pushed = {
        // Whoever finds it there, finds it welcomed; and whoever sees it off does so before this, or after.
        let mut roll = space.roll();
        if !peer.set_connected() {
            return None;
        }
        let pushed = peer.session.enter(&space.everyone, first);
        roll.insert(&peer.id, peer.session.member().id(), Arc::clone(peer));
        pushed
    };
    Some(Welcomed { pushed, own })
}

/// Somebody who was told to be in.
#[must_use = "who overflows is to be closed, and those who watch rooms are to be told"]
struct Welcomed {
    pushed: Pushed,
    /// What there is to tell of the room that bears its id.
    own: Joined,
}

impl Welcomed {
    /// Does what follows, which calls listeners: to be called when no locks are held.
    fn settle(self, peer: &Arc<Peer>) {
        peer.session.settle(self.pushed);
        peer.tell_joined(&peer.id, self.own);
    }
}

#[derive(serde::Serialize)]
struct Welcome<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}

/// Somebody that middlewares know already is not let in.
fn reject(entrant: &Entrant, peer: &Arc<Peer>, refusal: &Refusal) {
    depart::depart(peer, DisconnectReason::ServerNamespaceDisconnect);
    // Another thread may still be about that, and its client may come again when it is told.
    peer.leave_all();
    peer.leave_seat();
    refuse(entrant, refusal);
}

fn refuse(entrant: &Entrant, refusal: &Refusal) {
    let Entrant { router, session, seats, name, .. } = entrant;
    seats.refuse(name);
    let (parser, protocol) = (router.settings.parser, revision(session.protocol()));
    let frames = parser
        .connect_error(protocol, name, &refusal.message, &refusal.data)
        // Details with bytes in them: the words go without.
        .or_else(|_| parser.connect_error(protocol, name, &refusal.message, &()))
        .expect("words can be written");
    session.send(crate::engine::parcel(publish::parts(&frames), publish::options(Flags::default())));
}

/// Whoever was asked panicked, about this socket if there was one already.
fn panicked(entrant: &Entrant, undecided: Option<Arc<Peer>>) {
    tracing::error!(namespace = %entrant.name, "a middleware panicked; its client is not let in");
    let entrant = entrant.clone();
    entrant.session.clone().run(move |_| {
        let refusal = Refusal::new("internal error");
        match undecided {
            // It may be in rooms already.
            Some(peer) => reject(&entrant, &peer, &refusal),
            None => refuse(&entrant, &refusal),
        }
    });
}

/// The revision of the Socket.IO protocol that goes with one of Engine.IO's.
fn revision(protocol: Protocol) -> socket::Protocol {
    match protocol {
        Protocol::V3 => socket::Protocol::V4,
        Protocol::V4 => socket::Protocol::V5,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use switchboard_io_proto::engine::Transport;
    use switchboard_ws::OutboxLimits;

    use super::*;
    use crate::{RecoverySettings, SocketIo};

    /// A server with recovery, whose clients may have one parcel waiting, and its main namespace.
    fn recovering() -> (SocketIo, Arc<Space<Peer>>, Arc<Recovery<Peer>>) {
        let outbox = OutboxLimits { messages: 1, ..OutboxLimits::default() };
        let io = SocketIo::builder().connection_state_recovery(RecoverySettings::default()).outbox(outbox).build();
        let space = Arc::clone(&io.of("/").0);
        let recovery = space.recovery.clone().expect("it is on");
        (io, space, recovery)
    }

    /// One whom the namespace does not know yet.
    fn newcomer(io: &SocketIo, space: &Arc<Space<Peer>>) -> Arc<Peer> {
        let pid = Sid::generate().expect("the system has random numbers");
        let session = Session::detached(io.engine().core(), Transport::Polling);
        let in_flight = Arc::new(InFlight::new(1));
        let space = Arc::clone(space);
        Arc::new(Peer::new("ann".into(), Some(pid), session, Weak::new(), in_flight, space, Args::default()))
    }

    #[tokio::test]
    async fn one_that_is_shown_out_before_it_is_welcomed_is_not_taken_for_connected() {
        let (io, space, recovery) = recovering();
        let peer = newcomer(&io, &space);
        // As another thread may, that is faster.
        depart::depart(&peer, DisconnectReason::ServerNamespaceDisconnect);
        assert_eq!(give_back(&recovery, &peer, None), Err(Outside::Dismissed));
        assert!(recovery.live(&peer.pid.expect("it has one")).is_none());
        assert!(peer.joined().is_empty() && io.of("/").socket("ann").is_none());
        assert!(peer.session.member().topics().is_empty() && !peer.session.member().has_undelivered());
    }

    /// A request that waits until the session ends, and is then told so by whoever ends it.
    struct Waiting {
        recovery: Arc<Recovery<Peer>>,
        was_free: AtomicBool,
    }

    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.was_free.store(self.recovery.is_free(), Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn one_whose_welcome_overflows_is_closed_when_publishers_may_go_on() {
        let (io, space, recovery) = recovering();
        let peer = newcomer(&io, &space);
        let waiting = Arc::new(Waiting { recovery: Arc::clone(&recovery), was_free: AtomicBool::new(false) });
        peer.session.lock().poster = Some(Arc::clone(&waiting).into());
        let _ = peer.session.send("4first");
        assert_eq!(give_back(&recovery, &peer, None), Ok(()));
        assert_eq!(io.engine().metrics().overflowed(), 1);
        assert!(waiting.was_free.load(Ordering::Relaxed));
    }
}
