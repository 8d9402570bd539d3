//! A server's TLS over a transport. rustls would keep a buffer of 4 KiB for each connection and read no more than that
//! at once; here records pass through buffers of the thread, and a connection at rest holds its keys and little else.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::driver::Io;
use crate::scratch;

/// So much is encrypted and written at once: four whole records.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// The server's side of a TLS connection, as [`ServerTls::accept`](super::ServerTls::accept) makes it.
///
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] when the transport ends without the client's `close_notify`, and
/// with [`io::ErrorKind::InvalidData`], a [`rustls::Error`] inside, when the client breaks a rule. Shutting down sends
/// `close_notify`. What was written leaves with the next flush, if the transport had no room for it.
pub struct TlsStream<S> {
    io: S,
    tls: UnbufferedServerConnection,
    /// Of records, or of handshake messages, that have not come whole.
    partial: Vec<u8>,
    /// Decrypted, when the reader had no room for it.
    unread: Rest,
    /// Encrypted, when the transport had no room for it.
    unsent: Rest,
    reading: Reading,
    /// `close_notify` was sent.
    shut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The client sent `close_notify`.
    Ended,
    /// rustls is not asked again.
    Failed,
}

impl<S> TlsStream<S> {
    /// What was agreed on, and the client's certificates, if it was asked for any.
    #[must_use]
    pub fn state(&self) -> &CommonState {
        &self.tls
    }
}

impl<S: Io> TlsStream<S> {
    /// Performs the handshake.
    pub(super) async fn accept(config: Arc<ServerConfig>, io: S) -> io::Result<Self> {
        let mut stream = Self {
            io,
            tls: UnbufferedServerConnection::new(config).map_err(invalid)?,
            partial: Vec::new(),
            unread: Rest::default(),
            unsent: Rest::default(),
            reading: Reading::Open,
            shut: false,
        };
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let flushed = Pin::new(&mut *self).poll_flush(cx)?;
            if !self.tls.is_handshaking() {
                // The last that is sent are tickets (RFC 8446 §4.6.1). The client need not read before it has written.
                return Poll::Ready(Ok(()));
            }
            ready!(flushed);
            match self.reading {
                Reading::Open => ready!(self.poll_fill(cx, &mut ReadBuf::new(&mut [])))?,
                _ => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Reads once from the transport. What that brings goes to `out`, and what finds no room there is unread.
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        scratch::with_record_buffer(|buffer| {
            let waiting = self.partial.len();
            // No more than the driver's own buffer takes, so that nothing is left over; but a handshake message, of up
            // to 64 KiB, must lie here whole before it is looked at.
            let end = if waiting < scratch::READ_BUFFER { scratch::READ_BUFFER } else { buffer.len() };
            if waiting >= end {
                return Poll::Ready(Err(self.fail(invalid("a TLS handshake message is too long"))));
            }
            buffer[..waiting].copy_from_slice(&self.partial);
            let mut read = ReadBuf::new(&mut buffer[waiting..end]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                // RFC 8446 §6.1: without close_notify, anyone may have cut it.
                let text = "the client closed without close_notify";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            let records = &mut buffer[..waiting + count];
            match self.receive(records, out) {
                Ok(consumed) => {
                    self.partial = records[consumed..].to_vec();
                    Poll::Ready(Ok(()))
                }
                Err(error) => {
                    let error = self.fail(error);
                    // An alert that says why, if there is room for it; the error is what counts.
                    let _ = self.poll_send(cx);
                    Poll::Ready(Err(error))
                }
            }
        })
    }

    /// Does all that these bytes ask for. Returns how many were consumed; the others are to come again, and more.
    fn receive(&mut self, records: &mut [u8], out: &mut ReadBuf<'_>) -> io::Result<usize> {
        let Self { tls, unread, unsent, reading, .. } = self;
        let mut consumed = 0;
        loop {
            let UnbufferedStatus { discard, state } = tls.process_tls_records(&mut records[consumed..]);
            consumed += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        consumed += record.discard;
                        let fitting = record.payload.len().min(out.remaining());
                        out.put_slice(&record.payload[..fitting]);
                        unread.bytes.extend_from_slice(&record.payload[fitting..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut unsent.bytes)?,
                // What was encoded waits among the unsent, and is sent before anything else.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {
                    *reading = Reading::Ended;
                    // RFC 8446 §6.1: "Any data received after a closure alert has been received MUST be ignored."
                    return Ok(records.len());
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => return Ok(consumed),
                // Early data may have been sent by anyone before (RFC 8446 §8); an upgrade is not to be replayed.
                Ok(_) => return Err(invalid("early data is not taken")),
                Err(error) => {
                    // The alert. To show rustls the same records again would have it fail, and send one, again.
                    while tls.wants_write()
                        && let Ok(ConnectionState::EncodeTlsData(alert)) = tls.process_tls_records(&mut []).state
                    {
                        encode(alert, &mut unsent.bytes)?;
                    }
                    return Err(invalid(error));
                }
            }
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.reading = Reading::Failed;
        self.partial = Vec::new();
        error
    }

    /// Sends what the transport had no room for.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.unsent.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.unsent.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Encrypts these bytes, or `close_notify`, and sends what there is room for.
    fn send(&mut self, cx: &mut Context<'_>, plain: Option<&[u8]>) -> io::Result<()> {
        debug_assert!(self.unsent.is_empty(), "records must leave in the order in which they were encrypted");
        if self.reading == Reading::Failed || self.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // All that had come whole was acted on: nothing is consumed, and nothing else is to be done first.
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.partial);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        scratch::with_sealed_buffer(|sealed| {
            let length = loop {
                let encrypted = match plain {
                    Some(plain) => traffic.encrypt(plain, sealed),
                    None => traffic.queue_close_notify(sealed),
                };
                match encrypted {
                    Ok(length) => break length,
                    Err(EncryptError::InsufficientSize(size)) => sealed.resize(size.required_size, 0),
                    Err(error @ EncryptError::EncryptExhausted) => return Err(io::Error::other(error)),
                }
            };
            let mut rest = &sealed[..length];
            while !rest.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, rest) {
                    Poll::Ready(Ok(count)) if count > 0 => rest = &rest[count..],
                    // The record is numbered and must leave, or no later one can be read. An error that lasts is met by
                    // the flush; to tell of one that passes would have the caller write the same bytes once more.
                    _ => break,
                }
            }
            self.unsent.bytes.extend_from_slice(rest);
            Ok(())
        })
    }
}

