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
use switchboard_budget::Budget;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::remains::{Keeper, Remains};
use crate::driver::Io;
use crate::scratch;

/// So much is encrypted and written at once: four whole records.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// The longest record, with its header. TLS 1.2 has the longer ones: RFC 5246 §6.2.3, "The length MUST NOT exceed 2^14 +
/// 2048".
const RECORD: usize = 5 + (16 << 10) + 2048;
/// What counts for a client in its handshake, with what rustls needs for that, and for one whose handshake is done.
const HANDSHAKE: usize = 16 << 10;
const KEYS: usize = 5 << 10;

/// Both of them, for documents, and the most that is kept: of a handshake message, and of what was encrypted.
pub(crate) const COUNTED: (usize, usize) = (HANDSHAKE, KEYS);
pub(crate) const KEPT: (usize, usize) = (scratch::RECORDS, WRITTEN_AT_ONCE);

/// The server's side of a TLS connection, as [`ServerTls::accept`](super::ServerTls::accept) makes it.
///
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] when the transport ends without the client's `close_notify`, and
/// with [`io::ErrorKind::InvalidData`], a [`rustls::Error`] inside, when the client breaks a rule. Shutting down sends
/// `close_notify`. What was written leaves with the next flush, if the transport had no room for it.
///
/// Everything fails with [`io::ErrorKind::OutOfMemory`], a [`BudgetExhausted`](crate::BudgetExhausted) inside, when the
/// [budget](super::ServerTls::budget) had no room for what had to be kept of the stream, or was short of memory while much
/// was kept. It is to be dropped then.
pub struct TlsStream<S> {
    io: S,
    tls: UnbufferedServerConnection,
    keeper: Keeper,
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
    pub(super) async fn accept(config: Arc<ServerConfig>, budget: Budget, io: S) -> io::Result<Self> {
        let mut stream = Self {
            io,
            tls: UnbufferedServerConnection::new(config).map_err(invalid)?,
            keeper: Keeper::new(&budget),
            reading: Reading::Open,
            shut: false,
        };
        stream.keeper.set_own(HANDSHAKE);
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        let certificates = stream.tls.peer_certificates().unwrap_or_default();
        stream.keeper.set_own(KEYS + certificates.iter().map(|certificate| certificate.len()).sum::<usize>());
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
                Reading::Open => {
                    let mut none = ReadBuf::new(&mut []);
                    ready!(self.turn(cx, |this, remains, cx| this.poll_fill(cx, remains, &mut none)))?;
                }
                _ => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Does something with what is kept, and keeps what is left of it.
    fn turn<T>(
        &mut self,
        cx: &mut Context<'_>,
        run: impl FnOnce(&mut Self, &mut Remains, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut remains = self.keeper.lend()?;
        let done = run(self, &mut remains, cx);
        self.keeper.keep(remains, cx)?;
        done
    }

    /// Reads once from the transport. What that brings goes to `out`, and what finds no room there is unread.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        remains: &mut Remains,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        scratch::with_record_buffer(|buffer| {
            let waiting = remains.partial.len();
            // No more than there is room for, so that nothing is unread, or what makes one record whole. A handshake
            // message, of up to 64 KiB in many records, must lie here whole before it is looked at.
            let room = out.remaining().clamp(RECORD, scratch::READ_BUFFER);
            let end = if waiting < room { room } else { buffer.len().min(waiting + RECORD) };
            if waiting >= end {
                return Poll::Ready(Err(self.fail(remains, invalid("a TLS handshake message is too long"))));
            }
            buffer[..waiting].copy_from_slice(&remains.partial);
            let mut read = ReadBuf::new(&mut buffer[waiting..end]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                // RFC 8446 §6.1: without close_notify, anyone may have cut it.
                let text = "the client closed without close_notify";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            let records = &mut buffer[..waiting + count];
            match self.receive(remains, records, out) {
                Ok(consumed) => {
                    remains.partial = records[consumed..].to_vec();
                    Poll::Ready(Ok(()))
                }
                Err(error) => {
                    let error = self.fail(remains, error);
                    // An alert that says why, if there is room for it; the error is what counts.
                    let _ = self.poll_send(cx, remains);
                    Poll::Ready(Err(error))
                }
            }
        })
    }

