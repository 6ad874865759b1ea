//! One sync job, from claim to end.

use std::sync::Arc;
use std::time::Duration;

use connectors_es_client::protocol_index::Stored;
use connectors_es_client::{EsClient, EsError, EsRequest, Method, path};
use connectors_protocol::PartialDocument;
use connectors_protocol::connector::{ConnectorDocument, SyncStartError};
use connectors_protocol::filtering::ValidationState;
use connectors_protocol::pipeline::{DEFAULT_PIPELINE, Pipeline};
use connectors_protocol::sync_job::{
    IllegalJobTransition, IngestionStats, JobStatus, JobType, SyncJobDocument,
};
use connectors_sdk::DataSource;
use connectors_sync::{Outcome, Progress, StopTokens, SyncInput, SyncReport, Totals};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::client_for;
use crate::service::{Service, ServiceError};
use crate::source::Surroundings;

/// How often a running job looks whether it should stop.
const CANCEL_CHECK: Duration = Duration::from_secs(1);
/// How many of those looks pass from one report of counters to the next (10 s, as the peer).
const CHECKS_PER_REPORT: u32 = 10;

/// What a caller may ask of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobOptions {
    /// Write every document, also those whose timestamp did not change.
    pub force: bool,
}

/// How a run ended.
#[derive(Debug)]
pub enum JobEnd {
    /// It ran; the job as it now is stored, and what the engine counted. No report if it failed before it began to read.
    Ran(Box<SyncJobDocument>, Option<Box<SyncReport>>),
    /// Another service has it, or another sync of this connector runs.
    NotClaimed,
    /// Its document or its connector's was deleted.
    Vanished,
}

/// A job that this service runs now, and what its connector says beside the job's own copy of it.
struct Claimed {
    job: Stored<SyncJobDocument>,
    connector: Stored<ConnectorDocument>,
}

/// What the work came to, before it is written down.
enum Ending {
    Completed,
    Canceled,
    Suspended,
    /// With the job's `error`: a class and a text.
    Failed(String),
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Canceled => Self::Canceled,
            Outcome::Suspended => Self::Suspended,
            Outcome::Failed(error) => Self::Failed(format!("{}: {error}", error.name())),
        }
    }
}

