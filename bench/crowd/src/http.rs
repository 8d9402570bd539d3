//! One connection for plain requests, as a browser keeps it: used again, and made anew when the server has closed it.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::place::Place;

#[derive(Debug)]
pub(crate) struct Http {
    place: Place,
    stream: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, stream: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.ask(&post(path, body.len(), body)).await
    }

    /// Begins a request and goes no further.
    pub(crate) async fn begin(&mut self, request: &str) -> io::Result<()> {
        self.stream().await?.write_all(request.as_bytes()).await
    }

    /// The connection is reset, where there is one, and not closed.
    pub(crate) fn reset(&self) -> io::Result<()> {
        self.stream.as_ref().map_or(Ok(()), |stream| stream.get_ref().set_zero_linger())
    }

    async fn ask(&mut self, request: &str) -> io::Result<Answer> {
        if self.stream.is_some() {
            match self.try_ask(request).await {
                // The server may close a connection that it heard nothing on for a while, at any moment.
                Err(error) if error.kind() != ErrorKind::InvalidData => self.stream = None,
                answer => return answer,
            }
        }
        self.try_ask(request).await
    }

    async fn try_ask(&mut self, request: &str) -> io::Result<Answer> {
        let stream = self.stream().await?;
        stream.write_all(request.as_bytes()).await?;
        let Head { status, length, is_last } = read_head(stream).await?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if is_last {
            self.stream = None;
        }
        let body = String::from_utf8(body).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Answer { status, body })
    }

    async fn stream(&mut self) -> io::Result<&mut BufReader<TcpStream>> {
        if self.stream.is_none() {
            self.stream = Some(BufReader::new(self.place.connect().await?));
        }
        self.stream.as_mut().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

/// A POST that announces so many bytes.
pub(crate) fn post(path: &str, length: usize, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

pub(crate) struct Head {
    pub(crate) status: u16,
    length: usize,
    is_last: bool,
}

pub(crate) async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Head> {
    let wrong = |line: &str| io::Error::new(ErrorKind::InvalidData, format!("no answer: {line:?}"));
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let status = line.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| wrong(&line))?;
    let mut head = Head { status, length: 0, is_last: false };
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.trim().parse().map_err(|_| wrong(&line))?;
        } else if name.eq_ignore_ascii_case("connection") {
            head.is_last = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Ok(head)
}
