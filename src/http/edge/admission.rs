//! Admission: what every request must satisfy before its handler sees it. Its host must be well formed, its body within
//! the route's limit, and the number of requests in progress below theirs.

use std::{convert::Infallible, pin::Pin, sync::Arc, task, time};

use actix_http::error::PayloadError;
use actix_web::{
    HttpMessage as _, HttpRequest, ResponseError as _,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method, header},
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt as _};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    context::RequestContext,
    rules::{Body, Duration, MatchedRoute, RouteRules},
};
use crate::{
    error::{ErrorKind, RegistryError},
    http::{errors::ApiError, wire::head::is_host},
    limits,
};

/// The limits on requests in progress, shared by all workers.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    requests: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    registry: Arc<Semaphore>,
    wait: time::Duration,
}

impl RequestLimits {
    /// These many short requests, downloads, and requests with access to the registry at a time. A further one waits this
    /// long for its turn.
    #[must_use]
    pub fn new(requests: usize, downloads: usize, registry: usize, wait: time::Duration) -> Self {
        let limit = |most| Arc::new(Semaphore::new(most));
        Self {
            requests: limit(requests),
            downloads: limit(downloads),
            uploads: limit(limits::UPLOADS_IN_FLIGHT),
            registry: limit(registry),
            wait,
        }
    }

    /// A permit for a request, held until its answer is sent. Requests get theirs in the order in which they came. A
    /// connection has one request at a time, so no more of them wait than there are connections. A probe needs none.
    async fn permit(
        &self,
        rules: RouteRules,
        request: &HttpRequest,
    ) -> Result<Option<OwnedSemaphorePermit>, RegistryError> {
        let limit = match rules.duration {
            _ if rules.probe => return Ok(None),
            Duration::Download => &self.downloads,
            Duration::Upload => &self.uploads,
            Duration::Short | Duration::LoadCheck => &self.requests,
        };
        self.turn(limit, request).await.map(Some)
    }

    /// A permit of this limit. All turns that a request waits for have one time limit, from the first wait on.
    async fn turn(
        &self,
        limit: &Arc<Semaphore>,
        request: &HttpRequest,
    ) -> Result<OwnedSemaphorePermit, RegistryError> {
        // There is none to take while others wait: a permit that is returned goes to the one who waits longest.
        if let Ok(permit) = limit.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let due = match RequestContext::of(request) {
            None => Instant::now() + self.wait,
            Some(context) => {
                let due = context.turn_due.get().unwrap_or_else(|| Instant::now() + self.wait);
                context.turn_due.set(Some(due));
                due
            }
        };
        let permit = tokio::time::timeout_at(due, limit.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = "Too many requests are being answered; try again";
            RegistryError::new(ErrorKind::Overloaded, detail)
        })
    }
}

/// A permit to use the registry, for an authorised request. `None` where its route does not need one.
///
/// # Errors
/// `OVERLOADED` where the request gets no turn in time.
pub async fn registry_permit(
    request: &HttpRequest,
) -> Result<Option<OwnedSemaphorePermit>, RegistryError> {
    let Some(limits) = request.app_data::<web::Data<RequestLimits>>() else { return Ok(None) };
    if MatchedRoute::of(request).rules.duration.keeps_no_place_in_the_registry() {
        return Ok(None);
    }
    limits.turn(&limits.registry, request).await.map(Some)
}

/// Passes a request on, or refuses it.
pub async fn admit<F>(
    limits: &RequestLimits,
    mut request: ServiceRequest,
    next: impl FnOnce(ServiceRequest) -> F,
) -> ServiceResponse<BoxBody>
where
    F: Future<Output = ServiceResponse<BoxBody>>,
{
    let rules = MatchedRoute::of(request.request()).rules;
    if let Err(error) = check_target(&request) {
        return refused(request, &error);
    }
    match body_follows(&request, rules.body) {
        Ok(false) => {}
        // In a box, because few requests have a body, and each would make room for this otherwise.
        Ok(true) => {
            if let Err(error) = Box::pin(take_body(&mut request, rules.body)).await {
                return refused(request, &error);
            }
        }
        Err(error) => return refused(request, &error),
    }
    let permit = match limits.permit(rules, request.request()).await {
        Ok(permit) => permit,
        Err(error) => {
            let response = ApiError(error).error_response();
            return request.into_response(response);
        }
    };
    next(request).await.map_body(|_, body| match (body.try_into_bytes(), permit) {
        (Ok(bytes), _) => in_pieces(bytes),
        (Err(body), None) => body,
        (Err(body), Some(permit)) => BoxBody::new(BodyWithPermit { body, _permit: permit }),
    })
}

