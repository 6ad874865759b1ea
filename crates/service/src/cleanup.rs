//! The cleanup loop: jobs that nobody runs any more end as errors, and their connectors say so. Sources of connectors that were
//! deleted remove what they keep at the third party.

use std::sync::PoisonError;

use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::sync_job::{IDLE_SECONDS, JobType, SyncJobDocument};
use connectors_protocol::timestamp;
use connectors_sdk::Retry;
use jiff::Timestamp;

use crate::service::{Service, ServiceError};

pub(crate) async fn turn(service: &Service) -> Result<(), ServiceError> {
    let shared = &service.shared;
    let now = Timestamp::now();
    let (mut orphaned, mut idle) = (0, 0);
    for job in shared.jobs.orphaned(&shared.connectors).await? {
        let Ok(update) = job.document.fail("the connector of this job does not exist any more", None, now)
        else {
            continue;
        };
        if shared.jobs.write_guarded(&job, &update).await?.is_some() {
            orphaned += 1;
        }
    }
    let types = service.served_types();
    for connector in shared.connectors.supported(&types, &service.own_ids()).await? {
        for job in shared.jobs.idle(std::slice::from_ref(&connector.id), now).await? {
            let text = silence(&job.document);
            let Ok(update) = job.document.fail(&text, None, now) else { continue };
            let Some(ended) = shared.jobs.write_guarded(&job, &update).await? else { continue };
            idle += 1;
            let update = ConnectorDocument::sync_ended(Some(&ended.document), None, now);
            shared.connectors.write(&connector.id, &update).await?;
        }
    }
    if orphaned + idle > 0 {
        tracing::info!("Ended {orphaned} jobs without a connector and {idle} idle jobs");
    }
    forget_deleted(service, &types, now).await
}

/// Has the sources of deleted connectors remove what they keep. The mark of a connector stays, so this process remembers whom it
/// told; a third party that cannot be reached is tried again in the next turn.
async fn forget_deleted(service: &Service, types: &[String], now: Timestamp) -> Result<(), ServiceError> {
    let shared = &service.shared;
    let told = || shared.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
    let deleted = shared.connectors.marked_as_deleted(types, &service.own_ids()).await?;
    // One of that id may be made, and deleted, again.
    told().retain(|id, _| deleted.iter().any(|connector| connector.id == *id));
    for connector in deleted {
        let before = told().get(&connector.id).copied();
        if before == Some(Told::Done) {
            continue;
        }
        // A job would make again what is removed; one whose worker died does not.
        let running = shared.jobs.running(std::slice::from_ref(&connector.id), &JobType::ALL).await?;
        if running.iter().any(|job| !job.document.is_idle(now)) {
            continue;
        }
        let what = match service.forget(&connector).await {
            Ok(()) => {
                tracing::debug!("Connector {} was deleted: its source keeps nothing for it", connector.id);
                Told::Done
            }
            Err(error) => {
                if before.is_none() {
                    tracing::warn!(
                        "Connector {} was deleted; what its source keeps for it at the third party may still be there: {error}",
                        connector.id
                    );
                }
                match error {
                    ServiceError::Source(error) if error.retry() != Retry::Never => Told::Unreachable,
                    _ => Told::Done,
                }
            }
        };
        told().insert(connector.id, what);
    }
    Ok(())
}

/// What became of telling a source that its connector is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It removed what it kept, or refused to; somebody was told.
    Done,
    /// The third party could not be reached.
    Unreachable,
}

/// Which worker went silent, and when.
fn silence(job: &SyncJobDocument) -> String {
    let worker =
        match (&job.worker_hostname, job.metadata.get("worker").and_then(|worker| worker["pid"].as_u64())) {
            (Some(host), Some(pid)) => format!("on {host} (process {pid})"),
            (Some(host), None) => format!("on {host}"),
            (None, _) => "that took this job".to_owned(),
        };
    let seen = job
        .last_seen
        .map_or_else(|| "never".to_owned(), |seen| format!("last at {}", timestamp::format(seen)));
    format!(
        "the service {worker} has not reported for over {IDLE_SECONDS} s ({seen}): it was killed or lost its connection; \
         start the job again"
    )
}
