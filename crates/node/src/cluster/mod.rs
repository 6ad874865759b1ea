//! All indexes of the node: creating, deleting, finding and writing to them.

mod aliases;
mod bulk;
mod create;
mod meta;
mod names;
mod resolve;
mod templates;
mod update;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

pub use aliases::{AliasAction, missing as missing_aliases};
pub use bulk::{Action, BulkOp, ItemResult, Outcome, Refresh, WriteResult};
pub use create::NewIndex;
pub use meta::{Alias, IndexMeta};
pub(crate) use meta::{
    TIER_PREFERENCE, check_setting_name, flat_settings, printed as settings_text, settings_tree,
    shown as text_of,
};
pub(crate) use names::{check_alias as check_alias_name, check_index as check_index_name};
pub use resolve::{IndicesOptions, Resolved};
pub use update::{UpdateBody, merge as merge_document, validation};

use crate::analysis::Analyzers;
use crate::error::{ApiError, Result};
use crate::index::{Index, IndexState};
use crate::ingest::{Pipelines, builtin_pipelines};
use crate::mapping::{Mapping, Tree};
use crate::store::{Store, StoreWriter};

/// Section of the metadata that holds indexes.
const INDEX: &str = "index";
/// Section of the metadata that holds ingest pipelines.
pub const PIPELINE: &str = "pipeline";
/// Bytes of documents between their request and tantivy, in units of [`BUDGET_UNIT`].
const WRITE_BUDGET_BYTES: usize = 48 * 1024 * 1024;
const BUDGET_UNIT: usize = 1024;

/// The state of one node.
pub struct Cluster {
    store: Store,
    writer: StoreWriter,
    store_thread: Mutex<Option<JoinHandle<()>>>,
    folder: PathBuf,
    indexes: RwLock<Arc<BTreeMap<String, Arc<Index>>>>,
    /// Held while indexes, aliases or templates change.
    changing: Mutex<()>,
    budget: Arc<Semaphore>,
    pipelines: Arc<Pipelines>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Opens the data folder; what a crash left half done is completed or undone. Indexes catch up in the background.
    ///
    /// # Errors
    /// 500 when the files cannot be read or another process holds them.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        let folder = path.join("indices");
        std::fs::create_dir_all(&folder).map_err(ApiError::internal)?;
        let store = Store::open(&path.join("store"))?;
        let saved = store.meta_section(INDEX)?;
        remove_orphans(&store, &folder, &saved)?;
        let pipelines = load_pipelines(&store)?;
        let (writer, thread) = StoreWriter::start(store.clone())?;
        let mut indexes = BTreeMap::new();
        for (name, value) in saved {
            let state = load(&value)?;
            let index = Index::open(&name, state, &store, &writer, &folder)?;
            indexes.insert(name, index);
        }
        let cluster = Arc::new(Self {
            store,
            writer,
            store_thread: Mutex::new(Some(thread)),
            folder,
            indexes: RwLock::new(Arc::new(indexes)),
            changing: Mutex::new(()),
            budget: Arc::new(Semaphore::new(WRITE_BUDGET_BYTES / BUDGET_UNIT)),
            pipelines: Arc::new(pipelines),
        });
        cluster.put_own_templates()?;
        Ok(cluster)
    }

    /// Saves what searches would have to catch up with, and ends the node's threads. Blocks.
    pub fn close(&self) {
        self.writer.stop();
        if let Some(thread) = lock(&self.store_thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the store thread panicked");
        }
        for index in self.indexes().values() {
            index.stop();
        }
    }

    /// All indexes by name.
    pub fn indexes(&self) -> Arc<BTreeMap<String, Arc<Index>>> {
        self.indexes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The index called `name`; aliases do not count.
    pub fn index(&self, name: &str) -> Option<Arc<Index>> {
        self.indexes().get(name).cloned()
    }

    /// The node's ingest pipelines; definitions are saved in the section [`PIPELINE`] by whoever changes them.
    pub fn pipelines(&self) -> &Arc<Pipelines> {
        &self.pipelines
    }

    /// All indexes, with aliases that do not change as long as this is held: only to look names up, for creating and deleting
    /// wait meanwhile. Whoever holds it must not ask for [`indexes`](Self::indexes) again.
    fn names(&self) -> RwLockReadGuard<'_, Arc<BTreeMap<String, Arc<Index>>>> {
        self.indexes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_indexes(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Index>>)) {
        let mut indexes = self.indexes.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut indexes));
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    /// Metadata of one section (`pipeline`, `template`, ...), by name.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub fn meta_section(&self, section: &str) -> Result<Vec<(String, Value)>> {
        self.store.meta_section(section)
    }

    /// One value of the metadata.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub fn get_meta(&self, section: &str, name: &str) -> Result<Option<Value>> {
        self.store.meta_get(section, name)
    }

    /// Saves one value of the metadata, synced. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub fn put_meta(&self, section: &str, name: &str, value: &Value) -> Result<()> {
        self.store.meta_write(&[(section, name, Some(value))])
    }

    /// Removes one value of the metadata, synced.
    ///
    /// # Errors
    /// 500 when the store fails.
    pub fn delete_meta(&self, section: &str, name: &str) -> Result<()> {
        self.store.meta_write(&[(section, name, None)])
    }

    /// Computes the new state of an index from the current one, saves it, and makes it current.
    fn change_index(
        &self,
        index: &Index,
        change: impl FnOnce(&IndexState) -> Result<IndexState>,
    ) -> Result<()> {
        let _held = index.change();
        if index.is_deleted() {
            return Err(ApiError::index_not_found(index.name()));
        }
        let state = change(&index.state())?;
        self.put_meta(INDEX, index.name(), &saved(&state))?;
        index.replace_state(state);
        Ok(())
    }

    /// Merges a mapping into an index's.
    ///
    /// # Errors
    /// 400 for conflicts and everything a mapping cannot be.
    pub fn put_mapping(&self, index: &Index, body: &Value) -> Result<()> {
        let tree = Tree::parse(body)?;
        self.change_index(index, |state| {
            let mapping = state.mapping.merged(tree, &state.analyzers, state.meta.limits())?;
            Ok(IndexState { mapping: Arc::new(mapping), ..state.clone() })
        })
    }

    /// Changes settings of an index; `null` brings the default back. With `preserve`, what is set stays.
    ///
    /// # Errors
    /// 400 for settings that are unknown, fixed or badly typed.
    pub fn put_settings(&self, index: &Arc<Index>, body: &Value, preserve: bool) -> Result<()> {
        // `{"settings": {..}}` and the settings themselves are both allowed.
        let body = match body {
            Value::Object(members) if members.len() == 1 && members.contains_key("settings") => {
                &members["settings"]
            }
            body => body,
        };
        let changes = meta::parse_changes(body)?;
        if changes.is_empty() {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "action_request_validation_exception",
                "Validation Failed: 1: no settings to update;",
            ));
        }
        meta::check_changeable(index.name(), index.uuid(), &changes)?;
        self.change_index(index, |state| {
            let mut settings = state.meta.settings.clone();
            for (name, value) in changes {
                if preserve && settings.contains_key(&name) {
                    continue;
                }
                if value.is_null() {
                    settings.remove(&name);
                } else {
                    settings.insert(name, value);
                }
            }
            let old = &state.meta;
            let meta = IndexMeta::new(old.uuid.clone(), old.created_ms, settings, old.aliases.clone())?;
            Ok(IndexState { meta: Arc::new(meta), ..state.clone() })
        })?;
        self.writer.schedule(index.clone());
        Ok(())
    }
}

