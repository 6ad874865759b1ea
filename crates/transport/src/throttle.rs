//! Limits on what we ask of a remote: requests per second and requests at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// A token bucket and a concurrency limit, either of which may be absent. Clones share the limits.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    bucket: Option<Arc<Bucket>>,
    slots: Option<Arc<Semaphore>>,
}

/// The right to make one request; the slot is free again when this is dropped.
#[derive(Debug)]
#[must_use = "the slot is free again as soon as the permit is dropped"]
pub struct Permit {
    _slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Bucket {
    /// Time that one request costs.
    cost: Duration,
    /// How far the bucket may run ahead: `cost × (burst − 1)`.
    slack: Duration,
    /// When the bucket is full again (the "theoretical arrival time" of the GCRA form of a token bucket). The lock is
    /// only held to read and write it.
    full_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// No limit.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// At most `per_second` requests a second on average, of which `burst` (at least 1) may go at once after a pause.
    #[must_use]
    pub fn rate(mut self, per_second: f64, burst: u32) -> Self {
        // A rate that is zero, negative or NaN is no rate: fail safe to one request an hour rather than to no limit.
        let seconds = if per_second > 0.0 { 1.0 / per_second } else { f64::INFINITY };
        let cost = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).min(Duration::from_hours(1));
        let slack = cost.saturating_mul(burst.max(1) - 1);
        self.bucket = Some(Arc::new(Bucket { cost, slack, full_at: Mutex::new(None) }));
        self
    }

    /// At most `slots` (at least 1) requests at the same time.
    #[must_use]
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.slots = Some(Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))));
        self
    }

    /// Waits for a slot, then for the rate. Dropping the future gives up the wait; a turn that was already reserved
    /// in the rate is lost, which errs on the remote's side.
    pub async fn acquire(&self) -> Permit {
        let slot = match &self.slots {
            // The semaphore is never closed, so there is always a permit in the end.
            Some(slots) => Arc::clone(slots).acquire_owned().await.ok(),
            None => None,
        };
        if let Some(bucket) = &self.bucket {
            bucket.take().await;
        }
        Permit { _slot: slot }
    }
}

impl Bucket {
    async fn take(&self) {
        let turn = {
            let mut full_at = self.full_at.lock().await;
            let now = Instant::now();
            let start = full_at.map_or(now, |full| full.max(now));
            *full_at = Some(start + self.cost);
            start.checked_sub(self.slack).unwrap_or(now).max(now)
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_for(throttle: &Throttle, requests: u32) -> f64 {
        let started = Instant::now();
        for _ in 0..requests {
            let _permit = throttle.acquire().await;
        }
        started.elapsed().as_secs_f64()
    }

    fn about(value: f64, expected: f64) {
        // Tokio's clock has a resolution of one millisecond.
        assert!((value - expected).abs() < 0.05, "{value} instead of {expected}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let throttle = Throttle::unlimited().rate(10.0, 5);
        about(seconds_for(&throttle, 5).await, 0.0);
        about(seconds_for(&throttle, 20).await, 2.0);
        // A pause refills no more than the burst.
        tokio::time::advance(Duration::from_mins(1)).await;
        about(seconds_for(&throttle, 6).await, 0.1);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_the_rate_and_a_nonsense_rate_is_nearly_none() {
        let throttle = Throttle::unlimited().rate(1.0, 1);
        about(seconds_for(&throttle, 1).await, 0.0);
        about(seconds_for(&throttle.clone(), 1).await, 1.0);
        about(seconds_for(&Throttle::unlimited().rate(0.0, 1), 2).await, 3600.0);
        about(seconds_for(&Throttle::unlimited(), 1000).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_slots_run_at_once() {
        let throttle = Throttle::unlimited().concurrency(2);
        let first = throttle.acquire().await;
        let _second = throttle.acquire().await;
        let third = tokio::time::timeout(Duration::from_secs(5), throttle.acquire()).await;
        assert!(third.is_err(), "a third request ran");
        drop(first);
        let third = tokio::time::timeout(Duration::from_secs(5), throttle.acquire()).await;
        assert!(third.is_ok(), "the freed slot was lost");
    }
}
