//! A panic in anything that an application has the server call, while others are served: it costs the socket that it
//! was about its place, where there is one, and nobody else anything.

use std::future::ready;

use switchboard_io::{AckError, Data, Refusal, RoomEvent, Socket, SocketIo};
use tokio::sync::Notify;

use crate::client::{Client, Poller, fenced, journal, serve};

/// Where the panic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Middleware,
    Connect,
    ConnectLater,
    Event,
    EventLater,
    Once,
    EventMiddleware,
    Any,
    Extractor,
    Outgoing,
    Ack,
    AcksOfTheLost,
    Disconnecting,
    Disconnect,
    Error,
    RoomJoined,
    RoomLeft,
    Function,
    NewNamespace,
}

const EVERYWHERE: [At; 19] = [
    At::Middleware,
    At::Connect,
    At::ConnectLater,
    At::Event,
    At::EventLater,
    At::Once,
    At::EventMiddleware,
    At::Any,
    At::Extractor,
    At::Outgoing,
    At::Ack,
    At::AcksOfTheLost,
    At::Disconnecting,
    At::Disconnect,
    At::Error,
    At::RoomJoined,
    At::RoomLeft,
    At::Function,
    At::NewNamespace,
];

/// What becomes of the socket in `/bad`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    NotLetIn,
    Disconnected,
    /// It goes on until it leaves by itself.
    Stays,
}

impl At {
    fn fate(self) -> Fate {
        match self {
            Self::Middleware | Self::Function => Fate::NotLetIn,
            Self::Outgoing
            | Self::AcksOfTheLost
            | Self::Disconnecting
            | Self::Disconnect
            | Self::Error
            | Self::RoomJoined
            | Self::RoomLeft
            | Self::NewNamespace => Fate::Stays,
            _ => Fate::Disconnected,
        }
    }
}

impl At {
    /// Those who are merely told of something may be told often, and are only logged.
    fn is_counted(self) -> bool {
        !matches!(self, Self::Outgoing | Self::AcksOfTheLost | Self::RoomJoined | Self::RoomLeft | Self::NewNamespace)
    }
}

/// Panics where it is told to.
fn bug(at: At, here: At) {
    assert_ne!(at, here, "a bug");
}

/// The namespace `/bad` has the bug; a socket there is in a room, and is asked for two acks.
fn server(at: At) -> SocketIo {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.on_new_namespace(move |_| bug(at, At::NewNamespace));
    let bad = io.of_function(move |name, _| {
        assert!(at != At::Function || name != "/bad", "a bug");
        ready(name == "/bad")
    });
    bad.use_(move |_: Socket| {
        bug(at, At::Middleware);
        ready(Ok::<(), Refusal>(()))
    });
    bad.on_connect(move |socket: Socket| {
        let watched = socket.nsp();
        watched.on_room(move |event| match event {
            RoomEvent::Join(..) => bug(at, At::RoomJoined),
            RoomEvent::Leave(..) => bug(at, At::RoomLeft),
            _ => {}
        });
        socket.join("room").expect("it has few rooms");
        for _ in 0..2 {
            let then = move |answer: Result<(), AckError>| match answer {
                Ok(()) => bug(at, At::Ack),
                Err(_) => bug(at, At::AcksOfTheLost),
            };
            socket.emit_then("question", &(), then).expect("it is here");
        }
        listen(&socket, at);
        bug(at, At::Connect);
        async move {
            tokio::task::yield_now().await;
            bug(at, At::ConnectLater);
        }
    });
    io
}

fn listen(socket: &Socket, at: At) {
    socket.use_(move |_: Socket| {
        bug(at, At::EventMiddleware);
        ready(if at == At::Error { Err(Refusal::new("not today")) } else { Ok(()) })
    });
    socket.on("say", move || {
        bug(at, At::Event);
        async move {
            tokio::task::yield_now().await;
            bug(at, At::EventLater);
        }
    });
    socket.once("say", move || {
        bug(at, At::Once);
        ready(())
    });
    if at == At::Extractor {
        socket.on("say", |_: Data<Bug>| ready(()));
    }
    socket.on_any(move || {
        bug(at, At::Any);
        ready(())
    });
    socket.on_any_outgoing(move |_, _| bug(at, At::Outgoing));
    socket.on_disconnecting(move || {
        bug(at, At::Disconnecting);
        ready(())
    });
    socket.on_disconnect(move || {
        bug(at, At::Disconnect);
        ready(())
    });
    socket.on_error(move || {
        bug(at, At::Error);
        ready(())
    });
}

/// Cannot be read without a panic.
struct Bug;

impl<'de> serde::Deserialize<'de> for Bug {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("a bug in a type")
    }
}

/// One who polls and one on a WebSocket, who are well the whole time.
struct Others {
    io: SocketIo,
    ann: Client,
    ben: Poller,
}

