//! One Elasticsearch index: its tantivy index, its rows in the store, its published view.

mod document;
mod engine;
pub mod schema;
mod tokens;
pub mod view;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::http::StatusCode;
use fjall::Snapshot;
use serde_json::json;
use tantivy::Searcher;
use tokio::sync::{oneshot, watch};

pub use document::{FieldValue, IndexDocument, Named};
use schema::Fields;
pub use tokens::{MARK as TOKENS_MARK, encode as encode_tokens};
pub use view::{DocumentReader, IndexView, StoredDocument};

use crate::analysis::Analyzers;
use crate::cluster::IndexMeta;
use crate::error::{ApiError, Result};
use crate::mapping::Mapping;
use crate::store::{Rows, SnapshotReader, Store, StoreWriter};

/// One operation for the index's thread.
#[derive(Debug)]
pub enum IndexOp {
    /// A document whose `_id` is not in the index.
    Add(IndexDocument),
    /// A document that takes the place of another.
    Replace(String, IndexDocument),
    /// A document goes.
    Delete(String),
    /// A sequence number was used, and nothing changed.
    Nothing,
}

/// Work for the index's thread, in the store's order.
pub enum Message {
    /// Operations.
    Apply {
        /// In order.
        ops: Vec<IndexOp>,
        /// Sequence number after the last one.
        next_seq_no: u64,
    },
    /// Publish everything before.
    Refresh(Marker),
    /// End of the thread.
    Stop,
}

impl Message {
    /// A refresh; `snapshot` was taken between two commits of the store thread.
    pub fn refresh(index: &Index, snapshot: Snapshot, reply: Option<oneshot::Sender<Result<()>>>) -> Self {
        index.refreshing.fetch_add(1, Ordering::AcqRel);
        Self::Refresh(Marker { snapshot, next_seq_no: index.next_seq_no(), reply })
    }
}

/// A point between two commits of the store.
pub struct Marker {
    snapshot: Snapshot,
    next_seq_no: u64,
    reply: Option<oneshot::Sender<Result<()>>>,
}

impl Marker {
    fn split(mut self) -> (Self, Option<oneshot::Sender<Result<()>>>) {
        let reply = self.reply.take();
        (self, reply)
    }
}

/// What searches see: a searcher and the sources that belong to it.
#[derive(Clone)]
struct Pair {
    searcher: Searcher,
    documents: Arc<SnapshotReader>,
    next_seq_no: u64,
}

#[derive(Clone)]
enum Published {
    /// Catching up with the store after a start.
    Opening,
    Ready(Box<Pair>),
    Failed(ApiError),
}

/// What can change in an index without reopening it; replaced as a whole.
#[derive(Debug, Clone)]
pub struct IndexState {
    /// Settings and aliases.
    pub meta: Arc<IndexMeta>,
    /// Mapping.
    pub mapping: Arc<Mapping>,
    /// Analyzers of the settings.
    pub analyzers: Arc<Analyzers>,
}

/// Counts since the node started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Documents written.
    pub indexed: AtomicU64,
    /// Documents deleted.
    pub deleted: AtomicU64,
    /// Realtime reads.
    pub gets: AtomicU64,
    /// Refreshes.
    pub refreshes: AtomicU64,
}

/// Size and counts, for `_stats` and `_cat`.
#[derive(Debug, Clone, Copy, Default)]
pub struct IndexStats {
    /// Searchable documents.
    pub documents: u64,
    /// Replaced and deleted documents not merged away yet.
    pub deleted_documents: u64,
    /// Bytes on disk, store and search index.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Documents written since the start.
    pub indexed: u64,
    /// Documents deleted since the start.
    pub deletes: u64,
    /// Realtime reads since the start.
    pub gets: u64,
    /// Refreshes since the start.
    pub refreshes: u64,
}

