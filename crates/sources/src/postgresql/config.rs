//! Configuration of the `postgresql` source.

use connectors_sdk::source_configuration;
use secrecy::SecretString;

source_configuration! {
    /// Configuration of the `postgresql` source. Keys, order and defaults are those of Elastic's connector, so that its
    /// configurations work; what is ours alone stands at the end and may be missing.
    pub(super) struct PostgresqlConfiguration {
        /// Name or IP address of the database server.
        #[field(label = "Host")]
        pub(super) host: String,
        /// TCP port of the server, usually 5432.
        #[field(label = "Port")]
        pub(super) port: i64,
        /// Account to log in with. It needs to read only.
        #[field(label = "User name")]
        pub(super) username: String,
        /// Password of the account.
        #[field(label = "Password")]
        pub(super) password: SecretString,
        /// Database to read from.
        #[field(label = "Database")]
        pub(super) database: String,
        /// Schema whose tables are read, for example `public`.
        #[field(label = "Schema")]
        pub(super) schema: String,
        /// Tables and views to read, separated by commas. `*` stands for all that the account may read.
        #[field(label = "Tables", display = "textarea", value = "*")]
        pub(super) tables: Vec<String>,
        /// Least number of rows the server is asked for at once. At least 5000 are asked for in any case; they are streamed, so
        /// that more of them need no more memory.
        #[field(label = "Rows per page", default_value = 50, advanced = true)]
        pub(super) fetch_size: i64,
        /// How often a read that was cut off is tried again, after pauses of 2, 4, 8, … seconds.
        #[field(label = "Retries", default_value = 3, advanced = true)]
        pub(super) retry_count: i64,
        /// Whether the connection is encrypted, and the server's certificate and host name are checked.
        #[field(label = "Use TLS", display = "toggle", value = false)]
        pub(super) ssl_enabled: bool,
        /// Certificate authority that signed the server's certificate, in PEM form. Empty: those of the operating system.
        #[field(label = "CA certificate", required = false, depends_on = ("ssl_enabled", true))]
        pub(super) ssl_ca: Option<String>,
        /// Column whose value grows with every change of a row (a time or a counter). Incremental syncs go by it where the
        /// server's log of changes cannot be read. They do not see deleted rows then.
        #[field(label = "Watermark column", required = false, advanced = true)]
        pub(super) watermark_column: Option<String>,
    }
}
