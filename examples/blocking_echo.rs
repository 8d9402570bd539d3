//! An echo server without a runtime: `std::net`, a thread per connection, and the protocol crate alone. It shows that
//! the state machine needs nothing else. `cargo run --example blocking_echo -- 127.0.0.1:3000`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use switchboard::ws_proto::handshake::{self, Parsed, ServerHandshake, ServerOptions, encode_response};
use switchboard::ws_proto::{Config, Connection, Disconnect, Event, Input, Output, SendOptions};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let Some(mut first_frames) = open(&mut stream)? else { return Ok(()) };
    let mut connection = Connection::server(Arc::new(Config::default()), None, Instant::now());
    let mut out = Output::new();
    let mut buffer = vec![0; 64 << 10];
    echo(&mut connection, &mut first_frames, &mut out);
    loop {
        connection.poll_transmit(Instant::now(), &mut out);
        stream.write_all(&out.to_vec())?;
        out.clear();
        match connection.disconnect() {
            Disconnect::No => {}
            Disconnect::Linger => stream.shutdown(Shutdown::Write)?,
            Disconnect::AfterFlush | Disconnect::Now => return Ok(()),
        }
        // The socket wakes us for the machine's deadlines too.
        let wait = connection.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(wait.map(|wait| wait.max(std::time::Duration::from_millis(1))))?;
        match stream.read(&mut buffer) {
            Ok(0) => connection.receive_eof(),
            Ok(count) => echo(&mut connection, &mut buffer[..count], &mut out),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                connection.handle_timeout(Instant::now());
            }
            Err(error) => return Err(error),
        }
    }
}

fn echo(connection: &mut Connection, bytes: &mut [u8], out: &mut Output) {
    let now = Instant::now();
    let mut input = Input::new(bytes);
    while let Some(event) = connection.receive(&mut input, now) {
        if let Event::Message(message) = event {
            // After a Close frame nothing more can be sent, and nothing more is owed.
            let _ = connection.send(message.as_ref(), SendOptions::default(), now, out);
        }
    }
}

/// The opening handshake. `None`: the client was refused. Else the frames that came with its request.
fn open(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let options = ServerOptions::default();
    stream.set_read_timeout(Some(options.limits.timeout))?;
    let mut machine = ServerHandshake::new(&options.limits, Instant::now());
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        let judged = match machine.handle_timeout(Instant::now()).and_then(|()| machine.receive(&buffer[..count])) {
            Ok(None) => continue,
            Ok(Some(Parsed { head, consumed })) => {
                handshake::accept(&head, &options).map(|accepted| (accepted, consumed))
            }
            Err(rejection) => Err(rejection),
        };
        let mut answer = Vec::new();
        let first_frames = match judged {
            Ok((accepted, consumed)) => {
                encode_response(&accepted.response, &mut answer);
                Some(buffer[consumed..count].to_vec())
            }
            Err(rejection) => {
                rejection.encode(&mut answer);
                None
            }
        };
        stream.write_all(&answer)?;
        return Ok(first_frames);
    }
}
