//! Parcels that are more than a message: several forms of one, the end of the connection, and what may be lost.

use std::sync::Arc;

use switchboard_testkit::frame;
use switchboard_ws::{
    CloseCode, Config, Context, Form, Forms, Handler, Hub, MessageRef, OutboxLimits, Overflow, Parcel, Prepared,
    Pushed, SendError, Sender,
};

use crate::peer::{Driver, eventually, on_both_drivers, serve};

on_both_drivers!(
    a_message_has_the_form_of_each_connection,
    a_publication_can_close,
    a_publication_closes_after_what_the_outbox_holds,
    what_is_volatile_is_lost_on_a_peer_that_lags,
    a_form_that_panics_costs_its_message_and_no_connection,
);

/// A word for plain connections, the word and a number for those of form 1, and nothing for others.
#[derive(Debug)]
struct Word {
    plain: [Prepared; 1],
    numbered: [Prepared; 2],
    volatile: bool,
}

fn word(text: &str, volatile: bool) -> Parcel {
    let plain = Prepared::text(text);
    let forms: Arc<dyn Forms> =
        Arc::new(Word { plain: [plain.clone()], numbered: [plain, Prepared::binary(&[7])], volatile });
    forms.into()
}

impl Forms for Word {
    fn frames(&self, form: Form) -> &[Prepared] {
        match form {
            Form(0) => &self.plain,
            Form(1) => &self.numbered,
            _ => &[],
        }
    }

    fn weight(&self) -> usize {
        self.plain[0].plain().len()
    }

    fn is_volatile(&self) -> bool {
        self.volatile
    }
}

/// A member of the lobby that sends a word back for each message.
struct Member {
    form: Form,
    sender: bool,
    kept: Option<Sender>,
}

impl Member {
    fn new(form: u8) -> Self {
        Self { form: Form(form), sender: false, kept: None }
    }
}

impl Handler for Member {
    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.subscribe("lobby").expect("a short name");
        cx.set_form(self.form);
        self.kept = self.sender.then(|| cx.sender());
    }

    fn on_message(&mut self, cx: &mut Context<'_>, message: MessageRef<'_>) {
        let text = message.as_text().expect("only text is sent");
        if let Some(sender) = &self.kept {
            sender.try_send("by its sender").expect("there is room");
        }
        match text {
            "close" => {
                cx.hub().publish("lobby", Parcel::close(4000, "enough").expect("a proper code"));
                cx.hub().publish("lobby", word("lost", false));
            }
            _ => assert_eq!(cx.send_parcel(&word(text, false)), Pushed::Sent),
        }
    }
}

async fn a_message_has_the_form_of_each_connection(driver: Driver) {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let mut peers = Vec::new();
    for form in 0..3 {
        let (_, mut peer) = serve(driver, &config, Member::new(form)).await;
        peer.says(&[frame::text("mine")]).await;
        peer.says(&[frame::ping("?")]).await;
        peers.push(peer);
    }
    let [plain, numbered, none] = &mut peers[..] else { panic!("three were served") };
    for text in ["mine", "ours"] {
        plain.expects(frame::text(text)).await;
        numbered.expects(frame::text(text)).await;
        numbered.expects(frame::binary([7])).await;
        if text == "mine" {
            for peer in [&mut *plain, &mut *numbered, &mut *none] {
                peer.expects(frame::pong("?")).await;
            }
            assert_eq!(hub.publish("lobby", word("ours", false)).reached, 3);
        }
    }
    hub.publish("lobby", Prepared::text("everyone").into());
    for peer in [plain, numbered, none] {
        peer.expects(frame::text("everyone")).await;
    }
}

/// Has no form for connections of form 1, and does not say so properly.
#[derive(Debug)]
struct Broken([Prepared; 1]);

impl Forms for Broken {
    fn frames(&self, form: Form) -> &[Prepared] {
        assert_ne!(form, Form(1), "on purpose");
        &self.0
    }

    fn weight(&self) -> usize {
        1
    }
}

async fn a_form_that_panics_costs_its_message_and_no_connection(driver: Driver) {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let (_, mut plain) = serve(driver, &config, Member::new(0)).await;
    let (_, mut numbered) = serve(driver, &config, Member::new(1)).await;
    for peer in [&mut plain, &mut numbered] {
        peer.says(&[frame::ping("?")]).await;
        peer.expects(frame::pong("?")).await;
    }
    let broken: Arc<dyn Forms> = Arc::new(Broken([Prepared::text("half")]));
    hub.publish("lobby", broken.into());
    hub.publish("lobby", word("next", false));
    plain.expects(frame::text("half")).await;
    for peer in [&mut plain, &mut numbered] {
        peer.expects(frame::text("next")).await;
    }
    numbered.expects(frame::binary([7])).await;
    assert_eq!(config.get_metrics().snapshot().dropped, 1);
}

