//! The server: binding, the way of one request, graceful stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request as HyperRequest;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response as HyperResponse;
use axum::serve::ListenerExt;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::{Access, ApiKeys, Credential};
use super::budget::{self, Budget};
use super::compression::{self, DecodeError};
use super::encode::Form;
use super::filter_path::FilterPath;
use super::media_type;
use super::params::{self, Params};
use super::request::{Request, unsupported_format};
use super::response::{Refusal, Response};
use super::router::Router;
use super::tls::{TlsFiles, TlsListener, set_nodelay};
use crate::error::ApiError;

/// Longest body, as sent and unpacked: Elasticsearch's `http.max_content_length`.
pub const MAX_BODY_BYTES: usize = 100 * 1024 * 1024;

/// How many times its size a packed body is taken to be.
const PACKED_RATIO: usize = 10;

/// How long a stopping server waits for requests in progress.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Where and for whom the server listens.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address; port 0 takes a free one. Not loopback: needs credentials and TLS.
    pub bind: SocketAddr,
    /// Empty: anyone on this machine.
    pub credentials: Vec<Credential>,
    /// HTTPS instead of HTTP.
    pub tls: Option<TlsFiles>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everyone in the network could read and write.
    #[error(
        "refusing to listen on {address}: it is not a loopback address, and {missing} not configured. \
         Configure a username and password or an API key, and a TLS certificate and key; or bind to 127.0.0.1"
    )]
    Unprotected {
        /// The address asked for.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key are not usable.
    #[error("TLS: {0}")]
    Tls(String),
}

/// A server that holds its address but does not answer yet.
#[derive(Debug)]
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: Option<Acceptor>,
    credentials: Vec<Credential>,
    keys: Option<Arc<dyn ApiKeys>>,
}

struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acceptor")
    }
}

/// A running server; dropping it stops it at once.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    url: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Binds the address.
///
/// # Errors
/// [`StartError`], worded for the operator.
pub async fn bind(options: ServerOptions) -> Result<BoundServer, StartError> {
    let address = options.bind;
    if !address.ip().is_loopback() {
        let missing = match (options.credentials.is_empty(), options.tls.is_none()) {
            (true, true) => "credentials and TLS are",
            (true, false) => "credentials are",
            (false, true) => "TLS is",
            (false, false) => "",
        };
        if !missing.is_empty() {
            return Err(StartError::Unprotected { address, missing });
        }
    }
    let acceptor =
        options.tls.as_ref().map(TlsFiles::acceptor).transpose().map_err(StartError::Tls)?.map(Acceptor);
    let listener = TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Bind { address, source })?;
    Ok(BoundServer { listener, address, acceptor, credentials: options.credentials, keys: None })
}

