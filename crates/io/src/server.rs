//! A Socket.IO server, and how it is built.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use switchboard_hub::MemberId;
use switchboard_io_proto::socket::{Args, Limits, Namespace as Name, Parser};
use switchboard_ws::{Admission, Budget, Config as WsConfig, DeflateConfig, Hub, OutboxLimits, PerAddress, Prepared};

use crate::client::Client;
use crate::depart;
use crate::engine::{App, ClientFiles, Conversation, Cookie, Cors, Engine, EngineConfig, EngineLayer, EngineService};
use crate::engine::{Data, Hooks, HttpCompression, Session, Transports, now};
use crate::namespace::{Namespace, ParentNamespace};
use crate::pattern::{Pattern, PatternError};
use crate::plain_form::PlainForm;
use crate::reason::DisconnectReason;
use crate::recovery::{Recovery, RecoveryCounters, RecoverySettings};
use crate::room;
use crate::router::{Router, Which};
use crate::settings::Settings;

/// A Socket.IO server: namespaces with their sockets, and what answers requests. A cheap handle; clones are the same
/// server.
///
/// What is done with the main namespace can be done with the server itself, by the names of [`Namespace`]'s methods.
///
/// [`serve`](Self::serve) needs nothing but a listener; [`layer`](Self::layer) and [`service`](Self::service) mount it
/// into axum, hyper or tower.
///
/// ```no_run
/// use switchboard_io::{Ack, Data, Socket, SocketIo};
///
/// # async fn example() -> std::io::Result<()> {
/// let io = SocketIo::new();
/// io.on_connect(async |socket: Socket| {
///     socket.on("say", async |socket: Socket, Data(text): Data<String>, ack: Ack| {
///         socket.broadcast().emit("said", &text)?;
///         ack.send("ok")
///     });
/// });
/// let app = axum::Router::new().layer(io.layer());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, app).await
/// # }
/// ```
#[derive(Clone)]
pub struct SocketIo {
    router: Arc<Router>,
    engine: Engine,
}

impl SocketIo {
    /// A server with the default settings, which are Node's but for limits that Node does not have.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings to change first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    // Namespaces.

    /// The namespace of this name, made if it is not there. A missing `/` is put in front.
    ///
    /// # Panics
    /// The name holds a comma: the protocol ends names there.
    #[must_use]
    pub fn of(&self, name: &str) -> Namespace {
        let name = Name::new(name).expect("the name of a namespace holds no comma");
        Namespace(self.router.of(&name))
    }

    /// Namespaces that come into being when a client asks for a name like this: `{…}` stands for one or more characters
    /// but `/`, `*` for any characters. What the name was is told by [`Socket::namespace`](crate::Socket::namespace).
    ///
    /// Of several parents that know a name the first one has the child.
    ///
    /// # Errors
    /// A `{` without `}`.
    pub fn of_pattern(&self, pattern: &str) -> Result<ParentNamespace, PatternError> {
        let pattern = Pattern::parse(pattern)?;
        Ok(ParentNamespace(self.router.add_parent(Which::Pattern(pattern))))
    }

    /// Namespaces that come into being when a client asks for one and this function says so. It is given the name and
    /// what the client says for itself (one object, or nothing).
    pub fn of_function<Fut>(&self, knows: impl Fn(String, Args) -> Fut + Send + Sync + 'static) -> ParentNamespace
    where
        Fut: Future<Output = bool> + Send + 'static,
    {
        let knows = Arc::new(move |name, auth| -> crate::router::Asking { Box::pin(knows(name, auth)) });
        ParentNamespace(self.router.add_parent(Which::Function(knows)))
    }

    /// Calls a function for each new namespace, but the main one.
    pub fn on_new_namespace(&self, tell: impl Fn(Namespace) + Send + Sync + 'static) -> &Self {
        self.router.on_new(Arc::new(move |space| tell(Namespace(Arc::clone(space)))));
        self
    }

    /// All namespaces that there are now.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.router.all().into_iter().map(Namespace).collect()
    }

    // As a whole.

    /// What answers requests for [`path`](Builder::path) and leaves the others to the service inside.
    #[must_use]
    pub fn layer(&self) -> EngineLayer {
        self.engine.layer()
    }

