//! The long-running service: its configuration, its log, and the loops that schedule, run and clean up sync jobs.

pub mod check;
pub mod cluster;
pub mod config;
pub mod configure;
pub mod logging;

mod cleanup;
mod create;
mod error_budget;
mod job;
mod jobs;
mod license;
mod mapping;
mod once;
mod preflight;
pub mod rules;
mod scheduling;
mod service;
mod source;
mod worker;

pub use create::{CreatedConnector, NewConnector};
pub use job::{JobEnd, JobOptions};
pub use service::{Loop, Service, ServiceError};

use std::path::PathBuf;

/// Where programs of this project keep state when nothing else is said: `$CONNECTORS_DATA`, else
/// `connectors` in the user's data folder (XDG base directory specification).
pub fn data_folder() -> PathBuf {
    if let Some(path) = std::env::var_os("CONNECTORS_DATA") {
        return path.into();
    }
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("connectors")
}
