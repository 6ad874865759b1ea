//! The verbs of `connectors`, one file each.

pub mod check;
pub mod completions;
pub mod connector;
pub mod index;
pub mod job;
pub mod login;
pub mod rules;
pub mod search;
pub mod source;
pub mod sync;

use std::process::ExitCode;

use anyhow::Result;
use connectors_service::Service;
use connectors_service::logging::{self, Level};
use serde_json::Value;

use crate::connectors_args::{Command, ConnectorsArgs};
use crate::target::{self, Target};

/// Configuration files looked for when none is named: the one `connectors login` of the peer writes, and the service's.
const USUAL_FILES: [&str; 2] = [".cli/config.yml", "config.yml"];

/// Runs the program; the exit code is 0 only if what was asked for was done.
pub async fn run(args: ConnectorsArgs) -> ExitCode {
    logging::start(if args.debug { Level::Debug } else { Level::Warning }, false);
    match run_command(args).await {
        Ok(code) => code,
        Err(error) => {
            // The reader of our output has gone (`connectors ... | head`): nobody is there to be told.
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            {
                return ExitCode::FAILURE;
            }
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command(args: ConnectorsArgs) -> Result<ExitCode> {
    if let Command::Completions { shell } = &args.command {
        completions::run(*shell)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Login(login) = &args.command {
        // Before any configuration is read: a broken one is what a new login repairs.
        login::run(args.config.as_deref(), login).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = target::configuration(args.config.as_deref(), &USUAL_FILES)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let registry = crate::registry(&config)?;
    if let Command::Source(command) = &args.command {
        source::run(&registry, command)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = Target::open(config, "cli").await?;
    let service = Service::new(target.config.clone(), target.client.clone(), registry.clone());
    let done = |()| ExitCode::SUCCESS;
    let result = match &args.command {
        Command::Sync(args) => sync::run(&service, &registry, args).await,
        Command::Search(args) => search::run(&target, args).await.map(done),
        Command::Check(args) => check::run(&service, args).await,
        Command::Connector(command) => connector::run(&target, &service, &registry, command).await.map(done),
        Command::Job(command) => job::run(&target, &service, command).await,
        Command::Rules(command) => rules::run(&service, command).await,
        Command::Index(command) => index::run(&target, command).await.map(done),
        // Done before anything was opened.
        Command::Source(_) | Command::Login(_) | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    };
    target.close().await;
    result
}

/// Prints rows under a heading, columns aligned.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    crate::print_line(&line(&mut heading.iter().copied()))?;
    for row in rows {
        crate::print_line(&line(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// A JSON value as a person reads it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
