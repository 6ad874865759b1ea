//! The tantivy side of one index, owned by one thread: catches up with the store at start, applies operations in the
//! store's order, and publishes a view at each refresh.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fjall::Snapshot;
use serde::{Deserialize, Serialize};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Term};

use super::document::IndexDocument;
use super::schema::{self, SCHEMA_VERSION};
use super::{Index, IndexOp, Marker, Message, Pair};
use crate::error::{ApiError, Result};
use crate::store::Row;

/// Two measured 1.7 times one; more do not pay on small machines.
const INDEXING_THREADS: usize = 2;
/// A larger heap bought nothing.
const HEAP_BYTES: usize = 32 * 1024 * 1024;
/// An open writer costs threads and memory; an idle index gives them back, for the next one to use.
const IDLE: Duration = Duration::from_secs(5);

/// Payload of each commit: what the folder contains.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    schema_version: u64,
    /// All operations below are in.
    next_seq_no: u64,
}

pub(super) struct Engine {
    index: Arc<Index>,
    folder: PathBuf,
    tantivy: tantivy::Index,
    reader: IndexReader,
    writer: Option<IndexWriter<IndexDocument>>,
    /// Operations below this are in the writer.
    applied: u64,
    /// Operations below this are on disk.
    committed: u64,
}

/// The thread of one index.
pub(super) fn run(index: &Arc<Index>, folder: &Path, start: Marker, inbox: &Receiver<Message>) {
    let mut engine = match Engine::open(index.clone(), folder.to_owned(), &start.snapshot, start.next_seq_no)
    {
        Ok(engine) => {
            engine.publish(start.snapshot, start.next_seq_no);
            Some(engine)
        }
        Err(error) => {
            fail(index, &error);
            None
        }
    };
    let mut last_used = Instant::now();
    loop {
        let result = match inbox.recv_timeout(IDLE) {
            Ok(Message::Apply { ops, next_seq_no }) => {
                last_used = Instant::now();
                // Without an engine the operations wait in the store.
                engine.as_mut().map_or(Ok(()), |engine| engine.apply(ops, next_seq_no))
            }
            Ok(Message::Refresh(marker)) => {
                let (marker, reply) = marker.split();
                let result = match &mut engine {
                    Some(engine) => engine.refresh(marker),
                    None => {
                        Engine::open(index.clone(), folder.to_owned(), &marker.snapshot, marker.next_seq_no)
                            .map(|opened| {
                                opened.publish(marker.snapshot, marker.next_seq_no);
                                engine = Some(opened);
                            })
                    }
                };
                index.refresh_done();
                if let Some(reply) = reply {
                    // Nobody waits any more: the refresh is done all the same.
                    drop(reply.send(result.clone()));
                }
                result
            }
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => Ok(()),
        };
        if let Err(error) = result {
            fail(index, &error);
            engine = None;
        }
        if last_used.elapsed() > IDLE
            && let Some(engine) = &mut engine
            && engine.writer.is_some()
        {
            if let Err(error) = engine.close() {
                fail(index, &error);
            }
            connectors_memory::give_back();
        }
    }
    if let Some(engine) = &mut engine
        && !index.is_deleted()
        && let Err(error) = engine.close()
    {
        tracing::warn!(index = index.name(), %error, "index not saved; it catches up from the store at the next start");
    }
    // At the end of the process everything goes anyway.
    if index.is_deleted() {
        drop(engine);
        connectors_memory::give_back();
    }
}

fn fail(index: &Index, error: &ApiError) {
    if !index.is_deleted() {
        tracing::error!(index = index.name(), %error, "the index failed; it is read again from the store at the next refresh");
    }
    index.failed(error);
}

impl Engine {
    /// Opens the folder and catches up with `snapshot`; starts anew when the folder cannot be trusted.
    fn open(index: Arc<Index>, folder: PathBuf, snapshot: &Snapshot, next_seq_no: u64) -> Result<Self> {
        let (tantivy, found) = match open_folder(&folder) {
            Ok((tantivy, found)) if found <= next_seq_no => (tantivy, found),
            outcome => {
                if folder.join("meta.json").exists() {
                    let reason = outcome
                        .err()
                        .map_or_else(|| "it is ahead of the store".to_owned(), |e| e.to_string());
                    tracing::warn!(index = index.name(), reason, "rebuilding the index from the store");
                }
                (create_folder(&folder)?, 0)
            }
        };
        schema::register_tokenizers(&tantivy);
        let reader = tantivy.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let mut engine =
            Self { index, folder, tantivy, reader, writer: None, applied: found, committed: found };
        if found < next_seq_no {
            engine.catch_up(snapshot, next_seq_no)?;
        }
        engine.index.committed(engine.committed);
        Ok(engine)
    }

