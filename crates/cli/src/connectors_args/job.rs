//! Command line of `connectors job`.

use clap::{Args, Subcommand, ValueEnum};

use super::Output;

/// Kinds of sync job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum JobKind {
    /// Everything, deletions too
    Full,
    /// What changed since the last sync
    Incremental,
    /// Who may see what
    AccessControl,
}

/// `connectors job`.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Ask for a sync; a running service takes it up
    Start(StartArgs),
    /// Follow a job until it ends
    Watch(WatchArgs),
    /// Jobs of a connector, newest first
    #[command(after_help = "Example:\n  connectors job list 7a6b -o json | jq '.[0].status'")]
    List {
        /// Connector id
        connector_id: String,
        /// Output form
        #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
        output: Output,
    },
    /// One job
    #[command(after_help = "Example:\n  connectors job view 5f2c")]
    View {
        /// Job id
        job_id: String,
        /// Output form
        #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
        output: Output,
    },
    /// Ask a job to stop
    #[command(
        after_help = "A job that a service runs is `canceling` until that service has seen it.\n\nExample:\n  connectors job cancel 5f2c && connectors job watch 5f2c"
    )]
    Cancel {
        /// Job id
        job_id: String,
        /// Output form
        #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
        output: Output,
    },
}

/// `connectors job start`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  connectors job start -i 7a6b -t full\n  connectors job start -i 7a6b --watch     and follow it to its end\n  connectors job start -i 7a6b --rebuild   with the types of `connectors connector mapping`"
)]
pub struct StartArgs {
    /// Connector id
    #[arg(short = 'i', long)]
    pub connector_id: String,

    /// Kind
    #[arg(short = 't', long, value_enum, ignore_case = true, default_value = "full")]
    pub job_type: JobKind,

    /// Fill a new index and put it in the old one's place when it is complete, as `connectors sync --rebuild` does
    #[arg(long)]
    pub rebuild: bool,

    /// Keep the old index of a rebuild, under the name it has behind the alias
    #[arg(long, requires = "rebuild")]
    pub keep_old: bool,

    /// Follow the job until it ends, as `job watch` does
    #[arg(short, long)]
    pub watch: bool,

    /// Output form
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors job watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Counts are those of the job's document, which the service that runs it writes every few seconds.\nThe exit code says the result: 0 completed, 1 error, 3 canceled. Ctrl-C ends the watching and not the job (exit code 130).\n\nExample:\n  connectors job watch 5f2c && echo searchable"
)]
pub struct WatchArgs {
    /// Job id
    pub job_id: String,

    /// Output form; json prints the job when it has ended
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    pub output: Output,
}