impl<S: Io> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        while out.filled().len() == before && out.remaining() > 0 {
            if !this.unread.is_empty() {
                let count = this.unread.rest().len().min(out.remaining());
                out.put_slice(&this.unread.rest()[..count]);
                this.unread.advance(count);
                break;
            }
            match this.reading {
                Reading::Open => ready!(this.poll_fill(cx, out))?,
                Reading::Ended => break,
                Reading::Failed => return Poll::Ready(Err(invalid("TLS has failed before"))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(WRITTEN_AT_ONCE)];
        if !bytes.is_empty() {
            this.send(cx, Some(bytes))?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Small slices would become records of their own: they are gathered.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [slice] = slices {
            return self.poll_write(cx, slice);
        }
        scratch::with_plain_buffer(|plain| {
            plain.clear();
            for slice in slices {
                let room = WRITTEN_AT_ONCE - plain.len();
                plain.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            self.as_mut().poll_write(cx, plain)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if !this.shut && this.reading != Reading::Failed {
            this.send(cx, None)?;
            this.shut = true;
            ready!(this.poll_send(cx))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("reading", &self.reading).field("shut", &self.shut).finish_non_exhaustive()
    }
}

/// Bytes that wait. With the last of them their room is given back.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    taken: usize,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// Appends a handshake record, or an alert.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) -> io::Result<()> {
    let before = out.len();
    loop {
        match data.encode(&mut out[before..]) {
            Ok(length) => {
                out.truncate(before + length);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => out.resize(before + size.required_size, 0),
            Err(error @ EncodeError::AlreadyEncoded) => return Err(io::Error::other(error)),
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{AlertDescription, ClientConfig, Error, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream as ClientStream;

    use super::*;

    type Pair = (TlsStream<DuplexStream>, ClientStream<DuplexStream>);

    /// Both ends of a connection over a pipe that takes so many bytes.
    async fn pair(room: usize) -> Pair {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["example.org".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(super::super::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(super::super::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (ours, theirs) = duplex(room);
        let connector = TlsConnector::from(Arc::new(client));
        let name = "example.org".try_into().unwrap();
        tokio::try_join!(TlsStream::accept(Arc::new(server), ours), connector.connect(name, theirs)).unwrap()
    }

    fn rustls_error(error: &io::Error) -> Error {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).unwrap().clone()
    }

    fn held<S>(stream: &TlsStream<S>) -> usize {
        stream.partial.capacity() + stream.unread.bytes.capacity() + stream.unsent.bytes.capacity()
    }

    #[tokio::test]
    async fn bytes_come_and_go_in_whatever_pieces_and_leave_nothing_behind() {
        for room in [7, 100, 1 << 20] {
            let (mut server, mut client) = pair(room).await;
            let sent: Vec<u8> = (0_u32..50_000).flat_map(u32::to_le_bytes).collect();
            let mut most = 0;
            let echo = async {
                let mut heard = Vec::new();
                let mut piece = [0; 1000];
                while heard.len() < sent.len() {
                    let count = server.read(&mut piece).await.unwrap();
                    assert!(count > 0);
                    heard.extend_from_slice(&piece[..count]);
                    most = most.max(held(&server));
                }
                let (start, end) = heard.split_at(33);
                let mut slices = [IoSlice::new(start), IoSlice::new(&[]), IoSlice::new(end)];
                let mut slices = &mut slices[..];
                while !slices.is_empty() {
                    let count = server.write_vectored(slices).await.unwrap();
                    assert!(count > 0);
                    IoSlice::advance_slices(&mut slices, count);
                }
                server.flush().await.unwrap();
            };
            let talk = async {
                client.write_all(&sent).await.unwrap();
                client.flush().await.unwrap();
                let mut heard = vec![0; sent.len()];
                client.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, sent);
            };
            tokio::join!(echo, talk);
            assert!(most > 0, "with room for {room} nothing had to wait");
            assert_eq!(held(&server), 0, "with room for {room}");
        }
    }

    #[tokio::test]
    async fn only_close_notify_is_an_end() {
        let (mut server, mut client) = pair(1 << 16).await;
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last");
        // RFC 8446 §6.1: each side closes its own direction.
        server.write_all(b"still").await.unwrap();
        server.shutdown().await.unwrap();
        let after = server.write(b"too late").await.unwrap_err();
        assert_eq!(after.kind(), io::ErrorKind::BrokenPipe);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"still");

        let (mut server, client) = pair(1 << 16).await;
        drop(client);
        let cut = server.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_damaged_record_ends_it_with_an_alert() {
        let (mut server, mut client) = pair(1 << 16).await;
        let damaged = [[23, 3, 3, 0, 32].as_slice(), &[0; 32]].concat();
        client.get_mut().0.write_all(&damaged).await.unwrap();
        let error = server.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!((error.kind(), rustls_error(&error)), (io::ErrorKind::InvalidData, Error::DecryptError));
        let told = client.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(rustls_error(&told), Error::AlertReceived(AlertDescription::BadRecordMac));

        let again = server.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::InvalidData);
        let write = server.write(b"x").await.unwrap_err();
        assert_eq!(write.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn either_side_s_keys_can_be_renewed() {
        let (mut server, mut client) = pair(1 << 16).await;
        let mut byte = [0];
        for round in 0..5 {
            // RFC 8446 §4.6.3: it asks for ours to be renewed as well.
            client.get_mut().1.refresh_traffic_keys().unwrap();
            client.write_all(&[round]).await.unwrap();
            server.read_exact(&mut byte).await.unwrap();
            server.write_all(&byte).await.unwrap();
            client.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [round]);
        }
        assert_eq!(held(&server), 0);
    }
}
