//! What Socket.IO clients can do where there is no backend: join rooms, leave them, and be heard in them. It is the
//! same in the main namespace and in every namespace that begins as `--socketio-namespaces` says; the rooms of each are
//! its own, and those of the main one are those of plain WebSockets.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use switchboard_io::{Ack, Args, EmitError, Event, JoinError, Name, Socket, SocketIo, State, Value, is_reserved};

use crate::cli::socketio::SocketIoFlags;
use crate::names::{LONGEST_NAMESPACE, LONGEST_ROOM};
use crate::plain::MESSAGE;

/// So many rooms may be named in one go, each anew each time.
pub(crate) const MOST_NAMED: usize = 1024;

/// What things are called, and the rooms.
#[derive(Debug)]
pub(crate) struct Words {
    /// The event that joins rooms, and the one that leaves them. All others are relayed.
    join: String,
    leave: String,
    /// Namespaces that begin so come into being when a client asks for them.
    namespaces: String,
}

impl Words {
    /// # Errors
    /// A name that no client could say: the flag, and what is wrong with it.
    pub(crate) fn new(flags: &SocketIoFlags) -> Result<Arc<Self>, (&'static str, String)> {
        let SocketIoFlags { socketio_join_event: join, socketio_leave_event: leave, .. } = flags;
        for (flag, name) in [("--socketio-join-event", join), ("--socketio-leave-event", leave)] {
            if name.is_empty() || is_reserved(name) {
                return Err((flag, format!("no client can send an event called `{name}`")));
            }
            if name == MESSAGE {
                return Err((flag, format!("`{name}` is what plain WebSockets say, and the chat page")));
            }
        }
        if join == leave {
            return Err(("--socketio-leave-event", format!("`{leave}` is what joins rooms")));
        }
        let namespaces = &flags.socketio_namespaces;
        if !namespaces.starts_with('/') || namespaces.contains([',', '?']) || namespaces.len() >= LONGEST_NAMESPACE {
            let wanted = format!("`{namespaces}` is no beginning of a namespace such as /rooms/");
            return Err(("--socketio-namespaces", wanted));
        }
        Ok(Arc::new(Self { join: join.clone(), leave: leave.clone(), namespaces: namespaces.clone() }))
    }

    fn are_of(&self, namespace: &str) -> bool {
        let rest = namespace.strip_prefix(&self.namespaces);
        rest.is_some_and(|rest| !rest.is_empty()) && namespace.len() <= LONGEST_NAMESPACE
    }
}

/// Has a server do all this. `words` must be among its states.
pub(crate) fn serve(server: &SocketIo, words: Arc<Words>) {
    server.on_connect(welcome);
    server.of_function(move |name, _| std::future::ready(words.are_of(&name))).on_connect(welcome);
}

async fn welcome(socket: Socket) {
    socket.on_any(hear);
}

async fn hear(
    socket: Socket,
    Event(name): Event,
    args: Args,
    State(words): State<Arc<Words>>,
    ack: Ack,
) -> Result<(), EmitError> {
    if *name == *words.join {
        return move_about(&socket, &args, &ack, |rooms| socket.join(rooms));
    }
    if *name == *words.leave {
        return move_about(&socket, &args, &ack, |rooms| {
            socket.leave(rooms);
            Ok(())
        });
    }
    let reached = relay(&socket, &name, &args)?;
    ack.send(&reached)
}

/// Sends an event on to everyone in the sender's rooms but the sender, and tells how many that are.
fn relay(socket: &Socket, event: &Name, args: &Args) -> Result<usize, EmitError> {
    let joined: Vec<Name> = socket.rooms().into_iter().filter(|room| room != socket.id()).collect();
    if joined.is_empty() { Ok(0) } else { Ok(socket.to(joined).relay(event, args)?.reached) }
}

