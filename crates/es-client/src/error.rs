//! What went wrong with a request to the cluster.

use std::cmp::Reverse;
use std::error::Error as StdError;
use std::fmt;

use connectors_transport::{ErrorKind, Method, TransportError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The longest reason that is kept, in characters: some of Elasticsearch's list every shard.
const LONGEST_REASON: usize = 1000;

/// The longest part that is kept of an answer which is not Elasticsearch's, in characters.
const LONGEST_FOREIGN_REASON: usize = 200;

/// The class of an [`EsError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EsErrorKind {
    /// The cluster answered with an error status.
    Status(u16),
    /// No usable answer came back.
    Transport(ErrorKind),
    /// The answer is not what this API answers: not JSON, or without a member it must have.
    InvalidAnswer,
    /// The request was given up because the work it belongs to was canceled.
    Canceled,
    /// The configuration cannot be used.
    Config,
    /// The server works, but is not one we can work with (product or version).
    Unsupported,
}

/// A failed request: which one, what the server said about it, and what to do. Holds no body and no credential.
#[derive(Clone, PartialEq, Eq)]
pub struct EsError(Box<Details>);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    kind: EsErrorKind,
    error_type: Option<String>,
    reason: String,
    request: Option<(Method, String)>,
    origin: Option<String>,
    attempts: u32,
}

impl EsError {
    pub(crate) fn new(kind: EsErrorKind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self(Box::new(Details { kind, error_type: None, reason, request: None, origin: None, attempts: 1 }))
    }

    pub(crate) fn config(reason: impl Into<String>) -> Self {
        Self::new(EsErrorKind::Config, reason)
    }

    pub(crate) fn invalid_answer(reason: impl Into<String>) -> Self {
        Self::new(EsErrorKind::InvalidAnswer, reason)
    }

    pub(crate) fn transport(error: &TransportError) -> Self {
        let mut this = Self::new(EsErrorKind::Transport(error.kind()), error.to_string());
        this.0.origin = error.origin().map(str::to_owned);
        this
    }

    /// Reads the body of an answer with an error status.
    pub(crate) fn status(status: u16, body: &[u8], secrets: &[SecretString]) -> Self {
        let mut this = Self::new(EsErrorKind::Status(status), String::new());
        let (reason, longest) = match serde_json::from_slice::<Value>(body) {
            Ok(answer) => {
                let error = answer.get("error").unwrap_or(&answer);
                this.0.error_type = error["type"].as_str().map(|text| hide(text.to_owned(), secrets));
                (server_reason(error), LONGEST_REASON)
            }
            Err(_) => (foreign_reason(body), LONGEST_FOREIGN_REASON),
        };
        // Cut last: of a secret that is cut in two, the rest would not be found.
        this.0.reason = cut(hide(reason, secrets), longest);
        this
    }

