//! A socket that is none: it takes all that is written, and answers pings.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::{Interest, Registry, Token};

/// How a ping of the machine's own begins: FIN, the opcode, and eight bytes of payload, which are its number.
const PING: [u8; 2] = [0x89, 8];
/// The answer's: masked, as a client's.
const PONG: [u8; 2] = [0x8a, 0x88];

/// No larger than the descriptor in whose place it is.
#[derive(Debug, Default)]
pub(crate) struct Simulated {
    /// The number of the last ping, as long as that is not answered. There is no ping of the number 0.
    ping: u32,
}

impl Read for Simulated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ping == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // The key is 0.
        let payload = u64::from(std::mem::take(&mut self.ping)).to_be_bytes();
        buffer[..2].copy_from_slice(&PONG);
        buffer[2..6].fill(0);
        buffer[6..14].copy_from_slice(&payload);
        Ok(14)
    }
}

impl Write for Simulated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((number, _)) = bytes.strip_prefix(&PING).and_then(|rest| rest[4..].split_first_chunk()) {
            self.ping = u32::from_be_bytes(*number);
        }
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.write(slice)).sum()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Simulated {
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "called like those of sockets")]
    pub(super) fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// Nobody has news of it.
impl Source for Simulated {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}
