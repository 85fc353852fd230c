//! Where the service stands between its start and its end, as its requests see it.

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

/// What the server, its requests and whoever stops it share.
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
    /// From now on `/ready` says no, and each answer is the last on its connection, so that gateways move on.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the service is about to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// From now on requests that are still without an answer get a refusal.
    pub fn run_out_of_time(&self) {
        self.0.out_of_time.send_replace(true);
    }

    /// Waits for the moment from which on nothing is waited for.
    pub async fn out_of_time(&self) {
        let mut told = self.0.out_of_time.subscribe();
        if told.wait_for(|told| *told).await.is_err() {
            // The sender is in `self`: it cannot be gone.
            std::future::pending::<()>().await;
        }
    }

    /// How many requests are being answered, bodies included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Counts a request until what is returned is dropped.
    #[must_use]
    pub fn begin_request(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(self.clone())
    }
}

/// A request that is being answered.
pub struct InFlight(Lifecycle);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl InFlight {
    /// Counts the request until this body is sent, or given up.
    #[must_use]
    pub fn until_sent(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Counted { body, _in_flight: self })
    }
}

struct Counted {
    body: BoxBody,
    _in_flight: InFlight,
}

impl MessageBody for Counted {
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
        // A body that is here as a whole needs no watching.
        let Self { body, _in_flight } = self;
        body.try_into_bytes().map_err(|body| Self { body, _in_flight })
    }
}
