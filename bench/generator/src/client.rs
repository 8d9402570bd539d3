//! One connection under load.

use std::io::ErrorKind;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::Result;
use crate::frame::{self, KEY};
use crate::poller::Poller;
use crate::replies::Replies;
use crate::script::{Place, Script};
use crate::settings::Settings;
use crate::stream::Stream;

/// Replies as long as this are not even copied out of the kernel, once the first was compared.
const LONG: usize = 2048;
pub(crate) const BUFFER: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    place: Place,
    pub(crate) replies: Replies,
    /// Pings that came and were answered.
    pub(crate) pings: u64,
}

impl Client {
    /// Watches the connections, each under its index.
    pub(crate) fn all(streams: Vec<Stream>, settings: &Settings, poller: &Poller) -> Result<Vec<Self>> {
        let watch = |(index, stream)| Self::new(stream, index, settings, poller);
        streams.into_iter().enumerate().map(watch).collect()
    }

    /// Watches a connection under this index.
    pub(crate) fn new(stream: Stream, index: usize, settings: &Settings, poller: &Poller) -> Result<Self> {
        poller.add(&stream.tcp, index)?;
        Ok(Self { stream, place: Place::default(), replies: Replies::new(settings), pings: 0 })
    }

    /// Sends so many messages, now or as soon as there is room.
    pub(crate) fn send(&mut self, script: &Script, messages: u64) -> Result<()> {
        script.queue(&mut self.place, messages);
        self.flush(script)
    }

    /// Reads and writes what can be. Returns how many replies that completed.
    pub(crate) fn turn(&mut self, script: &Script, buffer: &mut [u8]) -> Result<u64> {
        self.stream.flush_records()?;
        self.flush(script)?;
        let mut pinged = Vec::new();
        let mut completed = 0;
        loop {
            let discard = self.stream.is_plain()
                && self.replies.are_only_counted()
                && script.reply.as_ref().is_some_and(|it| it.len() >= LONG);
            let flags = if discard { RecvFlags::TRUNC } else { RecvFlags::empty() };
            let length = match recv(&self.stream.tcp, &mut *buffer, flags) {
                Ok((_, 0)) => return Err("the server hung up".into()),
                Ok((_, length)) => length,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            completed += match discard {
                true => self.replies.skip(length, script),
                false => {
                    self.stream.decrypt(&buffer[..length], |bytes| self.replies.take(bytes, script, &mut pinged))?
                }
            };
            if length < buffer.len() {
                break;
            }
        }
        for payload in pinged {
            self.pong(&payload)?;
            self.pings += 1;
        }
        Ok(completed)
    }

    fn flush(&mut self, script: &Script) -> Result<()> {
        while self.place.unsent > 0 {
            match self.stream.send(script.unsent(&self.place)) {
                Ok(sent) => script.sent(&mut self.place, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn pong(&mut self, payload: &[u8]) -> Result<()> {
        if self.place.unsent > 0 {
            return Err("a ping in the middle of a message cannot be answered".into());
        }
        let frame = frame::encode(frame::PONG, false, Some(KEY), payload);
        match self.stream.send(&frame)? {
            sent if sent == frame.len() => Ok(()),
            _ => Err("no room for a pong".into()),
        }
    }
}
