//! The scheduling loop: prepares and checks connectors, sends heartbeats, and creates the jobs that are due.

use std::collections::HashMap;
use std::time::Duration;

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::configuration::simple_configuration;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus, ScheduleEntry, SourceDefinition};
use connectors_protocol::filtering::ValidationState;
use connectors_protocol::schedule::{Due, due};
use connectors_protocol::sync_job::{JobType, SyncJobDocument, TriggerMethod};
use connectors_sdk::{DataSource, SourceDescriptor};
use futures_util::StreamExt;
use jiff::Timestamp;
use tracing::Instrument;

use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// State of the loop: what it has looked at, and when it is wanted next.
pub(crate) struct Scheduler {
    service: Service,
    started: Timestamp,
    /// From when on the schedules of each connector have not been looked at. One that cannot be looked at stays behind, so
    /// that nothing of it is missed.
    looked: HashMap<String, Timestamp>,
    /// The first time, after the last turn, that a schedule asks for something.
    next: Option<Timestamp>,
}

impl Scheduler {
    pub(crate) fn new(service: Service) -> Self {
        Self { service, started: Timestamp::now(), looked: HashMap::new(), next: None }
    }

    /// How long until a schedule that was looked at asks for a job.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        self.next.map(|next| Timestamp::now().duration_until(next).try_into().unwrap_or(Duration::ZERO))
    }

    /// Looks at every supported connector once. One connector's error does not keep the others from their turn.
    pub(crate) async fn turn(&mut self) -> Result<(), ServiceError> {
        let shared = &self.service.shared;
        let now = Timestamp::now();
        // Whatever happens now, the next turn is not due because of what was due before.
        self.next = None;
        let connectors =
            shared.connectors.supported(&self.service.served_types(), &self.service.own_ids()).await?;
        if connectors.is_empty() {
            tracing::debug!("No connectors to schedule");
        }
        let (service, started, looked) = (&self.service, self.started, &self.looked);
        let width = shared.config.service.max_concurrent_scheduling_tasks;
        let catch_up = shared.config.service.catch_up;
        let outcomes: Vec<(String, Timestamp, Looked)> = futures_util::stream::iter(connectors)
            .map(|connector| {
                let span = tracing::info_span!("connector", connector_id = %connector.id);
                let since = looked.get(&connector.id).copied();
                let first = since.is_none();
                // At first, since a service last reported for it: a job that was due while none ran is made now, once.
                let unattended = connector.document.last_seen.filter(|seen| catch_up && *seen < started);
                let turn = Turn { since: since.or(unattended).unwrap_or(started), now };
                let id = connector.id.clone();
                async move { (id, turn.since, look_after(service, connector, first, turn).await) }
                    .instrument(span)
            })
            .buffer_unordered(width)
            .collect()
            .await;
        let mut result = Ok(());
        for (id, since, outcome) in outcomes {
            let looked = match outcome {
                Ok(next) => {
                    self.next = self.next.into_iter().chain(next).min();
                    now
                }
                Err(error) => {
                    tracing::warn!("Connector {id}: {error}");
                    // What is wrong with one connector is written there; it must not end the service of all others.
                    if let ServiceError::Elasticsearch(_) = error {
                        result = result.and(Err(error));
                    }
                    since
                }
            };
            self.looked.insert(id, looked);
        }
        result
    }
}

/// When a schedule of the connector asks for something next.
type Looked = Result<Option<Timestamp>, ServiceError>;

