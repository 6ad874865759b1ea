//! Gives a job up when too many documents are refused.

use std::collections::VecDeque;

/// Limits of `elasticsearch.bulk.error_monitor`.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorLimits {
    /// Whether the limits are applied (`enabled`).
    pub enabled: bool,
    /// Errors a job may have (`max_total_errors`).
    pub total: u64,
    /// Errors that may follow each other (`max_consecutive_errors`).
    pub consecutive: u64,
    /// Share of errors among the last results (`max_error_rate`), 0 to 1.
    pub rate: f64,
    /// How many last results count for the share (`error_window_size`).
    pub window: usize,
}

impl Default for ErrorLimits {
    fn default() -> Self {
        Self { enabled: true, total: 1000, consecutive: 10, rate: 0.15, window: 100 }
    }
}

/// Why a job was given up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TooManyErrors {
    /// `max_consecutive_errors`
    #[error(
        "Elasticsearch refused {0} documents in a row (elasticsearch.bulk.error_monitor.max_consecutive_errors); the last one: {1}"
    )]
    Consecutive(u64, String),
    /// `max_total_errors`
    #[error(
        "Elasticsearch refused {0} documents (elasticsearch.bulk.error_monitor.max_total_errors); the last one: {1}"
    )]
    Total(u64, String),
    /// `max_error_rate`
    #[error(
        "Elasticsearch refused {0} of the last {1} documents (elasticsearch.bulk.error_monitor.max_error_rate); the last one: {2}"
    )]
    Rate(usize, usize, String),
}

/// Counts results against the limits.
#[derive(Debug)]
pub(crate) struct ErrorMonitor {
    limits: ErrorLimits,
    total: u64,
    consecutive: u64,
    /// The last results, errors are true. It starts as if all had been successes.
    window: VecDeque<bool>,
    window_errors: usize,
}

impl ErrorMonitor {
    pub(crate) fn new(limits: ErrorLimits) -> Self {
        let window = std::iter::repeat_n(false, limits.window).collect();
        Self { limits, total: 0, consecutive: 0, window, window_errors: 0 }
    }

    /// A document was taken.
    pub(crate) fn success(&mut self) {
        self.consecutive = 0;
        self.slide(false);
    }

    /// A document was refused.
    pub(crate) fn failure(&mut self, reason: impl FnOnce() -> String) -> Result<(), TooManyErrors> {
        self.total += 1;
        self.consecutive += 1;
        self.slide(true);
        if !self.limits.enabled {
            return Ok(());
        }
        let (errors, window) = (self.window_errors, self.window.len());
        if self.consecutive > self.limits.consecutive {
            Err(TooManyErrors::Consecutive(self.consecutive, reason()))
        } else if self.total > self.limits.total {
            Err(TooManyErrors::Total(self.total, reason()))
        } else if window > 0 && errors as f64 / window as f64 > self.limits.rate {
            Err(TooManyErrors::Rate(errors, window, reason()))
        } else {
            Ok(())
        }
    }

    fn slide(&mut self, error: bool) {
        if self.window.pop_front() == Some(true) {
            self.window_errors -= 1;
        }
        if self.limits.window > 0 {
            self.window.push_back(error);
            self.window_errors += usize::from(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(monitor: &mut ErrorMonitor, count: usize) -> Result<(), TooManyErrors> {
        (0..count).try_for_each(|_| monitor.failure(|| "bad".to_owned()))
    }

    #[test]
    fn errors_in_a_row_are_too_many() {
        let mut monitor = ErrorMonitor::new(ErrorLimits::default());
        failures(&mut monitor, 10).unwrap();
        monitor.success();
        let limits = ErrorLimits { rate: 1.0, ..ErrorLimits::default() };
        let mut monitor = ErrorMonitor::new(limits);
        failures(&mut monitor, 10).unwrap();
        assert_eq!(failures(&mut monitor, 1), Err(TooManyErrors::Consecutive(11, "bad".to_owned())));
    }

    #[test]
    fn errors_in_all_are_too_many() {
        let limits = ErrorLimits { total: 20, rate: 1.0, ..ErrorLimits::default() };
        let mut monitor = ErrorMonitor::new(limits);
        for _ in 0..20 {
            failures(&mut monitor, 1).unwrap();
            monitor.success();
        }
        assert_eq!(failures(&mut monitor, 1), Err(TooManyErrors::Total(21, "bad".to_owned())));
    }

    #[test]
    fn a_share_of_errors_is_too_many_and_old_ones_are_forgotten() {
        let limits = ErrorLimits { window: 20, ..ErrorLimits::default() };
        let mut monitor = ErrorMonitor::new(limits);
        for _ in 0..3 {
            failures(&mut monitor, 3).unwrap();
            (0..20).for_each(|_| monitor.success());
        }
        failures(&mut monitor, 3).unwrap();
        monitor.success();
        assert_eq!(failures(&mut monitor, 1), Err(TooManyErrors::Rate(4, 20, "bad".to_owned())));
    }

    #[test]
    fn switched_off_it_only_counts() {
        let limits = ErrorLimits { enabled: false, ..ErrorLimits::default() };
        let mut monitor = ErrorMonitor::new(limits);
        failures(&mut monitor, 5_000).unwrap();
        let mut monitor = ErrorMonitor::new(ErrorLimits { window: 0, ..ErrorLimits::default() });
        failures(&mut monitor, 10).unwrap();
    }
}
