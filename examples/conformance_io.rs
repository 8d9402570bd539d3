//! The server that the Socket.IO checks talk to; what it does is written down in `interop/socketio-server.md`:
//! `cargo run --release --example conformance_io -- --port 3000`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use switchboard::io::engine::{AllowOrigin, CloseReason, Cors, Hooks, Refusal as Denial};
use switchboard::io::{
    Ack, AckError, Args, Auth, ClusterError, Data, DisconnectReason, EmitError, Event, JoinError, Parser as Packets,
    RecoverySettings, Refusal, Socket, SocketIo, Spread, Value,
};
use switchboard::ws::DeflateConfig;
use tokio::net::TcpListener;

#[derive(Parser)]
struct Arguments {
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    parser: Encoding,
    /// Let in clients of Socket.IO 2 too.
    #[arg(long)]
    eio3: bool,
    /// Connection state recovery.
    #[arg(long)]
    recovery: bool,
    /// permessage-deflate.
    #[arg(long)]
    deflate: bool,
    /// In milliseconds.
    #[arg(long, default_value_t = 25_000)]
    ping_interval: u64,
    /// In milliseconds.
    #[arg(long, default_value_t = 20_000)]
    ping_timeout: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Encoding {
    Json,
    Msgpack,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    server(&arguments).serve(listener).await
}

fn server(arguments: &Arguments) -> SocketIo {
    let cors = Cors {
        origin: AllowOrigin::Exactly("http://page.example".into()),
        credentials: true,
        allowed_headers: Some(vec!["x-interop".into()]),
        ..Cors::default()
    };
    let mut builder = SocketIo::builder()
        .parser(match arguments.parser {
            Encoding::Json => Packets::Json,
            Encoding::Msgpack => Packets::Msgpack,
        })
        .allow_eio3(arguments.eio3)
        .ping_interval(Duration::from_millis(arguments.ping_interval))
        .ping_timeout(Duration::from_millis(arguments.ping_timeout))
        .cors(cors)
        .hooks(hooks());
    if arguments.recovery {
        builder = builder.connection_state_recovery(RecoverySettings::default());
    }
    if arguments.deflate {
        builder = builder.per_message_deflate(DeflateConfig::default());
    }
    let io = builder.build();
    namespaces(&io);
    io
}

fn hooks() -> Hooks {
    Hooks::default()
        .allow_request(async |request| {
            let query = request.uri.query().unwrap_or_default();
            let denied = query.split('&').any(|field| field.split('=').next() == Some("deny"));
            if denied { Err(Denial::new("denied by the server")) } else { Ok(()) }
        })
        .middleware(async |_| {
            let header = (HeaderName::from_static("x-engine"), HeaderValue::from_static("interop"));
            Ok(HeaderMap::from_iter([header]))
        })
}

fn namespaces(io: &SocketIo) {
    io.use_(async |socket: Socket, Auth(auth): Auth<Value>| may_enter(&socket, &auth));
    io.on_connect(async |socket: Socket| serve(&socket));
    io.of("/custom").on_connect(async |socket: Socket| serve(&socket));
    io.of("/guarded")
        .use_(async |socket: Socket, Auth(auth): Auth<Value>| {
            if auth.get("token").and_then(Value::as_str) != Some("secret") {
                return Err(refusal("token wanted", Code { code: 401 }));
            }
            socket.set_data("let in").map_err(|error| Refusal::new(error.to_string()))
        })
        .on_connect(async |socket: Socket| serve(&socket));
    io.of("/greeting").on_connect(async |socket: Socket| {
        for number in 1..=3 {
            socket.emit("greeting", &number)?;
        }
        serve(&socket);
        Ok::<_, EmitError>(())
    });
    io.of_function(async |name, _| {
        let number = name.strip_prefix("/dynamic-");
        number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    })
    .use_(
        async |socket: Socket| {
            if socket.namespace() == "/dynamic-13" { Err(Refusal::new("unlucky")) } else { Ok(()) }
        },
    )
    .on_connect(async |socket: Socket| serve(&socket));
}

#[derive(Serialize)]
struct Code {
    code: u16,
}

fn refusal(message: &str, data: impl Serialize) -> Refusal {
    Refusal::new(message).with_data(data).expect("numbers and words serialise")
}

fn may_enter(socket: &Socket, auth: &Value) -> Result<(), Refusal> {
    #[derive(Serialize)]
    struct Why {
        code: u16,
        why: (&'static str, ()),
    }

    let by_query = || socket.handshake().query().find(|(name, _)| name == "refuse").map(|(_, value)| value);
    let refuse = auth.get("refuse").and_then(Value::as_str).map(str::to_owned).or_else(by_query);
    match refuse.as_deref() {
        Some("data") => Err(refusal("not today", Why { code: 403, why: ("because", ()) })),
        Some("plain") => Err(Refusal::new("just no")),
        _ => Ok(()),
    }
}

/// Installs every event on one socket, whatever its namespace.
fn serve(socket: &Socket) {
    talk(socket);
    collect(socket);
    acknowledge(socket);
    ask(socket);
    rooms(socket);
    others(socket);
    leave(socket);
}

fn talk(socket: &Socket) {
    socket.on("echo", async |socket: Socket, args: Args| socket.emit("echo", &args));
    socket.on("message", async |socket: Socket, args: Args| socket.send(&args));
    socket.on("say", async |socket: Socket, Data(Spread(mut args)): Data<Spread<Value>>| {
        let event = text(&take(&mut args));
        socket.emit(&event, &Spread(args))
    });
    socket.on("count", async |socket: Socket, Data(count): Data<u64>| {
        (0..count).try_for_each(|number| socket.emit("number", &number))
    });
    socket.on("blob", async |socket: Socket, Data(size): Data<usize>| {
        let bytes: Bytes = b"switchboard".iter().copied().cycle().take(size).collect();
        socket.emit("blob", &bytes)
    });
    socket.once("once", async |socket: Socket| socket.emit("once", &()));
    socket.use_(async |Event(name): Event| {
        #[derive(Serialize)]
        struct Forbidden<'a> {
            event: &'a str,
        }

        if &*name == "forbidden" { Err(refusal("forbidden event", Forbidden { event: &name })) } else { Ok(()) }
    });
    socket.on_error(async |socket: Socket, Data(error): Data<(String, Value)>| socket.emit("refused", &error));
}

fn collect(socket: &Socket) {
    let collected: Arc<Mutex<Vec<Value>>> = Arc::default();
    let list = Arc::clone(&collected);
    socket.on("collect", move |Data(value): Data<Value>| {
        list.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        async {}
    });
    socket.on("collected", move |ack: Ack| {
        let sent = ack.send(&*collected.lock().unwrap_or_else(PoisonError::into_inner));
        async move { sent }
    });
}

fn acknowledge(socket: &Socket) {
    socket.on("ack", async |args: Args, ack: Ack| ack.send(&args));
    socket.on("silence", async || {});
    socket.on("weigh", async |args: Args, ack: Ack| {
        let mut weight = Weight::default();
        args.values().iter().for_each(|value| weight.add(value));
        ack.send(&weight)
    });
    socket.on("whoami", async |socket: Socket, ack: Ack| ack.send(&whoami(&socket)));
    socket.on("set", async |socket: Socket, Data(value): Data<Value>, ack: Ack| {
        socket.set_data(value)?;
        ack.send(&())
    });
}

/// How many binary values there are, and how many bytes they have.
#[derive(Default, Serialize)]
struct Weight {
    buffers: usize,
    bytes: usize,
}

impl Weight {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Binary(bytes) => {
                self.buffers += 1;
                self.bytes += bytes.len();
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.add(element)),
            Value::Object(members) => members.iter().for_each(|(_, member)| self.add(member)),
            _ => {}
        }
    }
}