    fn catch_up(&mut self, snapshot: &Snapshot, next_seq_no: u64) -> Result<()> {
        let started = Instant::now();
        let first = self.applied;
        let index = self.index.clone();
        let state = index.state();
        let mut count = 0_u64;
        for row in index.rows().since(snapshot, first) {
            count += 1;
            match row? {
                Row::Live(document) if document.seq_no < next_seq_no => {
                    let mut parsed = state.mapping.reparse(&document, index.fields());
                    parsed.set_seq_no(document.seq_no);
                    let writer = self.writer()?;
                    if first > 0 {
                        writer.delete_term(parsed.id_term());
                    }
                    writer.add_document(parsed)?;
                }
                Row::Tombstone(tombstone) if first > 0 && tombstone.seq_no < next_seq_no => {
                    let term = Term::from_field_text(index.fields().id, &tombstone.id);
                    self.writer()?.delete_term(term);
                }
                _ => {}
            }
        }
        self.applied = next_seq_no;
        self.commit()?;
        if let Some(writer) = &self.writer {
            writer.garbage_collect_files().wait()?;
        }
        tracing::info!(
            index = index.name(),
            operations = count,
            ms = started.elapsed().as_millis(),
            "index caught up with the store"
        );
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter<IndexDocument>> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .num_worker_threads(INDEXING_THREADS)
                .memory_budget_per_thread(HEAP_BYTES)
                .num_merge_threads(1)
                .build();
            let writer = self.tantivy.writer_with_options(options)?;
            let mut policy = LogMergePolicy::default();
            policy.set_del_docs_ratio_before_merge(0.3);
            writer.set_merge_policy(Box::new(policy));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| ApiError::internal("no index writer"))
    }

    fn apply(&mut self, ops: Vec<IndexOp>, next_seq_no: u64) -> Result<()> {
        // Operations that a recovery has already read from the store.
        if next_seq_no <= self.applied {
            return Ok(());
        }
        let id_field = self.index.fields().id;
        let writer = self.writer()?;
        for op in ops {
            match op {
                IndexOp::Add(document) => {
                    writer.add_document(document)?;
                }
                IndexOp::Replace(id, document) => {
                    writer.delete_term(Term::from_field_text(id_field, &id));
                    writer.add_document(document)?;
                }
                IndexOp::Delete(id) => {
                    writer.delete_term(Term::from_field_text(id_field, &id));
                }
                IndexOp::Nothing => {}
            }
        }
        self.applied = next_seq_no;
        Ok(())
    }

    fn refresh(&mut self, marker: Marker) -> Result<()> {
        if self.committed < self.applied {
            self.commit()?;
        }
        self.publish(marker.snapshot, marker.next_seq_no);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let payload = Payload { schema_version: SCHEMA_VERSION, next_seq_no: self.applied };
        let payload = serde_json::to_string(&payload).map_err(ApiError::internal)?;
        let mut commit = self.writer()?.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.reader.reload()?;
        self.committed = self.applied;
        self.index.committed(self.committed);
        Ok(())
    }

    fn publish(&self, snapshot: Snapshot, next_seq_no: u64) {
        let documents = Arc::new(self.index.rows().reader(snapshot));
        self.index.publish(Pair { searcher: self.reader.searcher(), documents, next_seq_no });
    }

    /// Saves what is not on disk and gives the writer's threads and memory back.
    fn close(&mut self) -> Result<()> {
        if self.committed < self.applied {
            self.commit()?;
        }
        if let Some(writer) = self.writer.take() {
            writer.wait_merging_threads()?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.index.is_deleted() {
            // The folder goes; merges that still run would write into it.
            self.writer = None;
            tracing::debug!(folder = %self.folder.display(), "index closed");
        }
    }
}

/// The tantivy index in the folder, and the sequence number up to which it is complete.
fn open_folder(folder: &Path) -> Result<(tantivy::Index, u64)> {
    let tantivy = tantivy::Index::open_in_dir(folder)?;
    if tantivy.schema() != schema::schema().0 {
        return Err(ApiError::internal("its schema is of another version"));
    }
    let payload = tantivy.load_metas()?.payload;
    let Some(payload) = payload else {
        // Created, and never committed to.
        return if tantivy.searchable_segment_ids()?.is_empty() {
            Ok((tantivy, 0))
        } else {
            Err(ApiError::internal("its commit has no payload"))
        };
    };
    let payload: Payload = serde_json::from_str(&payload).map_err(ApiError::internal)?;
    if payload.schema_version != SCHEMA_VERSION {
        return Err(ApiError::internal("its documents are of another version"));
    }
    Ok((tantivy, payload.next_seq_no))
}

fn create_folder(folder: &Path) -> Result<tantivy::Index> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(ApiError::internal(error)),
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(ApiError::internal)?;
    Ok(tantivy::Index::create_in_dir(folder, schema::schema().0)?)
}