    /// Does all that these bytes ask for. Returns how many were consumed; the others are to come again, and more.
    fn receive(&mut self, remains: &mut Remains, records: &mut [u8], out: &mut ReadBuf<'_>) -> io::Result<usize> {
        let (Self { tls, reading, .. }, Remains { unread, unsent, .. }) = (self, remains);
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

    fn fail(&mut self, remains: &mut Remains, error: io::Error) -> io::Error {
        self.reading = Reading::Failed;
        remains.partial = Vec::new();
        error
    }

    /// Sends what the transport had no room for.
    fn poll_send(&mut self, cx: &mut Context<'_>, remains: &mut Remains) -> Poll<io::Result<()>> {
        let unsent = &mut remains.unsent;
        while !unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, unsent.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => unsent.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Encrypts these bytes, or `close_notify`, and sends what there is room for.
    fn send(&mut self, cx: &mut Context<'_>, remains: &mut Remains, plain: Option<&[u8]>) -> io::Result<()> {
        debug_assert!(remains.unsent.is_empty(), "records must leave in the order in which they were encrypted");
        if self.reading == Reading::Failed || self.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // All that had come whole was acted on: nothing is consumed, and nothing else is to be done first.
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut remains.partial);
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
            remains.unsent.bytes.extend_from_slice(rest);
            Ok(())
        })
    }
}

