//! Document level security needs a licence on the cluster: platinum or better, as Elastic's connectors have it.

use std::time::{Duration, Instant};

use connectors_es_client::{License, ServerInfo};
use tokio::sync::Mutex;

use crate::service::{Service, ServiceError};

/// How long an answer holds. A licence changes a few times a year.
const KEPT: Duration = Duration::from_mins(5);

/// What was last learned of the licence.
#[derive(Debug, Default)]
pub(crate) struct LastLicense(Mutex<Option<(Instant, ServerInfo, License)>>);

impl Service {
    /// An error that says what to do, unless the cluster's licence allows document level security.
    pub(crate) async fn check_license(&self) -> Result<(), ServiceError> {
        match self.license().await? {
            License::Platinum | License::Enterprise | License::Trial => Ok(()),
            License::None | License::Basic | License::Gold => Err(ServiceError::Setup(
                "access control syncs need a platinum, enterprise or trial licence on the cluster; \
                 GET /_license shows the present one, POST /_license/start_trial?acknowledge=true starts a trial"
                    .to_owned(),
            )),
        }
    }

    async fn license(&self) -> Result<License, ServiceError> {
        let client = &self.shared.client;
        // Held while asking, so that of several tasks one asks.
        let mut last = self.shared.license.0.lock().await;
        if let Some((asked, _, license)) = &*last
            && asked.elapsed() < KEPT
        {
            return Ok(*license);
        }
        let (server, first) = match last.take() {
            Some((_, server, _)) => (server, false),
            None => (client.ping().await?, true),
        };
        let license = client.license(&server).await?;
        if first {
            tracing::info!(
                "Document level security: the licence of {} counts as {license:?}",
                client.address()
            );
        }
        *last = Some((Instant::now(), server, license));
        Ok(license)
    }
}
