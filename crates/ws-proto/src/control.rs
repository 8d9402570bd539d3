//! The payloads of control frames that have to be kept: of one that a read cut, and of the ping that is not answered
//! yet.

use crate::frame::MAX_CONTROL;

/// At most 125 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    len: u8,
    bytes: [u8; MAX_CONTROL],
}

impl Payload {
    const EMPTY: Self = Self { len: 0, bytes: [0; MAX_CONTROL] };

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    /// Appends; the frame's header was checked, so there is room.
    fn extend(&mut self, data: &[u8]) {
        let from = usize::from(self.len);
        self.bytes[from..from + data.len()].copy_from_slice(data);
        self.len += u8::try_from(data.len()).unwrap_or(0);
    }
}

/// Nothing but a pointer while there is nothing to keep.
#[derive(Debug, Default)]
pub(crate) struct Control(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The first part of a frame, or nothing.
    cut: Payload,
    pong: Option<Payload>,
}

impl Control {
    /// A part of a frame that is not whole yet.
    pub(crate) fn keep(&mut self, part: &[u8]) {
        self.kept().cut.extend(part);
    }

    /// The last part of a frame of which others were [kept](Self::keep), perhaps: the whole payload.
    pub(crate) fn complete(&mut self, last: &[u8]) -> Payload {
        let mut whole = match &mut self.0 {
            Some(kept) => std::mem::replace(&mut kept.cut, Payload::EMPTY),
            None => Payload::EMPTY,
        };
        self.release();
        whole.extend(last);
        whole
    }

    /// A ping came. "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous
    /// Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame" (RFC
    /// 6455 §5.5.3): a flood of pings costs one pong.
    pub(crate) fn owe_pong(&mut self, payload: &[u8]) {
        let pong = self.kept().pong.insert(Payload::EMPTY);
        pong.extend(payload);
    }

    #[inline]
    pub(crate) fn owes_pong(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.pong.is_some())
    }

    /// The pong to send now, if one is owed.
    pub(crate) fn take_pong(&mut self) -> Option<Payload> {
        let pong = self.0.as_mut()?.pong.take();
        self.release();
        pong
    }

    /// Forgets the part of a frame: the connection failed.
    pub(crate) fn abandon_cut(&mut self) {
        if let Some(kept) = &mut self.0 {
            kept.cut = Payload::EMPTY;
        }
        self.release();
    }

    fn kept(&mut self) -> &mut Kept {
        self.0.get_or_insert_with(|| Box::new(Kept { cut: Payload::EMPTY, pong: None }))
    }

    fn release(&mut self) {
        if self.0.as_ref().is_some_and(|kept| kept.cut.len == 0 && kept.pong.is_none()) {
            self.0 = None;
        }
    }
}
