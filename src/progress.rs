//! How long work reports its progress, and notices that its client has gone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Receives the amount done, the total (0 where it is not known), and a description of the work.
pub type Progress = Arc<dyn Fn(u64, u64, &str) + Send + Sync>;

/// Ignores progress.
#[must_use]
pub fn unwatched() -> Progress {
    Arc::new(|_, _, _| {})
}

/// Cancels the work when it is dropped: the client went away, or time ran out.
#[derive(Debug, Default)]
pub struct CancelOnDrop(Arc<AtomicBool>);

impl CancelOnDrop {
    /// The flag that the work checks.
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
