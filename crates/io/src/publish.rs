//! An event on its way to one socket or many: written once, recorded where recovery is on, and handed to the hub.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use switchboard_hub::{Delivery, Pushed};
use switchboard_io_proto::socket::{
    AckId, Args, Arguments, Decoder, EncodeError, EventHead, Flags, Frame, Frames, Incoming, Kind, Limits, Name,
    Parser, Selector,
};
use switchboard_ws::{Message, Parcel, Prepared, Utf8Bytes};

use crate::engine::{self, ParcelOptions, now};
use crate::error::EmitError;
use crate::guarded::guarded;
use crate::peer::Peer;
use crate::plain_form::PlainForm;
use crate::recovery::Recovery;
use crate::space::Space;

thread_local! {
    /// Where packets for one socket are written before they are copied to its connection's output.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Room that an idle thread keeps for it.
const SCRATCH_KEPT: usize = 64 << 10;

/// An event that is to be sent.
pub(crate) struct Event<'a, A: ?Sized> {
    pub(crate) name: &'a str,
    /// It is called by a number.
    pub(crate) is_number: bool,
    pub(crate) args: &'a A,
    /// Set when answers are awaited.
    pub(crate) id: Option<AckId>,
}

impl<'a, A: ?Sized> Event<'a, A> {
    pub(crate) fn new(name: &'a str, args: &'a A) -> Self {
        Self { name, is_number: false, args, id: None }
    }

    /// As one that has come is called.
    pub(crate) fn called(name: &'a Name, args: &'a A) -> Self {
        Self { is_number: name.is_number(), ..Self::new(name, args) }
    }

    /// The same, written already.
    fn with_args<'b>(&self, args: &'b Args) -> Event<'b, Args>
    where
        'a: 'b,
    {
        Event { name: self.name, is_number: self.is_number, args, id: self.id }
    }

    /// Its answers are awaited.
    pub(crate) fn with_id(&self, id: AckId) -> Self {
        Self { id: Some(id), ..*self }
    }
}

/// Sends an event to everyone whom the selector means, but one.
pub(crate) fn broadcast<A: Arguments + ?Sized>(
    space: &Space<Peer>,
    selector: &Selector,
    skip: Option<&Peer>,
    event: &Event<'_, A>,
) -> Result<Delivery, EmitError> {
    tell_onlookers(space, selector, skip, event)?;
    let form = space.settings.plain_form.as_ref();
    let Some(recovery) = recoverable(space, event) else {
        let frames = write(space, event, None)?;
        let plain = form.map(|form| {
            let (parser, frames) = (space.settings.parser, frames.clone());
            plain(form, move || read(parser, &frames))
        });
        return Ok(deliver(space, selector, skip, &frames, plain).settle());
    };
    // Serialising is the user's code, which must not run under the lock.
    let args = Args::new(space.settings.parser, event.args)?;
    let plain = form.map(|form| {
        let (name, args) = (Name::from(event.name), args.clone());
        plain(form, move || Some((name.clone(), args.clone())))
    });
    let event = &event.with_args(&args);
    let recorded = match skip {
        Some(skip) => selector.clone().except(&skip.id),
        None => selector.clone(),
    };
    let handed = record(space, recovery, recorded, event, |frames| deliver(space, selector, skip, frames, plain))?;
    Ok(handed.settle())
}

/// Sends an event to one socket.
pub(crate) fn emit<A: Arguments + ?Sized>(peer: &Peer, flags: Flags, event: &Event<'_, A>) -> Result<(), EmitError> {
    if !peer.is_connected() {
        return Err(EmitError::Disconnected);
    }
    look_on(peer, event)?;
    let space = &*peer.space;
    let Some(recovery) = recoverable(space, event) else {
        return emit_directly(peer, flags, event);
    };
    let selector = Selector { flags, ..Selector::new().to(&peer.id) };
    let args = Args::new(space.settings.parser, event.args)?;
    let event = &event.with_args(&args);
    let pushed = record(space, recovery, selector, event, |frames| send_unsettled(peer, frames, flags))?;
    peer.session.settle(pushed);
    Ok(())
}

