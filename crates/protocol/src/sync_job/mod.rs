//! The sync job document: one run of a connector, with a snapshot of the connector as it was when the job was made.

mod transitions;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use transitions::{IDLE_SECONDS, IllegalJobTransition, IngestionStats};

use crate::Extra;
use crate::configuration::RawConfiguration;
use crate::connector::ConnectorDocument;
use crate::filtering::Filter;
use crate::indices::access_control_index;
use crate::lenient::null_as_default;
use crate::pipeline::Pipeline;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a service.
    Pending,
    /// A service runs it.
    InProgress,
    /// Someone wants it stopped; the service that runs it has not seen that yet.
    Canceling,
    /// Stopped on request.
    Canceled,
    /// Its service shut down; it goes on when a service claims it again.
    Suspended,
    /// Done.
    Completed,
    /// Failed.
    Error,
}

impl JobStatus {
    /// All statuses.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::InProgress,
        Self::Canceling,
        Self::Canceled,
        Self::Suspended,
        Self::Completed,
        Self::Error,
    ];

    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }

    /// The status with this wire name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(name))
    }

    /// Whether the job has ended for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Error | Self::Canceled)
    }

    /// Whether some service should be running the job now.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::InProgress | Self::Canceling)
    }

    /// Whether a service may claim the job.
    pub const fn is_claimable(self) -> bool {
        matches!(self, Self::Pending | Self::Suspended)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a job syncs. A job from before types existed (null) is a full one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobType {
    /// All documents; what the source no longer has is deleted.
    #[default]
    Full,
    /// What changed since the connector's cursor.
    Incremental,
    /// Who may read what.
    AccessControl,
}

impl JobType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Full, Self::Incremental, Self::AccessControl];

    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::AccessControl => "access_control",
        }
    }

    /// The type with this wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job_type| job_type.name() == name)
    }

    /// Whether the job writes content documents (full, incremental) and not identities.
    pub const fn is_content(self) -> bool {
        !matches!(self, Self::AccessControl)
    }
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asked for a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerMethod {
    /// A person or a program.
    #[default]
    OnDemand,
    /// The connector's schedule.
    Scheduled,
}

impl TriggerMethod {
    /// All ways.
    pub const ALL: [Self; 2] = [Self::OnDemand, Self::Scheduled];

    /// The way with this wire name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }

    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            Self::Scheduled => "scheduled",
        }
    }
}

