//! Addresses that survive their actors.
//!
//! This module adds what the `actix` crate leaves to its users. A request to an actor at its capacity is answered
//! `OVERLOADED` and not queued. A request without an answer in time is answered `REGISTRY_UNAVAILABLE`. An actor that
//! panicked is replaced within a second. An actor that cannot be replaced, or that no longer answers, ends the
//! process, so that no part of it is left dead.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use actix::{
    Actor, Addr, Arbiter, ArbiterHandle, Context, Handler, MailboxError, Message, System,
    dev::ToEnvelope, prelude::Request,
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    error::{ErrorKind, RegistryError},
    limits, metrics,
};

/// An actor that can be supervised.
pub trait Supervised: Actor<Context = Context<Self>> + Handler<Heartbeat> {
    /// The actor's name in the log.
    const NAME: &'static str;
    /// The most requests that it may have at a time.
    const CAPACITY: usize = limits::ACTOR_CAPACITY;
}

/// Checks that an actor still handles messages.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heartbeat;

/// Answers [`Heartbeat`] for an actor.
macro_rules! supervised {
    ($actor:ty, $name:literal $(, capacity = $capacity:expr)?) => {
        impl $crate::actors::supervise::Supervised for $actor {
            const NAME: &'static str = $name;
            $(const CAPACITY: usize = $capacity;)?
        }

        impl actix::Handler<$crate::actors::supervise::Heartbeat> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::actors::supervise::Heartbeat, _: &mut Self::Context) {}
        }
    };
}
pub(crate) use supervised;

type Factory<A> = Arc<dyn Fn() -> A + Send + Sync>;

struct Slot<A: Actor> {
    address: RwLock<Addr<A>>,
    permits: Semaphore,
}

/// An address of an actor that stays valid when the actor is replaced.
pub struct Handle<A: Actor>(Arc<Slot<A>>);

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What the process cannot go on after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// An actor could not be replaced.
    #[error("the {actor} actor {what}")]
    Actor {
        /// The actor's name.
        actor: &'static str,
        /// The reason.
        what: &'static str,
    },
    /// The registry that was opened is not there any more.
    #[error("{0}")]
    Replaced(String),
}

/// Starts an actor on its own thread and supervises it. `fatal` receives the message that it is lost for good. This
/// must be called on the actix system's own thread, where the supervisor then runs.
pub fn start<A: Supervised>(
    factory: impl Fn() -> A + Send + Sync + 'static,
    fatal: mpsc::UnboundedSender<Fatal>,
) -> Handle<A> {
    let (handle, watching) = begin(factory, Arbiter::new().handle(), fatal);
    actix::spawn(watching);
    handle
}

fn begin<A: Supervised>(
    factory: impl Fn() -> A + Send + Sync + 'static,
    thread: ArbiterHandle,
    fatal: mpsc::UnboundedSender<Fatal>,
) -> (Handle<A>, impl Future<Output = ()> + Send) {
    let factory: Factory<A> = Arc::new(factory);
    let slot = Arc::new(Slot {
        address: RwLock::new(incarnate(&factory, &thread)),
        permits: Semaphore::new(A::CAPACITY),
    });
    let handle = Handle(slot);
    let watched = handle.clone();
    metrics::watch_actor(A::NAME, move || metrics::ActorLoad {
        requests: A::CAPACITY - watched.0.permits.available_permits(),
        capacity: A::CAPACITY,
    });
    let watching = watch(handle.clone(), factory, thread, fatal);
    (handle, watching)
}

/// Starts an actor on the calling thread, which must be an arbiter's, and supervises it from the system's own thread.
/// A message to it from this thread wakes no other one. It is not replaced once the thread has ended.
pub fn start_here<A: Supervised>(
    factory: impl Fn() -> A + Send + Sync + 'static,
    fatal: mpsc::UnboundedSender<Fatal>,
) -> Handle<A> {
    let (handle, watching) = begin(factory, Arbiter::current(), fatal);
    // It fails only where the system is stopping.
    System::current().arbiter().spawn(watching);
    handle
}

fn incarnate<A: Supervised>(factory: &Factory<A>, thread: &ArbiterHandle) -> Addr<A> {
    let factory = factory.clone();
    A::start_in_arbiter(thread, move |ctx| {
        // One more than the permits, so that the heartbeat never competes with requests.
        ctx.set_mailbox_capacity(A::CAPACITY + 1);
        factory()
    })
}

