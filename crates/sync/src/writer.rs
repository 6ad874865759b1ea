//! Sends bulk requests: several at a time, again when Elasticsearch is busy or away, and keeps the books.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors_es_client::{BulkParams, BulkRequest, BulkResponse, EsClient, EsError};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::buffers::Buffers;
use crate::dead_letters::DeadLetter;
use crate::error::SyncError;
use crate::options::SyncOptions;
use crate::progress::Ledger;

/// The wait before an operation is sent again for the first time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The job was stopped, by its owner or by an error the writer keeps.
#[derive(Debug)]
pub(crate) struct Stopped;

/// The writing end of a job.
#[derive(Debug)]
pub(crate) struct Writer {
    client: EsClient,
    params: BulkParams,
    slots: Arc<Semaphore>,
    slot_count: u32,
    stop: CancellationToken,
    /// Whether there is an index to write to.
    is_open: watch::Sender<bool>,
    /// Fires before `stop` when requests in flight may still be answered: nothing new is sent.
    closing: CancellationToken,
    ledger: Arc<Ledger>,
    /// Where answered requests leave their buffers.
    pub(crate) buffers: Arc<Buffers>,
    failure: Mutex<Option<SyncError>>,
    max_retries: u32,
    retry_interval: Duration,
    max_outage: Duration,
    log_operations: bool,
}

impl Writer {
    /// `requests`: how many may be in flight. `client` should end its requests when `stop` fires.
    pub(crate) fn new(
        client: EsClient,
        params: BulkParams,
        requests: usize,
        options: &SyncOptions,
        ledger: Arc<Ledger>,
        stop: CancellationToken,
    ) -> Self {
        let slot_count = u32::try_from(requests.max(1)).unwrap_or(u32::MAX).min(1 << 16);
        Self {
            client,
            params,
            slots: Arc::new(Semaphore::new(slot_count as usize)),
            slot_count,
            closing: stop.child_token(),
            stop,
            is_open: watch::Sender::new(false),
            ledger,
            buffers: Arc::new(Buffers::new(options.chunk_max_bytes)),
            failure: Mutex::new(None),
            max_retries: options.max_retries,
            retry_interval: options.retry_interval,
            max_outage: options.max_outage,
            log_operations: options.log_operations,
        }
    }

    /// Sends the request as soon as fewer than the allowed number are in flight. Returns when it is on its way; what it
    /// `holds`, such as the memory it takes, is dropped when it is answered.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        request: BulkRequest,
        holds: impl Send + 'static,
    ) -> Result<(), Stopped> {
        if request.is_empty() {
            return Ok(());
        }
        let slot = self.slots.clone().acquire_owned();
        let Some(Ok(slot)) = self.closing.run_until_cancelled(slot).await else { return Err(Stopped) };
        self.ledger.count(|counters| {
            for op in request.ops() {
                counters.operation(op.kind).operations += 1;
            }
        });
        let writer = self.clone();
        let sending = async move {
            if let Some(Err(error)) = writer.stop.clone().run_until_cancelled(writer.write(request)).await {
                writer.fail(error);
            }
            drop((slot, holds));
        };
        tokio::spawn(sending.in_current_span());
        Ok(())
    }

    /// Waits until every request is answered.
    pub(crate) async fn settle(&self) -> Result<(), Stopped> {
        match self.stop.run_until_cancelled(self.slots.acquire_many(self.slot_count)).await {
            Some(Ok(_)) if !self.stop.is_cancelled() => Ok(()),
            _ => Err(Stopped),
        }
    }

    /// Waits until no request is in flight, also after a stop.
    pub(crate) async fn drained(&self) {
        let _all = self.slots.acquire_many(self.slot_count).await;
    }

    /// There is an index: what was submitted so far may go.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Sends nothing new from now on; what is in flight goes on.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Ends the job with this error; the first one counts.
    pub(crate) fn fail(&self, error: SyncError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.cancel();
    }

    /// The error the job ended with.
    pub(crate) fn failure(&self) -> Option<SyncError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes a request to its end: every operation is carried out or buried.
    async fn write(&self, request: BulkRequest) -> Result<(), SyncError> {
        let mut is_open = self.is_open.subscribe();
        if self.closing.run_until_cancelled(is_open.wait_for(|open| *open)).await.is_none() {
            return Ok(());
        }
        let mut parts = vec![(request, 0)];
        while let Some((request, attempt)) = parts.pop() {
            let response = match self.send(&request).await {
                Ok(response) => response,
                Err(error) if is_about_the_body(&error) => {
                    parts.extend(self.split(&request, &error)?.into_iter().map(|part| (part, attempt)));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let again: Vec<usize> =
                if attempt < self.max_retries { response.retryable().collect() } else { Vec::new() };
            self.account(&request, &response, &again)?;
            if !again.is_empty() {
                tokio::time::sleep(self.wait(attempt)).await;
                parts.push((request.subset(again), attempt + 1));
            }
            self.buffers.give(request.into_buffer());
        }
        Ok(())
    }

    /// Waits grow to `retry_interval`, which is the last one.
    fn wait(&self, attempt: u32) -> Duration {
        FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempt)).min(self.retry_interval)
    }

    /// Sends a request; if Elasticsearch is away for longer than the client's own retries last, waits for it to come back.
    async fn send(&self, request: &BulkRequest) -> Result<BulkResponse, EsError> {
        let mut away_since: Option<Instant> = None;
        loop {
            let sent = Instant::now();
            let error = match self.client.bulk(&self.params, request).await {
                Err(error) if error.is_retryable() => error,
                done => {
                    self.ledger.bulk_answered(sent.elapsed());
                    return done;
                }
            };
            if away_since.get_or_insert_with(Instant::now).elapsed() >= self.max_outage {
                return Err(error);
            }
            tracing::warn!("Elasticsearch does not take documents, the sync waits for it: {error}");
            tokio::time::sleep(FIRST_WAIT).await;
            self.client.wait_until_available().await?;
        }
    }

    /// Elasticsearch refused the request as a whole because of something in it: halves find out what. A single operation that
    /// is refused alone is buried.
    fn split(&self, request: &BulkRequest, error: &EsError) -> Result<Vec<BulkRequest>, SyncError> {
        let len = request.len();
        if len > 1 {
            // The second half waits on the stack below the first one, so the order is kept.
            return Ok(vec![request.subset(len / 2..len), request.subset(0..len / 2)]);
        }
        for op in request.ops() {
            self.ledger.refuse(DeadLetter {
                id: op.id.to_owned(),
                operation: op.kind.as_str(),
                status: error.status_code(),
                kind: error.error_type().unwrap_or("refused").to_owned(),
                reason: error.reason().to_owned(),
            })?;
        }
        Ok(Vec::new())
    }

    /// Books the final answers: those that are not sent again.
    fn account(
        &self,
        request: &BulkRequest,
        response: &BulkResponse,
        again: &[usize],
    ) -> Result<(), SyncError> {
        let is_final = |position: &usize| again.binary_search(position).is_err();
        let answers = response.items.iter().enumerate().filter(|(position, _)| is_final(position));
        if self.log_operations {
            for (position, item) in answers.clone() {
                let id = request.op(position).map(|op| op.id.to_owned()).unwrap_or_default();
                tracing::info!("{} {id}: status {}", item.op, item.status);
            }
        }
        Ok(self.ledger.answered(request, answers)?)
    }
}

/// Whether the request was refused for what is in it: too large, or something in it made the server fail.
fn is_about_the_body(error: &EsError) -> bool {
    matches!(error.status_code(), Some(413 | 500))
}
