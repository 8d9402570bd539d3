//! What is called for what a socket hears and says: any number of listeners for each event, once or always, listeners
//! for all events, and middlewares before them.
//!
//! Kept with each socket, so a socket without any holds a pointer only. Generic over who the socket is, because
//! listeners are made above and kept below.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use switchboard_io_proto::socket::{AckId, Args, Name};

use crate::error::{Failure, Refusal};

/// What a listener has still to do.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// What a middleware has still to decide.
pub(crate) type Deciding = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// An event as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) name: Name,
    pub(crate) args: Args,
    /// Set if the sender wants an answer.
    pub(crate) ack: Option<AckId>,
    /// Whether it was answered, where several listeners could.
    pub(crate) answered: Option<Arc<AtomicBool>>,
    /// It tells of a failure: what fails in hearing it is not told in turn.
    pub(crate) is_failure: bool,
}

impl Heard {
    /// An event of the client's.
    pub(crate) fn event(name: Name, args: Args, ack: Option<AckId>) -> Self {
        Self { name, args, ack, answered: None, is_failure: false }
    }

    /// Something that wants no answer.
    pub(crate) fn news(name: impl Into<Name>, args: Args) -> Self {
        Self::event(name.into(), args, None)
    }
}

/// Hears events.
pub(crate) trait Listener<P>: Send + Sync {
    /// `None`: done already, or there was nothing to do.
    fn hear(&self, peer: &Arc<P>, heard: &Heard) -> Option<Pending>;
}

/// Decides whether something goes on.
pub(crate) trait Guard<P>: Send + Sync {
    fn decide(&self, peer: &Arc<P>, heard: &Heard) -> Deciding;
}

/// Sees what is sent.
pub(crate) type Onlooker = Arc<dyn Fn(&str, &Args) + Send + Sync>;

/// Names a listener, to remove it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

/// What a listener is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum For {
    Event(Name),
    /// All events that come.
    Any,
    /// The socket is about to leave its rooms, and then has left.
    Disconnecting,
    Disconnect,
    /// Something that a client did could not be worked with.
    Error,
    /// The client has gone over to a WebSocket.
    Upgrade,
}

impl For {
    /// What somebody wants to hear who gives this name, as in Node: the end of the socket goes by names of its own.
    pub(crate) fn name(event: Name) -> Self {
        match event.as_str() {
            "disconnect" => Self::Disconnect,
            "disconnecting" => Self::Disconnecting,
            _ => Self::Event(event),
        }
    }

    /// The name by which somebody could listen to this.
    fn event_name(&self) -> Option<Name> {
        match self {
            Self::Event(name) => Some(name.clone()),
            Self::Disconnect => Some("disconnect".into()),
            Self::Disconnecting => Some("disconnecting".into()),
            Self::Error => Some("error".into()),
            Self::Any | Self::Upgrade => None,
        }
    }
}

/// The listeners of one socket.
pub(crate) struct Listeners<P>(Mutex<Option<Box<Table<P>>>>);

struct Table<P> {
    listeners: Vec<Entry<P>>,
    guards: Vec<Arc<dyn Guard<P>>>,
    onlookers: Vec<(ListenerId, Onlooker)>,
}

struct Entry<P> {
    id: ListenerId,
    what: For,
    once: bool,
    listener: Arc<dyn Listener<P>>,
}

/// Those who are to be called for one thing; most often one.
pub(crate) type Called<P> = SmallVec<[Arc<dyn Listener<P>>; 2]>;

/// Those who decide whether an event is heard.
pub(crate) type Guards<P> = SmallVec<[Arc<dyn Guard<P>>; 1]>;

/// What is next for an event.
pub(crate) enum Next<P> {
    Ask(Guards<P>),
    Call(Called<P>),
}

impl<P> Listeners<P> {
    /// Adds a listener behind the others, or before them.
    pub(crate) fn add(&self, what: For, once: bool, first: bool, listener: Arc<dyn Listener<P>>) -> ListenerId {
        let id = next_id();
        let entry = Entry { id, what, once, listener };
        let mut table = self.lock();
        let listeners = &mut table.get_or_insert_default().listeners;
        if listeners.len() == listeners.capacity() {
            // Most sockets have few: a `Vec` would begin with room for four.
            listeners.reserve_exact(listeners.len() / 2 + 1);
        }
        let place = if first { 0 } else { listeners.len() };
        listeners.insert(place, entry);
        id
    }

    pub(crate) fn add_guard(&self, guard: Arc<dyn Guard<P>>) {
        self.lock().get_or_insert_default().guards.push(guard);
    }

    pub(crate) fn add_onlooker(&self, first: bool, onlooker: Onlooker) -> ListenerId {
        let id = next_id();
        let mut table = self.lock();
        let onlookers = &mut table.get_or_insert_default().onlookers;
        let place = if first { 0 } else { onlookers.len() };
        onlookers.insert(place, (id, onlooker));
        id
    }

