//! An answer as bytes.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use switchboard_ws_proto::handshake::encode_response;

use super::request::options;

/// Bodies up to this length are written in one piece with their heads.
const TOGETHER: usize = 4 << 10;

/// The bytes, and whether they are the connection's last.
pub(super) struct Reply {
    pub(super) bytes: bytes::buf::Chain<Bytes, Bytes>,
    pub(super) is_last: bool,
}

impl Reply {
    /// `change` has the last word on the headers, but for those that frame the message.
    pub(super) fn new(mut answer: Response<Bytes>, is_last: bool, change: fn(&mut HeaderMap)) -> Self {
        if answer.status().is_informational() {
            // The application's; nothing final would follow it.
            answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let is_last = is_last || options(answer.headers()).any(|option| option.eq_ignore_ascii_case(b"close"));
        let mut body = std::mem::take(answer.body_mut());
        let status = answer.status();
        let headers = answer.headers_mut();
        change(headers);
        if is_last {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.entry(DATE).or_insert_with(now);
        headers.remove(TRANSFER_ENCODING);
        match status {
            // "A server MUST NOT send a Content-Length header field in any response with a status code of [...] 204 (No
            // Content)"; with 304 it would be that of another answer (RFC 9110 §8.6).
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
                headers.remove(CONTENT_LENGTH);
                body.clear();
            }
            _ => drop(headers.insert(CONTENT_LENGTH, body.len().into())),
        }
        let mut bytes = Vec::with_capacity(512);
        encode_response(&answer, &mut bytes);
        if body.len() <= TOGETHER {
            bytes.extend_from_slice(&body);
            body.clear();
        }
        Self { bytes: Bytes::from(bytes).chain(body), is_last }
    }
}

/// What the date is, written once a second.
fn now() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(Duration, Option<HeaderValue>)> = const { RefCell::new((Duration::ZERO, None)) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let second = Duration::from_secs(second);
    LAST.with_borrow_mut(|(last, text)| match text {
        Some(text) if *last == second => text.clone(),
        _ => {
            let date = HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("letters, digits, and marks between");
            *last = second;
            text.insert(date).clone()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: Response<Bytes>, is_last: bool) -> (String, bool) {
        let mut reply =
            Reply::new(answer, is_last, |headers| drop(headers.insert("x-each", HeaderValue::from_static("1"))));
        let bytes = reply.bytes.copy_to_bytes(reply.bytes.remaining());
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let (date, rest): (Vec<&str>, Vec<&str>) =
            text.split_inclusive("\r\n").partition(|line| line.starts_with("Date: "));
        let [date] = date[..] else { panic!("{text}") };
        assert!(httpdate::parse_http_date(date["Date: ".len()..].trim_end()).is_ok(), "{date}");
        (rest.concat(), reply.is_last)
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Response<Bytes> {
        let answer = headers
            .iter()
            .fold(Response::builder().status(status), |answer, (name, value)| answer.header(*name, *value));
        answer.body(body.into()).expect("an answer")
    }

    #[test]
    fn an_answer_has_its_length_and_a_date() {
        let ok =
            answer(200, &[("content-type", "text/plain"), ("content-length", "7"), ("transfer-encoding", "x")], "ok");
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nX-Each: 1\r\n\r\nok";
        assert_eq!(told(ok, false), (expected.into(), false));
    }

    #[test]
    fn whoever_wants_the_connection_closed_has_it_closed() {
        let close = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nX-Each: 1\r\nContent-Length: 0\r\n\r\n";
        for lines in [&["Close"][..], &["close, x"], &["x ,\tClose"], &["keep-alive", "x,close"]] {
            let lines: Vec<_> = lines.iter().map(|line| ("connection", *line)).collect();
            assert_eq!(told(answer(400, &lines, ""), false), (close.into(), true), "{lines:?}");
        }
        let (text, is_last) = told(answer(400, &[("connection", "closed, not-close")], ""), false);
        assert!(!is_last && text.contains("Connection: closed, not-close\r\n"), "{text}");
        let (text, is_last) = told(answer(400, &[], ""), true);
        assert!(is_last && text.contains("Connection: close\r\n"), "{text}");
    }

    #[test]
    fn some_have_no_body() {
        for status in [204, 304] {
            let (text, _) = told(answer(status, &[("content-length", "2")], "no"), false);
            assert!(text.ends_with("X-Each: 1\r\n\r\n") && !text.contains("Length"), "{text}");
        }
        assert!(told(answer(103, &[], ""), false).0.starts_with("HTTP/1.1 500 "));
    }

    #[test]
    fn a_long_body_is_not_copied() {
        let body = Bytes::from(vec![b'x'; TOGETHER + 1]);
        let reply = Reply::new(Response::new(body.clone()), false, |_| {});
        assert_eq!(reply.bytes.last_ref().as_ptr(), body.as_ptr());
    }
}