    /// What answers requests that are known to be for this server.
    #[must_use]
    pub fn service(&self) -> EngineService {
        self.engine.service()
    }

    /// The Engine.IO server below: sessions, counters, and the way in for a [`Gate`](switchboard_ws::Gate).
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The hub whose topics the rooms are; see [`topic`](crate::topic).
    #[must_use]
    pub fn hub(&self) -> &Hub {
        self.engine.hub()
    }

    /// How often connection state recovery did what; `None` if it is off.
    #[must_use]
    pub fn recovery(&self) -> Option<RecoveryCounters> {
        self.router.recovery.as_ref().map(|recovery| recovery.counters())
    }

    /// Lets no more clients in, disconnects all sockets as "server shutting down", and waits until their connections
    /// are gone: WebSockets are at once, others with their next poll, or after 30 seconds.
    ///
    /// # Cancel safety
    /// Dropped after the first poll, they close all the same.
    pub async fn close(&self) {
        // All at once, as in Node: those who poll would otherwise leave with their next poll.
        for space in self.router.all() {
            let peers: Vec<_> = space.roll().iter().cloned().collect();
            for peer in &peers {
                depart::depart(peer, DisconnectReason::ServerShuttingDown);
            }
        }
        self.engine.close().await;
    }

    /// The main namespace, which is always there.
    pub(crate) fn root(&self) -> Namespace {
        Namespace(self.router.of(&Name::ROOT))
    }
}

impl Default for SocketIo {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIo").field("namespaces", &self.router.all().len()).finish_non_exhaustive()
    }
}

/// What speaks over the engine's sessions.
struct Clients(Arc<Router>);

impl App<Session> for Clients {
    fn open(&self, session: &Session) -> Box<dyn Conversation<Session>> {
        Box::new(Client::new(&self.0, session, now()))
    }

    fn moved(&self, session: &Session, before: MemberId) {
        let member = session.member();
        for topic in member.topics() {
            if let Some(space) = room::namespace(&topic).and_then(|name| self.0.get(&name)) {
                space.roll().rename(before, member.id());
            }
        }
    }
}

/// Settings of a [`SocketIo`], under the names that they have in Node.
#[derive(Debug)]
#[must_use = "it is nothing until `build`"]
pub struct Builder {
    engine: EngineConfig,
    settings: Settings,
    recovery: Option<RecoverySettings>,
    hub: Option<Hub>,
}

impl Default for Builder {
    fn default() -> Self {
        let engine = EngineConfig { path: "/socket.io".into(), ..EngineConfig::default() };
        Self { engine, settings: Settings::default(), recovery: None, hub: None }
    }
}

