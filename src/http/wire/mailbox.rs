//! What a connection and the service that answers on it tell each other: when a request is taken, how much body
//! follows it, and how long the answer is.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use actix_http::{HttpMessage as _, Method, Request, Response};
use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody as _},
    dev::{Service, ServiceResponse},
    http::{ConnectionType, header},
};

/// How much of what follows a request's head belongs to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// So many bytes.
    Bytes(u64),
    /// What is chunked. The connection ends with the answer, so that nobody can disagree on where the next
    /// request would begin.
    Chunked,
    /// All that comes, for another protocol, which is not spoken here. The connection ends with the answer.
    Everything,
}

/// One connection's state, shared by both ends of the framework.
#[derive(Debug, Default)]
pub struct ConnectionMailbox {
    taken: Cell<Option<Following>>,
    working: Cell<bool>,
    answer: Cell<Option<AnswerLength>>,
    reader: RefCell<Option<Waker>>,
    client_gone: Cell<bool>,
    leaver: RefCell<Option<Waker>>,
}

/// An answer that the framework is about to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLength {
    /// How many bytes follow its head; `None` where only the connection's end tells.
    pub body: Option<u64>,
}

impl ConnectionMailbox {
    /// What follows the request that the service took since this was last asked.
    pub fn take_request(&self) -> Option<Following> {
        self.taken.take()
    }

    /// The answer that will be written next, where the service gave one.
    pub fn take_answer(&self) -> Option<AnswerLength> {
        self.answer.take()
    }

    /// Whether the service has a request or an answer of which nothing is written.
    pub fn is_busy(&self) -> bool {
        self.working.get() || self.answer.get().is_some()
    }

    /// Who is to be woken when there may be something to read.
    pub fn remember_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }

    /// The client closed the connection, or its own half of it.
    pub fn hang_up(&self) {
        self.client_gone.set(true);
        if let Some(waiting) = self.leaver.borrow_mut().take() {
            waiting.wake();
        }
    }

    /// Waits for the client to go away, for work that is too long to be done for nobody.
    pub async fn client_gone(&self) {
        poll_fn(|cx| {
            if self.client_gone.get() {
                return Poll::Ready(());
            }
            *self.leaver.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Wakes it.
    pub fn wake_reader(&self) {
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }
}

fn following(request: &Request) -> Following {
    let headers = request.headers();
    let other_protocol =
        request.method() == Method::CONNECT || headers.contains_key(header::UPGRADE);
    if other_protocol {
        return Following::Everything;
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Following::Chunked;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    Following::Bytes(length.and_then(|length| length.trim().parse().ok()).unwrap_or(0))
}

/// Answers a request, and tells the connection of both.
///
/// # Errors
/// Those of the service.
pub fn serve<S>(
    request: Request,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, HttpResponse>> + use<S>
where
    S: Service<Request, Response = ServiceResponse, Error = HttpResponse>,
{
    let mailbox = request.conn_data::<Rc<ConnectionMailbox>>().cloned().unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    let following = following(&request);
    mailbox.taken.set(Some(following));
    mailbox.working.set(true);
    if following != Following::Bytes(0) {
        mailbox.wake_reader();
    }
    let answer = service.call(request);
    async move {
        let mut result = answer.await;
        let response = match &mut result {
            Ok(response) => response.response_mut(),
            Err(response) => response,
        };
        if !matches!(following, Following::Bytes(_)) {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let body = match response.body().size() {
            _ if is_head => Some(0),
            BodySize::None => Some(0),
            BodySize::Sized(size) => Some(size),
            BodySize::Stream => None,
        };
        mailbox.working.set(false);
        mailbox.answer.set(Some(AnswerLength { body }));
        result
    }
}

/// Whether a client that asks first (`Expect: 100-continue`) may send its body. What is refused here is an answer
/// without a body, to which the connection adds the one of errors.
///
/// # Errors
/// 413 where the body would be too large.
pub fn check_expectation(
    request: Request,
    largest_body: u64,
) -> Result<Request, Response<BoxBody>> {
    match following(&request) {
        Following::Bytes(length) if length > largest_body => {
            Err(Response::new(actix_http::StatusCode::PAYLOAD_TOO_LARGE))
        }
        _ => Ok(request),
    }
}
