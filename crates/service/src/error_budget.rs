//! How many errors a loop may meet before the service gives up: `service.max_errors` within `service.max_errors_span`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Times of recent errors.
#[derive(Debug)]
pub struct ErrorBudget {
    limit: u64,
    span: Duration,
    recent: VecDeque<Instant>,
}

impl ErrorBudget {
    /// Allows `limit` errors within `span`.
    pub fn new(limit: u64, span: Duration) -> Self {
        Self { limit, span, recent: VecDeque::new() }
    }

    /// Notes an error at `now`; false when the budget is spent.
    pub fn spend(&mut self, now: Instant) -> bool {
        while self.recent.front().is_some_and(|first| now.duration_since(*first) > self.span) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() as u64 <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_errors_are_forgotten() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = ErrorBudget::new(2, Duration::from_secs(10));
        assert!(budget.spend(at(0)));
        assert!(budget.spend(at(1)));
        assert!(budget.spend(at(12)));
        assert!(budget.spend(at(13)));
        assert!(!budget.spend(at(14)));
    }
}
