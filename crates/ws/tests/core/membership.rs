//! Memberships that are the handler's own: in hubs of its choice, and taken over from elsewhere.

use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use switchboard_hub::{Member, Outbox};
use switchboard_testkit::frame;
use switchboard_ws::{Config, Context, Handler, Hub, MessageRef, OutboxLimits, Parcel};

use crate::peer::{Driver, on_both_drivers, serve};

on_both_drivers!(
    a_connection_is_a_member_of_several_hubs,
    a_member_moves_to_a_connection,
    what_is_sent_to_a_member_is_not_overtaken_by_who_asks_first,
);

/// In a room of each hub.
struct Guest {
    hubs: [Hub; 2],
    members: Vec<Member<Parcel>>,
}

impl Handler for Guest {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.members = self.hubs.iter().map(|hub| cx.join(hub)).collect();
        for member in &self.members {
            assert_eq!(member.subscribe("room"), Ok(true));
        }
    }

    fn on_message(&mut self, _: &mut Context<'_>, message: MessageRef<'_>) {
        let [one, other] = &self.members[..] else { panic!("there are two") };
        one.publish("room", "to the others".into());
        other.send(message.into());
    }
}

async fn a_connection_is_a_member_of_several_hubs(driver: Driver) {
    let hubs = [Hub::default(), Hub::default()];
    let config = Config::default();
    let guest = || Guest { hubs: hubs.clone(), members: Vec::new() };
    let (end, mut anna) = serve(driver, &config, guest()).await;
    let (_end, mut ben) = serve(driver, &config, guest()).await;
    anna.says(&[frame::text("to me")]).await;
    anna.expects(frame::text("to me")).await;
    ben.expects(frame::text("to the others")).await;
    for hub in &hubs {
        assert_eq!(hub.publish("room", "to all".into()).reached, 2);
        anna.expects(frame::text("to all")).await;
        ben.expects(frame::text("to all")).await;
    }
    drop(anna);
    end.await.unwrap();
    // The handler is dropped after it was told.
    tokio::task::yield_now().await;
    assert_eq!(hubs.map(|hub| hub.count("room")), [1, 1]);
}

/// Takes the member over at the first message.
struct Heir(Arc<Member<Parcel>>);

impl Handler for Heir {
    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        assert_eq!(self.0.hub().publish("room", "before".into()).reached, 1);
        cx.relocate(&self.0);
        assert_eq!(self.0.hub().publish("room", "after".into()).reached, 1);
        cx.send("mine");
    }
}

async fn a_member_moves_to_a_connection(driver: Driver) {
    let hub = Hub::default();
    let outbox = Arc::new(Outbox::new(OutboxLimits::default()));
    let member = Arc::new(hub.join(Arc::clone(&outbox)));
    assert_eq!(member.subscribe("room"), Ok(true));
    let (_end, mut peer) = serve(driver, &Config::default(), Heir(Arc::clone(&member))).await;
    outbox.push("waited".into());
    peer.says(&[frame::text("move")]).await;
    // On a shard what is published comes with the next delivery, after what the handler sends.
    let then = if matches!(driver, Driver::Shard) { ["mine", "after"] } else { ["after", "mine"] };
    for text in ["waited", "before"].into_iter().chain(then) {
        peer.expects(frame::text(text)).await;
    }
    // Whoever still had the old way in hand.
    outbox.push("late".into());
    hub.publish("room", "later".into());
    for text in ["late", "later"] {
        peer.expects(frame::text(text)).await;
    }
    let mut cx = Task::from_waker(Waker::noop());
    assert!(!matches!(outbox.poll_pop(&mut cx), Poll::Ready(Some(_))), "nothing is left behind");
}

/// Answers what it is asked for, by the way that keeps the order.
struct Careful(Hub, Option<Member<Parcel>>);

impl Handler for Careful {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.1 = Some(cx.join(&self.0));
    }

    fn on_message(&mut self, cx: &mut Context<'_>, _: MessageRef<'_>) {
        let Some(member) = &self.1 else { panic!("it has joined") };
        assert!(!cx.has_undelivered(), "all that came before is delivered");
        cx.send("one");
        assert!(!cx.has_undelivered(), "what is sent at once is not on its way");
        member.send("two".into());
        assert!(cx.has_undelivered());
        member.send("three".into());
    }
}

async fn what_is_sent_to_a_member_is_not_overtaken_by_who_asks_first(driver: Driver) {
    let (_end, mut peer) = serve(driver, &Config::default(), Careful(Hub::default(), None)).await;
    for _ in 0..3 {
        peer.says(&[frame::text("?")]).await;
        for text in ["one", "two", "three"] {
            peer.expects(frame::text(text)).await;
        }
    }
}
