//! Finding, claiming and reporting sync jobs.

use connectors_protocol::PartialDocument;
use connectors_protocol::sync_job::{JobStatus, JobType, SyncJobDocument};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ConnectorIndex, ProtocolDocument, Stored, SyncJobIndex};
use crate::error::EsError;

/// One page of a connector's jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<Stored<SyncJobDocument>>,
    /// How many there are in all.
    pub total: u64,
}

impl SyncJobIndex {
    /// Jobs that wait for a service, pending and suspended, oldest first.
    pub async fn claimable(
        &self,
        connector_ids: &[String],
        job_types: &[JobType],
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        self.in_status(connector_ids, job_types, JobStatus::is_claimable).await
    }

    /// Jobs some service should be running, oldest first.
    pub async fn running(
        &self,
        connector_ids: &[String],
        job_types: &[JobType],
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        self.in_status(connector_ids, job_types, JobStatus::is_running).await
    }

    /// Jobs that have not ended: those that wait for a service and those some service should be running, oldest first.
    pub async fn unfinished(
        &self,
        connector_ids: &[String],
        job_types: &[JobType],
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        self.in_status(connector_ids, job_types, |status| !status.is_terminal()).await
    }

    /// Whether there are jobs that somebody wants canceled and that have not ended yet, of whatever connector.
    pub async fn any_canceling(&self) -> Result<bool, EsError> {
        let query = statuses(|status| status == JobStatus::Canceling);
        Ok(self.client.count(<SyncJobDocument as ProtocolDocument>::ALIAS, Some(&query)).await? > 0)
    }

    /// Jobs that somebody wants canceled and that have not ended yet, oldest first.
    pub async fn canceling(
        &self,
        connector_ids: &[String],
        job_types: &[JobType],
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        self.in_status(connector_ids, job_types, |status| status == JobStatus::Canceling).await
    }

    /// Running jobs of these connectors whose service has not reported for too long.
    pub async fn idle(
        &self,
        connector_ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        let running = self.running(connector_ids, &JobType::ALL).await?;
        Ok(running.into_iter().filter(|job| job.document.is_idle(now)).collect())
    }

    /// Running jobs whose connector does not exist any more.
    pub async fn orphaned(
        &self,
        connectors: &ConnectorIndex,
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        let query = json!({"bool": {
            "filter": [statuses(JobStatus::is_running)],
            "must_not": [{"terms": {"connector.id": connectors.ids().await?}}],
        }});
        self.find(&query, &oldest_first()).await
    }

    /// A page of a connector's jobs, newest first; of all jobs without a connector id. `from` + `size` is at most 10,000.
    pub async fn list(
        &self,
        connector_id: Option<&str>,
        from: usize,
        size: usize,
    ) -> Result<JobPage, EsError> {
        let query = match connector_id {
            Some(id) => json!({"term": {"connector.id": id}}),
            None => json!({"match_all": {}}),
        };
        let newest_first = json!([{"created_at": {"order": "desc", "unmapped_type": "date"}}]);
        let page = self.page(&query, &newest_first, from, size).await?;
        Ok(JobPage { jobs: page.documents, total: page.total })
    }

    /// Deletes all jobs of a connector; tells how many there were.
    pub async fn delete_of(&self, connector_id: &str) -> Result<u64, EsError> {
        let alias = <SyncJobDocument as ProtocolDocument>::ALIAS;
        // What was written a moment ago is deleted as well.
        self.client.refresh(alias).await?;
        self.client.delete_by_query(alias, &json!({"term": {"connector.id": connector_id}})).await
    }

    async fn in_status(
        &self,
        connector_ids: &[String],
        job_types: &[JobType],
        wanted: fn(JobStatus) -> bool,
    ) -> Result<Vec<Stored<SyncJobDocument>>, EsError> {
        if connector_ids.is_empty() || job_types.is_empty() {
            return Ok(Vec::new());
        }
        let types: Vec<_> = job_types.iter().map(|job_type| job_type.name()).collect();
        let query = json!({"bool": {"filter": [
            statuses(wanted),
            {"terms": {"connector.id": connector_ids}},
            {"terms": {"job_type": types}},
        ]}});
        self.find(&query, &oldest_first()).await
    }

    /// Takes a job for `worker_hostname`: `in_progress`. None if another service was quicker, or the job is not
    /// waiting any more: of several services that try, exactly one gets the job. `cursor` is the connector's, for an
    /// incremental job; `more` are further fields to write with it.
    pub async fn claim(
        &self,
        job: &Stored<SyncJobDocument>,
        worker_hostname: &str,
        cursor: Option<&Value>,
        more: PartialDocument,
    ) -> Result<Option<Stored<SyncJobDocument>>, EsError> {
        let token = uuid::Uuid::new_v4().to_string();
        let Ok(mut partial) = job.document.claim(worker_hostname, &token, cursor, Timestamp::now()) else {
            return Ok(None);
        };
        partial.extend(more);
        self.write_guarded(job, &partial).await
    }
}

fn statuses(wanted: fn(JobStatus) -> bool) -> Value {
    let names: Vec<_> =
        JobStatus::ALL.into_iter().filter(|status| wanted(*status)).map(JobStatus::name).collect();
    json!({"terms": {"status": names}})
}

fn oldest_first() -> Value {
    json!([{"created_at": {"order": "asc", "unmapped_type": "date"}}])
}
