//! Configuration of the `mysql` source.

use connectors_sdk::{SourceError, source_configuration};
use secrecy::SecretString;

use crate::shared::authorities::authorities;

source_configuration! {
    /// Configuration of the `mysql` source.
    pub(super) struct MysqlConfiguration {
        /// Name or address of the machine the server runs on. The connection is always a network connection.
        #[field(label = "Server")]
        pub(super) host: String,
        /// Port the server listens on, usually 3306.
        #[field(label = "Port")]
        pub(super) port: i64,
        /// Account to sign in with. It needs the privilege SELECT.
        #[field(label = "User name")]
        pub(super) user: String,
        /// Password of the account.
        #[field(label = "Password")]
        pub(super) password: SecretString,
        /// Database whose tables are read.
        #[field(label = "Database name")]
        pub(super) database: String,
        /// Names of tables and views, separated by commas. `*` stands for all that the account may read.
        #[field(label = "Tables to sync", value = "*")]
        pub(super) tables: Vec<String>,
        /// Whether the connection is encrypted and the server's certificate and name are checked.
        #[field(label = "Encrypt the connection (TLS)", value = false)]
        pub(super) ssl_enabled: bool,
        /// Certificate, in PEM, of the authority that signed the server's. Empty: the public authorities.
        #[field(label = "Certificate authority", depends_on = ("ssl_enabled", true), required = false)]
        pub(super) ssl_ca: Option<String>,
        /// Rows asked for at a time.
        #[field(label = "Page size", default_value = 5000, advanced = true)]
        pub(super) fetch_size: i64,
        /// How often a lost connection is made anew before the sync fails.
        #[field(label = "Retries", default_value = 3, advanced = true)]
        pub(super) retry_count: i64,
        /// Column whose value grows with every change of a row (a timestamp, a version). Incremental syncs use it where the
        /// binary log cannot be read.
        #[field(label = "Watermark column", default_value = "", advanced = true)]
        pub(super) watermark_column: Option<String>,
    }
}

impl MysqlConfiguration {
    /// The port, if it is one.
    pub(super) fn tcp_port(&self) -> Result<u16, SourceError> {
        u16::try_from(self.port).ok().filter(|port| *port > 0).ok_or_else(|| {
            SourceError::configuration("port", format_args!("is {}, not a number from 1 to 65535", self.port))
        })
    }

    /// Rows of a page.
    pub(super) fn page_rows(&self) -> Result<u64, SourceError> {
        u64::try_from(self.fetch_size).ok().filter(|rows| *rows > 0).ok_or_else(|| {
            SourceError::configuration(
                "fetch_size",
                format_args!("is {}, not a number from 1 on", self.fetch_size),
            )
        })
    }

    /// How often a lost connection is made anew.
    pub(super) fn retries(&self) -> Result<u32, SourceError> {
        u32::try_from(self.retry_count).map_err(|_| {
            SourceError::configuration(
                "retry_count",
                format_args!("is {}, not a number from 0 on", self.retry_count),
            )
        })
    }

    /// The certificates to trust, as PEM; none: the public authorities.
    pub(super) fn certificates(&self) -> Result<Option<String>, SourceError> {
        let authorities = authorities(self.ssl_ca.as_deref().unwrap_or_default())?;
        Ok(authorities.map(|authorities| authorities.pem))
    }
}
