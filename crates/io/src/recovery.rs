//! Connection state recovery, in memory: what was sent of late, and whom we lost. A client that comes back is given all
//! that it missed, or is told that it is new.
//!
//! Two things differ from Node. A client need not have received anything to come back: what it is known to have is also
//! learnt from its pongs, so that a quiet connection recovers however long it was quiet. And one whose old connection
//! is not yet known to be dead takes its session over from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use switchboard_io_proto::engine::Sid;
use switchboard_io_proto::socket::{Frames, Namespace, Selector};
use switchboard_ws::{Budget, BudgetPart, BudgetWatch, OutboxLimits};

use memory::Memory;
use packets::{Missed, STEP, place};

pub(crate) use lost::Lost;
pub use memory::RecoveryCounters;
pub(crate) use memory::{Locked, Log};
pub(crate) use packets::Place;

mod lost;
mod memory;
mod packets;

/// Settings of connection state recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverySettings {
    /// How long a lost client may stay away. Default 2 minutes.
    pub max_disconnection_duration: Duration,
    /// Whether middlewares of namespaces are spared those who come back. Default: yes.
    pub skip_middlewares: bool,
    /// Packets kept at most, over all namespaces. Default 100,000. With more, the oldest go, and who missed them is
    /// new.
    pub max_packets: usize,
    /// Bytes of those packets, with the names of the rooms that they are for; and as many again of what is kept of lost
    /// clients: their rooms and data. Default 64 MiB.
    pub max_bytes: usize,
    /// Lost clients kept at most. Default 100,000. With more, in number or in bytes, the oldest go, and are new.
    pub max_sessions: usize,
}

impl Default for RecoverySettings {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_packets: 100_000,
            max_bytes: 64 << 20,
            max_sessions: 100_000,
        }
    }
}

/// A client that has come back, and may have what it lost.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) pid: Sid,
    pub(crate) lost: Lost,
    /// It has received everything up to here.
    pub(crate) received: Place,
    /// What came after that.
    pub(crate) missed: Missed,
}

/// The memory of all namespaces. Generic, because sockets are made above and kept below.
pub(crate) struct Recovery<P> {
    settings: RecoverySettings,
    /// How long packets are kept: an absence, and the longest that a client's receipt can be unknown before it.
    retention: Duration,
    /// What may wait for one client, and so the most that one can be given back.
    room: OutboxLimits,
    budget: Budget,
    memory: Arc<Memory>,
    /// Its place among what goes first when memory is short: nobody is connected for want of it.
    _watch: BudgetWatch,
    /// Those who are connected, by the secret with which they may come back.
    live: Mutex<HashMap<Sid, Weak<P>>>,
}

impl<P> Recovery<P> {
    /// `silence`: how long a client may be quiet before it is given up, ping and pong together.
    /// All of it counts in `budget`.
    pub(crate) fn new(settings: RecoverySettings, silence: Duration, budget: &Budget) -> Self {
        let memory = Arc::new(Memory::new(budget));
        let reserve: Weak<Memory> = Arc::downgrade(&memory);
        Self {
            settings,
            retention: settings.max_disconnection_duration + silence,
            room: OutboxLimits { messages: usize::MAX, bytes: usize::MAX, ..OutboxLimits::default() },
            budget: budget.clone(),
            memory,
            _watch: budget.reserve(reserve),
            live: Mutex::default(),
        }
    }

    /// Nobody is given back more than a queue of these limits holds. Who has missed more comes as somebody new: it
    /// would overflow its queue, be closed for that, and come back for the same again and again.
    pub(crate) fn with_room(self, room: OutboxLimits) -> Self {
        Self { room, ..self }
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.settings.skip_middlewares
    }

