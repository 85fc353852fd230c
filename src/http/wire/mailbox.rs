//! What a connection and the service that answers on it tell each other: that a request was received, how long its
//! body is, and how long the answer is. The framework stands between the two and passes none of this on.

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

/// What follows the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// A body of this many bytes.
    Bytes(u64),
    /// A chunked body. The connection ends with the answer, so that a gateway and this service cannot disagree on where
    /// the next request begins.
    Chunked,
    /// Bytes of another protocol, which this service does not speak. The connection ends with the answer.
    Everything,
}

/// The state that a connection shares with the service.
#[derive(Debug, Default)]
pub struct ConnectionMailbox {
    taken: Cell<Option<Following>>,
    working: Cell<bool>,
    answer: Cell<Option<AnswerLength>>,
    reader: RefCell<Option<Waker>>,
    client_gone: Cell<bool>,
    leaver: RefCell<Option<Waker>>,
}

/// The length of an answer that the framework is about to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLength {
    /// How many bytes follow its head; `None` where the end of the connection ends it.
    pub body: Option<u64>,
}

impl ConnectionMailbox {
    /// What follows the request that the service has received since the last call.
    pub fn take_request(&self) -> Option<Following> {
        self.taken.take()
    }

    /// The same, which the next call of [`Self::take_request`] still gives.
    pub fn received_request(&self) -> Option<Following> {
        self.taken.get()
    }

    /// The length of the answer that is written next; `None` where the service gave none.
    pub fn take_answer(&self) -> Option<AnswerLength> {
        self.answer.take()
    }

    /// Whether the service works on a request, or has an answer of which nothing is written yet.
    pub fn is_busy(&self) -> bool {
        self.working.get() || self.answer.get().is_some()
    }

    /// Sets the task that [`Self::wake_reader`] wakes.
    pub fn remember_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }

    /// Tells that the client has closed the connection, or its sending side.
    pub fn hang_up(&self) {
        self.client_gone.set(true);
        if let Some(waiting) = self.leaver.borrow_mut().take() {
            waiting.wake();
        }
    }

    /// Waits until the client has gone, so that long work for it can be ended.
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

    /// Wakes the task that reads: there may be something to read now.
    pub fn wake_reader(&self) {
        if let Some(reader) = &*self.reader.borrow() {
            reader.wake_by_ref();
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

/// Answers a request, and tells the connection about the request and the answer.
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

/// Whether a client that asks first (`Expect: 100-continue`) may send its body. A refusal has no body here; the
/// connection adds it.
///
/// # Errors
/// 413 where the body is larger than any route accepts.
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
