//! A Socket.IO session over HTTP polling: on one connection that is kept alive, a POST says something, and a GET waits
//! for what there is to hear.

use std::net::TcpStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::Result;
use crate::connect::dial;
use crate::engineio::{PING, PONG};
use crate::http::{self, Reader, exchange};
use crate::poller::Poller;
use crate::script::Script;
use crate::settings::{Load, Settings};
use crate::socketio::{self, CONNECT};

#[derive(Debug)]
pub(crate) struct Session {
    number: usize,
    port: u16,
    stream: TcpStream,
    /// Where its requests go.
    target: String,
    /// What is left to write of a request.
    unsent: Vec<u8>,
    responses: Reader,
    request: Option<Request>,
    /// Packets for the next POST.
    due: Vec<Vec<u8>>,
    /// The messages sent so far, and the replies to them that came.
    sent: u64,
    pub(crate) replies: u64,
    /// Polls even when no reply is due, as clients at rest do.
    always_polls: bool,
    /// Pings that came and were answered.
    pub(crate) pings: u64,
}

/// What the server has still to answer.
#[derive(Debug, Clone, Copy)]
enum Request {
    Post,
    Poll,
}

impl Session {
    /// Opens a session, joins the namespace `/`, and watches the connection under this number.
    pub(crate) fn open(settings: &Settings, number: usize, poller: &Poller) -> Result<Self> {
        let stream = dial(settings.port, number)?;
        let path = settings.path(number);
        let opened = exchange(&stream, &http::get(&path))?;
        let target = format!("{path}&sid={}", socketio::session_id(&opened)?);
        expect_ok(&exchange(&stream, &http::post(&target, CONNECT))?)?;
        let mut session = Self {
            number,
            port: settings.port,
            stream,
            target,
            unsent: Vec::new(),
            responses: Reader::default(),
            request: None,
            due: Vec::new(),
            sent: 0,
            replies: 0,
            always_polls: matches!(settings.load, Load::Idle),
            pings: 0,
        };
        session.join()?;
        session.stream.set_nonblocking(true)?;
        poller.add(&session.stream, number)?;
        session.go_on()?;
        Ok(session)
    }

    fn join(&mut self) -> Result<()> {
        let mut connected = false;
        while !connected {
            for packet in socketio::packets(&exchange(&self.stream, &http::get(&self.target))?) {
                match packet {
                    PING => self.pinged(),
                    _ if !connected && socketio::is_connected(packet) => connected = true,
                    _ => return Err(format!("not the namespace: {}", String::from_utf8_lossy(packet)).into()),
                }
            }
        }
        Ok(())
    }

    /// Sends so many messages in one POST, now or after the request that is on its way.
    pub(crate) fn send(&mut self, script: &Script, messages: u64) -> Result<()> {
        let none_due = self.replies == self.sent;
        self.due.extend((self.sent..self.sent + messages).map(|number| script.request(number).to_vec()));
        self.sent += messages;
        match self.request {
            None => self.go_on(),
            // Nothing need come to that poll, so the POST cannot wait for it.
            Some(Request::Poll) if none_due && messages > 0 => self.post_aside(),
            Some(_) => Ok(()),
        }
    }

    /// Reads and writes what can be. Returns how many replies that completed.
    pub(crate) fn turn(&mut self, script: &Script, buffer: &mut [u8]) -> Result<u64> {
        self.flush()?;
        let before = self.replies;
        loop {
            let length = match recv(&self.stream, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) => return Err("the server hung up".into()),
                Ok((_, length)) => length,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            if let Some(body) = self.responses.feed(&buffer[..length])? {
                self.answered(&body, script)?;
            }
            if length < buffer.len() {
                break;
            }
        }
        Ok(self.replies - before)
    }

    fn answered(&mut self, body: &[u8], script: &Script) -> Result<()> {
        match self.request.take() {
            None => return Err("a response to nothing".into()),
            Some(Request::Post) => expect_ok(body)?,
            Some(Request::Poll) => socketio::packets(body).try_for_each(|packet| self.hear(packet, script))?,
        }
        self.go_on()
    }

    fn hear(&mut self, packet: &[u8], script: &Script) -> Result<()> {
        if packet == PING {
            self.pinged();
            return Ok(());
        }
        if packet != script.reply(self.replies) {
            return Err(format!("reply {} differs: {}", self.replies, String::from_utf8_lossy(packet)).into());
        }
        self.replies += 1;
        Ok(())
    }

