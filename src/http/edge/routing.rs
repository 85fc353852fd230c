//! Finds the route of a path. Each path is compared once, segment by segment; the layers around the handler and the
//! handler itself use what was found here.

use std::{ops::Range, rc::Rc};

use actix_web::http::Method;

use super::rules::{MatchedRoute, RouteRules};

/// The most parameters that a path may have.
const MOST_PARAMETERS: usize = 2;

/// Where the values of a path's parameters are in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters([(&'static str, u16, u16); MOST_PARAMETERS]);

impl Parameters {
    /// No parameters.
    pub const NONE: Self = Self([("", 0, 0); MOST_PARAMETERS]);

    fn set(&mut self, at: usize, name: &'static str, place: Range<usize>) -> Option<()> {
        let start = u16::try_from(place.start).ok()?;
        *self.0.get_mut(at)? = (name, start, u16::try_from(place.end).ok()?);
        Some(())
    }

    /// The value of a parameter, in the path in which it was found.
    #[must_use]
    pub fn get<'a>(&self, path: &'a str, name: &str) -> Option<&'a str> {
        let (_, start, end) = self.0.iter().find(|(known, ..)| *known == name)?;
        path.get(usize::from(*start)..usize::from(*end))
    }
}

/// A path of the table, in which a segment may be a parameter in braces.
#[derive(Debug, Clone)]
struct Pattern {
    /// The path up to its first parameter; all of it where it has none.
    fixed: &'static str,
    /// The segments from the first parameter on.
    rest: Vec<Segment>,
    /// The last parameter takes all that follows, slashes included, and may be empty.
    spans_segments: bool,
}

#[derive(Debug, Clone)]
enum Segment {
    Fixed(&'static str),
    Parameter(&'static str),
}

impl Pattern {
    fn new(path: &'static str, spans_segments: bool) -> Self {
        let (fixed, rest) = path.split_at(path.find('{').unwrap_or(path.len()));
        let segment = |text: &'static str| {
            let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            name.map_or(Segment::Fixed(text), Segment::Parameter)
        };
        let rest =
            if rest.is_empty() { Vec::new() } else { rest.split('/').map(segment).collect() };
        Self { fixed, rest, spans_segments }
    }

    /// The parameters of a path that fits.
    fn fit(&self, path: &str) -> Option<Parameters> {
        let mut parameters = Parameters::NONE;
        if self.rest.is_empty() {
            return (path == self.fixed).then_some(parameters);
        }
        let mut rest = path.strip_prefix(self.fixed)?;
        let mut found = 0;
        for (at, segment) in self.rest.iter().enumerate() {
            let last = at + 1 == self.rest.len();
            let end = match rest.find('/') {
                Some(end) if !last => end,
                Some(_) if last && self.spans_segments => rest.len(),
                None if last => rest.len(),
                _ => return None,
            };
            let (text, after) = rest.split_at(end);
            match segment {
                Segment::Fixed(fixed) if text != *fixed => return None,
                Segment::Fixed(_) => {}
                Segment::Parameter(_) if text.is_empty() && !(last && self.spans_segments) => {
                    return None;
                }
                Segment::Parameter(name) => {
                    let start = path.len() - rest.len();
                    parameters.set(found, name, start..start + end)?;
                    found += 1;
                }
            }
            rest = after.get(1..).unwrap_or_default();
        }
        Some(parameters)
    }
}

/// The paths of all routes, in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Paths(Rc<[Pattern]>);

impl Paths {
    /// Paths with parameters in braces, and whether the last parameter takes all that follows.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        Self(paths.into_iter().map(|(path, spans)| Pattern::new(path, spans)).collect())
    }

    /// Whether a route has this path.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fit(path).is_some())
    }
}

/// What answers the requests of one path.
#[derive(Debug, Clone)]
pub struct PathRows<E> {
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The path's last parameter takes all that follows.
    pub spans_segments: bool,
    /// Methods, their rules, and what answers them.
    pub rows: Vec<(Method, RouteRules, E)>,
    /// What answers `OPTIONS`.
    pub options: E,
    /// What answers every other method.
    pub otherwise: E,
}

/// All routes, and what answers a request.
#[derive(Debug, Clone)]
pub struct Routing<E> {
    paths: Paths,
    rows: Vec<PathRows<E>>,
    unmatched: E,
}

impl<E> Routing<E> {
    /// Routes in the order in which they are tried, and what answers a path that none of them has.
    #[must_use]
    pub fn new(rows: Vec<PathRows<E>>, unmatched: E) -> Self {
        let paths = Paths::new(rows.iter().map(|row| (row.path, row.spans_segments)));
        Self { paths, rows, unmatched }
    }