impl<S: Io> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().turn(cx, |this, remains, cx| {
            let before = out.filled().len();
            while out.filled().len() == before && out.remaining() > 0 {
                let unread = &mut remains.unread;
                if !unread.is_empty() {
                    let count = unread.rest().len().min(out.remaining());
                    out.put_slice(&unread.rest()[..count]);
                    unread.advance(count);
                    break;
                }
                match this.reading {
                    Reading::Open => ready!(this.poll_fill(cx, remains, out))?,
                    Reading::Ended => break,
                    Reading::Failed => return Poll::Ready(Err(invalid("TLS has failed before"))),
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: Io> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().turn(cx, |this, remains, cx| {
            ready!(this.poll_send(cx, remains))?;
            let bytes = &bytes[..bytes.len().min(WRITTEN_AT_ONCE)];
            if !bytes.is_empty() {
                this.send(cx, remains, Some(bytes))?;
            }
            Poll::Ready(Ok(bytes.len()))
        })
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
        self.get_mut().turn(cx, |this, remains, cx| {
            ready!(this.poll_send(cx, remains))?;
            Pin::new(&mut this.io).poll_flush(cx)
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().turn(cx, |this, remains, cx| {
            ready!(this.poll_send(cx, remains))?;
            if !this.shut && this.reading != Reading::Failed {
                this.send(cx, remains, None)?;
                this.shut = true;
                ready!(this.poll_send(cx, remains))?;
            }
            Pin::new(&mut this.io).poll_shutdown(cx)
        })
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("reading", &self.reading).field("shut", &self.shut).finish_non_exhaustive()
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
    use switchboard_budget::{Exhausted, Part};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream as ClientStream;

    use super::*;

    type Pair = (TlsStream<DuplexStream>, ClientStream<DuplexStream>);

    /// Both ends of a connection over a pipe that takes so many bytes.
    async fn pair(room: usize) -> Pair {
        pair_in(&Budget::default(), room).await
    }

    /// The same where what is held has a limit.
    async fn pair_in(budget: &Budget, room: usize) -> Pair {
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
        let accepting = TlsStream::accept(Arc::new(server), budget.clone(), ours);
        tokio::try_join!(accepting, connector.connect(name, theirs)).unwrap()
    }

    fn rustls_error(error: &io::Error) -> Error {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).unwrap().clone()
    }

    fn held<S>(stream: &TlsStream<S>) -> usize {
        stream.keeper.held()
    }

    /// What counts for TLS in this budget.
    fn counted(budget: &Budget) -> usize {
        budget.usage().unwrap().parts[Part::Tls as usize]
    }

    /// Memory is short, and who holds most has to go.
    fn run_short(budget: &Budget) {
        budget.take(Part::Reading, 15 << 20);
        budget.relieve();
    }

    fn is_shortage(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(inner) if inner.is::<Exhausted>())
    }

    /// Polls it once.
    async fn once<F: Future>(future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// The start of a record of 16 KiB: all of it but so many bytes.
    fn unfinished(missing: usize) -> Vec<u8> {
        [&[23, 3, 3, 0x40, 0][..], &vec![0; (16 << 10) - missing]].concat()
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
            // What was decrypted of a record, and the start of the next one.
            assert!(most <= 2 * RECORD, "with room for {room} so much was kept: {most}");
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
    async fn a_record_that_is_not_finished_is_counted_and_has_its_sender_go_when_memory_is_short() {
        let budget = Budget::new(16 << 20);
        let (mut server, mut client) = pair_in(&budget, 1 << 16).await;
        let at_rest = counted(&budget);
        client.get_mut().0.write_all(&unfinished(1)).await.unwrap();
        assert!(once(server.read(&mut [0; 10])).await.is_none());
        assert_eq!(counted(&budget), at_rest + unfinished(1).len());
        run_short(&budget);
        // At once, whenever its owner comes round to it.
        assert_eq!((counted(&budget), budget.usage().unwrap().evicted), (at_rest, 1));
        assert!(is_shortage(&server.read(&mut [0; 10]).await.unwrap_err()));
        assert!(is_shortage(&server.write(b"x").await.unwrap_err()));
        assert!(is_shortage(&server.flush().await.unwrap_err()));
        drop(server);
        assert_eq!(counted(&budget), 0);
    }

    #[tokio::test]
    async fn what_is_not_taken_is_counted_and_has_its_receiver_go_when_memory_is_short() {
        let budget = Budget::new(16 << 20);
        let (mut server, _client) = pair_in(&budget, 1 << 10).await;
        let at_rest = counted(&budget);
        assert_eq!(server.write(&[7; 100_000]).await.unwrap(), WRITTEN_AT_ONCE);
        assert!(counted(&budget) > at_rest + WRITTEN_AT_ONCE - (1 << 10));
        assert!(once(server.flush()).await.is_none());
        run_short(&budget);
        assert_eq!((counted(&budget), budget.usage().unwrap().evicted), (at_rest, 1));
        assert!(is_shortage(&server.flush().await.unwrap_err()));
    }

    #[tokio::test]
    async fn there_is_room_for_a_record_or_its_sender_goes() {
        let budget = Budget::new(16 << 20);
        let (mut server, mut client) = pair_in(&budget, 1 << 16).await;
        client.get_mut().0.write_all(&unfinished(1)).await.unwrap();
        budget.take(Part::Reading, 16 << 20);
        let error = server.read(&mut [0; 10]).await.unwrap_err();
        assert!(is_shortage(&error), "{error}");
        let usage = budget.usage().unwrap();
        assert_eq!((usage.denied, usage.evicted), (1, 0));
    }

    #[tokio::test]
    async fn a_handshake_that_is_not_finished_is_counted_and_ends_when_memory_is_short() {
        let budget = Budget::new(16 << 20);
        let config = ServerConfig::builder_with_provider(super::super::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        let (ours, mut theirs) = duplex(1 << 16);
        let mut accepting = Box::pin(TlsStream::accept(Arc::new(config), budget.clone(), ours));
        assert!(once(&mut accepting).await.is_none());
        assert_eq!(counted(&budget), HANDSHAKE);
        // Of a ClientHello of 60 KiB three records of 16 KiB each.
        let record = [&[22, 3, 1, 0x40, 0][..], &[0; 16 << 10]].concat();
        let mut hello = record.repeat(3);
        hello[5..9].copy_from_slice(&[1, 0, 0xf0, 0]);
        theirs.write_all(&hello).await.unwrap();
        assert!(once(&mut accepting).await.is_none());
        assert!(counted(&budget) >= HANDSHAKE + (48 << 10), "{}", counted(&budget));
        run_short(&budget);
        assert_eq!(counted(&budget), HANDSHAKE);
        assert!(is_shortage(&accepting.await.unwrap_err()));
        assert_eq!(counted(&budget), 0);
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
