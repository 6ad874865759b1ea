//! The one thread that writes documents: it gives sequence numbers and versions, checks conditions, syncs, and only then
//! answers and hands operations on to the index's own thread. It also decides when indexes are refreshed, because a
//! refresh is a point between two of its commits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use serde_json::json;
use tokio::sync::oneshot;

use super::Store;
use super::rows::{IdRow, Tombstone};
use crate::error::{ApiError, Result};
use crate::index::{Index, IndexDocument, IndexOp, Message};

/// Requests committed together.
const REQUESTS_PER_COMMIT: usize = 8;
/// Bytes after which no further request joins a commit.
const BYTES_PER_COMMIT: usize = 16 * 1024 * 1024;
/// How long a deleted `_id` keeps its version (`index.gc_deletes`).
const TOMBSTONE_AGE_MS: u64 = 60_000;
/// How often idle views get a new snapshot (an old one keeps fjall from dropping replaced rows of all indexes) and
/// tombstones are dropped.
const HOUSEKEEPING: Duration = Duration::from_secs(20);
/// A refresh whose predecessor still runs is tried again after this.
const BUSY: Duration = Duration::from_millis(50);

/// What an operation demands of the current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// `op_type=create`: there is no document.
    Absent,
    /// `if_seq_no` and `if_primary_term`.
    At {
        /// Sequence number of the current document.
        seq_no: u64,
        /// Always 1 on this node.
        primary_term: u64,
    },
    /// `version_type=external` or `external_gte`: the caller's version is newer.
    External {
        /// The version to store.
        version: u64,
        /// Equal versions are allowed.
        or_equal: bool,
    },
}

/// What an operation writes.
#[derive(Debug)]
pub enum Change {
    /// A document, as [`super::live_row`] and as the index takes it.
    Put {
        /// Row for `src`.
        row: Vec<u8>,
        /// Document for the index; its sequence number is set here.
        document: IndexDocument,
    },
    /// A delete.
    Delete,
}

/// One operation on one document.
#[derive(Debug)]
pub struct WriteOp {
    /// Where.
    pub index: Arc<Index>,
    /// `_id`.
    pub id: String,
    /// What.
    pub change: Change,
    /// If.
    pub condition: Condition,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// `_seq_no`.
    pub seq_no: u64,
    /// `_version`.
    pub version: u64,
    /// There was a document before.
    pub existed: bool,
}

/// Operations that are committed together, in order.
#[derive(Debug)]
pub struct WriteRequest {
    /// The operations.
    pub ops: Vec<WriteOp>,
    /// Gets one result for each operation, after the sync.
    pub reply: oneshot::Sender<Vec<Result<Written>>>,
}

enum Command {
    Write(WriteRequest),
    Refresh(Arc<Index>, oneshot::Sender<Result<()>>),
    Register(Arc<Index>),
    Schedule(Arc<Index>),
    Forget(Arc<str>),
    Stop,
}

/// Handle of the store thread. Cheap to clone; the thread ends with [`StoreWriter::stop`].
#[derive(Debug, Clone)]
pub struct StoreWriter {
    commands: Sender<Command>,
}

fn stopped() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "node_closed_exception", "node closed")
}

