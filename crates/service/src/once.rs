//! One-off syncs: what `connectors sync` does with the same documents and rules as the service.

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use connectors_protocol::sync_job::{JobStatus, JobType, Rebuild, SyncJobDocument, TriggerMethod};
use connectors_sdk::SourceDescriptor;
use connectors_sync::{Progress, StopTokens, SyncInput, SyncReport};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::job::{connector_released, take_over};
use crate::service::{Service, ServiceError};
use crate::{configure, preflight};

impl Service {
    /// Waits for the cluster, checks its version, and makes the protocol's indices when they are missing.
    pub async fn ready(&self) -> Result<(), ServiceError> {
        preflight::cluster(self).await
    }

    /// The connector that writes to `index`, with these fields set; `None` if there is none yet. An error if its service
    /// type is another, or if several connectors write to the index.
    async fn existing_connector(
        &self,
        service_type: &str,
        index: &str,
    ) -> Result<Option<Stored<ConnectorDocument>>, ServiceError> {
        let mut found = self.shared.connectors.by_index(index).await?;
        if found.len() > 1 {
            let ids: Vec<&str> = found.iter().map(|connector| connector.id.as_str()).collect();
            return Err(ServiceError::Setup(format!(
                "several connectors write to the index {index} ({}); delete all but one",
                ids.join(", ")
            )));
        }
        let Some(connector) = found.pop() else { return Ok(None) };
        match connector.document.service_type.as_deref() {
            Some(other) if other != service_type => Err(ServiceError::Setup(format!(
                "the index {index} belongs to connector {} of service type {other}; choose another index for {service_type}",
                connector.id
            ))),
            _ => Ok(Some(connector)),
        }
    }

    /// The connector that writes to `index`, made when there is none, with these configuration fields set, and these types of
    /// fields for the indices that are made for it. `rebuild`: one is made now.
    pub async fn connector_for_index(
        &self,
        service_type: &str,
        index: &str,
        settings: &[(String, Value)],
        types: &[(String, Value)],
        rebuild: bool,
    ) -> Result<Stored<ConnectorDocument>, ServiceError> {
        let descriptor = self.descriptor(service_type)?;
        let existing = self.existing_connector(service_type, index).await?;
        let mut draft = draft(descriptor, index, existing.as_ref().map(|stored| &stored.document), settings)?;
        // What cannot be is said before anything is written.
        let mut mapping = draft.index_mapping.take().unwrap_or_default();
        mapping.set_all(types).map_err(|error| ServiceError::Setup(error.to_string()))?;
        draft.index_mapping = Some(mapping).filter(|mapping| !mapping.is_empty());
        let Some(stored) = existing else {
            let created = self.shared.connectors.create(&draft).await?;
            tracing::info!("Created connector {} for the index {index}", created.id);
            self.tell_of_old_types(&created.document, !types.is_empty() && !rebuild).await?;
            return Ok(created);
        };
        let mut written = stored;
        if written.document != draft {
            let update = json!({
                "configuration": draft.configuration, "status": draft.status, "service_type": draft.service_type,
                "features": draft.features,
            });
            let Value::Object(update) = update else { unreachable!("an object literal") };
            written = self.shared.connectors.write_from(&written, &update).await?;
        }
        if !types.is_empty() {
            let mut before = None;
            written = self
                .change_mapping(&written.id, |mapping| {
                    before = Some(mapping.clone());
                    mapping.set_all(types)
                })
                .await?;
            let changed = written.document.index_mapping != before;
            self.tell_of_old_types(&written.document, changed && !rebuild).await?;
        }
        Ok(written)
    }

    /// Warns that an index which is there does not follow new types.
    async fn tell_of_old_types(
        &self,
        connector: &ConnectorDocument,
        are_new: bool,
    ) -> Result<(), ServiceError> {
        if are_new && self.index_is_there(connector).await? {
            tracing::warn!(
                "the index {} is there already and its fields keep their types; --rebuild makes it anew with those of --map",
                connector.index_name.as_deref().unwrap_or_default()
            );
        }
        Ok(())
    }

