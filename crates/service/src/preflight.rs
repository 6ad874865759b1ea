//! Before the loops: is the cluster there, does its version fit, is there something to do, do the protocol's indices exist.

use connectors_es_client::EsError;

use crate::service::{Service, ServiceError};

/// The environment variable that lets a service run on a cluster of another version.
const ALLOW_MISMATCH: &str = "ALLOW_ES_VERSION_MISMATCH";

/// All of it, for the service.
pub(crate) async fn run(service: &Service) -> Result<(), ServiceError> {
    check_something_to_serve(service)?;
    cluster(service).await
}

/// The cluster's part: also what a one-off sync needs.
pub(crate) async fn cluster(service: &Service) -> Result<(), ServiceError> {
    let shared = &service.shared;
    let info = shared.client.wait_until_available().await?;
    let allow =
        std::env::var(ALLOW_MISMATCH).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    info.check_version(allow)?;
    tracing::info!("Connected to {} ({})", shared.client.address(), info.version);
    if shared.config.elasticsearch.use_connectors_api {
        let found = shared.client.connectors_api(&info).await?;
        if shared.connectors_api.set(found).is_ok() && found {
            tracing::debug!("The connector API takes signs of life and figures");
        }
    }
    let settings = &shared.config.service;
    for attempt in 1..=settings.preflight_max_attempts {
        match ensure_indices(service).await {
            Ok(()) => return Ok(()),
            Err(error) if attempt < settings.preflight_max_attempts && !error.is_denied() => {
                tracing::warn!("Attempt {attempt} of {}: {error}", settings.preflight_max_attempts);
                tokio::time::sleep(settings.preflight_idle).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes the protocol's two indices when they are missing.
async fn ensure_indices(service: &Service) -> Result<(), EsError> {
    let shared = &service.shared;
    tokio::try_join!(shared.connectors.ensure(), shared.jobs.ensure()).map(drop)
}

fn check_something_to_serve(service: &Service) -> Result<(), ServiceError> {
    let config = &service.shared.config;
    if config.connectors.iter().any(|entry| entry.connector_id == "changeme") {
        return Err(ServiceError::Setup(
            "connectors: connector_id is still \"changeme\"; put the id of your connector there".to_owned(),
        ));
    }
    if config.service.worker_mode && config.service.service_types.is_empty() {
        return Err(ServiceError::Setup(
            "service.worker_mode needs service.service_types: the service types to serve".to_owned(),
        ));
    }
    if service.served_types().is_empty() && config.connectors.is_empty() {
        return Err(ServiceError::Setup(
            "nothing to serve: name connectors (connectors: [{connector_id, service_type}]) or service types \
             (service.service_types) in the configuration"
                .to_owned(),
        ));
    }
    Ok(())
}
