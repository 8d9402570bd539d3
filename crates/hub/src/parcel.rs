//! What the hub carries. The hub never looks inside; it only asks how heavy a parcel is.

/// Something that can be queued for a connection and cloned for each of its receivers.
///
/// A clone should cost about a reference count: a publish makes one clone per subscriber. `weight`, `clone` and `drop`
/// are never called under a lock of this crate, so they may call back into it.
pub trait Parcel: Clone + Send + 'static {
    /// The bytes that this parcel takes on the wire, about. Asked once per queue that the parcel is offered to.
    fn weight(&self) -> usize;

    /// Whether this is worth nothing to a peer that lags: for state that the next one supersedes. An
    /// [`Outbox::push`](crate::Outbox::push) throws such a parcel away while the outbox is
    /// [stalled](crate::Outbox::stall) or full, whatever its policy; it never makes another parcel or the connection go.
    /// Default: no. Not called under a lock either.
    fn is_volatile(&self) -> bool {
        false
    }
}