    /// The memory, for a step that must be one: to record and publish, or to look up and subscribe. Everyone who
    /// publishes waits meanwhile, so that packets reach each client in the order of their places.
    pub(crate) fn lock(&self) -> Locked<'_> {
        self.memory.lock()
    }

    /// The place of the newest packet that was handed on. Clients ask for it whenever they answer a ping: it waits for
    /// nobody who publishes.
    pub(crate) fn newest(&self) -> Place {
        self.memory.newest()
    }

    /// Records what `write` makes of the offset, and returns it.
    pub(crate) fn record<E>(
        &self,
        log: &mut Log,
        namespace: &Namespace,
        selector: Selector,
        now: Instant,
        write: impl FnOnce(&str) -> Result<Frames, E>,
    ) -> Result<Frames, E> {
        let frames = write(&packets::offset(log.newest() + 1))?;
        log.packets.push(now, namespace.clone(), selector, frames.clone());
        self.prune(log, now);
        Ok(frames)
    }

    /// A socket was lost whose client may come back and name `pid`.
    pub(crate) fn keep(&self, pid: Sid, lost: Lost, now: Instant) {
        let mut log = self.lock();
        log.lost.insert(pid, lost, now);
        self.prune(&mut log, now);
        drop(log);
        self.budget.relieve();
    }

    /// A client came back. `offset` is of the last packet that it has received, if it has received any. `None`: it is
    /// to be somebody new.
    pub(crate) fn claim(&self, pid: &Sid, namespace: &Namespace, offset: Option<&str>, now: Instant) -> Option<Claim> {
        let found = self.find(pid, namespace, offset, now);
        let claim = found.and_then(|mut claim| self.catch_up(&mut claim.missed).map(drop).map(|()| claim));
        if claim.is_none() {
            self.lock().counters.failed += 1;
        }
        claim
    }

    /// The memory, at a moment at which all is found that the client has missed: it is to be [given](Missed::take) that
    /// before the memory is let go of. `None`: not all of it is here any more, or it is too much by now.
    pub(crate) fn give_back(&self, claim: &mut Claim) -> Option<Locked<'_>> {
        let Some(mut log) = self.catch_up(&mut claim.missed) else {
            self.lock().counters.failed += 1;
            return None;
        };
        log.counters.recovered += 1;
        Some(log)
    }

    /// Looks through all that is not looked at yet. Others may publish meanwhile, until few packets are left. `None`: not
    /// all of them are here any more, or it is too much.
    fn catch_up(&self, missed: &mut Missed) -> Option<Locked<'_>> {
        loop {
            let log = self.lock();
            let step = log.packets.step(missed.next())?;
            if step.len() < STEP {
                return missed.look_at(&step).then_some(log);
            }
            drop(log);
            if !missed.look_at(&step) {
                return None;
            }
        }
    }

    /// Who is connected and would come back by this.
    pub(crate) fn live(&self, pid: &Sid) -> Option<Arc<P>> {
        self.lock_live().get(pid).and_then(Weak::upgrade)
    }

    /// Somebody is connected who may come back by this.
    pub(crate) fn set_live(&self, pid: Sid, peer: &Arc<P>) {
        self.lock_live().insert(pid, Arc::downgrade(peer));
    }

    /// This one is not connected any more. Whoever has come back by the same secret since is.
    pub(crate) fn set_gone(&self, pid: &Sid, peer: &Arc<P>) {
        let mut live = self.lock_live();
        if live.get(pid).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(peer))) {
            live.remove(pid);
        }
    }

    pub(crate) fn counters(&self) -> RecoveryCounters {
        self.lock().counters
    }

    /// Whom a client was that names this. It is found once, also if it cannot be given back what it missed: what is gone
    /// stays gone, and what is too much does not become less. To look again would take as long again.
    fn find(&self, pid: &Sid, namespace: &Namespace, offset: Option<&str>, now: Instant) -> Option<Claim> {
        let mut log = self.lock();
        let (since, lost) = log.lost.get(pid)?;
        if lost.namespace != *namespace || now.duration_since(since) > self.settings.max_disconnection_duration {
            return None;
        }
        let received = match offset {
            Some(offset) => place(offset).filter(|place| *place <= log.newest())?.max(lost.confirmed),
            None => lost.confirmed,
        };
        let lost = log.lost.remove(pid)?;
        log.count_bytes();
        drop(log);
        let rooms = lost.rooms.iter().chain([&lost.id]).cloned().collect();
        let hold = self.budget.hold(BudgetPart::Recovery);
        let missed = Missed::new(lost.namespace.clone(), rooms, received, self.room, hold);
        Some(Claim { pid: *pid, lost, received, missed })
    }

    fn lock_live(&self) -> MutexGuard<'_, HashMap<Sid, Weak<P>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prune(&self, log: &mut Log, now: Instant) {
        let RecoverySettings { max_packets, max_bytes, max_sessions, max_disconnection_duration, .. } = self.settings;
        while let Some(oldest) = log.packets.oldest() {
            let expired = now.duration_since(oldest) > self.retention;
            let is_room = log.packets.len() <= max_packets && log.packets.bytes() <= max_bytes;
            if !expired && is_room {
                break;
            }
            log.counters.packets_dropped += u64::from(!expired);
            log.packets.drop_oldest();
        }
        while let Some((since, pid)) = log.lost.oldest() {
            let expired = now.duration_since(since) > max_disconnection_duration;
            let is_room = log.lost.len() <= max_sessions && log.lost.bytes() <= max_bytes;
            if !expired && is_room {
                break;
            }
            log.lost.remove(&pid);
            log.counters.sessions_dropped += u64::from(!expired);
        }
        log.count_bytes();
        log.shrink(self.budget.excess());
    }
}

