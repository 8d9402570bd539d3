//! HTTP/1.1 as a session of requests needs it: one request at a time, kept alive, and responses that say their length.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Result;

const END: &[u8] = b"\r\n\r\n";

pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

pub(crate) fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Makes a request, and waits for the body of its response.
pub(crate) fn exchange(mut stream: &TcpStream, request: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut responses = Reader::default();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Err("the server hung up in place of a response".into()),
            length => {
                if let Some(body) = responses.feed(&buffer[..length])? {
                    return Ok(body);
                }
            }
        }
    }
}

/// Puts responses together, from pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What came of the current response.
    received: Vec<u8>,
}

impl Reader {
    /// These bytes came. Returns the body of the response that they complete.
    ///
    /// # Errors
    /// The response is not 200, does not say its length, or is followed by something: no other was asked for.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        self.received.extend_from_slice(bytes);
        let Some(head) = self.received.windows(END.len()).position(|window| window == END) else { return Ok(None) };
        let whole = head + END.len() + content_length(&self.received[..head])?;
        if self.received.len() > whole {
            return Err("something came unasked after a response".into());
        }
        if self.received.len() < whole {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.received).split_off(head + END.len())))
    }
}

/// The length that the head of a good response gives for its body.
fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|status| status.starts_with("HTTP/1.1 200")) {
        return Err(format!("the server refused: {head}").into());
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or_else(|| format!("a response without a length: {head}"))?;
    Ok(length.1.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nVary: *\r\ncontent-LENGTH:  3\r\n\r\n3\r\n";

    #[test]
    fn bodies_come_whole_however_they_are_cut() {
        for size in 1..=RESPONSE.len() {
            let mut responses = Reader::default();
            for _ in 0..2 {
                let (last, pieces) = RESPONSE.chunks(size).collect::<Vec<_>>().split_last().map(owned).expect("pieces");
                for piece in pieces {
                    assert_eq!(responses.feed(&piece).expect("a part of a response"), None);
                }
                assert_eq!(responses.feed(&last).expect("the end of a response").as_deref(), Some(&b"3\r\n"[..]));
            }
        }
    }

    fn owned((last, rest): (&&[u8], &[&[u8]])) -> (Vec<u8>, Vec<Vec<u8>>) {
        (last.to_vec(), rest.iter().map(|piece| piece.to_vec()).collect())
    }

    #[test]
    fn no_body_is_a_body_too() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(Reader::default().feed(response).expect("a response"), Some(Vec::new()));
    }

    #[test]
    fn refusals_and_responses_nobody_can_delimit_are_faults() {
        for response in [
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?",
        ] {
            assert!(Reader::default().feed(response).is_err(), "{}", String::from_utf8_lossy(response));
        }
    }

    #[test]
    fn a_post_says_how_long_it_is() {
        let request = post("/?sid=a", b"40");
        assert!(request.starts_with(b"POST /?sid=a HTTP/1.1\r\n"));
        assert!(request.ends_with(b"Content-Length: 2\r\n\r\n40"));
    }
}
