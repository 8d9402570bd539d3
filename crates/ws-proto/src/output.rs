//! Bytes on their way to the peer: small frames gathered in one buffer, large payloads as slices of their own, all of
//! it ready for one gathered write.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::frame::{FrameHeader, MAX_HEADER};

/// Payloads from this length on are queued as they are; shorter ones are cheaper to copy beside their header than to
/// pass as a slice.
const SLICE_FROM: usize = 4096;

/// A queue of bytes. It allocates nothing while empty, and a cleared one keeps its buffer for the next turn: a driver
/// may use one `Output` for many connections as long as it is empty in between.
#[derive(Debug, Default)]
pub struct Output {
    /// All that was copied, in order.
    copied: Vec<u8>,
    /// So much of `copied` has been taken already.
    taken: usize,
    /// What lies between the copied bytes, in order.
    shared: VecDeque<Shared>,
    shared_len: usize,
}

#[derive(Debug)]
struct Shared {
    /// So much of `copied` comes before.
    at: usize,
    bytes: Bytes,
}

impl Output {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.copied.len() - self.taken + self.shared_len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that waits, when it lies in one piece: most of the time. For it a plain write does.
    #[must_use]
    #[inline]
    pub fn as_one_slice(&self) -> Option<&[u8]> {
        self.shared.is_empty().then(|| &self.copied[self.taken..])
    }

    /// Fills `slices` from the front of the queue and returns how many were filled: the argument of a vectored write.
    #[inline]
    pub fn slices<'o>(&'o self, slices: &mut [IoSlice<'o>]) -> usize {
        if self.shared.is_empty()
            && let [first, ..] = slices
        {
            // What nearly all writes are: one slice, or none.
            *first = IoSlice::new(&self.copied[self.taken..]);
            return usize::from(!first.is_empty());
        }
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(self.parts()) {
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Drops `count` bytes from the front: they were written.
    ///
    /// # Panics
    /// When fewer bytes wait.
    #[inline]
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len(), "advanced past the end of the output");
        if !self.shared.is_empty() {
            count = self.advance_shared(count);
        }
        self.taken += count;
        if self.taken == self.copied.len() && self.shared.is_empty() {
            self.copied.clear();
            self.taken = 0;
        } else if self.taken >= SLICE_FROM && self.taken >= self.copied.len() / 2 {
            // A peer that always lags a little never empties the buffer. Less is moved than was taken: each byte costs
            // one move at most.
            self.copied.drain(..self.taken);
            for shared in &mut self.shared {
                shared.at -= self.taken;
            }
            self.taken = 0;
        }
    }

    /// Moves all that waits to a queue whose buffer is no larger than that, and keeps its own buffer.
    #[must_use]
    pub fn take_fitting(&mut self) -> Self {
        let mut shared = std::mem::take(&mut self.shared);
        for shared in &mut shared {
            shared.at -= self.taken;
        }
        let copied = self.copied[self.taken..].to_vec();
        let fitting = Self { copied, taken: 0, shared, shared_len: self.shared_len };
        self.clear();
        fitting
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        self.shared.clear();
        self.shared_len = 0;
        self.copied.clear();
        self.taken = 0;
    }

