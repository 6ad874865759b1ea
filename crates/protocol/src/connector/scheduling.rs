//! When a connector's syncs run by themselves.

use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::lenient::null_as_default;
use crate::sync_job::JobType;

/// Every day at midnight.
pub const DEFAULT_INTERVAL: &str = "0 0 0 * * ?";

/// One schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleEntry {
    /// Whether it is on.
    #[serde(default, deserialize_with = "null_as_default")]
    pub enabled: bool,
    /// Quartz cron expression (see [`crate::cron`]); kept as text so that a wrong one can be shown and corrected.
    #[serde(default = "default_interval")]
    pub interval: Option<String>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

#[allow(clippy::unnecessary_wraps)] // serde's `default` has the field's type
fn default_interval() -> Option<String> {
    Some(DEFAULT_INTERVAL.to_owned())
}

impl Default for ScheduleEntry {
    fn default() -> Self {
        Self { enabled: false, interval: default_interval(), extra: Extra::default() }
    }
}

impl ScheduleEntry {
    /// A schedule that is on.
    pub fn every(interval: &str) -> Self {
        Self { enabled: true, interval: Some(interval.to_owned()), extra: Extra::default() }
    }
}

/// A connector's three schedules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduling {
    /// Full content syncs.
    #[serde(deserialize_with = "null_as_default")]
    pub full: ScheduleEntry,
    /// Incremental content syncs.
    #[serde(deserialize_with = "null_as_default")]
    pub incremental: ScheduleEntry,
    /// Access control syncs.
    #[serde(deserialize_with = "null_as_default")]
    pub access_control: ScheduleEntry,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Scheduling {
    /// The schedule of jobs of this type.
    pub fn of(&self, job_type: JobType) -> &ScheduleEntry {
        match job_type {
            JobType::Full => &self.full,
            JobType::Incremental => &self.incremental,
            JobType::AccessControl => &self.access_control,
        }
    }
}