impl Others {
    async fn are_well(&mut self) {
        self.ann.expect_nothing().await;
        self.io.emit("all", &()).expect("an event without arguments can be written");
        self.ann.expect(r#"42["all"]"#).await;
        assert_eq!(self.ben.poll().await, r#"42["all"]"#);
        self.ben.say(r#"421["fence"]"#).await;
        assert_eq!(self.ben.poll().await, "431[]");
        assert_eq!(self.io.of("/").count(), 2);
    }
}

#[tokio::test]
async fn a_panic_anywhere_ends_what_it_was_about_and_no_more() {
    for at in EVERYWHERE {
        let io = server(at);
        let address = serve(&io).await;
        let (ann, ben) = (Client::join(address).await, Poller::join(address).await);
        let mut others = Others { io: io.clone(), ann, ben };
        others.are_well().await;
        let mut client = Client::join(address).await;
        client.say("40/bad,").await;
        match at.fate() {
            Fate::NotLetIn => client.expect(r#"44/bad,{"message":"internal error"}"#).await,
            fate => {
                client.welcomed("/bad").await;
                for id in 0..2 {
                    client.expect(&format!(r#"42/bad,{id}["question"]"#)).await;
                }
                if !matches!(at, At::Connect | At::ConnectLater | At::AcksOfTheLost) {
                    client.say("43/bad,0[]").await;
                }
                client.say(r#"42/bad,["say",1]"#).await;
                io.of("/bad").emit("all", &()).unwrap();
                leaves(&mut client, fate).await;
            }
        }
        // The client's other socket is as well as the others.
        client.expect_nothing().await;
        drop(client);
        while io.of("/").count() > 2 || io.engine().sessions() > 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(io.of("/bad").count(), 0, "at {at:?}");
        assert_eq!((io.hub().count("/bad,room"), io.hub().members()), (0, 2), "at {at:?}");
        assert_eq!(io.engine().metrics().panics(), u64::from(at.is_counted()), "at {at:?}");
        others.are_well().await;
    }
}

/// It is disconnected, or leaves.
async fn leaves(client: &mut Client, fate: Fate) {
    if fate == Fate::Stays {
        client.say("41/bad,").await;
        // Whether it heard the broadcast hangs on nothing.
        client.say(r#"42777["fence"]"#).await;
        let mut last = client.text().await;
        while last != "43777[]" {
            assert_eq!(last, r#"42/bad,["all"]"#);
            last = client.text().await;
        }
        return;
    }
    let mut last = client.text().await;
    while last != "41/bad," {
        assert_eq!(last, r#"42/bad,["all"]"#);
        last = client.text().await;
    }
}

/// Who watches rooms is called by whoever moves, and may publish: not under the lock that publishing takes.
#[tokio::test]
async fn who_watches_rooms_may_publish_when_somebody_comes_back() {
    let settings = switchboard_io::RecoverySettings::default();
    let io = SocketIo::builder().connection_state_recovery(settings).build();
    let (tell, mut told) = journal();
    let (publisher, gone) = (io.clone(), std::sync::Arc::new(Notify::new()));
    io.of("/").on_room(move |event| {
        if let RoomEvent::Join(room, _) = event {
            publisher.to("elsewhere").emit("joined", &()).unwrap();
            let _ = tell.send(room.to_owned());
        }
    });
    let left = std::sync::Arc::clone(&gone);
    io.on_connect(move |socket: Socket| {
        let left = std::sync::Arc::clone(&left);
        socket.on_disconnect(move || {
            left.notify_one();
            ready(())
        });
        ready(())
    });
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    let id = client.id.clone();
    assert_eq!(told.next().await, id);
    io.of("/").socket(&id).unwrap().join("room").unwrap();
    assert_eq!(told.next().await, "room");
    io.emit("event", &()).unwrap();
    let event = client.text().await;
    let (_, offset) = event.split_once(',').unwrap();
    let back = format!(r#"40{{"pid":"{}","offset":{}}}"#, client.pid, offset.trim_end_matches(']'));
    drop(client);
    gone.notified().await;
    let mut client = Client::open(address).await;
    client.say(&back).await;
    client.welcomed("/").await;
    assert_eq!([told.next().await, told.next().await], ["room".to_owned(), id]);
}

#[tokio::test]
async fn a_listener_for_the_upgrade_that_panics_costs_its_socket_its_place() {
    let io = SocketIo::new();
    fenced(&io, "/");
    io.of("/bad").on_connect(async |socket: Socket| {
        socket.on_upgrade(async |Data(to): Data<String>| assert_ne!(to, "websocket", "a bug"));
    });
    let poller = Poller::join(serve(&io).await).await;
    poller.say("40/bad,").await;
    assert!(poller.poll().await.starts_with("40/bad,{"));
    let mut client = poller.upgrade().await;
    client.expect("41/bad,").await;
    client.expect_nothing().await;
}
