//! Everything between us and a remote: the HTTP client and its TLS, the one retry loop, throttling, and the cache of
//! OAuth tokens.
//!
//! Clients of Elasticsearch and of third-party systems are built on [`HttpClient`]. They say which of their errors are
//! worth another attempt by implementing [`Classify`]; [`retry`] alone waits. Nothing here prints a credential: errors
//! name a remote by scheme, host and port only.

mod client;
mod error;
mod retry;
mod retry_after;
mod throttle;
mod tls;
mod token;

pub use client::{HttpClient, HttpOptions, HttpRequest, Redirects};
pub use error::{ErrorKind, TransportError, origin};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
pub use reqwest::Url;
pub use retry::{Backoff, Classify, RetryError, RetryPolicy, Verdict, retry};
pub use retry_after::retry_after;
pub use throttle::{Permit, Throttle};
pub use tls::{Trust, install_crypto_provider};
pub use token::{Token, TokenCache};
pub use tokio_util::sync::CancellationToken;
