//! No WebSocket at all: every byte goes back, or to everyone. What the kernel's TCP costs by itself.

use std::collections::VecDeque;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use peers::Arguments;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

struct Connection {
    stream: TcpStream,
    /// What the kernel refused to take.
    waiting: VecDeque<u8>,
}

struct Server {
    epoll: std::os::fd::OwnedFd,
    listener: TcpListener,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    arguments: Arguments,
}

fn main() {
    let arguments = Arguments::parse();
    let listener = listen(arguments.port);
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
    let mut server = Server { epoll, listener, connections: Vec::new(), arguments };
    let listener_key = key(&server.listener);
    epoll::add(&server.epoll, &server.listener, EventData::new_u64(listener_key), EventFlags::IN).expect("to be added");
    let mut received = vec![0; 256 << 10];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        let _ = epoll::wait(&server.epoll, spare_capacity(&mut events), None);
        for event in &events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == listener_key {
                server.accept();
                continue;
            }
            if flags.contains(EventFlags::OUT) {
                server.flush(key);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                server.read(key, &mut received);
            }
        }
    }
}

fn listen(port: u16) -> TcpListener {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).expect("an option that exists");
    rustix::net::bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), port)).expect("a free port");
    rustix::net::listen(&socket, 4096).expect("a bound socket");
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).expect("a socket");
    listener
}

fn key(fd: &impl AsFd) -> u64 {
    fd.as_fd().as_raw_fd().try_into().expect("an open descriptor")
}

impl Server {
    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nodelay(true).expect("a socket");
            stream.set_nonblocking(true).expect("a socket");
            let key = key(&stream);
            epoll::add(&self.epoll, &stream, EventData::new_u64(key), EventFlags::IN).expect("to be added");
            let index = key as usize;
            if self.connections.len() <= index {
                self.connections.resize_with(index + 1, || None);
            }
            self.connections[index] = Some(Connection { stream, waiting: VecDeque::new() });
        }
    }

    fn read(&mut self, key: u64, buffer: &mut [u8]) {
        let Some(connection) = &mut self.connections[key as usize] else { return };
        let length = match rustix::net::recv(&connection.stream, &mut *buffer, RecvFlags::empty()) {
            Err(rustix::io::Errno::AGAIN) => return,
            Ok((length, _)) if length > 0 => length,
            _ => {
                self.connections[key as usize] = None;
                return;
            }
        };
        if self.arguments.broadcast {
            for connection in self.connections.iter_mut().flatten() {
                connection.send(&self.epoll, &buffer[..length]);
            }
        } else {
            connection.send(&self.epoll, &buffer[..length]);
        }
    }

    fn flush(&mut self, key: u64) {
        let Some(connection) = &mut self.connections[key as usize] else { return };
        let sent = send(connection.stream.as_fd(), connection.waiting.as_slices().0);
        connection.waiting.drain(..sent);
        if connection.waiting.is_empty() {
            connection.waiting = VecDeque::new();
            connection.watch(&self.epoll, EventFlags::IN);
        }
    }
}

impl Connection {
    fn send(&mut self, epoll: impl AsFd, bytes: &[u8]) {
        let sent = if self.waiting.is_empty() { send(self.stream.as_fd(), bytes) } else { 0 };
        if sent == bytes.len() {
            return;
        }
        if self.waiting.is_empty() {
            self.watch(epoll, EventFlags::IN | EventFlags::OUT);
        }
        self.waiting.extend(&bytes[sent..]);
    }

    fn watch(&self, epoll: impl AsFd, flags: EventFlags) {
        epoll::modify(epoll, &self.stream, EventData::new_u64(key(&self.stream)), flags)
            .expect("to be watched already");
    }
}

/// How many bytes the kernel took.
fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    rustix::net::send(fd, bytes, SendFlags::NOSIGNAL).unwrap_or(0)
}
