//! The loops, put together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use connectors_es_client::protocol_index::{ConnectorIndex, SyncJobIndex};
use connectors_es_client::{EsClient, EsError};
use connectors_protocol::configuration::ConfigurationError;
use connectors_sdk::{Registry, SourceError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error_budget::ErrorBudget;
use crate::license::LastLicense;
use crate::worker::Worker;
use crate::{cleanup, jobs, preflight, scheduling};

/// One of the service's loops: `--action` of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loop {
    /// Prepares and checks connectors, sends heartbeats, creates jobs that are due.
    Schedule,
    /// Runs content sync jobs.
    SyncContent,
    /// Runs access control sync jobs.
    SyncAccessControl,
    /// Ends jobs whose worker or connector is gone.
    Cleanup,
}

impl Loop {
    /// What the service does when nothing else is said.
    pub const ALL: [Self; 4] = [Self::Schedule, Self::SyncContent, Self::SyncAccessControl, Self::Cleanup];

    fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::SyncContent => "sync_content",
            Self::SyncAccessControl => "sync_access_control",
            Self::Cleanup => "cleanup",
        }
    }
}

/// Why something the service tried failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Elasticsearch.
    #[error(transparent)]
    Elasticsearch(#[from] EsError),
    /// A source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A connector's configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// What the operator configured cannot work.
    #[error("{0}")]
    Setup(String),
    /// A state that the protocol does not allow.
    #[error("{0}")]
    Protocol(String),
    /// A loop met too many errors.
    #[error("the {name} loop met more than {limit} errors within {span:?}; the last one: {last}")]
    TooManyErrors {
        /// The loop.
        name: &'static str,
        /// `service.max_errors`
        limit: u64,
        /// `service.max_errors_span`
        span: Duration,
        /// The one too many.
        last: String,
    },
}

impl ServiceError {
    /// The class of the error, the first word of a job's `error`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Elasticsearch(_) => "ElasticsearchError",
            Self::Source(error) => error.kind().name(),
            Self::Configuration(_) => "ConfigurationError",
            Self::Setup(_) => "SetupError",
            Self::Protocol(_) => "ProtocolError",
            Self::TooManyErrors { .. } => "TooManyErrors",
        }
    }
}

/// The long-running service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) client: EsClient,
    pub(crate) connectors: ConnectorIndex,
    pub(crate) jobs: SyncJobIndex,
    pub(crate) registry: Registry,
    pub(crate) worker: Worker,
    pub(crate) license: LastLicense,
    /// Whether the cluster has the connector API, and these credentials may use it. Not known before the first look.
    pub(crate) connectors_api: OnceLock<bool>,
    /// Ids of deleted connectors whose sources this process told.
    pub(crate) forgotten: Mutex<HashMap<String, cleanup::Told>>,
    /// Tells the loops that run jobs that this process made a new one.
    pub(crate) new_job: watch::Sender<()>,
}

impl Shared {
    /// Whether signs of life and figures go through the connector API.
    pub(crate) fn uses_connectors_api(&self) -> bool {
        self.connectors_api.get().copied().unwrap_or(false)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("client", &self.shared.client).finish_non_exhaustive()
    }
}

impl Service {
    /// Puts a service together; does nothing yet.
    pub fn new(config: Config, client: EsClient, registry: Registry) -> Self {
        let connectors = ConnectorIndex::new(client.clone());
        let jobs = SyncJobIndex::new(client.clone());
        let worker = Worker::this();
        let (license, new_job) = (LastLicense::default(), watch::Sender::new(()));
        Self {
            shared: Arc::new(Shared {
                config,
                client,
                connectors,
                jobs,
                registry,
                worker,
                license,
                connectors_api: OnceLock::new(),
                forgotten: Mutex::default(),
                new_job,
            }),
        }
    }

