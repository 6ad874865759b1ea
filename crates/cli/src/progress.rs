//! What a person sees while something runs: a live line on a terminal, a line every few seconds elsewhere.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use connectors_sync::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// From one line to the next where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(3);
/// From one look at the numbers to the next on a terminal.
const REDRAW: Duration = Duration::from_millis(100);

/// From one line of a progress file to the next.
const SAMPLE: Duration = Duration::from_millis(100);

/// Writes progress into a file until dropped: a line of JSON for each tenth of a second.
pub struct Samples {
    task: JoinHandle<()>,
}

impl Samples {
    /// Starts a new file at `path`.
    pub fn start(path: &Path, progress: watch::Receiver<Progress>) -> Result<Self> {
        let mut file = File::create(path)
            .with_context(|| format!("cannot write the progress file {}", path.display()))?;
        let task = tokio::spawn(async move {
            let began = Instant::now();
            loop {
                tokio::time::sleep(SAMPLE).await;
                let line = sample(&progress.borrow(), began.elapsed());
                if let Err(error) = writeln!(file, "{line}") {
                    tracing::warn!("the progress file is not written any more: {error}");
                    return;
                }
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn sample(progress: &Progress, elapsed: Duration) -> Value {
    json!({
        "seconds": elapsed.as_secs_f64(),
        "phase": phase(progress.phase),
        "extracted": progress.extracted,
        "indexed": progress.indexed,
        "unchanged": progress.unchanged,
        "filtered": progress.filtered,
        "deleted": progress.deleted,
        "errors": progress.errors,
        "bytes": progress.bytes,
        "queued_bytes": progress.queued_bytes,
        "bulk_requests": progress.bulk_requests,
        "bulk_millis": progress.bulk_millis,
    })
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::ReadingIndex => "reading the index",
        Phase::Syncing => "syncing",
        Phase::Deleting => "deleting",
        Phase::Finishing => "finishing",
    }
}

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
    format!(
        "{}: {} documents ({} docs/s), {} written, {} unchanged, {} deleted, {}, {} errors, {} s",
        phase(progress.phase),
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

    #[tokio::test]
    async fn a_progress_file_has_a_line_for_each_sample() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let (_sender, watcher) = watch::channel(Progress { queued_bytes: 7, ..Progress::default() });
        let samples = Samples::start(&path, watcher.clone()).unwrap();
        let first = loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = std::fs::read_to_string(&path).unwrap();
            if let Some((line, _)) = text.split_once('\n') {
                break serde_json::from_str::<Value>(line).unwrap();
            }
        };
        drop(samples);
        assert_eq!((&first["queued_bytes"], &first["phase"]), (&json!(7), &json!("starting")));
        let error = Samples::start(folder.path(), watcher).err().unwrap();
        assert!(format!("{error:#}").contains("progress file"), "{error:#}");
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
