//! Errors of the server and of the connection → [`SourceError`].
//!
//! Classes of `SQLSTATE`: appendix A of PostgreSQL's manual.

use std::error::Error as _;

use connectors_sdk::{ErrorKind, SourceError};
use tokio_postgres::Error;
use tokio_postgres::error::ErrorPosition;

/// Where something failed, for messages.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub database: String,
    pub schema: String,
}

/// What the driver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused.
    Server { code: String, message: String },
    /// There is no connection, or none any more.
    Connection(String),
    /// The server's certificate or its TLS is not what was asked for.
    Tls(String),
    /// The server sent what the driver does not understand, or the driver was misused.
    Protocol(String),
}

impl Failure {
    /// Sorts an error of the driver.
    pub(super) fn of(error: &Error) -> Self {
        if let Some(server) = error.as_db_error() {
            let mut message = server.message().to_owned();
            if let Some(ErrorPosition::Original(position)) = server.position() {
                message = format!("{message} (at character {position})");
            }
            for more in [server.detail(), server.hint()].into_iter().flatten() {
                message = format!("{message}; {}", more.trim_end_matches('.'));
            }
            return Self::Server { code: server.code().code().to_owned(), message };
        }
        let text = chain(error);
        // The driver does not name its kinds otherwise.
        match error.to_string().as_str() {
            kind if kind.starts_with("error performing TLS handshake") => Self::Tls(text),
            kind if error.is_closed()
                || kind.starts_with("error communicating with the server")
                || kind.starts_with("error connecting to server")
                || kind.starts_with("timeout waiting for server") =>
            {
                if is_certificate(error) {
                    Self::Tls(text)
                } else {
                    Self::Connection(text)
                }
            }
            _ => Self::Protocol(text),
        }
    }

    /// The `SQLSTATE`, if the server answered.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// The error and what caused it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Each level of the driver repeats the one below it.
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn is_certificate(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        // rustls wraps its errors in those of I/O, which do not name them as their cause.
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is::<rustls::Error>() || io.and_then(|io| io.downcast_ref::<rustls::Error>()).is_some() {
            return true;
        }
        cause = inner.source();
    }
    false
}

impl Place {
    /// The error of an operation; `table` is the one it was about.
    pub(super) fn error(&self, operation: &str, error: &Error, table: Option<&str>) -> SourceError {
        self.explain(operation, &Failure::of(error), table)
    }

    /// What a failure means.
    pub(super) fn explain(&self, operation: &str, failure: &Failure, table: Option<&str>) -> SourceError {
        let operation = operation.to_owned();
        match failure {
            Failure::Server { code, message } => self.of_server(operation, code, message, table),
            Failure::Connection(text) => {
                SourceError::new(ErrorKind::Unavailable, operation, format!("{}: {text}", self.server()))
                    .with_hint(
                        "Check that host and port are right, that the server is up and listens on that address, and that no \
                         firewall is in the way.",
                    )
            }
            Failure::Tls(text) => {
                let hint = if text.contains("server does not support TLS") {
                    "The server has TLS off: switch off `ssl_enabled`, or set up TLS there."
                } else {
                    "Set `ssl_ca` to the certificate authority that signed the server's certificate, and `host` to a name the \
                     certificate is made for."
                };
                SourceError::new(ErrorKind::Config, operation, format!("{}: {text}", self.server())).with_hint(hint)
            }
            Failure::Protocol(text) => {
                let kind = if text.contains("password missing") {
                    ErrorKind::Authentication
                } else {
                    ErrorKind::InvalidData
                };
                SourceError::new(kind, operation, format!("{}: {text}", self.server()))
            }
        }
    }

    fn of_server(&self, operation: String, code: &str, message: &str, table: Option<&str>) -> SourceError {
        let about = table.map_or_else(String::new, |table| format!("{}.{table}: ", self.schema));
        let new = |kind| SourceError::new(kind, operation, format!("{about}{message} (SQLSTATE {code})"));
        let (user, schema) = (quoted(&self.user), quoted(&self.schema));
        match code {
            "28P01" | "28000" => new(ErrorKind::Authentication).with_hint(
                "Check `username` and `password`, and that pg_hba.conf lets this account in from this machine.",
            ),
            "3D000" => new(ErrorKind::Config)
                .with_hint(format!("Set `database` to one that exists on {}, or create it.", self.server())),
            "42501" => {
                let grant = table.map_or_else(
                    || format!("GRANT USAGE ON SCHEMA {schema} TO {user}"),
                    |table| format!("GRANT SELECT ON {schema}.{} TO {user}", quoted(table)),
                );
                new(ErrorKind::PermissionDenied).with_hint(format!("Have an administrator run: {grant};"))
            }
            "42P01" | "3F000" => new(ErrorKind::Incomplete).with_hint(
                "The table was dropped or renamed while it was read. Nothing was deleted; the next sync reads the tables there are \
                 then.",
            ),
            "42703" | "0A000" => new(ErrorKind::Incomplete).with_hint(
                "The table's columns were changed while it was read. Nothing was deleted; the next sync reads it as it is then.",
            ),
            "40001" | "40P01" | "72000" => new(ErrorKind::Incomplete)
                .with_hint("The server gave the read up in favour of other work. Nothing was deleted; run the sync again."),
            "55P03" => new(ErrorKind::Unavailable)
                .with_hint("Another session holds a lock on the table; run the sync again when it is done."),
            "55006" => new(ErrorKind::Unavailable)
                .with_hint("Another sync of this connector reads the log, or one that was stopped has not ended yet. Try again later."),
            "57014" => new(ErrorKind::Unavailable).with_hint(
                "The query was cancelled at the server, by an administrator or a time limit of a proxy. Raise that limit for this \
                 account.",
            ),
            "53300" => new(ErrorKind::Unavailable).with_hint(
                "The server has no connection free; up to four are used. Raise max_connections or the account's CONNECTION LIMIT.",
            ),
            // Another database of a standby's primary was dropped, shutdown, crash, and start; the 08 are connection exceptions,
            // 53 insufficient resources, 58 errors of the system, 25P03 and 25P04 limits on time in a transaction.
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04" => new(ErrorKind::Unavailable),
            code if ["08", "53", "58"].iter().any(|class| code.starts_with(class)) => new(ErrorKind::Unavailable),
            // Data exceptions, a materialized view without rows, a limit of the server, and what functions raise.
            code if table.is_some()
                && (["21", "22", "38", "39", "54", "P0"].iter().any(|class| code.starts_with(class)) || code == "55000") =>
            {
                new(ErrorKind::Incomplete).with_hint(
                    "The server cannot compute these rows. Correct the view or query (REFRESH MATERIALIZED VIEW fills a materialized \
                     view), or leave it out of `tables`. Nothing was deleted.",
                )
            }
            code if code.starts_with("XX") => new(ErrorKind::InvalidData)
                .with_hint("The server reports damaged data or a defect of its own: see its log."),
            _ => new(ErrorKind::Unexpected),
        }
    }

