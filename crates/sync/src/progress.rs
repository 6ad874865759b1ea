//! What a running job tells others, and what it has counted: shared by its stages.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connectors_es_client::{BulkItem, BulkOpKind, BulkRequest};
use connectors_sdk::Gauge;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::counters::Counters;
use crate::dead_letters::{DeadLetter, DeadLetters};
use crate::monitor::{ErrorMonitor, TooManyErrors};

/// The shortest time between two changes of the progress.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a job does at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It asks the source whether anything changed, and makes the index.
    #[default]
    Starting,
    /// It reads which documents the index holds.
    ReadingIndex,
    /// It reads the source and writes.
    Syncing,
    /// It deletes what is gone from the source.
    Deleting,
    /// Everything is written; it makes the result visible to searches.
    Finishing,
}

/// Counts that go into the job document; they continue where an interrupted run of the same job stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Documents written.
    pub indexed: u64,
    /// Bytes of the documents written.
    pub indexed_bytes: u64,
    /// Documents deleted.
    pub deleted: u64,
}

impl Totals {
    pub(crate) fn plus(self, counters: &Counters) -> Self {
        Self {
            indexed: self.indexed + counters.indexed,
            indexed_bytes: self.indexed_bytes + counters.indexed_bytes,
            deleted: self.deleted + counters.deleted,
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// When this run began.
    pub started_at: Option<Timestamp>,
    /// Documents the source sent.
    pub extracted: u64,
    /// Documents written in this run (in a dry run: that would be).
    pub indexed: u64,
    /// Documents that did not have to be written.
    pub unchanged: u64,
    /// Documents left out by rules.
    pub filtered: u64,
    /// Documents deleted in this run (in a dry run: that would be).
    pub deleted: u64,
    /// Documents that could not be written.
    pub errors: u64,
    /// Bytes of the documents written in this run.
    pub bytes: u64,
    /// Bytes of documents that wait between the source and the engine, now.
    pub queued_bytes: u64,
    /// Bulk requests answered in this run, and how long they took together, in milliseconds.
    pub bulk_requests: u64,
    /// See `bulk_requests`.
    pub bulk_millis: u64,
    /// Counts of all runs of this job.
    pub totals: Totals,
}

/// The books of a job.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    before: Totals,
    started_at: Timestamp,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    counters: Counters,
    monitor: ErrorMonitor,
    dead_letters: DeadLetters,
    queue: Option<Gauge>,
    bulk_requests: u64,
    bulk_time: Duration,
}

impl Inner {
    /// `may_pass`: nothing is known to be wrong with the document itself.
    fn add(&mut self, letter: DeadLetter, may_pass: bool) {
        self.counters.undelivered += u64::from(may_pass);
        self.dead_letters.add(letter);
    }
}

impl Ledger {
    pub(crate) fn new(monitor: ErrorMonitor, dead_letters: DeadLetters, before: Totals) -> Self {
        let inner = Inner {
            phase: Phase::default(),
            counters: Counters::default(),
            monitor,
            dead_letters,
            queue: None,
            bulk_requests: 0,
            bulk_time: Duration::ZERO,
        };
        Self { inner: Mutex::new(inner), before, started_at: Timestamp::now() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Numbers are never half written, so a panic elsewhere leaves them usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Says where the source's documents wait.
    pub(crate) fn watch(&self, queue: Gauge) {
        self.lock().queue = Some(queue);
    }

    /// A bulk request was answered after this time.
    pub(crate) fn bulk_answered(&self, after: Duration) {
        let mut inner = self.lock();
        inner.bulk_requests += 1;
        inner.bulk_time += after;
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.lock().counters);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.before.plus(&self.lock().counters)
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.lock().dead_letters.first()
    }

    /// A document that will not be written; `may_pass`: it may be at another time.
    pub(crate) fn bury(&self, letter: DeadLetter, may_pass: bool) {
        let mut inner = self.lock();
        inner.counters.dead_letters += 1;
        inner.add(letter, may_pass);
    }

    /// A document Elasticsearch refused without an answer of its own.
    pub(crate) fn refuse(&self, letter: DeadLetter) -> Result<(), TooManyErrors> {
        let mut inner = self.lock();
        let verdict = inner.monitor.failure(|| letter.reason.clone());
        if letter.operation == BulkOpKind::Delete.as_str() {
            inner.counters.delete.errors += 1;
        } else {
            inner.counters.dead_letters += 1;
        }
        let may_pass = letter.status.is_none_or(may_pass);
        inner.add(letter, may_pass);
        verdict
    }

    /// Final answers to operations of a request, by position.
    pub(crate) fn answered<'a>(
        &self,
        request: &BulkRequest,
        items: impl Iterator<Item = (usize, &'a BulkItem)>,
    ) -> Result<(), TooManyErrors> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        // All items are counted even if the job is given up in the middle: they were answered.
        let mut verdict = Ok(());
        for (position, item) in items {
            let Some(op) = request.op(position) else { continue };
            inner.counters.answered(op.kind, op.id, op.range.len(), item);
            let Some(failure) = &item.error else {
                inner.monitor.success();
                continue;
            };
            let judged = inner.monitor.failure(|| failure.to_string());
            verdict = verdict.and(judged);
            // A document that could not be deleted was not sent by the source.
            inner.counters.dead_letters += u64::from(op.kind != BulkOpKind::Delete);
            let letter = DeadLetter {
                id: op.id.to_owned(),
                operation: op.kind.as_str(),
                status: Some(item.status),
                kind: failure.kind.to_string(),
                reason: failure.reason.to_string(),
            };
            inner.add(letter, may_pass(item.status));
        }
        verdict
    }

    pub(crate) fn progress(&self) -> Progress {
        let inner = self.lock();
        let counters = &inner.counters;
        Progress {
            phase: inner.phase,
            started_at: Some(self.started_at),
            extracted: counters.docs_extracted,
            indexed: counters.indexed,
            unchanged: counters.docs_unchanged,
            filtered: counters.docs_filtered,
            deleted: counters.deleted,
            errors: counters.dead_letters + counters.delete.errors,
            bytes: counters.indexed_bytes,
            queued_bytes: inner.queue.as_ref().map_or(0, |queue| queue.bytes() as u64),
            bulk_requests: inner.bulk_requests,
            bulk_millis: u64::try_from(inner.bulk_time.as_millis()).unwrap_or(u64::MAX),
            totals: self.before.plus(counters),
        }
    }

    /// Publishes the progress until it is dropped, and logs it every `display_every` documents.
    pub(crate) async fn publish(&self, sender: &watch::Sender<Progress>, display_every: u64) -> Infallible {
        let mut ticks = tokio::time::interval(INTERVAL);
        let mut logged = 0;
        loop {
            ticks.tick().await;
            let progress = self.progress();
            if let Some(step) = progress.extracted.checked_div(display_every)
                && step > logged
            {
                logged = step;
                tracing::info!(
                    "Sync progress -- read: {} | written: {} | unchanged: {} | deleted: {}",
                    progress.extracted,
                    progress.indexed,
                    progress.unchanged,
                    progress.deleted
                );
            }
            publish(sender, progress);
        }
    }
}

/// Whether a document that was refused with this status may be taken at another time. 500 is what a pipeline answers that fails.
fn may_pass(status: u16) -> bool {
    !matches!(status, 400 | 413 | 500)
}

/// Wakes watchers only if there is news.
pub(crate) fn publish(sender: &watch::Sender<Progress>, progress: Progress) {
    sender.send_if_modified(|current| {
        let news = *current != progress;
        if news {
            *current = progress;
        }
        news
    });
}
