//! Waiting for a cluster to come up.

use std::fmt;

use connectors_transport::{Backoff, Classify, ErrorKind, RetryError, RetryPolicy, Verdict, retry};

use crate::capabilities::ServerInfo;
use crate::client::EsClient;
use crate::error::{EsError, EsErrorKind};

impl EsClient {
    /// Waits until the cluster answers, for at most `max_wait_duration`, with waits that grow from
    /// `initial_backoff_duration` by `backoff_multiplier`.
    ///
    /// Returns at once with the error when waiting does not help: wrong credentials, an untrusted certificate, a server
    /// that is not Elasticsearch, or cancellation.
    pub async fn wait_until_available(&self) -> Result<ServerInfo, EsError> {
        let config = self.config();
        let policy = RetryPolicy {
            max_retries: None,
            max_elapsed: Some(config.max_wait_duration),
            interval: config.initial_backoff_duration,
            backoff: Backoff::Exponential { factor: config.backoff_multiplier.max(1.0) },
            max_interval: config.max_wait_duration,
            ..RetryPolicy::default()
        };
        let operation = format!("waiting for Elasticsearch at {}", self.address());
        let attempt = |_| async { self.ping().await.map_err(NotYet) };
        match retry(&policy, &operation, self.cancellation(), attempt).await {
            Ok(server) => Ok(server),
            Err(RetryError::Failed { error, attempts }) => Err(error.0.after_attempts(attempts)),
            Err(RetryError::Canceled) => Err(EsError::new(EsErrorKind::Canceled, "canceled")),
        }
    }
}

/// A ping that failed while waiting.
struct NotYet(EsError);

impl Classify for NotYet {
    fn verdict(&self) -> Verdict {
        let starting = match self.0.kind() {
            // 408: a proxy waited for the cluster in vain.
            EsErrorKind::Status(status) => status == 408 || self.0.is_retryable(),
            // A TLS handshake is cut while a server behind a proxy starts.
            EsErrorKind::Transport(kind) => kind.is_transient() || kind == ErrorKind::Tls,
            _ => false,
        };
        if starting { Verdict::Retry } else { Verdict::GiveUp }
    }
}

impl fmt::Display for NotYet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
