//! The client against scripted servers over real sockets, and, where one is named, against a real server.

#[path = "../../../transport/tests/it/fake.rs"]
mod fake;

mod availability;
mod documents;
mod protocol_index;
mod protocol_index_server;
mod real_server;
mod requests;
mod retries;
mod scans;
mod secrets;

use std::time::Duration;

use connectors_es_client::{EsClient, EsConfig};
use fake::Fake;

/// A configuration for a fake whose retries wait next to nothing.
fn quick(fake: &Fake) -> EsConfig {
    EsConfig {
        retry_interval: Duration::from_millis(1),
        initial_backoff_duration: Duration::from_millis(1),
        request_timeout: Duration::from_secs(10),
        ..EsConfig::new(fake.url())
    }
}

fn client(fake: &Fake) -> EsClient {
    EsClient::new(quick(fake)).unwrap()
}
