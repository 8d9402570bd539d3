//! The sockets that have something to read or room to write: edge-triggered epoll.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::Result;

pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(4096) })
    }

    pub(crate) fn add(&self, stream: &TcpStream, index: usize) -> Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(index as u64), flags)?)
    }

    /// The sockets where something happened. Does not wait: who sleeps must be woken, and the server would pay for it.
    pub(crate) fn poll(&mut self) -> Result<impl Iterator<Item = usize> + '_> {
        self.wait(Duration::ZERO)
    }

    /// The sockets where something happened, or happens within this time.
    pub(crate) fn wait(&mut self, most: Duration) -> Result<impl Iterator<Item = usize> + '_> {
        self.events.clear();
        let most = Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: most.subsec_nanos().into() };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&most))?;
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
