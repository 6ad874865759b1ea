//! The job loops: take pending and suspended jobs, oldest first, a bounded number at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use connectors_es_client::protocol_index::Stored;
use connectors_protocol::connector::{ConnectorDocument, SyncStartError};
use connectors_protocol::sync_job::{JobType, SyncJobDocument};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::job::JobOptions;
use crate::service::{Service, ServiceError};

/// How often is looked, between two turns, whether another program wants a waiting job canceled. (This one's own command line
/// cancels such a job at once.)
const CANCELING_LOOK: Duration = Duration::from_secs(3);

/// Runs jobs of one family.
pub(crate) struct Runner {
    service: Service,
    stop: CancellationToken,
    types: &'static [JobType],
    slots: Arc<Semaphore>,
    running: JoinSet<()>,
    /// The jobs that run here, so that none is started twice.
    taken: HashMap<task::Id, String>,
    /// Whether a job ended here since memory was given back with nothing running.
    used: bool,
    /// The connectors of the last look.
    connectors: Vec<String>,
    /// Whether the last look left work behind that can begin when a job here ends.
    more: bool,
    /// Changes when this process makes a job.
    new_job: watch::Receiver<()>,
}

impl Runner {
    pub(crate) fn content(service: Service, stop: CancellationToken) -> Self {
        let slots = service.shared.config.service.max_concurrent_content_syncs;
        Self::new(service, stop, &[JobType::Full, JobType::Incremental], slots)
    }

    pub(crate) fn access_control(service: Service, stop: CancellationToken) -> Self {
        let slots = service.shared.config.service.max_concurrent_access_control_syncs;
        Self::new(service, stop, &[JobType::AccessControl], slots)
    }

    fn new(service: Service, stop: CancellationToken, types: &'static [JobType], slots: usize) -> Self {
        Self {
            new_job: service.shared.new_job.subscribe(),
            service,
            stop,
            types,
            slots: Arc::new(Semaphore::new(slots)),
            running: JoinSet::new(),
            taken: HashMap::new(),
            used: false,
            connectors: Vec::new(),
            more: false,
        }
    }

    /// Starts what there is to start and room for.
    pub(crate) async fn turn(&mut self) -> Result<(), ServiceError> {
        self.reap();
        // At the end of a job its connections and tasks were still there, each of which kept a page with it.
        if self.running.is_empty() && std::mem::take(&mut self.used) {
            connectors_memory::give_back();
        }
        self.more = false;
        let shared = self.service.shared.clone();
        if self.new_job.has_changed().unwrap_or(false) {
            self.new_job.mark_unchanged();
            // Once for all that were made.
            shared.jobs.refresh().await?;
        }
        let connectors =
            shared.connectors.supported(&self.service.served_types(), &self.service.own_ids()).await?;
        let busy: HashSet<String> = connectors
            .iter()
            .filter(|connector| self.is_busy(&connector.document))
            .map(|connector| connector.id.clone())
            .collect();
        let ids: Vec<String> = connectors.into_iter().map(|connector| connector.id).collect();
        self.connectors.clone_from(&ids);
        let running = shared.jobs.running(&ids, self.types).await?;
        self.service.take_over_dead(&running, |id| runs(&self.taken, id)).await?;
        let waiting = shared.jobs.claimable(&ids, self.types).await?;
        for job in waiting {
            if runs(&self.taken, &job.id) {
                continue;
            }
            // A job whose connector is syncing waits, and takes no slot from others meanwhile. The search may be a refresh
            // behind.
            if let Some(id) = job.document.connector.id.as_ref().filter(|id| busy.contains(*id))
                && shared.connectors.get(id).await?.is_some_and(|now| self.is_busy(&now.document))
            {
                self.more = true;
                continue;
            }
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                self.more = true;
                break;
            };
            self.start(job, slot);
        }
        Ok(())
    }

    fn start(&mut self, job: Stored<SyncJobDocument>, slot: OwnedSemaphorePermit) {
        let span = tracing::info_span!(
            "job",
            connector_id = job.document.connector.id.as_deref().unwrap_or("?"),
            index_name = job.document.connector.index_name.as_deref().unwrap_or("?"),
            sync_job_id = %job.id,
        );
        let (service, stop, id) = (self.service.clone(), self.stop.clone(), job.id.clone());
        let task = self.running.spawn(
            async move {
                let (progress, _) = watch::channel(connectors_sync::Progress::default());
                if let Err(error) = service.run_job(job, JobOptions::default(), progress, stop).await {
                    tracing::error!("{error}");
                }
                drop(slot);
                connectors_memory::give_back();
            }
            .instrument(span),
        );
        self.taken.insert(task.id(), id);
    }

    /// Whether a sync of this family runs for the connector.
    fn is_busy(&self, connector: &ConnectorDocument) -> bool {
        self.types.first().is_some_and(|job_type| {
            matches!(connector.sync_started(*job_type), Err(SyncStartError::AlreadyRunning(_)))
        })
    }

    fn reap(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(panic) => panic.id(),
        };
        let id = self.taken.remove(&task);
        self.used = true;
        if let Err(panic) = ended {
            tracing::error!("job {} panicked: {panic}", id.as_deref().unwrap_or("?"));
        }
    }

    /// Ready when a job ended while others wait for its slot, when this process made one, or when one that waits is to be
    /// canceled; otherwise never.
    pub(crate) async fn called(&mut self) {
        let (taken, service) = (&self.taken, &self.service);
        let canceling = async {
            loop {
                tokio::time::sleep(CANCELING_LOOK).await;
                match service.wait_to_be_canceled(&self.connectors, self.types, |id| runs(taken, id)).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    // The next turn meets it too, and counts it.
                    Err(error) => tracing::debug!("Cannot look for jobs to be canceled: {error}"),
                }
            }
        };
        tokio::select! {
            () = canceling => {}
            Some(ended) = self.running.join_next_with_id(), if self.more => self.forget(ended),
            // The service keeps the sender as long as it runs.
            Ok(()) = self.new_job.changed() => {}
        }
    }

    /// Waits for the jobs that run; `stop` has told them to suspend.
    pub(crate) async fn finish(&mut self) {
        self.stop.cancel();
        let mut waited = Duration::ZERO;
        while !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.forget(ended),
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    waited += Duration::from_secs(5);
                    tracing::info!("Waiting for {} jobs to suspend ({waited:?})", self.running.len());
                }
            }
        }
    }
}

/// Whether a job is among those that run here.
fn runs(taken: &HashMap<task::Id, String>, job_id: &str) -> bool {
    taken.values().any(|id| id == job_id)
}
