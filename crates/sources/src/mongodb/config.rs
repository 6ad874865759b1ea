//! Configuration of the `mongodb` source, and what it comes to once it is understood.

use connectors_sdk::{SourceError, source_configuration};
use mongodb::options::ConnectionString;
use secrecy::{ExposeSecret, SecretString};

use super::error::Secrets;
use super::tls::Tls;
use super::value::{Dates, Decoder};
use crate::shared::authorities::authorities;

source_configuration! {
    /// Configuration of the `mongodb` source.
    pub(super) struct MongoConfiguration {
        /// Where the deployment is: a connection string (`mongodb://` or `mongodb+srv://`), or only a host name, with `:port` if
        /// it is not 27017.
        #[field(label = "Server")]
        pub(super) host: String,
        /// Account to log in with. It goes before one in the connection string; empty: that one, or no login.
        #[field(label = "User name", required = false)]
        pub(super) user: String,
        /// Password of the account.
        #[field(label = "Password", required = false)]
        pub(super) password: SecretString,
        /// Database the collection is in.
        #[field(label = "Database")]
        pub(super) database: String,
        /// Collection or view to sync. Each of its documents becomes one document of the index.
        #[field(label = "Collection")]
        pub(super) collection: String,
        /// Whether to talk to the named server only, and not to look for the other members of its replica set.
        #[field(label = "Connect to this server only", value = false)]
        pub(super) direct_connection: bool,
        /// Whether the connection is encrypted. MongoDB Atlas needs it.
        #[field(label = "Use TLS", value = false)]
        pub(super) ssl_enabled: bool,
        /// Certificates (PEM) of the authorities that the server's certificate may come from. Empty: the public ones that
        /// Mozilla trusts.
        #[field(label = "Certificate authority", required = false, depends_on = ("ssl_enabled", true))]
        pub(super) ssl_ca: String,
        /// Whether any certificate of the server is accepted, whoever made it. Only for tests: the password goes to whoever
        /// answers.
        #[field(label = "Accept any certificate", value = false, depends_on = ("ssl_enabled", true), advanced = true)]
        pub(super) tls_insecure: bool,
        /// What becomes of dates. Those in the years 1 to 9999 become text (`DATETIME_MS`: milliseconds since 1970). Others make
        /// their document fail (`DATETIME`), or become the nearest of those years (`DATETIME_CLAMP`) or milliseconds
        /// (`DATETIME_AUTO`).
        #[field(
            label = "Conversion of dates",
            required = false,
            value = "DATETIME",
            options = &[
                ("Text; others fail", "DATETIME"),
                ("Text; others the nearest", "DATETIME_CLAMP"),
                ("Text; others milliseconds", "DATETIME_AUTO"),
                ("Milliseconds", "DATETIME_MS"),
            ],
            advanced = true,
        )]
        pub(super) datetime_conversion: String,
    }
}

/// A configuration that was understood.
pub(super) struct Settings {
    /// The connection string with the credentials in it.
    pub uri: SecretString,
    pub database: String,
    pub collection: String,
    pub direct: bool,
    pub tls: Option<Tls>,
    pub decoder: Decoder,
    /// What must not be printed.
    pub secrets: Secrets,
    /// Whether there is an account to log in with.
    pub has_login: bool,
    /// Whether servers are looked up by a DNS record (`mongodb+srv://`).
    pub is_srv: bool,
    /// A hash of what decides which documents there are and how they look. A cursor is of no use under another one.
    pub fingerprint: String,
}

impl Settings {
    /// Checks the configuration as far as that goes without the server.
    pub(super) fn new(configuration: MongoConfiguration) -> Result<Self, SourceError> {
        for (key, text) in [
            ("host", &configuration.host),
            ("database", &configuration.database),
            ("collection", &configuration.collection),
        ] {
            if text.trim().is_empty() {
                return Err(SourceError::configuration(key, "is empty"));
            }
        }
        let uri = Uri::new(configuration.host.trim())?;
        let (login, secrets) = uri.login(&configuration.user, configuration.password.expose_secret())?;
        for (option, on) in uri.tls_options() {
            if on != configuration.ssl_enabled {
                let said = if configuration.ssl_enabled { "on" } else { "off" };
                return Err(SourceError::configuration(
                    "ssl_enabled",
                    format_args!("is {said}, but the connection string in `host` says {option}={on}"),
                )
                .with_hint("Make both say the same, or take the option out of the connection string."));
            }
        }
        let text = format!("{}{login}{}", uri.scheme, uri.rest);
        let parsed = ConnectionString::parse(&text).map_err(|error| uri.unreadable(&error, &secrets))?;
        let tls = if configuration.ssl_enabled {
            Some(Tls {
                ca: authorities(&configuration.ssl_ca)?.map(|authorities| authorities.pem),
                insecure: configuration.tls_insecure,
            })
        } else {
            None
        };
        let dates = Dates::parse(&configuration.datetime_conversion)?;
        let decoder = Decoder { dates, legacy_uuids: parsed.uuid_representation };
        let identity = format!(
            "{}{}\n{}\n{}\n{decoder:?}",
            uri.scheme,
            uri.authority(),
            configuration.database,
            configuration.collection
        );
        Ok(Self {
            uri: text.into(),
            database: configuration.database,
            collection: configuration.collection,
            direct: configuration.direct_connection,
            tls,
            decoder,
            secrets,
            has_login: !login.is_empty(),
            is_srv: uri.scheme == SRV,
            fingerprint: format!("{:032x}", xxhash_rust::xxh3::xxh3_128(identity.as_bytes())),
        })
    }
}

