//! Socket.IO protocol 5 on Engine.IO protocol 4: the packets that a client sends, and what it should hear.

use std::io::{Read, Write};

use crate::Result;
use crate::frame::{self, Heard, KEY, Reader};

/// A Socket.IO packet that joins the namespace `/`, and the start of the server's consent.
pub(crate) const CONNECT: &[u8] = b"40";
const CONNECTED: &[u8] = b"40{";
/// The start of the first packet of all.
const OPEN: &[u8] = b"0{";
/// Between the packets of one HTTP body.
const SEPARATOR: u8 = 0x1e;

/// Ids of acknowledgements. As many messages may be on their way, and each reply is known from its neighbours'.
const IDS: u64 = 256;

/// Where a transport is asked for.
pub(crate) fn path(transport: &str) -> String {
    format!("/socket.io/?EIO=4&transport={transport}")
}

/// An event for everyone, and what everyone hears.
pub(crate) fn broadcast(argument: &str) -> (Vec<u8>, Vec<u8>) {
    let event = format!("42[\"m\",\"{argument}\"]").into_bytes();
    (event.clone(), event)
}

/// Events that want an acknowledgement, each with the acknowledgement it should get.
pub(crate) fn acknowledged(argument: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    (0..IDS).map(move |id| {
        (format!("42{id}[\"m\",\"{argument}\"]").into_bytes(), format!("43{id}[\"{argument}\"]").into_bytes())
    })
}

/// The packets of an HTTP body.
pub(crate) fn packets(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == SEPARATOR)
}

/// An HTTP body of these packets.
pub(crate) fn body(packets: &[Vec<u8>]) -> Vec<u8> {
    packets.join(&SEPARATOR)
}

/// The session's id, out of the packet that opens it.
pub(crate) fn session_id(open: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(open)?;
    let id = text.strip_prefix("0{").and_then(|rest| rest.split_once("\"sid\":\"")?.1.split_once('"'));
    Ok(id.ok_or_else(|| format!("not the start of a session: {text}"))?.0)
}

pub(crate) fn is_connected(packet: &[u8]) -> bool {
    packet.starts_with(CONNECTED)
}

/// Joins the namespace `/` over a WebSocket that is just open. `rest` came together with the response.
pub(crate) fn join(stream: &mut (impl Read + Write), rest: &[u8]) -> Result<()> {
    let mut reader = Reader::default();
    let mut awaited = [OPEN, CONNECTED].as_slice();
    let mut buffer = [0; 4096];
    let mut received = rest;
    loop {
        reader.feed(received, |heard| {
            if let Some(answer) = heard.answer(true) {
                return Ok(stream.write_all(&answer)?);
            }
            let Heard::Message { payload, .. } = heard else { return Ok(()) };
            awaited = match awaited {
                [start, rest @ ..] if payload.starts_with(start) => rest,
                _ => return Err(format!("not what was awaited: {}", String::from_utf8_lossy(payload)).into()),
            };
            if !awaited.is_empty() {
                stream.write_all(&frame::encode(frame::TEXT, false, Some(KEY), CONNECT))?;
            }
            Ok(())
        })?;
        // Nothing of a ping that may follow is lost with the reader.
        if awaited.is_empty() && reader.is_between_frames() {
            return Ok(());
        }
        received = match stream.read(&mut buffer)? {
            0 => return Err("the server hung up in place of a session".into()),
            length => &buffer[..length],
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::engineio::{PING, PONG};

    const OPENED: &[u8] = br#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000}"#;

    fn text(payload: &[u8]) -> Vec<u8> {
        frame::encode(frame::TEXT, false, None, payload)
    }

    /// What joining comes to, and what the client says, when a server says these.
    fn joined(rest: &[u8], said: &[u8]) -> (Result<()>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("a listener");
        let (mut server, _) = listener.accept().expect("a client");
        server.write_all(said).expect("a reader");
        server.shutdown(std::net::Shutdown::Write).expect("a connection");
        let result = join(&mut client, rest);
        drop(client);
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).expect("a client that is gone");
        (result, heard)
    }

    #[test]
    fn the_id_is_taken_out_of_the_opening_packet() {
        assert_eq!(session_id(OPENED).expect("an id"), "lv_VI97HAXpY6yYWAAAC");
        for other in [&b"40{\"sid\":\"a\"}"[..], b"0{}", b"0{\"sid\":\"a", b"0{\"sid\":\"\xff\"}"] {
            assert!(session_id(other).is_err());
        }
    }

    #[test]
    fn a_body_is_its_packets() {
        let all = [b"2".to_vec(), b"430[\"a\"]".to_vec()];
        assert_eq!(body(&all), b"2\x1e430[\"a\"]");
        assert!(packets(&body(&all)).eq(&all));
        assert!(packets(b"2").eq([b"2"]));
    }

    #[test]
    fn each_acknowledgement_bears_the_id_of_its_event() {
        let (event, reply) = acknowledged("x").nth(17).expect("many");
        assert_eq!((&event[..], &reply[..]), (&b"4217[\"m\",\"x\"]"[..], &b"4317[\"x\"]"[..]));
    }

    #[test]
    fn joining_answers_a_ping_that_comes_with_the_consent() {
        let said = [text(b"40{\"sid\":\"a\"}"), text(PING)].concat();
        let client = |payload| frame::encode(frame::TEXT, false, Some(KEY), payload);
        let (result, heard) = joined(&text(OPENED), &said);
        result.expect("a session");
        assert_eq!(heard, [client(CONNECT), client(PONG)].concat());
    }

    #[test]
    fn joining_fails_without_consent() {
        assert!(joined(&[], &text(OPENED)).0.is_err());
        assert!(joined(&text(OPENED), &text(b"44{\"message\":\"no\"}")).0.is_err());
        assert!(joined(&[], &text(b"40{\"sid\":\"a\"}")).0.is_err());
    }
}
