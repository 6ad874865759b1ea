//! The scheduling loop: prepares and checks connectors, sends heartbeats, and creates the jobs that are due.

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::configuration::simple_configuration;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus, SourceDefinition};
use connectors_protocol::filtering::ValidationState;
use connectors_protocol::schedule::{Due, due};
use connectors_protocol::sync_job::{JobType, SyncJobDocument, TriggerMethod};
use connectors_sdk::{DataSource, SourceDescriptor};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::service::{Service, ServiceError};

/// State of the loop: when it last woke up, and which connectors it has greeted.
pub(crate) struct Scheduler {
    service: Service,
    previous: Timestamp,
    greeted: std::collections::HashSet<String>,
}

impl Scheduler {
    pub(crate) fn new(service: Service) -> Self {
        Self { service, previous: Timestamp::now(), greeted: std::collections::HashSet::new() }
    }

    /// Looks at every supported connector once. One connector's error does not keep the others from their turn.
    pub(crate) async fn turn(&mut self) -> Result<(), ServiceError> {
        let shared = &self.service.shared;
        let now = Timestamp::now();
        let connectors =
            shared.connectors.supported(&self.service.served_types(), &self.service.own_ids()).await?;
        if connectors.is_empty() {
            tracing::debug!("No connectors to schedule");
        }
        let (service, previous, greeted) = (&self.service, self.previous, &self.greeted);
        let width = shared.config.service.max_concurrent_scheduling_tasks;
        let outcomes: Vec<(String, Result<(), ServiceError>)> = futures_util::stream::iter(connectors)
            .map(|connector| {
                let span = tracing::info_span!("connector", connector_id = %connector.id);
                let first = !greeted.contains(&connector.id);
                let id = connector.id.clone();
                async move { (id, look_after(service, connector, first, previous, now).await) }
                    .instrument(span)
            })
            .buffer_unordered(width)
            .collect()
            .await;
        self.previous = now;
        let mut result = Ok(());
        for (id, outcome) in outcomes {
            if let Err(error) = outcome {
                tracing::warn!("Connector {id}: {error}");
                result = result.and(Err(error));
            }
            self.greeted.insert(id);
        }
        result
    }
}

/// One connector's turn.
async fn look_after(
    service: &Service,
    mut connector: Stored<ConnectorDocument>,
    first: bool,
    previous: Timestamp,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let shared = &service.shared;
    let entry = shared.config.connectors.iter().find(|entry| entry.connector_id == connector.id);
    let service_type = connector
        .document
        .service_type
        .clone()
        .or_else(|| entry.and_then(|entry| entry.service_type.clone()));
    let Some(service_type) = service_type else {
        tracing::warn!("has no service type; configure one in Kibana or in config.yml");
        return Ok(());
    };
    let Some(descriptor) = shared.registry.get(&service_type) else {
        tracing::warn!("has service type \"{service_type}\", for which this service has no source");
        return Ok(());
    };
    let definition = SourceDefinition {
        service_type,
        features: descriptor.capabilities.features(),
        configuration: simple_configuration(&descriptor.default_configuration().0),
        owned: entry.is_some(),
    };
    if let Some(update) = connector.document.prepare(&definition) {
        connector = shared.connectors.write(&connector.id, &update).await?;
        tracing::info!("Prepared the connector for {}", descriptor.name);
    }
    let heartbeat = i64::try_from(shared.config.service.heartbeat.as_secs()).unwrap_or(i64::MAX);
    if first || connector.document.needs_heartbeat(now, heartbeat) {
        shared.connectors.write(&connector.id, &ConnectorDocument::seen(now)).await?;
    }
    if matches!(connector.document.status, ConnectorStatus::Created | ConnectorStatus::NeedsConfiguration) {
        tracing::info!("waits to be configured");
        return Ok(());
    }
    let source = match service
        .open_source(descriptor, &connector.document.configuration, false, CancellationToken::new())
        .await
    {
        Ok(source) => source,
        Err(error) => return failed(service, &connector, error).await,
    };
    if let Err(error) = validate_draft(service, &mut connector, descriptor, source.as_ref()).await {
        return failed(service, &connector, error).await;
    }
    if connector.document.status != ConnectorStatus::Connected || connector.document.error.is_some() {
        let update =
            connector.document.connected().map_err(|error| ServiceError::Protocol(error.to_string()))?;
        shared.connectors.write(&connector.id, &update).await?;
    }
    for job_type in [JobType::AccessControl, JobType::Incremental, JobType::Full] {
        let able = match job_type {
            JobType::Full => true,
            JobType::Incremental => {
                connector.document.features.incremental_sync() && descriptor.capabilities.incremental
            }
            JobType::AccessControl => {
                connector.document.features.document_level_security()
                    && descriptor.capabilities.access_control
            }
        };
        if able {
            schedule(service, &connector.id, job_type, previous, now).await?;
        }
    }
    Ok(())
}

/// Writes what is wrong into the connector, where its owner sees it.
async fn failed(
    service: &Service,
    connector: &Stored<ConnectorDocument>,
    error: ServiceError,
) -> Result<(), ServiceError> {
    let update = ConnectorDocument::failed(&error.to_string());
    service.shared.connectors.write(&connector.id, &update).await?;
    Err(error)
}

/// Checks a draft of sync rules that was edited, and puts it in force if it is valid.
async fn validate_draft(
    service: &Service,
    connector: &mut Stored<ConnectorDocument>,
    descriptor: &SourceDescriptor,
    source: &dyn DataSource,
) -> Result<(), ServiceError> {
    if !connector.document.features.sync_rules() {
        return Ok(());
    }
    let Some(draft) = connector.document.filtering.edited_draft() else { return Ok(()) };
    let result = crate::rules::validate(draft, descriptor, source).await?;
    let valid = result.state == ValidationState::Valid;
    tracing::info!("Draft sync rules are {}", if valid { "valid: now active" } else { "not valid" });
    let draft = draft.clone();
    if let Some(written) = service.shared.connectors.draft_validated(&connector.id, &draft, &result).await? {
        *connector = written;
    }
    Ok(())
}

/// Creates a job if the connector's schedule asks for one now. The stamp is written first, guarded, so that of two
/// services one creates it.
async fn schedule(
    service: &Service,
    id: &str,
    job_type: JobType,
    previous: Timestamp,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let shared = &service.shared;
    for _ in 0..3 {
        let Some(connector) = shared.connectors.get(id).await? else { return Ok(()) };
        let entry = connector.document.scheduling.of(job_type);
        let last = connector.document.last_scheduled(job_type);
        match due(entry, previous, now, last)
            .map_err(|error| ServiceError::Setup(format!("schedule: {error}")))?
        {
            Due::Now(_) => {}
            Due::At(_) | Due::AlreadyScheduled | Due::Never => return Ok(()),
        }
        let update = ConnectorDocument::scheduled(job_type, now);
        let Some(stamped) = shared.connectors.write_guarded(&connector, &update).await? else { continue };
        let job = SyncJobDocument::new(id, &stamped.document, job_type, TriggerMethod::Scheduled, now)
            .map_err(|error| ServiceError::Setup(error.to_string()))?;
        let job_id = shared.jobs.create(&job).await?.id;
        tracing::info!("Created {job_type} job {job_id} by schedule");
        return Ok(());
    }
    tracing::debug!(
        "others wrote the connector three times in a row; scheduling {job_type} at the next turn"
    );
    Ok(())
}
