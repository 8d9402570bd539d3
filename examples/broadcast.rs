//! One message to many connections, encoded once: every line of the standard input goes to everyone who is connected.
//! `cargo run --example broadcast -- 127.0.0.1:3000`.

use std::io::BufRead;

use switchboard::ws::{Config, Context, Handler, Hub, MessageRef, Prepared, Server};

struct Listener;

impl Handler for Listener {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        // Whoever subscribes to anything is reached by `publish_all`.
        cx.subscribe("news").expect("a short name, and the first topic");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        cx.send("This is a broadcast: it only talks.");
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let hub = Hub::default();
    let server = Server::bind(address, Config::default().hub(hub.clone())).await?;
    println!("listening on ws://{}/", server.local_addr()?);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let delivery = hub.publish_all(Prepared::text(&line).into());
            println!("reached {}", delivery.reached);
        }
    });
    server.serve(|_| Listener).await;
    Ok(())
}