#[derive(Serialize)]
struct WhoAmI<'a> {
    id: &'a str,
    namespace: &'a str,
    recovered: bool,
    transport: &'static str,
    rooms: Vec<String>,
    value: Value,
    header: Option<&'a str>,
    auth: Value,
    query: Value,
}

fn whoami(socket: &Socket) -> WhoAmI<'_> {
    let auth: Value = socket.auth().unwrap_or_default();
    let mut rooms: Vec<_> = socket.rooms().iter().map(ToString::to_string).collect();
    rooms.sort();
    WhoAmI {
        id: socket.id(),
        namespace: socket.namespace(),
        recovered: socket.recovered(),
        transport: socket.transport().as_str(),
        rooms,
        value: socket.data().unwrap_or_default(),
        header: socket.handshake().header("x-interop"),
        auth: if auth.is_null() { Value::Object(Vec::new()) } else { auth },
        query: Value::Object(socket.handshake().query().map(|(name, value)| (name, value.into())).collect()),
    }
}

fn ask(socket: &Socket) {
    socket.on("ask", async |socket: Socket, args: Args| {
        // Not awaited: answers are to go back in the order in which they come.
        let asker = socket.clone();
        socket.emit_then("question", &args, move |answer: Result<Spread<Value>, AckError>| {
            if let Ok(answer) = answer {
                // A client that is gone needs to hear nothing.
                let _ = asker.emit("answered", &answer);
            }
        })
    });
    socket.on("ask-within", async |socket: Socket, Data(Spread(mut args)): Data<Spread<Value>>| {
        let time = Duration::from_millis(number(&take(&mut args)));
        match socket.timeout(time).emit_with_ack::<Spread<Value>>("question", &Spread(args)).await {
            Ok(answer) => socket.emit("answered", &answer),
            Err(_) => socket.emit("unanswered", &()),
        }
    });
    socket.on("ask-room", async |socket: Socket, Data(asked): Data<(String, u64, Value)>, ack: Ack| {
        #[derive(Serialize)]
        struct Asked {
            late: bool,
            answers: Vec<Value>,
        }

        let (room, time, question) = asked;
        let target = socket.nsp().to(room).timeout(Duration::from_millis(time));
        let (late, answers) = match target.emit_with_ack("question", &question)?.all().await {
            Ok(answers) => (false, answers),
            Err(unanswered) => (true, unanswered.answers),
        };
        ack.send(&Asked { late, answers })
    });
}

