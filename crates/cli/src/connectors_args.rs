//! Command line of `connectors`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use connectors_protocol::index_mapping;
use connectors_protocol::sync_job::Rebuild;
use serde_json::Value;

mod connector;
mod index;
mod job;
mod login;
mod rules;

pub use connector::{
    ConfigureArgs, ConnectorCommand, CreateArgs, DeleteConnectorArgs, Interval, MappingArgs, ScheduleArgs,
    SettingArgs,
};
pub use index::{IndexCommand, IndexTarget};
pub use job::{JobCommand, JobKind, StartArgs, WatchArgs};
pub use login::{LoginArgs, LoginMethod};
pub use rules::{RulesCommand, RulesTarget, SetRulesArgs};

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON object on standard output
    Json,
}

/// Keeps search indices in step with where your data lives, from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "connectors",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  connectors sync dir --index search-docs --set directory=docs --set pattern='**/*.md'\n  connectors search search-docs \"getting started\"\n  connectors source show dir\n  connectors login --host https://search.example.com:9200\n  connectors connector create --service-type dir --index-name search-docs --set directory=/srv/docs\n  connectors job start -i CONNECTOR_ID --watch\n  connectors check\n\nWithout --config and without .cli/config.yml or config.yml, everything is kept in the embedded node,\nwhich is started when it does not run yet."
)]
pub struct ConnectorsArgs {
    /// Configuration file naming the cluster [default: .cli/config.yml or config.yml, if there is one]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Print log lines: what the program does while it does it
    #[arg(long, global = true)]
    pub debug: bool,

    /// Print the version
    #[arg(short, long, action = ArgAction::Version)]
    pub version: Option<bool>,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring an index in step with a source, once
    Sync(SyncArgs),
    /// Search an index
    Search(SearchArgs),
    /// Save where the cluster is and how to log in, for all other commands
    Login(LoginArgs),
    /// Look for what keeps connectors from working, and say what to do
    Check(CheckArgs),
    /// The sources this program has
    #[command(subcommand)]
    Source(SourceCommand),
    /// Connectors: list, create, show, configure, schedule, delete
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Sync jobs: start, watch, list, view, cancel
    #[command(subcommand)]
    Job(JobCommand),
    /// Sync rules: show, set, validate, preview, apply
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Indices: list, clean, delete
    #[command(subcommand)]
    Index(IndexCommand),
    /// Print a script with which a shell completes commands and flags
    #[command(
        after_help = "Examples:\n  connectors completions bash > ~/.local/share/bash-completion/completions/connectors\n  connectors completions zsh > ~/.zfunc/_connectors     with ~/.zfunc in fpath, before compinit\n  connectors completions fish > ~/.config/fish/completions/connectors.fish"
    )]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Shells that can complete our commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// `connectors sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "The first run makes a connector for the index; later runs find it by the index and write only what changed.\nThe exit code is 0 only if the sync completed.\n\nA field has the type an index template gives it, else that of --map, else what the source knows, else what its first value looks\nlike. Types are fixed when an index is made; the connector keeps those of --map for the next one. --rebuild makes one now:\nNAME-rebuild-TIME is filled and counted, and NAME becomes an alias of it. If that fails, NAME is as it was.\n\nExamples:\n  connectors sync dir --index search-notes --set directory=/home/me/notes --set pattern='**/*.md'\n  connectors sync mysql --index orders --set host=db --set port=3306 --set user=reader --set-env password=DB_PASSWORD --set database=shop\n  connectors sync mysql --index orders --map created=date --map customer.id=keyword --map 'price={\"type\": \"scaled_float\", \"scaling_factor\": 100}'\n  connectors sync dir --index search-notes --map extension=text --rebuild"
)]
pub struct SyncArgs {
    /// Service type of the source; `connectors source list` prints them
    pub service_type: String,

    /// Index to write to; made when missing
    #[arg(short, long)]
    pub index: String,

    /// Configuration of the source
    #[command(flatten)]
    pub settings: SettingArgs,

    /// Type of a field in the index when one is made: date, keyword, long, ... or the field's whole mapping as JSON
    #[arg(long, value_name = "FIELD=TYPE", value_parser = field_type, action = ArgAction::Append)]
    pub map: Vec<(String, Value)>,

    /// Fill a new index and put it in the old one's place when it is complete, while searches go on
    #[arg(long, conflicts_with = "dry_run")]
    pub rebuild: bool,

    /// Keep the old index of a rebuild, under the name it has behind the alias
    #[arg(long, requires = "rebuild")]
    pub keep_old: bool,

    /// Only say what would be written and deleted
    #[arg(long)]
    pub dry_run: bool,

    /// Write every document, also those that did not change
    #[arg(long)]
    pub force: bool,

    /// Write figures of the running sync into this file: a line of JSON for each tenth of a second
    #[arg(long, value_name = "FILE")]
    pub progress_file: Option<PathBuf>,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

impl SyncArgs {
    /// How the index is to be made anew, if it is.
    pub fn wanted_rebuild(&self) -> Option<Rebuild> {
        self.rebuild.then_some(Rebuild { keep_old: self.keep_old })
    }
}

fn field_type(text: &str) -> Result<(String, Value), String> {
    index_mapping::parse_pair(text).map_err(|error| error.to_string())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("\"{text}\" is not of the form KEY=VALUE"))
}

/// `connectors search`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  connectors search search-notes \"meeting agenda\"\n  connectors search 'search-*' invoice -n 10 -o json | jq '.hits.hits[]._id'"
)]
pub struct SearchArgs {
    /// Index, alias or pattern
    pub index: String,

    /// Words to look for, in any field
    pub query: String,

    /// How many hits to print
    #[arg(short = 'n', long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub size: u32,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors source`.
#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Service types and names
    #[command(after_help = "Example:\n  connectors source list -o json | jq -r '.[].service_type'")]
    List {
        /// Output form
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Configuration fields of one source
    #[command(after_help = "Example:\n  connectors source show dir")]
    Show {
        /// Service type
        service_type: String,
        /// Output form
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

/// `connectors check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looked at are the cluster, credentials and permissions, and for each connector its configuration, whether the source answers,\nsync rules, index, pipeline, licence, schedule, when a service last looked after it, and how the last sync ended. Nothing is\nwritten. The exit code is 1 if anything failed; warnings do not count.\n\nExample:\n  connectors check -o json | jq '.connectors[].findings[] | select(.result == \"failed\")'"
)]
pub struct CheckArgs {
    /// Connector id [default: all connectors]
    pub connector_id: Option<String>,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
