//! Whether the service is stopping, and which requests are still in progress.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};
use tokio::sync::watch;

/// The state that the server, its requests and the one who stops it share.
#[derive(Clone)]
pub struct Lifecycle(Arc<Inner>);

struct Inner {
    stopping: AtomicBool,
    out_of_time: watch::Sender<bool>,
    in_flight: AtomicUsize,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self(Arc::new(Inner {
            stopping: AtomicBool::new(false),
            out_of_time: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
        }))
    }
}

impl Lifecycle {
    /// Begins to stop: `/ready` answers 503, and each answer closes its connection, so that gateways go elsewhere.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the service is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// Ends the time for requests in progress: those without an answer are refused.
    pub fn run_out_of_time(&self) {
        self.0.out_of_time.send_replace(true);
    }

    /// Waits until the time for requests in progress is over.
    pub async fn out_of_time(&self) {
        let mut told = self.0.out_of_time.subscribe();
        if told.wait_for(|told| *told).await.is_err() {
            // The sender is in `self`: it cannot be gone.
            std::future::pending::<()>().await;
        }
    }

    /// How many requests are in progress, until the last byte of their answers is sent.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Counts a request until the returned value is dropped.
    #[must_use]
    pub fn begin_request(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(self.clone())
    }
}

/// A request in progress.
pub struct InFlight(Lifecycle);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl InFlight {
    /// Counts the request until this body is sent or dropped.
    #[must_use]
    pub fn until_sent(self, body: BoxBody) -> BoxBody {
        BoxBody::new(CountedBody { body, _in_flight: self })
    }
}

/// A body whose request is in progress until it is sent.
struct CountedBody {
    body: BoxBody,
    _in_flight: InFlight,
}

impl MessageBody for CountedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        // A body that is in memory as a whole needs no counting.
        let Self { body, _in_flight } = self;
        body.try_into_bytes().map_err(|body| Self { body, _in_flight })
    }
}
