//! The settings of an endpoint, shared by all its connections.

use std::fmt;
use std::sync::Arc;

use switchboard_budget::Budget;
use switchboard_hub as hub;
use switchboard_ws_proto as proto;
use switchboard_ws_proto::handshake::ServerOptions;

use crate::attachment::Attachment;
use crate::connections::Connections;
use crate::inbox::InboxLimits;
use crate::metrics::Metrics;
use crate::parcel::Hub;

/// The settings of an endpoint: a server, or one or more client connections. Cloning is cheap, and clones share the
/// hub, the metrics and the [set of open connections](Self::connections), also when one of them is changed: so an
/// endpoint may have several configurations, for connections of different kinds.
///
/// ```
/// use std::time::Duration;
/// use switchboard_ws::{Config, Limits};
///
/// let config = Config::default().limits(Limits { idle_timeout: Some(Duration::from_secs(300)), ..Limits::default() });
/// ```
#[derive(Clone, Default)]
pub struct Config(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    limits: Arc<proto::Config>,
    handshake: ServerOptions,
    outbox: hub::Limits,
    inbox: InboxLimits,
    hub: Option<Hub>,
    metrics: Arc<Metrics>,
    connections: Connections,
    tasks_only: bool,
    forget_requests: bool,
    shards: Attachment,
    refusals: Attachment,
}

impl Config {
    /// Sets the limits and deadlines of the protocol, compression included. A budget in them is that of the endpoint
    /// from now on; without one, that stays what it was.
    #[must_use]
    pub fn limits(mut self, mut limits: proto::Config) -> Self {
        let inner = self.inner();
        inner.handshake.deflate.clone_from(&limits.deflate);
        if !limits.budget.is_limited() {
            limits.budget.clone_from(&inner.limits.budget);
        }
        inner.limits = Arc::new(limits);
        self
    }

    /// Sets how a server answers opening handshakes: origins, subprotocols, headers, and limits before a connection is
    /// open. Whether compression is offered follows from the [limits](Self::limits).
    #[must_use]
    pub fn handshake(mut self, options: ServerOptions) -> Self {
        let inner = self.inner();
        inner.handshake = ServerOptions { deflate: inner.limits.deflate.clone(), ..options };
        self
    }

    /// Sets what all that is held for peers counts in: messages that are put together, outboxes, inboxes, output that
    /// is not taken. Several endpoints may share one. Default: no limit, and nothing is counted.
    ///
    /// When 90 % of it is held, nobody new is let in (503), and the connections that hold most are closed, the largest
    /// first: they are told 1013 and why, unless they take nothing, and are cut off if they still hold something when
    /// memory is short again. What the budget has no room for is not allocated. A slow *application* is not spared:
    /// what it has not asked for yet counts too.
    ///
    /// To be set before the first connection. Not counted are what the application itself keeps, what a thread keeps
    /// for its connections (8 MiB of buffers at most, and what SECURITY.md lists), and, where that is at work, what TLS
    /// and HTTP hold below.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        Arc::make_mut(&mut self.inner().limits).budget = budget;
        self
    }

    /// Sets the bounds of each connection's outbox and what happens when they are reached.
    #[must_use]
    pub fn outbox(mut self, limits: hub::Limits) -> Self {
        self.inner().outbox = limits;
        self
    }

    /// Sets how much may be read before the application asks for it.
    #[must_use]
    pub fn inbox(mut self, limits: InboxLimits) -> Self {
        self.inner().inbox = limits;
        self
    }

    /// Sets the hub whose topics connections subscribe to. Default: none.
    #[must_use]
    pub fn hub(mut self, hub: Hub) -> Self {
        self.inner().hub = Some(hub);
        self
    }

    /// Sets the counters, to share them with other endpoints. Default: counters of this endpoint's own.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> Self {
        let inner = self.inner();
        inner.metrics = metrics;
        // A shard counts by the turn, for all of its connections.
        #[cfg(unix)]
        {
            inner.shards = Attachment::default();
        }
        self
    }

    /// Gives every connection a task of its own. By default those that are served by a handler on a plain socket are
    /// driven many to a task, which costs less memory and less time. What connections do is the same.
    #[must_use]
    pub fn task_per_connection(mut self) -> Self {
        self.inner().tasks_only = true;
        self
    }

    /// Whether the target and the headers of a client's request are kept for as long as its connection. Default: yes. A
    /// handler sees them in [`on_open`](crate::Handler::on_open) either way, and an [`Info`](crate::Info) that was
    /// cloned there keeps them. A browser's request is half a kilobyte to two, more than all else that an idle
    /// connection needs.
    #[must_use]
    pub fn keep_request(mut self, keep: bool) -> Self {
        self.inner().forget_requests = !keep;
        self
    }

    /// The limits and deadlines of the protocol.
    #[must_use]
    pub fn get_limits(&self) -> &Arc<proto::Config> {
        &self.0.limits
    }

    /// What all that is held for peers counts in.
    #[must_use]
    pub fn get_budget(&self) -> &Budget {
        &self.0.limits.budget
    }

    /// How opening handshakes are answered.
    #[must_use]
    pub fn get_handshake(&self) -> &ServerOptions {
        &self.0.handshake
    }

    /// The bounds of each connection's outbox.
    #[must_use]
    pub fn get_outbox(&self) -> hub::Limits {
        self.0.outbox
    }

    /// How much may be read before the application asks for it.
    #[must_use]
    pub fn get_inbox(&self) -> InboxLimits {
        self.0.inbox
    }

    /// The hub, if there is one.
    #[must_use]
    pub fn get_hub(&self) -> Option<&Hub> {
        self.0.hub.as_ref()
    }

    /// The counters.
    #[must_use]
    pub fn get_metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The open connections of the endpoint: to count them, and to close them all.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// These settings for a connection of an endpoint that may have others: what all connections of an endpoint have in
    /// common, the budget as well, is the endpoint's.
    #[cfg(unix)]
    pub(crate) fn of_endpoint(mut self, endpoint: &Self) -> Self {
        let (own, theirs) = (&self.0, &endpoint.0);
        let is_of_it = own.connections.is(&theirs.connections)
            && Arc::ptr_eq(&own.metrics, &theirs.metrics)
            && own.limits.budget == theirs.limits.budget;
        if !is_of_it {
            let inner = self.inner();
            inner.connections = theirs.connections.clone();
            inner.metrics = Arc::clone(&theirs.metrics);
            inner.shards = theirs.shards.clone();
            inner.refusals = theirs.refusals.clone();
            if inner.limits.budget != theirs.limits.budget {
                Arc::make_mut(&mut inner.limits).budget.clone_from(&theirs.limits.budget);
            }
        }
        self
    }

    /// Where the shards of the endpoint are kept.
    pub(crate) fn shards(&self) -> &Attachment {
        &self.0.shards
    }

    /// Where is kept who is being told that it is refused.
    pub(crate) fn refusals(&self) -> &Attachment {
        &self.0.refusals
    }

    pub(crate) fn keeps_requests(&self) -> bool {
        !self.0.forget_requests
    }

    /// Whether shards drive plain sockets, or every connection is to have a task.
    pub(crate) fn uses_shards(&self) -> bool {
        !self.0.tasks_only
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}
