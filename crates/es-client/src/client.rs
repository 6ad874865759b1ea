//! Sending requests: hosts, credentials, retries, and reading answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectors_transport::{
    Backoff, CancellationToken, Classify, ErrorKind, HeaderMap, HeaderValue, HttpClient, HttpOptions,
    HttpRequest, Method, RetryError, RetryPolicy, Url, Verdict, origin, retry, retry_after,
};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Auth, EsConfig};
use crate::error::{EsError, EsErrorKind};
use crate::gzip;

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// After anything transient: running it twice is the same as running it once.
    Always,
    /// After anything transient but a 500: a bulk. Its operations name their document, so a second run gives the same
    /// index; but a 500 is the answer to something in this body, which would be sent and refused again.
    NotAfterServerError,
    /// Only when the server surely did not run it (no connection, 429, 503): a POST that creates something under an
    /// id the server picks.
    IfNotProcessed,
    /// Never: a probe whose caller has its own waits.
    Never,
}

impl Repeat {
    /// What is right for a method and path. POST is only repeated for the APIs where that is known to be harmless.
    fn of(method: &Method, path: &str) -> Self {
        if *method != Method::POST {
            return Self::Always;
        }
        let mut segments = path.rsplit('/');
        match segments.next().unwrap_or_default() {
            "_bulk" => Self::NotAfterServerError,
            "_search" | "_count" | "_msearch" | "_mget" | "_refresh" | "_flush" | "_pit"
            | "point_in_time" | "_field_caps" | "_analyze" | "_delete_by_query" | "_aliases"
            | "_simulate" => Self::Always,
            // /{index}/_update/{id}: a merge of the same fields, or guarded by if_seq_no.
            _ if segments.next() == Some("_update") => Self::Always,
            _ => Self::IfNotProcessed,
        }
    }
}

/// One request to the cluster, for what [`EsClient::request`] cannot say.
#[derive(Debug, Clone)]
pub struct EsRequest {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Bytes,
    content_type: &'static str,
    repeat: Repeat,
    timeout: Option<Duration>,
    accept: &'static [u16],
}

impl EsRequest {
    /// A request without query or body. `path` starts with a slash and is percent-encoded (see [`path`](crate::path)).
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            repeat: Repeat::of(&method, &path),
            method,
            path,
            query: Vec::new(),
            body: Bytes::new(),
            content_type: "application/json",
            timeout: None,
            accept: &[],
        }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self
    }

    /// Sets a body of JSON lines.
    #[must_use]
    pub fn ndjson(mut self, body: Bytes) -> Self {
        self.body = body;
        self.content_type = "application/x-ndjson";
        self
    }

    /// Says when it may be sent again; by default what its method and path allow.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Overrides `request_timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Error statuses that are an answer here, such as 404 where absence is no failure. They are not retried.
    #[must_use]
    pub fn accept(mut self, statuses: &'static [u16]) -> Self {
        self.accept = statuses;
        self
    }
}

/// A complete answer whose status is a success or was accepted.
#[derive(Debug, Clone)]
pub struct EsResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Bytes,
    request: (Method, String),
}

impl EsResponse {
    /// The body as a type; an error that names the request when it is not that.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, EsError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // serde's message can quote a value of the answer, so only its place is told.
            let place = format!("line {} column {}", error.line(), error.column());
            self.invalid(match error.classify() {
                serde_json::error::Category::Data => {
                    format!("the answer is not of the expected form at {place}")
                }
                _ => format!(
                    "the answer is not JSON at {place}: does a proxy answer instead of Elasticsearch?"
                ),
            })
        })
    }

    /// The error that an answer with an accepted status is after all.
    pub(crate) fn as_error(&self, client: &EsClient) -> EsError {
        EsError::status(self.status, &self.body, &client.shared.secrets)
            .of_request(&self.request.0, &self.request.1)
            .at(client.address())
    }

    /// An error about this answer that names its request.
    pub(crate) fn invalid(&self, reason: impl Into<String>) -> EsError {
        EsError::invalid_answer(reason).of_request(&self.request.0, &self.request.1)
    }
}

/// A client of one cluster. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct EsClient {
    shared: Arc<Shared>,
    cancel: CancellationToken,
}

pub(crate) struct Shared {
    http: HttpClient,
    hosts: Vec<Url>,
    /// Index of the host to use; moves on when it cannot be reached.
    current: AtomicUsize,
    config: EsConfig,
    retries: RetryPolicy,
    secrets: Vec<SecretString>,
}

impl fmt::Debug for EsClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.shared.hosts.iter().map(origin).collect();
        formatter.debug_struct("EsClient").field("hosts", &hosts).finish_non_exhaustive()
    }
}

