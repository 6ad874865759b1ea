//! Who may talk to the node.
//!
//! Without credentials the node listens on loopback only and answers only requests meant for a loopback name, so that a
//! web page cannot reach it through DNS rebinding or a cross-site request. With credentials every request needs them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::response::{Refusal, Response};
use crate::error::ApiError;
use crate::security::ApiKey;

/// One way to be let in.
#[derive(Debug, Clone)]
pub enum Credential {
    /// HTTP basic authentication.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretString,
    },
    /// `Authorization: ApiKey base64(id:secret)`.
    ApiKey {
        /// Key id.
        id: String,
        /// Secret part.
        secret: SecretString,
    },
}

/// Knows API keys that were made while the server ran.
pub trait ApiKeys: std::fmt::Debug + Send + Sync {
    /// The key of an id and its secret.
    ///
    /// # Errors
    /// Why it lets nobody in, in Elasticsearch's words.
    fn verify(&self, id: &str, secret: &str) -> Result<Arc<ApiKey>, String>;
}

/// The rules of one server.
#[derive(Debug)]
pub(super) struct Access {
    pub credentials: Vec<Credential>,
    /// Keys beside the credentials the server is started with.
    pub keys: Option<Arc<dyn ApiKeys>>,
    /// Port the server is bound to.
    pub port: u16,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// The node has no credentials.
    #[default]
    Anonymous,
    /// A user of basic authentication.
    User(String),
    /// An API key the node was started with, by its id. It may do everything.
    ApiKey(String),
    /// An API key that was made through the API.
    Key(Arc<ApiKey>),
}

impl Identity {
    /// Remembers that this identity opened a scroll or point in time.
    pub fn opened(&self, search: &str) {
        if let Self::Key(key) = self {
            key.opened(search);
        }
    }
}

impl Access {
    /// Lets a request in or says why not.
    pub(super) fn check(&self, headers: &HeaderMap, path: &str) -> Result<Identity, Refusal> {
        if !self.credentials.is_empty() {
            return self.authenticate(headers, path);
        }
        let host = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
        // HTTP/1.0 tools send no Host; browsers always do. The port may be another one: of an SSH tunnel, say. A page
        // that was rebound to this machine still sends its own name.
        if let Some(host) = host
            && loopback_port(host).is_none()
        {
            return Err(forbidden(&format!(
                "Host header [{host}] does not name this node: without credentials it answers only to localhost, \
                 127.0.0.1 or [::1]. Configure credentials and TLS to use other names"
            )));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
            if loopback_port(authority) != Some(self.port) {
                return Err(forbidden(&format!("requests from the web origin [{origin}] are not allowed")));
            }
        }
        if headers.get("sec-fetch-site").is_some_and(|value| value == "cross-site") {
            return Err(forbidden("cross-site requests of web pages are not allowed"));
        }
        Ok(Identity::Anonymous)
    }

    fn authenticate(&self, headers: &HeaderMap, path: &str) -> Result<Identity, Refusal> {
        let Some(given) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return Err(unauthorized(&format!(
                "missing authentication credentials for REST request [{path}]"
            )));
        };
        let (scheme, token) = given.trim().split_once(' ').unwrap_or((given, ""));
        let is_key = scheme.eq_ignore_ascii_case("apikey");
        let decoded = STANDARD.decode(token.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((name, secret)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
            if is_key && self.keys.is_some() {
                return Err(bad_key("invalid ApiKey value"));
            }
            return Err(unauthorized(&format!(
                "invalid [{scheme}] authorization header for REST request [{path}]"
            )));
        };
        let mut identity = None;
        // No early exit: the time does not tell which credential came close.
        for credential in &self.credentials {
            let (kind, expected_name, expected_secret, found) = match credential {
                Credential::Basic { username, password } => {
                    ("basic", username, password, Identity::User(username.clone()))
                }
                Credential::ApiKey { id, secret } => ("apikey", id, secret, Identity::ApiKey(id.clone())),
            };
            let matches = same(expected_name, name) & same(expected_secret.expose_secret(), secret);
            if matches && scheme.eq_ignore_ascii_case(kind) {
                identity = Some(found);
            }
        }
        if let (None, true, Some(keys)) = (&identity, is_key, &self.keys) {
            return keys.verify(name, secret).map(Identity::Key).map_err(|reason| bad_key(&reason));
        }
        identity.ok_or_else(|| {
            unauthorized(&if scheme.eq_ignore_ascii_case("basic") {
                format!("unable to authenticate user [{name}] for REST request [{path}]")
            } else {
                format!("unable to authenticate with provided credentials for REST request [{path}]")
            })
        })
    }
}