/// Joins or leaves rooms, all of them or none. The answer is the number of members that a room then has; a list of
/// them, if the rooms came as a list or there were several.
fn move_about(
    socket: &Socket,
    args: &Args,
    ack: &Ack,
    step: impl Fn(&[String]) -> Result<(), JoinError>,
) -> Result<(), EmitError> {
    let Some(asked) = Asked::read(args) else {
        return refuse(
            ack,
            &format!("give the name of a room, or of {MOST_NAMED} at most: 1 to {LONGEST_ROOM} bytes each"),
        );
    };
    if let Err(error) = step(&asked.rooms) {
        return refuse(ack, &in_words(&error));
    }
    let namespace = socket.nsp();
    let members: Vec<usize> = asked.rooms.iter().map(|room| namespace.count_in(room)).collect();
    match &members[..] {
        [one] if asked.alone => ack.send(one),
        several => ack.send(several),
    }
}

/// What a client is told, who knows of rooms only.
fn in_words(error: &JoinError) -> String {
    match error {
        JoinError::TooManyTopics { limit } => format!("a client may be in {limit} rooms at most"),
        // Names were looked at before.
        other => other.to_string(),
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
        let named = if args.len() == 1 { args.get(0) } else { args.deserialize() };
        match named.ok()? {
            Named::One(room) => Some(Self { rooms: vec![room], alone: true }),
            Named::Several(rooms) => (!rooms.is_empty()).then_some(Self { rooms, alone: false }),
        }
    }
}

/// Names that rooms may have. No more are read than may be named.
enum Named {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadNames)
    }
}

struct ReadNames;

impl<'de> Visitor<'de> for ReadNames {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a room, or of {MOST_NAMED} at most: 1 to {LONGEST_ROOM} bytes each")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
        let is_name = (1..=LONGEST_ROOM).contains(&name.len());
        if is_name { Ok(Named::One(name.to_owned())) } else { Err(E::invalid_length(name.len(), &self)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Named, A::Error> {
        let mut rooms = Vec::new();
        while let Some(name) = names.next_element()? {
            match name {
                Named::One(room) if rooms.len() < MOST_NAMED => rooms.push(room),
                _ => return Err(A::Error::invalid_length(rooms.len(), &self)),
            }
        }
        Ok(Named::Several(rooms))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use switchboard_io::Parser;

    use super::*;
    use crate::cli::Cli;

    fn words(arguments: &[&str]) -> Result<Arc<Words>, (&'static str, String)> {
        let cli = Cli::try_parse_from(["switchboard"].iter().chain(arguments)).expect("known flags");
        Words::new(&cli.serve.socketio)
    }

    #[test]
    fn namespaces_are_below_rooms() {
        let ours = words(&[]).unwrap();
        assert!(ours.are_of("/rooms/a") && ours.are_of("/rooms/a/b"));
        for name in ["/", "/rooms", "/rooms/", "/room/a", "/x/rooms/a"] {
            assert!(!ours.are_of(name), "{name}");
        }
        let long = |bytes| format!("/rooms/{}", "x".repeat(bytes));
        assert!(ours.are_of(&long(249)) && !ours.are_of(&long(250)));
        let others = words(&["--socketio-namespaces", "/x-"]).unwrap();
        assert!(others.are_of("/x-1") && !others.are_of("/rooms/a"));
    }

    #[test]
    fn names_that_nobody_could_say_are_refused() {
        for [flag, value] in [
            ["--socketio-join-event", ""],
            ["--socketio-join-event", "disconnect"],
            ["--socketio-join-event", "newListener"],
            ["--socketio-leave-event", "connect_error"],
            ["--socketio-leave-event", "join"],
            ["--socketio-join-event", "message"],
            ["--socketio-namespaces", "rooms/"],
            ["--socketio-namespaces", "/a,b"],
        ] {
            assert_eq!(words(&[flag, value]).unwrap_err().0, flag);
        }
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
            serde_json::json!([vec!["a"; MOST_NAMED + 1]]),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        let msgpack = Args::new(Parser::Msgpack, &("a", "b")).unwrap();
        assert_eq!(Asked::read(&msgpack).map(|asked| asked.rooms.len()), Some(2));
    }
}
