//! Command line of `elastic-ingest`: the flags of both versions of the guide.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

/// What `--action` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Action {
    /// Create sync jobs that are due
    Schedule,
    /// Run content sync jobs
    SyncContent,
    /// Run access control sync jobs
    SyncAccessControl,
    /// End jobs whose worker or connector is gone
    Cleanup,
    /// All four of the above (the older name)
    Poll,
    /// Print the sources this program has, and stop
    List,
    /// Print the default configuration of --service-type, and stop
    Config,
}

/// Keeps search indices in Elasticsearch or OpenSearch in step with where your data lives.
///
/// Reads config.yml; without one it starts on the embedded node, so that nothing else has to be installed.
#[derive(Debug, Parser)]
#[command(
    name = "elastic-ingest",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  elastic-ingest                          run the service with ./config.yml, or on the embedded node\n  elastic-ingest -c prod.yml --filebeat   another configuration, JSON log lines\n  elastic-ingest --action list            which sources there are\n  elastic-ingest node --port 9200         only the embedded Elasticsearch-compatible node"
)]
pub struct IngestArgs {
    /// What to do; several may be given [default: schedule sync_content sync_access_control cleanup]
    #[arg(long, value_enum, num_args = 1.., value_delimiter = ',', action = ArgAction::Append)]
    pub action: Vec<Action>,

    /// Configuration file [default: config.yml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Log level [default: service.log_level of the configuration, else INFO]
    #[arg(long, value_parser = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], ignore_case = true, conflicts_with = "debug", global = true)]
    pub log_level: Option<String>,

    /// Short for --log-level DEBUG
    #[arg(long, global = true)]
    pub debug: bool,

    /// Log as JSON lines in the Elastic Common Schema
    #[arg(long, global = true)]
    pub filebeat: bool,

    /// Service type whose default configuration --action config prints
    #[arg(long, value_name = "TYPE")]
    pub service_type: Option<String>,

    /// Accepted so that the peer's command lines work; changes nothing
    #[arg(long)]
    pub uvloop: bool,

    /// Print the version
    #[arg(short, long, action = ArgAction::Version)]
    pub version: Option<bool>,

    /// Instead of the service
    #[command(subcommand)]
    pub command: Option<IngestCommand>,
}

/// Subcommands of `elastic-ingest`.
#[derive(Debug, Subcommand)]
pub enum IngestCommand {
    /// Run only the embedded node: an Elasticsearch-compatible server for one machine
    Node(NodeArgs),
}

/// `elastic-ingest node`.
#[derive(Debug, Parser)]
pub struct NodeArgs {
    /// Data folder; made when missing, owned by one node at a time [default: node in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,

    /// Port; 0 takes any free one
    #[arg(long, default_value_t = 9200)]
    pub port: u16,

    /// Address to listen on; anything but loopback needs --username, --password-file, --tls-cert and --tls-key
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub bind: std::net::IpAddr,

    /// File to write the node's URL into once it answers; for programs that start a node with --port 0
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,

    /// User name that requests must give
    #[arg(long, requires = "password_file")]
    pub username: Option<String>,

    /// File with the password that requests must give (never on the command line: others could read it there)
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,

    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl NodeArgs {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }
}