    /// Bytes of memory that are held for what waits. What long payloads share with others counts in full.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.copied.capacity() + self.shared_len
    }

    /// The capacity of the buffer, for a driver that wants to give a swollen one back.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.copied.capacity()
    }

    /// All that waits, as one copy. For tests and for drivers without vectored writes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for part in self.parts() {
            all.extend_from_slice(part);
        }
        all
    }

    /// Appends a copy.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    /// Appends shared bytes: long ones without a copy.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SLICE_FROM {
            self.extend(&bytes);
            return;
        }
        self.shared_len += bytes.len();
        self.shared.push_back(Shared { at: self.copied.len(), bytes });
    }

    /// Appends what `share` makes a handle to: long bytes without a copy, short ones without the handle. That would
    /// cost each receiver of a message two steps of a counter that all of them share, and the first of them an
    /// allocation.
    #[inline]
    pub(crate) fn push_shared(&mut self, bytes: &[u8], share: impl FnOnce() -> Bytes) {
        if bytes.len() < SLICE_FROM { self.extend(bytes) } else { self.push(share()) }
    }

    /// Appends the header of a frame.
    #[inline]
    pub(crate) fn extend_header(&mut self, header: &FrameHeader) {
        let mut bytes = [0; MAX_HEADER];
        match *header.encode(&mut bytes) {
            // Two bytes of a known number are one instruction; a slice of any length is a call.
            [first, second] => self.copied.extend_from_slice(&[first, second]),
            ref longer => self.copied.extend_from_slice(longer),
        }
    }

    /// Appends a copy and hands it out for masking.
    #[inline]
    pub(crate) fn extend_mut(&mut self, bytes: &[u8]) -> &mut [u8] {
        let from = self.copied.len();
        self.copied.extend_from_slice(bytes);
        &mut self.copied[from..]
    }

    /// What waits, in order.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.taken;
        let before = self.shared.iter().flat_map(move |shared| {
            let copied = &self.copied[from..shared.at];
            from = shared.at;
            [copied, shared.bytes.as_ref()]
        });
        let behind = self.shared.back().map_or(self.taken, |shared| shared.at);
        before.chain([&self.copied[behind..]]).filter(|part| !part.is_empty())
    }

    /// Drops from the front until all shared bytes are gone or `count` is used up; returns what is left of it.
    fn advance_shared(&mut self, mut count: usize) -> usize {
        while let Some(Shared { at, bytes }) = self.shared.front_mut() {
            let copied = count.min(*at - self.taken);
            self.taken += copied;
            count -= copied;
            let shared = count.min(bytes.len());
            bytes::Buf::advance(bytes, shared);
            self.shared_len -= shared;
            count -= shared;
            if !bytes.is_empty() {
                return 0;
            }
            self.shared.pop_front();
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Extend(Vec<u8>),
        Push(Vec<u8>),
        Advance(prop::sample::Index),
        TakeFitting,
    }

    fn step() -> impl Strategy<Value = Step> {
        let small = || proptest::collection::vec(any::<u8>(), 0..50);
        let large = proptest::collection::vec(any::<u8>(), SLICE_FROM..SLICE_FROM + 50);
        prop_oneof![
            small().prop_map(Step::Extend),
            small().prop_map(Step::Push),
            large.prop_map(Step::Push),
            any::<prop::sample::Index>().prop_map(Step::Advance),
            Just(Step::TakeFitting),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(steps in proptest::collection::vec(step(), 0..20)) {
            let mut output = Output::new();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Step::Extend(bytes) => {
                        output.extend(&bytes);
                        model.extend(bytes);
                    }
                    Step::Push(bytes) => {
                        output.push(Bytes::from(bytes.clone()));
                        model.extend(bytes);
                    }
                    Step::Advance(count) => {
                        let count = count.index(model.len() + 1);
                        output.advance(count);
                        model.drain(..count);
                    }
                    Step::TakeFitting => {
                        let kept = output.capacity();
                        let fitting = output.take_fitting();
                        prop_assert_eq!((output.len(), output.capacity()), (0, kept));
                        prop_assert_eq!(fitting.memory(), fitting.len());
                        output = fitting;
                    }
                }
                prop_assert_eq!(output.len(), model.len());
                prop_assert_eq!(&output.to_vec(), &Vec::from(model.clone()));
                let mut slices = [IoSlice::new(&[]); 64];
                let filled = output.slices(&mut slices);
                let gathered: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
                prop_assert_eq!(gathered, Vec::from(model.clone()));
                prop_assert!(slices[..filled].iter().all(|slice| !slice.is_empty()));
            }
        }
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut output = Output::new();
        output.extend(&[1; 1000]);
        for _ in 0..10_000 {
            output.extend(&[2; 1000]);
            output.advance(1000);
        }
        assert_eq!(output.len(), 1000);
        assert!(output.capacity() < 64 << 10, "{}", output.capacity());
    }

    #[test]
    fn long_payloads_are_not_copied() {
        let payload = Bytes::from(vec![7; SLICE_FROM]);
        let mut output = Output::new();
        output.extend(b"head");
        output.push(payload.clone());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(output.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }
}
