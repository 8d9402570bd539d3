//! What plain WebSockets in the topics of rooms say, and how sockets hear it: made when the first one needs it.

use std::slice;
use std::sync::{Arc, OnceLock};

use switchboard_io_proto::socket::{Args, EventHead, Flags, Namespace as Name, Parser, Selector, Value};
use switchboard_ws::{Form, Forms, Kind, Parcel, Prepared};

use crate::engine::{self, Made, PLAIN, ParcelOptions};
use crate::namespace::Namespace;
use crate::publish::{self, Event};
use crate::room;

/// The event as which sockets hear what a plain WebSocket says: the one that `send` of the clients makes.
const MESSAGE: &str = "message";

impl Namespace {
    /// What a plain WebSocket says to a room that it shares with sockets of this namespace: other plain WebSockets get
    /// the message as it is, sockets get the event `message` with the text or the bytes as its one argument. Nothing is
    /// made for sockets before the first one is reached, unless it has to be recorded for
    /// [recovery](crate::Builder::connection_state_recovery).
    ///
    /// `publish` is given the parcel and hands it to the hub, to the [topic](crate::topic) that is named here and
    /// nobody else. It is called once, before this returns, and must not send events: where recovery is on, they would
    /// wait for it. Listeners for [outgoing events](crate::Socket::on_any_outgoing) do not see what is sent like this.
    pub fn share<R>(&self, topic: &str, message: impl Into<Prepared>, publish: impl FnOnce(Parcel) -> R) -> R {
        let (space, plain) = (&*self.0, message.into());
        let parser = space.settings.parser;
        let room = room::of_topic(&space.name, topic);
        if let Some(room) = room {
            publish::make_own_room(space, room);
        }
        let (Some(recovery), Some(room)) = (&space.recovery, room) else {
            let said = Said { plain, parser, namespace: space.name.clone(), packets: OnceLock::new() };
            return publish(Parcel::from(Arc::new(said) as Arc<dyn Forms>));
        };
        let args = Args::new(parser, &argument(&plain)).expect("a text and bytes can be written");
        let event = Event::new(MESSAGE, &args);
        let recorded = publish::record(space, recovery, Selector::new().to(room), &event, |frames| {
            let options = publish::options(Flags::default());
            publish(engine::parcel_with_plain(publish::parts(frames), options, move || Some(plain.clone())))
        });
        recorded.expect("a text and bytes can be written")
    }
}

/// What a plain WebSocket has said.
#[derive(Debug)]
struct Said {
    plain: Prepared,
    parser: Parser,
    namespace: Name,
    packets: OnceLock<Box<Made>>,
}

impl Forms for Said {
    fn frames(&self, form: Form) -> &[Prepared] {
        if form == PLAIN {
            return slice::from_ref(&self.plain);
        }
        self.packets.get_or_init(|| Box::new(self.packets())).frames(form)
    }

    fn weight(&self) -> usize {
        self.plain.plain().len()
    }
}

impl Said {
    fn packets(&self) -> Made {
        let head = EventHead::new(&self.namespace, MESSAGE);
        let frames = self.parser.event(&head, &argument(&self.plain)).expect("a text and bytes can be written");
        Made::new(publish::parts(&frames), ParcelOptions::default())
    }
}

