//! Topics: who hears what is published.

use switchboard_testkit::frame;
use switchboard_ws::{Config, Context, Error, Handler, Hub, MessageRef, OutboxLimits, Overflow, Prepared};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::peer::{Driver, on_both_drivers, serve};

on_both_drivers!(
    a_room_hears_its_members,
    a_closed_connection_leaves_everything,
    a_member_that_does_not_keep_up_is_closed_with_1013_and_bothers_nobody,
    what_a_publisher_does_not_get_itself_counts,
);

/// Joins a room; what it hears goes to the others, or to everyone when it begins with "all".
struct Member(&'static str);

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe(self.0).expect("a short name");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        match message.as_text() {
            Some("leave") => assert!(cx.unsubscribe(self.0)),
            Some(text) if text.starts_with("all") => {
                cx.publish_to_all(self.0, message);
                cx.send("after");
            }
            _ => {
                cx.publish(self.0, message);
            }
        }
    }
}

async fn a_room_hears_its_members(driver: Driver) {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let (_a, mut anna) = serve(driver, &config, Member("lobby")).await;
    let (_b, mut ben) = serve(driver, &config, Member("lobby")).await;
    let (_c, mut carl) = serve(driver, &config, Member("other")).await;
    carl.says(&[frame::ping("open?")]).await;
    carl.expects(frame::pong("open?")).await;
    assert_eq!((hub.count("lobby"), hub.count("other"), hub.members()), (2, 1, 3));
    anna.says(&[frame::text("hello")]).await;
    ben.expects(frame::text("hello")).await;
    ben.says(&[frame::binary([1, 2, 3])]).await;
    anna.expects(frame::binary([1, 2, 3])).await;
    anna.says(&[frame::text("all of us")]).await;
    anna.expects(frame::text("all of us")).await;
    anna.expects(frame::text("after")).await;
    ben.expects(frame::text("all of us")).await;
    hub.publish_all(Prepared::text("everyone").into());
    for peer in [&mut anna, &mut ben, &mut carl] {
        peer.expects(frame::text("everyone")).await;
    }
    ben.says(&[frame::text("leave"), frame::ping("left?")]).await;
    ben.expects(frame::pong("left?")).await;
    assert_eq!(hub.count("lobby"), 1);
}

async fn a_closed_connection_leaves_everything(driver: Driver) {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let (closed, mut anna) = serve(driver, &config, Member("lobby")).await;
    let (vanished, ben) = serve(driver, &config, Member("lobby")).await;
    anna.says(&[frame::close(1000, "")]).await;
    drop(ben);
    closed.await.unwrap();
    vanished.await.unwrap();
    assert_eq!((hub.count("lobby"), hub.members(), hub.topics()), (0, 0, 0));
}

async fn a_member_that_does_not_keep_up_is_closed_with_1013_and_bothers_nobody(driver: Driver) {
    let hub = Hub::default();
    let outbox = OutboxLimits { messages: 100, bytes: 100_000, overflow: Overflow::Close };
    let config = Config::default().hub(hub.clone()).outbox(outbox);
    let (slow_task, mut slow) = serve(driver, &config, Member("lobby")).await;
    let (_task, mut quick) = serve(driver, &config, Member("lobby")).await;
    quick.says(&[frame::ping("open?")]).await;
    quick.expects(frame::pong("open?")).await;
    let message = Prepared::binary(&[0; 1000]);
    for _ in 0..400 {
        hub.publish("lobby", message.clone().into());
        quick.expects(frame::binary([0; 1000])).await;
    }
    // It reads at last: what was on its way, and then the end.
    let mut last = None;
    while let Some(frame) = slow.hears().await {
        if frame.first == 0x88 {
            slow.says(&[frame::close(1013, "")]).await;
        }
        last = Some(frame);
    }
    assert_eq!(last, Some(frame::close(1013, "the peer does not keep up")));
    assert!(matches!(slow_task.await.unwrap().error(), Some(Error::Overflowed)));
    assert_eq!(hub.count("lobby"), 1);
    assert!(config.get_metrics().snapshot().dropped > 0);
}

/// Tells itself much, and how much of that was lost.
struct Talker(UnboundedSender<u64>);

impl Handler for Talker {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("lobby").expect("a short name");
    }

    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        let lost = (0..100).map(|_| cx.publish_to_all("lobby", Prepared::binary(&[0; 20_000])).dropped);
        self.0.send(lost.map(|lost| lost as u64).sum()).unwrap();
    }
}

async fn what_a_publisher_does_not_get_itself_counts(driver: Driver) {
    let (told, mut lost) = unbounded_channel();
    let hub = Hub::default();
    let outbox = OutboxLimits { messages: 10, bytes: 100_000, overflow: Overflow::DropNewest };
    let (_end, mut peer) = serve(driver, &Config::default().hub(hub.clone()).outbox(outbox), Talker(told)).await;
    peer.says(&[frame::text("go")]).await;
    let lost = lost.recv().await.unwrap();
    assert!(lost > 0);
    assert_eq!(hub.counters().dropped, lost);
}
