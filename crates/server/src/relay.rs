//! What Socket.IO clients can do where there is no backend: join rooms, leave them, and be heard in them. It is the same in
//! the main namespace and in every namespace below `/rooms/`; the rooms of each are its own, and those of the main one are
//! those of plain WebSockets.

use switchboard_io::{
    Ack, Args, EmitError, Event, JoinError, Name, NamespaceName, Socket, SocketIo, State, Value, topic,
};
use switchboard_ws::Hub;

use crate::rooms::LONGEST_NAME;

/// The event that joins rooms, and the one that leaves them. All others are relayed.
const JOIN: &str = "join";
const LEAVE: &str = "leave";
/// Namespaces that begin so come into being when a client asks for them.
const NAMESPACES: &str = "/rooms/";
/// The longest name of a namespace, in bytes.
pub(crate) const LONGEST_NAMESPACE: usize = 256;

/// Has a server do all this.
pub(crate) fn serve(server: &SocketIo) {
    server.on_connect(welcome);
    server.of_function(|name, _| std::future::ready(is_ours(&name))).on_connect(welcome);
}

fn is_ours(name: &str) -> bool {
    name.len() > NAMESPACES.len() && name.starts_with(NAMESPACES) && name.len() <= LONGEST_NAMESPACE
}

async fn welcome(socket: Socket) {
    socket.on_any(hear);
}

async fn hear(
    socket: Socket,
    Event(name): Event,
    args: Args,
    State(hub): State<Hub>,
    ack: Ack,
) -> Result<(), EmitError> {
    match &*name {
        JOIN => move_about(&socket, &args, &hub, &ack, |room| socket.join(room)),
        LEAVE => move_about(&socket, &args, &hub, &ack, |room| {
            socket.leave(room);
            Ok(())
        }),
        _ => {
            let reached = relay(&socket, &name, &args)?;
            ack.send(&reached)
        }
    }
}

/// Sends an event on to everyone in the sender's rooms but the sender, and tells how many that are.
fn relay(socket: &Socket, event: &str, args: &Args) -> Result<usize, EmitError> {
    // The first one is its own.
    match socket.rooms().get(1..) {
        Some(rooms) if !rooms.is_empty() => Ok(socket.to(rooms).emit(event, args)?.reached),
        _ => Ok(0),
    }
}

/// Joins or leaves rooms. The answer is the number of members that a room then has; a list of them, if the rooms came as a
/// list or there were several.
fn move_about(
    socket: &Socket,
    args: &Args,
    hub: &Hub,
    ack: &Ack,
    step: impl Fn(Name) -> Result<(), JoinError>,
) -> Result<(), EmitError> {
    let Some(asked) = Asked::read(args) else {
        return refuse(ack, &format!("give the name of a room, or several: 1 to {LONGEST_NAME} bytes each"));
    };
    let namespace = NamespaceName::new(socket.namespace())?;
    let mut members = Vec::with_capacity(asked.rooms.len());
    for room in asked.rooms {
        let topic = topic(&namespace, &room);
        if let Err(error) = step(room.into()) {
            return refuse(ack, &error.to_string());
        }
        members.push(hub.count(&topic));
    }
    match &members[..] {
        [one] if asked.alone => ack.send(one),
        several => ack.send(several),
    }
}

fn refuse(ack: &Ack, sentence: &str) -> Result<(), EmitError> {
    ack.send(&Value::Object(vec![("error".to_owned(), Value::from(sentence))]))
}

/// The rooms that a client names.
#[derive(Debug, PartialEq)]
struct Asked {
    rooms: Vec<String>,
    /// One, and not in a list.
    alone: bool,
}

impl Asked {
    /// `"a"`, `"a","b"` or `["a","b"]`.
    fn read(args: &Args) -> Option<Self> {
        let mut values = args.values();
        let mut alone = values.len() == 1;
        if let [Value::Array(list)] = &mut values[..] {
            alone = false;
            values = std::mem::take(list);
        }
        let name = |value| match value {
            Value::String(name) if !name.is_empty() && name.len() <= LONGEST_NAME => Some(name),
            _ => None,
        };
        let rooms: Vec<String> = values.into_iter().map(name).collect::<Option<_>>()?;
        (!rooms.is_empty()).then_some(Self { rooms, alone })
    }
}

#[cfg(test)]
mod tests {
    use switchboard_io::Parser;

    use super::*;

    #[test]
    fn namespaces_are_below_rooms() {
        assert!(is_ours("/rooms/a") && is_ours("/rooms/a/b"));
        for name in ["/", "/rooms", "/rooms/", "/room/a", "/x/rooms/a"] {
            assert!(!is_ours(name), "{name}");
        }
        assert!(is_ours(&format!("/rooms/{}", "x".repeat(249))) && !is_ours(&format!("/rooms/{}", "x".repeat(250))));
    }

    #[test]
    fn rooms_are_named_in_several_ways() {
        let args = |value: &serde_json::Value| {
            Args::from_json(&value.to_string(), Vec::new(), &switchboard_io::Limits::default()).unwrap()
        };
        let read = |value| Asked::read(&args(&value)).map(|asked| (asked.rooms.join("+"), asked.alone));
        let some = |rooms: &str, alone| Some((rooms.to_owned(), alone));
        assert_eq!(read(serde_json::json!(["a"])), some("a", true));
        assert_eq!(read(serde_json::json!(["a", "b"])), some("a+b", false));
        assert_eq!(read(serde_json::json!([["a"]])), some("a", false));
        assert_eq!(read(serde_json::json!([["a", "b"]])), some("a+b", false));
        for wrong in [
            serde_json::json!([]),
            serde_json::json!([[]]),
            serde_json::json!([""]),
            serde_json::json!([1]),
            serde_json::json!(["a", 1]),
            serde_json::json!([["a"], "b"]),
            serde_json::json!(["x".repeat(257)]),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        let msgpack = Args::new(Parser::Msgpack, &("a", "b")).unwrap();
        assert_eq!(Asked::read(&msgpack).map(|asked| asked.rooms.len()), Some(2));
    }
}