/// Compares in a time that depends on the length of `given` only.
pub(crate) fn same(expected: &str, given: &str) -> bool {
    let (expected, given) = (expected.as_bytes(), given.as_bytes());
    let mut difference = u8::from(expected.len() != given.len());
    for (at, byte) in given.iter().enumerate() {
        let other = expected.get(at).copied().unwrap_or(!byte);
        difference |= std::hint::black_box(byte ^ other);
    }
    difference == 0
}

fn forbidden(reason: &str) -> Refusal {
    ApiError::new(StatusCode::FORBIDDEN, "security_exception", reason).into()
}

fn unauthorized(reason: &str) -> Refusal {
    challenge(ApiError::new(StatusCode::UNAUTHORIZED, "security_exception", reason))
}

/// 401 for an API key that lets nobody in.
fn bad_key(reason: &str) -> Refusal {
    let text = "unable to authenticate with provided credentials and anonymous access is not allowed for this request";
    challenge(
        ApiError::new(StatusCode::UNAUTHORIZED, "security_exception", text)
            .with("additional_unsuccessful_credentials", json!(format!("API key: {reason}"))),
    )
}

fn challenge(error: ApiError) -> Refusal {
    const BASIC: &str = "Basic realm=\"security\", charset=\"UTF-8\"";
    let error = error.with("header", json!({ "WWW-Authenticate": [BASIC, "ApiKey"] }));
    Response::from(error)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC))
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"))
        .into()
}

/// The port of an authority that names this machine by a loopback name or address; 80 when it has none.
fn loopback_port(authority: &str) -> Option<u16> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            (name, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback { port.unwrap_or("80").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: &Access, pairs: &[(&'static str, &str)]) -> StatusCode {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        access.check(&headers, "/").map_or_else(|refusal| refusal.status(), |_| StatusCode::OK)
    }

    #[test]
    fn only_loopback_names_are_answered() {
        let access = Access { credentials: Vec::new(), keys: None, port: 9200 };
        for host in [
            "localhost:9200",
            "LOCALHOST:9200",
            "127.0.0.1:9200",
            "127.8.1.1:9200",
            "[::1]:9200",
            "localhost:9201",
            "localhost",
        ] {
            assert_eq!(status(&access, &[("host", host)]), StatusCode::OK, "{host}");
        }
        for host in [
            "evil.example:9200",
            "localhost:port",
            "localhost.evil.example:9200",
            "[::1",
            "",
            "10.0.0.1:9200",
        ] {
            assert_eq!(status(&access, &[("host", host)]), StatusCode::FORBIDDEN, "{host}");
        }
        assert_eq!(status(&access, &[]), StatusCode::OK);
    }

    #[test]
    fn web_pages_of_other_origins_are_refused() {
        let access = Access { credentials: Vec::new(), keys: None, port: 9200 };
        let with = |name: &'static str, value| status(&access, &[("host", "localhost:9200"), (name, value)]);
        assert_eq!(with("origin", "http://localhost:9200"), StatusCode::OK);
        for origin in ["null", "http://localhost:3000", "https://evil.example"] {
            assert_eq!(with("origin", origin), StatusCode::FORBIDDEN, "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "cross-site"), StatusCode::FORBIDDEN);
        assert_eq!(with("sec-fetch-site", "same-origin"), StatusCode::OK);
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same("abc", "abc"));
        assert!(
            !same("abc", "abd")
                && !same("abc", "ab")
                && !same("abc", "abcd")
                && !same("", "a")
                && !same("a", "")
        );
    }
}