fn argument(message: &Prepared) -> Value {
    let payload = message.payload();
    match message.kind() {
        // What became a text message was a `str`.
        Kind::Text => Value::String(String::from_utf8_lossy(&payload).into_owned()),
        Kind::Binary => Value::Binary(payload),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use switchboard_hub::Outbox;

    use super::*;
    use crate::engine::{V3, V4};
    use crate::{RecoverySettings, SocketIo, topic};

    fn payloads(parcel: &Parcel, form: Form) -> Vec<Vec<u8>> {
        parcel.frames(form).iter().map(|frame| frame.payload().to_vec()).collect()
    }

    /// What a member of the room is given, when it is one on a plain WebSocket or one of the engine's.
    fn shared(io: &SocketIo, message: Prepared) -> Parcel {
        let topic = topic(Name::root(), "lobby");
        io.of("/").share(&topic, message, |parcel| parcel)
    }

    #[test]
    fn sockets_hear_a_text_as_a_message() {
        let io = SocketIo::new();
        let parcel = shared(&io, Prepared::text("say \"hi\""));
        assert_eq!(payloads(&parcel, PLAIN), [b"say \"hi\""]);
        assert_eq!(payloads(&parcel, V4), [br#"42["message","say \"hi\""]"#]);
        let parcel = shared(&io, Prepared::binary(&[1, 2]));
        assert_eq!(payloads(&parcel, PLAIN), [[1, 2]]);
        let text = br#"451-["message",{"_placeholder":true,"num":0}]"#.to_vec();
        assert_eq!(payloads(&parcel, V4), [text.clone(), vec![1, 2]]);
        assert_eq!(payloads(&parcel, V3), [text, vec![4, 1, 2]]);
    }

    #[test]
    fn with_recovery_sockets_get_an_offset_and_plain_websockets_none() {
        let io = SocketIo::builder().connection_state_recovery(RecoverySettings::default()).build();
        let parcel = shared(&io, Prepared::text("hi"));
        assert_eq!(payloads(&parcel, PLAIN), [b"hi"]);
        let [event] = &payloads(&parcel, V4)[..] else { panic!("one packet") };
        assert!(event.starts_with(br#"42["message","hi",""#), "{event:?}");
    }

    /// Serialises, and counts how often.
    struct Counted<'a>(&'a AtomicUsize);

    impl serde::Serialize for Counted<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            serializer.serialize_str("once")
        }
    }

    #[test]
    fn an_event_is_serialised_once_whoever_hears_it() {
        for recovers in [false, true] {
            let form = |event: &crate::Name, args: &Args| Some(Prepared::text(&format!("{event} {:?}", args.values())));
            let mut builder = SocketIo::builder().plain_form(form);
            if recovers {
                builder = builder.connection_state_recovery(RecoverySettings::default());
            }
            let io = builder.build();
            let outbox = Arc::new(Outbox::new(switchboard_ws::OutboxLimits::default()));
            let member = io.hub().join(Arc::clone(&outbox));
            member.subscribe(&topic(Name::root(), "lobby")).expect("a short name");
            let count = AtomicUsize::new(0);
            let bytes = Value::Binary(vec![1, 2].into());
            io.to("lobby").emit("event", &(Counted(&count), bytes.clone())).expect("it serialises");
            assert_eq!(count.load(Ordering::Relaxed), 1, "with recovery: {recovers}");
            let Poll::Ready(Some(parcel)) = outbox.poll_pop(&mut Context::from_waker(Waker::noop())) else {
                panic!("nothing was heard");
            };
            let heard = format!("event {:?}", [Value::String("once".into()), bytes]);
            assert_eq!(payloads(&parcel, PLAIN), [heard.into_bytes()]);
        }
    }

    #[test]
    fn plain_websockets_hear_events_as_the_application_says() {
        let io = SocketIo::builder()
            .plain_form(|event, args| (event != "secret").then(|| Prepared::text(&format!("{event}: {}", args.len()))))
            .build();
        let outbox = Arc::new(Outbox::new(switchboard_ws::OutboxLimits::default()));
        let member = io.hub().join(Arc::clone(&outbox));
        member.subscribe(&topic(Name::root(), "lobby")).expect("a short name");
        for event in ["secret", "open"] {
            assert_eq!(io.to("lobby").emit(event, &(1, "two")).expect("it serialises").reached, 1);
        }
        let heard = [(); 2].map(|()| match outbox.poll_pop(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(parcel)) => payloads(&parcel, PLAIN),
            other => panic!("{other:?}"),
        });
        assert_eq!(heard, [vec![], vec![b"open: 2".to_vec()]]);
    }
}
