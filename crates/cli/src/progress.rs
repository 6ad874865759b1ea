//! What a person sees while something runs: a live line on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use connectors_sync::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// From one line to the next where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(3);
/// From one look at the numbers to the next on a terminal.
const REDRAW: Duration = Duration::from_millis(100);

/// Shows progress on standard error until dropped.
pub struct Display {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Display {
    /// Starts showing what `progress` says of the sync into `index`.
    pub fn start(index: &str, progress: watch::Receiver<Progress>) -> Self {
        Self::lines(index, move |elapsed| line(&progress.borrow(), elapsed))
    }

    /// Starts showing lines about `subject`, each for the time since the start.
    pub fn lines(subject: &str, line: impl Fn(Duration) -> String + Send + 'static) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template("{spinner} {prefix} {wide_msg}").expect("a valid template");
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
            bar.set_prefix(subject.to_owned());
            bar.enable_steady_tick(REDRAW);
            let drawn = bar.clone();
            let task = tokio::spawn(repeat(REDRAW, line, move |line| drawn.set_message(line)));
            return Self { task, bar: Some(bar) };
        }
        let subject = subject.to_owned();
        let task = tokio::spawn(repeat(LINE_INTERVAL, line, move |line| {
            // Standard error is gone: the work goes on without an audience.
            let _no_audience = writeln!(std::io::stderr(), "{subject}: {line}");
        }));
        Self { task, bar: None }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

async fn repeat(interval: Duration, line: impl Fn(Duration) -> String, show: impl Fn(String)) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        show(line(began.elapsed()));
    }
}

/// `syncing: 1,234 documents (456 docs/s), 1.2 MiB written, 0 errors, 3 s`
fn line(progress: &Progress, elapsed: Duration) -> String {
    let phase = match progress.phase {
        Phase::Starting => "starting",
        Phase::ReadingIndex => "reading the index",
        Phase::Syncing => "syncing",
        Phase::Deleting => "deleting",
        Phase::Finishing => "finishing",
    };
    format!(
        "{phase}: {} documents ({} docs/s), {} written, {} unchanged, {} deleted, {}, {} errors, {} s",
        number(progress.extracted),
        number(rate(progress.extracted, elapsed)),
        number(progress.indexed),
        number(progress.unchanged),
        number(progress.deleted),
        bytes(progress.bytes),
        number(progress.errors),
        elapsed.as_secs(),
    )
}

/// Documents a second, whole.
pub fn rate(documents: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    documents.saturating_mul(1000) / millis
}

/// `1234567` → `1,234,567`
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1536` → `1.5 KiB`
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit < units.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_five_figures() {
        let progress = Progress {
            phase: Phase::Syncing,
            extracted: 12_345,
            indexed: 12_000,
            unchanged: 345,
            bytes: 3 << 20,
            errors: 2,
            ..Progress::default()
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "syncing: 12,345 documents (1,234 docs/s), 12,000 written, 345 unchanged, 0 deleted, 3.0 MiB, 2 errors, 10 s"
        );
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(
            [number(0), number(999), number(1000), number(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
        );
        assert_eq!(rate(10, Duration::ZERO), 10_000);
    }
}
