//! Recognising a socket that a shard can drive: plain TCP or a Unix socket, in a box or not.

use std::any::Any;
use std::io;

use tokio::net::{TcpStream, UnixStream};

use super::slot::Socket;
use crate::driver::Io;

/// The socket behind a transport, taken back from the runtime, or the transport as it was.
///
/// # Errors
/// The inner one: the runtime would not give the socket back.
pub(crate) fn plain<S: Io>(io: S) -> Result<io::Result<Socket>, S> {
    let mut io = Some(io);
    let any: &mut dyn Any = &mut io;
    if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>().and_then(Option::take) {
        return Ok(from_tcp(tcp));
    }
    if let Some(unix) = any.downcast_mut::<Option<UnixStream>>().and_then(Option::take) {
        return Ok(from_unix(unix));
    }
    if let Some(boxed) = any.downcast_mut::<Option<Box<dyn Io>>>()
        && let Some(inner) = boxed.take()
    {
        match unboxed(inner) {
            Ok(socket) => return Ok(socket),
            Err(inner) => *boxed = Some(inner),
        }
    }
    Err(io.expect("what was not recognised was put back"))
}

fn unboxed(io: Box<dyn Io>) -> Result<io::Result<Socket>, Box<dyn Io>> {
    let kind = (*io).type_id();
    if kind == std::any::TypeId::of::<TcpStream>() {
        let any: Box<dyn Any> = io;
        return Ok(any.downcast().map_err(|_| io::ErrorKind::Other.into()).and_then(|tcp| from_tcp(*tcp)));
    }
    if kind == std::any::TypeId::of::<UnixStream>() {
        let any: Box<dyn Any> = io;
        return Ok(any.downcast().map_err(|_| io::ErrorKind::Other.into()).and_then(|unix| from_unix(*unix)));
    }
    Err(io)
}

fn from_tcp(tcp: TcpStream) -> io::Result<Socket> {
    Ok(Socket::Tcp(mio::net::TcpStream::from_std(tcp.into_std()?)))
}

fn from_unix(unix: UnixStream) -> io::Result<Socket> {
    Ok(Socket::Unix(mio::net::UnixStream::from_std(unix.into_std()?)))
}
