//! What the layers around a handler know of one request.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use actix_web::{HttpMessage as _, HttpRequest};
use tokio::time::Instant;

use super::{client::ClientView, request_log::RequestLog, rules::MatchedRoute};

/// One value in the request's extensions holds everything: each value there costs an allocation and each look-up a
/// search.
#[derive(Debug)]
pub struct RequestContext {
    /// The route.
    pub route: MatchedRoute,
    /// The client.
    pub client: ClientView,
    /// When the request must have had its turn; `None` before it waits for one.
    pub turn_due: Cell<Option<Instant>>,
    /// The fields of the log line that guard and handler add.
    pub log: RefCell<RequestLog>,
}

impl RequestContext {
    /// Begins the context of a request.
    pub fn begin(request: &HttpRequest, route: MatchedRoute, client: ClientView) -> Rc<Self> {
        let context = Rc::new(Self {
            route,
            client,
            turn_due: Cell::new(None),
            log: RefCell::new(RequestLog::default()),
        });
        request.extensions_mut().insert(context.clone());
        context
    }

    /// The context of a request; `None` where it has not reached the layers around its handler.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }
}
