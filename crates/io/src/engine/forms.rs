//! Messages as they look on each kind of connection, each kind made once for however many recipients, and only if one
//! of them is of that kind.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use switchboard_io_proto::engine::{Encoding, PacketType, Protocol};
use switchboard_ws::{Budget, BudgetCharge, BudgetHold, BudgetPart, CloseCode, Form, Forms, Message, Parcel, Prepared};

/// A plain WebSocket, which is none of the engine's.
pub const PLAIN: Form = Form(0);
/// Engine.IO 4 on a WebSocket: text is a finished packet, bytes are a message without a type. Polling makes its
/// payloads of this form as well.
pub const V4: Form = Form(1);
/// Engine.IO 3 on a WebSocket: bytes have the type of a message (4) before them. Polling makes its payloads of this.
pub const V3: Form = Form(2);
/// Engine.IO 4 on a WebSocket that takes no bytes: `b` and base64 in place of them.
pub const B64: Form = Form(3);

/// How a parcel is treated on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParcelOptions {
    /// A client that lags does without it. Default: no.
    pub volatile: bool,
    /// It may be compressed where compression was agreed on. Default: yes.
    pub compress: bool,
}

impl Default for ParcelOptions {
    fn default() -> Self {
        Self { volatile: false, compress: true }
    }
}

/// A parcel of engine packets that belong together: nothing comes between them. Texts are finished packets, whose first
/// character is the `4` of a message; bytes are the message itself.
///
/// Encoded on first need for each kind of connection, and once however many get it. On plain WebSockets
/// (see [`PLAIN`]) it is nothing; see [`parcel_with_plain`].
#[must_use]
pub fn parcel(parts: impl Into<Box<[Message]>>, options: ParcelOptions) -> Parcel {
    Parcel::from(Arc::new(Made::new(parts.into(), options)) as Arc<dyn Forms>)
}

/// A [`parcel`] that plain WebSockets hear as well, as `plain` says: asked when the first of them is to get it, and not
/// again. `None`: it is not for them.
#[must_use]
pub fn parcel_with_plain(
    parts: impl Into<Box<[Message]>>,
    options: ParcelOptions,
    plain: impl Fn() -> Option<Prepared> + Send + Sync + 'static,
) -> Parcel {
    let plain = Plain { tell: Box::new(plain), budget: OnceLock::new(), made: OnceLock::new() };
    let plain = Some(Box::new(plain));
    Parcel::from(Arc::new(Made { plain, ..Made::new(parts.into(), options) }) as Arc<dyn Forms>)
}

/// How parcels look on a WebSocket with this encoding. A client of v3 gets bytes even if it asks for base64: it is able
/// to read them wherever it is able to open a WebSocket, and no fourth form has to be made by everyone who makes his
/// own.
pub(crate) fn form(encoding: Encoding) -> Form {
    match encoding {
        Encoding { protocol: Protocol::V3, .. } => V3,
        Encoding { b64: true, .. } => B64,
        Encoding { b64: false, .. } => V4,
    }
}

/// Of which form polling makes its payloads.
pub(crate) fn polling_form(protocol: Protocol) -> Form {
    match protocol {
        Protocol::V3 => V3,
        Protocol::V4 => V4,
    }
}

/// The end of a session on its WebSocket.
pub(crate) fn close() -> Parcel {
    // Without a code, as Node's.
    Parcel::close(CloseCode::NO_STATUS, "").expect("a code that may be sent")
}

/// The packets of a parcel, and what has been made of them.
#[derive(Debug)]
pub(crate) struct Made {
    parts: Box<[Message]>,
    options: ParcelOptions,
    forms: [OnceLock<Box<[Prepared]>>; 3],
    /// How plain WebSockets hear it, if they do.
    plain: Option<Box<Plain>>,
    charge: BudgetCharge,
}

struct Plain {
    tell: Box<dyn Fn() -> Option<Prepared> + Send + Sync>,
    /// Where the parcel counts. What it looks like here may be much longer than its packets.
    budget: OnceLock<Budget>,
    made: OnceLock<Option<(Prepared, BudgetHold)>>,
}

impl Plain {
    /// `None` also where there is no memory for it.
    fn frame(&self) -> Option<&Prepared> {
        let made = self.made.get_or_init(|| {
            let frame = (self.tell)()?;
            let mut hold = self.budget.get().cloned().unwrap_or_default().hold(BudgetPart::Queued);
            hold.try_set(frame.plain().len()).ok()?;
            Some((frame, hold))
        });
        made.as_ref().map(|(frame, _)| frame)
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.made.fmt(f)
    }
}

impl Made {
    pub(crate) fn new(parts: Box<[Message]>, options: ParcelOptions) -> Self {
        Self { parts, options, forms: Default::default(), plain: None, charge: BudgetCharge::default() }
    }
}

impl Forms for Made {
    fn frames(&self, form: Form) -> &[Prepared] {
        if form == PLAIN {
            return self.plain.as_ref().and_then(|plain| plain.frame()).map_or(&[], std::slice::from_ref);
        }
        let Some(place) = form.0.checked_sub(1).map(usize::from).filter(|place| *place < self.forms.len()) else {
            return &[];
        };
        self.forms[place].get_or_init(|| self.parts.iter().map(|part| prepare(part, form)).collect())
    }

    fn weight(&self) -> usize {
        self.parts.iter().map(Message::len).sum()
    }

    fn is_volatile(&self) -> bool {
        self.options.volatile
    }

    /// The parts, and one form of them: that of most connections.
    fn count(&self, budget: &Budget) -> bool {
        if let Some(plain) = &self.plain {
            plain.budget.get_or_init(|| budget.clone());
        }
        self.charge.count(budget, || 2 * self.weight())
    }

    fn is_compressed(&self) -> bool {
        self.options.compress
    }
}

fn prepare(part: &Message, form: Form) -> Prepared {
    let Message::Binary(bytes) = part else { return Prepared::from(part) };
    match form {
        V3 => Prepared::binary(&[&[PacketType::Message as u8], &bytes[..]].concat()),
        B64 => Prepared::text(&format!("b{}", STANDARD.encode(bytes))),
        _ => Prepared::from(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_connection_has_its_own_form() {
        let parts = [Message::from("451-[{}]"), Message::from(vec![1, 2, 3])];
        let parcel = parcel(parts, ParcelOptions { volatile: true, compress: false });
        let seen =
            |form| -> Vec<Vec<u8>> { parcel.frames(form).iter().map(|frame| frame.payload().to_vec()).collect() };
        let text = b"451-[{}]".to_vec();
        assert_eq!(seen(V4), [text.clone(), vec![1, 2, 3]]);
        assert_eq!(seen(V3), [text.clone(), vec![4, 1, 2, 3]]);
        assert_eq!(seen(B64), [text, b"bAQID".to_vec()]);
        assert!(seen(PLAIN).is_empty() && seen(Form(9)).is_empty());
        assert!(parcel.is_volatile());
    }

    #[test]
    fn plain_websockets_are_asked_about_once() {
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let asking = Arc::clone(&asked);
        let tell = move || {
            asking.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Some(Prepared::text("hello"))
        };
        let parcel = parcel_with_plain([Message::from("42[\"message\",\"hello\"]")], ParcelOptions::default(), tell);
        assert_eq!(parcel.frames(V4).len(), 1);
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0, "nobody plain is there");
        for _ in 0..2 {
            assert_eq!(parcel.frames(PLAIN)[0].payload(), "hello");
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(parcel_with_plain([Message::from("4")], ParcelOptions::default(), || None).frames(PLAIN).is_empty());
    }
}
