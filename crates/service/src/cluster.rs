//! From the configuration to a client of the cluster.

use connectors_es_client::{Auth, EsClient, EsConfig, EsError};
use connectors_sdk::SinkLimits;
use connectors_sync::{ErrorLimits, SyncOptions};
use secrecy::SecretString;

use crate::config::{Config, Elasticsearch};

/// The client's settings as `elasticsearch.*` says, for a program that calls itself `component` (`service` or `cli`).
pub fn es_config(settings: &Elasticsearch, component: &'static str) -> EsConfig {
    EsConfig {
        hosts: vec![settings.host.clone()],
        auth: Auth::choose(
            settings.api_key.clone(),
            Some(settings.username.clone()),
            Some(settings.password.clone()),
        ),
        ssl: settings.ssl,
        verify_certs: settings.verify_certs,
        ca_certs: settings.ca_certs.clone(),
        request_timeout: settings.request_timeout,
        max_wait_duration: settings.max_wait_duration,
        initial_backoff_duration: settings.initial_backoff,
        backoff_multiplier: settings.backoff_multiplier,
        retry_on_timeout: settings.retry_on_timeout,
        max_retries: settings.max_retries,
        retry_interval: settings.retry_interval,
        headers: settings
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), SecretString::from(value.clone())))
            .collect(),
        component,
        compress: settings.compress,
        ..EsConfig::default()
    }
}

/// A client for one connector's own data: with its API key where the configuration gives it one, and connections that are closed
/// with it.
pub fn client_for(shared: &EsClient, api_key: Option<&SecretString>) -> Result<EsClient, EsError> {
    match api_key {
        None => shared.with_own_connections(),
        Some(key) => {
            EsClient::new(EsConfig { auth: Some(Auth::ApiKey(key.clone())), ..shared.config().clone() })
        }
    }
}

/// The engine's settings, as `elasticsearch.bulk.*` says.
pub(crate) fn sync_options(config: &Config) -> SyncOptions {
    let bulk = &config.elasticsearch.bulk;
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    SyncOptions {
        queue: SinkLimits { messages: bulk.queue_max_size, bytes: bytes(bulk.queue_max_bytes) },
        chunk_size: bulk.chunk_size,
        chunk_max_bytes: bytes(bulk.chunk_max_bytes),
        max_text_bytes: (bulk.max_text_document_bytes > 0).then(|| bytes(bulk.max_text_document_bytes)),
        max_concurrency: bulk.max_concurrency,
        concurrent_downloads: bulk.concurrent_downloads,
        max_retries: bulk.max_retries,
        retry_interval: bulk.retry_interval,
        max_outage: config.elasticsearch.max_wait_duration,
        errors: ErrorLimits {
            enabled: bulk.error_monitor.enabled,
            total: bulk.error_monitor.max_total_errors,
            consecutive: bulk.error_monitor.max_consecutive_errors,
            rate: bulk.error_monitor.max_error_rate,
            window: bulk.error_monitor.error_window_size,
        },
        display_every: bulk.display_every,
        log_operations: bulk.enable_operations_logging,
        dead_letters: bulk.error_monitor.error_queue_size,
        ..SyncOptions::default()
    }
}
