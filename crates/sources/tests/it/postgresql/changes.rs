//! Incremental syncs.

use tokio_postgres::Config;

pub(super) async fn quiet_server_is_known_to_be_unchanged(_server: &Config) {}
