//! The server side that the JavaScript client's own test-suite expects:
//! `cargo run --release --example client_suite_server -- --port 3210`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Parser;
use switchboard::io::engine::Hooks;
use switchboard::io::{Ack, AckError, Args, Data, RecoverySettings, Refusal, Socket, SocketIo, Value};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Arguments {
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 3210)]
    port: u16,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { port } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    server().serve(listener).await
}

fn server() -> SocketIo {
    // The suite wants clients to run into timeouts of theirs while they connect.
    let hooks = Hooks::default().allow_request(async |_| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    });
    let io = SocketIo::builder()
        .ping_interval(Duration::from_secs(2))
        .connection_state_recovery(RecoverySettings::default())
        .hooks(hooks)
        .build();
    io.of("/foo").on_connect(async |socket: Socket| {
        socket.on("getId", async |socket: Socket, ack: Ack| ack.send(&**socket.id()));
    });
    for name in ["/timeout_socket", "/valid", "/asd"] {
        let _ = io.of(name);
    }
    io.of("/abc").on_connect(async |socket: Socket| socket.emit("handshake", &handshake(&socket)));
    io.of("/no").use_(async || Err(Refusal::new("Auth failed (custom namespace)")));
    io.use_(async |socket: Socket| match socket.handshake().query().find(|(name, _)| name == "fail") {
        Some((_, value)) if !value.is_empty() => Err(Refusal::new("Auth failed (main namespace)")),
        _ => Ok(()),
    });
    io.on_connect(async |socket: Socket| {
        talk(&socket);
        send(&socket);
        take_binary(&socket);
    });
    io
}

fn talk(socket: &Socket) {
    socket.on("hi", async |socket: Socket| socket.emit("hi", &()));
    socket.on("echo", async |Data(argument): Data<Value>, ack: Ack| ack.send(&argument));
    socket.on("ack", async |socket: Socket| {
        let (number, object): (Value, Value) = socket.emit_with_ack("ack", &()).await?;
        if number == Value::from(5_u8) && object.get("test") == Some(&Value::Bool(true)) {
            socket.emit("got it", &())?;
        }
        Ok::<_, AckError>(())
    });
    socket.on("getAckDate", async |ack: Ack| ack.send(&now()));
    socket.on("getHandshake", async |socket: Socket, ack: Ack| ack.send(&handshake(&socket)));
    socket.on("getId", async |socket: Socket, ack: Ack| ack.send(&**socket.id()));
}

fn send(socket: &Socket) {
    socket.on("getDate", async |socket: Socket| socket.emit("takeDate", &now()));
    socket.on("getDateObj", async |socket: Socket| {
        socket.emit("takeDateObj", &Value::Object(vec![("date".to_owned(), now().into())]))
    });
    socket.on("getUtf8", async |socket: Socket| {
        let texts = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];
        texts.iter().try_for_each(|text| socket.emit("takeUtf8", text))
    });
    socket.on("false", async |socket: Socket| socket.emit("false", &false));
    socket.on("doge", async |socket: Socket| socket.emit("doge", &Bytes::from_static(b"asdfasdf")));
    socket.on("getbin", async |socket: Socket| socket.emit("takebin", &Bytes::from_static(b"asdfasdf")));
}

fn take_binary(socket: &Socket) {
    for (event, answer) in [("buffa", "buffack"), ("blob", "back")] {
        answer_if(socket, event, answer, |argument| matches!(argument, Value::Binary(_)));
    }
    for (event, answer) in [("jsonbuff", "jsonbuff-ack"), ("jsonblob", "jsonblob-ack")] {
        answer_if(socket, event, answer, is_message);
    }
    // Events that must come in this order.
    for events in [vec!["abuff1", "abuff2"], vec!["blob1", "blob2", "blob3"]] {
        let seen = Arc::new(AtomicU8::new(0));
        let last = events.len() - 1;
        for (place, event) in (0_u8..).zip(events) {
            let seen = Arc::clone(&seen);
            let answer = format!("{event}-ack");
            let is_last = usize::from(place) == last;
            answer_if(socket, event, &answer, move |argument| {
                let is_proper = match event {
                    "abuff2" => true,
                    "blob2" => argument.as_str() == Some("second"),
                    _ => matches!(argument, Value::Binary(_)),
                };
                let in_order = seen.compare_exchange(place, place + 1, Ordering::AcqRel, Ordering::Acquire).is_ok();
                is_proper && in_order && is_last
            });
        }
    }
}

/// Answers an event by another one, if its first argument is as it should be.
fn answer_if(
    socket: &Socket,
    event: &'static str,
    answer: &str,
    is_proper: impl Fn(&Value) -> bool + Send + Sync + 'static,
) {
    let answer = answer.to_owned();
    socket.on(event, move |socket: Socket, args: Args| {
        let proper = args.get(0).is_ok_and(|argument| is_proper(&argument));
        let sent = if proper { socket.emit(&answer, &()) } else { Ok(()) };
        async move { sent }
    });
}

fn is_message(argument: &Value) -> bool {
    let word = |key| argument.get(key).and_then(Value::as_str);
    word("hello") == Some("lol")
        && word("goodbye") == Some("gotcha")
        && matches!(argument.get("message"), Some(Value::Binary(_)))
}

/// As JavaScript writes it.
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// What Node's servers know of a client's first request.
fn handshake(socket: &Socket) -> Value {
    let handshake = socket.handshake();
    let issued = handshake.time().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |(name, value): (String, String)| (name, Value::from(value));
    let headers = handshake.headers();
    let headers = headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let auth: Value = socket.auth().unwrap_or_default();
    let members = [
        ("headers", Value::Object(headers.map(text).collect())),
        ("time", humantime::format_rfc3339_millis(handshake.time()).to_string().into()),
        ("address", handshake.peer().ip().map_or_else(String::new, |ip| ip.to_string()).into()),
        ("xdomain", handshake.xdomain().into()),
        ("secure", handshake.secure().into()),
        ("issued", u64::try_from(issued.as_millis()).unwrap_or_default().into()),
        ("url", handshake.url().into()),
        ("query", Value::Object(handshake.query().map(text).collect())),
        ("auth", if auth.is_null() { Value::Object(Vec::new()) } else { auth }),
    ];
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
}
