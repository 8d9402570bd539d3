//! A WebSocket from the client's side, as much of it as a peer needs: it sends whole texts, answers pings, and looks at
//! what comes no further than to see what it is.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use crate::dice::Dice;
use crate::http::read_head;
use crate::place::Place;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What is heard.
#[derive(Debug)]
pub(crate) struct Ear {
    read: BufReader<OwnedReadHalf>,
    mouth: Mouth,
    /// Whether its texts are packets of Engine.IO, whose pings are answered here too.
    engine: bool,
}

/// What is said. Clones share one connection.
#[derive(Debug, Clone)]
pub(crate) struct Mouth {
    write: Rc<Mutex<OwnedWriteHalf>>,
    keys: Rc<RefCell<Dice>>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// A text, or binary data.
    Message(Vec<u8>),
    Close,
}

/// Connects.
pub(crate) async fn open(place: Place, path: &str, headers: &str, keys: Dice) -> io::Result<(Ear, Mouth)> {
    let mut stream = place.connect().await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
         13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read);
    let status = read_head(&mut read).await?.status;
    if status != 101 {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("no WebSocket at {path}: {status}")));
    }
    let mouth = Mouth { write: Rc::new(Mutex::new(write)), keys: Rc::new(RefCell::new(keys)) };
    Ok((Ear { read, mouth: mouth.clone(), engine: path.starts_with("/socket.io/") }, mouth))
}

impl Ear {
    /// The next message, or the end. Not to be dropped before it is there.
    pub(crate) async fn next(&mut self) -> io::Result<Said> {
        loop {
            let (opcode, payload) = self.frame().await?;
            match opcode {
                PING => self.mouth.frame(PONG, &payload).await?,
                PONG => {}
                CLOSE => return Ok(Said::Close),
                _ if self.engine && payload == b"2" => self.mouth.text("3").await?,
                _ => return Ok(Said::Message(payload)),
            }
        }
    }

    /// Waits for a text that begins so.
    pub(crate) async fn until(&mut self, beginning: &str) -> io::Result<()> {
        loop {
            match self.next().await? {
                Said::Message(text) if text.starts_with(beginning.as_bytes()) => return Ok(()),
                Said::Message(_) => {}
                Said::Close => return Err(ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let first = self.read.read_u8().await?;
        let length = match self.read.read_u8().await? {
            126 => u64::from(self.read.read_u16().await?),
            127 => self.read.read_u64().await?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.read.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    /// The connection will be reset, and not closed, when it is dropped.
    pub(crate) fn reset(&self) -> io::Result<()> {
        self.read.get_ref().as_ref().set_zero_linger()
    }
}

impl Mouth {
    pub(crate) async fn text(&self, text: &str) -> io::Result<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    pub(crate) async fn close(&self) -> io::Result<()> {
        self.frame(CLOSE, &1000_u16.to_be_bytes()).await
    }

    /// Half a message.
    pub(crate) async fn tear(&self) -> io::Result<()> {
        self.write.lock().await.write_all(&[0x81, 0x85, 1, 2, 3, 4, b'h']).await
    }

    /// The connection will be reset, and not closed, when it is dropped.
    pub(crate) async fn reset(&self) -> io::Result<()> {
        self.write.lock().await.as_ref().set_zero_linger()
    }

    async fn frame(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | opcode];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ ..126), _) => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        let key = self.keys.borrow_mut().bytes();
        frame.extend(key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.write.lock().await.write_all(&frame).await
    }
}
