//! What can go wrong on the way to a remote and back, told apart by what an operator does about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use reqwest::Url;

/// The class of a [`TransportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client cannot be built from its options (CA file, headers).
    InvalidOptions,
    /// The request itself is wrong (URL, header).
    InvalidRequest,
    /// The host name has no address.
    Dns,
    /// Nobody listens on that port.
    Refused,
    /// No connection for another reason: unreachable network, timeout while connecting.
    Connect,
    /// The remote's certificate is not one we trust, or is for another name, or has expired.
    Certificate,
    /// The TLS handshake failed for another reason, for example because the port speaks plain HTTP.
    Tls,
    /// The remote did not answer in time.
    Timeout,
    /// The connection was cut before the answer was complete.
    Closed,
    /// What came back is not HTTP.
    Protocol,
    /// The answer is larger than the client accepts.
    TooLarge,
    /// The remote answered with a redirect that this client does not follow.
    Redirect,
}

impl ErrorKind {
    /// Whether the remote surely did not see the request, so that even a request which must not run twice may be sent
    /// again.
    pub fn is_before_sending(self) -> bool {
        matches!(self, Self::Dns | Self::Refused | Self::Connect | Self::Certificate | Self::Tls)
    }

    /// Whether another attempt may succeed with nothing changed on our side.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Dns | Self::Refused | Self::Connect | Self::Timeout | Self::Closed | Self::Protocol
        )
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::InvalidOptions => "the HTTP client cannot be set up",
            Self::InvalidRequest => "the request cannot be made",
            Self::Dns => "the host name cannot be resolved",
            Self::Refused => "the connection was refused",
            Self::Connect => "no connection",
            Self::Certificate => "the server's certificate was not accepted",
            Self::Tls => "the TLS handshake failed",
            Self::Timeout => "no answer in time",
            Self::Closed => "the connection was cut before the answer was complete",
            Self::Protocol => "the answer is not HTTP",
            Self::TooLarge => "the answer is too large",
            Self::Redirect => "the answer is a redirect that is not followed",
        }
    }
}

/// A request that got no usable answer.
///
/// Prints the remote as scheme, host and port. It keeps no URL, header or body, so it can be logged as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    kind: ErrorKind,
    origin: Option<String>,
    detail: String,
}

impl TransportError {
    /// An error of a class, about a remote (see [`origin`]), with what the layer below said. The detail must hold no
    /// secret.
    pub fn new(kind: ErrorKind, origin: Option<String>, detail: impl Into<String>) -> Self {
        Self { kind, origin, detail: detail.into() }
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The remote as `scheme://host:port`, where there is one.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// What the layer below said; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Sorts an error of the HTTP library into our classes by the typed causes in its chain.
    pub(crate) fn from_reqwest(error: reqwest::Error, url: &Url) -> Self {
        let error = error.without_url();
        let cause = Cause::find(&error);
        let kind = match cause {
            _ if error.is_redirect() => ErrorKind::Redirect,
            Some(Cause::Certificate) => ErrorKind::Certificate,
            Some(Cause::Tls) => ErrorKind::Tls,
            Some(Cause::Dns) => ErrorKind::Dns,
            Some(Cause::Refused) => ErrorKind::Refused,
            _ if error.is_connect() => ErrorKind::Connect,
            _ if error.is_timeout() => ErrorKind::Timeout,
            _ if error.is_builder() => ErrorKind::InvalidRequest,
            Some(Cause::Parse) => ErrorKind::Protocol,
            _ => ErrorKind::Closed,
        };
        Self::new(kind, Some(origin(url)), innermost(&error))
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(formatter, "{origin}: ")?;
        }
        formatter.write_str(self.kind.phrase())?;
        if !self.detail.is_empty() {
            write!(formatter, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl StdError for TransportError {}

/// `scheme://host:port` of a URL: all that an error or a log line may say about where a request went. Paths and
/// queries can hold tokens, and the part before the `@` holds a password.
pub fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Certificate,
    Tls,
    Dns,
    Refused,
    Parse,
}

impl Cause {
    fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(current) = next {
            if let Some(found) = Self::of(current) {
                return Some(found);
            }
            // The source() of an io::Error is the source of what it wraps, which would skip the wrapped error itself.
            next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => current.source(),
            };
        }
        None
    }

    fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(match tls {
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                    Self::Certificate
                }
                _ => Self::Tls,
            });
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return (io.kind() == io::ErrorKind::ConnectionRefused).then_some(Self::Refused);
        }
        // Name resolution and HTTP parsing have no public error types: their texts are checked by this crate's tests.
        let text = error.to_string();
        if text.starts_with("dns error") {
            Some(Self::Dns)
        } else if text.starts_with("invalid HTTP") {
            Some(Self::Parse)
        } else {
            None
        }
    }
}

/// The most telling text of a chain is its last: "invalid peer certificate: unknown issuer" rather than "error sending
/// request".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    loop {
        let next = match last.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => last.source(),
        };
        match next {
            Some(inner) => last = inner,
            None => return last.to_string(),
        }
    }
}
