//! The composition root: the programs `elastic-ingest` and `connectors`, which put all parts together.

pub mod commands;
pub mod connectors_args;
pub mod files;
pub mod ingest;
pub mod ingest_args;
pub mod progress;
pub mod prompt;
pub mod reference;
mod registry;
pub mod signals;
pub mod target;

pub use registry::registry;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
pub use connectors_memory::Aim;
use serde::Serialize;

/// How long a thread for blocking work waits for more of it: while it waits, it keeps what it has of its stack.
const THREAD_REST: Duration = Duration::from_secs(1);

/// Runs a program to its exit code. The allocator is told what it is for while there is only one thread.
pub fn run(aim: Aim, program: impl Future<Output = ExitCode>) -> ExitCode {
    connectors_memory::set_limits(aim);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_keep_alive(THREAD_REST).build();
    match runtime {
        Ok(runtime) => runtime.block_on(program),
        Err(error) => {
            // Nowhere else to say it: there is no log yet.
            drop(writeln!(std::io::stderr(), "error: no threads to run on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line on standard output. A closed pipe (`connectors ... | head`) is an error like any other, not a panic.
pub fn print_line(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Prints a value as indented JSON on standard output.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}