const PLAIN: &str = "mongodb://";
const SRV: &str = "mongodb+srv://";

/// A connection string, cut where credentials go. See MongoDB's manual, "Connection Strings".
struct Uri<'a> {
    scheme: &'static str,
    /// `user` or `user:password`, as it stands there.
    userinfo: Option<&'a str>,
    /// Hosts, database and options.
    rest: &'a str,
}

impl<'a> Uri<'a> {
    fn new(host: &'a str) -> Result<Self, SourceError> {
        let (scheme, rest) = if let Some(rest) = host.strip_prefix(SRV) {
            (SRV, rest)
        } else if let Some(rest) = host.strip_prefix(PLAIN) {
            (PLAIN, rest)
        } else if host.contains("://") {
            return Err(SourceError::configuration("host", "has a scheme that is not MongoDB's")
                .with_hint("Begin with mongodb:// or mongodb+srv://, or name only the host."));
        } else {
            (PLAIN, host)
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (userinfo, rest) = match rest[..end].rfind('@') {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        Ok(Self { scheme, userinfo, rest })
    }

    /// Hosts and ports.
    fn authority(&self) -> &'a str {
        self.rest.split(['/', '?']).next().unwrap_or_default()
    }

    /// `user:password@` as it has to stand in the connection string (nothing without an account), and what is secret in it. The
    /// configuration's own fields go before what the connection string has.
    fn login(&self, user: &str, password: &str) -> Result<(String, Secrets), SourceError> {
        let (uri_user, uri_password) = match self.userinfo {
            Some(userinfo) => match userinfo.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            },
            None => ("", None),
        };
        let encoded_user = if user.is_empty() { uri_user.to_owned() } else { encode(user) };
        let encoded_password =
            if password.is_empty() { uri_password.map(str::to_owned) } else { Some(encode(password)) };
        let secrets = Secrets::new([
            password.to_owned(),
            encode(password),
            uri_password.unwrap_or_default().to_owned(),
            decode(uri_password.unwrap_or_default()),
        ]);
        if encoded_user.is_empty() {
            if !password.is_empty() {
                return Err(SourceError::configuration("user", "is empty, but there is a `password`"));
            }
            return Ok((String::new(), secrets));
        }
        let login = match encoded_password {
            Some(password) => format!("{encoded_user}:{password}@"),
            None => format!("{encoded_user}@"),
        };
        Ok((login, secrets))
    }

    /// The options that switch TLS on or off, as far as they are there.
    fn tls_options(&self) -> impl Iterator<Item = (&'a str, bool)> {
        let options = self.rest.split_once('?').map_or("", |(_, options)| options);
        options.split(['&', ';']).filter_map(|option| {
            let (name, value) = option.split_once('=')?;
            let is_tls = name.eq_ignore_ascii_case("tls") || name.eq_ignore_ascii_case("ssl");
            is_tls.then(|| (name, value.eq_ignore_ascii_case("true")))
        })
    }

    /// The driver's words may repeat any part of the connection string, so they are shown only if nothing in it can be secret.
    fn unreadable(&self, error: &mongodb::error::Error, secrets: &Secrets) -> SourceError {
        let options = self.rest.to_ascii_lowercase();
        let harmless = self.userinfo.is_none()
            && !["@", "password", "mechanismproperties", "token"].iter().any(|word| options.contains(word));
        let problem = if harmless {
            format!("is not a valid connection string: {}", secrets.remove(&error.kind.to_string()))
        } else {
            "is not a valid connection string".to_owned()
        };
        SourceError::configuration("host", problem).with_hint(
            "It is mongodb://host:port,host:port/?option=value, or mongodb+srv://host/?option=value. In a user name or password, \
             the characters : / ? # [ ] @ % must be percent-encoded; better use the fields `user` and `password`.",
        )
    }
}

/// Percent-encodes all but letters and digits.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Undoes percent-encoding as far as it is one.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
