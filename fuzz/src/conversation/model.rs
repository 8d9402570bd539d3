//! What ought to happen in a conversation, told by the application at the moment when it does something: the program has
//! one thread, so that there is one order of all that is published, and each client must meet its part of it in that.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use switchboard_io::{DisconnectReason, Socket, Value};
use tokio::time::Instant;

use crate::values::same;

/// How long a lost client may stay away.
pub(super) const MOST_AWAY: Duration = Duration::from_secs(120);

/// How long a client may take to join something.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);

/// The model of a server and its clients. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

impl Model {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A failed check must not hide behind a poisoned lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) recovers: bool,
    /// Connections, by the number that each has in its query.
    pub(super) lines: Vec<Line>,
    /// Sockets, and those that a middleware has not let in yet but put into a room.
    pub(super) seats: BTreeMap<(usize, String), Seat>,
    /// Those who may come back, by namespace and id.
    lost: HashMap<(String, String), Seat>,
    /// Answers that clients gave to what they were asked, by its number.
    pub(super) answers: HashMap<u32, Vec<Value>>,
    /// Questions whose end was not heard of yet.
    pub(super) asking: BTreeSet<u32>,
    /// What was published that can be recovered.
    published: Vec<Published>,
    next_tag: u32,
    failures: Vec<String>,
}

/// One connection.
pub(super) struct Line {
    opened: Instant,
    was_in: bool,
    /// What was sent by it and not met yet.
    queue: VecDeque<(String, What, Must)>,
    /// What its client said and no handler has heard yet, by namespace.
    pub(super) said: HashMap<String, VecDeque<Said>>,
    /// It says anything: only that it gets nothing twice or out of order is known of it.
    pub(super) is_wild: bool,
    /// There is a reason why the server may close it.
    pub(super) may_close: bool,
    /// The server closed it after what it had to say.
    pub(super) is_dismissed: bool,
    /// Nobody reads it any more.
    pub(super) is_over: bool,
}

impl Line {
    /// One that is opened now.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            was_in: false,
            queue: VecDeque::new(),
            said: HashMap::new(),
            is_wild: false,
            may_close: false,
            is_dismissed: false,
            is_over: false,
        }
    }

    /// There is a reason to close it: also that it has joined nothing in time.
    pub(super) fn is_due(&self) -> bool {
        let is_late = !self.was_in && self.opened.elapsed() >= CONNECT_TIMEOUT;
        is_late || self.may_close || self.is_wild || self.is_over || self.is_dismissed
    }
}

/// Whether something has to be met.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Must {
    Be,
    /// It is volatile, or the client has had it before.
    NotBe,
}

/// What a server sends to a client.
#[derive(Debug, Clone)]
pub(super) enum What {
    Welcome { id: String },
    Refused,
    Event { tag: u32, payload: Value, asks: bool },
    Ack { id: u64, args: Vec<Value> },
    Disconnect,
}

/// What a client has said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) id: Option<u64>,
    pub(super) args: Vec<Value>,
}

#[derive(Default)]
pub(super) struct Seat {
    id: String,
    /// It is in, and not only in rooms.
    pub(super) is_in: bool,
    pub(super) rooms: BTreeSet<String>,
    namespace: String,
    /// The first event that was published after it was new.
    since_tag: u32,
    /// What it was sent since, and can be recovered.
    history: BTreeSet<u32>,
    since: Option<Instant>,
    /// Of one that comes back: the first event that was published after a middleware had put it into a room, and the
    /// rooms that it was in before.
    before: Option<(u32, BTreeSet<String>)>,
}

/// An event, and whom it was for.
struct Published {
    tag: u32,
    payload: Value,
    namespace: String,
    rooms: Vec<String>,
    except: Vec<String>,
    /// The id of the one that does not hear it.
    skip: Option<String>,
}

impl Seat {
    /// Whether an event for these rooms is for it.
    fn is_meant(&self, rooms: &[String], except: &[String]) -> bool {
        self.is_meant_in(&self.rooms, rooms, except)
    }

    /// The same, as long as it was in those rooms.
    fn is_meant_in(&self, its: &BTreeSet<String>, rooms: &[String], except: &[String]) -> bool {
        let is_in = |room: &String| *room == self.id || its.contains(room);
        let included = if rooms.is_empty() { self.is_in } else { rooms.iter().any(is_in) };
        included && !except.iter().any(is_in)
    }
}

/// Whom an event is for.
pub(super) struct Audience<'a> {
    pub(super) namespace: &'a str,
    pub(super) rooms: &'a [String],
    pub(super) except: &'a [String],
    pub(super) skip: Option<usize>,
}

/// How it is sent.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Plain,
    Volatile,
    Asks,
}

/// What a client says of itself when it comes back.
pub(super) struct Back {
    pub(super) id: String,
    pub(super) has_offset: bool,
    /// The last event that it has met.
    pub(super) tag: Option<u32>,
}

