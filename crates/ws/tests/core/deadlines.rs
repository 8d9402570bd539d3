//! Deadlines of a handler's own.

use std::time::{Duration, Instant};

use switchboard_testkit::frame;
use switchboard_ws::{Config, Context, Handler, MessageRef};

use crate::peer::{Driver, on_both_drivers, serve};

on_both_drivers!(
    a_deadline_that_is_there_at_the_opening_is_kept,
    a_deadline_that_comes_nearer_is_kept,
    a_deadline_that_moves_away_is_not_called_early,
    deadlines_repeat,
    a_panic_over_a_deadline_ends_the_connection,
    a_deadline_that_panics_ends_the_connection,
);

/// Says "now" when a deadline passes, which each message sets.
#[derive(Default)]
struct Clock {
    deadline: Option<Instant>,
    first: Option<Duration>,
    every: Option<Duration>,
    panics: bool,
}

impl Handler for Clock {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.deadline = self.first.map(|first| cx.now() + first);
    }

    /// "near" or "far" and milliseconds: only what is near is told.
    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let (how, millis) = message.as_text().and_then(|text| text.split_once(' ')).expect("what was asked for");
        let deadline = cx.now() + Duration::from_millis(millis.parse().expect("a number"));
        self.deadline = Some(deadline);
        match how {
            "panic" => {
                self.panics = true;
                cx.deadline_moved();
            }
            "near" => cx.deadline_moved(),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        assert!(!self.panics, "on purpose");
        self.deadline
    }

    fn on_deadline(&mut self, cx: &mut Context<'_>) {
        let passed = self.deadline.take().expect("there was one");
        assert!(passed <= cx.now());
        assert!(self.first != Some(Duration::from_millis(13)), "on purpose");
        cx.send("now");
        self.deadline = self.every.map(|every| cx.now() + every);
    }
}

/// Whether it is so late, but for the tick of a shard's wheel.
fn is_after(start: tokio::time::Instant, millis: u64) -> bool {
    let (elapsed, at) = (start.elapsed(), Duration::from_millis(millis));
    (at..=at + Duration::from_millis(70)).contains(&elapsed)
}

async fn a_deadline_that_is_there_at_the_opening_is_kept(driver: Driver) {
    let start = tokio::time::Instant::now();
    let clock = Clock { first: Some(Duration::from_millis(500)), ..Clock::default() };
    let (_end, mut peer) = serve(driver, &Config::default(), clock).await;
    peer.expects(frame::text("now")).await;
    assert!(is_after(start, 500), "{:?}", start.elapsed());
}

async fn a_deadline_that_comes_nearer_is_kept(driver: Driver) {
    let clock = Clock { first: Some(Duration::from_secs(5)), ..Clock::default() };
    let (_end, mut peer) = serve(driver, &Config::default(), clock).await;
    let start = tokio::time::Instant::now();
    peer.says(&[frame::text("near 300")]).await;
    peer.expects(frame::text("now")).await;
    assert!(is_after(start, 300), "{:?}", start.elapsed());
    let start = tokio::time::Instant::now();
    peer.says(&[frame::text("near 700")]).await;
    peer.expects(frame::text("now")).await;
    assert!(is_after(start, 700), "also where there was none: {:?}", start.elapsed());
}

async fn a_deadline_that_moves_away_is_not_called_early(driver: Driver) {
    let clock = Clock { first: Some(Duration::from_millis(200)), ..Clock::default() };
    let (_end, mut peer) = serve(driver, &Config::default(), clock).await;
    let start = tokio::time::Instant::now();
    peer.says(&[frame::text("far 3000")]).await;
    peer.expects(frame::text("now")).await;
    assert!(is_after(start, 3000), "{:?}", start.elapsed());
}

async fn deadlines_repeat(driver: Driver) {
    let second = Duration::from_secs(1);
    let clock = Clock { first: Some(second), every: Some(second), ..Clock::default() };
    let (_end, mut peer) = serve(driver, &Config::default(), clock).await;
    for _ in 0..5 {
        let start = tokio::time::Instant::now();
        peer.expects(frame::text("now")).await;
        assert!(is_after(start, 1000) || is_after(start, 935), "{:?}", start.elapsed());
    }
}

async fn a_panic_over_a_deadline_ends_the_connection(driver: Driver) {
    let clock = Clock { first: Some(Duration::from_millis(13)), ..Clock::default() };
    let (_end, mut peer) = serve(driver, &Config::default(), clock).await;
    peer.expects(frame::close(1011, "internal error")).await;
}

async fn a_deadline_that_panics_ends_the_connection(driver: Driver) {
    let (_end, mut peer) = serve(driver, &Config::default(), Clock::default()).await;
    let start = tokio::time::Instant::now();
    peer.says(&[frame::text("panic 1000")]).await;
    peer.expects(frame::close(1011, "internal error")).await;
    assert!(is_after(start, 0), "{:?}", start.elapsed());
}
