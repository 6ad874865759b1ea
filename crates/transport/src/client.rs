//! The HTTP client that every client of a remote is built on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use reqwest::Url;

use crate::error::{ErrorKind, TransportError, origin};
use crate::tls::{Trust, install_crypto_provider};

/// Which redirects a client follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// None: a redirect is an error. Following one would turn a POST into a GET and lose its body.
    #[default]
    Refuse,
    /// Up to ten, as long as scheme, host and port stay the same: credentials never go to another host.
    SameOrigin,
}

/// How to build an [`HttpClient`].
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// Sent with each request unless the request has the same header. Mark credentials as sensitive.
    pub headers: HeaderMap,
    /// Time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Time for one whole exchange, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Largest answer that is read, in bytes: an answer is held in memory.
    pub max_response_bytes: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            redirects: Redirects::default(),
            headers: HeaderMap::new(),
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_mins(2),
            max_response_bytes: 100 << 20,
        }
    }
}

/// One request. The body is cheap to clone, so a request can be sent again.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// GET, POST, …
    pub method: Method,
    /// Where to; must not hold a user name or password (use a header).
    pub url: Url,
    /// Headers besides the client's own.
    pub headers: HeaderMap,
    /// The body; empty means none.
    pub body: Bytes,
    /// Overrides [`HttpOptions::timeout`].
    pub timeout: Option<Duration>,
}

impl HttpRequest {
    /// A request without headers or body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new(), timeout: None }
    }
}

/// A pool of connections with our defaults: rustls, verification on, no proxy, no decoding, no retries of its own.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    max_response_bytes: usize,
}

impl HttpClient {
    /// Builds the client; fails on an unreadable CA file or a system without certificate authorities.
    pub fn new(options: HttpOptions) -> Result<Self, TransportError> {
        install_crypto_provider();
        let redirects = match options.redirects {
            Redirects::Refuse => reqwest::redirect::Policy::none(),
            Redirects::SameOrigin => reqwest::redirect::Policy::custom(|attempt| {
                let same =
                    attempt.previous().first().is_some_and(|first| origin(first) == origin(attempt.url()));
                if !same {
                    attempt.stop()
                } else if attempt.previous().len() > 10 {
                    attempt.error("more than ten redirects")
                } else {
                    attempt.follow()
                }
            }),
        };
        let builder = reqwest::Client::builder()
            .default_headers(options.headers)
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .redirect(redirects)
            // `retry` of this crate is the only place that sends a request twice.
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false);
        let inner = options.trust.apply(builder)?.build().map_err(|error| {
            TransportError::new(ErrorKind::InvalidOptions, None, chain(&error.without_url()))
        })?;
        Ok(Self { inner, max_response_bytes: options.max_response_bytes })
    }

    /// Sends one request once and reads the whole answer. Any status is an answer except a redirect, which is
    /// [`ErrorKind::Redirect`] when it is not followed.
    pub async fn send(&self, request: HttpRequest) -> Result<Response<Bytes>, TransportError> {
        let url = request.url.clone();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TransportError::new(
                ErrorKind::InvalidRequest,
                Some(origin(&url)),
                "credentials belong in a header, not in the URL",
            ));
        }
        let mut builder = self.inner.request(request.method, request.url).headers(request.headers);
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        if let Some(timeout) = request.timeout {
            builder = builder.timeout(timeout);
        }
        let failed = |error: reqwest::Error| TransportError::from_reqwest(error, &url);
        let mut answer = builder.send().await.map_err(failed)?;
        if answer.status().is_redirection() {
            return Err(TransportError::new(
                ErrorKind::Redirect,
                Some(origin(&url)),
                format!("status {}", answer.status().as_u16()),
            ));
        }
        let too_large = || {
            let detail = format!("more than {} bytes", self.max_response_bytes);
            TransportError::new(ErrorKind::TooLarge, Some(origin(&url)), detail)
        };
        let announced = answer.content_length().unwrap_or(0);
        let limit = self.max_response_bytes;
        let capacity = usize::try_from(announced).ok().filter(|size| *size <= limit).ok_or_else(too_large)?;
        let mut body = BytesMut::with_capacity(capacity);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// "outer: inner: innermost" of an error that concerns no remote.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        next = inner.source();
    }
    text
}