/// Sends a packet that is written already to one socket.
pub(crate) fn send(peer: &Peer, frames: &Frames, flags: Flags) -> Pushed {
    peer.session.settle(send_unsettled(peer, frames, flags))
}

/// The same by somebody who holds a lock: the session is to be settled with when none is held.
pub(crate) fn send_unsettled(peer: &Peer, frames: &Frames, flags: Flags) -> Pushed {
    peer.session.send_unsettled(engine::parcel(parts(frames), options(flags)))
}

/// A packet's messages, as the engine takes them.
pub(crate) fn parts(frames: &Frames) -> Box<[Message]> {
    frames.iter().map(part).collect()
}

/// How a packet is to be treated on its way.
pub(crate) fn options(flags: Flags) -> ParcelOptions {
    ParcelOptions { volatile: flags.volatile, compress: flags.compress.unwrap_or(true) }
}

/// Answers an event.
pub(crate) fn answer<A: Arguments + ?Sized>(peer: &Peer, id: AckId, args: &A) -> Result<(), EmitError> {
    if !peer.is_connected() {
        return Err(EmitError::Disconnected);
    }
    send_directly(peer, Flags::default(), |parser, out, attachments| {
        parser.ack_into(&peer.space.name, id, args, out, attachments)
    })
}

/// The sockets that a selector means.
pub(crate) fn selected(space: &Space<Peer>, selector: &Selector, skip: Option<&Peer>) -> Vec<Arc<Peer>> {
    if let Some(peer) = only_one(space, selector) {
        let is_skipped = skip.is_some_and(|skip| std::ptr::eq(skip, &*peer));
        return if is_skipped { Vec::new() } else { vec![peer] };
    }
    make_own_rooms(space, selector);
    let is_skipped = |peer: &Arc<Peer>| skip.is_some_and(|skip| std::ptr::eq(skip, &raw const **peer));
    // Both under the lock under which members get other names: an upgrade gives them one.
    let roll = space.roll();
    let members = space.topics(selector).with(|audience| space.hub.members_of(audience));
    let peers = members.into_iter().filter_map(|member| roll.of_member(member));
    peers.filter(|peer| !is_skipped(peer)).cloned().collect()
}

fn emit_directly<A: Arguments + ?Sized>(peer: &Peer, flags: Flags, event: &Event<'_, A>) -> Result<(), EmitError> {
    let head = head(&peer.space, event, None);
    send_directly(peer, flags, |parser, out, attachments| parser.event_into(&head, event.args, out, attachments))
}

/// Writes a packet for one socket and sends it.
fn send_directly(
    peer: &Peer,
    flags: Flags,
    write: impl FnOnce(Parser, &mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
) -> Result<(), EmitError> {
    // Taken out while it is used: what is serialised is the user's, and may send something itself.
    let (mut out, mut attachments) = (SCRATCH.take(), Vec::new());
    let parser = peer.space.settings.parser;
    let written = write(parser, &mut out, &mut attachments)
        .map_err(EmitError::from)
        .and_then(|()| check(&peer.space, &attachments));
    if written.is_ok() {
        if parser == Parser::Json && attachments.is_empty() && flags == Flags::default() {
            // One text message, the usual case, needs no parcel.
            peer.session.send_text(std::str::from_utf8(&out).expect("the parser writes UTF-8"));
        } else {
            let bytes = std::mem::take(&mut out).into();
            let first = if parser == Parser::Json { Frame::Text(bytes) } else { Frame::Binary(bytes) };
            send(peer, &Frames { first, attachments }, flags);
        }
    }
    if out.capacity() <= SCRATCH_KEPT {
        out.clear();
        SCRATCH.set(out);
    }
    written
}

fn part(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(Utf8Bytes::try_from(text).expect("the parser writes UTF-8")),
        Frame::Binary(bytes) => Message::Binary(bytes),
    }
}

