//! `connectors job`.

use anyhow::{Context, Result};
use connectors_es_client::protocol_index::{ConnectorIndex, Stored, SyncJobIndex};
use connectors_protocol::indices::JOBS_INDEX;
use connectors_protocol::sync_job::{JobType, SyncJobDocument, TriggerMethod};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::table;
use crate::connectors_args::{JobCommand, JobKind, Output};
use crate::target::Target;

/// Jobs shown by `job list`.
const LISTED: usize = 100;

/// Starts, lists, shows or cancels jobs.
pub async fn run(target: &Target, command: &JobCommand) -> Result<()> {
    let connectors = ConnectorIndex::new(target.client.clone());
    let jobs = SyncJobIndex::new(target.client.clone());
    connectors.ensure().await?;
    jobs.ensure().await?;
    match command {
        JobCommand::Start { connector_id, job_type, output } => {
            let connector = connectors
                .get(connector_id)
                .await?
                .with_context(|| format!("there is no connector {connector_id}"))?;
            let job_type = match job_type {
                JobKind::Full => JobType::Full,
                JobKind::Incremental => JobType::Incremental,
                JobKind::AccessControl => JobType::AccessControl,
            };
            let job = SyncJobDocument::new(
                connector_id,
                &connector.document,
                job_type,
                TriggerMethod::OnDemand,
                Timestamp::now(),
            )?;
            let id = jobs.create(&job).await?.id;
            match output {
                Output::Json => crate::print_json(&json!({ "id": id })),
                Output::Text => crate::print_line(&format!(
                    "created job {id}; a running elastic-ingest that serves connector {connector_id} takes it up"
                )),
            }
        }
        JobCommand::List { connector_id, output } => {
            // A search may be a refresh behind what just happened.
            target.client.refresh(JOBS_INDEX).await?;
            let page = jobs.list(Some(connector_id), 0, LISTED).await?;
            if *output == Output::Json {
                let list: Vec<Value> = page.jobs.iter().map(shown).collect();
                return crate::print_json(&list);
            }
            let rows: Vec<Vec<String>> = page.jobs.iter().map(row).collect();
            table(&["ID", "TYPE", "STATUS", "CREATED", "INDEXED", "DELETED", "ERROR"], &rows)?;
            if page.total > page.jobs.len() as u64 {
                crate::print_line(&format!("... and {} older ones", page.total - page.jobs.len() as u64))?;
            }
            Ok(())
        }
        JobCommand::View { job_id, output } => {
            let job = jobs.get(job_id).await?.with_context(|| format!("there is no job {job_id}"))?;
            if *output == Output::Json {
                return crate::print_json(&shown(&job));
            }
            let Value::Object(fields) = shown(&job) else { unreachable!("an object literal") };
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                crate::print_line(&format!(
                    "{name}: {}",
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                ))?;
            }
            Ok(())
        }
        JobCommand::Cancel { job_id } => {
            let job = jobs.get(job_id).await?.with_context(|| format!("there is no job {job_id}"))?;
            let now = Timestamp::now();
            job.document.request_cancel(now)?;
            let job = jobs.update(job_id, |job| job.request_cancel(now).ok().flatten()).await?;
            crate::print_line(&format!("job {job_id} is {}", job.document.status))
        }
    }
}

/// What is shown of a job: everything but the snapshot of its connector, which may hold secrets.
fn shown(job: &Stored<SyncJobDocument>) -> Value {
    let document = &job.document;
    json!({
        "id": job.id,
        "connector_id": document.connector.id,
        "index_name": document.connector.index_name,
        "job_type": document.job_type,
        "trigger_method": document.trigger_method,
        "status": document.status,
        "error": document.error,
        "created_at": document.created_at,
        "started_at": document.started_at,
        "completed_at": document.completed_at,
        "canceled_at": document.canceled_at,
        "indexed_document_count": document.indexed_document_count,
        "indexed_document_volume": document.indexed_document_volume,
        "deleted_document_count": document.deleted_document_count,
        "total_document_count": document.total_document_count,
        "worker_hostname": document.worker_hostname,
        "metadata": document.metadata,
    })
}

fn row(job: &Stored<SyncJobDocument>) -> Vec<String> {
    let document = &job.document;
    vec![
        job.id.clone(),
        document.job_type.to_string(),
        document.status.to_string(),
        document.created_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
        document.indexed_document_count.to_string(),
        document.deleted_document_count.to_string(),
        document.error.clone().unwrap_or_default(),
    ]
}