/// A refusal that closes the connection: what the client sends next may not be a request.
fn refused(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    let mut response = error.error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    request.into_response(response)
}

/// Checks the request's target and host. The framework has refused a request with no host or with two.
fn check_target(request: &ServiceRequest) -> Result<(), ApiError> {
    let uri = request.uri();
    let names_host_alone = uri.authority().is_some() && uri.scheme().is_none();
    if names_host_alone && request.method() != Method::CONNECT {
        return Err(malformed("The request's target is neither a path nor a URL").into());
    }
    if uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Err(malformed("The request's target does not name a valid host and port").into());
    }
    match request.headers().get(header::HOST) {
        Some(host) if !is_host(host.as_bytes()) => {
            Err(malformed("The Host header is not a host with an optional port").into())
        }
        _ => Ok(()),
    }
}

/// Whether a body follows that this service must take. One that states a length above the limit is refused.
fn body_follows(request: &ServiceRequest, rule: Body) -> Result<bool, ApiError> {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.trim().parse::<u64>().ok()).unwrap_or(0);
    if length > rule.limit() {
        return Err(too_large(rule));
    }
    let has_body = length > 0 || headers.contains_key(header::TRANSFER_ENCODING);
    // After an upgrade or CONNECT the stream has no end. The connection closes after the answer.
    let endless = || headers.contains_key(header::UPGRADE) || request.method() == Method::CONNECT;
    Ok(has_body && !endless())
}

/// Holds the body to its limit. One that the handler does not read is read here and thrown away, so that the next
/// request begins where both sides think it does. Bytes are counted as they arrive: a chunked body states no length.
async fn take_body(request: &mut ServiceRequest, rule: Body) -> Result<(), ApiError> {
    let body = request.take_payload();
    if let Body::Read(limit) = rule {
        let payload = Box::pin(limited(body, limit));
        request.set_payload(Payload::Stream { payload });
        return Ok(());
    }
    let body = discard(body, rule);
    tokio::time::timeout(limits::REQUEST_BODY_TIMEOUT, body).await.unwrap_or_else(|_| {
        let detail = format!(
            "The request's body did not arrive within {} seconds",
            limits::REQUEST_BODY_TIMEOUT.as_secs()
        );
        Err(RegistryError::new(ErrorKind::RequestTimeout, detail).into())
    })
}

/// A body that ends with an error after this many bytes.
fn limited(body: Payload, limit: u64) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    let mut read = 0;
    body.map(move |piece| {
        let piece = piece?;
        read += piece.len() as u64;
        if read > limit { Err(PayloadError::Overflow) } else { Ok(piece) }
    })
}

async fn discard(body: Payload, rule: Body) -> Result<(), ApiError> {
    let mut body = std::pin::pin!(limited(body, rule.limit()));
    while let Some(piece) = body.next().await {
        piece.map_err(|error| match error {
            PayloadError::Overflow => too_large(rule),
            _ => ApiError(malformed("The request's body is not framed as RFC 9112 requires")),
        })?;
    }
    Ok(())
}

fn malformed(detail: &str) -> RegistryError {
    RegistryError::new(ErrorKind::MalformedRequest, detail)
}

fn too_large(rule: Body) -> ApiError {
    let limit = rule.limit();
    let detail = match rule {
        Body::Ignored => {
            format!("The request's body is larger than {limit} bytes; this route takes none")
        }
        Body::Read(_) => format!("The request's body is larger than {limit} bytes"),
    };
    RegistryError::new(ErrorKind::TooLarge, detail).into()
}

/// A body that is in memory as a whole. Its request needs its permit no longer.
fn in_pieces(bytes: Bytes) -> BoxBody {
    if bytes.len() > limits::ANSWER_PIECE {
        BoxBody::new(Pieces(bytes))
    } else {
        BoxBody::new(bytes)
    }
}

/// A body that is sent piece by piece. The framework copies each piece it gets, so a whole body would be copied for each
/// slow client.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = self.0.len().min(limits::ANSWER_PIECE);
        task::Poll::Ready((piece > 0).then(|| Ok(self.0.split_to(piece))))
    }
}

/// A body that holds its request's permit until it is sent.
struct BodyWithPermit {
    body: BoxBody,
    _permit: OwnedSemaphorePermit,
}

impl MessageBody for BodyWithPermit {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use actix_web::{App, HttpResponse, dev::Service as _, test};
    use futures_util::FutureExt as _;

    use super::*;
    use crate::http::{
        edge::{client::ClientView, routing::Parameters, service::endpoint},
        errors::Surface,
    };

