//! A request as handlers see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use super::access::Identity;
use super::media_type::Negotiated;
use super::{Params, json};
use crate::error::{ApiError, Result};

/// One request whose route is known.
#[derive(Debug)]
pub struct Request {
    /// Method; HEAD only reaches routes that name it.
    pub method: Method,
    /// Path as sent, without the query: for messages.
    pub path: String,
    /// Query parameters, without those of the answer (`pretty`, `human`, `error_trace`, `filter_path`, `format`).
    pub params: Params,
    /// Headers as sent.
    pub headers: HeaderMap,
    /// Who asks.
    pub identity: Identity,
    /// `?human`: byte sizes and times are added in words where Elasticsearch does.
    pub human: bool,
    pub(super) segments: Vec<(&'static str, String)>,
    pub(super) format: Option<String>,
    pub(super) negotiated: Negotiated,
    pub(super) body: Bytes,
    pub(super) body_read: AtomicBool,
    pub(super) finished: Arc<AtomicBool>,
}

impl Request {
    /// The decoded path segment a route names in braces, if the matched route has it.
    pub fn segment(&self, name: &str) -> Option<&str> {
        self.segments.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    /// Sets a path segment, also one the route does not name.
    pub(crate) fn set_segment(&mut self, name: &'static str, value: String) {
        self.segments.retain(|(other, _)| *other != name);
        self.segments.push((name, value));
    }

    /// As [`Request::segment`] for routes that always have it.
    ///
    /// # Errors
    /// 500 when the route does not name it, which is a fault of the routing table.
    pub fn required_segment(&self, name: &str) -> Result<&str> {
        self.segment(name)
            .ok_or_else(|| ApiError::internal(format!("route of [{}] lacks [{name}]", self.path)))
    }

    /// The body as sent (after gzip).
    pub fn body(&self) -> &Bytes {
        self.body_read.store(true, Ordering::Relaxed);
        &self.body
    }

    /// The body as JSON; `None` without one. A GET may carry it in `source` with `source_content_type`.
    ///
    /// # Errors
    /// 400 with line and column.
    pub fn json(&mut self) -> Result<Option<Value>> {
        self.body_read.store(true, Ordering::Relaxed);
        if !self.body.is_empty() {
            return if self.body.iter().all(u8::is_ascii_whitespace) {
                Ok(None)
            } else {
                json::parse(&self.body).map(Some)
            };
        }
        let Some(source) = self.params.string("source") else { return Ok(None) };
        match self.params.get("source_content_type") {
            Some(kind) if kind.starts_with("application/") && kind.contains("json") => {
                json::parse(source.as_bytes()).map(Some)
            }
            Some(kind) => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "illegal_state_exception",
                format!("Unknown value for source_content_type [{kind}]"),
            )),
            None => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "illegal_state_exception",
                "source and source_content_type parameters are required",
            )),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 400 `parse_exception` without one.
    pub fn required_json(&mut self) -> Result<Value> {
        self.json()?.ok_or_else(|| {
            ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", "request body is required")
        })
    }

    /// Whether a text table (`_cat`) is wanted as JSON: `format=json`, or an `Accept` of JSON alone.
    ///
    /// # Errors
    /// 400 for a format this node does not write.
    pub fn wants_json(&self) -> Result<bool> {
        match self.format.as_deref() {
            None => Ok(self.negotiated.json),
            Some("json") => Ok(true),
            Some("text" | "txt" | "") => Ok(false),
            Some(other) => Err(unsupported_format(other)),
        }
    }

    /// Refuses unknown parameters, and a body the handler did not look at. Handlers call it once they have read what
    /// they know and before they do anything.
    ///
    /// # Errors
    /// 400 in Elasticsearch's words.
    pub fn finish(&self) -> Result<()> {
        self.finished.store(true, Ordering::Relaxed);
        self.params.finish(&self.path)?;
        if !self.body_read.load(Ordering::Relaxed) && !self.body.is_empty() {
            return Err(ApiError::illegal_argument(format!(
                "request [{} {}] does not support having a body",
                self.method, self.path
            )));
        }
        Ok(())
    }
}

pub(super) fn unsupported_format(format: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "unsupported value [{format}] for parameter [format], allowed are [json, text]"
    ))
}
