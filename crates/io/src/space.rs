//! What a namespace is made of: its name, who is in it, and how they are reached. Generic over who that is, because
//! sockets are made above and kept below.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use switchboard_hub::Audience;
use switchboard_io_proto::engine::Sid;
use switchboard_io_proto::socket::{AckId, Namespace, Selector};
use switchboard_ws::{Admitted, Hub};

use crate::listeners::{Guard, Listener};
use crate::polls::Polls;
use crate::recovery::Recovery;
use crate::roll::Roll;
use crate::room;
use crate::server_events::ServerEvents;
use crate::settings::Settings;
use crate::watch::Watchers;

pub(crate) struct Space<P> {
    pub(crate) name: Namespace,
    pub(crate) hub: Hub,
    pub(crate) settings: Arc<Settings>,
    pub(crate) recovery: Option<Arc<Recovery<P>>>,
    /// Shared by the children of a parent namespace.
    pub(crate) rules: Arc<Rules<P>>,
    pub(crate) polls: Polls,
    pub(crate) server_events: ServerEvents,
    pub(crate) watchers: Watchers,
    /// The hub's topic of everyone here.
    pub(crate) everyone: String,
    /// Acks are counted by the namespace: one id may ask many sockets.
    next_ack: AtomicU64,
    /// Listeners of sockets that see what is sent: while there are none nobody is asked.
    pub(crate) onlookers: AtomicUsize,
    roll: Mutex<Roll<P>>,
    /// Those who are here or on their way in, of a namespace that goes when there are none.
    guests: AtomicUsize,
    /// Called when the last of them has left.
    on_empty: Option<OnEmpty<P>>,
    /// Its place among those that the clients of one address have made.
    _place: Option<Admitted>,
}

type OnEmpty<P> = Box<dyn Fn(&Space<P>) + Send + Sync>;

/// What happens to those who come.
pub(crate) struct Rules<P> {
    guards: RwLock<Vec<Arc<dyn Guard<P>>>>,
    on_connect: RwLock<Vec<Arc<dyn Listener<P>>>>,
    /// How many namespaces follow these: changed and looked at under the lock of all namespaces.
    spaces: AtomicUsize,
}

impl<P> Space<P> {
    pub(crate) fn new(
        name: Namespace,
        hub: Hub,
        settings: Arc<Settings>,
        recovery: Option<Arc<Recovery<P>>>,
        rules: Arc<Rules<P>>,
    ) -> Self {
        Self {
            everyone: room::everyone(&name),
            name,
            hub,
            settings,
            recovery,
            rules,
            polls: Polls::default(),
            server_events: ServerEvents::default(),
            watchers: Watchers::default(),
            next_ack: AtomicU64::new(0),
            onlookers: AtomicUsize::new(0),
            roll: Mutex::default(),
            guests: AtomicUsize::new(0),
            on_empty: None,
            _place: None,
        }
    }

    /// A client has made it, and it counts for the client's address.
    pub(crate) fn placed(mut self, place: Option<Admitted>) -> Self {
        self._place = place;
        self
    }

    /// Has `on_empty` called whenever the last one has left.
    pub(crate) fn when_empty(mut self, on_empty: impl Fn(&Self) + Send + Sync + 'static) -> Self {
        self.on_empty = Some(Box::new(on_empty));
        self
    }

    /// Whether it goes when it is empty.
    pub(crate) fn may_go(&self) -> bool {
        self.on_empty.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.guests.load(Ordering::Acquire) == 0
    }

    /// Somebody is on the way in.
    pub(crate) fn guest_came(&self) {
        self.guests.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody has left, or was not let in.
    pub(crate) fn guest_left(&self) {
        if let Some(on_empty) = &self.on_empty
            && self.guests.fetch_sub(1, Ordering::AcqRel) == 1
        {
            on_empty(self);
        }
    }

    pub(crate) fn next_ack(&self) -> AckId {
        self.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn roll(&self) -> MutexGuard<'_, Roll<P>> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket whose id this room bears, if it is one and here.
    pub(crate) fn owner(&self, room: &str) -> Option<Arc<P>> {
        // Not everyone who speaks to a room waits for the lock.
        if room.len() < Sid::LEN { None } else { self.roll().get(room).cloned() }
    }

    /// The hub's topics of the rooms that a selector names.
    pub(crate) fn topics(&self, selector: &Selector) -> Topics {
        let topic = |room: &switchboard_io_proto::socket::Name| room::topic(&self.name, room);
        let include = match selector.rooms.is_empty() {
            true => vec![self.everyone.clone()],
            false => selector.rooms.iter().map(topic).collect(),
        };
        Topics { include, except: selector.except.iter().map(topic).collect() }
    }
}

impl<P> Rules<P> {
    /// How many namespaces there are that follow these.
    pub(crate) fn spaces(&self) -> usize {
        self.spaces.load(Ordering::Acquire)
    }

    pub(crate) fn space_came(&self) {
        self.spaces.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn space_gone(&self) {
        self.spaces.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn guards(&self) -> Vec<Arc<dyn Guard<P>>> {
        self.guards.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn on_connect(&self) -> Vec<Arc<dyn Listener<P>>> {
        self.on_connect.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_guard(&self, guard: Arc<dyn Guard<P>>) {
        self.guards.write().unwrap_or_else(PoisonError::into_inner).push(guard);
    }

    pub(crate) fn add_on_connect(&self, listener: Arc<dyn Listener<P>>) {
        self.on_connect.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
}

impl<P> Default for Rules<P> {
    fn default() -> Self {
        Self { guards: RwLock::default(), on_connect: RwLock::default(), spaces: AtomicUsize::new(0) }
    }
}

/// Topics by their names.
pub(crate) struct Topics {
    include: Vec<String>,
    except: Vec<String>,
}

impl Topics {
    /// Does something with those who are in them.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Audience<'_>) -> R) -> R {
        let include: Vec<&str> = self.include.iter().map(String::as_str).collect();
        let except: Vec<&str> = self.except.iter().map(String::as_str).collect();
        f(&Audience::topics(&include).except(&except))
    }
}
