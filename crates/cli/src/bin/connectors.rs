//! The `connectors` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::commands;
use connectors_cli::connectors_args::ConnectorsArgs;

fn main() -> ExitCode {
    let args = ConnectorsArgs::parse();
    connectors_cli::run(true, commands::run(args))
}
