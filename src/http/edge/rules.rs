//! What the layers around a handler have to know of its route. Each row of the route table states it; nothing else
//! decides by a path.

use std::collections::HashMap;

use actix_web::{HttpMessage as _, HttpRequest, dev::ServiceRequest, http::Method, web::Data};

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

/// The rules of all routes, by path pattern and method.
#[derive(Debug, Clone, Default)]
pub struct RuleBook(HashMap<&'static str, Vec<(Method, RouteRules)>>);

impl RuleBook {
    /// The book of these rows.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = (&'static str, Method, RouteRules)>) -> Self {
        let mut book = HashMap::<_, Vec<_>>::new();
        for (path, method, rules) in rows {
            book.entry(path).or_default().push((method, rules));
        }
        Self(book)
    }

    /// The rules for a method of a path. `HEAD` follows `GET`. A method that the path does not have follows the
    /// path's first row, but its body is ignored and its answer is short.
    fn find(&self, pattern: &str, method: &Method) -> Option<MatchedRoute> {
        let (path, rows) = self.0.get_key_value(pattern)?;
        let of = |wanted: &Method| rows.iter().find(|(method, _)| method == wanted);
        let row = of(method).or_else(|| of(&Method::GET).filter(|_| method == Method::HEAD));
        let rules = match (row, rows.first()) {
            (Some((_, rules)), _) => *rules,
            (None, Some((_, first))) => {
                RouteRules { probe: first.probe, ..RouteRules::new(first.surface) }
            }
            (None, None) => return None,
        };
        Some(MatchedRoute { pattern: Some(path), rules })
    }
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedRoute {
    /// Its path, with parameters in braces; `None` where no route has the path.
    pub pattern: Option<&'static str>,
    /// Its rules.
    pub rules: RouteRules,
}

impl MatchedRoute {
    const NONE: Self = Self { pattern: None, rules: RouteRules::new(Surface::Service) };

    /// Finds the route of a request, for [`Self::of`] to tell. It is found by the path that the framework routes by,
    /// in which escapes are resolved.
    #[must_use]
    pub fn find(request: &ServiceRequest) -> Self {
        let find = || {
            let book = request.app_data::<Data<RuleBook>>()?;
            let pattern = request.resource_map().match_pattern(request.match_info().as_str())?;
            book.find(&pattern, request.method())
        };
        let found = find().unwrap_or(Self::NONE);
        request.extensions_mut().insert(found);
        found
    }

    /// The route of a request that [`Self::find`] has seen.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().copied().unwrap_or(Self::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_follows_get_and_a_method_that_is_not_there_takes_no_body_and_no_download_place() {
        let download =
            RouteRules { duration: Duration::Download, ..RouteRules::new(Surface::Models) };
        let upload = RouteRules { body: Body::Read(1 << 30), ..RouteRules::new(Surface::Models) };
        let probe = RouteRules { probe: true, ..RouteRules::new(Surface::Service) };
        let book = RuleBook::new([
            ("/a", Method::GET, download),
            ("/a", Method::POST, upload),
            ("/health", Method::GET, probe),
        ]);
        let rules = |path, method: Method| book.find(path, &method).map(|route| route.rules);
        assert_eq!(rules("/a", Method::GET), Some(download));
        assert_eq!(rules("/a", Method::HEAD), Some(download));
        assert_eq!(rules("/a", Method::POST), Some(upload));
        assert_eq!(rules("/a", Method::OPTIONS), Some(RouteRules::new(Surface::Models)));
        assert_eq!(rules("/health", Method::DELETE), Some(probe));
        assert_eq!(rules("/b", Method::GET), None);
    }
}
