//! Waiting until every connection hears its topic: a server may still be subscribing it when the handshake is done.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::Result;
use crate::frame::{self, Heard, KEY, Reader};
use crate::poller::Poller;
use crate::settings::Settings;
use crate::socketio;
use crate::stream::Stream;

const PATIENCE: Duration = Duration::from_secs(20);

/// Every topic's first connection says that it is settling, and says so again whenever it hears itself, until all of
/// the topic have heard it. Then it says once that it has settled: who has heard that will hear nothing more.
pub(crate) fn settle(settings: &Settings, streams: &mut [Stream], topics: usize) -> Result<()> {
    let words = Words::new(settings);
    let mut poller = Poller::new()?;
    let mut listeners: Vec<_> = streams.iter().map(|_| Listener::default()).collect();
    for (index, stream) in streams.iter().enumerate() {
        poller.add(&stream.tcp, index)?;
    }
    streams[..topics].iter_mut().try_for_each(|stream| stream.send_at_once(&words.settling.sent))?;
    let mut deaf = vec![streams.len() / topics; topics];
    let mut unsettled = streams.len();
    let until = Instant::now() + PATIENCE;
    while unsettled > 0 {
        if Instant::now() > until {
            return Err(format!("{unsettled} connections are not subscribed after {PATIENCE:?}").into());
        }
        for index in poller.poll()? {
            let (listener, topic) = (&mut listeners[index], index % topics);
            let (heard_before, settled_before) = (listener.heard, listener.settled);
            listener.turn(&mut streams[index], &words)?;
            if heard_before == 0 && listener.heard > 0 {
                deaf[topic] -= 1;
            }
            if !settled_before && listener.settled {
                unsettled -= 1;
            }
            if index == topic && listener.heard > heard_before {
                let word = if deaf[topic] == 0 { &words.settled } else { &words.settling };
                streams[index].send_at_once(&word.sent)?;
            }
        }
    }
    Ok(())
}

/// What is said, as it is sent and as it is heard.
struct Word {
    sent: Vec<u8>,
    heard: Vec<u8>,
}

struct Words {
    raw: bool,
    socketio: bool,
    settling: Word,
    settled: Word,
}

impl Words {
    fn new(settings: &Settings) -> Self {
        let (raw, socketio) = (settings.raw, settings.socketio.is_some());
        let word = |letter: &str| {
            let (said, heard) = match socketio {
                true => socketio::broadcast(letter),
                false => (letter.into(), letter.into()),
            };
            let sent = if raw { said } else { frame::encode(frame::TEXT, false, Some(KEY), &said) };
            Word { sent, heard }
        };
        // Letters, for where there are no frames: every byte is a word then.
        Self { raw, socketio, settling: word("?"), settled: word("!") }
    }
}

/// What one connection has heard.
#[derive(Default)]
struct Listener {
    reader: Reader,
    /// How often the topic's first was still settling.
    heard: u64,
    settled: bool,
}

impl Listener {
    fn turn(&mut self, stream: &mut Stream, words: &Words) -> Result<()> {
        stream.flush_records()?;
        let mut buffer = [0; 4096];
        let mut answers = Vec::new();
        loop {
            match recv(&stream.tcp, &mut buffer, RecvFlags::empty()) {
                Ok((_, 0)) => return Err("the server hung up".into()),
                Ok((_, length)) => {
                    stream.decrypt(&buffer[..length], |bytes| self.take(bytes, words, &mut answers))?;
                }
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        answers.iter().try_for_each(|answer| stream.send_at_once(answer))
    }

    fn take(&mut self, bytes: &[u8], words: &Words, answers: &mut Vec<Vec<u8>>) -> Result<()> {
        if words.raw {
            return bytes.chunks(1).try_for_each(|word| self.hear(word, words));
        }
        let mut reader = std::mem::take(&mut self.reader);
        reader.feed(bytes, |heard| match (heard.answer(words.socketio), heard) {
            (Some(answer), _) => {
                answers.push(answer);
                Ok(())
            }
            (None, Heard::Message { payload, .. }) => self.hear(payload, words),
            (None, Heard::Ping(_)) => unreachable!("pings are answered"),
        })?;
        if self.settled && !reader.is_between_frames() {
            return Err("something came unasked".into());
        }
        self.reader = reader;
        Ok(())
    }

    fn hear(&mut self, word: &[u8], words: &Words) -> Result<()> {
        if self.settled {
            return Err("a message after the last".into());
        }
        match word {
            _ if word == words.settling.heard => self.heard += 1,
            _ if word == words.settled.heard => self.settled = true,
            _ => return Err(format!("not what was said: {}", String::from_utf8_lossy(word)).into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread::spawn;

    use clap::Parser;

    use super::*;

    #[test]
    fn who_is_subscribed_late_is_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let dial = |_| {
            let stream = TcpStream::connect(address).expect("a listener");
            stream.set_nonblocking(true).expect("a socket");
            Stream::new(stream, None).expect("no TLS, no faults")
        };
        let mut streams: Vec<_> = (0..2).map(dial).collect();
        let [mut first, mut second] = [(); 2].map(|()| listener.accept().expect("a client").0);
        let server = spawn(move || {
            let mut said = [0];
            for number in 0.. {
                first.read_exact(&mut said).expect("a word");
                first.write_all(&said).expect("a reader");
                if number >= 3 {
                    second.write_all(&said).expect("a reader");
                }
                if said == *b"!" {
                    // Open until all was heard.
                    return (number, first, second);
                }
            }
            unreachable!("numbers do not end")
        });
        let settings = Settings::parse_from(["generator", "bcast", "--port=1", "--raw"]);
        settle(&settings, &mut streams, 1).expect("both to hear");
        assert!(server.join().expect("a server without faults").0 >= 4);
    }
}
