//! The `connectors` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::commands;
use connectors_cli::connectors_args::ConnectorsArgs;

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(ConnectorsArgs::parse()).await
}
