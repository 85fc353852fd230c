//! The service of one worker: the layers around the handlers, and the handlers.
//!
//! The framework's own routes and layers are not used. It would match a path against every pattern, and put the work of
//! each layer into an allocation of its own.

use std::rc::Rc;

use actix_cors::Cors;
use actix_service::{Service, Transform, always_ready};
use actix_web::{
    Error, FromRequest, Handler, HttpResponse, Responder,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
};
use futures_util::future::LocalBoxFuture;

use super::{
    admission::{RequestLimits, admit},
    client::Gateways,
    lifecycle::Lifecycle,
    middleware::observe,
    routing::Routing,
};

/// A handler whose arguments and answer are those of all handlers.
pub type Endpoint = Rc<dyn Fn(ServiceRequest) -> LocalBoxFuture<'static, ServiceResponse>>;

/// Makes an endpoint of a handler.
pub fn endpoint<F, Args>(handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Rc::new(move |request| {
        let handler = handler.clone();
        Box::pin(async move {
            let (request, mut payload) = request.into_parts();
            let response = match Args::from_request(&request, &mut payload).await {
                Ok(arguments) => {
                    handler.call(arguments).await.respond_to(&request).map_into_boxed_body()
                }
                Err(error) => HttpResponse::from_error(error),
            };
            ServiceResponse::new(request, response)
        })
    })
}

/// What is around every handler, and the handlers.
pub struct Edge {
    /// The routes and their handlers.
    pub routing: Routing<Endpoint>,
    /// Who is believed about clients, and which hosts are served.
    pub gateways: Gateways,
    /// Whether the service is stopping.
    pub lifecycle: Lifecycle,
    /// How many requests there may be.
    pub limits: RequestLimits,
}

impl Edge {
    /// Answers a request that is admitted.
    async fn answer(&self, request: ServiceRequest, endpoint: &Endpoint) -> ServiceResponse {
        admit(&self.limits, request, |request| endpoint(request)).await
    }
}

/// The layers as the framework takes them: what they are put around is never called.
pub struct Layers {
    edge: Rc<Edge>,
    cors: Cors,
}

impl Layers {
    /// Layers with these rules for other origins.
    #[must_use]
    pub fn new(edge: Edge, cors: Cors) -> Self {
        Self { edge: Rc::new(edge), cors }
    }
}

impl<S> Transform<S, ServiceRequest> for Layers {
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = EdgeService;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<EdgeService, ()>>;

    fn new_transform(&self, _: S) -> Self::Future {
        let edge = self.edge.clone();
        let cors = self.cors.new_transform(BeneathCors(edge.clone()));
        Box::pin(async move { Ok(EdgeService { edge, cors: Rc::new(cors.await?) }) })
    }
}

type WithCors = <Cors as Transform<BeneathCors, ServiceRequest>>::Transform;

/// The service of one worker.
pub struct EdgeService {
    edge: Rc<Edge>,
    cors: Rc<WithCors>,
}

impl Service<ServiceRequest> for EdgeService {
    type Response = ServiceResponse;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<ServiceResponse, Error>>;

    always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (edge, cors) = (self.edge.clone(), self.cors.clone());
        Box::pin(async move {
            let path = request.match_info().as_str();
            let (route, endpoint) = edge.routing.find(path, request.method());
            let next = async |request: ServiceRequest| {
                if concerns_cors(&request) {
                    let response = cors.call(request).await?;
                    return Ok(response.map_into_boxed_body());
                }
                let mut response = edge.answer(request, endpoint).await;
                vary_by_origin(response.headers_mut());
                Ok(response)
            };
            observe(&edge.gateways, &edge.lifecycle, route, request, next).await
        })
    }
}

/// What CORS passes on to.
pub struct BeneathCors(Rc<Edge>);

impl Service<ServiceRequest> for BeneathCors {
    type Response = ServiceResponse;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<ServiceResponse, Error>>;

    always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let edge = self.0.clone();
        Box::pin(async move {
            let path = request.match_info().as_str();
            let (_, endpoint) = edge.routing.find(path, request.method());
            Ok(edge.answer(request, endpoint).await)
        })
    }
}

/// Whether a request is one that a browser sends for another origin, or asks whether it may send.
fn concerns_cors(request: &ServiceRequest) -> bool {
    request.headers().contains_key(header::ORIGIN) || request.method() == Method::OPTIONS
}

/// The same that CORS adds to an answer: a cache must not give a browser what was answered to another origin or to none.
fn vary_by_origin(headers: &mut HeaderMap) {
    const ORIGIN: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let known = headers.get(header::VARY).and_then(|known| known.to_str().ok());
    let both = known.and_then(|known| HeaderValue::from_str(&format!("{known}, {ORIGIN}")).ok());
    headers.insert(header::VARY, both.unwrap_or(HeaderValue::from_static(ORIGIN)));
}
