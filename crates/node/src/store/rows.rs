//! How documents are laid out in an index's two keyspaces.
//!
//! `ids`: `_id` → sequence number, version, deleted or not.
//! `src`: `0` + sequence number → document; `1` + sequence number → tombstone; `2` → next sequence number. A row is
//! removed when a later operation on its `_id` replaces it, so a scan from a sequence number finds each `_id` at most once.

use bytes::{Buf, BufMut, Bytes};
use fjall::{Database, Keyspace, OwnedWriteBatch, Readable, Snapshot};

use crate::error::{ApiError, Result};
use crate::index::{DocumentReader, StoredDocument};

const LIVE: u8 = 0;
const TOMBSTONE: u8 = 1;
const COUNTER: [u8; 1] = [2];

/// Rows of one index.
#[derive(Clone)]
pub struct Rows {
    db: Database,
    ids: Keyspace,
    src: Keyspace,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// What `ids` says of one `_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRow {
    /// Sequence number of the last operation.
    pub seq_no: u64,
    /// Version it made.
    pub version: u64,
    /// The operation was a delete.
    pub deleted: bool,
}

/// A deleted `_id`, kept until searches have forgotten it and its version may start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// `_id`.
    pub id: String,
    /// Sequence number of the delete.
    pub seq_no: u64,
    /// When, in epoch milliseconds.
    pub deleted_ms: u64,
}

/// One operation as it is found again after a crash.
#[derive(Debug)]
pub enum Row {
    /// A document.
    Live(StoredDocument),
    /// A delete.
    Tombstone(Tombstone),
}

/// The row of a document, built in the request's own task. The version in front is filled in by the store thread.
pub fn live_row(id: &str, routing: Option<&str>, source: &[u8]) -> Vec<u8> {
    let routing = routing.unwrap_or_default();
    let mut row = Vec::with_capacity(12 + id.len() + routing.len() + source.len());
    row.put_u64(0);
    put_text(&mut row, id);
    put_text(&mut row, routing);
    row.extend_from_slice(source);
    row
}

fn put_text(row: &mut Vec<u8>, text: &str) {
    // Ids have at most 512 bytes; routing is checked where it is read.
    row.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    row.extend_from_slice(text.as_bytes());
}

fn take_text(row: &mut Bytes) -> Option<String> {
    if row.len() < 2 {
        return None;
    }
    let length = usize::from(row.get_u16());
    if row.len() < length {
        return None;
    }
    String::from_utf8(row.split_to(length).to_vec()).ok()
}

fn key(kind: u8, seq_no: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&seq_no.to_be_bytes());
    key
}

fn damaged(what: &str) -> ApiError {
    ApiError::internal(format!("the store has a damaged row ({what})"))
}

fn parse_live(seq_no: u64, mut row: Bytes) -> Result<StoredDocument> {
    if row.len() < 8 {
        return Err(damaged("document"));
    }
    let version = row.get_u64();
    let id = take_text(&mut row).ok_or_else(|| damaged("document"))?;
    let routing = take_text(&mut row).ok_or_else(|| damaged("document"))?;
    let routing = (!routing.is_empty()).then_some(routing);
    Ok(StoredDocument { id, seq_no, version, routing, source: row })
}

fn parse_tombstone(seq_no: u64, mut row: Bytes) -> Result<Tombstone> {
    if row.len() < 8 {
        return Err(damaged("tombstone"));
    }
    let deleted_ms = row.get_u64();
    let id = take_text(&mut row).ok_or_else(|| damaged("tombstone"))?;
    Ok(Tombstone { id, seq_no, deleted_ms })
}

fn parse_id(row: &[u8]) -> Result<IdRow> {
    let mut row = row;
    if row.len() != 17 {
        return Err(damaged("id"));
    }
    Ok(IdRow { seq_no: row.get_u64(), version: row.get_u64(), deleted: row.get_u8() == 1 })
}

fn seq_no_of(key: &[u8]) -> Result<u64> {
    let bytes: [u8; 8] =
        key.get(1..).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("key"))?;
    Ok(u64::from_be_bytes(bytes))
}

impl Rows {
    pub(super) fn new(db: Database, ids: Keyspace, src: Keyspace) -> Self {
        Self { db, ids, src }
    }

    pub(super) fn keyspaces(&self) -> (Keyspace, Keyspace) {
        (self.ids.clone(), self.src.clone())
    }

