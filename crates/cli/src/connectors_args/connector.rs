//! Command line of `connectors connector`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use connectors_protocol::cron::Schedule;
use serde_json::Value;

use super::{Output, field_type, key_value};

/// `connectors connector`.
#[derive(Debug, Subcommand)]
pub enum ConnectorCommand {
    /// Id, index, service type, status and last sync of each
    #[command(
        after_help = "Example:\n  connectors connector list -o json | jq -r '.[] | select(.status == \"error\") | .id'"
    )]
    List {
        /// Output form
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Make a connector, its index and its API key
    Create(CreateArgs),
    /// Everything about one connector; secrets are not shown
    #[command(
        after_help = "Examples:\n  connectors connector show 7a6b\n  connectors connector show 7a6b -o json | jq .scheduling"
    )]
    Show {
        /// Connector id
        connector_id: String,
        /// Output form
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Fill in the configuration fields of a connector
    Configure(ConfigureArgs),
    /// Say which types fields get in the index, or show them
    Mapping(MappingArgs),
    /// Say when syncs run by themselves, or show when they do
    Schedule(ScheduleArgs),
    /// Delete a connector and its jobs
    Delete(DeleteConnectorArgs),
}

/// Values for configuration fields, given without questions.
#[derive(Debug, Args)]
pub struct SettingArgs {
    /// Value of a configuration field; `connectors source show TYPE` prints the fields. For a secret use --set-env
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value, action = ArgAction::Append)]
    pub set: Vec<(String, String)>,

    /// Take the value of a configuration field from an environment variable: for secrets, which other users of the machine
    /// could read among a program's arguments
    #[arg(long, value_name = "KEY=VARIABLE", value_parser = key_value, action = ArgAction::Append)]
    pub set_env: Vec<(String, String)>,

    /// JSON file with values of configuration fields: {"KEY": VALUE, ...}
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
}

/// `connectors connector configure`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --set, --set-env and --from-file each field is asked for, with its present value as the default; an empty answer\nkeeps it. Secrets are not echoed. Then the source is asked whether it works (what it refuses is asked for\nagain), and the connector becomes `configured`.\n\nExamples:\n  connectors connector configure 7a6b\n  connectors connector configure 7a6b --set directory=/srv/docs\n  connectors connector configure 7a6b --set-env password=DB_PASSWORD"
)]
pub struct ConfigureArgs {
    /// Connector id
    pub connector_id: String,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: SettingArgs,