/// The memory that an event goes by, where recovery is on. One that is to be answered goes without: nobody waits for the
/// answer of a client that is given it later.
fn recoverable<'s, A: ?Sized>(space: &'s Space<Peer>, event: &Event<'_, A>) -> Option<&'s Recovery<Peer>> {
    space.recovery.as_deref().filter(|_| event.id.is_none())
}

/// Writes an event with its offset, records it unless it may be lost, and hands it on before anyone else
/// may: so clients get packets in the order of their offsets. `hand_on` runs under the lock that all publishers take:
/// it must settle with no session, which may call listeners, and those may publish.
pub(crate) fn record<R>(
    space: &Space<Peer>,
    recovery: &Recovery<Peer>,
    selector: Selector,
    event: &Event<'_, Args>,
    hand_on: impl FnOnce(&Frames) -> R,
) -> Result<R, EmitError> {
    let mut log = recovery.lock();
    let frames = if selector.flags.volatile {
        // A client takes any string at the end of an event for an offset: it gets a true one here too.
        write(space, event, Some(&log.offset()))?
    } else {
        let write = |offset: &str| write(space, event, Some(offset));
        recovery.record(&mut log, &space.name, selector, now(), write)?
    };
    let handed_on = hand_on(&frames);
    drop(log);
    Ok(handed_on)
}

fn write<A: Arguments + ?Sized>(
    space: &Space<Peer>,
    event: &Event<'_, A>,
    offset: Option<&str>,
) -> Result<Frames, EmitError> {
    let frames = space.settings.parser.event(&head(space, event, offset), event.args)?;
    check(space, &frames.attachments)?;
    Ok(frames)
}

fn head<'a, A: ?Sized>(space: &'a Space<Peer>, event: &Event<'a, A>, offset: Option<&'a str>) -> EventHead<'a> {
    EventHead { namespace: &space.name, name: event.name, is_number: event.is_number, id: event.id, offset }
}

/// A client that gets more attachments than it allows closes its connection.
fn check(space: &Space<Peer>, attachments: &[Bytes]) -> Result<(), EmitError> {
    let (count, limit) = (attachments.len(), space.settings.outgoing_attachments);
    if count > limit { Err(EmitError::TooManyAttachments { count, limit }) } else { Ok(()) }
}

/// How plain WebSockets are to hear an event.
type Plain = Box<dyn Fn() -> Option<Prepared> + Send + Sync>;

/// `said`: the event. Asked for by the driver of whichever plain WebSocket is the first to hear it, if there is one.
fn plain(form: &PlainForm, said: impl Fn() -> Option<(Name, Args)> + Send + Sync + 'static) -> Plain {
    let form = form.clone();
    let tell = move || said().and_then(|(name, args)| form.tell(&name, &args));
    Box::new(move || guarded("the form for plain WebSockets", &tell).flatten())
}

/// The event that was written as these packets. `None`: its data is deeper than what is ever read.
fn read(parser: Parser, frames: &Frames) -> Option<(Name, Args)> {
    let mut limits = Limits::default();
    (limits.attachments, limits.bytes) = (usize::MAX, usize::MAX);
    let (mut decoder, mut packet) = (Decoder::new(), None);
    for frame in frames.iter() {
        let message = match frame {
            // The first character is for Engine.IO.
            Frame::Text(text) => Incoming::OwnedText(text.slice(1..)),
            Frame::Binary(bytes) => Incoming::Binary(bytes),
        };
        packet = parser.decode(&mut decoder, &limits, message).ok()?;
    }
    match packet?.kind {
        Kind::Event { name, args, .. } => Some((name, args)),
        _ => None,
    }
}