#[cfg(test)]
impl<P> Recovery<P> {
    /// Whether nobody holds the memory.
    pub(crate) fn is_free(&self) -> bool {
        self.memory.try_lock().is_some()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use switchboard_io_proto::socket::{Frame, Name, Value};

    use super::*;

    const ROOT: Namespace = Namespace::ROOT;

    struct Memory {
        recovery: Recovery<()>,
        now: Instant,
    }

    impl Memory {
        fn new(settings: RecoverySettings) -> Self {
            Self { recovery: Recovery::new(settings, Duration::from_secs(45), &Budget::default()), now: Instant::now() }
        }

        /// Records an event for these rooms; its text is what it says and its offset.
        fn say(&self, what: &str, selector: Selector) -> String {
            let frames = self.recovery.record(&mut self.recovery.lock(), &ROOT, selector, self.now, |offset| {
                let first = Frame::Text(Bytes::from(format!("{what}@{offset}")));
                Ok::<_, ()>(Frames { first, attachments: Vec::new() })
            });
            text(&frames.expect("writing does not fail"))
        }

        fn lose(&self, pid: Sid, rooms: &[&str], confirmed: Place) -> Name {
            let id = Name::from(pid.as_str());
            let rooms = rooms.iter().map(|room| Name::from(*room)).collect();
            let lost = Lost { id: id.clone(), namespace: ROOT, rooms, data: Value::Null, confirmed };
            self.recovery.keep(pid, lost, self.now);
            id
        }

        fn back(&self, pid: Sid, offset: Option<&str>) -> Option<Vec<String>> {
            let mut claim = self.recovery.claim(&pid, &ROOT, offset, self.now)?;
            self.given_back(&mut claim)
        }

        fn given_back(&self, claim: &mut Claim) -> Option<Vec<String>> {
            drop(self.recovery.give_back(claim)?);
            Some(claim.missed.take().iter().map(text).collect())
        }
    }

    fn text(frames: &Frames) -> String {
        let (Frame::Text(bytes) | Frame::Binary(bytes)) = &frames.first;
        String::from_utf8(bytes.to_vec()).expect("tests write text")
    }

    fn pid() -> Sid {
        Sid::generate().expect("the system has random numbers")
    }

    #[test]
    fn who_comes_back_gets_what_was_meant_for_it_and_nothing_else() {
        let memory = Memory::new(RecoverySettings::default());
        memory.say("before", Selector::new());
        let pid = pid();
        let id = memory.lose(pid, &["lobby"], 0);
        memory.say("all", Selector::new());
        memory.say("lobby", Selector::new().to("lobby"));
        memory.say("other", Selector::new().to("elsewhere"));
        memory.say("not lobby", Selector::new().except("lobby"));
        memory.say("itself", Selector::new().to(id.as_str()));
        let missed = memory.back(pid, Some("1")).expect("all that was missed is there");
        assert_eq!(missed, ["all@2", "lobby@3", "itself@6"]);
        assert_eq!(memory.back(pid, Some("1")), None, "it was given back already");
    }

    #[test]
    fn one_that_received_nothing_recovers_by_its_pongs() {
        let memory = Memory::new(RecoverySettings::default());
        memory.say("first", Selector::new());
        let confirmed = memory.recovery.lock().newest();
        let pid = pid();
        memory.lose(pid, &[], confirmed);
        memory.say("second", Selector::new());
        assert_eq!(memory.back(pid, None).expect("recovers"), ["second@2"]);
    }

    #[test]
    fn a_quiet_client_recovers_though_its_offset_is_older_than_all_that_is_kept() {
        let mut memory = Memory::new(RecoverySettings::default());
        memory.say("long ago", Selector::new());
        memory.say("for others", Selector::new().to("elsewhere"));
        memory.now += Duration::from_secs(3600);
        memory.say("for others", Selector::new().to("elsewhere"));
        let confirmed = memory.recovery.lock().newest();
        let pid = pid();
        memory.lose(pid, &[], confirmed);
        memory.say("news", Selector::new());
        assert_eq!(memory.back(pid, Some("1")).expect("recovers"), ["news@4"]);
    }

    #[test]
    fn all_or_nothing() {
        let limits = RecoverySettings { max_packets: 2, ..RecoverySettings::default() };
        let memory = Memory::new(limits);
        let pid = pid();
        memory.lose(pid, &[], 0);
        for what in ["one", "two", "three"] {
            memory.say(what, Selector::new());
        }
        assert_eq!(memory.back(pid, None), None, "the first of three is gone");
        let counters = memory.recovery.counters();
        assert_eq!((counters.failed, counters.packets_dropped), (1, 1));
    }

    /// However much that is, and however often others publish while it is looked through.
    #[test]
    fn what_is_published_after_the_claim_comes_behind_what_was_missed_before() {
        let memory = Memory::new(RecoverySettings::default());
        let pid = pid();
        memory.lose(pid, &["lobby"], 0);
        let mut said = Vec::new();
        let mut say = |count: usize| {
            for round in 0..count {
                said.push(memory.say("news", Selector::new().to("lobby")));
                if round % 3 == 0 {
                    memory.say("others", Selector::new().to("elsewhere"));
                }
            }
        };
        say(2 * STEP + 1);
        let mut claim = memory.recovery.claim(&pid, &ROOT, None, memory.now).expect("all of it is here");
        say(3 * STEP);
        let missed = memory.given_back(&mut claim).expect("all of it is here");
        assert_eq!(missed, said);
    }

    #[test]
    fn no_more_is_looked_through_at_once_than_a_step() {
        let memory = Memory::new(RecoverySettings::default());
        for _ in 0..=STEP {
            memory.say("news", Selector::new());
        }
        let log = memory.recovery.lock();
        let steps = [1, 2, STEP as u64 + 2].map(|from| log.packets.step(from).map(|step| step.len()));
        assert_eq!(steps, [Some(STEP), Some(STEP), Some(0)]);
        assert!(log.packets.step(0).is_none(), "there never was such a packet");
    }

    #[test]
    fn who_is_overtaken_by_what_is_dropped_after_its_claim_gets_nothing() {
        let memory = Memory::new(RecoverySettings { max_packets: 2, ..RecoverySettings::default() });
        let pid = pid();
        memory.lose(pid, &[], 0);
        memory.say("one", Selector::new());
        let mut claim = memory.recovery.claim(&pid, &ROOT, None, memory.now).expect("all of it is here");
        for what in ["two", "three", "four"] {
            memory.say(what, Selector::new());
        }
        assert_eq!(memory.given_back(&mut claim), None, "the second is gone");
        assert_eq!((memory.recovery.counters().recovered, memory.recovery.counters().failed), (0, 1));
    }

    #[test]
    fn nobody_comes_back_too_late_or_to_another_namespace_or_with_an_offset_of_no_packet() {
        let mut memory = Memory::new(RecoverySettings::default());
        memory.say("one", Selector::new());
        let [late, stray, liar] = [pid(), pid(), pid()];
        for pid in [late, stray, liar] {
            memory.lose(pid, &[], 0);
        }
        for offset in ["2", "+1", "", "x", "ffffffffffffffffff"] {
            assert_eq!(memory.back(liar, Some(offset)), None, "{offset:?}");
        }
        let admin = Namespace::new("/admin").expect("a proper name");
        assert!(memory.recovery.claim(&stray, &admin, None, memory.now).is_none());
        memory.now += Duration::from_secs(121);
        assert_eq!(memory.back(late, None), None);
    }

    #[test]
    fn lost_clients_are_kept_within_bounds_and_for_a_time() {
        let limits = RecoverySettings { max_sessions: 2, ..RecoverySettings::default() };
        let mut memory = Memory::new(limits);
        let pids = [pid(), pid(), pid()];
        for pid in pids {
            memory.lose(pid, &[], 0);
        }
        assert_eq!(memory.back(pids[0], None), None, "a third displaced the first");
        assert_eq!(memory.recovery.counters().sessions_dropped, 1);
        assert!(memory.back(pids[1], None).is_some());
        memory.now += Duration::from_secs(121);
        memory.say("anything", Selector::new());
        assert_eq!(memory.recovery.lock().lost.len(), 0);
    }

    #[test]
    fn the_lost_count_with_their_rooms_and_data_and_go_when_memory_is_short() {
        let budget = Budget::new(16 << 20);
        let held = || budget.usage().expect("it has a limit").parts[BudgetPart::Recovery as usize];
        let recovery = Recovery::<()>::new(RecoverySettings::default(), Duration::from_secs(45), &budget);
        let (now, long) = (Instant::now(), Name::from("r".repeat(200).as_str()));
        let lose = |pid| {
            let rooms = vec![long.clone(); 1_000];
            let data = Value::Array(vec![Value::String("d".repeat(1_000)); 100]);
            let id = Name::from("id");
            recovery.keep(pid, Lost { id, namespace: ROOT, rooms, data, confirmed: 0 }, now);
        };
        let first = pid();
        lose(first);
        assert!(held() >= 300_000, "{}", held());
        assert!(recovery.claim(&first, &ROOT, None, now).is_some());
        assert_eq!(held(), 0, "it came back");
        for _ in 0..100 {
            lose(pid());
        }
        assert!(!budget.is_tight() && held() > 10 << 20, "{budget:?}");
        assert!(recovery.counters().sessions_dropped > 0);
        budget.take(BudgetPart::Queued, 15 << 20);
        lose(pid());
        assert_eq!(held(), 0);
    }

    #[test]
    fn the_lost_are_bounded_in_bytes_without_a_budget_too() {
        let memory = Memory::new(RecoverySettings { max_bytes: 10_000, ..RecoverySettings::default() });
        let long = "r".repeat(100);
        let rooms = [long.as_str(); 40];
        let pids = [pid(), pid(), pid()];
        for pid in pids {
            memory.lose(pid, &rooms, 0);
        }
        assert_eq!(pids.map(|pid| memory.back(pid, None).is_some()), [false, false, true]);
    }

    #[test]
    fn who_comes_and_goes_leaves_nothing_behind() {
        let memory = Memory::new(RecoverySettings::default());
        for _ in 0..3 {
            let pid = pid();
            memory.lose(pid, &["lobby"], 0);
            assert!(memory.back(pid, None).is_some());
        }
        let log = memory.recovery.lock();
        assert_eq!((log.lost.oldest(), log.lost.len(), log.lost.bytes()), (None, 0, 0));
    }

    #[test]
    fn the_newest_place_is_known_while_somebody_publishes_and_moves_when_all_is_handed_on() {
        let memory = Memory::new(RecoverySettings::default());
        memory.say("first", Selector::new());
        let mut log = memory.recovery.lock();
        let write = |_: &str| Ok::<_, ()>(Frames { first: Frame::Text(Bytes::new()), attachments: Vec::new() });
        let recorded = memory.recovery.record(&mut log, &ROOT, Selector::new(), memory.now, write);
        assert!(recorded.is_ok() && log.newest() == 2);
        assert_eq!(memory.recovery.newest(), 1, "the second is not on its way yet");
        drop(log);
        assert_eq!(memory.recovery.newest(), 2);
    }

    #[test]
    fn who_goes_late_does_not_take_its_follower_along() {
        let memory = Memory::new(RecoverySettings::default());
        let (pid, [before, after]) = (pid(), [Arc::new(()), Arc::new(())]);
        memory.recovery.set_live(pid, &before);
        memory.recovery.set_live(pid, &after);
        memory.recovery.set_gone(&pid, &before);
        assert!(memory.recovery.live(&pid).is_some_and(|live| Arc::ptr_eq(&live, &after)));
        memory.recovery.set_gone(&pid, &after);
        assert!(memory.recovery.live(&pid).is_none());
    }

    #[test]
    fn one_recovers_again_and_again() {
        let memory = Memory::new(RecoverySettings::default());
        let pid = pid();
        for round in 1..=3_u64 {
            memory.lose(pid, &[], round - 1);
            memory.say("news", Selector::new());
            assert_eq!(memory.back(pid, None).expect("recovers"), [format!("news@{round}")]);
        }
    }
}