    /// Do not ask the source whether the configuration works: it is reached from another machine only
    #[arg(long)]
    pub no_check: bool,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors connector mapping`.
#[derive(Debug, Args)]
#[command(
    after_help = "An index gets these types when it is made, below those of its index template. One that is there keeps its types until it is\nrebuilt. TYPE is the name of a field type (date, keyword, text, long, double, boolean, ip, ...), or the field's mapping as JSON.\nDots lead to the fields of an object.\n\nExamples:\n  connectors connector mapping 7a6b                                        what is set\n  connectors connector mapping 7a6b --map created=date --map author.name=keyword\n  connectors connector mapping 7a6b --map 'day={\"type\": \"date\", \"format\": \"yyyy-MM-dd\"}'\n  connectors connector mapping 7a6b --unset created\n  connectors connector mapping 7a6b --file mapping.json\n  connectors job start -i 7a6b --rebuild --watch                           and make the index anew with it\n\nExample mapping.json, which may also be what GET /INDEX/_mapping prints:\n  {\"created\": \"date\", \"author.name\": \"keyword\", \"day\": {\"type\": \"date\", \"format\": \"yyyy-MM-dd\"}}"
)]
pub struct MappingArgs {
    /// Connector id
    pub connector_id: String,

    /// Type of a field
    #[arg(long, value_name = "FIELD=TYPE", value_parser = field_type, action = ArgAction::Append)]
    pub map: Vec<(String, Value)>,

    /// Take a field's type away: it is mapped as it would be without
    #[arg(long, value_name = "FIELD", action = ArgAction::Append)]
    pub unset: Vec<String>,

    /// JSON file with types, which replace all that are set; --map adds to them
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a schedule is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interval {
    /// No syncs by themselves; the expression that is stored stays for later.
    Off,
    /// A Quartz cron expression.
    Cron(String),
}

fn interval(text: &str) -> Result<Interval, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Interval::Off);
    }
    Schedule::parse(text).map_err(|error| error.to_string())?;
    Ok(Interval::Cron(text.to_owned()))
}

/// `connectors connector schedule`.
#[derive(Debug, Args)]
#[command(
    after_help = "An expression has six fields, in UTC: second minute hour day-of-month month day-of-week. One of the two days is `?`.\n\nExamples:\n  connectors connector schedule 7a6b                          what is scheduled, and the next times\n  connectors connector schedule 7a6b --full \"0 0 2 * * ?\"      every night at two\n  connectors connector schedule 7a6b --full \"0 0/30 * * * ?\"   every half hour\n  connectors connector schedule 7a6b --full off"
)]
pub struct ScheduleArgs {
    /// Connector id
    pub connector_id: String,

    /// Full syncs: a Quartz cron expression, or off
    #[arg(long, value_name = "CRON|off", value_parser = interval)]
    pub full: Option<Interval>,

    /// Incremental syncs: a Quartz cron expression, or off
    #[arg(long, value_name = "CRON|off", value_parser = interval)]
    pub incremental: Option<Interval>,

    /// Access control syncs: a Quartz cron expression, or off
    #[arg(long, value_name = "CRON|off", value_parser = interval)]
    pub access_control: Option<Interval>,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors connector delete`.
#[derive(Debug, Args)]
#[command(
    after_help = "The index and its documents stay, unless --index is given. An API key that was made for the connector is invalidated.\n\nExample:\n  connectors connector delete 7a6b --index --yes"
)]
pub struct DeleteConnectorArgs {
    /// Connector id
    pub connector_id: String,

    /// Delete its index too, with all documents
    #[arg(long)]
    pub index: bool,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors connector create`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is not given is asked for. With --set, --set-env or --from-file no configuration field is asked for.\nIt makes the index, an API key for it (with basic authentication, where the cluster has security), and the connector.\n\nExamples:\n  connectors connector create\n  connectors connector create --service-type dir --index-name search-docs --set directory=/srv/docs\n  connectors connector create --service-type dir --index-name search-docs --from-file docs.json --update-config"
)]
pub struct CreateArgs {
    /// Index to write to
    #[arg(long)]
    pub index_name: Option<String>,

    /// Service type of the source; `connectors source list` prints them
    #[arg(long)]
    pub service_type: Option<String>,

    /// Name shown to people [default: the name of the index]
    #[arg(long)]
    pub name: Option<String>,

    /// Language of the index's texts, as a code such as en; empty for any
    #[arg(long, value_name = "CODE")]
    pub index_language: Option<String>,

    /// Make a native connector: one that Elastic runs, so that no file of ours names it
    #[arg(long, conflicts_with = "update_config")]
    pub native: bool,

    /// The index is there: make a connector for it. The first sync deletes documents that the source does not have
    #[arg(long)]
    pub from_index: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: SettingArgs,

    /// Type of a field in the index: date, keyword, long, ... or the field's whole mapping as JSON
    #[arg(long, value_name = "FIELD=TYPE", value_parser = field_type, action = ArgAction::Append)]
    pub map: Vec<(String, Value)>,

    /// Add the connector with its API key to the configuration file of the service
    #[arg(long)]
    pub update_config: bool,

    /// The configuration file of the service, for --update-config
    #[arg(long, value_name = "FILE", default_value = "config.yml")]
    pub connector_service_config: PathBuf,

    /// Do not ask the source whether the configuration works: it is reached from another machine only
    #[arg(long)]
    pub no_check: bool,

    /// Output form; json holds the API key
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
