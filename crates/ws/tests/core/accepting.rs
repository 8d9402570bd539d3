//! The opening handshake on a stream of our own: refusals, limits, deadlines.

use std::time::Duration;

use http::StatusCode;
use switchboard_ws::{AcceptError, Budget, BudgetPart, Config, NoRoom, PeerAddr, Pending, Rejection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{REQUEST, pipe};

/// What a client hears that sends `request`, and what the server makes of it.
async fn answer(config: &Config, request: &str) -> (String, Result<(), AcceptError>) {
    let (server, mut client) = tokio::io::duplex(64 << 10);
    client.write_all(request.as_bytes()).await.unwrap();
    let config = config.clone();
    let accepting = tokio::spawn(async move { switchboard_ws::accept(server, &config).await.map(drop) });
    let mut response = vec![0; 4096];
    let count = client.read(&mut response).await.unwrap();
    drop(client);
    (String::from_utf8_lossy(&response[..count]).into_owned(), accepting.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_only_wants_a_page_is_told_what_this_is() {
    let config = Config::default();
    let (response, result) = answer(&config, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    assert!(response.to_lowercase().contains("sec-websocket-version: 13\r\n"), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(body.len() > 10 && body.trim_end().ends_with('.'), "a sentence: {body:?}");
    assert!(matches!(result, Err(AcceptError::Rejected(rejection)) if rejection.status() == 426));
    assert_eq!(config.get_metrics().snapshot().refused.values().sum::<u64>(), 1);
    assert_eq!(config.get_metrics().snapshot().total, 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_site_is_refused() {
    let foreign = REQUEST.replace("X-Test: yes", "Origin: https://evil.example");
    let (response, _) = answer(&Config::default(), &foreign).await;
    assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
    let own = REQUEST.replace("X-Test: yes", "Origin: http://localhost");
    let (response, result) = answer(&Config::default(), &own).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    result.unwrap();
}

/// Attack: a handshake sent a byte at a time holds a connection for ever when each read has a deadline of its own.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_the_whole_request() {
    let (server, mut client) = tokio::io::duplex(4096);
    let accepting = tokio::spawn(async move { switchboard_ws::accept(server, &Config::default()).await.map(drop) });
    let before = tokio::time::Instant::now();
    for byte in REQUEST.bytes() {
        if client.write_all(&[byte]).await.is_err() || accepting.is_finished() {
            break;
        }
        tokio::time::advance(Duration::from_millis(700)).await;
        tokio::task::yield_now().await;
    }
    assert!(matches!(accepting.await.unwrap(), Err(AcceptError::Rejected(rejection)) if rejection.status() == 408));
    assert!(before.elapsed() < Duration::from_secs(14), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_no_connection() {
    let (server, mut client) = tokio::io::duplex(4096);
    client.write_all(b"GET / HT").await.unwrap();
    drop(client);
    assert!(matches!(switchboard_ws::accept(server, &Config::default()).await, Err(AcceptError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn the_application_looks_before_it_accepts() {
    let (server, mut peer) = pipe(4096, &[]).await;
    let pending = Pending::read(server, PeerAddr::Unknown, &Config::default()).await.unwrap();
    assert_eq!(pending.request().headers()["x-test"], "yes");
    let reject = tokio::spawn(pending.reject(Rejection::new(StatusCode::UNAUTHORIZED, "Who are you?\n")));
    let mut response = String::new();
    peer.io.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 401 ") && response.ends_with("\r\n\r\nWho are you?\n"), "{response}");
    drop(peer);
    reject.await.unwrap();
}

/// However far it came.
#[tokio::test(start_paused = true)]
async fn who_finds_memory_short_is_told_as_all_are_for_whom_there_is_no_room() {
    let budget = Budget::new(8 << 20);
    let config = Config::default().budget(budget.clone());
    budget.take(BudgetPart::Reading, 8 << 20);
    let (response, _) = answer(&config, REQUEST).await;
    let mut expected = Vec::new();
    NoRoom::Memory.rejection().encode(&mut expected);
    assert_eq!(response.into_bytes(), expected);
    assert_eq!(config.get_metrics().snapshot().refused.get("memory_budget"), Some(&1));
}
