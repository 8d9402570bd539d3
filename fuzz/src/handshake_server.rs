//! A request as a server reads it. An input is a byte of options, one for the cuts, and the bytes of a client.

use std::time::Instant;

use http::{Request, Response};
use switchboard_ws_proto::deflate::DeflateConfig;
use switchboard_ws_proto::handshake::{
    HandshakeError, HeadParser, Limits, Origins, Parsed, Protocols, Rejection, ServerHandshake, ServerOptions, accept,
    check_response, encode_request, encode_response, is_upgrade,
};

use crate::script::{Script, chunks};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let flags = script.byte();
    let seed = script.byte();
    let bytes = script.rest();
    let limits = if flags & 1 == 0 {
        Limits::default()
    } else {
        Limits { max_head_bytes: 300, max_headers: 8, ..Limits::default() }
    };
    let whole = read(&limits, [bytes].into_iter());
    assert_eq!(whole, read(&limits, bytes.chunks(1)), "byte by byte");
    let (mut rest, mut chunk) = (bytes, chunks(seed));
    let cut = std::iter::from_fn(|| {
        let (now, later) = rest.split_at(chunk().min(rest.len()));
        rest = later;
        (!now.is_empty()).then_some(now)
    });
    assert_eq!(whole, read(&limits, cut), "in chunks");
    if let Outcome::Request { encoded, consumed } = whole {
        assert!(consumed <= limits.max_head_bytes);
        let request = parse::<Request<()>>(&encoded);
        let mut again = Vec::new();
        encode_request(&request, &mut again);
        assert_eq!(again, encoded);
        judge(&request, flags);
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Unfinished,
    Request { encoded: Vec<u8>, consumed: usize },
    Refused(Option<HandshakeError>),
}

fn read<'a>(limits: &Limits, chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut handshake = ServerHandshake::new(limits, Instant::now());
    let mut before = 0;
    for chunk in chunks {
        match handshake.receive(chunk) {
            Ok(None) => before += chunk.len(),
            Ok(Some(Parsed { head, consumed })) => {
                let mut encoded = Vec::new();
                encode_request(&head, &mut encoded);
                return Outcome::Request { encoded, consumed: before + consumed };
            }
            Err(rejection) => {
                check_rejection(&rejection);
                assert!(handshake.receive(b"GET / HTTP/1.1\r\n\r\n").is_err(), "what has failed stays so");
                return Outcome::Refused(rejection.error());
            }
        }
    }
    assert!(before <= limits.max_head_bytes, "no limit");
    Outcome::Unfinished
}

fn judge(request: &Request<()>, flags: u8) {
    let deflate = (flags & 2 != 0).then(|| DeflateConfig {
        own_context_takeover: flags & 4 != 0,
        peer_context_takeover: flags & 8 != 0,
        ..DeflateConfig::default()
    });
    let options = ServerOptions {
        origins: if flags & 16 == 0 { Origins::default() } else { Origins::Any },
        protocols: if flags & 32 == 0 {
            Protocols::Preference(vec!["chat".into(), "superchat".into()])
        } else {
            Protocols::Choose(std::sync::Arc::new(|offer| offer.protocols.last().map(|name| (*name).to_owned())))
        },
        deflate: deflate.clone(),
        ..ServerOptions::default()
    };
    match accept(request, &options) {
        Ok(accepted) => {
            assert!(is_upgrade(request.headers()));
            let mut encoded = Vec::new();
            encode_response(&accepted.response, &mut encoded);
            let response = parse::<Response<()>>(&encoded);
            // A client that offered all that there is takes the answer.
            let offered =
                DeflateConfig { own_context_takeover: true, peer_context_takeover: true, ..DeflateConfig::default() };
            let agreed = check_response(response.headers(), Some(&offered)).expect("an answer to our own offer");
            assert_eq!(agreed, accepted.deflate);
            assert!(deflate.is_some() || agreed.is_none());
        }
        Err(rejection) => check_rejection(&rejection),
    }
}

/// A refusal is an answer that a client can read.
fn check_rejection(rejection: &Rejection) {
    let mut encoded = Vec::new();
    rejection.encode(&mut encoded);
    let head = encoded.len() - rejection.body().len();
    let response = parse::<Response<()>>(&encoded[..head]);
    assert_eq!(response.status(), rejection.status());
}

/// Reads what we wrote.
fn parse<H: switchboard_ws_proto::handshake::Head>(bytes: &[u8]) -> H {
    let limits = Limits { max_head_bytes: 64 << 10, max_headers: 1000, ..Limits::default() };
    let parsed = HeadParser::<H>::new(&limits).push(bytes);
    let Ok(Some(Parsed { head, consumed })) = parsed else {
        panic!("we wrote what we cannot read: {:?}", String::from_utf8_lossy(bytes));
    };
    assert_eq!(consumed, bytes.len());
    head
}