    /// What a sync would write and delete. Changes nothing, makes nothing.
    pub async fn dry_run(
        &self,
        service_type: &str,
        index: &str,
        settings: &[(String, Value)],
        force: bool,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<SyncReport, ServiceError> {
        let descriptor = self.descriptor(service_type)?;
        let existing = self.existing_connector(service_type, index).await?;
        let connector = draft(descriptor, index, existing.as_ref().map(|stored| &stored.document), settings)?;
        let id = existing.map_or_else(|| "dry-run".to_owned(), |stored| stored.id);
        self.rehearse(&id, &connector, force, progress, stop).await
    }

    /// A full sync of a connector as it is given, in which nothing is written or deleted.
    pub(crate) async fn rehearse(
        &self,
        id: &str,
        connector: &ConnectorDocument,
        force: bool,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<SyncReport, ServiceError> {
        let job =
            SyncJobDocument::new(id, connector, JobType::Full, TriggerMethod::OnDemand, Timestamp::now())
                .map_err(|error| ServiceError::Setup(error.to_string()))?;
        let input = self.prepare(&job, connector, false, stop.child_token()).await?;
        let input = SyncInput { force, dry_run: true, ..input };
        let tokens = StopTokens { cancel: stop, ..StopTokens::default() };
        Ok(connectors_sync::run(input, progress, tokens).await)
    }

    /// A full job for the connector that is to be run now, or a rebuild of its index: the one an earlier run left unfinished if
    /// it has the same configuration and does the same, else a new one.
    pub async fn job_to_run(
        &self,
        connector: &Stored<ConnectorDocument>,
        rebuild: Option<Rebuild>,
    ) -> Result<Stored<SyncJobDocument>, ServiceError> {
        let jobs = &self.shared.jobs;
        let ids = std::slice::from_ref(&connector.id);
        // A job that somebody claimed a moment ago and died with must be found: this one would wait for it.
        jobs.refresh().await?;
        let unfinished = jobs.unfinished(ids, &[JobType::Full, JobType::Incremental]).await?;
        self.take_over_dead(&unfinished, |_| false).await?;
        let now = Timestamp::now();
        for found in unfinished.iter().filter(|job| job.document.job_type == JobType::Full) {
            // A search may be a refresh behind, and some were just taken over: the document itself says whether the job waits.
            let Some(left) = jobs.get(&found.id).await? else { continue };
            if !left.document.status.is_claimable() {
                continue;
            }
            let same = left.document.connector.configuration == connector.document.configuration;
            if same && left.document.rebuild == rebuild {
                return Ok(left);
            }
            // It is not what is wanted any more.
            if let Ok(Some(update)) = left.document.request_cancel(now) {
                jobs.write_guarded(&left, &update).await?;
            }
        }
        let job = SyncJobDocument::new(
            &connector.id,
            &connector.document,
            JobType::Full,
            TriggerMethod::OnDemand,
            now,
        )
        .map_err(|error| ServiceError::Setup(error.to_string()))?;
        // It is run by its id, and whoever wants another one refreshes first, as above.
        Ok(jobs.create_unseen(&SyncJobDocument { rebuild, ..job }).await?)
    }

    /// A job by its id.
    pub async fn job(&self, id: &str) -> Result<Stored<SyncJobDocument>, ServiceError> {
        self.shared
            .jobs
            .get(id)
            .await?
            .ok_or_else(|| ServiceError::Protocol(format!("there is no sync job {id}")))
    }

    /// Whether no process that runs has claimed this job, as far as its document and this process know.
    fn is_nobodys(&self, job: &SyncJobDocument) -> bool {
        job.worker_hostname.is_none() || job.metadata.get("worker") == Some(&self.shared.worker.to_value())
    }

    /// Whether other programs asked to cancel one of these connectors' jobs that wait. `ours` as in `take_over_dead`.
    pub(crate) async fn wait_to_be_canceled(
        &self,
        connector_ids: &[String],
        types: &[JobType],
        ours: impl Fn(&str) -> bool,
    ) -> Result<bool, ServiceError> {
        // Nearly always there are none, and that is quickly told.
        if !self.shared.jobs.any_canceling().await? {
            return Ok(false);
        }
        let canceling = self.shared.jobs.canceling(connector_ids, types).await?;
        Ok(canceling.iter().any(|job| !ours(&job.id) && self.is_nobodys(&job.document)))
    }

    /// Of the given jobs, those that a process on this machine claimed and did not end before it died: they are suspended, and so can be
    /// taken up at once instead of failing after the idle limit. Jobs to be canceled that nobody runs are canceled. `ours` says which
    /// jobs run in this process.
    pub(crate) async fn take_over_dead(
        &self,
        jobs: &[Stored<SyncJobDocument>],
        ours: impl Fn(&str) -> bool,
    ) -> Result<(), ServiceError> {
        let shared = &self.shared;
        for job in jobs.iter().filter(|job| job.document.status.is_running()) {
            let worker = job.document.metadata.get("worker");
            // Others write the wish to cancel also into jobs that wait: those that nobody has begun, or suspended ones.
            let waits = job.document.status == JobStatus::Canceling && self.is_nobodys(&job.document);
            if ours(&job.id) || !(waits || shared.worker.is_gone(worker)) {
                continue;
            }
            let Ok(update) = take_over(&job.document, Timestamp::now()) else { continue };
            if shared.jobs.write_guarded(job, &update).await?.is_some() {
                if waits {
                    tracing::info!("Job {} was canceled before it ran", job.id);
                    continue;
                }
                tracing::warn!("Job {}: its worker on this machine died; going on with it", job.id);
                if let Some(id) = &job.document.connector.id {
                    connector_released(self, id, job.document.job_type).await?;
                }
            }
        }
        Ok(())
    }
}

/// The connector as it should be: the existing one or a new one, complete, with these fields set, and checked.
fn draft(
    descriptor: &SourceDescriptor,
    index: &str,
    existing: Option<&ConnectorDocument>,
    settings: &[(String, Value)],
) -> Result<ConnectorDocument, ServiceError> {
    connectors_protocol::index_name::check(index).map_err(|error| ServiceError::Setup(error.to_string()))?;
    let mut connector = existing.cloned().unwrap_or_else(|| {
        ConnectorDocument::new(Some(&descriptor.service_type), Some(index), Some(index), Timestamp::now())
    });
    connector.configuration = configure::configuration(descriptor, &connector.configuration, settings)?;
    connector.service_type = Some(descriptor.service_type.clone());
    if existing.is_none() {
        connector.features = descriptor.capabilities.features();
    }
    if matches!(connector.status, ConnectorStatus::Created | ConnectorStatus::NeedsConfiguration) {
        connector.status = ConnectorStatus::Configured;
    }
    Ok(connector)
}
