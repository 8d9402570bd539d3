//! Whom an event goes to, chosen step by step: rooms, exceptions, how it is sent. What Node calls a broadcast operator.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use switchboard_hub::Delivery;
use switchboard_io_proto::socket::{Arguments, EncodeError, Name, Selector, is_reserved};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::answers::Answers;
use crate::error::EmitError;
use crate::in_place::AwaitsAck;
use crate::peer::Peer;
use crate::publish::{self, Event};
use crate::router::Parent;
use crate::space::Space;

/// How long many sockets are waited for, unless set otherwise.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// Sockets of a namespace, or of all children of a parent, and how to send to them. Each step gives a new value; one can
/// be kept and used many times.
///
/// Several rooms mean everyone in at least one of them, each once.
#[derive(Clone)]
#[must_use = "it sends nothing until `emit`"]
pub struct Broadcast {
    place: Place,
    selector: Selector,
    /// The socket that speaks, which does not hear itself.
    skip: Option<Arc<Peer>>,
}

/// Where the sockets are.
#[derive(Clone)]
enum Place {
    Namespace(Arc<Space<Peer>>),
    /// Those that there are when something is sent.
    Children(Arc<Parent>),
}

impl Broadcast {
    /// Everyone in a namespace but `skip`.
    pub(crate) fn new(space: Arc<Space<Peer>>, skip: Option<Arc<Peer>>) -> Self {
        Self { place: Place::Namespace(space), selector: Selector::new(), skip }
    }

    /// Everyone in all children of a parent.
    pub(crate) fn to_children(parent: Arc<Parent>) -> Self {
        Self { place: Place::Children(parent), selector: Selector::new(), skip: None }
    }

    /// Only those in these rooms (and in others given before).
    pub fn to<R: Rooms>(mut self, rooms: R) -> Self {
        self.selector = self.selector.to_each(rooms.names());
        self
    }

    /// The same as [`to`](Self::to); reads better before anything but `emit`. (`in` is a word of Rust's.)
    pub fn within<R: Rooms>(self, rooms: R) -> Self {
        self.to(rooms)
    }

    /// But for those in these rooms. The id of a socket is a room with that socket in it.
    pub fn except<R: Rooms>(mut self, rooms: R) -> Self {
        self.selector = self.selector.except_each(rooms.names());
        self
    }

    /// May be lost: whoever is not ready to take it does not get it later.
    pub fn volatile(mut self) -> Self {
        self.selector = self.selector.volatile();
        self
    }

    /// Only sockets of this server, not those of others in a cluster.
    pub fn local(mut self) -> Self {
        self.selector = self.selector.local();
        self
    }

    /// Whether to compress it, where compression is on.
    pub fn compress(mut self, compress: bool) -> Self {
        self.selector = self.selector.compress(compress);
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits. Default 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.selector = self.selector.timeout(timeout);
        self
    }

    /// Sends an event. It is written once, queued, and never waited for: each socket has a bounded queue with a policy
    /// of its own.
    ///
    /// # Errors
    /// It cannot be written: a reserved name, or data that does not serialise.
    pub fn emit<A: Arguments + ?Sized>(&self, event: &str, args: &A) -> Result<Delivery, EmitError> {
        self.publish(&Event::new(event, args))
    }

