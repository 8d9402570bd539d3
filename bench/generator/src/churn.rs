//! Connections that are opened, and cut as soon as the handshake is done: what a handshake costs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::Result;
use crate::connect::{dial, is_opened, request};
use crate::poller::Poller;
use crate::report::Report;
use crate::settings::Settings;
use crate::window::Window;

struct Opening {
    stream: TcpStream,
    response: Vec<u8>,
    began: Instant,
}

pub(crate) fn run(settings: &Settings) -> Result<Report> {
    if settings.tls {
        return Err("handshakes are not measured under TLS".into());
    }
    let mut poller = Poller::new()?;
    let mut window = Window::new(settings, 1);
    let mut number = 0;
    let mut open = |poller: &Poller, window: &mut Window, slot| -> Result<Option<Opening>> {
        if window.take(1) == 0 {
            return Ok(None);
        }
        let began = Instant::now();
        let mut stream = dial(settings, number)?;
        stream.write_all(&request(settings, number))?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, slot)?;
        number += 1;
        Ok(Some(Opening { stream, response: Vec::new(), began }))
    };
    let mut openings = Vec::new();
    for slot in 0..settings.connections {
        openings.push(open(&poller, &mut window, slot)?);
    }
    while window.is_open(Instant::now())? {
        let ready: Vec<usize> = poller.poll()?.collect();
        for slot in ready {
            let Some(opening) = &mut openings[slot] else { continue };
            opening.read()?;
            if is_opened(settings, &opening.response)? {
                window.answered(opening.began, Instant::now());
                openings[slot] = None;
                openings[slot] = open(&poller, &mut window, slot)?;
            }
        }
    }
    window.report("conn")
}

impl Opening {
    fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server hung up during the handshake".into()),
            Ok(length) => {
                self.response.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
