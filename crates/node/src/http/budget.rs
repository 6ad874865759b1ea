//! Memory for request bodies. Many large requests at once wait for each other instead of filling the memory; the waiting
//! is felt by clients as backpressure, since their bodies are not read meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Bytes all bodies in work may take.
pub(super) const BODIES: usize = 512 * 1024 * 1024;
/// How long a request waits for its share.
const PATIENCE: Duration = Duration::from_secs(30);
/// Permits count in this unit, because there are at most 2^32 of them in one request.
const UNIT: usize = 1024;

/// A bound on bytes in use.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    limit: usize,
    patience: Duration,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(limit / UNIT)), limit, patience: PATIENCE }
    }

    /// Takes `bytes` until the permit is dropped; waits for others to finish, in order.
    ///
    /// # Errors
    /// 429 `circuit_breaking_exception` when they do not.
    pub(super) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = bytes.min(self.limit).div_ceil(UNIT).min(self.limit / UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        match tokio::time::timeout(self.patience, Arc::clone(&self.units).acquire_many_owned(units)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "circuit_breaking_exception",
                format!(
                    "[in_flight_requests] Data too large: a body of [{bytes}] bytes found no room among those of other \
                     requests, which may take [{}] bytes together",
                    self.limit
                ),
            )
            .with("bytes_wanted", json!(bytes))
            .with("bytes_limit", json!(self.limit))
            .with("durability", json!("TRANSIENT"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_and_is_refused_in_the_end() {
        let budget = Budget { patience: Duration::from_millis(50), ..Budget::new(10 * UNIT) };
        let first = budget.take(6 * UNIT).await.unwrap();
        let small = budget.take(1).await.unwrap();
        let error = budget.take(6 * UNIT).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.kind), (429, "circuit_breaking_exception"));
        drop(first);
        drop(budget.take(6 * UNIT).await.unwrap());
        // More than there is: it gets all there is, alone.
        drop(small);
        drop(budget.take(100 * UNIT).await.unwrap());
    }
}
