//! `JanitorActor`: what needs doing from time to time. A bad round is logged and never kills the janitor.

use std::{future::Future, pin::Pin, sync::Arc};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};

use super::supervise::supervised;
use crate::{error::RegistryError, limits};

/// A round of work.
pub type Round = Pin<Box<dyn Future<Output = Result<(), RegistryError>>>>;

/// What there is to do; `registry/recovery.rs` does it.
pub trait Chores: Send + Sync {
    /// Ends what a killed process left unfinished, if there is anything and nobody is writing.
    fn tidy(&self) -> Round;

    /// Re-hashes every version and logs what is wrong.
    fn rehash(&self) -> Round;
}

/// Works on its own clock; nobody asks it anything.
pub struct JanitorActor {
    chores: Arc<dyn Chores>,
    rehashing: Arc<tokio::sync::Mutex<()>>,
}

impl JanitorActor {
    /// A janitor with these chores.
    #[must_use]
    pub fn new(chores: Arc<dyn Chores>) -> Self {
        Self { chores, rehashing: Arc::default() }
    }
}

impl Actor for JanitorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(limits::JANITOR_TIDY_ROUND, |_, ctx| ctx.notify(Tidy));
        ctx.run_interval(limits::JANITOR_REHASH_ROUND, |_, ctx| ctx.notify(Rehash));
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
                tracing::warn!(%error, code = error.kind().code(), "tidying failed; it is tried again");
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
            // A round that is not over when the next is due stands for both.
            let Ok(_alone) = rehashing.try_lock() else { return };
            if let Err(error) = chores.rehash().await {
                tracing::warn!(%error, "re-hashing failed; it is tried again on the next round");
            }
        })
    }
}
