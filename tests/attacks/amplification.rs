//! Little that is said and asks for much: by members of rooms, of those who are in them.

use switchboard_testkit::{Wire, frame};

use crate::arena::{Arena, text};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// One attachment that an event names a thousand times. For plain WebSockets it was written out each time: 30 KB of JSON
/// took two gigabytes.
#[tokio::test]
async fn an_attachment_named_many_times_is_not_multiplied_for_plain_websockets() {
    let mut arena = Arena::new(&[]).await;
    let mut plain = Wire::open(arena.address, "/rooms/lobby").await;
    let mut member = arena.join().await;
    member.say(&text(r#"421["join","lobby"]"#)).await;
    assert_eq!(member.frame().await, frame::text("431[2]"));
    let named = vec![r#"{"_placeholder":true,"num":0}"#; 1000].join(",");
    arena.begin();
    member.say(&text(&format!(r#"451-2["file",{named}]"#))).await;
    member.say(&frame::binary(vec![7; 900_000]).masked()).await;
    assert_eq!(member.frame().await, frame::text("432[1]"), "sent to whoever is there");
    member.say(&text(r#"42["message","short"]"#)).await;
    assert_eq!(plain.frame().await, frame::text("short"), "what is next arrives");
    assert_eq!(arena.too_long_for_plain(), 1);
    arena.goes_on(8 * MIB).await;
}

/// Events to the rooms of somebody who is in a thousand. Each took time by the square of that, 2.4 ms, and all of a read were
/// heard before anybody else: 64 KiB stopped a server for half a minute.
#[tokio::test]
async fn events_to_a_thousand_rooms_are_heard_by_turns() {
    let mut arena = Arena::new(&[]).await;
    let rooms: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let mut member = arena.join().await;
    member.say(&text(&format!(r#"421["join",{}]"#, serde_json::json!(rooms)))).await;
    assert!(member.frame().await.payload.starts_with(b"431["));
    arena.begin();
    let events: Vec<u8> = (0..1000).flat_map(|_| text(r#"42["e"]"#).bytes()).collect();
    member.send(events).await;
    arena.is_well().await;
    member.say(&text(r#"422["e"]"#)).await;
    assert_eq!(member.frame().await, frame::text("432[0]"), "all were heard, the last one last");
    arena.goes_on(512 * KIB).await;
}

/// A list of rooms to join that is the same one, a quarter of a million times: each was counted anew.
#[tokio::test]
async fn nobody_joins_a_room_a_quarter_of_a_million_times_at_once() {
    let mut arena = Arena::new(&[]).await;
    let mut member = arena.join().await;
    let join = text(&format!(r#"421["join",{}]"#, serde_json::json!(vec!["a"; 240_000])));
    arena.begin();
    member.say(&join).await;
    let answer = String::from_utf8(member.frame().await.payload.to_vec()).unwrap();
    assert!(answer.starts_with(r#"431[{"error":"give the name of a room"#), "{answer}");
    arena.goes_on(6 * MIB).await;
}