impl EsClient {
    /// Builds a client; makes no request. Fails on a host, header or CA file that cannot be used.
    pub fn new(config: EsConfig) -> Result<Self, EsError> {
        let endpoints = config.endpoints()?;
        let has_auth = endpoints.1.is_some();
        let this = Self::built(config, endpoints)?;
        if has_auth && this.shared.hosts.iter().any(|host| host.scheme() == "http" && !is_loopback(host)) {
            tracing::warn!("credentials go to Elasticsearch over plain http: use https");
        }
        Ok(this)
    }

    /// The same with connections of its own, which go with it: what a job has read and sent leaves no buffers behind. (The pool
    /// keeps idle connections, and each of them the largest buffer it ever needed.)
    pub fn with_own_connections(&self) -> Result<Self, EsError> {
        let config = self.shared.config.clone();
        let endpoints = config.endpoints()?;
        let Self { shared, cancel } = Self::built(config, endpoints)?;
        shared.current.store(self.shared.current.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(Self { shared, cancel })
    }

    /// `endpoints`: those of the configuration.
    fn built(config: EsConfig, (hosts, auth): (Vec<Url>, Option<Auth>)) -> Result<Self, EsError> {
        let http = HttpClient::new(HttpOptions {
            trust: config.trust(&hosts),
            headers: config.default_headers(auth.as_ref())?,
            connect_timeout: config.request_timeout.min(Duration::from_secs(30)),
            timeout: config.request_timeout,
            max_response_bytes: config.max_response_bytes,
            ..HttpOptions::default()
        })
        .map_err(|error| EsError::config(format!("elasticsearch: {error}")))?;
        let retries = RetryPolicy {
            max_retries: Some(config.max_retries),
            interval: config.retry_interval,
            backoff: Backoff::Linear,
            max_interval: Duration::from_mins(5),
            ..RetryPolicy::default()
        };
        let secrets = config.secrets(auth.as_ref());
        let shared = Shared { http, hosts, current: AtomicUsize::new(0), config, retries, secrets };
        Ok(Self { shared: Arc::new(shared), cancel: CancellationToken::new() })
    }

    /// A client over the same connections whose requests and waits end at once when `cancel` is canceled.
    #[must_use]
    pub fn with_cancellation(&self, cancel: CancellationToken) -> Self {
        Self { shared: Arc::clone(&self.shared), cancel }
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &EsConfig {
        &self.shared.config
    }

    /// `scheme://host:port` of the host in use, for messages.
    pub fn address(&self) -> String {
        origin(self.shared.host())
    }

    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Makes a JSON request and reads the JSON answer (`null` when the answer has no body). Any error status is an
    /// [`EsError`].
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, EsError> {
        let mut request = EsRequest::new(method, path);
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.send(request).await?;
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Sends a request, again where its [`Repeat`] and the configuration allow it.
    pub async fn send(&self, request: EsRequest) -> Result<EsResponse, EsError> {
        let prepared = self.shared.prepare(&request).await?;
        let mut policy = self.shared.retries.clone();
        if request.repeat == Repeat::Never {
            policy.max_retries = Some(0);
        }
        let operation = format!("{} {}", request.method, request.path);
        let attempt = |_| self.shared.attempt(&request, &prepared);
        match retry(&policy, &operation, &self.cancel, attempt).await {
            Ok(answer) => Ok(answer),
            Err(RetryError::Failed { error, attempts }) => Err(error.error.after_attempts(attempts)),
            Err(RetryError::Canceled) => {
                Err(EsError::new(EsErrorKind::Canceled, "canceled")
                    .of_request(&request.method, &request.path))
            }
        }
    }

    /// HEAD: whether something is there.
    pub async fn exists(&self, path: &str) -> Result<bool, EsError> {
        let answer = self.send(EsRequest::new(Method::HEAD, path).accept(&[404])).await?;
        Ok(answer.status != 404)
    }
}

/// What is the same in all attempts of a request.
struct Prepared {
    headers: HeaderMap,
    body: Bytes,
}

impl Shared {
    fn host(&self) -> &Url {
        &self.hosts[self.current.load(Ordering::Relaxed) % self.hosts.len()]
    }

    async fn prepare(&self, request: &EsRequest) -> Result<Prepared, EsError> {
        let mut prepared = Prepared { headers: HeaderMap::new(), body: request.body.clone() };
        if prepared.body.is_empty() {
            return Ok(prepared);
        }
        prepared.headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        if self.config.compress {
            let small = gzip::compress(&prepared.body).await.map_err(|error| {
                EsError::config(format!("cannot compress: {error}"))
                    .of_request(&request.method, &request.path)
            })?;
            if let Some(small) = small {
                prepared.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                prepared.body = small;
            }
        }
        Ok(prepared)
    }

    async fn attempt(&self, request: &EsRequest, prepared: &Prepared) -> Result<EsResponse, Attempt> {
        let index = self.current.load(Ordering::Relaxed);
        let host = &self.hosts[index % self.hosts.len()];
        let named = |error: EsError| error.of_request(&request.method, &request.path).at(origin(host));
        let gave_up = |error: EsError| Attempt { error: named(error), verdict: Verdict::GiveUp };
        let http_request = HttpRequest {
            headers: prepared.headers.clone(),
            body: prepared.body.clone(),
            timeout: request.timeout,
            ..HttpRequest::new(request.method.clone(), request_url(host, request).map_err(gave_up)?)
        };
        let answer = match self.http.send(http_request).await {
            Ok(answer) => answer,
            Err(error) => {
                if error.kind().is_transient() {
                    // Another request may have moved on from this host at the same time: once is enough.
                    let _ = self.current.compare_exchange(
                        index,
                        index.wrapping_add(1),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                let retried = self.may_repeat(request.repeat, error.kind());
                let verdict = if retried { Verdict::Retry } else { Verdict::GiveUp };
                return Err(Attempt { error: named(EsError::transport(&error)), verdict });
            }
        };
        let (parts, body) = answer.into_parts();
        let body = match parts.headers.get(CONTENT_ENCODING) {
            Some(coding) if coding.as_bytes().eq_ignore_ascii_case(b"gzip") => {
                gzip::decompress(&body, self.config.max_response_bytes).map_err(|error| {
                    gave_up(EsError::invalid_answer(format!("cannot decompress the answer: {error}")))
                })?
            }
            _ => body,
        };
        let status = parts.status.as_u16();
        if parts.status.is_success() || request.accept.contains(&status) {
            let request = (request.method.clone(), request.path.clone());
            return Ok(EsResponse { status, headers: parts.headers, body, request });
        }
        let verdict = match (status, request.repeat) {
            (429 | 503, _) | (502 | 504, Repeat::Always | Repeat::NotAfterServerError) => {
                retry_after(&parts.headers).map_or(Verdict::Retry, Verdict::RetryAfter)
            }
            (500, Repeat::Always) => Verdict::Retry,
            _ => Verdict::GiveUp,
        };
        Err(Attempt { error: named(EsError::status(status, &body, &self.secrets)), verdict })
    }

    fn may_repeat(&self, repeat: Repeat, failure: ErrorKind) -> bool {
        let harmless = failure.is_before_sending() || repeat != Repeat::IfNotProcessed;
        let wanted = failure != ErrorKind::Timeout || self.config.retry_on_timeout;
        failure.is_transient() && harmless && wanted
    }
}

/// The URL of a request at a host. The URL standard resolves "." and ".." segments even when they are encoded, so
/// a document with such an id would silently be another path: refused.
fn request_url(host: &Url, request: &EsRequest) -> Result<Url, EsError> {
    let prefix = host.path().trim_end_matches('/');
    let mut url = host.clone();
    url.set_path(&format!("{prefix}{}", request.path));
    if url.path().strip_prefix(prefix) != Some(request.path.as_str()) {
        return Err(EsError::config("this path cannot be expressed in a URL")
            .of_request(&request.method, &request.path));
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.query);
    }
    Ok(url)
}

/// A failed attempt with what the retry loop does about it.
struct Attempt {
    error: EsError,
    verdict: Verdict,
}

impl Classify for Attempt {
    fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_posts_are_repeated() {
        let post = |path| Repeat::of(&Method::POST, path);
        assert_eq!(post("/idx/_bulk"), Repeat::NotAfterServerError);
        assert_eq!(post("/idx/_search"), Repeat::Always);
        assert_eq!(post("/idx/_search/point_in_time"), Repeat::Always);
        assert_eq!(post("/idx/_update/some-id"), Repeat::Always);
        assert_eq!(post("/idx/_doc"), Repeat::IfNotProcessed);
        assert_eq!(post("/_connector/_sync_job"), Repeat::IfNotProcessed);
        assert_eq!(Repeat::of(&Method::PUT, "/idx/_doc/1"), Repeat::Always);
        assert_eq!(Repeat::of(&Method::DELETE, "/idx"), Repeat::Always);
    }

    #[test]
    fn a_path_that_a_url_would_change_is_refused() {
        let client = EsClient::new(EsConfig::new("http://localhost:9200/prefix/")).unwrap();
        let url = |path: &str| request_url(client.shared.host(), &EsRequest::new(Method::GET, path));
        assert_eq!(url("/idx/_doc/a%2Fb").unwrap().as_str(), "http://localhost:9200/prefix/idx/_doc/a%2Fb");
        for path in ["/idx/_doc/..", "/idx/_doc/%2e%2e/x", "/idx?pretty", "/a b"] {
            assert!(url(path).is_err(), "{path}");
        }
    }

    #[test]
    fn knows_loopback_addresses() {
        for (url, expected) in [
            ("http://localhost", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:9", true),
            ("http://es", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
