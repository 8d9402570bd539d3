//! Handles of one server in many tasks at once.

use std::collections::BTreeSet;

use switchboard_io::{Data, Socket, SocketIo};

use crate::client::{Client, fenced, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_send_by_clones_of_a_handle_and_each_is_heard_in_its_order() {
    let io = SocketIo::new();
    fenced(&io, "/a");
    let address = serve(&io).await;
    let mut client = Client::join(address).await;
    client.enter("/a").await;
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (root, namespace) = (io.clone(), io.of("/a"));
            tokio::spawn(async move {
                for number in 0..50 {
                    if task % 2 == 0 {
                        root.emit("n", &(task, number)).unwrap();
                    } else {
                        namespace.emit("n", &(task, number)).unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut next = [0; 4];
    for _ in 0..200 {
        let text = client.text().await;
        let (place, numbers) = text.split_once(r#"["n","#).unwrap();
        let (task, number) = numbers.trim_end_matches(']').split_once(',').unwrap();
        let (task, number): (usize, u32) = (task.parse().unwrap(), number.parse().unwrap());
        assert_eq!(place, if task % 2 == 0 { "42" } else { "42/a," });
        assert_eq!(number, next[task], "of task {task}");
        next[task] += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_come_speak_and_go_at_once() {
    let io = SocketIo::new();
    io.on_connect(async |socket: Socket| {
        let _ = socket.join("room");
        socket.on("say", async |socket: Socket, Data(word): Data<String>| {
            socket.to("room").emit("said", &word)?;
            socket.emit("heard", &())
        });
        socket.emit("ready", &())
    });
    let address = serve(&io).await;
    let clients: Vec<_> = (0..20)
        .map(|number| {
            tokio::spawn(async move {
                let mut client = Client::join(address).await;
                client.say(&format!(r#"42["say","{number}"]"#)).await;
                while client.text().await != r#"42["heard"]"# {}
                let id = client.id.clone();
                client.say("41").await;
                client.say("40").await;
                // What others said before it left is heard first.
                let mut welcome = client.text().await;
                while !welcome.starts_with("40") {
                    welcome = client.text().await;
                }
                client.id = welcome[10..30].to_owned();
                (id, client)
            })
        })
        .collect();
    let mut left = Vec::new();
    let mut ids = BTreeSet::new();
    for client in clients {
        let (id, client) = client.await.unwrap();
        assert!(io.of("/").socket(&id).is_none());
        ids.insert(client.id.clone());
        left.push(client);
    }
    assert_eq!((ids.len(), io.of("/").count(), io.of("/").count_in("room")), (20, 20, 20));
    assert!(ids.iter().all(|id| io.of("/").socket(id).is_some()));
}