impl Service {
    /// Claims and runs a job. Errors of the job are written into it and its connector, and are no `Err` here; that is for
    /// when even this cannot be done.
    pub async fn run_job(
        &self,
        job: Stored<SyncJobDocument>,
        options: JobOptions,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<JobEnd, ServiceError> {
        let connector_id = job.document.connector.id.clone().unwrap_or_default();
        let Some(Claimed { job, connector }) = self.claim(job, &connector_id).await? else {
            return Ok(JobEnd::NotClaimed);
        };
        tracing::info!("Sync job claimed");
        let tokens = StopTokens { cancel: CancellationToken::new(), suspend: stop };
        let reporter = self.report_while_running(&job, progress.subscribe(), tokens.cancel.clone());
        let (ending, report) = match self.work(&job, &connector.document, options, progress, tokens).await {
            Ok((ending, report)) => (ending, report),
            Err(error) => (Ending::Failed(format!("{}: {error}", error.name())), None),
        };
        reporter.abort();
        self.end(Claimed { job, connector }, &ending, report).await
    }

    /// Takes a job and marks its connector as syncing; `None` if others were quicker.
    async fn claim(
        &self,
        job: Stored<SyncJobDocument>,
        connector_id: &str,
    ) -> Result<Option<Claimed>, ServiceError> {
        let shared = &self.shared;
        let now = Timestamp::now();
        let Some(connector) = shared.connectors.get(connector_id).await? else {
            if let Ok(update) = job.document.fail("the connector of this job does not exist", None, now) {
                shared.jobs.write_guarded(&job, &update).await?;
            }
            return Ok(None);
        };
        match connector.document.sync_started(job.document.job_type) {
            Ok(_) => {}
            Err(SyncStartError::AlreadyRunning(_)) => {
                tracing::debug!("waits: another sync of its connector runs");
                return Ok(None);
            }
            Err(SyncStartError::Status(error)) => {
                if let Ok(update) = job.document.fail(&error.to_string(), None, now) {
                    shared.jobs.write_guarded(&job, &update).await?;
                }
                return Ok(None);
            }
        }
        let cursor = match job.document.job_type {
            JobType::Incremental => connector.document.sync_cursor.as_ref(),
            JobType::Full | JobType::AccessControl => None,
        };
        let mut more = PartialDocument::new();
        more.insert("metadata".to_owned(), json!({"worker": shared.worker.to_value()}));
        let Some(claimed) = shared.jobs.claim(&job, &shared.worker.host, cursor, more).await? else {
            return Ok(None);
        };
        // Guarded as well: of two jobs of one connector, one begins. Heartbeats and the scheduler write it too, so a
        // conflict alone means nothing.
        let mut connector = Some(connector);
        for _ in 0..5 {
            let Some(stored) = connector else { break };
            let Ok(update) = stored.document.sync_started(claimed.document.job_type) else { break };
            if let Some(started) = shared.connectors.write_guarded(&stored, &update).await? {
                return Ok(Some(Claimed { job: claimed, connector: started }));
            }
            connector = shared.connectors.get(connector_id).await?;
        }
        if let Ok(update) = suspend(&claimed.document, &IngestionStats::default(), Timestamp::now()) {
            shared.jobs.write_guarded(&claimed, &update).await?;
        }
        Ok(None)
    }

    /// Reads the source into the index.
    async fn work(
        &self,
        job: &Stored<SyncJobDocument>,
        connector: &ConnectorDocument,
        options: JobOptions,
        progress: watch::Sender<Progress>,
        tokens: StopTokens,
    ) -> Result<(Ending, Option<Box<SyncReport>>), ServiceError> {
        let input = tokio::select! {
            input = self.prepare(&job.document, connector, true, tokens.cancel.child_token()) => input?,
            () = tokens.cancel.cancelled() => return Ok((Ending::Canceled, None)),
            () = tokens.suspend.cancelled() => return Ok((Ending::Suspended, None)),
        };
        // A rebuild begins anew after an interruption: its half-filled index is gone.
        let rebuild = job.document.rebuild;
        let before = if rebuild.is_some() { Totals::default() } else { earlier(&job.document) };
        let input = SyncInput { force: options.force, rebuild, before, ..input };
        let report = connectors_sync::run(input, progress, tokens).await;
        if report.nothing_changed {
            tracing::info!("The source says that nothing changed");
        }
        Ok(((&report.outcome).into(), Some(Box::new(report))))
    }

    /// Everything the engine needs for a job of this connector. `keeps_state`: the source may keep on this machine what it learns for the next sync.
    pub(crate) async fn prepare(
        &self,
        document: &SyncJobDocument,
        connector: &ConnectorDocument,
        keeps_state: bool,
        cancel: CancellationToken,
    ) -> Result<SyncInput, ServiceError> {
        let shared = &self.shared;
        let features = &connector.features;
        let snapshot = &document.connector;
        let service_type = snapshot.service_type.as_deref().unwrap_or_default();
        let index = snapshot
            .index_name
            .clone()
            .ok_or_else(|| ServiceError::Setup("the job names no index to write to".to_owned()))?;
        let descriptor = self.descriptor(service_type)?;
        if document.job_type == JobType::AccessControl {
            if !descriptor.capabilities.access_control {
                return Err(ServiceError::Setup(format!(
                    "{} has no document level security",
                    descriptor.name
                )));
            }
            if !features.document_level_security() {
                return Err(ServiceError::Setup(
                    "document level security is off: the connector's features have document_level_security.enabled: false"
                        .to_owned(),
                ));
            }
            self.check_license().await?;
        }
        if document.job_type == JobType::Incremental && !descriptor.capabilities.incremental {
            return Err(ServiceError::Setup(format!("{} has no incremental sync", descriptor.name)));
        }
        let client = self.data_client(snapshot.id.as_deref())?;
        let pipeline = usable_pipeline(&client, &shared.client, &snapshot.pipeline).await?;
        let source: Arc<dyn DataSource> = self
            .open_source(
                descriptor,
                &snapshot.configuration,
                Surroundings {
                    connector_id: snapshot.id.clone().filter(|_| keeps_state),
                    features: features.clone(),
                    incremental: connector.scheduling.incremental.enabled,
                    extract_binary_content: pipeline.extract_binary_content,
                    cancel,
                },
            )
            .await?
            .into();
        if document.job_type == JobType::AccessControl && !source.restricts_access() {
            return Err(ServiceError::Setup(
                "document level security is switched off in the connector's configuration".to_owned(),
            ));
        }
        let rules = crate::rules::validate(&snapshot.filtering, descriptor, source.as_ref()).await?;
        if rules.state != ValidationState::Valid {
            let errors: Vec<String> = rules.errors.iter().map(|error| error.messages.join("; ")).collect();
            return Err(ServiceError::Setup(format!("the sync rules are not valid: {}", errors.join("; "))));
        }
        Ok(SyncInput {
            job_type: document.job_type,
            source_sends_changes: descriptor.capabilities.changes,
            pipeline,
            filter: snapshot.filtering.clone(),
            apply_basic_rules: features.sync_rules(),
            // Only the copy of an incremental job has the cursor; a full one asks the source whether anything changed since.
            cursor: match document.job_type {
                JobType::Full => connector.sync_cursor.clone(),
                JobType::Incremental | JobType::AccessControl => snapshot.sync_cursor.clone(),
            },
            mapping: connector.index_mapping.clone().unwrap_or_default().properties,
            options: crate::cluster::sync_options(&shared.config),
            ..SyncInput::full(client, index, source)
        })
    }

    /// The client that writes a connector's data.
    pub(crate) fn data_client(&self, connector_id: Option<&str>) -> Result<EsClient, EsError> {
        let entries = &self.shared.config.connectors;
        let entry = entries.iter().find(|entry| Some(entry.connector_id.as_str()) == connector_id);
        client_for(&self.shared.client, entry.and_then(|entry| entry.api_key.as_ref()))
    }

    /// A task that reports counters and signs of life while the job runs, and cancels the work when the job's document says
    /// so or is gone.
    fn report_while_running(
        &self,
        job: &Stored<SyncJobDocument>,
        progress: watch::Receiver<Progress>,
        cancel: CancellationToken,
    ) -> JoinHandle<()> {
        let (service, id, token) = (self.clone(), job.id.clone(), job.document.claim_token.clone());
        tokio::spawn(async move {
            let mut checks = 0;
            loop {
                tokio::time::sleep(CANCEL_CHECK).await;
                // An Elasticsearch that does not answer is the data path's concern: it decides how long to go on.
                match service.shared.jobs.get(&id).await {
                    Ok(Some(now))
                        if now.document.status == JobStatus::InProgress
                            && now.document.claim_token == token => {}
                    Ok(Some(now)) if now.document.status == JobStatus::InProgress => {
                        tracing::warn!("Another service has taken the job over: stopping here");
                        cancel.cancel();
                        return;
                    }
                    Ok(Some(now)) => {
                        tracing::info!("The job is {}: stopping it", now.document.status);
                        cancel.cancel();
                        return;
                    }
                    Ok(None) => {
                        tracing::warn!("The job was deleted while it ran: stopping it");
                        cancel.cancel();
                        return;
                    }
                    Err(error) => tracing::debug!("{error}"),
                }
                checks += 1;
                if checks % CHECKS_PER_REPORT == 0 {
                    let stats = stats(progress.borrow().totals);
                    let update = SyncJobDocument::progress(&stats, Timestamp::now());
                    let shared = &service.shared;
                    let reported = if shared.uses_connectors_api() {
                        shared.client.update_sync_job_stats(&id, &update).await
                    } else {
                        shared.jobs.write(&id, &update).await.map(drop)
                    };
                    if let Err(error) = reported {
                        tracing::debug!("{error}");
                    }
                }
            }
        })
    }

    /// Writes how the job ended, into it and into its connector.
    async fn end(
        &self,
        Claimed { job: claimed, connector }: Claimed,
        ending: &Ending,
        report: Option<Box<SyncReport>>,
    ) -> Result<JobEnd, ServiceError> {
        let shared = &self.shared;
        let mut counts =
            stats(report.as_ref().map_or_else(|| earlier(&claimed.document), |report| report.totals));
        counts.metadata.insert("worker".to_owned(), shared.worker.to_value());
        if let Some(report) = &report {
            counts.total_document_count = report.total_documents;
            counts.metadata.insert("counters".to_owned(), Value::Object(report.counters.to_value()));
            if let Some(rebuilt) = &report.rebuilt {
                let what =
                    json!({"index": rebuilt.index, "replaced": rebuilt.replaced, "kept": rebuilt.kept});
                counts.metadata.insert("rebuilt".to_owned(), what);
            }
            if !report.dead_letters.is_empty() {
                counts.metadata.insert("dead_letters".to_owned(), json!(report.dead_letters));
            }
        }
        // As it was claimed: mostly nobody has written it since.
        let mut now = Some(claimed.clone());
        for _ in 0..6 {
            let Some(job) = now else {
                tracing::error!("The job was deleted while it ran");
                let update = ConnectorDocument::sync_ended(None, None, Timestamp::now());
                shared.connectors.write_from(&connector, &update).await?;
                return Ok(JobEnd::Vanished);
            };
            if job.document.claim_token != claimed.document.claim_token {
                tracing::warn!("Another service has taken the job over: it writes how the job ends");
                return Ok(JobEnd::NotClaimed);
            }
            let update = match transition(&job.document, ending, &counts) {
                Ok(update) => update,
                Err(error) => {
                    tracing::warn!("{error}: somebody else ended the job");
                    return Ok(JobEnd::Ran(Box::new(job.document), report));
                }
            };
            let Some(ended) = shared.jobs.write_guarded(&job, &update).await? else {
                now = shared.jobs.get(&claimed.id).await?;
                continue;
            };
            let cursor = report.as_ref().and_then(|report| report.cursor.as_ref());
            let mut update = ConnectorDocument::sync_ended(Some(&ended.document), cursor, Timestamp::now());
            // A completed job has written its own.
            if report.as_ref().is_some_and(|report| report.emptied) {
                update.entry("sync_cursor").or_insert(Value::Null);
            }
            shared.connectors.write_from(&connector, &update).await?;
            log_end(&ended.document, report.as_deref());
            return Ok(JobEnd::Ran(Box::new(ended.document), report));
        }
        Err(ServiceError::Protocol(format!("job {} was written by others six times in a row", claimed.id)))
    }
}

/// The job's pipeline settings, as far as the cluster can follow them. A cluster without Elastic's connector templates
/// (OpenSearch, a plain distribution) lacks the default pipeline: then documents go in as they are. One that somebody
/// named on purpose must exist. Where a connector's own `client` may not look at pipelines, the `service`'s is asked.
pub(crate) async fn usable_pipeline(
    client: &EsClient,
    service: &EsClient,
    wanted: &Pipeline,
) -> Result<Pipeline, ServiceError> {
    if wanted.name.is_empty() {
        return Ok(wanted.clone());
    }
    let request = EsRequest::new(Method::GET, path(["_ingest", "pipeline", &wanted.name])).accept(&[404]);
    let answer = match client.send(request.clone()).await {
        Err(error) if error.is_denied() => service.send(request).await,
        answer => answer,
    };
    match answer {
        Ok(answer) if answer.status != 404 => Ok(wanted.clone()),
        Ok(_) if wanted.name == DEFAULT_PIPELINE => {
            tracing::info!(
                "The cluster has no ingest pipeline {DEFAULT_PIPELINE}: documents are written without one"
            );
            Ok(Pipeline { name: String::new(), extract_binary_content: false, ..wanted.clone() })
        }
        Ok(_) => Err(ServiceError::Setup(format!(
            "the cluster has no ingest pipeline \"{}\"; create it, or name another in the connector's pipeline settings",
            wanted.name
        ))),
        // An API key for writing need not be allowed to look at pipelines.
        Err(error) if error.is_denied() => Ok(wanted.clone()),
        Err(error) => Err(error.into()),
    }
}

/// The counters of the runs before this one, as far as the job's document has them.
fn earlier(job: &SyncJobDocument) -> Totals {
    const MIB: u64 = 1024 * 1024;
    Totals {
        indexed: job.indexed_document_count,
        indexed_bytes: job.indexed_document_volume * MIB,
        deleted: job.deleted_document_count,
    }
}

fn stats(totals: Totals) -> IngestionStats {
    IngestionStats {
        indexed_document_count: totals.indexed,
        indexed_bytes: totals.indexed_bytes,
        deleted_document_count: totals.deleted,
        ..IngestionStats::default()
    }
}

/// The end of a job as it now is. What was asked of it meanwhile wins: a job that is `canceling` ends `canceled`.
fn transition(
    job: &SyncJobDocument,
    ending: &Ending,
    stats: &IngestionStats,
) -> Result<PartialDocument, IllegalJobTransition> {
    let now = Timestamp::now();
    match ending {
        Ending::Failed(error) => job.fail(error, Some(stats), now),
        _ if job.status == JobStatus::Canceling => job.cancel(Some(stats), now),
        Ending::Completed => job.complete(stats, now),
        Ending::Canceled => job.cancel(Some(stats), now),
        Ending::Suspended => suspend(job, stats, now),
    }
}

/// What is written to a job that waits to be resumed: no worker has it any more, so that whoever looks at it does not take
/// the last one for the one that runs it.
fn suspend(
    job: &SyncJobDocument,
    stats: &IngestionStats,
    now: Timestamp,
) -> Result<PartialDocument, IllegalJobTransition> {
    let mut update = job.suspend(stats, now)?;
    update.insert("metadata".to_owned(), json!({"worker": null}));
    Ok(update)
}

/// What is written to a job whose worker died: it waits to be resumed, with the counters it last reported.
pub(crate) fn take_over(
    job: &SyncJobDocument,
    now: Timestamp,
) -> Result<PartialDocument, IllegalJobTransition> {
    if job.status == JobStatus::Canceling {
        job.cancel(None, now)
    } else {
        suspend(job, &stats(earlier(job)), now)
    }
}

/// The connector of a job whose worker died is not syncing any more.
pub(crate) async fn connector_released(
    service: &Service,
    id: &str,
    job_type: JobType,
) -> Result<(), ServiceError> {
    let field = if job_type.is_content() { "last_sync_status" } else { "last_access_control_sync_status" };
    let mut update = PartialDocument::new();
    update.insert(field.to_owned(), json!(JobStatus::Suspended));
    service.shared.connectors.write(id, &update).await?;
    Ok(())
}

fn log_end(job: &SyncJobDocument, report: Option<&SyncReport>) {
    let counts = format!("{} indexed, {} deleted", job.indexed_document_count, job.deleted_document_count);
    if let Some(error) = &job.error {
        tracing::error!("Sync ended: {} ({counts}): {error}", job.status);
    } else {
        tracing::info!("Sync ended: {} ({counts})", job.status);
    }
    if let Some(report) = report {
        let counters = Value::Object(report.counters.to_value()).to_string();
        tracing::debug!("Counters: {counters}");
    }
}
