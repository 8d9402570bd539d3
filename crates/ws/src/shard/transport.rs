//! Sockets that a shard can poll: plain TCP and Unix sockets, listening or connected, on their way out of the runtime's
//! hands and back.

use std::any::{Any, TypeId};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net;
use tokio::net::{TcpStream, UnixStream};

use crate::driver::Io;
use crate::gate::GatedListener;
use crate::info::PeerAddr;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(net::TcpStream),
    Unix(net::UnixStream),
    #[cfg(feature = "simulation")]
    Simulated(super::simulated::Simulated),
}

/// Does the same with a socket of any kind.
macro_rules! each {
    ($socket:expr, $name:ident => $do:expr) => {
        match $socket {
            Self::Tcp($name) => $do,
            Self::Unix($name) => $do,
            #[cfg(feature = "simulation")]
            Self::Simulated($name) => $do,
        }
    };
}

impl Socket {
    /// The socket behind a transport, in a box or not, taken back from the runtime; or the transport as it was.
    ///
    /// # Errors
    /// The inner one: the runtime would not give the socket back.
    pub(crate) fn take<S: Io>(io: S) -> Result<io::Result<Self>, S> {
        let mut io = Some(io);
        let any: &mut dyn Any = &mut io;
        if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>().and_then(Option::take) {
            return Ok(Self::from_tcp(tcp));
        }
        if let Some(unix) = any.downcast_mut::<Option<UnixStream>>().and_then(Option::take) {
            return Ok(Self::from_unix(unix));
        }
        if let Some(boxed) = any.downcast_mut::<Option<Box<dyn Io>>>()
            && let Some(inner) = boxed.take()
        {
            match Self::take_boxed(inner) {
                Ok(socket) => return Ok(socket),
                Err(inner) => *boxed = Some(inner),
            }
        }
        Err(io.expect("what was not recognised was put back"))
    }

    fn take_boxed(io: Box<dyn Io>) -> Result<io::Result<Self>, Box<dyn Io>> {
        let kind = (*io).type_id();
        if kind != TypeId::of::<TcpStream>() && kind != TypeId::of::<UnixStream>() {
            return Err(io);
        }
        let any: Box<dyn Any> = io;
        Ok(match any.downcast::<TcpStream>() {
            Ok(tcp) => Self::from_tcp(*tcp),
            Err(any) => Self::from_unix(*any.downcast().expect("its type was one of these two")),
        })
    }

    fn from_tcp(tcp: TcpStream) -> io::Result<Self> {
        Ok(Self::Tcp(net::TcpStream::from_std(tcp.into_std()?)))
    }

    fn from_unix(unix: UnixStream) -> io::Result<Self> {
        Ok(Self::Unix(net::UnixStream::from_std(unix.into_std()?)))
    }

    /// Gives the socket to the runtime of the caller.
    ///
    /// # Errors
    /// The runtime will not have it.
    pub(super) fn into_io(self) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Tcp(tcp) => Box::new(TcpStream::from_std(tcp.into())?),
            Self::Unix(unix) => Box::new(UnixStream::from_std(unix.into())?),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        each!(self, socket => socket)
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, socket => socket.read(buffer))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, socket => socket.write(bytes))
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, socket => socket.write_vectored(slices))
    }

    pub(super) fn shut_down(&self) {
        // A socket that cannot be shut down is one that is gone.
        let _ = each!(self, socket => socket.shutdown(Shutdown::Write));
    }
}

/// A listening socket.
pub(crate) enum Listener {
    Tcp(net::TcpListener),
    Unix(net::UnixListener),
}

impl Listener {
    /// Takes a listener from the runtime.
    ///
    /// # Errors
    /// The runtime would not give it back.
    pub(crate) fn take(listener: GatedListener) -> io::Result<Self> {
        Ok(match listener {
            GatedListener::Tcp(tcp) => Self::Tcp(net::TcpListener::from_std(tcp.into_std()?)),
            GatedListener::Unix(unix) => Self::Unix(net::UnixListener::from_std(unix.into_std()?)),
        })
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Unix(unix) => unix,
        }
    }

    pub(super) fn accept(&self) -> io::Result<(Socket, PeerAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, peer) = listener.accept()?;
                // Small messages should leave at once; they are gathered here, not in the kernel.
                tcp.set_nodelay(true)?;
                Ok((Socket::Tcp(tcp), peer.into()))
            }
            Self::Unix(listener) => {
                let (unix, _) = listener.accept()?;
                Ok((Socket::Unix(unix), PeerAddr::Unix))
            }
        }
    }
}
