//! A chat room, in the handler style: what a member says, the others hear. The path is the room:
//! `cargo run --example chat_room -- 127.0.0.1:3000`, then connect to `/lobby` twice.

use switchboard::ws::{Config, Context, Handler, Hub, MessageRef, Outcome, Server};

struct Member {
    room: String,
}

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = cx.subscribe(&self.room) {
            eprintln!("{error}");
        }
        let others = cx.hub().count(&self.room) - 1;
        cx.send(format!("You and {others} others are in {}.", self.room).as_str());
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        cx.publish(&self.room, message);
    }

    fn on_close(&mut self, outcome: &Outcome) {
        println!("someone left {}: {outcome}", self.room);
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let server = Server::bind(address, Config::default().hub(Hub::default())).await?;
    println!("listening on ws://{}/", server.local_addr()?);
    server.serve(|request| Member { room: request.uri().path().to_owned() }).await;
    Ok(())
}