    /// `host:port`.
    pub(super) fn server(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// A name in double quotes, as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            host: "db".to_owned(),
            port: 5432,
            user: "reader".to_owned(),
            database: "shop".to_owned(),
            schema: "Sales".to_owned(),
        }
    }

    fn server(code: &str, table: Option<&str>) -> SourceError {
        let failure = Failure::Server { code: code.to_owned(), message: "no".to_owned() };
        place().explain("read", &failure, table)
    }

    #[test]
    fn the_servers_answers_are_sorted_by_their_state() {
        for (code, kind, words) in [
            ("28P01", ErrorKind::Authentication, "`password`"),
            ("28000", ErrorKind::Authentication, "pg_hba.conf"),
            ("3D000", ErrorKind::Config, "`database`"),
            ("42501", ErrorKind::PermissionDenied, "GRANT SELECT ON \"Sales\".\"or\"\"ders\" TO \"reader\";"),
            ("42P01", ErrorKind::Incomplete, "dropped"),
            ("42703", ErrorKind::Incomplete, "columns"),
            ("0A000", ErrorKind::Incomplete, "columns"),
            ("40001", ErrorKind::Incomplete, "run the sync again"),
            ("72000", ErrorKind::Incomplete, "run the sync again"),
            ("55P03", ErrorKind::Unavailable, "lock"),
            ("55006", ErrorKind::Unavailable, "Another sync"),
            ("57014", ErrorKind::Unavailable, "cancelled"),
            ("53300", ErrorKind::Unavailable, "max_connections"),
            ("57P01", ErrorKind::Unavailable, "reachable"),
            ("57P02", ErrorKind::Unavailable, "reachable"),
            ("57P03", ErrorKind::Unavailable, "reachable"),
            ("08006", ErrorKind::Unavailable, "reachable"),
            ("53100", ErrorKind::Unavailable, "reachable"),
            ("58030", ErrorKind::Unavailable, "reachable"),
            ("XX001", ErrorKind::InvalidData, "damaged"),
            ("22012", ErrorKind::Incomplete, "Correct the view"),
            ("55000", ErrorKind::Incomplete, "REFRESH MATERIALIZED VIEW"),
            ("P0001", ErrorKind::Incomplete, "Correct the view"),
            ("42601", ErrorKind::Unexpected, "defect"),
        ] {
            let error = server(code, Some("or\"ders"));
            assert_eq!(error.kind(), kind, "{code}");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains(code), "{code}: {text}");
            assert!(text.contains("Sales.or\"ders"), "{code}: {text}");
        }
        assert_eq!(server("22012", None).kind(), ErrorKind::Unexpected);
        assert!(server("42501", None).to_string().contains("GRANT USAGE ON SCHEMA \"Sales\" TO \"reader\";"));
    }

    #[test]
    fn what_is_no_answer_names_the_server() {
        for (failure, kind, words) in [
            (Failure::Connection("refused".to_owned()), ErrorKind::Unavailable, "firewall"),
            (Failure::Tls("UnknownIssuer".to_owned()), ErrorKind::Config, "`ssl_ca`"),
            (Failure::Tls("server does not support TLS".to_owned()), ErrorKind::Config, "`ssl_enabled`"),
            (Failure::Protocol("password missing".to_owned()), ErrorKind::Authentication, "credentials"),
            (Failure::Protocol("nonsense".to_owned()), ErrorKind::InvalidData, "version"),
        ] {
            let error = place().explain("connect", &failure, None);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains("db:5432") && error.to_string().contains(words), "{error}");
        }
        let six = Place { host: "::1".to_owned(), ..place() };
        assert_eq!(six.server(), "[::1]:5432");
    }
}
