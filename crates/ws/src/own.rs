//! What belongs to a connection beside its protocol machine and its handler: settings, handles, membership, and how far
//! it has come. The session keeps it, and lends it to a handler's calls.

use std::sync::Arc;

use switchboard_hub::{Delivery, Member, Outbox};

use crate::config::Config;
use crate::forms::Form;
use crate::info::Info;
use crate::link::Link;
use crate::parcel::{Hub, Parcel};
use crate::turn::Place;

/// So much is encoded beyond the bound of the outbox: room for the replies to one read.
pub(crate) const REPLIES: usize = 64 << 10;

/// What belongs to a connection beside its protocol machine and its handler.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) config: Config,
    pub(crate) info: Arc<Info>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) member: Option<Box<Member<Parcel>>>,
    pub(crate) flags: Flags,
}

/// How a connection stands, besides what the protocol knows.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// The outbox may hold parcels that must leave before what the handler sends.
    pub(crate) queued: bool,
    /// The handler's own replies are queued: until they are not, the peer that brings them about is not read from.
    pub(crate) lagging: bool,
    /// The peer lagged, and `on_drain` is owed.
    pub(crate) lagged: bool,
    /// The output had no room for more: there may be something left to encode when it has.
    pub(crate) more: bool,
    /// How far it has come.
    pub(crate) stage: Stage,
    /// The handler's deadline has come nearer than what it said last.
    pub(crate) deadline_moved: bool,
    /// What kind of connection it is.
    pub(crate) form: Form,
}

/// How far a connection has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has no driver yet, and nobody was told of it.
    #[default]
    New,
    /// The handler was told that it is open, and it has no driver yet.
    Early,
    /// After that: it has a driver, which has not gone on from there yet.
    Arrived,
    /// It has a driver, and counts as open.
    Open,
    /// Everyone was told that it is over.
    Over,
}

impl Own {
    pub(crate) fn link(&mut self) -> &Arc<Link> {
        self.link.get_or_insert_with(|| Link::new(self.config.get_outbox(), self.config.get_budget()))
    }

    pub(crate) fn join(&mut self, hub: &Hub, place: Option<&Place>) -> Member<Parcel> {
        match place {
            Some(Place { port, slot }) => hub.join_slot(port, *slot),
            None => hub.join(Arc::clone(&self.link().outbox)),
        }
    }

    /// How much output may wait before a handler's replies are queued: beyond the bound there is room for the replies
    /// to one read, which was begun when there was room, and brought no more than fits here.
    pub(crate) fn encodes_at_most(&self) -> usize {
        self.config.get_outbox().bytes.saturating_add(REPLIES)
    }

    pub(crate) fn member(&mut self, place: Option<&Place>) -> Option<&Member<Parcel>> {
        if self.member.is_none() {
            let hub = self.config.get_hub()?.clone();
            let member = if self.flags.stage == Stage::Early {
                // Of its own, so that what is in it can follow the member to the driver.
                hub.join(Arc::new(Outbox::with_budget(self.config.get_outbox(), self.config.get_budget())))
            } else {
                self.join(&hub, place)
            };
            self.member = Some(Box::new(member));
        }
        self.member.as_deref()
    }

    /// Counts what became of a publication after the port took it: by the hub that the connection subscribed in, or
    /// else that of the endpoint.
    pub(crate) fn record(&self, later: Delivery) {
        if let Some(hub) = self.member.as_deref().map(Member::hub).or_else(|| self.config.get_hub()) {
            hub.record(later);
        }
    }
}
