//! The `connectors` program.

use std::process::ExitCode;

use clap::Parser;
use connectors_cli::connectors_args::ConnectorsArgs;
use connectors_cli::{Aim, commands};

fn main() -> ExitCode {
    let args = ConnectorsArgs::parse();
    connectors_cli::run(Aim::Small, commands::run(args))
}
