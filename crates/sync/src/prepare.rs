//! Fetches contents and serialises documents into bulk requests, several batches at a time.
//!
//! Memory is bounded by bytes: a document takes room before its content is fetched, and the room is given back when the
//! request that carries it is answered. A batch that finds no room first sends what it holds, and then waits holding nothing,
//! so that batches never wait for each other.

use std::convert::Infallible;
use std::sync::Arc;

use connectors_es_client::{BulkBody, BulkRequest};
use connectors_sdk::{Content, DownloadResult, ErrorKind, LazyDownload, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::buffers::Buffers;
use crate::dead_letters::DeadLetter;
use crate::document::{Body, Outgoing};
use crate::error::SyncError;
use crate::options::SyncOptions;
use crate::progress::Ledger;
use crate::writer::{Stopped, Writer};

/// Expected bytes of documents that are read one after the other by one blocking task.
const RUN_BYTES: usize = 2 << 20;

/// The preparing stage of a job.
#[derive(Debug)]
pub(crate) struct Preparer {
    writer: Arc<Writer>,
    ledger: Arc<Ledger>,
    room: Arc<Semaphore>,
    room_size: usize,
    /// Contents fetched at the same time, over all batches.
    downloads: Arc<Semaphore>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    request_bytes: usize,
    request_operations: usize,
    text_bytes: Option<usize>,
    downloads: usize,
}

impl Preparer {
    pub(crate) fn new(
        writer: Arc<Writer>,
        ledger: Arc<Ledger>,
        options: &SyncOptions,
        downloads: usize,
    ) -> Self {
        let request_bytes = options.chunk_max_bytes.max(1);
        // Enough to fill every request in flight and the one being built.
        let room_size = request_bytes.saturating_mul(options.max_concurrency + 1).min(u32::MAX as usize >> 3);
        Self {
            writer,
            ledger,
            room: Arc::new(Semaphore::new(room_size)),
            room_size,
            downloads: Arc::new(Semaphore::new(downloads.max(1))),
            limits: Limits {
                request_bytes,
                request_operations: options.chunk_size.max(1),
                text_bytes: options.max_text_bytes,
                downloads: downloads.max(1),
            },
        }
    }

    /// Prepares a batch and hands it to the writer. The ticket is given back when its last request is answered.
    pub(crate) async fn prepare(
        &self,
        batch: Vec<Outgoing>,
        ticket: OwnedSemaphorePermit,
    ) -> Result<(), Stopped> {
        let buffers = self.writer.buffers.clone();
        let mut assembly = Assembly::new(self.limits, self.ledger.clone(), buffers, Arc::new(ticket));
        let mut run = Run::default();
        let mut fetching = JoinSet::new();
        for mut document in batch {
            let expected = expected(&document);
            let room = if let Some(room) = self.try_room(expected) {
                room
            } else {
                assembly = self.read(std::mem::take(&mut run), assembly).await?;
                while self.fetched(&mut fetching, &mut assembly).await? {}
                self.flush(&mut assembly).await?;
                self.wait_for_room(expected).await?
            };
            if let Some(download) = document.download.take_if(|download| !download.is_blocking()) {
                let slots = self.downloads.clone();
                // A task of its own: a download must go on while this batch waits for something else.
                let fetch = async move {
                    // The slots are never closed.
                    let _slot = slots.acquire_owned().await;
                    (document, room, download.run().await)
                };
                fetching.spawn(fetch.in_current_span());
                if fetching.len() >= self.limits.downloads {
                    self.fetched(&mut fetching, &mut assembly).await?;
                }
            } else {
                run.add(document, room, expected);
                if run.bytes >= RUN_BYTES {
                    assembly = self.read(std::mem::take(&mut run), assembly).await?;
                }
            }
        }
        assembly = self.read(run, assembly).await?;
        while self.fetched(&mut fetching, &mut assembly).await? {}
        self.flush(&mut assembly).await
    }

    fn try_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_many_owned(self.permits(bytes)).ok()
    }

    async fn wait_for_room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Stopped> {
        self.room.clone().acquire_many_owned(self.permits(bytes)).await.map_err(|_| Stopped)
    }

    /// A document larger than all the room takes all of it.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.room_size)).unwrap_or(u32::MAX)
    }

    /// Reads and serialises a run on a blocking thread.
    async fn read(&self, run: Run, mut assembly: Assembly) -> Result<Assembly, Stopped> {
        if run.documents.is_empty() {
            return Ok(assembly);
        }
        let span = tracing::Span::current();
        let work = move || {
            let _entered = span.enter();
            for mut document in run.documents {
                let content = match document.download.take() {
                    Some(download) => download.run_blocking(),
                    None => Ok(None),
                };
                assembly.add(document, content);
            }
            assembly.hold(run.room);
            assembly
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(mut assembly) => {
                self.submit_full(&mut assembly).await?;
                Ok(assembly)
            }
            Err(panic) => Err(self.panicked(&panic)),
        }
    }

    /// Takes the next fetched content, if one is on its way.
    async fn fetched(&self, fetching: &mut Fetching, assembly: &mut Assembly) -> Result<bool, Stopped> {
        match fetching.join_next().await {
            None => Ok(false),
            Some(Ok((document, room, content))) => {
                assembly.add(document, content);
                assembly.hold(Some(room));
                self.submit_full(assembly).await?;
                Ok(true)
            }
            Some(Err(panic)) => Err(self.panicked(&panic)),
        }
    }

    fn panicked(&self, panic: &JoinError) -> Stopped {
        self.writer.fail(SyncError::Panic(panic.to_string()));
        Stopped
    }

    /// Sends what was completed on the way. The room stays with what is still being built, which is on the safe side.
    async fn submit_full(&self, assembly: &mut Assembly) -> Result<(), Stopped> {
        assembly.book();
        for request in std::mem::take(&mut assembly.full) {
            self.writer.submit(request, assembly.ticket.clone()).await?;
        }
        Ok(())
    }

    async fn flush(&self, assembly: &mut Assembly) -> Result<(), Stopped> {
        let body = std::mem::take(&mut assembly.body);
        let holds = (assembly.room.take(), assembly.ticket.clone());
        self.writer.submit(body.finish_request(), holds).await
    }
}