    fn pinged(&mut self) {
        self.pings += 1;
        self.due.push(PONG.to_vec());
    }

    /// Makes the next request, if there is a reason for one.
    fn go_on(&mut self) -> Result<()> {
        if !self.due.is_empty() {
            self.unsent = self.take_post();
            self.request = Some(Request::Post);
        } else if self.always_polls || self.replies < self.sent {
            self.unsent = http::get(&self.target);
            self.request = Some(Request::Poll);
        }
        self.flush()
    }

    /// By a connection of its own, as a browser does while a poll is pending.
    fn post_aside(&mut self) -> Result<()> {
        let request = self.take_post();
        expect_ok(&exchange(&dial(self.port, self.number)?, &request)?)
    }

    /// All that is due in one POST.
    fn take_post(&mut self) -> Vec<u8> {
        http::post(&self.target, &socketio::body(&std::mem::take(&mut self.due)))
    }

    fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match send(&self.stream, &self.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn expect_ok(body: &[u8]) -> Result<()> {
    match body {
        b"ok" => Ok(()),
        _ => Err(format!("a POST was answered by {:?}", String::from_utf8_lossy(body)).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread::{JoinHandle, spawn};

    use clap::Parser;

    use super::*;

    const OPENED: &str = r#"0{"sid":"a1","upgrades":["websocket"]}"#;
    const CONNECTED: &str = r#"40{"sid":"b2"}"#;

    /// A server that answers each request on one connection with the next of these bodies. Returns the requests.
    fn server(bodies: &'static [&'static str]) -> (u16, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let serve = move || {
            let (mut client, _) = listener.accept().expect("a client");
            let answer = |body: &&str| {
                let mut buffer = [0; 4096];
                let length = client.read(&mut buffer).expect("a request in one piece");
                write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("a reader");
                let request = String::from_utf8_lossy(&buffer[..length]);
                let (method, body) = (&request[..request.find(' ').expect("a method")], request.rsplit('\n').next());
                format!("{method} {}", body.unwrap_or_default())
            };
            bodies.iter().map(answer).collect()
        };
        (port, spawn(serve))
    }

    /// Sends two messages, and listens until they are answered.
    fn converse(load: &str, port: u16) -> Result<Session> {
        let arguments = ["generator", load, "--socketio=polling", "--size=1", &format!("--port={port}")];
        let settings = Settings::parse_from(arguments);
        let script = Script::new(&settings);
        let mut session = Session::open(&settings, 0, &Poller::new()?)?;
        session.send(&script, 2)?;
        let mut buffer = [0; 4096];
        while session.replies < 2 {
            session.turn(&script, &mut buffer)?;
        }
        Ok(session)
    }

    #[test]
    fn polls_until_all_is_answered_and_answers_pings_first() {
        let bodies = &[OPENED, "ok", CONNECTED, "ok", "430[\"{\"]", "2", "ok", "431[\"{\"]"];
        let (port, server) = server(bodies);
        let session = converse("echo", port).expect("replies");
        let wanted =
            ["GET ", "POST 40", "GET ", "POST 420[\"m\",\"{\"]\x1e421[\"m\",\"{\"]", "GET ", "GET ", "POST 3", "GET "];
        assert_eq!(server.join().expect("a server that was asked as often"), wanted);
        assert_eq!((session.pings, session.request.is_none()), (1, true));
    }

    #[test]
    fn a_ping_beside_the_consent_is_answered_before_anything_is_said() {
        let (port, server) = server(&[OPENED, "ok", "40{}\x1e2", "ok", "ok", "430[\"{\"]\x1e431[\"{\"]"]);
        assert_eq!(converse("echo", port).expect("replies").pings, 1);
        assert_eq!(server.join().expect("a server that was asked as often")[3], "POST 3");
    }

    #[test]
    fn replies_out_of_order_and_refused_messages_are_faults() {
        for bodies in [
            &[OPENED, "ok", CONNECTED, "ok", "431[\"{\"]"][..],
            &[OPENED, "ok", CONNECTED, "no"],
            &[OPENED, "ok", "44{\"message\":\"no\"}"],
        ] {
            let (port, server) = server(bodies);
            assert!(converse("echo", port).is_err());
            server.join().expect("a server that was asked as often");
        }
    }
}
