//! The stages of a job, in order.

mod index;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connectors_es_client::{BulkBody, BulkOpKind, BulkParams, EsClient};
use connectors_protocol::filtering::{BasicRules, RuleMatches};
use connectors_protocol::indices::access_control_index;
use connectors_protocol::pipeline::Pipeline;
use connectors_protocol::sync_job::JobType;
use connectors_sdk::{Changed, Inbox, Message, Sink, SinkLimits, SourceError};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::error::SyncError;
use crate::fingerprint::{self, Left};
use crate::intake::{Decisions, Intake, TakeError};
use crate::job::SyncInput;
use crate::prepare::Preparer;
use crate::progress::{Ledger, Phase};
use crate::writer::{Stopped, Writer};

/// Batches prepared at the same time. Reading waits for the disk, so it is more than there are processors on a small machine.
const BATCHES: u32 = 4;
/// A source that sends nothing for this long has what it sent written.
const IDLE: Duration = Duration::from_secs(2);
/// How long stages are waited for after a stop, so that what was answered is counted.
const GRACE: Duration = Duration::from_millis(500);
/// How long a suspended job waits for the answers to what it has sent.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What a completed run leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    pub cursor: Option<Value>,
    pub total_documents: Option<u64>,
    pub nothing_changed: bool,
    pub rule_matches: Option<RuleMatches>,
}

/// A running job.
pub(crate) struct Job {
    input: SyncInput,
    client: EsClient,
    index: String,
    ledger: Arc<Ledger>,
    writer: Arc<Writer>,
    preparer: Arc<Preparer>,
    batches: Arc<Semaphore>,
    batch_count: u32,
    /// For each batch from its reading to its answer: as many as requests may be in flight. So batches are read side by side
    /// while Elasticsearch is the quicker one, and do not pile up in memory when it is the slower one.
    tickets: Arc<Semaphore>,
    stop: CancellationToken,
    /// See [`is_emptied`](Self::is_emptied).
    emptied: AtomicBool,
}

impl Job {
    pub(crate) fn new(input: SyncInput, ledger: Arc<Ledger>, stop: CancellationToken) -> Self {
        let options = &input.options;
        let client = input.client.with_cancellation(stop.clone());
        let index = match input.job_type {
            JobType::AccessControl => access_control_index(&input.index),
            JobType::Full | JobType::Incremental => input.index.clone(),
        };
        let pipeline = Some(input.pipeline.name.clone()).filter(|name| !name.is_empty());
        let params = BulkParams { pipeline, ..BulkParams::new(&index) };
        // Changes of one document must be written in the order they were sent, so nothing overtakes then.
        let (requests, downloads, batch_count) = if sends_changes(&input) {
            (1, 1, 1)
        } else {
            (options.max_concurrency, options.concurrent_downloads, BATCHES)
        };
        let writer =
            Arc::new(Writer::new(client.clone(), params, requests, options, ledger.clone(), stop.clone()));
        let preparer = Arc::new(Preparer::new(writer.clone(), ledger.clone(), options, downloads));
        let batches = Arc::new(Semaphore::new(batch_count as usize));
        // Two at least: one is read while the other is on its way.
        let tickets = Arc::new(Semaphore::new(requests.clamp(2, 1 << 16)));
        let emptied = AtomicBool::new(false);
        Self { input, client, index, ledger, writer, preparer, batches, batch_count, tickets, stop, emptied }
    }

    /// Runs the job to its end.
    pub(crate) async fn execute(&self) -> Result<Completed, SyncError> {
        // What stopped the stages is the reason; that they were stopped is only what followed.
        self.stages().await.map_err(|error| self.writer.failure().unwrap_or(error))
    }

