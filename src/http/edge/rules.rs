//! What the layers around a handler have to know of its route. Each row of the route table states it; nothing else
//! decides by a path.

use actix_web::HttpRequest;

use super::{context::RequestContext, routing::Parameters};
use crate::{http::errors::Surface, limits};

/// The rules for the requests of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRules {
    /// A probe addresses the service by its IP address: it may name any host. It is never refused as `OVERLOADED`.
    pub probe: bool,
    /// What happens to a request's body.
    pub body: Body,
    /// How long an answer takes, which decides the limit that counts it.
    pub duration: Duration,
    /// The API that the route belongs to.
    pub surface: Surface,
}

/// What happens to a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The body is read and thrown away: some clients send `{}` with every POST.
    Ignored,
    /// The handler reads it, up to this many bytes.
    Read(u64),
}

impl Body {
    /// The largest body that is accepted, in bytes.
    #[must_use]
    pub const fn limit(self) -> u64 {
        match self {
            Self::Ignored => limits::REQUEST_BODY as u64,
            Self::Read(limit) => limit,
        }
    }
}

/// How long an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duration {
    /// The service decides. [`limits::REQUESTS_IN_FLIGHT`] counts it.
    Short,
    /// The client decides, by how fast it receives. [`limits::DOWNLOADS_IN_FLIGHT`] counts it.
    Download,
    /// The client decides, by how fast it sends. [`limits::UPLOADS_IN_FLIGHT`] counts it, and it keeps no
    /// place in the registry's ([`limits::REGISTRY_REQUESTS`]), so that reads never wait for it.
    Upload,
    /// A load check decides, which may take minutes and has a queue of its own. It keeps no place in the registry's
    /// ([`limits::REGISTRY_REQUESTS`]), so that reads never wait for it.
    LoadCheck,
}

impl Duration {
    /// Whether an answer may take so long that it must not count among those that use the registry.
    #[must_use]
    pub const fn keeps_no_place_in_the_registry(self) -> bool {
        matches!(self, Self::LoadCheck | Self::Upload)
    }
}

impl RouteRules {
    /// The rules for a path that no route has, and the ones that a route starts from.
    #[must_use]
    pub const fn new(surface: Surface) -> Self {
        Self { probe: false, body: Body::Ignored, duration: Duration::Short, surface }
    }
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedRoute {
    /// Its path, with parameters in braces; `None` where no route has the path.
    pub pattern: Option<&'static str>,
    /// Its rules.
    pub rules: RouteRules,
    /// The values of the path's parameters.
    pub parameters: Parameters,
}

impl MatchedRoute {
    /// The route of a path that no route has.
    pub const NONE: Self = Self {
        pattern: None,
        rules: RouteRules::new(Surface::Service),
        parameters: Parameters::NONE,
    };

    /// The route of a request that has reached the layers around its handler.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        RequestContext::of(request).map_or(Self::NONE, |context| context.route)
    }

    /// The value of a parameter in a request's path, in which escapes are resolved as for matching: all but those of `%`,
    /// `/` and `+`. Empty where the path has no such parameter.
    #[must_use]
    pub fn parameter<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
        Self::of(request).parameters.get(request.match_info().as_str(), name).unwrap_or_default()
    }
}
