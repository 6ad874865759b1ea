//! Connections to the server: how they are made and what holds in each of them.

use std::io;
use std::time::{Duration, Instant};

use connectors_sdk::SourceError;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, SslOpts};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use super::config::MysqlConfiguration;
use super::error::{self, Place};
use crate::shared::sql::keyset::Dialect;

/// Until a server that does not answer is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a snapshot may keep tables from being altered where its locks end with it alone (MariaDB).
const MAX_SNAPSHOT: Duration = Duration::from_secs(5);

/// What a server and no other has.
const IDENTITY: &str = "CONCAT_WS('/', @@hostname, @@port, @@server_id)";

/// Unknown system variable: the server is of a version or kind without it.
const UNKNOWN_VARIABLE: u16 = 1193;

/// What holds in every session. A sync waits as long as its index takes, so the server must not give up on a slow reader, nor
/// on one that pauses; another session's lock on a table is waited for. Texts
/// are sorted by more than their first 1024 bytes, which is all of a key; servers sort at least 15 rows in memory, or refuse.
/// A snapshot exists at the level REPEATABLE READ only.
const SETTINGS: [&str; 4] = [
    "SET NAMES utf8mb4",
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = '', SESSION net_write_timeout = 86400, \
     SESSION wait_timeout = 86400, SESSION lock_wait_timeout = 3600, SESSION sql_select_limit = DEFAULT",
    "SET SESSION max_sort_length = 16384, SESSION sort_buffer_size = GREATEST(@@sort_buffer_size, 4194304)",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
];

/// Limits on statements and transactions that only some servers have.
const LIMITS: [&str; 4] = [
    "SET SESSION max_execution_time = 0",
    "SET SESSION max_statement_time = 0",
    "SET SESSION idle_transaction_timeout = 0",
    "SET SESSION idle_readonly_transaction_timeout = 0",
];

/// Names in backticks, `?` for values. MySQL has no index for `(a, b) > (x, y)`.
pub(super) struct MysqlDialect;

impl Dialect for MysqlDialect {
    fn quote(&self, name: &str) -> String {
        quote(name)
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn compares_rows(&self) -> bool {
        false
    }
}

/// A name as the server reads it, whatever characters are in it.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Which kind of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flavor {
    pub mariadb: bool,
    pub version: (u16, u16, u16),
}

/// Makes connections.
pub(super) struct Client {
    opts: Opts,
    pub place: Place,
    pub retries: u32,
}

/// One connection with the settings of this source.
pub(super) struct Session {
    pub conn: Conn,
    pub flavor: Flavor,
    /// When its snapshot was made.
    pub began: Instant,
    /// A statement runs whose result has not been read to its end.
    pub busy: bool,
    /// Which server it is to: behind one name there may be several.
    server: String,
    opts: Opts,
}