    async fn stages(&self) -> Result<Completed, SyncError> {
        let (cursor, mut left) = fingerprint::split(self.input.cursor.clone().filter(|_| self.is_content()));
        let settings = fingerprint::of(&self.input);
        let same_settings = left.settings.as_ref() == Some(&settings);
        let changed = self.changed(cursor.as_ref(), same_settings).await?;
        let follows = sends_changes(&self.input) && cursor.is_some();
        let as_left = self.is_as_left(&left, follows).await?;
        if let Changed::Nothing(since) = changed
            && (as_left || follows)
        {
            tracing::info!("nothing changed since the last sync");
            left.settings = left.settings.filter(|_| as_left);
            let cursor = fingerprint::join(since.or(cursor), &left);
            return Ok(Completed { cursor, nothing_changed: true, ..Completed::default() });
        }
        let rules = if self.input.apply_basic_rules && self.is_content() {
            BasicRules::parse(&self.input.filter.rules)?
        } else {
            BasicRules::default()
        };
        // The source fills its queue while the index is looked at.
        let (sink, inbox) = connectors_sdk::channel(self.queue());
        self.ledger.watch(inbox.gauge());
        let source = AbortOnDropHandle::new(tokio::spawn(
            send_all(&self.input, cursor.clone(), sink).in_current_span(),
        ));
        let exists = self.client.index_exists(&self.index).await?;
        let inventory = if sends_changes(&self.input) {
            None
        } else {
            self.ledger.enter(Phase::ReadingIndex);
            Some(self.inventory(exists).await?)
        };

        self.ledger.enter(Phase::Syncing);
        let mut intake = Intake::new(self.decisions(rules), inventory, self.ledger.clone());
        // The first documents are prepared while the index is made.
        let ((), listed) = tokio::join!(self.make_index(exists), self.list(source, inbox, &mut intake));
        // What the source sent before it failed is written all the same.
        self.settle().await?;
        listed?;
        intake.check_complete()?;
        self.reconcile()?;
        if let Some(inventory) = &intake.inventory {
            self.delete_leftovers(inventory).await?;
        }

        self.ledger.enter(Phase::Finishing);
        let total_documents = if self.input.dry_run {
            None
        } else {
            self.client.refresh(&self.index).await?;
            Some(self.client.count(&self.index, None).await?)
        };
        let rule_matches = Some(intake.matches);
        let counters = self.ledger.counters();
        // What could not be written or deleted is tried again by the next full sync, although the source has nothing new.
        let all_done = counters.dead_letters == 0 && counters.delete.errors == 0;
        let settings = if sends_changes(&self.input) {
            // What it left alone is as a full sync with these settings had it, and what it wrote went through the same.
            left.settings.filter(|made| follows && as_left && *made == settings)
        } else {
            Some(settings)
        };
        let documents = total_documents;
        let cursor = if sends_changes(&self.input) && counters.undelivered > 0 {
            tracing::warn!("the next incremental sync sends again what changed since the last one");
            fingerprint::join(cursor, &Left { settings, documents })
        } else {
            let settings = settings.filter(|_| all_done);
            fingerprint::join(intake.cursor, &Left { settings, documents })
        };
        Ok(Completed { cursor, total_documents, nothing_changed: false, rule_matches })
    }

    /// Whether the source positively says that nothing changed, and what is in the index follows from that.
    async fn changed(&self, cursor: Option<&Value>, same_settings: bool) -> Result<Changed, SyncError> {
        let asks = match self.input.job_type {
            // Who may see what can change without the documents.
            JobType::AccessControl => false,
            _ if self.input.force => false,
            JobType::Incremental if self.input.source_sends_changes => true,
            JobType::Full | JobType::Incremental => same_settings,
        };
        if asks { Ok(self.input.source.changed(cursor).await?) } else { Ok(Changed::Perhaps) }
    }

