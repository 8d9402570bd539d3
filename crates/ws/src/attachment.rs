//! Something that belongs to an endpoint and that its settings need not know: what stands above them is kept by them,
//! and they do not depend on it.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// One value of a type that its user knows, made when it is first asked for. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Attachment(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl Attachment {
    /// The value.
    ///
    /// # Panics
    /// When it was first asked for as something else.
    pub(crate) fn get<T: Default + Send + Sync + 'static>(&self) -> &T {
        let value = self.0.get_or_init(|| Box::new(T::default()));
        value.downcast_ref().expect("an attachment has one user, and one type")
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachment")
    }
}