impl BoundServer {
    /// The address taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:9200`, or `https:`.
    pub fn url(&self) -> String {
        let scheme = if self.acceptor.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Also lets in whoever brings one of these keys, when the server asks for credentials.
    #[must_use]
    pub fn with_keys(self, keys: Arc<dyn ApiKeys>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Starts answering.
    pub fn serve<S: Send + Sync + 'static>(self, router: Router<S>, state: Arc<S>) -> ServerHandle {
        let (address, url) = (self.address, self.url());
        let service = Arc::new(Service {
            router,
            state,
            access: Access { credentials: self.credentials, keys: self.keys, port: address.port() },
            budget: Budget::new(budget::BODIES),
        });
        let app = axum::Router::new().fallback(move |request: HyperRequest| {
            let service = Arc::clone(&service);
            async move { service.answer(request).await }
        });
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let listener = self.listener;
        let acceptor = self.acceptor;
        let task = tokio::spawn(async move {
            let result = match acceptor {
                None => {
                    let listener = listener.tap_io(|stream| set_nodelay(stream));
                    axum::serve(listener, app).with_graceful_shutdown(stopping.cancelled_owned()).await
                }
                Some(Acceptor(acceptor)) => match TlsListener::new(listener, acceptor) {
                    Ok(listener) => {
                        axum::serve(listener, app).with_graceful_shutdown(stopping.cancelled_owned()).await
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                tracing::error!(%error, "the server stopped");
            }
        });
        ServerHandle { address, url, stop, task }
    }
}

impl ServerHandle {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Accepts no more, answers what is in progress (at most 30 s of it), and ends.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(STOP_PATIENCE, &mut self.task).await.is_err() {
            tracing::warn!("requests were still in progress when the server stopped");
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

struct Service<S> {
    router: Router<S>,
    state: Arc<S>,
    access: Access,
    budget: Budget,
}

impl<S: Send + Sync + 'static> Service<S> {
    async fn answer(&self, request: HyperRequest) -> HyperResponse {
        let mut form = Form::of_headers(request.headers());
        // Without a body there is nothing to unpack, and clients that try fail.
        form.gzip &= request.method() != Method::HEAD;
        let response = match self.dispatch(request, &mut form).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        form.encode(response)
    }

    async fn dispatch(&self, request: HyperRequest, form: &mut Form) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let identity = self.access.check(&parts.headers, &path)?;
        let mut params = Params::parse(parts.uri.query().unwrap_or_default())?;
        form.pretty = params.opt_bool("pretty")?;
        form.filter = params.get("filter_path").map(FilterPath::parse);
        let human = params.bool("human", false)?;
        params.bool("error_trace", false)?;
        let format = params.string("format");
        // Checked whole, so that the message shows the path; segments are decoded after they are matched.
        params::decode(&path, false).map_err(ApiError::illegal_argument)?;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let uri = parts.uri.path_and_query().map_or(path.as_str(), |uri| uri.as_str());
        let matched = self.router.find(&parts.method, uri, &segments)?;

        let expected = expected_bytes(&parts.headers, &body);
        let room = if expected == 0 { None } else { Some(self.budget.take(expected).await?) };
        let body = read_body(&parts.headers, body).await?;
        let negotiated = media_type::negotiate(&parts.headers, !body.is_empty())?;
        form.negotiated = Some(negotiated);
        if let Some(format) = format.as_deref()
            && !matches!(format, "json" | "text" | "txt" | "")
        {
            return Err(unsupported_format(format).into());
        }
        let body = unpack(&parts.headers, body).await?;
        let finished = Arc::new(AtomicBool::new(false));
        let request = Request {
            method: parts.method.clone(),
            path: path.clone(),
            params,
            headers: parts.headers,
            identity,
            human,
            segments: matched.segments,
            format,
            negotiated,
            body,
            body_read: AtomicBool::new(false),
            finished: Arc::clone(&finished),
        };
        // A task of its own: a client that hangs up does not cut a change in half, and a panic stays in this request.
        let handler = matched.handler;
        let state = Arc::clone(&self.state);
        let result = tokio::spawn(async move {
            let _room = room;
            handler(state, request).await
        })
        .await;
        match result {
            // A handler that forgets this would ignore unknown parameters: found by the first test that calls it.
            Ok(Ok(_)) if cfg!(debug_assertions) && !finished.load(Ordering::Relaxed) => {
                Err(ApiError::internal(format!("the handler of [{path}] did not call Request::finish"))
                    .into())
            }
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                if error.status.is_server_error() {
                    tracing::error!(method = %parts.method, %path, error = %error, "request failed");
                }
                Err(error.into())
            }
            Err(error) => {
                tracing::error!(method = %parts.method, %path, %error, "handler failed");
                Err(ApiError::internal("the request failed inside the node; its log says more").into())
            }
        }
    }
}

/// Bytes a body will take: what is announced, more where it is packed, the most that is allowed where nothing is said.
fn expected_bytes(headers: &HeaderMap, body: &axum::body::Body) -> usize {
    let hint = axum::body::HttpBody::size_hint(body);
    match hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)) {
        Some(bytes) if headers.contains_key(header::CONTENT_ENCODING) => {
            bytes.saturating_mul(PACKED_RATIO).min(MAX_BODY_BYTES)
        }
        Some(bytes) => bytes.min(MAX_BODY_BYTES),
        None => MAX_BODY_BYTES,
    }
}

async fn read_body(headers: &HeaderMap, mut body: axum::body::Body) -> Result<Bytes, Refusal> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::illegal_argument(format!("the request body could not be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_none() && all.is_empty() {
            // Most bodies arrive in one piece: no copy.
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            all.reserve(announced.unwrap_or(0).min(MAX_BODY_BYTES).max(first.len() + data.len()));
            all.extend_from_slice(&first);
        }
        if all.len() + data.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        all.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

async fn unpack(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).map(str::trim);
    match coding {
        None => return Ok(body),
        Some(name) if name.is_empty() || name.eq_ignore_ascii_case("identity") => return Ok(body),
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {}
        Some(other) => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "illegal_argument_exception",
                format!("Content-Encoding [{other}] is not supported, allowed are [gzip]"),
            )
            .into());
        }
    }
    if body.is_empty() {
        return Ok(body);
    }
    let unpacked = tokio::task::spawn_blocking(move || compression::gunzip(&body, MAX_BODY_BYTES)).await;
    match unpacked {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(DecodeError::TooLarge)) => Err(too_large()),
        Ok(Err(DecodeError::Invalid(reason))) => {
            Err(ApiError::illegal_argument(format!("the gzip body could not be unpacked: {reason}")).into())
        }
        Err(error) => Err(ApiError::internal(error).into()),
    }
}

fn too_large() -> Refusal {
    let error = ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "content_too_long_exception",
        format!("entity content is too long for the configured limit of [{MAX_BODY_BYTES}] bytes"),
    );
    Response::from(error).with_header(header::CONNECTION, HeaderValue::from_static("close")).into()
}
