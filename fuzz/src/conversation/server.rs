//! The application that clients talk with: namespaces of every kind, middlewares that refuse or take their time, and
//! handlers that do what an event asks them to, telling the model.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use switchboard_io::{
    Ack, AckError, Args, Broadcast, DisconnectReason, EmitError, Namespace, Number, RecoverySettings, Refusal, Socket,
    SocketIo, Value,
};
use switchboard_io::{Parser, engine::Protocol};
use switchboard_ws::Budget;
use tokio::time::sleep;

use super::model::{Audience, Back, CONNECT_TIMEOUT, MOST_AWAY, Manner, Model, What};

/// Namespaces that clients ask for. Those of the last kind are never there.
pub(super) const NAMESPACES: [&str; 8] = ["/", "/a", "/d-1", "/d-2", "/d-3", "/f-1", "/f-2", "/nowhere"];

/// Rooms that anybody may be in.
pub(super) const ROOMS: [&str; 4] = ["r0", "r1", "r2", "r3"];

/// What middlewares are told by what a client says for itself.
pub(super) const REFUSE: u8 = 1;
pub(super) const WAIT: u8 = 2;
pub(super) const ROOM: u8 = 4;
pub(super) const BEGONE: u8 = 8;

/// How long a server waits for answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What an event asks for: the remainder of its first argument by [`DEEDS`].
pub(super) const DEEDS: u8 = 12;
/// That deed is kept from handlers by a middleware, in all namespaces but the main one.
pub(super) const FORBIDDEN: u8 = 11;

/// What is set for a server.
pub(super) struct Options {
    pub(super) parser: Parser,
    pub(super) recovers: bool,
    pub(super) skip_middlewares: bool,
    pub(super) in_flight: usize,
}

/// A server. `token` is kept for as long as anything of it is there.
pub(super) fn build(options: &Options, model: &Model, budget: &Budget, token: &Arc<()>) -> SocketIo {
    let mut builder = SocketIo::builder()
        .parser(options.parser)
        .allow_eio3(true)
        .in_flight(options.in_flight)
        .connect_timeout(CONNECT_TIMEOUT)
        .outgoing_attachments(6)
        .cleanup_empty_child_namespaces(true)
        .budget(budget.clone())
        .state(Arc::clone(token));
    if options.recovers {
        builder = builder.connection_state_recovery(RecoverySettings {
            max_disconnection_duration: MOST_AWAY,
            skip_middlewares: options.skip_middlewares,
            ..RecoverySettings::default()
        });
    }
    let io = builder.build();
    let (connected, asked) = (model.clone(), model.clone());
    let greet = move |socket: Socket| {
        connect(&connected, &socket);
        std::future::ready(())
    };
    let guard = move |socket: Socket| guard(asked.clone(), socket);
    io.on_connect(greet.clone());
    io.of("/a").on_connect(greet.clone()).use_(guard.clone());
    io.of_pattern("/d-{x}").expect("a pattern").on_connect(greet.clone()).use_(guard);
    let knows = |name: String, auth: Args| async move {
        let manner = manner(&auth.get::<Value>(0).unwrap_or_default());
        if manner & WAIT != 0 {
            sleep(Duration::from_millis(7)).await;
        }
        name.starts_with("/f-") && manner & REFUSE == 0
    };
    io.of_function(knows).on_connect(greet);
    io
}

/// The number of the connection that a socket is on.
fn line(socket: &Socket) -> usize {
    let number = socket.handshake().query().find_map(|(name, value)| (name == "c").then(|| value.parse().ok()));
    number.flatten().expect("each connection has a number")
}

/// How a client wants to be received.
pub(super) fn manner(auth: &Value) -> u8 {
    auth.get("manner").and_then(Value::as_number).and_then(Number::as_u64).map_or(0, |it| it.to_le_bytes()[0])
}

async fn guard(model: Model, socket: Socket) -> Result<(), Refusal> {
    let (line, manner) = (line(&socket), manner(&socket.auth().unwrap_or_default()));
    if manner & ROOM != 0 && socket.join(ROOMS[0]).is_ok() {
        model.lock().arrive(line, &socket, ROOMS[0]);
    }
    if manner & WAIT != 0 {
        sleep(Duration::from_millis(11)).await;
    }
    if manner & REFUSE != 0 {
        model.lock().refuse(line, socket.namespace());
        return Err(Refusal::new("not you"));
    }
    Ok(())
}