    /// Sends an event on that has come by the name `event`, which [`Event`](crate::Event) gives: one that is called by
    /// a [number](Name::is_number) still is. By [`emit`](Self::emit) it would be called by a text.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn relay<A: Arguments + ?Sized>(&self, event: &Name, args: &A) -> Result<Delivery, EmitError> {
        self.publish(&Event::called(event, args))
    }

    /// Sends a `message` event.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send<A: Arguments + ?Sized>(&self, args: &A) -> Result<Delivery, EmitError> {
        self.emit("message", args)
    }

    /// Sends an event whose receivers are to answer, each with what reads as `T`: a tuple for several arguments, else
    /// the first one.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: &(impl Arguments + ?Sized),
    ) -> Result<Answers<T>, EmitError> {
        let (tell, answers) = mpsc::unbounded_channel();
        let until = Instant::now() + self.selector.flags.timeout.unwrap_or(POLL_TIMEOUT);
        let mut answers = Answers::new(answers, until);
        let event = Event::new(event, args);
        self.each(event.name, |space| {
            let awaits = |peer: &Arc<Peer>| (peer.id.clone(), AwaitsAck::begin(&peer.in_flight, &peer.session));
            let owing: HashMap<_, _> = self.peers_in(space).iter().map(awaits).collect();
            let id = space.next_ack();
            space.polls.open(id, owing.keys().cloned().collect(), tell.clone());
            // From here on it is closed when they are dropped.
            answers.expect(space, id, owing);
            publish::broadcast(space, &self.selector, self.skip(), &event.with_id(id)).map(drop)
        })?;
        Ok(answers)
    }

    /// How many sockets of this server it means.
    #[must_use]
    pub fn count(&self) -> usize {
        self.peers().len()
    }

    /// The sockets of this server that it means.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        match &self.place {
            Place::Namespace(space) => self.peers_in(space),
            Place::Children(parent) => parent.children().iter().flat_map(|space| self.peers_in(space)).collect(),
        }
    }

    fn peers_in(&self, space: &Space<Peer>) -> Vec<Arc<Peer>> {
        publish::selected(space, &self.selector, self.skip())
    }

    fn publish<A: Arguments + ?Sized>(&self, event: &Event<'_, A>) -> Result<Delivery, EmitError> {
        let mut sum = Delivery::default();
        self.each(event.name, |space| {
            let Delivery { reached, lagging, dropped, overflowed } =
                publish::broadcast(space, &self.selector, self.skip(), event)?;
            sum.reached += reached;
            sum.lagging += lagging;
            sum.dropped += dropped;
            sum.overflowed += overflowed;
            Ok(())
        })?;
        Ok(sum)
    }

    /// Sends an event of this name in each namespace that is meant.
    fn each(
        &self,
        event: &str,
        mut send: impl FnMut(&Arc<Space<Peer>>) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        match &self.place {
            Place::Namespace(space) => send(space),
            // Where there are no children nobody else would find the mistake.
            Place::Children(_) if is_reserved(event) => Err(EncodeError::ReservedEvent.into()),
            Place::Children(parent) => parent.children().iter().try_for_each(send),
        }
    }

    fn skip(&self) -> Option<&Peer> {
        self.skip.as_deref()
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace: &dyn fmt::Debug = match &self.place {
            Place::Namespace(space) => &space.name,
            Place::Children(_) => &"children",
        };
        f.debug_struct("Broadcast").field("namespace", namespace).field("selector", &self.selector).finish()
    }
}

/// One room, or several: a name, or an array, slice or `Vec` of names.
pub trait Rooms {
    /// The names.
    #[doc(hidden)]
    fn names(self) -> impl Iterator<Item = Name>;
}

macro_rules! one_room {
    ($($kind:ty),*) => {$(
        impl Rooms for $kind {
            fn names(self) -> impl Iterator<Item = Name> {
                std::iter::once(Name::from(self))
            }
        }
    )*};
}

one_room!(&str, String, &String, Name, &Name);

impl<R: Rooms, const N: usize> Rooms for [R; N] {
    fn names(self) -> impl Iterator<Item = Name> {
        self.into_iter().flat_map(Rooms::names)
    }
}

impl<R: Rooms> Rooms for Vec<R> {
    fn names(self) -> impl Iterator<Item = Name> {
        self.into_iter().flat_map(Rooms::names)
    }
}

impl<'a, R> Rooms for &'a [R]
where
    &'a R: Rooms,
{
    fn names(self) -> impl Iterator<Item = Name> {
        self.iter().flat_map(Rooms::names)
    }
}