impl StoreWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// 500 when the system gives no thread.
    pub fn start(store: Store) -> Result<(Self, JoinHandle<()>)> {
        let (commands, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || Writer::new(store).run(&inbox))
            .map_err(ApiError::internal)?;
        Ok((Self { commands }, thread))
    }

    /// Writes, and waits for the sync.
    ///
    /// # Errors
    /// 503 while the node stops. Errors of single operations are in the results.
    pub async fn write(&self, ops: Vec<WriteOp>) -> Result<Vec<Result<Written>>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Write(WriteRequest { ops, reply })).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Makes all that was written so far visible to searches, and waits for it.
    ///
    /// # Errors
    /// 500 when the index fails, 503 while the node stops.
    pub async fn refresh(&self, index: Arc<Index>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Refresh(index, reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Includes an index in housekeeping.
    pub fn register(&self, index: Arc<Index>) {
        // A stopped thread needs no registration.
        drop(self.commands.send(Command::Register(index)));
    }

    /// Refreshes an index at the next moment if it changed: its refreshes may have been off until now.
    pub fn schedule(&self, index: Arc<Index>) {
        drop(self.commands.send(Command::Schedule(index)));
    }

    /// Ends housekeeping of a deleted index.
    pub fn forget(&self, uuid: Arc<str>) {
        drop(self.commands.send(Command::Forget(uuid)));
    }

    /// Ends the thread after what was sent before.
    pub fn stop(&self) {
        drop(self.commands.send(Command::Stop));
    }
}

/// State of an index in this thread.
struct Kept {
    index: Arc<Index>,
    /// When the next refresh is due; `None` while nothing changed or refreshes are off.
    due: Option<Instant>,
    tombstones: VecDeque<Tombstone>,
}

struct Writer {
    store: Store,
    indexes: HashMap<Arc<str>, Kept>,
    housekeeping: Instant,
}

/// What one commit does to one index.
struct Pending {
    index: Arc<Index>,
    next_seq_no: u64,
    ids: HashMap<String, Staged>,
    ops: Vec<IndexOp>,
}

/// What one commit does to one `_id`; operations that follow in the same commit replace it.
struct Staged {
    before: Option<IdRow>,
    now: IdRow,
    /// Row of the document; `None` for a delete.
    row: Option<Vec<u8>>,
}

impl Writer {
    fn new(store: Store) -> Self {
        Self { store, indexes: HashMap::new(), housekeeping: Instant::now() + HOUSEKEEPING }
    }

    fn run(mut self, inbox: &Receiver<Command>) {
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => Ok(command),
                None => inbox.recv_timeout(self.wait()),
            };
            match command {
                Ok(Command::Write(request)) => {
                    let mut requests = vec![request];
                    let mut bytes = size(&requests[0]);
                    while requests.len() < REQUESTS_PER_COMMIT && bytes < BYTES_PER_COMMIT {
                        match inbox.try_recv() {
                            Ok(Command::Write(request)) => {
                                bytes += size(&request);
                                requests.push(request);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(requests);
                }
                Ok(Command::Refresh(index, reply)) => {
                    if let Some(kept) = self.indexes.get_mut(index.uuid()) {
                        kept.due = None;
                    }
                    index.send(Message::refresh(&index, self.store.snapshot(), Some(reply)));
                }
                Ok(Command::Register(index)) => self.register(index),
                Ok(Command::Schedule(index)) => {
                    if let Some(kept) = self.indexes.get_mut(index.uuid()).filter(|_| !index.is_current()) {
                        kept.due = index.refresh_interval().map(|_| Instant::now());
                    }
                }
                Ok(Command::Forget(uuid)) => {
                    self.indexes.remove(&uuid);
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.tick();
        }
    }

    fn register(&mut self, index: Arc<Index>) {
        let tombstones = index.rows().tombstones().unwrap_or_else(|error| {
            tracing::warn!(index = index.name(), %error, "cannot read tombstones");
            Vec::new()
        });
        let uuid = index.uuid().clone();
        self.indexes.insert(uuid, Kept { index, due: None, tombstones: tombstones.into() });
    }

    fn wait(&self) -> Duration {
        let due = self.indexes.values().filter_map(|kept| kept.due).min();
        let until = due.map_or(self.housekeeping, |due| due.min(self.housekeeping));
        until.saturating_duration_since(Instant::now())
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for kept in self.indexes.values_mut() {
            if kept.due.is_some_and(|due| due <= now) {
                if kept.index.is_refreshing() {
                    kept.due = Some(now + BUSY);
                } else {
                    kept.due = None;
                    kept.index.send(Message::refresh(&kept.index, self.store.snapshot(), None));
                }
            }
        }
        if self.housekeeping <= now {
            self.housekeeping = now + HOUSEKEEPING;
            for kept in self.indexes.values_mut() {
                if kept.due.is_none() && kept.index.is_current() {
                    kept.index.send(Message::refresh(&kept.index, self.store.snapshot(), None));
                }
                if let Err(error) = drop_tombstones(&self.store, kept) {
                    tracing::warn!(index = kept.index.name(), %error, "cannot drop tombstones");
                }
            }
        }
    }

    fn commit(&mut self, requests: Vec<WriteRequest>) {
        let mut pending: Vec<Pending> = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let results: Vec<Result<Written>> =
                request.ops.into_iter().map(|op| stage(&mut pending, op)).collect();
            answers.push((request.reply, results));
        }
        let committed = self.write(&mut pending);
        if committed.is_ok() {
            for pending in pending {
                self.hand_on(pending);
            }
        }
        for (reply, results) in answers {
            let results = match &committed {
                Ok(()) => results,
                Err(error) => results.into_iter().map(|result| result.and(Err(error.clone()))).collect(),
            };
            // A client that went away does not want its answer.
            drop(reply.send(results));
        }
    }

    fn write(&self, pending: &mut [Pending]) -> Result<()> {
        let mut batch = self.store.batch();
        for pending in pending {
            let rows = pending.index.rows();
            for (id, staged) in &mut pending.ids {
                if let Some(before) = staged.before {
                    rows.remove_target(&mut batch, before);
                }
                match &mut staged.row {
                    Some(row) => rows.put_live(&mut batch, staged.now.seq_no, staged.now.version, row),
                    None => rows.put_tombstone(&mut batch, &tombstone(id, staged.now)),
                }
                rows.put_id(&mut batch, id, staged.now);
            }
            if !pending.ids.is_empty() {
                rows.put_next_seq_no(&mut batch, pending.next_seq_no);
            }
        }
        batch.commit().map_err(|error| {
            tracing::error!(%error, "the store cannot write");
            error.into()
        })
    }

    fn hand_on(&mut self, pending: Pending) {
        if pending.ops.is_empty() {
            return;
        }
        pending.index.set_next_seq_no(pending.next_seq_no);
        if let Some(kept) = self.indexes.get_mut(pending.index.uuid()) {
            for (id, staged) in &pending.ids {
                if staged.now.deleted {
                    kept.tombstones.push_back(tombstone(id, staged.now));
                }
            }
            if kept.due.is_none() {
                kept.due = pending.index.refresh_interval().map(|interval| Instant::now() + interval);
            }
        }
        pending.index.send(Message::Apply { ops: pending.ops, next_seq_no: pending.next_seq_no });
    }
}

fn size(request: &WriteRequest) -> usize {
    let bytes = |op: &WriteOp| match &op.change {
        Change::Put { row, .. } => row.len(),
        Change::Delete => op.id.len(),
    };
    request.ops.iter().map(bytes).sum()
}

fn tombstone(id: &str, row: IdRow) -> Tombstone {
    Tombstone { id: id.to_owned(), seq_no: row.seq_no, deleted_ms: now_ms() }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn stage(all: &mut Vec<Pending>, op: WriteOp) -> Result<Written> {
    if op.index.is_deleted() {
        return Err(ApiError::index_not_found(op.index.name()));
    }
    let at = match all.iter().position(|pending| Arc::ptr_eq(&pending.index, &op.index)) {
        Some(at) => at,
        None => {
            let next_seq_no = op.index.next_seq_no();
            let index = op.index.clone();
            all.push(Pending { index, next_seq_no, ids: HashMap::new(), ops: Vec::new() });
            all.len() - 1
        }
    };
    let pending = &mut all[at];
    let staged = pending.ids.get(&op.id);
    let before = match staged {
        Some(staged) => Some(staged.now),
        None => op.index.rows().id(&op.id)?,
    };
    let stored_before = staged.map_or(before, |staged| staged.before);
    let live = before.filter(|row| !row.deleted);
    check(&op, before, live)?;
    let version = match op.condition {
        Condition::External { version, .. } => version,
        _ => before.map_or(1, |row| row.version + 1),
    };
    let now = IdRow { seq_no: pending.next_seq_no, version, deleted: matches!(op.change, Change::Delete) };
    pending.next_seq_no += 1;
    let row = match op.change {
        Change::Put { row, mut document } => {
            document.set_seq_no(now.seq_no);
            pending.ops.push(if live.is_some() {
                IndexOp::Replace(op.id.clone(), document)
            } else {
                IndexOp::Add(document)
            });
            Some(row)
        }
        Change::Delete => {
            if live.is_some() {
                pending.ops.push(IndexOp::Delete(op.id.clone()));
            } else {
                pending.ops.push(IndexOp::Nothing);
            }
            None
        }
    };
    pending.ids.insert(op.id, Staged { before: stored_before, now, row });
    Ok(Written { seq_no: now.seq_no, version, existed: live.is_some() })
}

fn check(op: &WriteOp, before: Option<IdRow>, live: Option<IdRow>) -> Result<()> {
    let reason = match (op.condition, live) {
        (Condition::Any, _) | (Condition::Absent, None) => return Ok(()),
        (Condition::Absent, Some(row)) => {
            format!("document already exists (current version [{}])", row.version)
        }
        (Condition::At { seq_no, primary_term }, Some(row)) => {
            if row.seq_no == seq_no && primary_term == 1 {
                return Ok(());
            }
            format!(
                "required seqNo [{seq_no}], primary term [{primary_term}]. current document has seqNo [{}] and \
                 primary term [1]",
                row.seq_no
            )
        }
        (Condition::At { seq_no, primary_term }, None) => {
            format!("required seqNo [{seq_no}], primary term [{primary_term}]. but no document was found")
        }
        (Condition::External { version, or_equal }, _) => match before {
            Some(row) if row.version > version && or_equal => {
                format!("current version [{}] is higher than the one provided [{version}]", row.version)
            }
            Some(row) if row.version >= version && !or_equal => format!(
                "current version [{}] is higher or equal to the one provided [{version}]",
                row.version
            ),
            _ => return Ok(()),
        },
    };
    Err(conflict(&op.index, &op.id, &reason))
}

/// 409 as Elasticsearch words it.
pub fn conflict(index: &Index, id: &str, reason: &str) -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "version_conflict_engine_exception",
        format!("[{id}]: version conflict, {reason}"),
    )
    .with("index_uuid", json!(&**index.uuid()))
    .with("shard", json!("0"))
    .with("index", json!(index.name()))
}

/// Drops tombstones that are old enough and that the index has passed on disk.
fn drop_tombstones(store: &Store, kept: &mut Kept) -> Result<()> {
    let rows = kept.index.rows();
    let oldest = now_ms().saturating_sub(TOMBSTONE_AGE_MS);
    let committed = kept.index.committed_seq_no();
    let mut batch = store.db.batch();
    while let Some(first) = kept.tombstones.front() {
        if first.deleted_ms > oldest || first.seq_no >= committed {
            break;
        }
        // A later operation on the same `_id` has removed the row already.
        if let Some(row) = rows.id(&first.id)?.filter(|row| row.seq_no == first.seq_no) {
            rows.remove_target(&mut batch, row);
            rows.remove_id(&mut batch, &first.id);
        }
        kept.tombstones.pop_front();
    }
    Ok(batch.commit()?)
}
