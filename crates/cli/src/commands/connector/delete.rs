//! `connectors connector delete`.

use anyhow::Result;
use connectors_es_client::protocol_index::{ConnectorIndex, SyncJobIndex};
use connectors_protocol::indices::JOBS_INDEX;
use connectors_protocol::sync_job::JobType;
use connectors_service::Service;
use serde_json::json;

use crate::connectors_args::{DeleteConnectorArgs, Output};
use crate::progress::number;
use crate::prompt;
use crate::target::Target;

/// Deletes a connector with its jobs, and its index if that is asked for.
pub async fn run(
    target: &Target,
    service: &Service,
    connectors: &ConnectorIndex,
    args: &DeleteConnectorArgs,
) -> Result<()> {
    let connector = service.connector(&args.connector_id).await?;
    let jobs = SyncJobIndex::new(target.client.clone());
    jobs.ensure().await?;
    target.client.refresh(JOBS_INDEX).await?;
    let ids = std::slice::from_ref(&connector.id);
    let (all, running) =
        (jobs.list(Some(&connector.id), 0, 1).await?.total, jobs.running(ids, &JobType::ALL));
    let running = running.await?.len();
    let index = connector.document.index_name.as_deref().filter(|_| args.index);
    let documents = match index {
        Some(index) if target.client.index_exists(index).await? => {
            Some((index, target.client.count(index, None).await?))
        }
        _ => None,
    };
    let mut question = format!(
        "Delete connector {} ({}) and its {} jobs",
        connector.id,
        connector.document.name.as_deref().unwrap_or("no name"),
        number(all)
    );
    if running > 0 {
        question.push_str(&format!(", of which {running} run now and will be stopped,"));
    }
    if let Some((index, count)) = documents {
        question.push_str(&format!(" and the index {index} with {} documents", number(count)));
    }
    prompt::confirm(&format!("{question}?"), args.yes)?;

    // The connector first: nothing makes further jobs then.
    connectors.delete(&connector.id).await?;
    let deleted_jobs = jobs.delete_of(&connector.id).await?;
    let index_deleted = match documents {
        Some((index, _)) => target.client.delete_index(index).await?,
        None => false,
    };
    if let Err(error) = service.forget(&connector).await {
        tracing::warn!(
            "what the source keeps for this connector at the third party may still be there: {error}"
        );
    }
    if let Some(key) = &connector.document.api_key_id
        && let Err(error) = target.client.invalidate_api_key(key).await
    {
        tracing::warn!("the connector's API key {key} is still valid: {error}");
    }
    if args.output == Output::Json {
        return crate::print_json(&json!({
            "id": connector.id,
            "deleted": true,
            "deleted_job_count": deleted_jobs,
            "index_name": connector.document.index_name,
            "index_deleted": index_deleted,
        }));
    }
    crate::print_line(&format!("deleted connector {} and {} jobs", connector.id, number(deleted_jobs)))?;
    match (&connector.document.index_name, index_deleted) {
        (Some(index), true) => crate::print_line(&format!("deleted the index {index}")),
        (Some(index), false) => crate::print_line(&format!("the index {index} is left as it is")),
        (None, _) => Ok(()),
    }
}
