//! The one retry loop of the product.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What to do about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt fails the same way.
    GiveUp,
    /// Another attempt may succeed, after the policy's wait.
    Retry,
    /// The remote said how long to wait (`Retry-After`). The policy's own wait is used when it is longer.
    RetryAfter(Duration),
}

/// Errors that know whether another attempt may succeed.
pub trait Classify {
    /// Judges this failure.
    fn verdict(&self) -> Verdict;
}

/// How the wait grows with the number of attempts that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Backoff {
    /// `interval`, always.
    Constant,
    /// `interval × n` after the n-th failure.
    Linear,
    /// `interval × factorⁿ⁻¹` after the n-th failure.
    Exponential {
        /// By what the wait is multiplied each time.
        factor: f64,
    },
}

/// When to give up and how long to wait until then.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first one; none means until `max_elapsed`.
    pub max_retries: Option<u32>,
    /// No attempt starts later than this after the first one started.
    pub max_elapsed: Option<Duration>,
    /// The unit of the wait.
    pub interval: Duration,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The longest wait of ours. A longer `Retry-After` is obeyed up to `max_retry_after`.
    pub max_interval: Duration,
    /// When a remote asks for more than this, the error is returned instead: a job should say that it is locked out
    /// rather than hang, and must not ask again earlier than it was told.
    pub max_retry_after: Duration,
    /// Part of the wait that is added at random (0.1: up to a tenth), so that workers which failed together do not
    /// come back together.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: Some(5),
            max_elapsed: None,
            interval: Duration::from_secs(1),
            backoff: Backoff::Exponential { factor: 2.0 },
            max_interval: Duration::from_mins(1),
            max_retry_after: Duration::from_mins(15),
            jitter: 0.1,
        }
    }
}

impl RetryPolicy {
    /// A policy that never tries again.
    pub fn never() -> Self {
        Self { max_retries: Some(0), ..Self::default() }
    }

    /// The wait after the `failures`-th failure (from 1), without jitter.
    pub fn wait(&self, failures: u32) -> Duration {
        let factor = match self.backoff {
            Backoff::Constant => 1.0,
            Backoff::Linear => f64::from(failures),
            Backoff::Exponential { factor } => {
                factor.powi(i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX))
            }
        };
        Duration::try_from_secs_f64(self.interval.as_secs_f64() * factor)
            .map_or(self.max_interval, |wait| wait.min(self.max_interval))
    }

    /// The wait before the next attempt, or none when this was the last.
    fn next_wait(&self, failures: u32, verdict: Verdict, elapsed: Duration) -> Option<Duration> {
        let asked = match verdict {
            Verdict::GiveUp => return None,
            Verdict::Retry => Duration::ZERO,
            Verdict::RetryAfter(asked) => asked,
        };
        if self.max_retries.is_some_and(|most| failures > most) || asked > self.max_retry_after {
            return None;
        }
        let wait = self.wait(failures).max(asked);
        let wait = wait + wait.mul_f64(self.jitter.clamp(0.0, 1.0) * random_fraction());
        match self.max_elapsed.map(|most| most.saturating_sub(elapsed)) {
            None => Some(wait),
            Some(left) if left.is_zero() || asked > left => None,
            Some(left) => Some(wait.min(left)),
        }
    }
}

/// Why [`retry`] ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryError<E> {
    /// The last attempt failed, and another one was useless or not allowed any more.
    Failed {
        /// What the last attempt said.
        error: E,
        /// How many attempts were made.
        attempts: u32,
    },
    /// The token was canceled before an attempt succeeded.
    Canceled,
}

/// Runs `attempt` until it succeeds, its error says to give up, the policy is exhausted, or `cancel` is canceled,
/// which ends a running attempt and a wait at once.
///
/// The closure gets the number of the attempt, from 1, and must be safe to repeat: one request, never a stream of
/// which a part was already consumed. `operation` names it in the log; no secret may be in it.
pub async fn retry<T, E, F, Fut>(
    policy: &RetryPolicy,
    operation: &str,
    cancel: &CancellationToken,
    mut attempt: F,
) -> Result<T, RetryError<E>>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Classify + fmt::Display,
{
    let started = Instant::now();
    let mut attempts: u32 = 0;
    loop {
        attempts += 1;
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(RetryError::Canceled),
            result = attempt(attempts) => result,
        };
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(wait) = policy.next_wait(attempts, error.verdict(), started.elapsed()) else {
            return Err(RetryError::Failed { error, attempts });
        };
        tracing::warn!(
            attempt = attempts,
            wait_ms = wait.as_millis(),
            "{operation} failed, will retry: {error}"
        );
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(RetryError::Canceled),
            () = sleep(wait) => {}
        }
    }
}