fn deliver(
    space: &Space<Peer>,
    selector: &Selector,
    skip: Option<&Peer>,
    frames: &Frames,
    plain: Option<Plain>,
) -> Handed {
    let (parts, options) = (parts(frames), options(selector.flags));
    let parcel = match plain {
        Some(plain) => engine::parcel_with_plain(parts, options, plain),
        None => engine::parcel(parts, options),
    };
    if let Some(peer) = only_one(space, selector) {
        return deliver_to_one(peer, skip, parcel);
    }
    make_own_rooms(space, selector);
    let delivery = space.topics(selector).with(|audience| match skip {
        // It knows its name of the very moment, which an upgrade changes.
        Some(skip) => skip.session.member().publish_to(audience, parcel),
        None => space.hub.publish_to(audience, parcel),
    });
    Handed { delivery, alone: None }
}

fn deliver_to_one(peer: Arc<Peer>, skip: Option<&Peer>, parcel: Parcel) -> Handed {
    if skip.is_some_and(|skip| std::ptr::eq(skip, &raw const *peer)) {
        return Handed { delivery: Delivery::default(), alone: None };
    }
    let pushed = peer.session.send_unsettled(parcel);
    Handed { delivery: delivery(pushed), alone: Some((peer, pushed)) }
}

/// An event that was handed on.
#[must_use = "whoever lost it is to be settled with"]
struct Handed {
    delivery: Delivery,
    /// The one whom it went to past the hub.
    alone: Option<(Arc<Peer>, Pushed)>,
}

impl Handed {
    /// Does what follows, which calls listeners: to be called when no locks are held.
    fn settle(self) -> Delivery {
        if let Some((peer, pushed)) = &self.alone {
            peer.session.settle(*pushed);
        }
        self.delivery
    }
}

/// What became of a parcel for one socket.
fn delivery(pushed: Pushed) -> Delivery {
    let mut delivery = Delivery::default();
    match pushed {
        Pushed::Sent => delivery.reached = 1,
        Pushed::Buffered => (delivery.reached, delivery.lagging) = (1, 1),
        Pushed::Dropped => delivery.dropped = 1,
        Pushed::Overflowed => delivery.overflowed = 1,
        Pushed::Closed => {}
    }
    delivery
}

/// The socket that is meant, if it is a single one by its own id, in whose room nobody else is.
fn only_one(space: &Space<Peer>, selector: &Selector) -> Option<Arc<Peer>> {
    let [room] = &selector.rooms[..] else { return None };
    if !selector.except.is_empty() {
        return None;
    }
    let peer = space.owner(room).filter(|peer| peer.is_in_own_room())?;
    let is_shared = space.topics(selector).with(|audience| space.hub.count_of(audience)) > 0;
    (!is_shared).then_some(peer)
}

/// Rooms that bear the id of a socket are made before they are spoken to together with others.
fn make_own_rooms(space: &Space<Peer>, selector: &Selector) {
    selector.rooms.iter().chain(&selector.except).for_each(|room| make_own_room(space, room));
}

/// The same for one room.
pub(crate) fn make_own_room(space: &Space<Peer>, room: &str) {
    if let Some(owner) = space.owner(room) {
        owner.make_own_room();
    }
}

/// Calls those who see what is sent to one socket.
fn look_on<A: Arguments + ?Sized>(peer: &Peer, event: &Event<'_, A>) -> Result<(), EmitError> {
    if peer.space.onlookers.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let onlookers = peer.listeners.onlookers();
    if !onlookers.is_empty() {
        let args = Args::new(peer.space.settings.parser, event.args)?;
        for onlooker in &onlookers {
            guarded("a listener for outgoing events", || onlooker(event.name, &args));
        }
    }
    Ok(())
}

fn tell_onlookers<A: Arguments + ?Sized>(
    space: &Space<Peer>,
    selector: &Selector,
    skip: Option<&Peer>,
    event: &Event<'_, A>,
) -> Result<(), EmitError> {
    if space.onlookers.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    selected(space, selector, skip).iter().try_for_each(|peer| look_on(peer, event))
}
