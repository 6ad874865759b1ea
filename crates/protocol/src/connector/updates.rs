//! What is written to a connector document, and when.

use jiff::Timestamp;
use serde_json::Value;

use super::{ConnectorDocument, ConnectorStatus, Features, IllegalConnectorTransition};
use crate::configuration::{Preparation, RawConfiguration, prepare};
use crate::sync_job::{JobStatus, JobType, SyncJobDocument};
use crate::{PartialDocument, keyword_text, partial, timestamp};

/// Error written when a job document vanished while its sync ran.
pub const JOB_NOT_FOUND: &str = "Couldn't find the job";
/// Error written when a job failed without saying why.
pub const UNKNOWN_ERROR: &str = "unknown error";

/// Why a sync cannot start on a connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncStartError {
    /// Another sync of the same family (content, or access control) runs.
    #[error("{0} sync of this connector is already running")]
    AlreadyRunning(&'static str),
    /// The connector's status does not allow it.
    #[error("the connector cannot sync: {0}")]
    Status(#[from] IllegalConnectorTransition),
}

/// What a service knows about the source of a connector, for [`ConnectorDocument::prepare`].
#[derive(Debug, Clone)]
pub struct SourceDefinition {
    /// The service type configured for this connector's id, or its own.
    pub service_type: String,
    /// The source's features.
    pub features: Features,
    /// The source's full default configuration.
    pub configuration: RawConfiguration,
    /// Whether the service's own configuration names this connector's id: then the source's features replace the
    /// stored ones. Otherwise missing ones are added, and only to a native connector.
    pub owned: bool,
}

impl ConnectorDocument {
    /// What is missing for this connector to be run by `source`: service type, features, configuration fields and
    /// field properties. `None` when the document is complete.
    pub fn prepare(&self, source: &SourceDefinition) -> Option<PartialDocument> {
        let mut update = PartialDocument::new();
        match prepare(&self.configuration, &source.configuration) {
            Preparation::Complete => {}
            Preparation::Initial(configuration) => {
                update.insert("configuration".to_owned(), configuration.0.into());
                update.insert("status".to_owned(), ConnectorStatus::NeedsConfiguration.name().into());
            }
            Preparation::Additions(additions) => {
                update.insert("configuration".to_owned(), additions.0.into());
            }
        }
        if self.service_type.is_none() {
            update.insert("service_type".to_owned(), source.service_type.clone().into());
        }
        let features = if source.owned {
            (self.features != source.features).then(|| source.features.clone())
        } else if self.is_native {
            self.features.completed(&source.features)
        } else {
            None
        };
        if let Some(features) = features {
            update.insert("features".to_owned(), features.0.into());
        }
        (!update.is_empty()).then_some(update)
    }

    /// Heartbeat.
    pub fn seen(now: Timestamp) -> PartialDocument {
        partial! {"last_seen" => timestamp::format(now)}
    }

    /// Whether the last heartbeat is longer ago than `seconds`.
    pub fn needs_heartbeat(&self, now: Timestamp, seconds: i64) -> bool {
        self.last_seen.is_none_or(|seen| now.as_second() - seen.as_second() > seconds)
    }

    /// The source answered: `connected`, no error.
    pub fn connected(&self) -> Result<PartialDocument, IllegalConnectorTransition> {
        let status = self.status.to(ConnectorStatus::Connected)?;
        Ok(partial! {"status" => status, "error" => Value::Null})
    }

    /// The configuration, the source or a rule check failed: `error`, with its text.
    pub fn failed(error: &str) -> PartialDocument {
        partial! {"status" => ConnectorStatus::Error, "error" => keyword_text(error)}
    }

    /// When a job of this type was last scheduled.
    pub fn last_scheduled(&self, job_type: JobType) -> Option<Timestamp> {
        match job_type {
            JobType::Full => self.last_sync_scheduled_at,
            JobType::Incremental => self.last_incremental_sync_scheduled_at,
            JobType::AccessControl => self.last_access_control_sync_scheduled_at,
        }
    }

    /// A job of this type is about to be created by its schedule. Written with a concurrency guard *before* the job,
    /// so that of two services one creates it.
    pub fn scheduled(job_type: JobType, now: Timestamp) -> PartialDocument {
        let field = match job_type {
            JobType::Full => "last_sync_scheduled_at",
            JobType::Incremental => "last_incremental_sync_scheduled_at",
            JobType::AccessControl => "last_access_control_sync_scheduled_at",
        };
        partial! {field => timestamp::format(now)}
    }

    /// Status of the last sync of the family this job type belongs to.
    pub fn last_status(&self, job_type: JobType) -> Option<JobStatus> {
        if job_type.is_content() { self.last_sync_status } else { self.last_access_control_sync_status }
    }

    /// A sync starts. Written with a concurrency guard on the document this was computed from.
    pub fn sync_started(&self, job_type: JobType) -> Result<PartialDocument, SyncStartError> {
        if self.last_status(job_type) == Some(JobStatus::InProgress) {
            let family = if job_type.is_content() { "a content" } else { "an access control" };
            return Err(SyncStartError::AlreadyRunning(family));
        }
        let status = self.status.to(ConnectorStatus::Connected)?;
        let mut update = partial! {"status" => status, "error" => Value::Null};
        let last = LastSync::of(job_type);
        last.write(&mut update, JobStatus::InProgress, None);
        Ok(update)
    }

    /// A sync ended, with the job as it now is; `None` when its document vanished, which marks both families as failed
    /// so that neither stays `in_progress` for ever. `cursor` replaces the connector's after a completed content sync.
    pub fn sync_ended(
        job: Option<&SyncJobDocument>,
        cursor: Option<&Value>,
        now: Timestamp,
    ) -> PartialDocument {
        let status = job.map_or(JobStatus::Error, |job| job.status);
        let error = match job {
            None => Some(JOB_NOT_FOUND),
            Some(job) if status == JobStatus::Error => Some(job.error.as_deref().unwrap_or(UNKNOWN_ERROR)),
            Some(_) => None,
        };
        let connector_status =
            if status == JobStatus::Error { ConnectorStatus::Error } else { ConnectorStatus::Connected };
        let mut update = partial! {
            "last_synced" => timestamp::format(now),
            "status" => connector_status,
            "error" => error,
        };
        match job {
            None => {
                LastSync::CONTENT.write(&mut update, status, error);
                LastSync::ACCESS_CONTROL.write(&mut update, status, error);
            }
            Some(job) => {
                LastSync::of(job.job_type).write(&mut update, status, error);
                if job.job_type.is_content() && status == JobStatus::Completed {
                    update.insert("sync_cursor".to_owned(), cursor.cloned().into());
                }
                if status.is_terminal() {
                    let counts = [
                        ("last_indexed_document_count", job.indexed_document_count),
                        ("last_deleted_document_count", job.deleted_document_count),
                    ];
                    for (field, count) in counts {
                        update.insert(field.to_owned(), count.into());
                    }
                }
            }
        }
        update
    }
}

/// The two fields that describe the last sync of a family.
struct LastSync {
    status: &'static str,
    error: &'static str,
}

impl LastSync {
    const CONTENT: Self = Self { status: "last_sync_status", error: "last_sync_error" };
    const ACCESS_CONTROL: Self =
        Self { status: "last_access_control_sync_status", error: "last_access_control_sync_error" };

    fn of(job_type: JobType) -> Self {
        if job_type.is_content() { Self::CONTENT } else { Self::ACCESS_CONTROL }
    }

    fn write(&self, update: &mut PartialDocument, status: JobStatus, error: Option<&str>) {
        update.insert(self.status.to_owned(), status.name().into());
        update.insert(self.error.to_owned(), error.into());
    }
}