    /// Removes one; `false` if it is not there (any more).
    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        // What is removed may own what belongs to users: it is dropped after the lock.
        let (gone, unseen) = match &mut *self.lock() {
            Some(table) => (
                extract(&mut table.listeners, |entry| entry.id == id),
                extract(&mut table.onlookers, |(other, _)| *other == id),
            ),
            None => (Vec::new(), Vec::new()),
        };
        !(gone.is_empty() && unseen.is_empty())
    }

    pub(crate) fn is_onlooker(&self, id: ListenerId) -> bool {
        self.lock().as_ref().is_some_and(|table| table.onlookers.iter().any(|(other, _)| *other == id))
    }

    /// Removes all for this.
    pub(crate) fn remove_all(&self, what: &For) {
        self.remove_where(|other| other == what);
    }

    /// Removes all that are not for all events that come.
    pub(crate) fn remove_named(&self) {
        self.remove_where(|what| *what != For::Any);
    }

    fn remove_where(&self, is_meant: impl Fn(&For) -> bool) {
        let gone = match &mut *self.lock() {
            Some(table) => extract(&mut table.listeners, |entry| is_meant(&entry.what)),
            None => Vec::new(),
        };
        drop(gone);
    }

    /// Removes all that see what is sent. Returns how many there were.
    pub(crate) fn remove_onlookers(&self) -> usize {
        let gone = self.lock().as_mut().map(|table| std::mem::take(&mut table.onlookers)).unwrap_or_default();
        gone.len()
    }

    pub(crate) fn count(&self, what: &For) -> usize {
        self.lock().as_ref().map_or(0, |table| table.listeners.iter().filter(|entry| entry.what == *what).count())
    }

    pub(crate) fn count_onlookers(&self) -> usize {
        self.lock().as_ref().map_or(0, |table| table.onlookers.len())
    }

    /// The names of what there are listeners for, each once.
    pub(crate) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let table = self.lock();
        for name in table.iter().flat_map(|table| &table.listeners).filter_map(|entry| entry.what.event_name()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The middlewares that an event has to pass, or who is to hear it where there are none.
    pub(crate) fn on_event(&self, name: &Name) -> Next<P> {
        match &mut *self.lock() {
            None => Next::Call(Called::new()),
            Some(table) if table.guards.is_empty() => Next::Call(table.for_event(name)),
            Some(table) => Next::Ask(table.guards.iter().cloned().collect()),
        }
    }

    /// Who is to hear an event that has passed.
    pub(crate) fn for_event(&self, name: &Name) -> Called<P> {
        self.lock().as_mut().map(|table| table.for_event(name)).unwrap_or_default()
    }

    pub(crate) fn for_other(&self, what: &For) -> Called<P> {
        let mut called = Called::new();
        if let Some(table) = &mut *self.lock() {
            table.take(|other| other == what, &mut called);
        }
        called
    }

    /// Who is to be told of a failure: also those who listen to events called `error`, as in Node.
    pub(crate) fn for_failure(&self) -> Called<P> {
        let mut called = Called::new();
        if let Some(table) = &mut *self.lock() {
            table.take(|what| *what == For::Error || matches!(what, For::Event(name) if name == "error"), &mut called);
        }
        called
    }

    pub(crate) fn onlookers(&self) -> SmallVec<[Onlooker; 1]> {
        let table = self.lock();
        let Some(table) = &*table else { return SmallVec::new() };
        table.onlookers.iter().map(|(_, onlooker)| Arc::clone(onlooker)).collect()
    }

    /// Removes everything: listeners may own the socket that owns them.
    pub(crate) fn clear(&self) {
        let all = self.lock().take();
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Table<P>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Table<P> {
    /// First those for all events, then those for this one. Those for once are removed.
    fn for_event(&mut self, name: &Name) -> Called<P> {
        let mut called = Called::new();
        self.take(|what| *what == For::Any, &mut called);
        self.take(|what| matches!(what, For::Event(event) if event == name), &mut called);
        called
    }

    fn take(&mut self, wanted: impl Fn(&For) -> bool, called: &mut Called<P>) {
        let mut any_once = false;
        for entry in self.listeners.iter().filter(|entry| wanted(&entry.what)) {
            any_once |= entry.once;
            called.push(Arc::clone(&entry.listener));
        }
        if any_once {
            self.listeners.retain(|entry| !(entry.once && wanted(&entry.what)));
        }
    }
}

impl<P> Default for Listeners<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self { listeners: Vec::new(), guards: Vec::new(), onlookers: Vec::new() }
    }
}

fn next_id() -> ListenerId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    ListenerId(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn extract<T>(from: &mut Vec<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let (gone, kept) = std::mem::take(from).into_iter().partition(|item| wanted(item));
    *from = kept;
    gone
}