/// One index.
pub struct Index {
    name: Arc<str>,
    uuid: Arc<str>,
    folder: PathBuf,
    rows: Rows,
    fields: Arc<Fields>,
    state: RwLock<Arc<IndexState>>,
    changing: Mutex<()>,
    next_seq_no: AtomicU64,
    committed_seq_no: AtomicU64,
    refreshing: AtomicU64,
    deleted: AtomicBool,
    published: watch::Sender<Published>,
    inbox: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    store: StoreWriter,
    /// Counts since the node started.
    pub counters: Counters,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Index")
            .field("name", &self.name)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the rows of an index and starts its thread, which catches up with the store. `indexes` is the folder of all
    /// search indexes.
    ///
    /// # Errors
    /// 500 when the disk fails or the system gives no thread.
    pub fn open(
        name: &str,
        state: IndexState,
        store: &Store,
        writer: &StoreWriter,
        indexes: &std::path::Path,
    ) -> Result<Arc<Self>> {
        let uuid: Arc<str> = Arc::from(state.meta.uuid.as_str());
        let rows = store.rows(&uuid)?;
        let next_seq_no = rows.next_seq_no()?;
        let folder = indexes.join(&*uuid);
        let (inbox, messages) = channel();
        let index = Arc::new(Self {
            name: name.into(),
            uuid,
            folder: folder.clone(),
            rows,
            fields: Arc::new(schema::schema().1),
            state: RwLock::new(Arc::new(state)),
            changing: Mutex::new(()),
            next_seq_no: AtomicU64::new(next_seq_no),
            committed_seq_no: AtomicU64::new(0),
            refreshing: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
            published: watch::Sender::new(Published::Opening),
            inbox,
            thread: Mutex::new(None),
            store: writer.clone(),
            counters: Counters::default(),
        });
        // Nothing can be written before this function returns, so both belong together.
        let start = Marker { snapshot: store.snapshot(), next_seq_no, reply: None };
        let own = index.clone();
        let thread = std::thread::Builder::new()
            .name(format!("index {name}"))
            .spawn(move || engine::run(&own, &folder, start, &messages))
            .map_err(ApiError::internal)?;
        *lock(&index.thread) = Some(thread);
        writer.register(index.clone());
        Ok(index)
    }

    /// Index name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index UUID; names its rows and its folder.
    pub fn uuid(&self) -> &Arc<str> {
        &self.uuid
    }

    /// Its rows in the store.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Handles into the schema.
    pub fn fields(&self) -> &Arc<Fields> {
        &self.fields
    }

    /// Settings, aliases, mapping and analyzers as they are now.
    pub fn state(&self) -> Arc<IndexState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The mapping as it is now.
    pub fn mapping(&self) -> Arc<Mapping> {
        self.state().mapping.clone()
    }

    /// Settings and aliases as they are now.
    pub fn settings(&self) -> Arc<IndexMeta> {
        self.state().meta.clone()
    }