    /// Stands in for the layer that finds a request's route.
    fn begin(request: &ServiceRequest) {
        let mut rules = RouteRules::new(Surface::Models);
        match request.path() {
            "/probe" => rules.probe = true,
            "/download" => rules.duration = Duration::Download,
            "/upload" => rules.body = Body::Read(10),
            _ => {}
        }
        let client = ClientView {
            address: None::<IpAddr>,
            scheme: "http",
            host: None,
            prefix: String::new(),
        };
        let route = MatchedRoute { pattern: None, rules, parameters: Parameters::NONE };
        drop(RequestContext::begin(request.request(), route, client));
    }

    /// An application with this layer around its handler.
    macro_rules! admitting {
        ($limits:expr, $handler:expr) => {{
            let (limits, handler) = ($limits, endpoint($handler));
            test::init_service(App::new().wrap_fn(move |request, _| {
                begin(&request);
                let (limits, handler) = (limits.clone(), handler.clone());
                async move { Ok(admit(&limits, request, |request| handler(request)).await) }
            }))
            .await
        }};
    }

    /// An application whose handler ends when it is told, with room for two requests and one download.
    macro_rules! crowded {
        ($wait:expr, $finish:ident) => {{
            let finish = $finish.clone();
            admitting!(RequestLimits::new(2, 1, 2, $wait), move || {
                let finish = finish.clone();
                async move {
                    finish.acquire().await.unwrap().forget();
                    HttpResponse::Ok().finish()
                }
            })
        }};
    }

    #[actix_web::test]
    async fn a_request_that_gets_no_turn_in_time_is_refused_unless_it_is_a_probe() {
        let finish = Arc::new(Semaphore::new(0));
        let app = crowded!(time::Duration::from_millis(50), finish);
        let ask = |path: &str| Box::pin(app.call(test::TestRequest::with_uri(path).to_request()));
        let status =
            async |path: &str| ask(path).await.map(|response| response.status().as_u16()).ok();
        let mut waiting = Vec::new();
        for path in ["/a", "/b", "/download", "/probe"] {
            let mut call = ask(path);
            assert!((&mut call).now_or_never().is_none(), "{path}");
            waiting.push(call);
        }
        for path in ["/a", "/c", "/download", "/probe/"] {
            assert_eq!(status(path).await, Some(503), "{path}");
        }
        finish.add_permits(waiting.len());
        for call in waiting {
            assert_eq!(call.await.map(|response| response.status().as_u16()).ok(), Some(200));
        }
    }

    #[actix_web::test]
    async fn a_crowd_with_one_request_a_connection_is_answered_in_turn() {
        let finish = Arc::new(Semaphore::new(0));
        let app = crowded!(time::Duration::from_secs(60), finish);
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                let mut call = Box::pin(app.call(test::TestRequest::with_uri("/a").to_request()));
                assert!((&mut call).now_or_never().is_none());
                call
            })
            .collect();
        finish.add_permits(calls.len());
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.map(|response| response.status().as_u16()).ok(), Some(200));
        }
    }

    #[actix_web::test]
    async fn a_route_that_reads_bodies_gets_them_up_to_its_limit_and_no_other_gets_any() {
        let limits = RequestLimits::new(2, 1, 2, time::Duration::from_secs(60));
        let app = admitting!(limits, async |_: HttpRequest, body: web::Payload| {
            let read: Result<Vec<Bytes>, _> = body.collect::<Vec<_>>().await.into_iter().collect();
            match read {
                Ok(read) => HttpResponse::Ok().body(read.concat()),
                Err(error) => error.error_response(),
            }
        });
        for (path, body, expected) in [
            ("/upload", "0123456789", (200, "0123456789")),
            ("/upload", "0123456789a", (413, "")),
            ("/other", "0123456789", (200, "")),
        ] {
            // Without a length, as a chunked body comes.
            let request = test::TestRequest::post()
                .uri(path)
                .insert_header((header::TRANSFER_ENCODING, "chunked"))
                .set_payload(body);
            let response = test::call_service(&app, request.to_request()).await;
            let status = response.status().as_u16();
            let answer = test::read_body(response).await;
            let answer = if status == 200 { std::str::from_utf8(&answer).unwrap() } else { "" };
            assert_eq!((status, answer), expected, "{path} {body}");
        }
        let request = test::TestRequest::post()
            .uri("/upload")
            .insert_header((header::CONTENT_LENGTH, "11"))
            .to_request();
        assert_eq!(test::call_service(&app, request).await.status().as_u16(), 413);
    }
}
