//! Says something to a server and prints what it answers: `cargo run --example client -- ws://127.0.0.1:3000/echo hello`.

use switchboard::ws::{self, CloseCode, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:3000/echo".into());
    let words: Vec<String> = arguments.collect();
    let mut socket = ws::connect(&url).await?;
    println!("round trip: {:?}", socket.ping().await?);
    for word in &words {
        socket.send(word.as_str()).await?;
    }
    for _ in &words {
        match socket.recv().await? {
            Some(Message::Text(text)) => println!("text: {text}"),
            Some(Message::Binary(bytes)) => println!("binary: {} bytes", bytes.len()),
            None => break,
        }
    }
    let outcome = socket.close(CloseCode::NORMAL, "").await?;
    println!("closed: {} (clean: {})", outcome.code(), outcome.is_clean());
    Ok(())
}