/// A room, or a list of rooms.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
        }
    }
}

fn rooms(socket: &Socket) {
    socket.on("join", async |socket: Socket, Data(names): Data<Names>, ack: Ack| {
        socket.join(names.list())?;
        // A client that is gone needs no answer.
        let _ = ack.send(&());
        Ok::<_, JoinError>(())
    });
    socket.on("leave", async |socket: Socket, Data(name): Data<String>, ack: Ack| {
        socket.leave(name);
        ack.send(&())
    });
    socket.on("send", async |socket: Socket, Data(Spread(mut args)): Data<Spread<Value>>, ack: Ack| {
        let how = take(&mut args);
        let event = text(&take(&mut args));
        send(&socket, &how, &event, args)?;
        ack.send(&())
    });
}

/// The one way to send to others; `how` says from where, to which rooms, and in which manner.
fn send(socket: &Socket, how: &Value, event: &str, args: Vec<Value>) -> Result<(), EmitError> {
    let is = |flag| how.get(flag).and_then(Value::as_bool).unwrap_or_default();
    let names = |key| match how.get(key) {
        Some(Value::Array(names)) => names.iter().map(text).collect(),
        Some(name @ Value::String(_)) => vec![text(name)],
        _ => Vec::new(),
    };
    let by_socket = how.get("from").and_then(Value::as_str) == Some("socket");
    let mut target = if by_socket { socket.broadcast() } else { socket.nsp().all() };
    if is("volatile") {
        target = target.volatile();
    }
    if is("local") {
        target = target.local();
    }
    if is("compress") {
        target = target.compress(true);
    }
    target.to(names("to")).except(names("except")).emit(event, &Spread(args)).map(drop)
}

fn others(socket: &Socket) {
    socket.on("members", async |socket: Socket, Data(room): Data<String>, ack: Ack| {
        let members = socket.nsp().to(room).fetch_sockets().await?;
        let mut ids: Vec<_> = members.iter().map(|member| member.id().to_string()).collect();
        ids.sort();
        answer(&ack, &ids)
    });
    socket.on("move", async |socket: Socket, Data((from, to)): Data<(String, String)>, ack: Ack| {
        let members = socket.nsp().to(&from);
        members.sockets_join(to).await?;
        members.sockets_leave(&from).await?;
        answer(&ack, &())
    });
    socket.on("clear", async |socket: Socket, Data((room, close)): Data<(String, bool)>, ack: Ack| {
        socket.nsp().to(room).disconnect_sockets(close).await?;
        answer(&ack, &())
    });
}

/// Answers a client who may be gone by now, and then needs no answer.
fn answer(ack: &Ack, value: &impl Serialize) -> Result<(), ClusterError> {
    let _ = ack.send(value);
    Ok(())
}

fn leave(socket: &Socket) {
    socket.on(
        "kick",
        async |socket: Socket, Data(close): Data<Option<bool>>| {
            if close == Some(true) { socket.disconnect_all() } else { socket.disconnect() }
        },
    );
    socket.on("hang-up", async |socket: Socket| socket.session().close(CloseReason::ForcedClose));
    socket.on("watch", async |socket: Socket, Data(id): Data<String>, ack: Ack| {
        socket.join(watchers(&id))?;
        let is_here = socket.nsp().socket(&id).is_some();
        // A client that is gone needs no answer.
        let _ = ack.send(&is_here);
        Ok::<_, JoinError>(())
    });
    let left: Arc<Mutex<Vec<String>>> = Arc::default();
    let leaving = Arc::clone(&left);
    socket.on_disconnecting(move |socket: Socket| {
        let rooms = socket.rooms().into_iter().filter(|room| room != socket.id() && !room.starts_with("watch:"));
        let mut rooms: Vec<_> = rooms.map(|room| room.to_string()).collect();
        rooms.sort();
        *leaving.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
        async {}
    });
    socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        let rooms = left.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gone = (&**socket.id(), reason.as_str(), rooms);
        let told = socket.nsp().to(watchers(socket.id())).emit("gone", &gone);
        async move { told }
    });
}

/// The room of those who want to hear of a socket's end.
fn watchers(id: &str) -> String {
    format!("watch:{id}")
}

/// The first of the arguments that are left; null if there is none.
fn take(args: &mut Vec<Value>) -> Value {
    if args.is_empty() { Value::Null } else { args.remove(0) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_number().and_then(switchboard::io::Number::as_u64).unwrap_or_default()
}
