//! Handlers that await.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard_testkit::frame;
use switchboard_ws::{Config, Message, OnMessageAsync, Sender};
use tokio::sync::Semaphore;

use crate::peer::{Driver, on_both_drivers, serve};

on_both_drivers!(
    replies_of_futures_that_are_ready_leave_in_order,
    one_that_waits_does_not_hold_up_the_next,
    with_too_many_under_way_reading_pauses,
    a_panic_before_or_after_the_first_await_ends_its_connection,
    what_is_under_way_ends_with_its_connection,
);

async fn replies_of_futures_that_are_ready_leave_in_order(driver: Driver) {
    let echo = OnMessageAsync::new(async |sender: Sender, message: Message| sender.send(message).await.unwrap());
    let (_end, mut peer) = serve(driver, &Config::default(), echo).await;
    let frames: Vec<_> = (0..100).map(|i| frame::text(i.to_string())).collect();
    peer.says(&frames).await;
    for frame in frames {
        peer.expects(frame).await;
    }
}

async fn one_that_waits_does_not_hold_up_the_next(driver: Driver) {
    let lazy = OnMessageAsync::new(async |sender: Sender, message: Message| {
        if message.as_text() == Some("slow") {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        sender.send(message).await.unwrap();
    });
    let (_end, mut peer) = serve(driver, &Config::default(), lazy).await;
    peer.says(&[frame::text("slow"), frame::text("fast")]).await;
    peer.expects(frame::text("fast")).await;
    peer.expects(frame::text("slow")).await;
}

async fn with_too_many_under_way_reading_pauses(driver: Driver) {
    let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, opened) = (Arc::clone(&started), Arc::clone(&gate));
    let waiting = OnMessageAsync::new(move |sender: Sender, message: Message| {
        counted.fetch_add(1, Ordering::SeqCst);
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            sender.send(message).await.unwrap();
        }
    })
    .in_flight(3);
    let config = Config::default();
    let (_end, mut peer) = serve(driver, &config, waiting).await;
    for i in 0..10 {
        peer.says(&[frame::text(i.to_string())]).await;
        // Time stands still while anybody has something to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(started.load(Ordering::SeqCst), 3);
    assert_eq!(config.get_metrics().snapshot().inbox_full, 1);
    gate.add_permits(10);
    for i in 0..10 {
        peer.expects(frame::text(i.to_string())).await;
    }
}

async fn a_panic_before_or_after_the_first_await_ends_its_connection(driver: Driver) {
    for word in ["at once", "later"] {
        let panics = OnMessageAsync::new(async |_: Sender, message: Message| {
            if message.as_text() == Some("later") {
                tokio::task::yield_now().await;
            }
            panic!("on purpose");
        });
        let (_end, mut peer) = serve(driver, &Config::default(), panics).await;
        peer.says(&[frame::text(word)]).await;
        peer.expects(frame::close(1011, "internal error")).await;
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<Semaphore>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

async fn what_is_under_way_ends_with_its_connection(driver: Driver) {
    let dropped = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&dropped);
    let waiting = OnMessageAsync::new(move |_: Sender, _: Message| {
        let told = Dropped(Arc::clone(&told));
        async move {
            std::future::pending::<()>().await;
            drop(told);
        }
    });
    let (end, mut peer) = serve(driver, &Config::default(), waiting).await;
    peer.says(&[frame::text("wait"), frame::close(1000, "")]).await;
    peer.expects(frame::close(1000, "")).await;
    assert!(end.await.unwrap().is_clean());
    let _ended = dropped.acquire().await.unwrap();
}