    /// Runs the loops until `stop` is canceled (then jobs are suspended and the answer is `Ok`) or a loop gives up.
    pub async fn run(&self, loops: &[Loop], stop: CancellationToken) -> Result<(), ServiceError> {
        tokio::select! {
            result = preflight::run(self) => result?,
            () = stop.cancelled() => return Ok(()),
        }
        // A loop that gives up takes the others with it, but lets them finish.
        let stop = stop.child_token();
        let mut running = JoinSet::new();
        for &which in loops {
            let (service, stop) = (self.clone(), stop.clone());
            running.spawn(async move { service.repeat(which, &stop).await });
        }
        let mut result = Ok(());
        while let Some(ended) = running.join_next().await {
            let ended = ended
                .unwrap_or_else(|panic| Err(ServiceError::Protocol(format!("a loop panicked: {panic}"))));
            if let Err(error) = ended {
                tracing::error!("{error}");
                stop.cancel();
                result = result.and(Err(error));
            }
        }
        tracing::info!("Stopped");
        result
    }

    async fn repeat(&self, which: Loop, stop: &CancellationToken) -> Result<(), ServiceError> {
        let settings = &self.shared.config.service;
        let mut budget = ErrorBudget::new(settings.max_errors, settings.max_errors_span);
        let mut work = Work::new(which, self, stop);
        let pause = match which {
            Loop::Cleanup => settings.job_cleanup_interval,
            _ => settings.idling,
        };
        tracing::debug!("The {} loop starts, every {pause:?}", which.name());
        loop {
            // A turn of a job loop only starts jobs; those stop by themselves and are waited for below.
            let outcome = tokio::select! {
                outcome = work.turn() => outcome,
                () = stop.cancelled() => break,
            };
            if let Err(error) = outcome {
                tracing::error!("{error}");
                if !budget.spend(Instant::now()) {
                    work.finish().await;
                    return Err(ServiceError::TooManyErrors {
                        name: which.name(),
                        limit: settings.max_errors,
                        span: settings.max_errors_span,
                        last: error.to_string(),
                    });
                }
            }
            let pause = work.due_in().map_or(pause, |due| due.min(pause));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = work.called() => {}
                () = stop.cancelled() => break,
            }
        }
        work.finish().await;
        Ok(())
    }

    /// The connectors that `connectors` of the configuration names.
    pub(crate) fn own_ids(&self) -> Vec<String> {
        self.shared.config.connectors.iter().map(|entry| entry.connector_id.clone()).collect()
    }

    /// The service types whose connectors this service serves without naming their ids: `service.service_types`; without
    /// any connector or type named (the embedded node, which has one owner), all that are registered.
    pub(crate) fn served_types(&self) -> Vec<String> {
        let config = &self.shared.config;
        if config.service.service_types.is_empty()
            && config.connectors.is_empty()
            && config.elasticsearch.embedded.is_some()
        {
            return self.shared.registry.iter().map(|source| source.service_type.clone()).collect();
        }
        config.service.service_types.clone()
    }
}

/// What a loop does, and what it remembers from turn to turn.
enum Work {
    Schedule(scheduling::Scheduler),
    Jobs(jobs::Runner),
    Cleanup(Service),
}

impl Work {
    fn new(which: Loop, service: &Service, stop: &CancellationToken) -> Self {
        let (service, stop) = (service.clone(), stop.clone());
        match which {
            Loop::Schedule => Self::Schedule(scheduling::Scheduler::new(service)),
            Loop::SyncContent => Self::Jobs(jobs::Runner::content(service, stop)),
            Loop::SyncAccessControl => Self::Jobs(jobs::Runner::access_control(service, stop)),
            Loop::Cleanup => Self::Cleanup(service),
        }
    }

    async fn turn(&mut self) -> Result<(), ServiceError> {
        match self {
            Self::Schedule(scheduler) => scheduler.turn().await,
            Self::Jobs(runner) => runner.turn().await,
            Self::Cleanup(service) => cleanup::turn(service).await,
        }
    }

    /// Ready when there is something to do before the pause is over; otherwise never.
    async fn called(&mut self) {
        match self {
            Self::Jobs(runner) => runner.called().await,
            Self::Schedule(_) | Self::Cleanup(_) => std::future::pending().await,
        }
    }

    /// How long until the next thing is due that is known already.
    fn due_in(&self) -> Option<Duration> {
        match self {
            Self::Schedule(scheduler) => scheduler.due_in(),
            Self::Jobs(_) | Self::Cleanup(_) => None,
        }
    }

    async fn finish(&mut self) {
        if let Self::Jobs(runner) = self {
            runner.finish().await;
        }
    }
}