    /// What is known of an `_id`, deleted ones included.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn id(&self, id: &str) -> Result<Option<IdRow>> {
        self.ids.get(id.as_bytes())?.map(|row| parse_id(&row)).transpose()
    }

    /// The current document of an `_id`.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn get(&self, id: &str) -> Result<Option<StoredDocument>> {
        let Some(row) = self.id(id)?.filter(|row| !row.deleted) else { return Ok(None) };
        if let Some(found) = self.src.get(key(LIVE, row.seq_no))? {
            return parse_live(row.seq_no, super::shared(found)).map(Some);
        }
        // Reads outside of a snapshot see a commit row by row as it is applied: this one is replacing the document. A snapshot
        // has either all of a commit or nothing; one for each read would cost more.
        let snapshot = self.db.snapshot();
        let row = snapshot.get(&self.ids, id.as_bytes())?.map(|row| parse_id(&row)).transpose()?;
        let Some(row) = row.filter(|row| !row.deleted) else { return Ok(None) };
        let found =
            snapshot.get(&self.src, key(LIVE, row.seq_no))?.ok_or_else(|| damaged("document missing"))?;
        parse_live(row.seq_no, super::shared(found)).map(Some)
    }

    /// The sequence number the next operation gets.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn next_seq_no(&self) -> Result<u64> {
        match self.src.get(COUNTER)? {
            Some(row) => Ok(u64::from_be_bytes(row[..].try_into().map_err(|_| damaged("counter"))?)),
            None => Ok(0),
        }
    }

    /// All tombstones.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>> {
        self.src
            .prefix([TOMBSTONE])
            .map(|guard| {
                let (key, row) = guard.into_inner()?;
                parse_tombstone(seq_no_of(&key)?, super::shared(row))
            })
            .collect()
    }

    /// Operations from `first` on: all tombstones, then all documents, each in order of sequence number. An `_id` that
    /// was deleted and written again has no tombstone any more, so this order is safe to apply.
    pub fn since<'a>(
        &self,
        snapshot: &'a Snapshot,
        first: u64,
    ) -> impl Iterator<Item = Result<Row>> + use<'a> {
        let tombstones = snapshot.range(&self.src, key(TOMBSTONE, first)..=key(TOMBSTONE, u64::MAX));
        let live = snapshot.range(&self.src, key(LIVE, first)..=key(LIVE, u64::MAX));
        tombstones
            .map(|guard| {
                let (key, row) = guard.into_inner()?;
                parse_tombstone(seq_no_of(&key)?, super::shared(row)).map(Row::Tombstone)
            })
            .chain(live.map(|guard| {
                let (key, row) = guard.into_inner()?;
                parse_live(seq_no_of(&key)?, super::shared(row)).map(Row::Live)
            }))
    }

    pub(super) fn put_id(&self, batch: &mut OwnedWriteBatch, id: &str, row: IdRow) {
        let mut value = [0; 17];
        value[..8].copy_from_slice(&row.seq_no.to_be_bytes());
        value[8..16].copy_from_slice(&row.version.to_be_bytes());
        value[16] = u8::from(row.deleted);
        batch.insert(&self.ids, id, value);
    }

    pub(super) fn remove_id(&self, batch: &mut OwnedWriteBatch, id: &str) {
        batch.remove(&self.ids, id);
    }

    /// `row` is of [`live_row`].
    pub(super) fn put_live(&self, batch: &mut OwnedWriteBatch, seq_no: u64, version: u64, row: &mut [u8]) {
        row[..8].copy_from_slice(&version.to_be_bytes());
        batch.insert(&self.src, key(LIVE, seq_no), &*row);
    }

    pub(super) fn put_tombstone(&self, batch: &mut OwnedWriteBatch, tombstone: &Tombstone) {
        let mut row = Vec::with_capacity(10 + tombstone.id.len());
        row.put_u64(tombstone.deleted_ms);
        put_text(&mut row, &tombstone.id);
        batch.insert(&self.src, key(TOMBSTONE, tombstone.seq_no), row);
    }

    /// Removes the `src` row an `ids` row points at.
    pub(super) fn remove_target(&self, batch: &mut OwnedWriteBatch, row: IdRow) {
        batch.remove(&self.src, key(if row.deleted { TOMBSTONE } else { LIVE }, row.seq_no));
    }

    pub(super) fn put_next_seq_no(&self, batch: &mut OwnedWriteBatch, next: u64) {
        batch.insert(&self.src, COUNTER, next.to_be_bytes());
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.ids.disk_space() + self.src.disk_space()
    }

    /// Reads documents as they were in `snapshot`.
    pub fn reader(&self, snapshot: Snapshot) -> SnapshotReader {
        SnapshotReader { src: self.src.clone(), snapshot }
    }
}

/// Documents of one published view.
pub struct SnapshotReader {
    src: Keyspace,
    snapshot: Snapshot,
}

impl std::fmt::Debug for SnapshotReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SnapshotReader").finish_non_exhaustive()
    }
}

impl DocumentReader for SnapshotReader {
    fn read(&self, seq_no: u64) -> Result<StoredDocument> {
        let row = self.snapshot.get(&self.src, key(LIVE, seq_no))?;
        parse_live(seq_no, super::shared(row.ok_or_else(|| damaged("document missing in its view"))?))
    }
}
