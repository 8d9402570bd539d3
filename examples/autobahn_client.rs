//! The Autobahn test suite's client under test: `autobahn_client ws://127.0.0.1:9001 AGENT` runs every case that the
//! suite's server has.

use std::error::Error;

use switchboard::ws::{Client, Config, DeflateConfig, Limits, Socket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let url = url.trim_end_matches('/');
    let count = connect(format!("{url}/getCaseCount")).await?.recv().await?.ok_or("no count")?;
    let count: u32 = count.as_text().ok_or("the count is no text")?.parse()?;
    for case in 1..=count {
        // How a case ends is the suite's to judge.
        if let Ok(socket) = connect(format!("{url}/runCase?case={case}&agent={agent}")).await {
            let _ = echo(socket).await;
        }
    }
    let mut reports = connect(format!("{url}/updateReports?agent={agent}")).await?;
    while reports.recv().await?.is_some() {}
    println!("ran {count} cases");
    Ok(())
}

async fn connect(url: String) -> Result<Socket, Box<dyn Error>> {
    let deflate = DeflateConfig { own_context_takeover: true, peer_context_takeover: true, ..DeflateConfig::default() };
    let limits = Limits { deflate: Some(deflate), ..Limits::default() };
    Ok(Client::new(url).config(Config::default().limits(limits)).connect().await?)
}

async fn echo(mut socket: Socket) -> Result<(), switchboard::ws::Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