    /// Held while the state is computed anew, saved and replaced.
    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    pub(crate) fn replace_state(&self, state: IndexState) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// What searches see now. Waits while the index catches up with the store after a start.
    ///
    /// # Errors
    /// 503 when the index cannot be read.
    pub async fn view(&self) -> Result<IndexView> {
        let mut published = self.published.subscribe();
        let current = published
            .wait_for(|published| !matches!(published, Published::Opening))
            .await
            .map_err(ApiError::internal)?
            .clone();
        match current {
            Published::Ready(pair) => {
                let state = self.state();
                Ok(IndexView {
                    name: self.name.clone(),
                    searcher: pair.searcher,
                    fields: self.fields.clone(),
                    table: state.mapping.table().clone(),
                    analyzers: state.analyzers.clone(),
                    documents: pair.documents,
                })
            }
            Published::Failed(error) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_shard_available_action_exception",
                format!("the index [{}] is not available: {}", self.name, error.reason),
            )
            .with("index", json!(self.name()))),
            Published::Opening => Err(ApiError::internal("the index is not open")),
        }
    }

    /// Makes all writes so far visible to searches.
    ///
    /// # Errors
    /// 500 when the index fails.
    pub async fn refresh(self: &Arc<Self>) -> Result<()> {
        self.store.refresh(self.clone()).await
    }

    /// Waits until a scheduled refresh has made `seq_no` visible.
    ///
    /// # Errors
    /// 503 when the index fails meanwhile, 404 when it is deleted.
    pub async fn wait_for_refresh(&self, seq_no: u64) -> Result<()> {
        let mut published = self.published.subscribe();
        let seen = published
            .wait_for(|published| match published {
                Published::Ready(pair) => pair.next_seq_no > seq_no || self.is_deleted(),
                Published::Failed(_) => true,
                Published::Opening => false,
            })
            .await
            .map_err(ApiError::internal)?
            .clone();
        match seen {
            Published::Failed(error) => Err(error),
            _ if self.is_deleted() => Err(ApiError::index_not_found(&self.name)),
            _ => Ok(()),
        }
    }

    /// Size and counts.
    ///
    /// # Errors
    /// As [`Index::view`].
    pub async fn stats(&self) -> Result<IndexStats> {
        let view = self.view().await?;
        let segments = view.searcher.segment_readers();
        let search_bytes = view.searcher.space_usage().map_err(ApiError::internal)?.total().get_bytes();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(IndexStats {
            documents: view.searcher.num_docs(),
            deleted_documents: segments.iter().map(|segment| u64::from(segment.num_deleted_docs())).sum(),
            bytes: search_bytes + self.rows.disk_bytes(),
            segments: segments.len() as u64,
            indexed: count(&self.counters.indexed),
            deletes: count(&self.counters.deleted),
            gets: count(&self.counters.gets),
            refreshes: count(&self.counters.refreshes),
        })
    }

    /// `index.refresh_interval`; `None` when refreshes are off.
    pub fn refresh_interval(&self) -> Option<Duration> {
        self.state().meta.refresh_interval
    }

    pub(crate) fn next_seq_no(&self) -> u64 {
        self.next_seq_no.load(Ordering::Acquire)
    }

    pub(crate) fn set_next_seq_no(&self, next: u64) {
        self.next_seq_no.store(next, Ordering::Release);
    }

    /// The highest sequence number given, -1 before the first.
    pub fn max_seq_no(&self) -> i64 {
        i64::try_from(self.next_seq_no()).unwrap_or(i64::MAX) - 1
    }

    /// Operations below this are in the search index on disk.
    pub(crate) fn committed_seq_no(&self) -> u64 {
        self.committed_seq_no.load(Ordering::Acquire)
    }

    fn committed(&self, next: u64) {
        self.committed_seq_no.store(next, Ordering::Release);
    }

    pub(crate) fn is_refreshing(&self) -> bool {
        self.refreshing.load(Ordering::Acquire) > 0
    }

    fn refresh_done(&self) {
        self.refreshing.fetch_sub(1, Ordering::AcqRel);
        self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    /// Searches see everything that was written.
    pub(crate) fn is_current(&self) -> bool {
        !self.is_refreshing()
            && matches!(&*self.published.borrow(), Published::Ready(pair) if pair.next_seq_no == self.next_seq_no())
    }

    fn publish(&self, pair: Pair) {
        self.published.send_replace(Published::Ready(Box::new(pair)));
    }

    fn failed(&self, error: &ApiError) {
        self.published.send_replace(Published::Failed(error.clone()));
    }

    pub(crate) fn send(&self, message: Message) {
        // The thread ends only when the index is deleted or the node stops; then nobody needs it.
        drop(self.inbox.send(message));
    }

    /// Whether the index was deleted.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Ends the index's thread and waits for it; blocks. Uncommitted operations are saved unless the index was deleted.
    pub(crate) fn stop(&self) {
        self.send(Message::Stop);
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!(index = self.name(), "the index's thread panicked");
        }
    }

    /// Marks the index as deleted: writes are refused from now on, waiters give up.
    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.published.send_modify(|_| {});
        self.store.forget(self.uuid.clone());
    }

    /// The folder of the search index.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
