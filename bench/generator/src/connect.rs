//! Opening connections: from eight addresses, so that ports do not run out, and cut without a farewell at the end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::ops::Range;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Result;
use crate::settings::Settings;
use crate::stream::Stream;
use crate::tls;

/// So many handshakes at a time.
const BATCH: usize = 128;
/// RFC 6455 §1.3's example: the answer to the key is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const END: &[u8] = b"\r\n\r\n";

/// All the connections of a run, their handshakes done.
pub(crate) fn connect(settings: &Settings) -> Result<Vec<Stream>> {
    connect_some(settings, 0..settings.connections)
}

/// Some of them, by their numbers.
pub(crate) fn connect_some(settings: &Settings, mut numbers: Range<usize>) -> Result<Vec<Stream>> {
    let tls = settings.tls.then(tls::client_config).transpose()?;
    let mut streams: Vec<Stream> = Vec::with_capacity(numbers.len());
    while !numbers.is_empty() {
        let batch = numbers.start..numbers.end.min(numbers.start + BATCH);
        let first = streams.len();
        for number in batch.clone() {
            streams.push(Stream::new(dial(settings, number)?, tls.as_ref())?);
        }
        if !settings.raw {
            for (number, stream) in batch.clone().zip(&mut streams[first..]) {
                stream.write_all(&request(settings, number))?;
            }
            for stream in &mut streams[first..] {
                finish(settings, stream)?;
            }
        }
        numbers.start = batch.end;
    }
    for stream in &streams {
        stream.tcp.set_nonblocking(true)?;
    }
    Ok(streams)
}

/// A TCP connection.
pub(crate) fn dial(settings: &Settings, number: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let from = Ipv4Addr::new(127, 0, 0, 2 + (number % 8) as u8);
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, settings.port).into())?;
    Ok(socket.into())
}

pub(crate) fn request(settings: &Settings, number: usize) -> Vec<u8> {
    let extension = match settings.deflate {
        true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        false => "",
    };
    format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n",
        settings.path(number),
        settings.port,
    )
    .into_bytes()
}

/// Whether the response is there in whole. It is an error if it is not the right one.
pub(crate) fn is_opened(settings: &Settings, response: &[u8]) -> Result<bool> {
    let Some(end) = response.windows(END.len()).position(|window| window == END) else { return Ok(false) };
    let head = String::from_utf8_lossy(&response[..end]);
    if !head.starts_with("HTTP/1.1 101") || !head.contains(ACCEPT) {
        return Err(format!("the handshake failed: {head}").into());
    }
    if settings.deflate && !head.to_ascii_lowercase().contains("permessage-deflate") {
        return Err(format!("compression was not accepted: {head}").into());
    }
    match response.len() - end - END.len() {
        0 => Ok(true),
        _ => Err("something came unasked after the handshake".into()),
    }
}

fn finish(settings: &Settings, stream: &mut Stream) -> Result<()> {
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    while !is_opened(settings, &response)? {
        match stream.read(&mut buffer)? {
            0 => return Err("the server hung up during the handshake".into()),
            length => response.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}