/// One connector's turn.
async fn look_after(
    service: &Service,
    mut connector: Stored<ConnectorDocument>,
    first: bool,
    turn: Turn,
) -> Looked {
    let shared = &service.shared;
    let entry = shared.config.connectors.iter().find(|entry| entry.connector_id == connector.id);
    let service_type = connector
        .document
        .service_type
        .clone()
        .or_else(|| entry.and_then(|entry| entry.service_type.clone()));
    let Some(service_type) = service_type else {
        tracing::warn!("has no service type; configure one in Kibana or in config.yml");
        return Ok(None);
    };
    let Some(descriptor) = shared.registry.get(&service_type) else {
        tracing::warn!("has service type \"{service_type}\", for which this service has no source");
        return Ok(None);
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
    if first || connector.document.needs_heartbeat(turn.now, heartbeat) {
        connector = if shared.uses_connectors_api() {
            shared.client.check_in_connector(&connector.id).await?;
            match shared.connectors.get(&connector.id).await? {
                Some(current) => current,
                None => return Ok(None),
            }
        } else {
            shared.connectors.write(&connector.id, &ConnectorDocument::seen(turn.now)).await?
        };
    }
    if matches!(connector.document.status, ConnectorStatus::Created | ConnectorStatus::NeedsConfiguration) {
        tracing::info!("waits to be configured");
        return Ok(None);
    }
    let source = match service
        .open_source(descriptor, &connector.document.configuration, Surroundings::of(&connector))
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
        connector = shared.connectors.write(&connector.id, &update).await?;
    }
    let mut next = None;
    let mut problem = None;
    for job_type in [JobType::AccessControl, JobType::Incremental, JobType::Full] {
        let able = match job_type {
            JobType::Full => true,
            JobType::Incremental => {
                connector.document.features.incremental_sync() && descriptor.capabilities.incremental
            }
            JobType::AccessControl => {
                connector.document.features.document_level_security()
                    && descriptor.capabilities.access_control
                    && source.restricts_access()
            }
        };
        if able {
            match schedule(service, &mut connector, job_type, turn).await {
                Ok(at) => next = next.into_iter().chain(at).min(),
                // One schedule that cannot be read does not keep the others from theirs.
                Err(error) => problem = problem.or(Some(error)),
            }
        }
    }
    match problem {
        None => Ok(next),
        Some(error @ ServiceError::Setup(_)) => failed(service, &connector, error).await,
        Some(error) => Err(error),
    }
}

/// Writes what is wrong into the connector, where its owner sees it.
async fn failed(service: &Service, connector: &Stored<ConnectorDocument>, error: ServiceError) -> Looked {
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

/// Creates a job if the connector's schedule asks for one now; tells when it asks next. The stamp is written first, guarded,
/// so that of two services one creates it.
async fn schedule(
    service: &Service,
    connector: &mut Stored<ConnectorDocument>,
    job_type: JobType,
    turn: Turn,
) -> Looked {
    let shared = &service.shared;
    for _ in 0..3 {
        let document = &connector.document;
        let last = document.last_scheduled(job_type);
        // A job that was made since has its stamp.
        let since = last.map_or(turn.since, |stamp| stamp.max(turn.since));
        let next = match due(document.scheduling.of(job_type), since, turn.now, last)
            .map_err(|error| ServiceError::Setup(format!("schedule: {error}")))?
        {
            Due::Now(_) => following(document.scheduling.of(job_type), turn.now),
            Due::At(time) => return Ok(Some(time)),
            Due::AlreadyScheduled => return Ok(following(document.scheduling.of(job_type), turn.now)),
            Due::Never => return Ok(None),
        };
        if job_type == JobType::AccessControl
            && let Err(error) = service.check_license().await
        {
            tracing::warn!("No {job_type} job: {error}");
            return Ok(next);
        }
        let update = ConnectorDocument::scheduled(job_type, turn.now);
        let Some(stamped) = shared.connectors.write_guarded(connector, &update).await? else {
            // Somebody wrote it since it was read; what it says now counts.
            let Some(current) = shared.connectors.get(&connector.id).await? else { return Ok(None) };
            *connector = current;
            continue;
        };
        *connector = stamped;
        let job = SyncJobDocument::new(
            &connector.id,
            &connector.document,
            job_type,
            TriggerMethod::Scheduled,
            turn.now,
        )
        .map_err(|error| ServiceError::Setup(error.to_string()))?;
        let job_id = shared.jobs.create_unseen(&job).await?.id;
        shared.new_job.send_replace(());
        tracing::info!("Created {job_type} job {job_id} by schedule");
        return Ok(next);
    }
    Err(ServiceError::Protocol(format!(
        "others wrote the connector three times in a row; scheduling {job_type} at the next turn"
    )))
}

/// The first time of a schedule after `now`. A schedule that cannot be read has been complained about already.
fn following(entry: &ScheduleEntry, now: Timestamp) -> Option<Timestamp> {
    match due(entry, now, now, None) {
        Ok(Due::At(time)) => Some(time),
        _ => None,
    }
}

/// One look at the schedules of a connector.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// The time from which on they have not been looked at.
    since: Timestamp,
    now: Timestamp,
}
