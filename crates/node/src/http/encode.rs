//! From a handler's answer to bytes: `filter_path`, `pretty`, content type, gzip, and the headers every answer has.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use serde_json::Value;

use super::compression;
use super::filter_path::FilterPath;
use super::media_type::Negotiated;
use super::pretty;
use super::response::{Body, Response};

/// What the query string and headers say of the answer's form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// `pretty`, where it is given.
    pub pretty: Option<bool>,
    pub filter: Option<FilterPath>,
    pub negotiated: Option<Negotiated>,
    pub gzip: bool,
    /// `X-Opaque-Id`, returned as sent.
    pub opaque_id: Option<HeaderValue>,
}

impl Form {
    /// The part that headers alone decide.
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        Self {
            gzip: compression::accepts_gzip(headers),
            opaque_id: headers.get(OPAQUE_ID).cloned(),
            ..Self::default()
        }
    }

    pub(super) fn encode(mut self, response: Response) -> axum::response::Response {
        if response.is_error {
            self.filter = None;
        }
        let pretty = self.pretty.unwrap_or(response.is_pretty);
        let mut headers = HeaderMap::new();
        headers.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
        if let Some(id) = self.opaque_id {
            headers.insert(OPAQUE_ID, id);
        }
        let json_type = self.negotiated.map_or_else(|| "application/json".to_owned(), Negotiated::json_type);
        let (mut body, content_type) = match response.body {
            Body::Json(value) => (Self::json(value, pretty, self.filter.as_ref()), Some(json_type)),
            Body::RawJson(bytes) if pretty || self.filter.is_some() => {
                match serde_json::from_slice::<Value>(&bytes) {
                    Ok(value) => (Self::json(value, pretty, self.filter.as_ref()), Some(json_type)),
                    // Not reachable with JSON of our own making; the bytes are still the right answer.
                    Err(_) => (bytes, Some(json_type)),
                }
            }
            Body::RawJson(bytes) => (bytes, Some(json_type)),
            Body::Text(text) => (Bytes::from(text), Some("text/plain; charset=UTF-8".to_owned())),
            Body::Empty => (Bytes::new(), None),
        };
        if let Some(value) = content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        for (name, value) in response.headers {
            headers.append(name, value);
        }
        if self.gzip
            && !body.is_empty()
            && let Ok(packed) = compression::gzip(&body)
        {
            body = packed.into();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut answer = axum::response::Response::new(axum::body::Body::from(body));
        *answer.status_mut() = response.status;
        *answer.headers_mut() = headers;
        answer
    }

    fn json(value: Value, pretty: bool, filter: Option<&FilterPath>) -> Bytes {
        let value = match filter {
            Some(filter) => filter.apply(value),
            None => value,
        };
        if pretty { pretty::to_vec(&value).into() } else { value.to_string().into() }
    }
}

const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
const OPAQUE_ID: HeaderName = HeaderName::from_static("x-opaque-id");
