//! The truth of the node: one fjall database for documents, their versions and the cluster's metadata.
//!
//! Two keyspaces for each index: `ids` (`_id` → where and which version) and `src` (sequence number → document), and one
//! `meta` keyspace for the node. Every commit that is answered to a client is synced first.

mod rows;
mod writer;

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Snapshot};
use serde_json::Value;

use crate::error::{ApiError, Result};

pub use rows::{IdRow, Row, Rows, SnapshotReader, Tombstone, live_row};
pub use writer::{Change, Condition, StoreWriter, WriteOp, WriteRequest, Written, conflict};

/// Memory a keyspace fills before it is flushed. 16 MiB measured no slower than fjall's 64 and keeps many small indexes small.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Bounds what is replayed after a crash (about 0.3 s for 100 MB).
const JOURNAL_BYTES: u64 = 128 * 1024 * 1024;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// The database of one node. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Database,
    meta: Keyspace,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

impl Store {
    /// Opens or creates the database in `folder`; replays what a crash left in the journal.
    ///
    /// # Errors
    /// 500 when the files cannot be read, or another process holds them.
    pub fn open(folder: &Path) -> Result<Self> {
        let db = Database::builder(folder)
            .max_journaling_size(JOURNAL_BYTES)
            .cache_size(CACHE_BYTES)
            .worker_threads(2)
            .open()?;
        let meta = db.keyspace("meta", options)?;
        Ok(Self { db, meta })
    }

    /// The keyspaces of an index, created when missing.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn rows(&self, uuid: &str) -> Result<Rows> {
        let ids = self.db.keyspace(&format!("ids-{uuid}"), options)?;
        let src = self.db.keyspace(&format!("src-{uuid}"), options)?;
        Ok(Rows::new(self.db.clone(), ids, src))
    }

    /// Drops the keyspaces of an index. Their files go when the last snapshot of them does.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn drop_rows(&self, rows: &Rows) -> Result<()> {
        let (ids, src) = rows.keyspaces();
        self.db.delete_keyspace(ids)?;
        self.db.delete_keyspace(src)?;
        Ok(())
    }

    /// Drops keyspaces of indexes that are not in `live`: a crash between two steps of creating or deleting left them.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn drop_orphans(&self, live: &HashSet<&str>) -> Result<()> {
        for name in self.db.list_keyspace_names() {
            let uuid = name.strip_prefix("ids-").or_else(|| name.strip_prefix("src-"));
            if uuid.is_some_and(|uuid| !live.contains(uuid)) {
                self.db.delete_keyspace(self.db.keyspace(&name, options)?)?;
            }
        }
        Ok(())
    }

    /// A consistent state of all keyspaces.
    pub fn snapshot(&self) -> Snapshot {
        self.db.snapshot()
    }

    fn batch(&self) -> OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncAll))
    }

    /// All metadata of one section, by name.
    ///
    /// # Errors
    /// 500 when the disk fails or a row is no JSON.
    pub fn meta_section(&self, section: &str) -> Result<Vec<(String, Value)>> {
        let prefix = meta_key(section, "");
        self.meta
            .prefix(&prefix)
            .map(|guard| {
                let (key, value) = guard.into_inner()?;
                let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                Ok((name, serde_json::from_slice(&value).map_err(ApiError::internal)?))
            })
            .collect()
    }

    /// One value of the metadata.
    ///
    /// # Errors
    /// 500 when the disk fails or the row is no JSON.
    pub fn meta_get(&self, section: &str, name: &str) -> Result<Option<Value>> {
        match self.meta.get(meta_key(section, name))? {
            Some(value) => Ok(Some(serde_json::from_slice(&value).map_err(ApiError::internal)?)),
            None => Ok(None),
        }
    }

    /// Writes or removes (`None`) several values of the metadata in one synced commit.
    ///
    /// # Errors
    /// 500 when the disk fails.
    pub fn meta_write(&self, changes: &[(&str, &str, Option<&Value>)]) -> Result<()> {
        let mut batch = self.batch();
        for (section, name, value) in changes {
            let key = meta_key(section, name);
            match value {
                Some(value) => {
                    batch.insert(&self.meta, key, serde_json::to_vec(value).map_err(ApiError::internal)?);
                }
                None => batch.remove(&self.meta, key),
            }
        }
        Ok(batch.commit()?)
    }
}

fn meta_key(section: &str, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(section.len() + 1 + name.len());
    key.extend_from_slice(section.as_bytes());
    key.push(0);
    key.extend_from_slice(name.as_bytes());
    key
}

/// A row's bytes without copying them.
fn shared(slice: fjall::Slice) -> Bytes {
    Bytes::from_owner(slice)
}

#[cfg(test)]
mod tests;
