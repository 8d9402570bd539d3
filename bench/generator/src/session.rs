//! A Socket.IO session over HTTP polling: on one connection that is kept alive, a POST says something, and a GET waits
//! for what there is to hear.

use std::net::TcpStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::Result;
use crate::connect::dial;
use crate::http::{self, Reader, exchange};
use crate::poller::Poller;
use crate::script::Script;
use crate::settings::{Load, Settings};
use crate::socketio::{self, CONNECT, PING, PONG};

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