    /// The route of a request, and what answers it. `HEAD` follows `GET`. A method that the path does not have is a probe
    /// where the path's first row is one, and of the same surface; its body is ignored and its answer is short.
    #[must_use]
    pub fn find(&self, path: &str, method: &Method) -> (MatchedRoute, &E) {
        for (pattern, found) in self.paths.0.iter().zip(&self.rows) {
            let Some(parameters) = pattern.fit(path) else { continue };
            let of = |wanted: &Method| found.rows.iter().find(|(method, ..)| method == wanted);
            let row = of(method).or_else(|| of(&Method::GET).filter(|_| method == Method::HEAD));
            let (rules, answers) = match (row, found.rows.first()) {
                (Some((_, rules, answers)), _) => (*rules, answers),
                (None, Some((_, first, _))) => {
                    let rules = RouteRules::new(first.surface);
                    let options = method == Method::OPTIONS;
                    let answers = if options { &found.options } else { &found.otherwise };
                    (RouteRules { probe: first.probe, ..rules }, answers)
                }
                (None, None) => continue,
            };
            return (MatchedRoute { pattern: Some(found.path), rules, parameters }, answers);
        }
        (MatchedRoute::NONE, &self.unmatched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        edge::rules::{Body, Duration},
        errors::Surface,
    };

    fn routing(rows: &[(&'static str, Method, RouteRules)]) -> Routing<String> {
        let paths = rows.iter().fold(Vec::<PathRows<String>>::new(), |mut paths, row| {
            let (path, method, rules) = row;
            let named = (method.clone(), *rules, format!("{method} {path}"));
            match paths.iter_mut().find(|known| known.path == *path) {
                Some(known) => known.rows.push(named),
                None => paths.push(PathRows {
                    path,
                    spans_segments: path.ends_with("{rest}"),
                    rows: vec![named],
                    options: format!("OPTIONS {path}"),
                    otherwise: format!("other {path}"),
                }),
            }
            paths
        });
        Routing::new(paths, "unmatched".to_owned())
    }

    #[test]
    fn head_follows_get_and_a_method_that_is_not_there_takes_no_body_and_no_download_place() {
        let download =
            RouteRules { duration: Duration::Download, ..RouteRules::new(Surface::Models) };
        let upload = RouteRules { body: Body::Read(1 << 30), ..RouteRules::new(Surface::Models) };
        let probe = RouteRules { probe: true, ..RouteRules::new(Surface::Service) };
        let book = routing(&[
            ("/a", Method::GET, download),
            ("/a", Method::POST, upload),
            ("/health", Method::GET, probe),
        ]);
        let found = |path, method: Method| {
            let (route, answers) = book.find(path, &method);
            (route.rules, answers.as_str())
        };
        assert_eq!(found("/a", Method::GET), (download, "GET /a"));
        assert_eq!(found("/a", Method::HEAD), (download, "GET /a"));
        assert_eq!(found("/a", Method::POST), (upload, "POST /a"));
        assert_eq!(found("/a", Method::OPTIONS), (RouteRules::new(Surface::Models), "OPTIONS /a"));
        assert_eq!(found("/health", Method::DELETE), (probe, "other /health"));
        assert_eq!(found("/b", Method::GET), (RouteRules::new(Surface::Service), "unmatched"));
    }

    #[test]
    fn a_parameter_is_one_segment_unless_it_spans_what_follows() {
        let rules = RouteRules::new(Surface::Models);
        let book = routing(
            &["/", "/a", "/m/{type}", "/m/{type}/current", "/m/{type}/{version}", "/t/{rest}"]
                .map(|path| (path, Method::GET, rules)),
        );
        for (path, template, values) in [
            ("/", Some("/"), &[][..]),
            ("/a", Some("/a"), &[]),
            ("/m/x", Some("/m/{type}"), &[("type", "x")]),
            ("/m/current", Some("/m/{type}"), &[("type", "current")]),
            ("/m/x/current", Some("/m/{type}/current"), &[("type", "x")]),
            ("/m/x/v1", Some("/m/{type}/{version}"), &[("type", "x"), ("version", "v1")]),
            ("/m/ä b/\n", Some("/m/{type}/{version}"), &[("type", "ä b"), ("version", "\n")]),
            ("/t/", Some("/t/{rest}"), &[("rest", "")]),
            ("/t/a", Some("/t/{rest}"), &[("rest", "a")]),
            ("/t/a//b/", Some("/t/{rest}"), &[("rest", "a//b/")]),
            ("", None, &[]),
            ("a", None, &[]),
            ("//", None, &[]),
            ("/a/", None, &[]),
            ("/ab", None, &[]),
            ("/m", None, &[]),
            ("/m/", None, &[]),
            ("/m//current", None, &[]),
            ("/m/x/", None, &[]),
            ("/m/x/current/", None, &[]),
            ("/m/x/v1/y", None, &[]),
            ("/t", None, &[]),
        ] {
            let (route, _) = book.find(path, &Method::GET);
            assert_eq!(route.pattern, template, "{path}");
            assert_eq!(book.paths.has(path), template.is_some(), "{path}");
            for (name, value) in values {
                assert_eq!(route.parameters.get(path, name), Some(*value), "{path}");
            }
            assert_eq!(route.parameters.get(path, "other"), None, "{path}");
        }
    }
}
