//! From a host name to a TCP connection: all addresses are tried, IPv6 and IPv4 in turn, each with a short head start
//! (Happy Eyeballs, RFC 8305 in its simple form: one query for both families, and the system's order of addresses).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;

/// "The Connection Attempt Delay [...] recommended value [...] is 250 milliseconds" (RFC 8305 §5).
pub(crate) const HEAD_START: Duration = Duration::from_millis(250);

/// The addresses of a host, in the order in which to try them.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    Ok(interleave(found))
}

/// Connects to the first address that answers.
pub(super) async fn tcp(addresses: Vec<SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = race(addresses, TcpStream::connect).await?;
    // Small messages should leave at once; they are gathered here, not in the kernel.
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

/// One family and the other in turn, the family of the first address first (RFC 8305 §4).
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

/// Tries the addresses in order; the next one when the one before failed or the head start is over. What is still under
/// way when one has answered is dropped.
async fn race<T, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<(T, SocketAddr)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut rest = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = rest.next() {
            let attempt = connect(address);
            attempts.push(async move { (attempt.await, address) });
        }
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some((Ok(stream), address)) => return Ok((stream, address)),
                Some((Err(error), address)) => failures.push((address, error)),
                None => return Err(all_failed(&failures)),
            },
            () = tokio::time::sleep(HEAD_START), if rest.len() > 0 => {}
        }
    }
}

/// One error that names each address.
fn all_failed(failures: &[(SocketAddr, io::Error)]) -> io::Error {
    let kind = failures.first().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
    let texts: Vec<_> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    io::Error::new(kind, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:1", "1.1.1.1:2"]);
        let order = addresses(&["[::1]:1", "1.1.1.1:1", "[::1]:2", "1.1.1.1:2", "[::1]:3"]);
        assert_eq!(interleave(found), order);
        let found = addresses(&["1.1.1.1:1", "1.1.1.1:2", "[::1]:1"]);
        assert_eq!(interleave(found), addresses(&["1.1.1.1:1", "[::1]:1", "1.1.1.1:2"]));
        assert_eq!(interleave(Vec::new()), []);
    }

    /// Ports say what becomes of an attempt: that many milliseconds, then failure if odd.
    async fn pretend(address: SocketAddr) -> io::Result<u16> {
        let port = address.port();
        sleep(Duration::from_millis(port.into())).await;
        if port % 2 == 1 { Err(io::Error::new(io::ErrorKind::ConnectionRefused, "no")) } else { Ok(port) }
    }

    /// Who wins and after how many milliseconds; and when each address was tried.
    async fn run(texts: &[&str]) -> (io::Result<u16>, u128, Vec<u128>) {
        let start = Instant::now();
        let tried = Mutex::new(Vec::new());
        let won = race(addresses(texts), |address| {
            tried.lock().unwrap().push(start.elapsed().as_millis());
            pretend(address)
        });
        let won = won.await.map(|(port, address)| {
            assert_eq!(address.port(), port);
            port
        });
        (won, start.elapsed().as_millis(), tried.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_has_its_turn_after_a_head_start_or_a_failure() {
        let (won, took, tried) = run(&["1.1.1.1:200", "1.1.1.1:2"]).await;
        assert_eq!((won.unwrap(), took, tried), (200, 200, vec![0]));
        let (won, took, tried) = run(&["1.1.1.1:60000", "1.1.1.1:100", "1.1.1.1:2"]).await;
        assert_eq!((won.unwrap(), took, tried), (100, 350, vec![0, 250]));
        let (won, took, tried) = run(&["1.1.1.1:60000", "1.1.1.1:51", "1.1.1.1:2"]).await;
        assert_eq!((won.unwrap(), took, tried), (2, 303, vec![0, 250, 301]));
        let (won, took, tried) = run(&["1.1.1.1:400", "1.1.1.1:60000"]).await;
        assert_eq!((won.unwrap(), took, tried), (400, 400, vec![0, 250]), "an earlier attempt may still win");
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_is_named() {
        let (won, took, _) = run(&["1.1.1.1:301", "[::1]:11"]).await;
        let error = won.expect_err("both fail");
        assert_eq!((error.kind(), took), (io::ErrorKind::ConnectionRefused, 301));
        assert_eq!(error.to_string(), "[::1]:11: no; 1.1.1.1:301: no");
    }
}
