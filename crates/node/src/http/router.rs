//! Which handler answers a method and path.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::params::decode;
use super::response::Refusal;
use super::{Request, Response};
use crate::error::{ApiError, Result};

/// A handler's answer in the making.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// A type-erased handler over the state `S`.
pub type Handler<S> = Arc<dyn Fn(Arc<S>, Request) -> Answer + Send + Sync>;

/// A method and path pattern (`/{index}/_doc/{id}`) with its handler.
pub struct Route<S> {
    method: Method,
    pattern: &'static str,
    handler: Handler<S>,
}

impl<S> std::fmt::Debug for Route<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.pattern)
    }
}

impl<S: Send + Sync + 'static> Route<S> {
    /// A route of any method.
    pub fn new<F, R>(method: Method, pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self { method, pattern, handler: Arc::new(move |state, request| Box::pin(handler(state, request))) }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The same route with a check before its handler, which may also change the request.
    #[must_use]
    pub fn checked<C>(self, check: C) -> Self
    where
        C: Fn(&S, &mut Request) -> Result<()> + Send + Sync + 'static,
    {
        let inner = self.handler;
        let handler: Handler<S> = Arc::new(move |state, mut request| match check(&state, &mut request) {
            Ok(()) => inner(state, request),
            Err(error) => Box::pin(async move { Err(error) }),
        });
        Self { handler, ..self }
    }

    /// The path pattern.
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// A GET route.
    pub fn get<F, R>(pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::GET, pattern, handler)
    }

    /// A HEAD route. The body of its answer is not sent, only its length.
    pub fn head<F, R>(pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::HEAD, pattern, handler)
    }

    /// A POST route.
    pub fn post<F, R>(pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::POST, pattern, handler)
    }

    /// A PUT route.
    pub fn put<F, R>(pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::PUT, pattern, handler)
    }

    /// A DELETE route.
    pub fn delete<F, R>(pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::DELETE, pattern, handler)
    }
}

/// The routing table. A literal segment wins over a name in braces; empty segments do not count, so a trailing slash is
/// allowed as in Elasticsearch.
pub struct Router<S> {
    root: Segment<S>,
}

struct Segment<S> {
    literal: BTreeMap<&'static str, Segment<S>>,
    any: Option<Box<Segment<S>>>,
    leaves: Vec<Leaf<S>>,
}

struct Leaf<S> {
    method: Method,
    names: Vec<&'static str>,
    handler: Handler<S>,
}

impl<S> Default for Segment<S> {
    fn default() -> Self {
        Self { literal: BTreeMap::new(), any: None, leaves: Vec::new() }
    }
}

impl<S> std::fmt::Debug for Router<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Router").finish_non_exhaustive()
    }
}

/// A handler and the path segments its pattern names.
pub(super) struct Matched<S> {
    pub handler: Handler<S>,
    pub segments: Vec<(&'static str, String)>,
}

impl<S> Router<S> {
    /// Builds the table.
    ///
    /// # Panics
    /// When two routes have the same method and path: a fault of the table, found by every test that starts a node.
    pub fn new(routes: impl IntoIterator<Item = Route<S>>) -> Self {
        let mut root = Segment::default();
        for route in routes {
            let mut at = &mut root;
            let mut names = Vec::new();
            for part in route.pattern.split('/').filter(|part| !part.is_empty()) {
                at = match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) => {
                        names.push(name);
                        at.any.get_or_insert_default()
                    }
                    None => at.literal.entry(part).or_default(),
                };
            }
            assert!(
                at.leaves.iter().all(|leaf| leaf.method != route.method),
                "two routes for {} {}",
                route.method,
                route.pattern
            );
            at.leaves.push(Leaf { method: route.method, names, handler: route.handler });
        }
        Self { root }
    }

    /// Finds the handler for path segments as they were sent: an escaped letter does not make a literal, as in
    /// Elasticsearch. Those that patterns name come back decoded.
    ///
    /// # Errors
    /// The answer to send: 405 with the allowed methods, 400 for an unknown path, 200 to OPTIONS.
    pub(super) fn find(&self, method: &Method, uri: &str, parts: &[&str]) -> Result<Matched<S>, Refusal> {
        let mut captured = Vec::new();
        let Some(segment) = descend(&self.root, parts, &mut captured) else {
            let text = format!("no handler found for uri [{uri}] and method [{method}]");
            return Err(Response::json(StatusCode::BAD_REQUEST, json!({ "error": text })).into());
        };
        if let Some(leaf) = segment.leaves.iter().find(|leaf| leaf.method == *method) {
            let decoded = captured
                .into_iter()
                .map(|segment| decode(segment, false).map_err(ApiError::illegal_argument))
                .collect::<Result<Vec<_>>>()?;
            let segments = leaf.names.iter().copied().zip(decoded).collect();
            return Ok(Matched { handler: Arc::clone(&leaf.handler), segments });
        }
        let mut allowed: Vec<&str> = segment.leaves.iter().map(|leaf| leaf.method.as_str()).collect();
        allowed.sort_unstable_by_key(|name| METHOD_ORDER.iter().position(|other| other == name));
        let allow = HeaderValue::from_str(&allowed.join(",")).unwrap_or(HeaderValue::from_static("GET"));
        let answer = if method == Method::OPTIONS {
            Response::text("")
        } else {
            let text = format!(
                "Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{}]",
                allowed.join(", ")
            );
            Response::json(StatusCode::METHOD_NOT_ALLOWED, json!({ "error": text, "status": 405 }))
        };
        Err(answer.with_header(header::ALLOW, allow).into())
    }
}

/// The order in which Elasticsearch lists methods.
const METHOD_ORDER: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "HEAD"];

fn descend<'a, 'p, S>(
    at: &'a Segment<S>,
    parts: &[&'p str],
    captured: &mut Vec<&'p str>,
) -> Option<&'a Segment<S>> {
    let Some((first, rest)) = parts.split_first() else {
        return (!at.leaves.is_empty()).then_some(at);
    };
    if let Some(found) = at.literal.get(*first).and_then(|next| descend(next, rest, captured)) {
        return Some(found);
    }
    let next = at.any.as_deref()?;
    captured.push(first);
    let found = descend(next, rest, captured);
    if found.is_none() {
        captured.pop();
    }
    found
}