fn connect(model: &Model, socket: &Socket) {
    let line = line(socket);
    let auth: Value = socket.auth().unwrap_or_default();
    let back = auth.get("id").and_then(Value::as_str).map(|id| Back {
        id: id.to_owned(),
        has_offset: auth.get("offset").is_some(),
        tag: auth.get("tag").and_then(Value::as_number).and_then(|it| u32::try_from(it.as_u64()?).ok()),
    });
    model.lock().enter(line, socket, back);
    if socket.recovered() {
        let data: Option<String> = socket.data().ok();
        model.lock().check(data.as_deref() == Some(socket.id()), || format!("{line} came back with {data:?}"));
    } else {
        socket.set_data(&**socket.id()).expect("a text can be written");
    }
    let (heard, left) = (model.clone(), model.clone());
    let is_guarded = socket.namespace() != "/";
    if is_guarded {
        let model = model.clone();
        socket.use_(move |socket: Socket, args: Args| std::future::ready(listen(&model, line, &socket, &args)));
    }
    socket.on("do", move |socket: Socket, args: Args, ack: Ack| hear(&heard, line, is_guarded, socket, args, ack));
    let has_pid = socket.protocol() == Protocol::V4;
    socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        left.lock().leave(line, &socket, reason, has_pid);
        std::future::ready(())
    });
    if manner(&auth) & BEGONE != 0 {
        dismiss(model, line, socket, false);
    }
}

/// The middleware of a socket.
fn listen(model: &Model, line: usize, socket: &Socket, args: &Args) -> Result<(), Refusal> {
    let values = args.values();
    let said = model.lock().hear(line, socket.namespace(), &values);
    socket.set_extension(said.and_then(|said| said.id));
    if deed(&values) == FORBIDDEN { Err(Refusal::new("not that")) } else { Ok(()) }
}

fn number(values: &[Value], place: usize) -> u8 {
    values.get(place).and_then(Value::as_number).and_then(Number::as_u64).map_or(0, |it| it.to_le_bytes()[0])
}

fn deed(values: &[Value]) -> u8 {
    number(values, 0) % DEEDS
}

fn hear(
    model: &Model,
    line: usize,
    is_guarded: bool,
    socket: Socket,
    args: Args,
    ack: Ack,
) -> impl Future<Output = ()> + Send + use<> {
    let values = args.values();
    let (deed, number) = (deed(&values), number(&values, 1));
    let id = if is_guarded {
        // The middleware was called for the same event, just now.
        socket.extension::<Option<u64>>().and_then(|id| *id)
    } else {
        model.lock().hear(line, socket.namespace(), &values).and_then(|said| said.id)
    };
    let payload = values.last().cloned().unwrap_or_default();
    let model = model.clone();
    async move {
        match deed {
            0 | 1 => {}
            2 | 3 => sleep(Duration::from_millis(number.into())).await,
            4 => join(&model, line, &socket, ROOMS[usize::from(number) % ROOMS.len()]),
            5 => leave(&model, line, &socket, ROOMS[usize::from(number) % ROOMS.len()]),
            6 | 7 => publish(&model, &socket.nsp(), Some((line, &socket)), number, &payload),
            8 => publish(&model, &socket.nsp(), None, number, &payload),
            9 => emit(&model, &socket, number, &payload),
            10 => dismiss(&model, line, &socket, number == 255),
            _ => {
                let is_right = deed == FORBIDDEN && !is_guarded;
                model.lock().check(is_right, || "what was refused was heard".to_owned());
            }
        }
        answer(&model, line, &socket, &ack, id, &args);
    }
}

/// Answers an event with its arguments, and then once more: that goes nowhere, unless the first could not be written.
fn answer(model: &Model, line: usize, socket: &Socket, ack: &Ack, id: Option<u64>, args: &Args) {
    let again = Args::new(args.encoding(), "again").expect("a text can be written");
    let mut is_wanted = true;
    for args in [args, &again] {
        match (ack.send(args), id) {
            (Ok(()), Some(id)) if is_wanted => {
                model.lock().send(line, socket.namespace(), What::Ack { id, args: args.values() });
                is_wanted = false;
            }
            (Err(EmitError::Disconnected), _) if !socket.connected() => return,
            (Ok(()) | Err(EmitError::TooManyAttachments { .. }), _) => {}
            (Err(error), _) => model.lock().check(false, || format!("an event was not answered: {error}")),
        }
    }
}

/// A socket joins a room.
pub(super) fn join(model: &Model, line: usize, socket: &Socket, room: &str) {
    let joined = socket.join(room);
    let mut state = model.lock();
    state.check(joined.is_ok(), || format!("{line} cannot join {room}"));
    if let Some(rooms) = state.rooms(line, socket.namespace()) {
        rooms.insert(room.to_owned());
    }
}

