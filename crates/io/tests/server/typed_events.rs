//! Events whose types are written down once.

use serde::{Deserialize, Serialize};
use switchboard_io::{AckError, Socket, SocketIo, TypedEvent};

use crate::client::{Client, journal, serve};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Move {
    piece: String,
    to: (u8, u8),
}

const MOVE: TypedEvent<Move, u32> = TypedEvent::new("move");
const MOVED: TypedEvent<(String, Move)> = TypedEvent::new("moved");
const READY: TypedEvent<(), bool> = TypedEvent::new("ready");

#[tokio::test]
async fn a_handler_gets_its_type_and_what_it_returns_is_the_answer() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        MOVE.on(&socket, async |_: Socket, step: Move| u32::from(step.to.0) + u32::from(step.to.1));
        READY.once(&socket, async |_: Socket, (): ()| true);
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"421["move",{"piece":"rook","to":[3,4]}]"#).await;
    client.expect("431[7]").await;
    client.say(r#"422["ready"]"#).await;
    client.expect("432[true]").await;
    // Once was enough.
    client.say(r#"423["ready"]"#).await;
    client.say(r#"424["move",{"piece":"pawn","to":[0,1]}]"#).await;
    client.expect("434[1]").await;
}

#[tokio::test]
async fn what_does_not_fit_and_what_fails_is_an_error_and_no_answer() {
    let (tell, mut told) = journal();
    let io = SocketIo::new();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        socket.on_error(move |switchboard_io::Data(error): switchboard_io::Data<String>| {
            tell.send(error).expect("the test listens");
            std::future::ready(())
        });
        MOVE.on(&socket, async |_: Socket, step: Move| match &*step.piece {
            "king" => Err("that is check"),
            _ => Ok(1),
        });
        std::future::ready(())
    });
    let mut client = Client::join(serve(&io).await).await;
    client.say(r#"421["move",{"piece":"rook"}]"#).await;
    client.say(r#"422["move",{"piece":"king","to":[1,1]}]"#).await;
    client.say(r#"423["move",{"piece":"pawn","to":[1,1]}]"#).await;
    client.expect("433[1]").await;
    let error = told.next().await;
    assert!(error.contains("missing field"), "{error}");
    assert_eq!(told.next().await, "that is check");
}

#[tokio::test]
async fn it_is_sent_to_one_to_many_and_answered() {
    let io = SocketIo::new();
    let (tell, mut told) = journal();
    io.on_connect(move |socket: Socket| {
        let tell = tell.clone();
        async move { tell.send(socket).expect("the test listens") }
    });
    let mut client = Client::join(serve(&io).await).await;
    let socket = told.next().await;
    let step = Move { piece: "rook".into(), to: (3, 4) };
    MOVED.emit(&socket, &("ann".into(), step.clone())).expect("it is connected");
    client.expect(r#"42["moved","ann",{"piece":"rook","to":[3,4]}]"#).await;
    let delivery = MOVED.emit(&io, &("bob".into(), step.clone())).expect("it can be written");
    assert_eq!(delivery.reached, 1);
    client.expect(r#"42["moved","bob",{"piece":"rook","to":[3,4]}]"#).await;

    let asked = tokio::spawn({
        let (socket, step) = (socket.clone(), step.clone());
        async move { MOVE.ask(&socket, &step).await }
    });
    let question = client.text().await;
    let id = ack_id(&question);
    client.say(&format!("43{id}[12]")).await;
    assert_eq!(asked.await.expect("it does not panic").expect("an answer"), 12);

    let answers = READY.ask_all(&io.of("/").all(), &()).expect("it can be written");
    let question = client.text().await;
    let id = ack_id(&question);
    client.say(&format!("43{id}[true]")).await;
    assert_eq!(answers.all().await.expect("all have answered"), [true]);

    let unanswered = READY.ask(socket.timeout(std::time::Duration::from_millis(1)), &()).await;
    assert!(matches!(unanswered, Err(AckError::Timeout)), "{unanswered:?}");
}

/// The number that the answer to an event is to have.
fn ack_id(event: &str) -> &str {
    event.strip_prefix("42").and_then(|rest| rest.split_once('[')).expect("an event").0
}