    #[must_use]
    pub(crate) fn of_request(mut self, method: &Method, path: &str) -> Self {
        self.0.request.get_or_insert_with(|| (method.clone(), path.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, origin: String) -> Self {
        self.0.origin.get_or_insert(origin);
        self
    }

    #[must_use]
    pub(crate) fn after_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> EsErrorKind {
        self.0.kind
    }

    /// The HTTP status, where the cluster answered.
    pub fn status_code(&self) -> Option<u16> {
        match self.0.kind {
            EsErrorKind::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Elasticsearch's exception type, for example `version_conflict_engine_exception`.
    pub fn error_type(&self) -> Option<&str> {
        self.0.error_type.as_deref()
    }

    /// What the server, or the layer that failed, said.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The request's method, where a request was made.
    pub fn method(&self) -> Option<&Method> {
        self.0.request.as_ref().map(|(method, _)| method)
    }

    /// The request's path without query, where a request was made.
    pub fn path(&self) -> Option<&str> {
        self.0.request.as_ref().map(|(_, path)| path.as_str())
    }

    /// How often the request was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// 409: somebody else wrote the document or index first.
    pub fn is_conflict(&self) -> bool {
        self.status_code() == Some(409)
    }

    /// 404: no such index, document or API.
    pub fn is_not_found(&self) -> bool {
        self.status_code() == Some(404)
    }

    /// 401 or 403: these credentials are wrong or not enough.
    pub fn is_denied(&self) -> bool {
        matches!(self.status_code(), Some(401 | 403))
    }

    /// Whether the work was canceled rather than failed.
    pub fn is_canceled(&self) -> bool {
        self.0.kind == EsErrorKind::Canceled
    }

    /// Whether the same request may succeed later with nothing changed on our side. The client has retried it already,
    /// as far as its configuration goes.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            EsErrorKind::Status(status) => matches!(status, 429 | 500 | 502 | 503 | 504),
            EsErrorKind::Transport(kind) => kind.is_transient(),
            _ => false,
        }
    }

    /// Whether the resource exists already: what a request that creates it answers then.
    pub fn is_already_exists(&self) -> bool {
        self.error_type() == Some("resource_already_exists_exception")
    }

    /// What an operator can do, where the class of the failure says it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.0.kind {
            EsErrorKind::Status(401) => {
                "check elasticsearch.api_key, or elasticsearch.username and elasticsearch.password"
            }
            EsErrorKind::Status(403) => {
                "the API key or user lacks a privilege that the reason names: grant it, or use another key"
            }
            EsErrorKind::Status(413) => {
                "the request is larger than the server or a proxy before it accepts: lower elasticsearch.bulk.chunk_max_mem_size"
            }
            EsErrorKind::Status(429) => {
                "the cluster is overloaded: lower elasticsearch.bulk.max_concurrency or give it more resources"
            }
            EsErrorKind::Transport(ErrorKind::Dns) => "check the host name in elasticsearch.host",
            EsErrorKind::Transport(ErrorKind::Refused) => {
                "check that Elasticsearch is running and that elasticsearch.host names its port"
            }
            EsErrorKind::Transport(ErrorKind::Certificate) => {
                "set elasticsearch.ca_certs to the cluster's CA file (http_ca.crt), and elasticsearch.host to a name that its certificate holds"
            }
            EsErrorKind::Transport(ErrorKind::Tls) => {
                "check that the port in elasticsearch.host speaks https; if it speaks http, write http:// there"
            }
            EsErrorKind::Transport(ErrorKind::Protocol) => {
                "check that elasticsearch.host names the HTTP port (9200), with https:// if it speaks TLS"
            }
            EsErrorKind::Transport(ErrorKind::Timeout) => {
                "the cluster is slow or a firewall drops the traffic: check it, or raise elasticsearch.request_timeout"
            }
            EsErrorKind::Transport(ErrorKind::Redirect) => {
                "a proxy or login page answers in the place of Elasticsearch: check elasticsearch.host"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for EsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        if let Some((method, path)) = &details.request {
            write!(formatter, "{method} {path} ")?;
            match &details.origin {
                Some(origin) if !details.reason.starts_with(origin.as_str()) => {
                    write!(formatter, "at {origin} failed")?;
                }
                _ => formatter.write_str("failed")?,
            }
            if details.attempts > 1 {
                write!(formatter, " {} times", details.attempts)?;
            }
            formatter.write_str(": ")?;
        }
        if let EsErrorKind::Status(status) = details.kind {
            write!(formatter, "{status}")?;
            if let Some(error_type) = &details.error_type {
                write!(formatter, " {error_type}")?;
            }
            if !details.reason.is_empty() {
                formatter.write_str(": ")?;
            }
        }
        formatter.write_str(&details.reason)?;
        match self.hint() {
            Some(hint) => write!(formatter, " — {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for EsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EsError({:?}: {self})", self.0.kind)
    }
}

impl StdError for EsError {}

/// The text without the secrets that the server echoed.
fn hide(mut text: String, secrets: &[SecretString]) -> String {
    let mut secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    // Longest first: of one that begins with another, the rest would stay.
    secrets.sort_unstable_by_key(|secret| Reverse(secret.len()));
    // Shorter than any real secret; replacing it would only garble the text.
    for secret in secrets.into_iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, "[secret]");
    }
    text
}

/// The first `longest` characters, with a mark when that is not all.
fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The reason of an error object, with the cause when it says more ("all shards failed" alone helps nobody).
fn server_reason(error: &Value) -> String {
    if let Some(text) = error.as_str() {
        return text.to_owned();
    }
    let mut reason = error["reason"].as_str().unwrap_or_default().to_owned();
    let cause = &error["caused_by"];
    for (cause_type, cause_reason) in [
        (&error["root_cause"][0]["type"], &error["root_cause"][0]["reason"]),
        (&cause["type"], &cause["reason"]),
        (&cause["caused_by"]["type"], &cause["caused_by"]["reason"]),
    ] {
        if let (Some(cause_type), Some(cause_reason)) = (cause_type.as_str(), cause_reason.as_str())
            && !reason.contains(cause_reason)
        {
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(cause_type);
            reason.push_str(": ");
            reason.push_str(cause_reason);
        }
    }
    reason
}

/// What to say about an answer that is not Elasticsearch's.
fn foreign_reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') {
        return "the answer is an HTML or XML page, so it comes from a proxy rather than from Elasticsearch"
            .to_owned();
    }
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(code: u16, body: &Value) -> EsError {
        EsError::status(code, body.to_string().as_bytes(), &[])
    }

    #[test]
    fn says_request_status_type_reason_and_hint() {
        let body = json!({"error": {"type": "security_exception", "reason": "action [x] is unauthorized"}, "status": 403});
        let error = status(403, &body).of_request(&Method::PUT, "/idx").at("http://h:9200".into());
        assert_eq!(
            error.to_string(),
            "PUT /idx at http://h:9200 failed: 403 security_exception: action [x] is unauthorized — \
             the API key or user lacks a privilege that the reason names: grant it, or use another key"
        );
        assert!(error.is_denied() && !error.is_retryable());
        assert_eq!((error.method(), error.path()), (Some(&Method::PUT), Some("/idx")));
    }

    #[test]
    fn adds_the_cause_that_says_more() {
        let body = json!({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed",
            "root_cause": [{"type": "query_shard_exception", "reason": "No mapping found for [x]"}],
            "caused_by": {"type": "query_shard_exception", "reason": "No mapping found for [x]"}}});
        assert_eq!(
            status(400, &body).reason(),
            "all shards failed; query_shard_exception: No mapping found for [x]"
        );
    }

    #[test]
    fn reads_answers_that_are_not_elasticsearchs() {
        assert_eq!(status(405, &json!({"error": "Incorrect HTTP method"})).reason(), "Incorrect HTTP method");
        assert_eq!(EsError::status(401, b"Unauthorized\n", &[]).reason(), "Unauthorized");
        assert!(EsError::status(502, b"<html>Bad Gateway", &[]).reason().contains("proxy"));
        assert_eq!(EsError::status(404, b"", &[]).to_string(), "404");
    }

    #[test]
    fn cuts_long_reasons_and_hides_echoed_secrets() {
        let secrets = ["hunter2", "hunter2-proxy", ""].map(SecretString::from);
        let error = EsError::status(400, format!("bad hunter2 {}", "x".repeat(5000)).as_bytes(), &secrets);
        assert!(error.reason().starts_with("bad [secret] x"), "{error}");
        assert_eq!(error.reason().chars().count(), LONGEST_FOREIGN_REASON + 1);
        // Wherever the cut falls, and whichever secret begins with the other.
        for before in LONGEST_FOREIGN_REASON - 20..=LONGEST_FOREIGN_REASON {
            let body = format!("{}hunter2-proxy, hunter2", "x".repeat(before));
            let error = EsError::status(503, body.as_bytes(), &secrets);
            assert!(!error.reason().contains("hun") && !error.reason().contains("proxy"), "{error}");
        }
        let error = EsError::status(400, br#"{"error": {"type": "no hunter2", "reason": ""}}"#, &secrets);
        assert_eq!(error.error_type(), Some("no [secret]"));
        let error = status(400, &json!({"error": {"reason": "é".repeat(5000)}}));
        assert_eq!(error.reason().chars().count(), LONGEST_REASON + 1);
    }

    #[test]
    fn knows_what_kind_of_failure_it_is() {
        assert!(status(409, &json!({})).is_conflict());
        assert!(status(404, &json!({})).is_not_found());
        assert!(status(503, &json!({})).is_retryable());
        assert!(EsError::new(EsErrorKind::Canceled, "x").is_canceled());
        let exists = json!({"error": {"type": "resource_already_exists_exception", "reason": ""}});
        assert!(status(400, &exists).is_already_exists());
        let cut = TransportError::new(ErrorKind::Closed, Some("http://h:1".into()), "eof");
        let cut = EsError::transport(&cut).of_request(&Method::GET, "/").after_attempts(3);
        assert!(cut.is_retryable());
        assert_eq!(
            cut.to_string(),
            "GET / failed 3 times: http://h:1: the connection was cut before the answer was complete (eof)"
        );
    }
}