impl State {
    /// Notes a failure: handlers must not panic, since the server would catch that where no fuzzer runs.
    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(what());
        }
    }

    pub(super) fn settle_accounts(&self) {
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
    }

    /// A number for an event.
    pub(super) fn tag(&mut self) -> u32 {
        self.next_tag += 1;
        self.next_tag
    }

    pub(super) fn send(&mut self, line: usize, namespace: &str, what: What) {
        self.push(line, namespace, what, Must::Be);
    }

    fn push(&mut self, line: usize, namespace: &str, what: What, must: Must) {
        let line = &mut self.lines[line];
        if !line.is_over && !line.is_dismissed {
            line.queue.push_back((namespace.to_owned(), what, must));
        }
    }

    /// A middleware puts a socket into a room. One that comes back hears nothing there before it is let in, and is then
    /// given what was said there.
    pub(super) fn arrive(&mut self, line: usize, socket: &Socket, room: &str) {
        if socket.recovered() {
            let key = (socket.namespace().to_owned(), socket.id().to_string());
            if let Some(lost) = self.lost.get_mut(&key) {
                lost.before = Some((self.next_tag + 1, lost.rooms.clone()));
                lost.rooms.insert(room.to_owned());
            }
            return;
        }
        let seat = self.seats.entry((line, socket.namespace().to_owned())).or_default();
        seat.id = socket.id().to_string();
        seat.rooms.insert(room.to_owned());
    }

    /// A middleware refuses a socket.
    pub(super) fn refuse(&mut self, line: usize, namespace: &str) {
        self.seats.remove(&(line, namespace.to_owned()));
        self.send(line, namespace, What::Refused);
    }

    /// A socket is in, and its client was just told.
    pub(super) fn enter(&mut self, line: usize, socket: &Socket, back: Option<Back>) {
        let (namespace, id) = (socket.namespace().to_owned(), socket.id().to_string());
        let key = (line, namespace.clone());
        let early = self.seats.remove(&key).unwrap_or_default();
        self.check(!early.is_in, || format!("{key:?} came twice"));
        let mut seat = Seat {
            id: id.clone(),
            is_in: true,
            namespace: namespace.clone(),
            rooms: early.rooms,
            since_tag: self.next_tag + 1,
            ..Seat::default()
        };
        if socket.recovered() {
            let lost = self.lost.remove(&(namespace.clone(), id.clone()));
            self.check(lost.is_some() && back.is_some(), || format!("{key:?} recovered what nobody had lost"));
            if let (Some(lost), Some(back)) = (lost, back) {
                self.give_back(line, &lost, &back);
                seat.rooms.extend(lost.rooms);
                (seat.history, seat.since_tag) = (lost.history, lost.since_tag);
            }
        } else if let Some(back) = back {
            let lost = self.lost.remove(&(namespace.clone(), back.id));
            let in_time = lost.and_then(|lost| lost.since).is_some_and(|since| since.elapsed() < MOST_AWAY);
            self.check(!in_time, || format!("{key:?} came back in time and was not recovered"));
        }
        seat.rooms.insert(id.clone());
        self.lines[line].said.remove(&namespace);
        self.lines[line].was_in = true;
        self.send(line, &namespace, What::Welcome { id });
        self.seats.insert(key, seat);
    }

    /// One that was lost is given back what it missed. As in Node, what was published before it was lost is chosen by
    /// the rooms that it was in when it was lost: of rooms that it had joined or left by then it may be given more, or
    /// less.
    fn give_back(&mut self, line: usize, lost: &Seat, back: &Back) {
        let mut given = Vec::new();
        for it in self.published.iter().filter(|it| it.namespace == lost.namespace && it.tag >= lost.since_tag) {
            let had = back.tag.is_some_and(|tag| it.tag <= tag);
            if had && back.has_offset {
                continue;
            }
            let was_meant = lost.history.contains(&it.tag);
            let before = lost.before.as_ref().filter(|(since, _)| it.tag < *since);
            let rooms = before.map_or(&lost.rooms, |(_, rooms)| rooms);
            let is_chosen = lost.is_meant_in(rooms, &it.rooms, &it.except) && it.skip.as_ref() != Some(&lost.id);
            let must = if was_meant && is_chosen && !had { Must::Be } else { Must::NotBe };
            if was_meant || is_chosen {
                given.push((What::Event { tag: it.tag, payload: it.payload.clone(), asks: false }, must));
            }
        }
        given.into_iter().for_each(|(what, must)| self.push(line, &lost.namespace, what, must));
    }

    /// A socket has left.
    pub(super) fn leave(&mut self, line: usize, socket: &Socket, reason: DisconnectReason, has_pid: bool) {
        use DisconnectReason::{ClientNamespaceDisconnect, ParseError, ServerNamespaceDisconnect};
        let key = (line, socket.namespace().to_owned());
        let Some(mut seat) = self.seats.remove(&key) else {
            return self.check(false, || format!("{key:?} left without having been there"));
        };
        self.lines[line].said.remove(&key.1);
        if reason == ServerNamespaceDisconnect {
            // Told just now, before anybody heard of it.
            self.send(line, &key.1, What::Disconnect);
        }
        let closes = !matches!(reason, ClientNamespaceDisconnect | ServerNamespaceDisconnect);
        let is_due = self.lines[line].is_due();
        self.check(!closes || is_due, || format!("{key:?} was closed for nothing: {reason}"));
        if self.recovers && has_pid && closes && reason != ParseError {
            seat.since = Some(Instant::now());
            self.lost.insert((key.1, seat.id.clone()), seat);
        }
    }

    /// Something was published.
    pub(super) fn publish(&mut self, audience: &Audience<'_>, tag: u32, payload: &Value, manner: Manner) {
        let mut meant = Vec::new();
        for ((line, namespace), seat) in &mut self.seats {
            let is_here = namespace == audience.namespace && audience.skip != Some(*line);
            if is_here && seat.is_meant(audience.rooms, audience.except) {
                meant.push(*line);
                if manner == Manner::Plain {
                    seat.history.insert(tag);
                }
            }
        }
        for line in meant {
            let must = if manner == Manner::Volatile { Must::NotBe } else { Must::Be };
            let what = What::Event { tag, payload: payload.clone(), asks: manner == Manner::Asks };
            self.push(line, audience.namespace, what, must);
        }
        if manner != Manner::Plain {
            return;
        }
        for ((namespace, _), seat) in &mut self.lost {
            if namespace == audience.namespace && seat.is_meant(audience.rooms, audience.except) {
                seat.history.insert(tag);
            }
        }
        let skip = audience.skip.and_then(|line| self.seats.get(&(line, audience.namespace.to_owned())));
        self.published.push(Published {
            tag,
            payload: payload.clone(),
            namespace: audience.namespace.to_owned(),
            rooms: audience.rooms.to_vec(),
            except: audience.except.to_vec(),
            skip: skip.map(|seat| seat.id.clone()),
        });
    }

    /// A handler, or the middleware before it, hears an event. `None`: nothing is known of what its client says.
    pub(super) fn hear(&mut self, line: usize, namespace: &str, args: &[Value]) -> Option<Said> {
        let it = &mut self.lines[line];
        if it.is_wild {
            return None;
        }
        let said = it.said.get_mut(namespace).and_then(VecDeque::pop_front);
        let is_same = said.as_ref().is_some_and(|said| are_same(&said.args, args));
        self.check(is_same, || format!("{line} in {namespace} is heard as {args:?}, and said {said:?}"));
        said
    }

    /// An answer was heard.
    pub(super) fn answered(&mut self, tag: u32, answer: &(u32, Value)) {
        let given = self.answers.entry(tag).or_default();
        let place = given.iter().position(|it| same(it, &answer.1));
        place.map(|place| given.remove(place));
        // Anything may be what a wild one says.
        let is_known = place.is_some() && answer.0 == tag || self.lines.iter().any(|line| line.is_wild);
        self.check(is_known, || format!("{answer:?} was no answer to {tag}, or came twice"));
    }

    /// A client meets what was sent to it. Returns what was expected, if anything is known of it.
    pub(super) fn meet(&mut self, line: usize, namespace: &str, is_it: impl Fn(&What) -> bool, got: &str) {
        let it = &mut self.lines[line];
        while let Some((place, what, must)) = it.queue.pop_front() {
            if place == namespace && is_it(&what) {
                return;
            }
            assert!(must == Must::NotBe || it.is_wild, "{line} in {namespace} got {got}, not {what:?} in {place}");
        }
        panic!("{line} in {namespace} got {got}, which it was not sent, or has had");
    }

    /// All that was sent has come, and all that was said was heard.
    pub(super) fn check_line(&self, line: usize) {
        let it = &self.lines[line];
        let missing: Vec<_> = it.queue.iter().filter(|(_, _, must)| *must == Must::Be).collect();
        assert!(missing.is_empty(), "{line} did not get {missing:?}");
        for (namespace, said) in &it.said {
            let is_in = self.seats.contains_key(&(line, namespace.clone()));
            assert!(!is_in || said.is_empty(), "{line} was not heard in {namespace}: {said:?}");
        }
    }

    /// How many are in a namespace.
    pub(super) fn count(&self, namespace: &str) -> usize {
        self.seats.iter().filter(|((_, it), seat)| it == namespace && seat.is_in).count()
    }

    /// The socket of this number that is in.
    pub(super) fn pick(&self, number: u8) -> Option<(usize, String, String)> {
        let sockets: Vec<_> = self.seats.iter().filter(|(_, seat)| seat.is_in).collect();
        let place = usize::from(number).checked_rem(sockets.len())?;
        let ((line, namespace), seat) = sockets[place];
        Some((*line, namespace.clone(), seat.id.clone()))
    }

    /// The rooms of a socket.
    pub(super) fn rooms(&mut self, line: usize, namespace: &str) -> Option<&mut BTreeSet<String>> {
        self.seats.get_mut(&(line, namespace.to_owned())).map(|seat| &mut seat.rooms)
    }
}

/// The same values, in what JSON can say.
pub(super) fn are_same(now: &[Value], was: &[Value]) -> bool {
    now.len() == was.len() && now.iter().zip(was).all(|(now, was)| same(now, was) || same(was, now))
}
