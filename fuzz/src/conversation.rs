//! A whole server of Socket.IO with several clients, in virtual time and without sockets. An input is options and then
//! steps of clients, right and wrong, of the application, and of time; see [`model`] for what is compared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use switchboard_io::{Parser, Socket, SocketIo};
use switchboard_io_proto::engine::Protocol;
use switchboard_ws::{Budget, BudgetPart, Config};
use tokio::time::sleep;

use crate::script::Script;
use crate::values::value;

mod client;
mod model;
mod server;
mod wire;

use client::{Client, Place};
use model::{Line, Model};
use server::{NAMESPACES, Options, ROOMS};
use wire::Wire;

/// Clients at a time, and connections in all.
const MOST_CLIENTS: usize = 6;
const MOST_LINES: usize = 24;

/// Steps in all: what is longer takes too long, and shows nothing that could not be shown sooner.
const MOST_STEPS: usize = 400;

/// Enough that memory is never short.
const BUDGET: usize = 1 << 30;

pub fn run(data: &[u8]) {
    let budget = Budget::new(BUDGET);
    let token = Arc::new(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    // Reads that find nothing are to mean that there is nothing.
    runtime.block_on(tokio::task::unconstrained(converse(Script::new(data), &budget, &token)));
    drop(runtime);
    assert_eq!(Arc::strong_count(&token), 1, "something keeps the server");
    assert_eq!(used(&budget, |_| true), 0, "something is still counted: {budget:?}");
}

async fn converse(mut script: Script<'_>, budget: &Budget, token: &Arc<()>) {
    let mut world = World::new(script.byte(), budget, token);
    for _ in 0..MOST_STEPS {
        let Some(step) = script.step() else { break };
        world.step(step, &mut script).await;
        world.model.lock().settle_accounts();
    }
    world.settle().await;
    world.end(budget).await;
}

fn used(budget: &Budget, counts: impl Fn(BudgetPart) -> bool) -> usize {
    let usage = budget.usage().expect("it has a limit");
    BudgetPart::ALL.into_iter().zip(usage.parts).filter(|(part, _)| counts(*part)).map(|(_, bytes)| bytes).sum()
}

/// Who may come back to a namespace.
struct Ghost {
    namespace: String,
    place: Place,
}

struct World {
    io: SocketIo,
    config: Config,
    model: Model,
    options: Options,
    clients: Vec<Client>,
    ghosts: Vec<Ghost>,
}

impl World {
    fn new(flags: u8, budget: &Budget, token: &Arc<()>) -> Self {
        let options = Options {
            parser: if flags & 1 == 0 { Parser::Json } else { Parser::Msgpack },
            recovers: flags & 2 != 0,
            skip_middlewares: flags & 4 == 0,
            in_flight: if flags & 8 == 0 { 64 } else { 2 },
        };
        let model = Model::default();
        model.lock().recovers = options.recovers;
        let io = server::build(&options, &model, budget, token);
        let config = io.engine().ws_config(&Config::default().budget(budget.clone()));
        Self { io, config, model, options, clients: Vec::new(), ghosts: Vec::new() }
    }

    async fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 26 {
            0 => {
                self.open(script.byte()).await;
            }
            1 | 2 => {
                let (client, namespace, manner) = (script.byte(), script.byte(), script.byte());
                let namespace = NAMESPACES[usize::from(namespace) % NAMESPACES.len()];
                if let Some(client) = self.client(client) {
                    client.ask(namespace, manner, None, false).await;
                }
            }
            3..=6 => self.say(script).await,
            7 => {
                let (client, place) = (script.byte(), script.byte());
                if let Some(client) = self.client(client)
                    && let Some(namespace) = place_of(client, place)
                {
                    client.leave(&namespace).await;
                }
            }
            8 => {
                let (client, number, payload) = (script.byte(), script.byte(), value(script, 2));
                if let Some(client) = self.client(client) {
                    client.answer(number, payload).await;
                }
            }
            9 => {
                if let Some(place) = usize::from(script.byte()).checked_rem(self.clients.len()) {
                    self.kill(place);
                }
            }
            10 => self.come_back(script).await,
            11 => self.supersede(script).await,
            12 => {
                if let Some(place) = usize::from(script.byte()).checked_rem(self.clients.len()) {
                    self.clients[place].close().await;
                    self.kill(place);
                }
            }
            13 | 14 => {
                let (namespace, number, payload) = (script.byte(), script.byte(), value(script, 2));
                let mut namespaces = self.io.namespaces();
                namespaces.sort_by(|one, other| one.name().cmp(other.name()));
                let namespace = &namespaces[usize::from(namespace) % namespaces.len()];
                server::publish(&self.model, namespace, None, number, &payload);
            }
            15 => {
                let (socket, room) = (self.socket(script.byte()), ROOMS[usize::from(script.byte()) % ROOMS.len()]);
                match socket {
                    Some((line, socket)) if step < 128 => server::join(&self.model, line, &socket, room),
                    Some((line, socket)) => server::leave(&self.model, line, &socket, room),
                    None => {}
                }
            }
            16 | 17 => {
                let (socket, number, payload) = (self.socket(script.byte()), script.byte(), value(script, 2));
                if let Some((_, socket)) = socket {
                    server::emit(&self.model, &socket, number, &payload);
                }
            }
            18 => {
                if let Some((line, socket)) = self.socket(script.byte()) {
                    server::dismiss(&self.model, line, &socket, step >= 128);
                }
            }
            19 => {
                let (client, kind, bytes) = (script.byte(), script.byte(), script.bytes());
                if let Some(client) = self.client(client) {
                    client.rave(kind, bytes).await;
                }
            }
            20 => {
                let (client, kind) = (script.byte(), script.byte());
                if let Some(client) = self.client(client) {
                    client.sin(kind).await;
                }
            }
            21 => self.pass(Duration::from_millis(u64::from(script.byte()) * 400)).await,
            22 => {
                if let Some(client) = self.client(script.byte()) {
                    client.is_deaf = true;
                    let line = client.line;
                    self.model.lock().lines[line].may_close = true;
                }
            }
            23 => {
                if let Some(client) = self.client(script.byte()) {
                    client.read().await;
                }
            }
            24 => {
                self.turn().await;
            }
            _ => sleep(Duration::from_millis(1)).await,
        }
    }

    fn client(&mut self, number: u8) -> Option<&mut Client> {
        let place = usize::from(number).checked_rem(self.clients.len())?;
        Some(&mut self.clients[place])
    }

    /// A socket that is in a namespace.
    fn socket(&self, number: u8) -> Option<(usize, Socket)> {
        let (line, namespace, id) = self.model.lock().pick(number)?;
        let socket = self.io.of(&namespace).socket(&id);
        Some((line, socket.expect("who is in can be found")))
    }

    /// Opens a connection: one in four polls, one in four is of Socket.IO 2.
    async fn open(&mut self, kind: u8) -> Option<&mut Client> {
        let line = self.model.lock().lines.len();
        if self.clients.len() >= MOST_CLIENTS || line >= MOST_LINES {
            return None;
        }
        self.model.lock().lines.push(Line::new());
        let protocol = if kind % 4 == 3 { Protocol::V3 } else { Protocol::V4 };
        let wire = match kind % 4 {
            2 => Wire::polling(&self.io, line),
            _ => Wire::websocket(&self.io, &self.config, line, protocol).await,
        };
        self.clients.push(Client::new(line, protocol, self.options.parser, wire, &self.model));
        self.clients.last_mut()
    }

    async fn say(&mut self, script: &mut Script<'_>) {
        let (client, place, deed, number) = (script.byte(), script.byte(), script.byte(), script.byte());
        let payload = value(script, 3);
        if let Some(client) = self.client(client)
            && let Some(namespace) = place_of(client, place & 0x7F)
        {
            client.say(&namespace, vec![deed.into(), number.into(), payload], place & 0x80 != 0).await;
        }
    }

    /// A connection is gone, with all that was on its way.
    fn kill(&mut self, place: usize) {
        let client = self.clients.swap_remove(place);
        let is_honest = !client.is_wild() && !client.is_over;
        self.model.lock().lines[client.line].is_over = true;
        if is_honest {
            let places = client.places.iter().filter(|(_, place)| place.is_in && place.pid.is_some());
            let ghosts = places.map(|(namespace, place)| Ghost { namespace: namespace.clone(), place: place.clone() });
            self.ghosts.extend(ghosts);
        }
    }

    /// Somebody who lost a connection comes back by another.
    async fn come_back(&mut self, script: &mut Script<'_>) {
        let (number, kind, manner) = (script.byte(), script.byte(), script.byte());
        let Some(place) = usize::from(number).checked_rem(self.ghosts.len()) else { return };
        // Whether or not it is let in, it is recovered no second time.
        let Ghost { namespace, place } = self.ghosts.swap_remove(place);
        // Clients of Socket.IO 2 cannot.
        let kind = if kind % 4 == 3 { 0 } else { kind };
        if let Some(client) = self.open(kind).await {
            client.ask(&namespace, manner, Some(&place), kind < 128).await;
        }
    }

    /// Somebody whose connection is there, as far as the server knows, comes by another.
    async fn supersede(&mut self, script: &mut Script<'_>) {
        let (number, place, kind) = (script.byte(), script.byte(), script.byte());
        let Some(client) = self.client(number) else { return };
        let Some(namespace) = place_of(client, place) else { return };
        let (line, is_wild, is_over) = (client.line, client.is_wild(), client.is_over);
        let Some(it) = client.places.get_mut(&namespace) else { return };
        if is_wild || is_over || it.pid.is_none() {
            return;
        }
        let place = it.clone();
        // From now on it is the other's.
        it.pid = None;
        let kind = if kind % 4 == 3 { 0 } else { kind };
        if let Some(client) = self.open(kind).await {
            client.ask(&namespace, 0, Some(&place), true).await;
            self.model.lock().lines[line].may_close = true;
        }
    }

    /// Everybody reads what has come.
    async fn turn(&mut self) -> bool {
        sleep(Duration::from_millis(1)).await;
        let mut is_any = false;
        for client in &mut self.clients {
            is_any |= client.read().await;
        }
        is_any
    }

    /// Time, in steps small enough for pings to be answered.
    async fn pass(&mut self, time: Duration) {
        const STEP: Duration = Duration::from_secs(6);
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            sleep(step).await;
            left -= step;
            for client in &mut self.clients {
                client.read().await;
                client.ping().await;
            }
        }
        self.turn().await;
    }

    /// All that is on its way arrives, and nobody has missed anything.
    async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            sleep(Duration::from_millis(300)).await;
            quiet += 1;
            while self.turn().await {
                quiet = 0;
            }
            for client in &mut self.clients {
                client.ping().await;
            }
        }
        sleep(server::PATIENCE).await;
        self.turn().await;
        let mut state = self.model.lock();
        state.settle_accounts();
        assert!(state.asking.is_empty(), "answers are still awaited: {:?}", state.asking);
        for client in &self.clients {
            assert!(client.is_over || !client.is_doomed, "{} broke a rule and is still there", client.line);
            if client.is_over || client.is_deaf || state.lines[client.line].is_wild {
                continue;
            }
            state.check_line(client.line);
            for (namespace, place) in &client.places {
                assert!(place.is_in, "{} was not told about {namespace}: {place:?}", client.line);
                let socket = client.socket(&self.io, namespace);
                let rooms: BTreeSet<String> = socket.rooms().iter().map(ToString::to_string).collect();
                assert_eq!(Some(&rooms), state.rooms(client.line, namespace).as_deref());
            }
        }
        for namespace in self.io.namespaces() {
            assert_eq!(namespace.count(), state.count(namespace.name()), "{namespace:?}");
        }
    }

    /// All go, and nothing is left of them.
    async fn end(mut self, budget: &Budget) {
        while !self.clients.is_empty() {
            self.kill(0);
        }
        // Until those that do not poll are known to be dead.
        sleep(Duration::from_secs(100)).await;
        let state = self.model.lock();
        state.settle_accounts();
        assert!(state.seats.values().all(|seat| !seat.is_in), "sockets that have not left");
        let hub = self.io.hub();
        assert_eq!((self.io.engine().sessions(), hub.members(), hub.topics()), (0, 0, 0));
        let mut names: Vec<String> = self.io.namespaces().iter().map(|it| it.name().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["/", "/a"]);
        assert_eq!(self.io.engine().metrics().panics(), 0);
        assert_eq!(used(budget, |part| part != BudgetPart::Recovery), 0, "something is still counted: {budget:?}");
    }
}

fn place_of(client: &Client, number: u8) -> Option<String> {
    let place = usize::from(number).checked_rem(client.places.len())?;
    client.places.keys().nth(place).cloned()
}
