//! The `elastic-ingest` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::ingest_args::IngestArgs;
use connectors_cli::{Aim, ingest};

fn main() -> ExitCode {
    let args = IngestArgs::parse();
    // The one command is the node.
    let aim = if args.command.is_some() { Aim::Fast } else { Aim::Small };
    connectors_cli::run(aim, ingest::run(args))
}
