//! The `elastic-ingest` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::ingest;
use connectors_cli::ingest_args::IngestArgs;

fn main() -> ExitCode {
    let args = IngestArgs::parse();
    connectors_cli::run(args.command.is_none(), ingest::run(args))
}