async fn watch<A: Supervised>(
    handle: Handle<A>,
    factory: Factory<A>,
    thread: ArbiterHandle,
    fatal: mpsc::UnboundedSender<Fatal>,
) {
    let mut deaths: Vec<Instant> = Vec::new();
    let lost = |what| {
        tracing::error!(actor = A::NAME, what, "an actor is lost for good");
        // The receiver is gone only when the process is already stopping.
        drop(fatal.send(Fatal::Actor { actor: A::NAME, what }));
    };
    loop {
        tokio::time::sleep(limits::SUPERVISOR_ROUND).await;
        let address = handle.address();
        let beat = tokio::time::timeout(limits::ACTOR_TIMEOUT, address.send(Heartbeat)).await;
        match beat {
            Ok(Ok(())) => {}
            Err(_) | Ok(Err(MailboxError::Timeout)) => {
                return lost("no longer answers");
            }
            // A stopped worker takes its actors with it.
            Ok(Err(MailboxError::Closed)) if !thread.alive() => return,
            Ok(Err(MailboxError::Closed)) => {
                deaths.retain(|death| death.elapsed() < limits::RESTART_WINDOW);
                deaths.push(Instant::now());
                if deaths.len() > limits::MAX_RESTARTS {
                    return lost("dies repeatedly");
                }
                tracing::error!(actor = A::NAME, "an actor died and will be replaced");
                metrics::actor_died(A::NAME);
                handle.replace(incarnate(&factory, &thread));
            }
        }
    }
}

impl<A: Actor> Handle<A> {
    fn address(&self) -> Addr<A> {
        self.0.address.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends through the address itself: a clone of it costs more than the message.
    fn send<M>(&self, message: M) -> Request<A, M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.0.address.read().unwrap_or_else(PoisonError::into_inner).send(message)
    }

    fn replace(&self, address: Addr<A>) {
        *self.0.address.write().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Sends a message and waits for the answer, within [`limits::ACTOR_TIMEOUT`].
    ///
    /// # Errors
    /// The answer's own error; `OVERLOADED` where the actor is at its capacity; `REGISTRY_UNAVAILABLE` where it does
    /// not answer in time or has died.
    pub async fn ask<M, T>(&self, message: M) -> Result<T, RegistryError>
    where
        M: Message<Result = Result<T, RegistryError>> + Send + 'static,
        T: Send + 'static,
        A: Supervised + Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.ask_within(limits::ACTOR_TIMEOUT, message).await
    }

    /// As [`Self::ask`], with another timeout.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_within<M, T>(&self, time: Duration, message: M) -> Result<T, RegistryError>
    where
        M: Message<Result = Result<T, RegistryError>> + Send + 'static,
        T: Send + 'static,
        A: Supervised + Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let Ok(_permit) = self.0.permits.try_acquire() else { return Err(overloaded::<A>()) };
        match tokio::time::timeout(time, self.send(message)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(MailboxError::Closed)) => Err(unavailable::<A>("died")),
            Ok(Err(MailboxError::Timeout)) | Err(_) => Err(unavailable::<A>("timed out")),
        }
    }

    /// As [`Self::ask`], for an actor on the calling thread that limits the time of its answers itself: a timer costs
    /// more than such an answer.
    ///
    /// # Errors
    /// The answer's own error; `OVERLOADED` and `REGISTRY_UNAVAILABLE` as [`Self::ask`].
    pub async fn ask_here<M, T>(&self, message: M) -> Result<T, RegistryError>
    where
        M: Message<Result = Result<T, RegistryError>> + Send + 'static,
        T: Send + 'static,
        A: Supervised + Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let Ok(_permit) = self.0.permits.try_acquire() else { return Err(overloaded::<A>()) };
        let answer = self.send(message).await;
        answer.unwrap_or_else(|_| Err(unavailable::<A>("died")))
    }
}

fn overloaded<A: Supervised>() -> RegistryError {
    RegistryError::new(
        ErrorKind::Overloaded,
        "The registry has too many requests; try again in a moment",
    )
    .because(format!("{} is at its capacity of {}", A::NAME, A::CAPACITY))
}