type Fetching = JoinSet<(Outgoing, OwnedSemaphorePermit, DownloadResult)>;

/// Bytes a document takes until it is written: itself, and its content as read, as text and in the request.
fn expected(document: &Outgoing) -> usize {
    let content = document.download.as_ref().map_or(0, LazyDownload::size);
    document.size.saturating_add(usize::try_from(content.saturating_mul(3)).unwrap_or(usize::MAX))
}

/// Documents to be read by one blocking task.
#[derive(Default)]
struct Run {
    documents: Vec<Outgoing>,
    room: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Run {
    fn add(&mut self, document: Outgoing, room: OwnedSemaphorePermit, bytes: usize) {
        self.documents.push(document);
        self.bytes = self.bytes.saturating_add(bytes);
        merge(&mut self.room, Some(room));
    }
}

fn merge(room: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (room.as_mut(), more) {
        (Some(room), Some(more)) => room.merge(more),
        (None, more) => *room = more,
        (Some(_), None) => {}
    }
}

/// Bulk requests under construction.
struct Assembly {
    limits: Limits,
    ledger: Arc<Ledger>,
    buffers: Arc<Buffers>,
    ticket: Arc<OwnedSemaphorePermit>,
    body: BulkBody,
    /// Memory the body takes.
    room: Option<OwnedSemaphorePermit>,
    /// Requests that were completed on the way.
    full: Vec<BulkRequest>,
    /// Contents fetched that are not in the books yet.
    downloaded: u64,
}

impl Assembly {
    fn new(
        limits: Limits,
        ledger: Arc<Ledger>,
        buffers: Arc<Buffers>,
        ticket: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let (body, full) = (BulkBody::new(), Vec::new());
        Self { limits, ledger, buffers, ticket, body, room: None, full, downloaded: 0 }
    }

    fn hold(&mut self, room: Option<OwnedSemaphorePermit>) {
        merge(&mut self.room, room);
    }

    /// Adds a document, or books why it is not written.
    fn add(&mut self, document: Outgoing, content: DownloadResult) {
        let content = match content {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::debug!("document {} vanished: {error}", document.id);
                self.ledger.count(|counters| counters.docs_vanished += 1);
                return self.withdraw(&document.id, document.all_or_nothing);
            }
            Err(error) => {
                self.withdraw(&document.id, document.all_or_nothing);
                let may_pass = error.retry() != Retry::Never;
                return self.bury(document.id, "download", error.kind().name(), error.to_string(), may_pass);
            }
        };
        self.downloaded += u64::from(content.is_some());
        self.serialise(document, content.as_ref());
    }

    fn serialise(&mut self, document: Outgoing, content: Option<&Content>) {
        let Outgoing { id, kind, fields, text, added, timestamp, all_or_nothing, .. } = document;
        let added = added.as_ref().map(|added| (added, id.as_str(), timestamp.as_deref()));
        let body = Body { fields: &fields, text: &text, added, content };
        self.take_buffer();
        let Ok(size) = self.body.push(kind, &id, |out| {
            body.write(out);
            Ok::<_, Infallible>(())
        });
        if let Some(limit) = self.limits.text_bytes
            && size > limit
            && !body.has_attachment()
        {
            self.body.pop();
            self.withdraw(&id, all_or_nothing);
            self.ledger.count(|counters| counters.docs_dropped_too_large += 1);
            let reason = format!(
                "{size} bytes are more than elasticsearch.bulk.max_text_document_size ({limit} bytes)"
            );
            return self.bury(id, "size", "document_too_large", reason, false);
        }
        self.cut();
    }

    /// Deletes what the index may have of a document that cannot be written.
    fn withdraw(&mut self, id: &str, all_or_nothing: bool) {
        if all_or_nothing {
            self.take_buffer();
            self.body.delete(id);
            self.cut();
        }
    }

    fn take_buffer(&mut self) {
        if self.body.is_empty() {
            self.body = BulkBody::in_buffer(self.buffers.take());
        }
    }

    /// Completes the request before the last operation if that made it too large.
    fn cut(&mut self) {
        if self.body.len() > 1
            && (self.body.len() > self.limits.request_operations
                || self.body.byte_len() > self.limits.request_bytes)
        {
            let last = self.body.split_last(self.buffers.take());
            self.full.push(std::mem::replace(&mut self.body, last).finish_request());
        }
    }

    /// Puts into the books what was fetched.
    fn book(&mut self) {
        let downloaded = std::mem::take(&mut self.downloaded);
        if downloaded > 0 {
            self.ledger.count(|counters| counters.binary_docs_downloaded += downloaded);
        }
    }

    fn bury(&self, id: String, operation: &'static str, kind: &str, reason: String, may_pass: bool) {
        let letter = DeadLetter { id, operation, status: None, kind: kind.to_owned(), reason };
        self.ledger.bury(letter, may_pass);
    }
}
