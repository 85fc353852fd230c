//! How long work tells whoever watches how far it has come, and learns that nobody does any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Hears: done, of how many (0 where that is not known), and on what.
pub type Progress = Arc<dyn Fn(u64, u64, &str) + Send + Sync>;

/// For work whose progress nobody watches.
#[must_use]
pub fn unwatched() -> Progress {
    Arc::new(|_, _, _| {})
}

/// Cancels work when it is dropped: the client went away, or time ran out.
#[derive(Debug, Default)]
pub struct CancelOnDrop(Arc<AtomicBool>);

impl CancelOnDrop {
    /// What the work looks at.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
