//! Answers of handlers, before they are encoded for the client.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

use crate::error::ApiError;

/// What a handler answers. Content type, `pretty`, `filter_path` and compression are applied afterwards.
#[derive(Debug)]
pub struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Errors are sent whole, whatever `filter_path` says.
    pub(super) is_error: bool,
    pub(super) is_pretty: bool,
}

#[derive(Debug)]
pub(super) enum Body {
    Json(Value),
    RawJson(Bytes),
    Text(String),
    Empty,
}

impl Response {
    /// A JSON answer.
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self::new(status, Body::Json(body))
    }

    /// 200 with JSON.
    pub fn ok(body: Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// `{"acknowledged": true}`.
    pub fn acknowledged() -> Self {
        Self::ok(serde_json::json!({ "acknowledged": true }))
    }

    /// JSON that is already written: large answers (`_bulk`, `_search`) are not built as a tree.
    pub fn raw_json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, Body::RawJson(body.into()))
    }

    /// 200 with plain text (`_cat`).
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, Body::Text(body.into()))
    }

    /// A status alone (HEAD).
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, Body::Empty)
    }

    fn new(status: StatusCode, body: Body) -> Self {
        Self { status, body, headers: Vec::new(), is_error: false, is_pretty: false }
    }

    /// Indented unless the request says `pretty=false`: what people look at with curl.
    #[must_use]
    pub fn pretty_by_default(mut self) -> Self {
        self.is_pretty = true;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a `Warning` header as Elasticsearch sends for what it tolerates but advises against.
    #[must_use]
    pub fn with_warning(self, text: &str) -> Self {
        let clean: String = text
            .chars()
            .map(|char| if char.is_control() || !char.is_ascii() || char == '"' { ' ' } else { char })
            .collect();
        let warning = format!("299 Elasticsearch-{} \"{clean}\"", super::ELASTICSEARCH_VERSION);
        match HeaderValue::from_str(&warning) {
            Ok(value) => self.with_header(header::WARNING, value),
            Err(_) => self,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body as text, for tests of code that builds answers.
    #[cfg(test)]
    pub fn into_text(self) -> String {
        match self.body {
            Body::Json(value) => value.to_string(),
            Body::RawJson(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Body::Text(text) => text,
            Body::Empty => String::new(),
        }
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        Self { is_error: true, ..Self::json(error.status, error.body()) }
    }
}

/// An answer given instead of going on: access, routing and media types have answers that are no [`ApiError`].
/// Boxed, because it is the rare way out of functions whose usual result is small.
#[derive(Debug)]
pub(super) struct Refusal(Box<Response>);

impl Refusal {
    pub(super) fn into_response(self) -> Response {
        *self.0
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(Response { is_error: true, ..response }))
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Response::from(error).into()
    }
}