/// A number in 0..1. The standard library seeds each hasher at random, which is random enough to spread retries.
fn random_fraction() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Failure(Verdict);

    impl fmt::Display for Failure {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "{:?}", self.0)
        }
    }

    impl Classify for Failure {
        fn verdict(&self) -> Verdict {
            self.0
        }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_retries: Some(3),
            interval: Duration::from_secs(10),
            backoff: Backoff::Linear,
            jitter: 0.0,
            ..RetryPolicy::default()
        }
    }

    async fn run(policy: &RetryPolicy, verdicts: &[Verdict]) -> (Result<u32, RetryError<Failure>>, Duration) {
        let started = Instant::now();
        let result = retry(policy, "test", &CancellationToken::new(), |attempt| async move {
            match verdicts.get(attempt as usize - 1) {
                Some(verdict) => Err(Failure(*verdict)),
                None => Ok(attempt),
            }
        })
        .await;
        (result, started.elapsed())
    }

    #[test]
    fn waits_grow_as_the_backoff_says_up_to_the_maximum() {
        let secs = |backoff, n| RetryPolicy { backoff, ..policy() }.wait(n).as_secs();
        assert_eq!([1, 2, 5].map(|n| secs(Backoff::Constant, n)), [10, 10, 10]);
        assert_eq!([1, 2, 5].map(|n| secs(Backoff::Linear, n)), [10, 20, 50]);
        assert_eq!([1, 2, 3, 4].map(|n| secs(Backoff::Exponential { factor: 2.0 }, n)), [10, 20, 40, 60]);
        assert_eq!(secs(Backoff::Exponential { factor: 2.0 }, u32::MAX), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_until_it_succeeds_and_says_how_often() {
        let (result, waited) = run(&policy(), &[Verdict::Retry, Verdict::Retry]).await;
        assert_eq!(result, Ok(3));
        assert_eq!(waited.as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_max_retries_or_at_once_when_useless() {
        let (result, waited) = run(&policy(), &[Verdict::Retry; 9]).await;
        assert_eq!(result, Err(RetryError::Failed { error: Failure(Verdict::Retry), attempts: 4 }));
        assert_eq!(waited.as_secs(), 60);

        let (result, waited) = run(&policy(), &[Verdict::GiveUp; 9]).await;
        assert_eq!(result, Err(RetryError::Failed { error: Failure(Verdict::GiveUp), attempts: 1 }));
        assert_eq!(waited.as_secs(), 0);

        let (result, _) = run(&RetryPolicy::never(), &[Verdict::Retry]).await;
        assert!(matches!(result, Err(RetryError::Failed { attempts: 1, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_the_remote_asked_for_is_a_lower_bound() {
        let longer = Verdict::RetryAfter(Duration::from_secs(90));
        let shorter = Verdict::RetryAfter(Duration::from_secs(1));
        let (result, waited) = run(&policy(), &[longer, shorter]).await;
        assert_eq!(result, Ok(3));
        assert_eq!(waited.as_secs(), 90 + 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_out_is_reported_not_waited_for() {
        let hours = Verdict::RetryAfter(Duration::from_hours(3));
        let (result, waited) = run(&policy(), &[hours]).await;
        assert_eq!(result, Err(RetryError::Failed { error: Failure(hours), attempts: 1 }));
        assert_eq!(waited.as_secs(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_starts_at_the_deadline() {
        let policy =
            RetryPolicy { max_retries: None, max_elapsed: Some(Duration::from_secs(45)), ..policy() };
        let (result, waited) = run(&policy, &[Verdict::Retry; 9]).await;
        // Attempts at 0, 10, 30 and 45 seconds.
        assert!(matches!(result, Err(RetryError::Failed { attempts: 4, .. })), "{result:?}");
        assert_eq!(waited.as_secs(), 45);
        // Waiting for longer than what is left would break either promise.
        let (result, _) = run(&policy, &[Verdict::RetryAfter(Duration::from_secs(50))]).await;
        assert!(matches!(result, Err(RetryError::Failed { attempts: 1, .. })), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_a_wait_and_a_running_attempt() {
        let cancel = CancellationToken::new();
        let calls = AtomicU32::new(0);
        let policy = policy();
        let waiting = retry(&policy, "test", &cancel, |_| async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Failure(Verdict::Retry))
        });
        let canceling = async {
            sleep(Duration::from_secs(5)).await;
            cancel.cancel();
        };
        let started = Instant::now();
        let (result, ()) = tokio::join!(waiting, canceling);
        assert_eq!(result, Err(RetryError::Canceled));
        assert_eq!((calls.load(Ordering::Relaxed), started.elapsed().as_secs()), (1, 5));

        let cancel = CancellationToken::new();
        let hanging = retry(&policy, "test", &cancel, |_| std::future::pending::<Result<(), Failure>>());
        let (result, ()) = tokio::join!(hanging, async { cancel.cancel() });
        assert_eq!(result, Err(RetryError::Canceled));
    }

    #[test]
    fn jitter_only_adds_and_stays_within_its_part() {
        let policy = RetryPolicy { jitter: 0.5, ..policy() };
        let waits: Vec<_> =
            (0..100).map(|_| policy.next_wait(1, Verdict::Retry, Duration::ZERO).unwrap()).collect();
        assert!(waits.iter().all(|wait| (10.0..=15.0).contains(&wait.as_secs_f64())), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "no jitter at all");
    }
}
