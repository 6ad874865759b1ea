//! How a job may change, and what is written when it does.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{JobStatus, SyncJobDocument};
use crate::{PartialDocument, keyword_text, partial, timestamp};

/// A running job whose service has not reported for longer than this is dead.
pub const IDLE_SECONDS: i64 = 300;

/// A change of status the protocol does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sync job that is {from} cannot become {to}")]
pub struct IllegalJobTransition {
    /// Present status.
    pub from: JobStatus,
    /// Refused status.
    pub to: JobStatus,
}

/// Counters of a run, cumulative over all its claims.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IngestionStats {
    /// Documents written.
    pub indexed_document_count: u64,
    /// Size of the documents written, in bytes. Stored as whole MiB, rounded.
    pub indexed_bytes: u64,
    /// Documents deleted.
    pub deleted_document_count: u64,
    /// Documents in the index; known at the end of a job.
    pub total_document_count: Option<u64>,
    /// Facts about the run beyond these; stored in `metadata` when there are any.
    pub metadata: Map<String, Value>,
}

impl IngestionStats {
    fn write(&self, update: &mut PartialDocument) {
        const MIB: u64 = 1024 * 1024;
        let mebibytes = self.indexed_bytes.saturating_add(MIB / 2) / MIB;
        for (field, count) in [
            ("indexed_document_count", self.indexed_document_count),
            ("indexed_document_volume", mebibytes),
            ("deleted_document_count", self.deleted_document_count),
        ] {
            update.insert(field.to_owned(), count.into());
        }
        if let Some(total) = self.total_document_count {
            update.insert("total_document_count".to_owned(), total.into());
        }
        if !self.metadata.is_empty() {
            update.insert("metadata".to_owned(), self.metadata.clone().into());
        }
    }
}

impl JobStatus {
    /// Whether a job may go from this status to `next`.
    pub const fn can_become(self, next: Self) -> bool {
        use JobStatus::{Canceled, Canceling, Completed, Error, InProgress, Pending, Suspended};
        match self {
            // Nobody runs it: a wish to cancel is fulfilled at once.
            Pending | Suspended => matches!(next, InProgress | Canceled | Error),
            InProgress => matches!(next, Completed | Error | Canceling | Canceled | Suspended),
            Canceling => matches!(next, Canceled | Error),
            Canceled | Completed | Error => false,
        }
    }

    fn to(self, next: Self) -> Result<Self, IllegalJobTransition> {
        if self.can_become(next) { Ok(next) } else { Err(IllegalJobTransition { from: self, to: next }) }
    }
}

impl SyncJobDocument {
    /// A service takes the job: `in_progress`. `cursor` is the connector's sync cursor, given to incremental jobs. To
    /// be written with a concurrency guard on the document this was computed from, so that one of two services wins.
    /// A suspended job keeps the time it was first started.
    ///
    /// `token` is different in each claim ever made. It tells a claim from one that another service made on the same
    /// host in the same microsecond, when a repeated request has to find out who wrote the document.
    pub fn claim(
        &self,
        worker_hostname: &str,
        token: &str,
        cursor: Option<&Value>,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        let status = self.status.to(JobStatus::InProgress)?;
        let written = timestamp::format(now);
        let mut update = partial! {
            "status" => status,
            "started_at" => self.started_at.map_or_else(|| written.clone(), timestamp::format),
            "last_seen" => written,
            "worker_hostname" => worker_hostname,
            "claim_token" => token,
            "error" => Value::Null,
        };
        if let Some(cursor) = cursor {
            update.insert("connector".to_owned(), serde_json::json!({"sync_cursor": cursor}));
        }
        Ok(update)
    }

    /// The running job reports: counters and a sign of life.
    pub fn progress(stats: &IngestionStats, now: Timestamp) -> PartialDocument {
        let mut update = partial! {"last_seen" => timestamp::format(now)};
        stats.write(&mut update);
        update
    }

    /// Everything before `checkpoint` is written: an interrupted run goes on there.
    pub fn checkpointed(checkpoint: &Value, now: Timestamp) -> PartialDocument {
        partial! {"checkpoint" => checkpoint, "last_seen" => timestamp::format(now)}
    }

    /// The job is done.
    pub fn complete(
        &self,
        stats: &IngestionStats,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        self.end(JobStatus::Completed, None, Some(stats), now)
    }

    /// The job failed. `stats` is `None` when whoever marks it does not know them (cleanup): the stored ones stay.
    pub fn fail(
        &self,
        error: &str,
        stats: Option<&IngestionStats>,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        self.end(JobStatus::Error, Some(error), stats, now)
    }

    /// Somebody reports through the connector API that the job failed. Only a job that runs can fail so: Elasticsearch's
    /// job state machine knows no way from `pending` or `suspended` to `error`.
    pub fn report_error(&self, error: &str, now: Timestamp) -> Result<PartialDocument, IllegalJobTransition> {
        if !self.status.is_running() {
            return Err(IllegalJobTransition { from: self.status, to: JobStatus::Error });
        }
        self.fail(error, None, now)
    }

    /// The job was stopped on request.
    pub fn cancel(
        &self,
        stats: Option<&IngestionStats>,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        self.end(JobStatus::Canceled, None, stats, now)
    }

    /// The service shuts down: some service goes on with the job later.
    pub fn suspend(
        &self,
        stats: &IngestionStats,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        let mut update = self.end(JobStatus::Suspended, None, Some(stats), now)?;
        update.insert("worker_hostname".to_owned(), Value::Null);
        Ok(update)
    }

    fn end(
        &self,
        next: JobStatus,
        error: Option<&str>,
        stats: Option<&IngestionStats>,
        now: Timestamp,
    ) -> Result<PartialDocument, IllegalJobTransition> {
        let next = self.status.to(next)?;
        let written = timestamp::format(now);
        let error = error.map(keyword_text);
        let mut update = partial! {"last_seen" => written, "status" => next, "error" => error};
        if next.is_terminal() {
            update.insert("completed_at".to_owned(), written.clone().into());
        }
        if next == JobStatus::Canceled {
            update.insert("canceled_at".to_owned(), written.into());
        }
        if let Some(stats) = stats {
            stats.write(&mut update);
        }
        Ok(update)
    }

    /// Somebody wants the job stopped. A running one becomes `canceling`, and the service that runs it stops it; one
    /// nobody runs is `canceled` at once. `None` when it is `canceling` already.
    pub fn request_cancel(&self, now: Timestamp) -> Result<Option<PartialDocument>, IllegalJobTransition> {
        let requested = timestamp::format(now);
        let mut update = match self.status {
            JobStatus::Canceling => return Ok(None),
            JobStatus::Pending | JobStatus::Suspended => self.cancel(None, now)?,
            _ => partial! {"status" => self.status.to(JobStatus::Canceling)?},
        };
        update.insert("cancelation_requested_at".to_owned(), requested.into());
        Ok(Some(update))
    }

    /// Whether the job should be running but its service has not reported for [`IDLE_SECONDS`].
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.status.is_running()
            && self.last_seen.is_none_or(|seen| now.as_second() - seen.as_second() > IDLE_SECONDS)
    }
}
