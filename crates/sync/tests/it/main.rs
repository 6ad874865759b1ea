//! The engine against an Elasticsearch on a real socket, as small as the engine needs and as bad as a test wants.

mod access;
mod changes;
mod fake;
mod faults;
mod full;
mod memory;
mod source;
mod stop;
mod written;

use std::sync::Arc;
use std::time::Duration;

use connectors_es_client::{EsClient, EsConfig};
use connectors_sync::{Progress, StopTokens, SyncInput, SyncReport, run};
use tokio::sync::watch;

use crate::fake::Fake;
use crate::source::Listed;

/// A client that does not wait long.
fn client(fake: &Fake) -> EsClient {
    EsClient::new(EsConfig {
        max_retries: 0,
        retry_interval: Duration::from_millis(5),
        initial_backoff_duration: Duration::from_millis(20),
        ..EsConfig::new(fake.address())
    })
    .unwrap()
}

fn input(fake: &Fake, source: Listed) -> SyncInput {
    let mut input = SyncInput::full(client(fake), "docs", Arc::new(source));
    input.options.retry_interval = Duration::from_millis(10);
    input
}

async fn sync(input: SyncInput) -> SyncReport {
    let (progress, _) = watch::channel(Progress::default());
    run(input, progress, StopTokens::default()).await
}

/// A full sync of these documents, which must complete.
async fn completed(fake: &Fake, source: Listed) -> SyncReport {
    let report = sync(input(fake, source)).await;
    assert!(matches!(report.outcome, connectors_sync::Outcome::Completed), "{report:?}");
    report
}
