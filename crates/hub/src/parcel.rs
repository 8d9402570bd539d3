//! What the hub carries. The hub never looks inside; it only asks how heavy a parcel is.

use switchboard_budget::Budget;

/// Something that can be queued for a connection and cloned for each of its receivers.
///
/// A clone should cost about a reference count: a publish makes one clone per subscriber. `weight`, `clone` and `drop`
/// are never called under a lock of this crate, so they may call back into it.
pub trait Parcel: Clone + Send + 'static {
    /// The bytes that this parcel takes on the wire, about. Asked once per queue that the parcel is offered to.
    fn weight(&self) -> usize;

    /// Whether this is worth nothing to a peer that lags: for state that the next one supersedes. An
    /// [`Outbox::push`](crate::Outbox::push) throws such a parcel away while the outbox is
    /// [stalled](crate::Outbox::stall) or full, whatever its policy; it never makes another parcel or the connection
    /// go. Default: no. Not called under a lock either.
    fn is_volatile(&self) -> bool {
        false
    }

    /// Counts itself in a budget, once for all of its clones and for as long as one of them lives: for what clones
    /// share. `false`, as by default: whoever queues it is to count its weight. Not called under a lock either.
    fn count(&self, budget: &Budget) -> bool {
        let _ = budget;
        false
    }
}

/// What a queued parcel takes of its queue's bounds and of a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighed {
    pub(crate) weight: usize,
    /// What the queue is to count for it. Nothing without a budget.
    pub(crate) held: usize,
}

impl Weighed {
    /// `place`: bytes that its place in the queue takes.
    pub(crate) fn new<P: Parcel>(parcel: &P, place: usize, budget: &Budget) -> Self {
        Self::with_weight(parcel, parcel.weight(), place, budget)
    }

    /// For one whose weight was asked for before.
    pub(crate) fn with_weight<P: Parcel>(parcel: &P, weight: usize, place: usize, budget: &Budget) -> Self {
        let held = match budget.is_limited() {
            false => 0,
            true if parcel.count(budget) => place,
            true => place + weight,
        };
        Self { weight, held }
    }
}

/// A parcel whose own code has been asked all that there is to ask: it can be queued under any lock.
pub(crate) struct Offered<P> {
    pub(crate) parcel: P,
    pub(crate) weighed: Weighed,
    pub(crate) volatile: bool,
}

impl<P: Parcel> Offered<P> {
    /// `place`: bytes that its place in the queue takes.
    pub(crate) fn new(parcel: P, place: usize, budget: &Budget) -> Self {
        Self { weighed: Weighed::new(&parcel, place, budget), volatile: parcel.is_volatile(), parcel }
    }
}