    /// Whether the index has as many documents as the last sync left. Otherwise somebody else changed it, or a job that failed:
    /// only reading everything tells what it lacks. `follows`: this job sends changes only.
    async fn is_as_left(&self, left: &Left, follows: bool) -> Result<bool, SyncError> {
        let Some(expected) = left.documents else { return Ok(false) };
        let counted = match self.client.count(&self.index, None).await {
            Ok(documents) => Some(documents),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let documents = counted.unwrap_or(0);
        if documents == 0 && expected > 0 {
            self.emptied.store(true, Ordering::Relaxed);
            if follows {
                return Err(SyncError::Emptied(self.index.clone()));
            }
        } else if follows && documents != expected {
            tracing::warn!(
                "{} has {documents} documents, the last sync left {expected}: the next full sync looks at all of them",
                self.index
            );
        }
        Ok(counted == Some(expected))
    }

    /// Whether what the last sync left in the index is gone: its cursor means nothing any more.
    pub(crate) fn is_emptied(&self) -> bool {
        self.emptied.load(Ordering::Relaxed)
    }

    fn is_content(&self) -> bool {
        self.input.job_type != JobType::AccessControl
    }

    /// How much may wait between the source and this job. The batches behind are what keeps both busy; a document that waits takes
    /// several times what it takes in a request, so no more of them wait than a quarter of one.
    fn queue(&self) -> SinkLimits {
        let SinkLimits { messages, bytes } = self.input.options.queue;
        SinkLimits { messages: messages.min((self.input.options.chunk_size / 4).max(1)), bytes }
    }

    /// Sends nothing new, and gives requests in flight a moment to be answered, so that their documents are counted.
    pub(crate) async fn close(&self) {
        self.writer.close();
        if tokio::time::timeout(LAST_ANSWERS, self.writer.drained()).await.is_err() {
            tracing::debug!("requests were still in flight when the job was suspended");
        }
    }

    /// Lets the stages see the stop, so that the books are final.
    pub(crate) async fn wind_down(&self) {
        let drained = async {
            let _batches = self.batches.acquire_many(self.batch_count).await;
            self.writer.drained().await;
        };
        if tokio::time::timeout(GRACE, drained).await.is_err() {
            tracing::debug!("requests were still in flight when the job ended");
        }
    }

    fn decisions(&self, rules: BasicRules) -> Decisions {
        let access_control = self.input.job_type == JobType::AccessControl;
        Decisions {
            rules,
            pipeline: self.pipeline().filter(|_| !access_control).cloned(),
            force: self.input.force,
            restricted: self.is_restricted(),
            known: if access_control { BulkOpKind::Update } else { BulkOpKind::Index },
            hashes: !access_control,
            owns_id_field: self.owns_id_field(),
        }
    }

    /// The pipeline that content documents go through. Without one nobody would take its settings out of the documents again.
    fn pipeline(&self) -> Option<&Pipeline> {
        Some(&self.input.pipeline).filter(|pipeline| !pipeline.name.is_empty())
    }

    /// Whether the documents' field `id` is the source's own.
    fn owns_id_field(&self) -> bool {
        self.is_content() && self.input.source.owns_id_field()
    }

    /// Whether the documents say who may see them.
    fn is_restricted(&self) -> bool {
        self.is_content() && self.input.source.restricts_access()
    }

    /// Reads the source and has everything prepared that is to be written.
    async fn list(
        &self,
        source: AbortOnDropHandle<Result<(), SourceError>>,
        inbox: Inbox,
        intake: &mut Intake,
    ) -> Result<(), SyncError> {
        self.receive(inbox, intake).await?;
        Ok(source.await.map_err(|panic| SyncError::Panic(panic.to_string()))??)
    }

    async fn receive(&self, mut inbox: Inbox, intake: &mut Intake) -> Result<(), SyncError> {
        loop {
            let next = tokio::time::timeout(IDLE, inbox.receive());
            let envelope = match self.stop.run_until_cancelled(next).await {
                None => return Err(Stopped.into()),
                Some(Err(_idle)) => {
                    self.dispatch(intake).await?;
                    continue;
                }
                Some(Ok(None)) => break,
                Some(Ok(Some(envelope))) => envelope,
            };
            let taken = self.take(envelope.open(), intake).await;
            intake.book();
            taken?;
        }
        self.dispatch(intake).await
    }

    async fn take(
        &self,
        messages: impl IntoIterator<Item = Message>,
        intake: &mut Intake,
    ) -> Result<(), SyncError> {
        let chunk_size = self.input.options.chunk_size.max(1);
        let chunk_bytes = self.input.options.chunk_max_bytes;
        for message in messages {
            let deletes_first = match &message {
                Message::Document(document) | Message::Update(document) => intake.deletes(&document.id),
                _ => false,
            };
            if deletes_first || intake.deletes.len() >= chunk_size {
                self.dispatch(intake).await?;
            }
            intake.take(message).map_err(|error| match error {
                TakeError::Source(error) => error.into(),
                TakeError::Inventory(error) => self.file_error(error),
            })?;
            if intake.pending.len() >= chunk_size || intake.pending_bytes >= chunk_bytes {
                self.dispatch(intake).await?;
            }
        }
        Ok(())
    }

    /// Has what is pending written: documents first, then deletions.
    async fn dispatch(&self, intake: &mut Intake) -> Result<(), SyncError> {
        let (batch, deletes) = (intake.batch(), std::mem::take(&mut intake.deletes));
        if self.input.dry_run {
            self.ledger.count(|counters| {
                counters.indexed += batch.len() as u64;
                counters.indexed_bytes += batch.iter().map(|document| document.size as u64).sum::<u64>();
                counters.deleted += deletes.len() as u64;
            });
            return Ok(());
        }
        if !batch.is_empty() {
            let slot = self.permits(&self.batches, 1).await?;
            let ticket = self.permits(&self.tickets, 1).await?;
            let (preparer, stop) = (self.preparer.clone(), self.stop.clone());
            let prepare = async move {
                // A stop has its reason elsewhere.
                let _stopped = stop.run_until_cancelled(preparer.prepare(batch, ticket)).await;
                drop(slot);
            };
            tokio::spawn(prepare.in_current_span());
        }
        if !deletes.is_empty() {
            let _prepared = self.permits(&self.batches, self.batch_count).await?;
            let mut body = BulkBody::new();
            for id in &deletes {
                body.delete(id);
            }
            self.writer.submit(body.finish_request(), ()).await?;
        }
        Ok(())
    }

    async fn permits(&self, of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, Stopped> {
        match self.stop.run_until_cancelled(of.clone().acquire_many_owned(count)).await {
            Some(Ok(permits)) => Ok(permits),
            _ => Err(Stopped),
        }
    }

    /// Waits until everything dispatched is answered.
    async fn settle(&self) -> Result<(), SyncError> {
        let _all = self.permits(&self.batches, self.batch_count).await?;
        Ok(self.writer.settle().await?)
    }

    /// Every document the source sent must have ended somewhere.
    fn reconcile(&self) -> Result<(), SyncError> {
        let counters = self.ledger.counters();
        let (extracted, accounted) = (counters.docs_extracted, counters.accounted());
        if extracted == accounted { Ok(()) } else { Err(SyncError::Unaccounted { extracted, accounted }) }
    }
}

fn sends_changes(input: &SyncInput) -> bool {
    input.job_type == JobType::Incremental && input.source_sends_changes
}

/// Has the source send everything; owns what it needs, because it runs in a task of its own.
fn send_all(
    input: &SyncInput,
    cursor: Option<Value>,
    sink: Sink,
) -> impl Future<Output = Result<(), SourceError>> + Send + 'static {
    let source = input.source.clone();
    let (job_type, changes) = (input.job_type, sends_changes(input));
    let rules = input.filter.advanced_rules().cloned();
    async move {
        match job_type {
            JobType::AccessControl => source.access_control(&sink).await,
            _ if changes => source.changes(cursor.as_ref(), rules.as_ref(), &sink).await,
            JobType::Full | JobType::Incremental => source.documents(rules.as_ref(), &sink).await,
        }
    }
}