/// A socket leaves a room.
pub(super) fn leave(model: &Model, line: usize, socket: &Socket, room: &str) {
    socket.leave(room);
    if let Some(rooms) = model.lock().rooms(line, socket.namespace()) {
        rooms.remove(room);
    }
}

/// A server takes a socket out, or closes the connection that it is on: then it takes out all that are on that.
pub(super) fn dismiss(model: &Model, line: usize, socket: &Socket, close: bool) {
    if close {
        model.lock().lines[line].may_close = true;
        socket.disconnect_all();
    } else {
        socket.disconnect();
    }
    let mut state = model.lock();
    state.lines[line].is_dismissed |= close;
    state.check(!socket.connected(), || format!("{line} was taken out and is still in"));
}

/// Publishes to rooms that a number tells of, for somebody or for nobody.
pub(super) fn publish(
    model: &Model,
    namespace: &Namespace,
    from: Option<(usize, &Socket)>,
    number: u8,
    payload: &Value,
) {
    let bits = |bits: u8| ROOMS.iter().enumerate().filter(move |(place, _)| bits >> place & 1 == 1).map(|(_, it)| *it);
    let rooms: Vec<String> = bits(number & 7).map(str::to_owned).collect();
    let except: Vec<String> = bits(number >> 3 & 3).map(str::to_owned).collect();
    let to: Broadcast = from.map_or_else(|| namespace.all(), |(_, socket)| socket.broadcast());
    let to = rooms.iter().fold(to, |to, room| to.to(room.as_str()));
    let to = except.iter().fold(to, |to, room| to.except(room.as_str()));
    let skip = from.map(|(line, _)| line);
    let audience = Audience { namespace: namespace.name(), rooms: &rooms, except: &except, skip };
    let tag = model.lock().tag();
    let (sent, manner) = match number >> 6 {
        0 | 1 => (to.emit("news", &(tag, payload)).map(drop), Manner::Plain),
        2 => (to.volatile().emit("maybe", &(tag, payload)).map(drop), Manner::Volatile),
        _ => (ask_all(model, &to, tag, payload), Manner::Asks),
    };
    written(model, sent, || model.lock().publish(&audience, tag, payload, manner));
}

fn ask_all(model: &Model, to: &Broadcast, tag: u32, payload: &Value) -> Result<(), EmitError> {
    let answers = to.clone().timeout(PATIENCE).emit_with_ack::<(u32, Value)>("ask", &(tag, payload))?;
    model.lock().asking.insert(tag);
    let model = model.clone();
    tokio::spawn(async move {
        let came = answers.all().await.unwrap_or_else(|unanswered| unanswered.answers);
        let mut state = model.lock();
        state.asking.remove(&tag);
        came.iter().for_each(|answer| state.answered(tag, answer));
    });
    Ok(())
}

/// Sends to one socket: directly, by the room of its id, or so that it answers.
pub(super) fn emit(model: &Model, socket: &Socket, number: u8, payload: &Value) {
    let tag = model.lock().tag();
    let args = (tag, payload);
    let rooms = [socket.id().to_string()];
    let namespace = socket.namespace();
    let audience = Audience { namespace, rooms: &rooms, except: &[], skip: None };
    let (sent, manner) = match number % 4 {
        0 => (socket.emit("news", &args), Manner::Plain),
        1 => (socket.nsp().to(rooms[0].as_str()).emit("news", &args).map(drop), Manner::Plain),
        2 => (socket.volatile().emit("maybe", &args), Manner::Volatile),
        _ => (ask(model, socket, tag, payload), Manner::Asks),
    };
    if let (Err(EmitError::Disconnected), false) = (&sent, socket.connected()) {
        return;
    }
    written(model, sent, || model.lock().publish(&audience, tag, payload, manner));
}

fn ask(model: &Model, socket: &Socket, tag: u32, payload: &Value) -> Result<(), EmitError> {
    let asking = model.clone();
    let ask = socket.timeout(PATIENCE);
    model.lock().asking.insert(tag);
    let asked = ask.emit_then("ask", &(tag, payload), move |answer: Result<(u32, Value), AckError>| {
        let mut state = asking.lock();
        let was_asking = state.asking.remove(&tag);
        state.check(was_asking, || format!("{tag} was answered twice"));
        if let Ok(answer) = answer {
            state.answered(tag, &answer);
        }
    });
    if asked.is_err() {
        model.lock().asking.remove(&tag);
    }
    asked
}

/// What cannot be written is sent to nobody.
fn written(model: &Model, sent: Result<(), EmitError>, then: impl FnOnce()) {
    match sent {
        Ok(()) => then(),
        Err(EmitError::TooManyAttachments { .. }) => {}
        Err(error) => model.lock().check(false, || format!("an event was not sent: {error}")),
    }
}