/// The connector as it was when the job was made.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobConnector {
    /// Connector id; null in a job that lost its connector.
    pub id: Option<String>,
    /// Index the job writes to: the content index, or the connector's access control index.
    pub index_name: Option<String>,
    /// Language of the content index's analyzers.
    pub language: Option<String>,
    /// Which source reads the data.
    pub service_type: Option<String>,
    /// Ingest pipeline settings.
    #[serde(deserialize_with = "null_as_default")]
    pub pipeline: Pipeline,
    /// Rich configurable fields.
    #[serde(deserialize_with = "null_as_default")]
    pub configuration: RawConfiguration,
    /// The active sync rules. Older writers stored a list of them, one for each domain; the first counts.
    #[serde(deserialize_with = "crate::filtering::deserialize_snapshot")]
    pub filtering: Filter,
    /// Where an incremental sync starts.
    pub sync_cursor: Option<Value>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A document of `.elastic-connectors-sync-jobs`; its `_id` is the job id. `Debug` shows names and states only.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncJobDocument {
    /// When somebody asked for the job to stop.
    #[serde(default, with = "crate::timestamp::option")]
    pub cancelation_requested_at: Option<Timestamp>,
    /// When it was stopped.
    #[serde(default, with = "crate::timestamp::option")]
    pub canceled_at: Option<Timestamp>,
    /// When it ended, however it did.
    #[serde(default, with = "crate::timestamp::option")]
    pub completed_at: Option<Timestamp>,
    /// Snapshot of the connector.
    #[serde(default, deserialize_with = "null_as_default")]
    pub connector: JobConnector,
    /// When the job was made.
    #[serde(default, with = "crate::timestamp::option")]
    pub created_at: Option<Timestamp>,
    /// Documents deleted.
    #[serde(default, deserialize_with = "null_as_default")]
    pub deleted_document_count: u64,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Documents written.
    #[serde(default, deserialize_with = "null_as_default")]
    pub indexed_document_count: u64,
    /// Size of the documents written, in whole MiB.
    #[serde(default, deserialize_with = "null_as_default")]
    pub indexed_document_volume: u64,
    /// What the job syncs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_type: JobType,
    /// When its service last reported.
    #[serde(default, with = "crate::timestamp::option")]
    pub last_seen: Option<Timestamp>,
    /// Facts about the run beyond the protocol's counters.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Map<String, Value>,
    /// When a service claimed it.
    #[serde(default, with = "crate::timestamp::option")]
    pub started_at: Option<Timestamp>,
    /// Where the job is in its life.
    pub status: JobStatus,
    /// Documents in the index when the job ended.
    #[serde(default)]
    pub total_document_count: Option<u64>,
    /// Who asked for it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub trigger_method: TriggerMethod,
    /// Host of the service that claimed it.
    #[serde(default)]
    pub worker_hostname: Option<String>,
    /// Where a suspended or interrupted run goes on; its shape is the sync engine's. Other implementations keep the
    /// field and do not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    /// The index is to be made anew, and to take the old one's place when it is complete. Other implementations keep the
    /// field, do not read it, and run a full sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Rebuild>,
    /// Which claim the run belongs to (see [`SyncJobDocument::claim`]): a service whose token is no longer here has lost
    /// the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_token: Option<String>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl fmt::Debug for SyncJobDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncJobDocument")
            .field("connector_id", &self.connector.id)
            .field("index_name", &self.connector.index_name)
            .field("job_type", &self.job_type)
            .field("status", &self.status)
            .field("error", &self.error)
            .field("last_seen", &self.last_seen)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JobConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobConnector")
            .field("id", &self.id)
            .field("index_name", &self.index_name)
            .field("service_type", &self.service_type)
            .field("configuration", &self.configuration)
            .finish_non_exhaustive()
    }
}

/// How an index is made anew by a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rebuild {
    /// The old index stays when the new one has taken its name.
    pub keep_old: bool,
}

/// A connector without a content index cannot have jobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connector {0} has no index to write to")]
pub struct NoIndex(pub String);

impl SyncJobDocument {
    /// A new pending job of the connector `id`, with a snapshot of what the connector is now. An access control job
    /// writes to the connector's access control index.
    pub fn new(
        id: &str,
        connector: &ConnectorDocument,
        job_type: JobType,
        trigger_method: TriggerMethod,
        now: Timestamp,
    ) -> Result<Self, NoIndex> {
        let content_index = connector.index_name.as_deref().filter(|name| !name.is_empty());
        let content_index = content_index.ok_or_else(|| NoIndex(id.to_owned()))?;
        let index_name = if job_type.is_content() {
            content_index.to_owned()
        } else {
            access_control_index(content_index)
        };
        Ok(Self {
            cancelation_requested_at: None,
            canceled_at: None,
            completed_at: None,
            connector: JobConnector {
                id: Some(id.to_owned()),
                index_name: Some(index_name),
                language: connector.language.clone(),
                service_type: connector.service_type.clone(),
                pipeline: connector.pipeline.clone(),
                configuration: connector.configuration.clone(),
                filtering: connector.filtering.active().cloned().unwrap_or_default(),
                sync_cursor: None,
                extra: Extra::default(),
            },
            created_at: Some(now),
            deleted_document_count: 0,
            error: None,
            indexed_document_count: 0,
            indexed_document_volume: 0,
            job_type,
            last_seen: Some(now),
            metadata: Map::new(),
            started_at: None,
            status: JobStatus::Pending,
            total_document_count: None,
            trigger_method,
            worker_hostname: None,
            checkpoint: None,
            rebuild: None,
            claim_token: None,
            extra: Extra::default(),
        })
    }
}

#[cfg(test)]
mod tests;