impl Client {
    pub(super) fn new(configuration: &MysqlConfiguration) -> Result<Self, SourceError> {
        let port = configuration.tcp_port()?;
        let tls = if configuration.ssl_enabled {
            let options = SslOpts::default();
            Some(match configuration.certificates()? {
                Some(pem) => {
                    options.with_root_certs(vec![pem.into_bytes().into()]).with_disable_built_in_roots(true)
                }
                None => options,
            })
        } else {
            None
        };
        let opts = OptsBuilder::default()
            .ip_or_hostname(configuration.host.trim())
            .tcp_port(port)
            .user(Some(configuration.user.clone()))
            .pass(Some(configuration.password.expose_secret().to_owned()))
            .prefer_socket(false)
            .ssl_opts(tls)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // Both would be asked of the server at each connection.
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(86_400))
            .stmt_cache_size(8)
            .connect_attribute("program_name", "connectors");
        let place = Place {
            host: configuration.host.trim().to_owned(),
            port,
            user: configuration.user.clone(),
            database: configuration.database.clone(),
        };
        Ok(Self { opts: opts.into(), place, retries: configuration.retries()? })
    }

    /// A new session.
    pub(super) async fn connect(&self) -> Result<Session, Error> {
        let (conn, flavor, server) = self.identified().await?;
        Ok(Session { conn, flavor, began: Instant::now(), busy: false, server, opts: self.opts.clone() })
    }

    /// A new connection.
    pub(super) async fn connection(&self) -> Result<(Conn, Flavor), Error> {
        self.identified().await.map(|(conn, flavor, _)| (conn, flavor))
    }

    /// A new connection, and which server it is to.
    async fn identified(&self) -> Result<(Conn, Flavor, String), Error> {
        connectors_transport::install_crypto_provider();
        let conn = tokio::time::timeout(CONNECT_TIMEOUT, Conn::new(self.opts.clone()));
        let mut conn = conn.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
        for settings in SETTINGS {
            conn.query_drop(settings).await?;
        }
        let said: Option<(String, String)> =
            conn.query_first(format!("SELECT VERSION(), {IDENTITY}")).await?;
        let (version, server) = said.unwrap_or_default();
        let mariadb = version.to_ascii_lowercase().contains("mariadb");
        for limit in LIMITS {
            match conn.query_drop(limit).await {
                Err(error) if error::code(&error) == Some(UNKNOWN_VARIABLE) => {}
                other => other?,
            }
        }
        let flavor = Flavor { mariadb, version: conn.server_version() };
        Ok((conn, flavor, server))
    }

    /// A new session, for those who do not try again.
    pub(super) async fn session(&self) -> Result<Session, SourceError> {
        self.connect().await.map_err(|error| self.error("connect", &error))
    }

    /// An error of the driver in the words of this source.
    pub(super) fn error(
        &self,
        operation: impl Into<std::borrow::Cow<'static, str>>,
        error: &Error,
    ) -> SourceError {
        error::of(operation, error, &self.place)
    }
}

impl Session {
    /// Begins a transaction that sees the data as it is now, whatever is written meanwhile.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.began = Instant::now();
        self.conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await
    }

    /// Ends the locks of the statements since [`hold`](Self::hold). A transaction keeps what it read from being altered, and
    /// whoever waits to alter it keeps all others from reading. The snapshot stays. MariaDB does not do it while its binary
    /// log is on.
    pub(super) async fn release(&mut self) -> Result<(), Error> {
        self.conn.query_drop("ROLLBACK TO SAVEPOINT connectors").await
    }

    /// From here on locks can be ended.
    pub(super) async fn hold(&mut self) -> Result<(), Error> {
        self.conn.query_drop("SAVEPOINT connectors").await
    }

    /// Whether the snapshot keeps tables from being altered for so long that it has to be a new one.
    pub(super) fn is_worn(&self) -> bool {
        self.flavor.mariadb && self.began.elapsed() > MAX_SNAPSHOT
    }

    /// Ends the transaction.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        self.conn.query_drop("ROLLBACK").await
    }

    /// Makes a database the one that unqualified names are looked up in.
    pub(super) async fn enter(&mut self, database: &str) -> Result<(), Error> {
        self.conn.query_drop(format!("USE {}", quote(database))).await
    }
}

impl Drop for Session {
    /// Of a statement that nobody waits for any more, the driver would read the rest, and the server would go on with it.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.busy {
            return;
        }
        let (id, opts, server) = (self.conn.id(), self.opts.clone(), std::mem::take(&mut self.server));
        runtime.spawn(async move {
            let ended = tokio::time::timeout(CONNECT_TIMEOUT, kill(id, opts, &server)).await;
            let problem = match ended {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => "another server answered".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the server does not answer".to_owned(),
            };
            tracing::debug!("the statement of connection {id} was not ended: {problem}");
        });
    }
}

/// Ends a connection, if it is the same server that answers: on another the number is somebody else's.
async fn kill(id: u32, opts: Opts, server: &str) -> Result<bool, Error> {
    let mut conn = Conn::new(opts).await?;
    let here: Option<String> = conn.query_first(format!("SELECT {IDENTITY}")).await?;
    let same = here.as_deref() == Some(server);
    if same {
        conn.query_drop(format!("KILL {id}")).await?;
    }
    conn.disconnect().await?;
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_is_in_them() {
        assert_eq!(quote("a"), "`a`");
        assert_eq!(quote("we`ird; DROP"), "`we``ird; DROP`");
    }
}