fn unavailable<A: Supervised>(cause: &str) -> RegistryError {
    RegistryError::unavailable(
        "The registry did not answer in time; try again in a moment",
        format!("{} {cause}", A::NAME),
    )
    .left_in_doubt()
}

#[cfg(test)]
mod tests {
    use actix::ResponseFuture;

    use super::*;

    /// An actor that does what a test asks for.
    struct Subject {
        generation: usize,
    }

    impl Actor for Subject {
        type Context = Context<Self>;
    }

    supervised!(Subject, "subject", capacity = 2);

    #[derive(Clone, Copy)]
    enum Do {
        Answer,
        Panic,
        Sleep(Duration),
        BlockItsThread(Duration),
    }

    impl Message for Do {
        type Result = Result<usize, RegistryError>;
    }

    impl Handler<Do> for Subject {
        type Result = ResponseFuture<Result<usize, RegistryError>>;

        fn handle(&mut self, what: Do, _: &mut Self::Context) -> Self::Result {
            let generation = self.generation;
            match what {
                Do::Panic => panic!("asked to"),
                Do::BlockItsThread(time) => std::thread::sleep(time),
                Do::Answer | Do::Sleep(_) => {}
            }
            Box::pin(async move {
                if let Do::Sleep(time) = what {
                    tokio::time::sleep(time).await;
                }
                Ok(generation)
            })
        }
    }

    fn subject() -> (Handle<Subject>, mpsc::UnboundedReceiver<Fatal>) {
        let (fatal, lost) = mpsc::unbounded_channel();
        let count = std::sync::atomic::AtomicUsize::new(0);
        let factory =
            move || Subject { generation: count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) };
        (start(factory, fatal), lost)
    }

    fn kind<T>(answer: Result<T, RegistryError>) -> Option<ErrorKind> {
        answer.err().map(|error| error.kind())
    }

    #[actix::test]
    async fn a_full_actor_answers_overloaded_and_recovers() {
        let (subject, _lost) = subject();
        let slow = Do::Sleep(Duration::from_millis(300));
        let (first, second, third) = tokio::join!(subject.ask(slow), subject.ask(slow), async {
            subject.ask(Do::Answer).await
        });
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(kind(third), Some(ErrorKind::Overloaded));
        assert!(subject.ask(Do::Answer).await.is_ok());
    }

    #[actix::test]
    async fn no_answer_in_time_is_unavailable() {
        let (subject, _lost) = subject();
        let slow = Do::Sleep(Duration::from_secs(60));
        let answer = subject.ask_within(Duration::from_millis(50), slow).await;
        assert_eq!(kind(answer), Some(ErrorKind::RegistryUnavailable));
    }

    #[actix::test]
    async fn a_dead_actor_is_replaced_within_a_second() {
        let (subject, _lost) = subject();
        assert_eq!(subject.ask(Do::Answer).await, Ok(0));
        assert_eq!(kind(subject.ask(Do::Panic).await), Some(ErrorKind::RegistryUnavailable));
        let died = Instant::now();
        while subject.ask(Do::Answer).await != Ok(1) {
            assert!(died.elapsed() < Duration::from_secs(1), "not replaced");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[actix::test]
    async fn an_actor_that_keeps_dying_is_fatal() {
        let (subject, mut lost) = subject();
        let killer = actix::spawn(async move {
            loop {
                drop(subject.ask(Do::Panic).await);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let fatal = tokio::time::timeout(Duration::from_secs(20), lost.recv()).await;
        killer.abort();
        let expected = Fatal::Actor { actor: "subject", what: "dies repeatedly" };
        assert_eq!(fatal.ok().flatten(), Some(expected));
    }

    #[actix::test]
    async fn an_actor_whose_thread_hangs_is_fatal() {
        let (subject, mut lost) = subject();
        let hang = Do::BlockItsThread(limits::ACTOR_TIMEOUT + Duration::from_secs(5));
        drop(subject.ask_within(Duration::from_millis(50), hang).await);
        let fatal = tokio::time::timeout(Duration::from_secs(20), lost.recv()).await;
        let expected = Fatal::Actor { actor: "subject", what: "no longer answers" };
        assert_eq!(fatal.ok().flatten(), Some(expected));
    }
}
