//! The cleanup loop: jobs that nobody runs any more end as errors, and their connectors say so.

use connectors_protocol::connector::ConnectorDocument;
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
            let text = format!(
                "the job has not reported for over {} s",
                connectors_protocol::sync_job::IDLE_SECONDS
            );
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
    Ok(())
}
