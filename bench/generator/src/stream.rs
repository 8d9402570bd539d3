//! A connection's bytes, in the clear or in TLS records. Blocking until it is opened; then the socket is read by its
//! owner, in pieces larger than rustls would take, and only decrypted here.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustix::net::{SendFlags, send};
use rustls::{ClientConfig, ClientConnection};

use crate::Result;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Nothing is sent yet: TLS begins with the first write.
    pub(crate) fn new(tcp: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let name = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
        let begin = |config: &Arc<_>| ClientConnection::new(Arc::clone(config), name).map(Box::new);
        Ok(Self { tcp, tls: tls.map(begin).transpose()? })
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Sends some of these bytes, and says how many; under TLS they may still be here, for `flush_records`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_plain() {
            return Ok(send(&self.tcp, bytes, SendFlags::NOSIGNAL)?);
        }
        self.flush_records()?;
        let taken = match &mut self.tls {
            Some(tls) if !tls.wants_write() => tls.writer().write(bytes)?,
            _ => return Err(ErrorKind::WouldBlock.into()),
        };
        self.flush_records()?;
        Ok(taken)
    }

    /// Sends what there is room for of the records that are not sent. Without TLS there are none.
    pub(crate) fn flush_records(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Calls `take` with what these bytes from the socket say, in pieces. Returns the sum of what it returned.
    pub(crate) fn decrypt(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8]) -> Result<u64>) -> Result<u64> {
        let Some(tls) = &mut self.tls else { return take(bytes) };
        let mut sum = 0;
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let mut left = tls.process_new_packets()?.plaintext_bytes_to_read();
            let mut reader = tls.reader();
            while left > 0 {
                let piece = reader.fill_buf()?;
                let length = piece.len();
                sum += take(piece)?;
                reader.consume(length);
                left -= length;
            }
        }
        Ok(sum)
    }
}

/// For the handshakes, on a socket that blocks.
impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.tcp.read(buffer),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.tcp).read(buffer),
        }
    }
}

/// For the handshakes, on a socket that blocks.
impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.tcp.write(bytes),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.tcp).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_records()
    }
}
