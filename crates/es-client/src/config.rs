//! How to reach and treat a cluster: the `elasticsearch.*` keys of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connectors_transport::{HeaderMap, HeaderName, HeaderValue, Trust, Url};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};

use crate::error::EsError;

/// Who we are to the cluster.
#[derive(Debug, Clone)]
pub enum Auth {
    /// An API key, either as Kibana shows it (base64 of `id:key`) or as `id:key`.
    ApiKey(SecretString),
    /// A user name and password.
    Basic {
        /// The user.
        username: String,
        /// Their password.
        password: SecretString,
    },
    /// A bearer token: a service account or an OAuth2 access token.
    Bearer(SecretString),
}

impl Auth {
    /// The choice between what a configuration file may hold at once: an API key wins over a user name.
    pub fn choose(
        api_key: Option<SecretString>,
        username: Option<String>,
        password: Option<SecretString>,
    ) -> Option<Self> {
        match (api_key, username) {
            (Some(key), _) => Some(Self::ApiKey(key)),
            (None, Some(username)) => Some(Self::Basic { username, password: password.unwrap_or_default() }),
            (None, None) => None,
        }
    }

    /// The value of the `Authorization` header.
    fn header(&self) -> String {
        match self {
            Self::ApiKey(key) => {
                let key = key.expose_secret().trim();
                // ":" is not in the base64 alphabet, so the two forms cannot be confused.
                let encoded = if key.contains(':') { STANDARD.encode(key) } else { key.to_owned() };
                format!("ApiKey {encoded}")
            }
            Self::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose_secret())))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret().trim()),
        }
    }

    fn secret(&self) -> &SecretString {
        match self {
            Self::ApiKey(secret) | Self::Bearer(secret) | Self::Basic { password: secret, .. } => secret,
        }
    }
}

/// Everything a client needs to know. The defaults are those of the configuration file.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration file")]
pub struct EsConfig {
    /// `host`: where the cluster is, as `http(s)://name[:port][/prefix]`. With several, a request that cannot reach
    /// one goes to the next. Credentials in the URL are moved to `auth` unless that is an API key or a token.
    pub hosts: Vec<String>,
    /// `api_key`, or `username` and `password`.
    pub auth: Option<Auth>,
    /// `ssl`: whether the two settings below apply; without it HTTPS is verified as browsers do.
    pub ssl: bool,
    /// `verify_certs`: off accepts any certificate, with a warning.
    pub verify_certs: bool,
    /// `ca_certs`: a PEM file of the only authorities to accept.
    pub ca_certs: Option<PathBuf>,
    /// `request_timeout`: time for one exchange.
    pub request_timeout: Duration,
    /// `max_wait_duration`: how long [`wait_until_available`](crate::EsClient::wait_until_available) tries.
    pub max_wait_duration: Duration,
    /// `initial_backoff_duration`: its first wait.
    pub initial_backoff_duration: Duration,
    /// `backoff_multiplier`: how its waits grow.
    pub backoff_multiplier: f64,
    /// `retry_on_timeout`: whether a request that timed out is sent again.
    pub retry_on_timeout: bool,
    /// `max_retries`: attempts after the first one.
    pub max_retries: u32,
    /// `retry_interval`: the n-th wait is n times this.
    pub retry_interval: Duration,
    /// `headers`: sent with every request. Values may be credentials (a proxy's), so they are not printed.
    pub headers: Vec<(String, SecretString)>,
    /// The last part of the user agent: `service` or `cli`.
    pub component: &'static str,
    /// `compress`: gzip request bodies, and ask for gzip answers.
    pub compress: bool,
    /// Largest answer that is accepted, in bytes.
    pub max_response_bytes: usize,
}

