//! Where a peer is, and where its server is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    server: SocketAddr,
    /// Its own address, one of this machine's very many: so ports do not run out, nor what the server allows one
    /// address.
    own: Ipv4Addr,
}

impl Place {
    pub(crate) fn new(server: SocketAddr, peer: usize) -> Self {
        let [.., high, low] = peer.to_be_bytes();
        Self { server, own: Ipv4Addr::new(127, 1, high, low) }
    }

    pub(crate) async fn connect(self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.own, 0).into())?;
        let stream = socket.connect(self.server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
