//! Holds a conversation with an echo server and checks every answer: how our client is tried against other people's
//! servers. `conformance_client URL [--ca FILE] [--compression off|shared|takeover] [--protocol NAME]`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use switchboard::ws::{Client, ClientTls, CloseCode, Config, DeflateConfig, Limits, Message, Socket};

#[derive(Parser)]
struct Arguments {
    url: String,
    /// The certificate authority to trust, in PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Compression::Off)]
    compression: Compression,
    #[arg(long)]
    protocol: Option<String>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Compression {
    Off,
    Shared,
    Takeover,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match converse(&arguments).await {
        Ok(()) => {
            println!("conforms");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn converse(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut socket = connect(arguments).await?;
    if let Some(wanted) = &arguments.protocol
        && socket.info().protocol() != Some(wanted)
    {
        return Err(format!("the protocol {wanted} was not chosen").into());
    }
    for message in messages() {
        socket.send(message.clone()).await?;
        expect(&mut socket, &message).await?;
    }
    // All sent before any is read.
    let sender = socket.sender();
    let many: Vec<Message> = (0..1000).map(|i| Message::text(format!("message {i} of many"))).collect();
    let sent = many.clone();
    let sending = tokio::spawn(async move {
        for message in sent {
            sender.send(message).await?;
        }
        Ok::<(), switchboard::ws::Error>(())
    });
    for message in &many {
        expect(&mut socket, message).await?;
    }
    sending.await??;
    socket.ping().await?;
    let outcome = socket.close(CloseCode(4321), "enough").await?;
    if !outcome.is_clean() {
        return Err(format!("the connection did not close cleanly: {outcome}").into());
    }
    Ok(())
}

async fn connect(arguments: &Arguments) -> Result<Socket, Box<dyn Error>> {
    let takeover = arguments.compression == Compression::Takeover;
    let deflate = DeflateConfig {
        own_context_takeover: takeover,
        peer_context_takeover: takeover,
        threshold: 0,
        ..DeflateConfig::default()
    };
    let deflate = (arguments.compression != Compression::Off).then_some(deflate);
    let limits = Limits { deflate, ..Limits::default() };
    let mut client = Client::new(&arguments.url).config(Config::default().limits(limits));
    if let Some(ca) = &arguments.ca {
        client = client.tls(ClientTls::pem(std::fs::read(ca)?)?);
    }
    if let Some(protocol) = &arguments.protocol {
        client = client.protocol(protocol);
    }
    Ok(client.connect().await?)
}

async fn expect(socket: &mut Socket, message: &Message) -> Result<(), Box<dyn Error>> {
    match socket.recv().await? {
        Some(echo) if echo == *message => Ok(()),
        Some(other) => Err(format!(
            "a {:?} message of {} bytes came back as {:?} of {} bytes",
            message.kind(),
            message.len(),
            other.kind(),
            other.len()
        )
        .into()),
        None => Err("the server closed in the middle of the conversation".into()),
    }
}

/// Text and binary at every length where the framing changes, and text beyond ASCII.
fn messages() -> Vec<Message> {
    let mut messages = vec![Message::text("κόσμε €𝄞 grüße"), Message::binary(&b"\x00\xff\xfe"[..])];
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let noise = (0..len).map(|i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        messages.push(Message::binary(noise.collect::<Vec<u8>>()));
        messages.push(Message::text("text ".repeat(len as usize / 5 + 1)[..len as usize].to_owned()));
    }
    messages
}