/// The engine's.
impl Builder {
    /// Where it is served. Default: `/socket.io`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.engine.path = path.into();
        self
    }

    /// Whether the path ends with a slash, and is not answered without. Default: yes.
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.engine.add_trailing_slash = add;
        self
    }

    /// How often clients are pinged. Default: 25 seconds.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.session.ping_interval = interval;
        self
    }

    /// How long they may take to answer. Default: 20 seconds.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.session.ping_timeout = timeout;
        self
    }

    /// How long an upgrade may take. Default: 10 seconds.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.session.upgrade_timeout = timeout;
        self
    }

    /// The largest message or payload of a client, in bytes. Default: 1,000,000. A packet may have as much in each of
    /// its messages: the text, and every attachment that the [limits](Self::limits) allow when this is set.
    pub fn max_http_buffer_size(mut self, bytes: usize) -> Self {
        self.engine.session.max_payload = bytes;
        self.settings.limits.bytes = bytes.saturating_mul(self.settings.limits.attachments + 1);
        self
    }

    /// How clients may connect. Default: by polling and by WebSocket.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.engine.session.transports = transports;
        self
    }

    /// Whether clients that poll may go over to a WebSocket. Default: yes.
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.engine.session.allow_upgrades = allow;
        self
    }

    /// Whether clients of Socket.IO 1 and 2 are let in. Default: no.
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.engine.session.allow_eio3 = allow;
        self
    }

    /// A message that every client gets right behind its handshake, before any packet of Socket.IO. Default: none.
    pub fn initial_packet(mut self, packet: Data<'static>) -> Self {
        self.engine.session.initial_packet = Some(packet);
        self
    }

    /// What may wait for one client, and what happens beyond. Default: 16,384 messages, 4 MiB, close. (Node has no
    /// bound.)
    pub fn outbox(mut self, limits: OutboxLimits) -> Self {
        self.engine.outbox = limits;
        self
    }

    /// How many clients there may be. Default: as many as come. Beyond that they get 503.
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.engine.max_sessions = Some(clients);
        self
    }

    /// How many of those one address may have: see [`EngineConfig::sessions_per_address`]. Default: as many as it likes.
    /// Beyond that they get 429.
    pub fn clients_per_address(mut self, clients: PerAddress) -> Self {
        self.engine.sessions_per_address = clients;
        self
    }

    /// How many connections there may be where [`SocketIo::serve`] accepts them, in all and from one address. Default:
    /// as many as come. Beyond that they get 503 or 429.
    pub fn admission(mut self, admission: Admission) -> Self {
        self.engine.admission = Some(admission);
        self
    }

    /// How long the body of a POST may take. Default: 30 seconds. Then it is answered with 408, and its session is
    /// over.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.engine.body_timeout = timeout;
        self
    }

    /// What pages of other origins may do. Default: nothing. Stricter than Node, this is true of WebSockets too.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = Some(cors);
        self
    }

    /// A cookie with the session's id, for load balancers. Default: none.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// Compression of answers to polls; `None`: never. Default: from 1,024 bytes.
    pub fn http_compression(mut self, compression: Option<HttpCompression>) -> Self {
        self.engine.http_compression = compression;
        self
    }

    /// Compression of WebSocket messages. Default: none.
    pub fn per_message_deflate(mut self, deflate: DeflateConfig) -> Self {
        self.engine.per_message_deflate = Some(deflate);
        self
    }

    /// The client's own files, so that pages can load it from `/socket.io/socket.io.js` (Node: `serveClient`). Default:
    /// none.
    pub fn client_files(mut self, files: ClientFiles) -> Self {
        self.engine.client_files = Some(files);
        self
    }

    /// What the engine's WebSockets are made from: with the settings of another endpoint they are counted and closed
    /// with its own, and driven by its shards. Default: they are an endpoint for themselves. A
    /// [`Gate`](switchboard_ws::Gate) has its own way, see [`Engine::ws_config`].
    pub fn websockets(mut self, base: WsConfig) -> Self {
        self.engine.websockets = base;
        self
    }

    /// What all that is held for clients counts in: see [`switchboard_ws::Config::budget`], whose setting this is.
    /// While it is nearly used up, new sessions are answered with 503; the clients that most is held for are
    /// disconnected and closed, and what could be recovered goes even before them. To be called after
    /// [`websockets`](Self::websockets). Default: that of the endpoint given there, or no limit.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.engine.websockets = self.engine.websockets.budget(budget);
        self
    }

    /// The application's say in requests: `allowRequest`, middlewares with headers, ids, errors. Default: none.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.engine.hooks = hooks;
        self
    }
}