/// The saved pipelines; a new node gets the built-in ones.
fn load_pipelines(store: &Store) -> Result<Pipelines> {
    for (id, definition) in builtin_pipelines() {
        if store.meta_get(PIPELINE, id)?.is_none() {
            store.meta_write(&[(PIPELINE, id, Some(&definition))])?;
        }
    }
    Pipelines::load(store.meta_section(PIPELINE)?)
}

/// A new index's state from its parts.
pub(crate) fn state_of(meta: IndexMeta, tree: Tree, slots: &BTreeMap<String, usize>) -> Result<IndexState> {
    let analysis = meta.analysis();
    let empty = analysis.as_object().is_some_and(Map::is_empty);
    let analyzers = if empty { Analyzers::builtin() } else { Analyzers::from_settings(&analysis)? };
    let mapping = Mapping::new(tree, slots, &analyzers)?;
    Ok(IndexState { meta: Arc::new(meta), mapping: Arc::new(mapping), analyzers: Arc::new(analyzers) })
}

/// An index as it is saved.
fn saved(state: &IndexState) -> Value {
    let meta = &state.meta;
    json!({
        "uuid": meta.uuid,
        "created_ms": meta.created_ms,
        "settings": meta.settings,
        "aliases": meta.aliases,
        "mapping": state.mapping.to_json(),
        "slots": state.mapping.slots(),
    })
}

fn load(value: &Value) -> Result<IndexState> {
    #[derive(serde::Deserialize)]
    struct Saved {
        uuid: String,
        created_ms: i64,
        settings: BTreeMap<String, Value>,
        aliases: BTreeMap<String, Alias>,
        mapping: Value,
        slots: BTreeMap<String, usize>,
    }
    let saved: Saved = serde_json::from_value(value.clone()).map_err(ApiError::internal)?;
    let meta = IndexMeta::new(saved.uuid, saved.created_ms, saved.settings, saved.aliases)?;
    state_of(meta, Tree::parse(&saved.mapping)?, &saved.slots)
}

/// Removes rows and folders that no saved index has: a crash interrupted a create or a delete.
fn remove_orphans(store: &Store, folder: &Path, saved: &[(String, Value)]) -> Result<()> {
    let live: HashSet<&str> = saved.iter().filter_map(|(_, value)| value["uuid"].as_str()).collect();
    store.drop_orphans(&live)?;
    for entry in std::fs::read_dir(folder).map_err(ApiError::internal)? {
        let entry = entry.map_err(ApiError::internal)?;
        if entry.file_name().to_str().is_none_or(|name| !live.contains(name)) {
            std::fs::remove_dir_all(entry.path()).map_err(ApiError::internal)?;
        }
    }
    Ok(())
}

/// 22 characters, as Elasticsearch's UUIDs.
pub fn new_uuid() -> String {
    // A leading `-` or `_` reads badly in tools.
    loop {
        let text = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
        if !text.starts_with(['-', '_']) {
            return text;
        }
    }
}

/// A document id of 20 characters; those made later mostly sort later, which the store likes.
fn new_id() -> String {
    let mut bytes = [0; 15];
    bytes[..6].copy_from_slice(&now_ms().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..9]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what blocks (disk, parsing of large bodies) off the runtime's own threads.
///
/// # Errors
/// Those of `work`; 500 when it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

#[cfg(test)]
mod tests;