impl Default for EsConfig {
    fn default() -> Self {
        Self {
            hosts: vec!["http://localhost:9200".to_owned()],
            auth: None,
            ssl: true,
            verify_certs: true,
            ca_certs: None,
            request_timeout: Duration::from_mins(4),
            max_wait_duration: Duration::from_mins(4),
            initial_backoff_duration: Duration::from_secs(1),
            backoff_multiplier: 2.0,
            retry_on_timeout: true,
            max_retries: 5,
            retry_interval: Duration::from_secs(10),
            headers: Vec::new(),
            component: "service",
            compress: false,
            // A page of 10,000 ids is about 2 MB, and no answer we ask for is larger; 100 MiB is also the largest
            // request Elasticsearch itself accepts.
            max_response_bytes: 100 << 20,
        }
    }
}

impl EsConfig {
    /// The defaults, for one host.
    pub fn new(host: impl Into<String>) -> Self {
        Self { hosts: vec![host.into()], ..Self::default() }
    }

    /// The same with credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Base URLs without credentials, and the credentials to use.
    pub(crate) fn endpoints(&self) -> Result<(Vec<Url>, Option<Auth>), EsError> {
        let mut auth = self.auth.clone();
        let mut urls = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            // The host may hold a password, so an error must not repeat it.
            let mut url = Url::parse(host.trim())
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                .ok_or_else(|| {
                    EsError::config("elasticsearch.host must look like http://name:9200 or https://name:9200")
                })?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(EsError::config("elasticsearch.host must not have a query or fragment"));
            }
            if !url.username().is_empty() && !matches!(auth, Some(Auth::ApiKey(_) | Auth::Bearer(_))) {
                auth = Some(Auth::Basic {
                    username: decoded(url.username()),
                    password: decoded(url.password().unwrap_or_default()).into(),
                });
            }
            // Neither fails for a URL that has a host.
            let cleared = url.set_username("").and_then(|()| url.set_password(None));
            debug_assert!(cleared.is_ok());
            urls.push(url);
        }
        if urls.is_empty() {
            return Err(EsError::config("elasticsearch.host is empty"));
        }
        Ok((urls, auth))
    }

    pub(crate) fn trust(&self, urls: &[Url]) -> Trust {
        if urls.iter().all(|url| url.scheme() == "http") {
            return Trust::Nobody;
        }
        match &self.ca_certs {
            _ if !self.ssl => Trust::System,
            _ if !self.verify_certs => Trust::Anything,
            Some(path) => Trust::CaFile(path.clone()),
            None => Trust::System,
        }
    }

    /// The headers of every request.
    pub(crate) fn default_headers(&self, auth: Option<&Auth>) -> Result<HeaderMap, EsError> {
        let mut headers = HeaderMap::new();
        let agent = format!("elastic-connectors-{}/{}", env!("CARGO_PKG_VERSION"), self.component);
        headers.insert(USER_AGENT, secret_header("the user agent", &agent)?);
        headers.insert("x-elastic-product-origin", HeaderValue::from_static("connectors"));
        if self.compress {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                EsError::config(format!("elasticsearch.headers: {name:?} is not a header name"))
            })?;
            let value = secret_header(&format!("elasticsearch.headers.{name}"), value.expose_secret())?;
            headers.insert(name, value);
        }
        if let Some(auth) = auth {
            headers.insert(AUTHORIZATION, secret_header("the credentials", &auth.header())?);
        }
        Ok(headers)
    }

    /// What must not appear in a message even if a server echoes it.
    pub(crate) fn secrets(&self, auth: Option<&Auth>) -> Vec<SecretString> {
        let mut secrets: Vec<SecretString> = self.headers.iter().map(|(_, value)| value.clone()).collect();
        if let Some(auth) = auth {
            secrets.push(auth.secret().clone());
            if let Some((_, encoded)) = auth.header().split_once(' ') {
                secrets.push(encoded.into());
            }
        }
        secrets
    }
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn secret_header(what: &str, value: &str) -> Result<HeaderValue, EsError> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        EsError::config(format!("{what} cannot be sent: it holds a line break or control character"))
    })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(auth: &Auth) -> String {
        auth.header()
    }

    #[test]
    fn both_forms_of_an_api_key_give_the_same_header() {
        assert_eq!(header_of(&Auth::ApiKey("aWQ6a2V5".into())), "ApiKey aWQ6a2V5");
        assert_eq!(header_of(&Auth::ApiKey("id:key".into())), "ApiKey aWQ6a2V5");
        assert_eq!(header_of(&Auth::ApiKey(" aWQ6a2V5\n".into())), "ApiKey aWQ6a2V5");
        let basic = Auth::Basic { username: "elastic".into(), password: "changeme".into() };
        assert_eq!(header_of(&basic), "Basic ZWxhc3RpYzpjaGFuZ2VtZQ==");
        assert_eq!(header_of(&Auth::Bearer("abc".into())), "Bearer abc");
    }

    #[test]
    fn an_api_key_wins_over_a_user() {
        let chosen = Auth::choose(Some("k".into()), Some("elastic".into()), Some("p".into()));
        assert!(matches!(chosen, Some(Auth::ApiKey(_))));
        let chosen = Auth::choose(None, Some("elastic".into()), Some("p".into()));
        assert!(matches!(chosen, Some(Auth::Basic { username, .. }) if username == "elastic"));
        assert!(Auth::choose(None, None, Some("p".into())).is_none());
    }

    #[test]
    fn credentials_in_the_host_become_the_user_and_leave_the_url() {
        let (urls, auth) = EsConfig::new("https://me:p%40ss@es.example/prefix").endpoints().unwrap();
        assert_eq!(urls[0].as_str(), "https://es.example/prefix");
        let Some(Auth::Basic { username, password }) = auth else { panic!("no user: {auth:?}") };
        assert_eq!((username.as_str(), password.expose_secret()), ("me", "p@ss"));

        let config = EsConfig::new("https://me:pw@es.example").with_auth(Auth::ApiKey("id:key".into()));
        assert!(matches!(config.endpoints().unwrap().1, Some(Auth::ApiKey(_))));
    }

    #[test]
    fn a_wrong_host_is_refused_without_repeating_it() {
        for host in
            ["", "localhost:9200", "ftp://user:hunter2@host", "https://user:hunter2@host?x=1", "http://"]
        {
            let error = EsConfig::new(host).endpoints().unwrap_err().to_string();
            assert!(error.contains("elasticsearch.host"), "{host}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(EsConfig { hosts: Vec::new(), ..EsConfig::default() }.endpoints().is_err());
    }

    #[test]
    fn trust_follows_ssl_verify_certs_and_ca_certs() {
        let https = [Url::parse("https://a").unwrap()];
        let mut config = EsConfig::default();
        assert_eq!(config.trust(&[Url::parse("http://a").unwrap()]), Trust::Nobody);
        assert_eq!(config.trust(&https), Trust::System);
        config.ca_certs = Some("/ca.pem".into());
        assert_eq!(config.trust(&https), Trust::CaFile("/ca.pem".into()));
        config.verify_certs = false;
        assert_eq!(config.trust(&https), Trust::Anything);
        config.ssl = false;
        assert_eq!(config.trust(&https), Trust::System);
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_and_nothing_prints_a_secret() {
        let mut config = EsConfig::default();
        config.headers.push(("x-proxy".into(), "hunter2\nx".into()));
        let error = config.default_headers(None).unwrap_err().to_string();
        assert!(error.contains("elasticsearch.headers.x-proxy") && !error.contains("hunter2"), "{error}");
        config.headers[0] = ("bad name".into(), "x".into());
        assert!(config.default_headers(None).unwrap_err().to_string().contains("bad name"));
        config.headers[0] = ("x-proxy".into(), "hunter2".into());
        let auth = Auth::Basic { username: "elastic".into(), password: "hunter2".into() };
        let headers = config.default_headers(Some(&auth)).unwrap();
        let printed = format!("{:?} {:?} {headers:?}", config.with_auth(auth.clone()), auth);
        assert!(!printed.contains("hunter2") && !printed.contains("ZWxhc3RpYzp"), "{printed}");
    }
}
