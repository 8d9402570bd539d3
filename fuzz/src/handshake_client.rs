//! An answer as a client reads it. An input is a byte of options, one for the cuts, and the bytes of a server, in which
//! `$ACCEPT` stands for the right value: the key is random, so that an answer that has it anywhere but in its header is
//! not compared with another.

use std::time::Instant;

use http::{StatusCode, Uri};
use switchboard_ws_proto::deflate::{DeflateConfig, DeflateParams};
use switchboard_ws_proto::handshake::{
    Answer, BODY_CAP, ClientHandshake, ClientRequest, HandshakeError, HeadParser, Limits, Refused, accept_key,
};

use crate::script::{Script, chunks};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let flags = script.byte();
    let seed = script.byte();
    let template = script.rest();
    address(template);
    let request = request(flags);
    let whole = read(&request, template, |bytes| vec![bytes]);
    let bytewise = read(&request, template, |bytes| bytes.chunks(1).collect());
    let cut = read(&request, template, |mut rest| {
        let mut chunk = chunks(seed);
        let mut cut = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(chunk().min(rest.len()));
            cut.push(now);
            rest = later;
        }
        cut
    });
    if is_comparable(template, &whole) {
        assert_eq!(whole, bytewise, "byte by byte");
        assert_eq!(whole, cut, "in chunks");
    }
}

fn request(flags: u8) -> ClientRequest {
    let address = Uri::from_static("ws://example.test/chat?a=1");
    let mut request = ClientRequest::new(&address).expect("an address");
    if flags & 1 != 0 {
        request = request.protocol("chat").and_then(|request| request.protocol("superchat")).expect("two tokens");
    }
    request.deflate((flags & 2 != 0).then(|| DeflateConfig {
        own_context_takeover: flags & 4 != 0,
        peer_context_takeover: flags & 8 != 0,
        ..DeflateConfig::default()
    }))
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Unfinished(Option<(StatusCode, Vec<u8>)>),
    Established { protocol: Option<String>, deflate: Option<DeflateParams>, consumed: usize },
    Refused(StatusCode, Vec<u8>),
    Failed(HandshakeError),
}

fn read(request: &ClientRequest, template: &[u8], cut: impl FnOnce(&[u8]) -> Vec<&[u8]>) -> Outcome {
    let mut handshake = ClientHandshake::new(request, &Limits::default(), Instant::now());
    let bytes = fill_in(template, &accept(handshake.request()));
    let mut before = 0;
    for chunk in cut(&bytes) {
        match handshake.receive(chunk) {
            Ok(None) => before += chunk.len(),
            Ok(Some(Answer::Established { established, consumed })) => {
                assert!(consumed <= chunk.len());
                let (protocol, deflate) = (established.protocol, established.deflate);
                return Outcome::Established { protocol, deflate, consumed: before + consumed };
            }
            Ok(Some(Answer::Refused(refused))) => {
                let (status, body) = told(refused);
                return Outcome::Refused(status, body);
            }
            Err(error) => return Outcome::Failed(error),
        }
    }
    Outcome::Unfinished(handshake.into_refused().map(told))
}

fn told(refused: Refused) -> (StatusCode, Vec<u8>) {
    assert!(refused.body.len() <= BODY_CAP);
    let shown = refused.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    (refused.status, refused.body)
}

fn accept(request: &[u8]) -> String {
    let limits = Limits::default();
    let parsed = HeadParser::<http::Request<()>>::new(&limits).push(request).expect("our request");
    let head = parsed.expect("all of it").head;
    accept_key(head.headers()["Sec-WebSocket-Key"].as_bytes())
}

const MARK: &[u8] = b"$ACCEPT";

/// The random value stands where it belongs and nowhere else.
fn is_comparable(template: &[u8], outcome: &Outcome) -> bool {
    let header = [b"\r\nSec-WebSocket-Accept: ", MARK, b"\r\n"].concat();
    match count(template, MARK) {
        0 => true,
        1 => {
            count(template, &header) == 1
                && matches!(outcome, Outcome::Established { .. } | Outcome::Failed(_) | Outcome::Unfinished(None))
        }
        _ => false,
    }
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

fn fill_in(template: &[u8], accept: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(accept.as_bytes());
        rest = &rest[at + MARK.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Any address makes a request that a server can read, or none.
fn address(template: &[u8]) {
    let line = template.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(address) = Uri::try_from(line) else { return };
    if let Ok(request) = ClientRequest::new(&address) {
        let handshake = ClientHandshake::new(&request, &Limits::default(), Instant::now());
        if handshake.request().len() <= Limits::default().max_head_bytes {
            accept(handshake.request());
        }
    }
}
