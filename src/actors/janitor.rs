//! `JanitorActor`: periodic maintenance. A failed round is logged and does not stop the janitor.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};

use super::supervise::supervised;
use crate::{error::RegistryError, limits};

/// A round of maintenance.
pub type Round = Pin<Box<dyn Future<Output = Result<(), RegistryError>>>>;

/// The periodic jobs, which `registry/recovery.rs` implements.
pub trait Chores: Send + Sync {
    /// Finishes what a killed process left unfinished, if no writer is active.
    fn tidy(&self) -> Round;

    /// Re-hashes every version and logs every fault.
    fn rehash(&self) -> Round;

    /// Looks again at the versions that are known or thought to be damaged.
    fn look_again(&self) -> Round;

    /// Counts and logs what other processes changed.
    fn observe(&self) -> Round;
}

/// Works on its own schedule; it takes no messages.
pub struct JanitorActor {
    chores: Arc<dyn Chores>,
    rehashing: Arc<tokio::sync::Mutex<()>>,
    /// Whether the last attempt to follow the log failed. A catalog that is away would otherwise be logged every second.
    blind: Arc<AtomicBool>,
}

impl JanitorActor {
    /// A janitor with these jobs.
    #[must_use]
    pub fn new(chores: Arc<dyn Chores>) -> Self {
        Self { chores, rehashing: Arc::default(), blind: Arc::default() }
    }
}

impl Actor for JanitorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(limits::JANITOR_TIDY_ROUND, |_, ctx| ctx.notify(Tidy));
        // A service that is restarted often also gets a round.
        ctx.run_later(limits::JANITOR_FIRST_REHASH, |_, ctx| ctx.notify(Rehash));
        ctx.run_interval(limits::JANITOR_REHASH_ROUND, |_, ctx| ctx.notify(Rehash));
        ctx.run_interval(limits::JANITOR_LOOK_ROUND, |_, ctx| ctx.notify(LookAgain));
        ctx.notify(Observe);
        ctx.run_interval(limits::OBSERVER_ROUND, |_, ctx| ctx.notify(Observe));
    }
}

supervised!(JanitorActor, "janitor");

#[derive(Message)]
#[rtype(result = "()")]
struct Tidy;

impl Handler<Tidy> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Tidy, _: &mut Self::Context) -> Self::Result {
        let round = self.chores.tidy();
        Box::pin(async move {
            if let Err(error) = round.await {
                tracing::warn!(%error, code = error.kind().code(), "recovery failed; it will be tried again");
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Rehash;

impl Handler<Rehash> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Rehash, _: &mut Self::Context) -> Self::Result {
        let (chores, rehashing) = (self.chores.clone(), self.rehashing.clone());
        Box::pin(async move {
            // A round that is still running when the next one is due replaces it.
            let Ok(_alone) = rehashing.try_lock() else { return };
            if let Err(error) = chores.rehash().await {
                tracing::warn!(%error, "re-hashing failed; it will be tried again in the next round");
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct LookAgain;

impl Handler<LookAgain> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: LookAgain, _: &mut Self::Context) -> Self::Result {
        let round = self.chores.look_again();
        Box::pin(async move {
            if let Err(error) = round.await {
                tracing::warn!(%error, "damaged versions could not be looked at; it will be tried again");
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Observe;

impl Handler<Observe> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let (round, blind) = (self.chores.observe(), self.blind.clone());
        Box::pin(async move {
            match round.await {
                Ok(()) if blind.swap(false, Ordering::Relaxed) => {
                    tracing::info!("following the log again")
                }
                Ok(()) => {}
                Err(error) if blind.swap(true, Ordering::Relaxed) => {
                    tracing::debug!(%error, "the log still cannot be followed");
                }
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be followed; it is tried again every second");
                }
            }
        })
    }
}
