//! The `elastic-ingest` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::ingest;
use connectors_cli::ingest_args::IngestArgs;

#[tokio::main]
async fn main() -> ExitCode {
    ingest::run(IngestArgs::parse()).await
}