async fn a_publication_can_close(driver: Driver) {
    let hub = Hub::default();
    let (end, mut peer) = serve(driver, &Config::default().hub(hub.clone()), Member::new(0)).await;
    peer.says(&[frame::text("open?")]).await;
    peer.expects(frame::text("open?")).await;
    hub.publish("lobby", word("last", false));
    hub.publish("lobby", Parcel::close(4000, "enough").unwrap());
    hub.publish("lobby", word("lost", false));
    peer.expects(frame::text("last")).await;
    peer.expects(frame::close(4000, "enough")).await;
    peer.says(&[frame::close(4000, "")]).await;
    assert_eq!(peer.hears().await, None);
    assert!(end.await.unwrap().is_clean());
}

async fn a_publication_closes_after_what_the_outbox_holds(driver: Driver) {
    let config = Config::default().hub(Hub::default());
    let (end, mut peer) = serve(driver, &config, Member { sender: true, ..Member::new(0) }).await;
    peer.says(&[frame::text("close")]).await;
    peer.expects(frame::text("by its sender")).await;
    peer.expects(frame::close(4000, "enough")).await;
    peer.says(&[frame::close(4000, "")]).await;
    assert_eq!(peer.hears().await, None);
    assert!(end.await.unwrap().is_clean());
}

async fn what_is_volatile_is_lost_on_a_peer_that_lags(driver: Driver) {
    let hub = Hub::default();
    let config = Config::default().hub(hub.clone());
    let (_end, mut peer) = serve(driver, &config, Member::new(0)).await;
    peer.says(&[frame::text("open?")]).await;
    peer.expects(frame::text("open?")).await;
    hub.publish("lobby", word("heard", true));
    peer.expects(frame::text("heard")).await;
    let (long, before) = ("x".repeat(900_000), config.get_metrics().snapshot().bytes_out);
    hub.publish("lobby", word(&long, false));
    eventually("its first bytes", || config.get_metrics().snapshot().bytes_out > before).await;
    hub.publish("lobby", word("lost", true));
    hub.publish("lobby", word("kept", false));
    peer.expects(frame::text(&long)).await;
    peer.expects(frame::text("kept")).await;
    hub.publish("lobby", word("again", true));
    peer.expects(frame::text("again")).await;
    assert_eq!((hub.counters().dropped, config.get_metrics().snapshot().dropped), (1, 1));
}

/// By a shard, which keeps an outbox for a connection only while that lags.
#[tokio::test(start_paused = true)]
async fn a_full_outbox_does_not_keep_a_connection_from_being_closed() {
    let hub = Hub::default();
    let outbox = OutboxLimits { messages: 1, bytes: 1_000_000, overflow: Overflow::DropNewest };
    let config = Config::default().hub(hub.clone()).outbox(outbox);
    let (end, mut peer) = serve(Driver::Shard, &config, Member::new(0)).await;
    peer.says(&[frame::text("open?")]).await;
    peer.expects(frame::text("open?")).await;
    let long = "x".repeat(900_000);
    for text in [&long, "queued", "dropped"] {
        hub.publish("lobby", word(text, false));
    }
    hub.publish("lobby", Parcel::close(4000, "enough").unwrap());
    hub.publish("lobby", word("too late", false));
    for text in [&long, "queued"] {
        peer.expects(frame::text(text)).await;
    }
    peer.expects(frame::close(4000, "enough")).await;
    peer.says(&[frame::close(4000, "")]).await;
    assert!(end.await.unwrap().is_clean());
}

#[test]
fn parcels_show_what_is_in_them() {
    let texts = |parcel: &Parcel, form| -> Vec<_> {
        parcel.frames(form).iter().map(|prepared| String::from_utf8_lossy(&prepared.payload()).into_owned()).collect()
    };
    let forms = word("hello", true);
    assert_eq!(texts(&forms, Form::default()), ["hello"]);
    assert_eq!(texts(&forms, Form(1)), ["hello", "\u{7}"]);
    assert!(texts(&forms, Form(2)).is_empty() && forms.is_volatile());
    for parcel in [Parcel::from("hello"), Prepared::text("hello").into()] {
        assert_eq!(texts(&parcel, Form(2)), ["hello"]);
        assert!(parcel.as_close().is_none() && !parcel.is_volatile());
    }
    let close = Parcel::close(CloseCode::NORMAL, "bye").unwrap();
    assert!(texts(&close, Form(0)).is_empty());
    assert_eq!(close.as_close().map(|frame| (frame.code, frame.reason.as_str())), Some((CloseCode::NORMAL, "bye")));
    assert_eq!(Parcel::close(1006, "").unwrap_err(), SendError::InvalidCloseCode(1006));
}