/// Socket.IO's own.
impl Builder {
    /// How packets are written. Default: JSON. All clients must use the same.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.settings.parser = parser;
        self
    }

    /// Bounds of a packet: attachments (10), depth, bytes with attachments.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How many pieces of binary data an event or ack of this server may have, where packets are JSON; 1 at least.
    /// Default: 10, which is as many as the stock clients take unless they are told otherwise (`maxAttachments` of
    /// their parser); they close the connection for more. Beyond,
    /// [`TooManyAttachments`](crate::EmitError::TooManyAttachments). Those that clients send are for
    /// [`limits`](Self::limits).
    pub fn outgoing_attachments(mut self, attachments: usize) -> Self {
        self.settings.outgoing_attachments = attachments.max(1);
        self
    }

    /// How long a client may take until it has joined a namespace. Default: 45 seconds. Then it is closed.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long the attachments of a packet may take. Default: 60 seconds. Then the client is closed. (Node waits
    /// forever.)
    pub fn attachments_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attachments_timeout = timeout;
        self
    }

    /// How long an ack of one socket is awaited. Default: as long as the socket lasts, as in Node.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ack_timeout = Some(timeout);
        self
    }

    /// How many acks may be awaited from one socket. Default: 1,024. Beyond that nothing that asks for one is sent.
    pub fn max_acks(mut self, acks: usize) -> Self {
        self.settings.max_acks = acks;
        self
    }

    /// How many namespaces one client may be in. Default: 64. One that wants more is closed.
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.settings.max_namespaces = namespaces;
        self
    }

    /// How many bytes a client may say of itself when it asks for a namespace: its `auth` as it is written, and the
    /// name. Default: 16 KiB. They are kept for as long as the socket is. One that says more is refused. (Node has no
    /// bound but that of a message.)
    pub fn max_auth(mut self, bytes: usize) -> Self {
        self.settings.max_auth = bytes;
        self
    }

    /// How many children a parent namespace may have. Default: 10,000. Clients that want more are told that there is no
    /// such namespace.
    pub fn max_child_namespaces(mut self, children: usize) -> Self {
        self.settings.max_child_namespaces = children;
        self
    }

    /// How many child namespaces, of all parents, there may be that came into being when a client of one address asked for
    /// them, whoever is in them by now. Default: as many as there may be at all. Those who want more are told that there is
    /// no such namespace. Without [`cleanup_empty_child_namespaces`](Self::cleanup_empty_child_namespaces) none ever goes,
    /// so that an address that has had its share gets no more.
    pub fn child_namespaces_per_address(mut self, children: PerAddress) -> Self {
        self.settings.child_namespaces_per_address = children;
        self
    }

    /// How many handlers of one client may be under way, but for as many as there are acks awaited from it, by
    /// whomever. Default: 64. With more, nothing is read from it: handlers should not wait for what it has still to
    /// send, other than acks. (Node reads on, and has no bound.)
    pub fn in_flight(mut self, handlers: usize) -> Self {
        self.settings.in_flight = handlers;
        self
    }

    /// Whether child namespaces go when nobody is in them any more. Default: no.
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.settings.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Has clients that lost their connection given back what they missed, if they come back soon. Default: off.
    pub fn connection_state_recovery(mut self, settings: RecoverySettings) -> Self {
        self.recovery = Some(settings);
        self
    }

    /// A value for handlers that ask for [`State<T>`](crate::State): one of each type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.settings.state.insert(state);
        self
    }

    /// The hub whose topics the rooms are. Default: one of this server's own. With the hub of a WebSocket endpoint, its
    /// topics and the rooms can be the same; see [`topic`](crate::topic).
    pub fn hub(mut self, hub: Hub) -> Self {
        self.hub = Some(hub);
        self
    }

    /// Has plain WebSockets in the topics of rooms hear what is broadcast there, in the form that the function gives
    /// the event's name and arguments; `None`: they do not hear it. It is called once for an event, and only where such
    /// a WebSocket is among those whom it goes to. What it makes is counted in the [budget](Self::budget), and not sent
    /// where that has no room for it; how long it may become is the function's to bound: a peer can name one attachment
    /// many times. Default: they hear nothing. The other direction is [`Namespace::share`](crate::Namespace::share).
    pub fn plain_form(
        mut self,
        form: impl Fn(&crate::Name, &Args) -> Option<Prepared> + Send + Sync + 'static,
    ) -> Self {
        self.settings.plain_form = Some(PlainForm::new(form));
        self
    }

    /// The server.
    #[must_use]
    pub fn build(self) -> SocketIo {
        let Self { engine, settings, recovery, hub } = self;
        let hub = hub.unwrap_or_default();
        // What a client has received is known by its last pong but one.
        let silence = 2 * (engine.session.ping_interval + engine.session.ping_timeout);
        let recovery = recovery
            .map(|settings| Recovery::new(settings, silence, engine.websockets.get_budget()).with_room(engine.outbox));
        let recovery = recovery.map(Arc::new);
        let router = Arc::new(Router::new(hub.clone(), Arc::new(settings), recovery));
        // It is there from the beginning.
        router.of(&Name::ROOT);
        let engine = Engine::new(engine, Arc::new(Clients(Arc::clone(&router))), hub);
        SocketIo { router, engine }
    }
}
