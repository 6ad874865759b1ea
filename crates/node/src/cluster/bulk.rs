//! Writing documents: pipelines, mapping, conditions, commit; one result for each operation.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::update::{UpdateBody, merge};
use super::{BUDGET_UNIT, Cluster, WRITE_BUDGET_BYTES, blocking, new_id};
use crate::error::{ApiError, Result};
use crate::http::Identity;
use crate::index::{Index, IndexDocument, IndexState};
use crate::ingest::{self, IngestDocument};
use crate::mapping::{Parsed, over_limit};
use crate::security::{check_redirect, may_replace};
use crate::store::{Change, Condition, WriteOp, live_row};

/// Bytes of documents that are read, committed and answered together; larger requests go on with the next.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// A document whose mapping changes under it this often is given up; each change adds at least one field.
const MAPPING_ROUNDS: usize = 20;

/// What an operation does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Writes a document.
    Index(Bytes),
    /// Writes a document that must not exist.
    Create(Bytes),
    /// Changes parts of a document.
    Update(UpdateBody),
    /// Deletes a document.
    Delete,
}

impl Action {
    /// The key of its bulk item.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Index(_) => "index",
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Delete => "delete",
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Index(source) | Self::Create(source) => source.len(),
            // Read, merged and written: a guess that keeps chunks small.
            Self::Update(_) => 4096,
            Self::Delete => 64,
        }
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub struct BulkOp {
    /// Index or alias.
    pub index: String,
    /// `_id`; `None` gets a new one.
    pub id: Option<String>,
    /// What to do.
    pub action: Action,
    /// `routing`: kept and answered.
    pub routing: Option<String>,
    /// `if_seq_no` and the like.
    pub condition: Condition,
    /// The target must be an alias.
    pub require_alias: bool,
    /// `pipeline`; `None` is the index's default.
    pub pipeline: Option<String>,
    /// Who writes: a pipeline may send the document to an index its writer may not use.
    pub by: Identity,
}

impl BulkOp {
    /// An operation without conditions.
    pub fn new(index: impl Into<String>, id: Option<String>, action: Action) -> Self {
        Self {
            index: index.into(),
            id,
            action,
            routing: None,
            condition: Condition::Any,
            require_alias: false,
            pipeline: None,
            by: Identity::Anonymous,
        }
    }
}

/// `refresh` of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// Searches see the write at the next refresh.
    #[default]
    No,
    /// Refresh now.
    Now,
    /// Answer after the next refresh.
    WaitFor,
}

impl Refresh {
    /// Reads the parameter.
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None | Some("false") => Ok(Self::No),
            Some("true" | "") => Ok(Self::Now),
            Some("wait_for") => Ok(Self::WaitFor),
            Some(other) => Err(ApiError::illegal_argument(format!("Unknown value for refresh: [{other}]."))),
        }
    }
}

/// `result` of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Created,
    /// There was one.
    Updated,
    /// It is gone.
    Deleted,
    /// There was none to delete.
    NotFound,
    /// The update changed nothing.
    Noop,
    /// A pipeline dropped the document.
    Dropped,
}

impl Outcome {
    /// As answered.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::NotFound => "not_found",
            Self::Noop | Self::Dropped => "noop",
        }
    }

    /// Status of the item.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Created => StatusCode::CREATED,
            Self::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }
}

/// A write that was acknowledged.
#[derive(Debug, Clone)]
pub struct WriteResult {
    /// What happened.
    pub outcome: Outcome,
    /// `_version`.
    pub version: u64,
    /// `_seq_no`.
    pub seq_no: u64,
    /// Copies that `_shards.total` counts.
    pub copies: usize,
    /// The write was made visible by its own refresh.
    pub forced_refresh: bool,
    /// The new source of an update that asked for it.
    pub source: Option<Bytes>,
}

/// How one operation ended.
#[derive(Debug, Clone)]
pub struct ItemResult {
    /// `index`, `create`, `update` or `delete`.
    pub action: &'static str,
    /// The index written to, or the name given when none was found.
    pub index: String,
    /// `_id`.
    pub id: String,
    /// The write, or why not.
    pub result: Result<WriteResult>,
    /// A pipeline was to be run.
    pub piped: bool,
}

/// An operation whose index is known.
struct Work {
    at: usize,
    index: Arc<Index>,
    /// The index as its writer named it.
    named: String,
    id: String,
    /// The writer gave no id: the document is new, as long as no pipeline gives it another.
    made_id: bool,
    action: Action,
    routing: Option<String>,
    condition: Condition,
    pipeline: Option<String>,
    by: Identity,
    tries: u32,
}

/// What reading an operation gave.
enum Prepared {
    /// To be committed.
    Write { op: WriteOp, source: Option<Bytes> },
    /// An update without change.
    Noop { version: u64, seq_no: u64, source: Option<Bytes> },
    /// A pipeline dropped the document.
    Dropped,
}

impl Cluster {
    /// Writes in order. Later operations see earlier ones; each fails or succeeds for itself. What is answered as written
    /// is on disk.
    ///
    /// # Errors
    /// 503 while the node stops; everything else is in the results.
    pub async fn bulk(self: &Arc<Self>, ops: Vec<BulkOp>, refresh: Refresh) -> Result<Vec<ItemResult>> {
        let mut results: Vec<Option<ItemResult>> = ops.iter().map(|_| None).collect();
        let mut works = Vec::with_capacity(ops.len());
        let mut targets: HashMap<(String, bool), Result<Arc<Index>>> = HashMap::new();
        for (at, op) in ops.into_iter().enumerate() {
            let key = (op.index, op.require_alias);
            let target = match targets.get(&key) {
                Some(found) if !found.as_ref().is_ok_and(|index| index.is_deleted()) => found.clone(),
                _ => {
                    let found = self.target(&key.0, key.1, &op.action, op.condition).await;
                    targets.insert(key.clone(), found.clone());
                    found
                }
            };
            let made_id = op.id.is_none();
            let id = op.id.unwrap_or_else(new_id);
            match target {
                Ok(index) => works.push(Work {
                    at,
                    index,
                    named: key.0,
                    id,
                    made_id,
                    action: op.action,
                    routing: op.routing,
                    condition: op.condition,
                    pipeline: op.pipeline,
                    by: op.by,
                    tries: 0,
                }),
                Err(error) => {
                    let action = op.action.name();
                    results[at] =
                        Some(ItemResult { action, index: key.0, id, result: Err(error), piped: false });
                }
            }
        }
        let mut visible: HashMap<String, (Arc<Index>, u64)> = HashMap::new();
        let mut rest = works.into_iter().peekable();
        while rest.peek().is_some() {
            let mut chunk = Vec::new();
            let (mut bytes, mut touched) = (0, HashSet::new());
            while let Some(work) = rest.peek() {
                let key = (work.index.uuid().clone(), work.id.clone());
                let reads = matches!(work.action, Action::Update(_)) && touched.contains(&key);
                if !chunk.is_empty() && (reads || bytes + work.action.size() > CHUNK_BYTES) {
                    break;
                }
                bytes += work.action.size();
                touched.insert(key);
                chunk.extend(rest.next());
            }
            self.chunk(chunk, bytes, &mut results, &mut visible).await?;
        }
        self.make_visible(refresh, visible, &mut results).await?;
        Ok(results.into_iter().flatten().collect())
    }

    /// Writes one document.
    ///
    /// # Errors
    /// What the operation failed with.
    pub async fn write_one(
        self: &Arc<Self>,
        op: BulkOp,
        refresh: Refresh,
    ) -> Result<(ItemResult, WriteResult)> {
        let item =
            self.bulk(vec![op], refresh).await?.pop().ok_or_else(|| ApiError::internal("no result"))?;
        let result = item.result.clone()?;
        Ok((item, result))
    }

    async fn target(
        self: &Arc<Self>,
        name: &str,
        require_alias: bool,
        action: &Action,
        condition: Condition,
    ) -> Result<Arc<Index>> {
        if let Some(index) = self.existing_write_target(name, require_alias)? {
            return Ok(index);
        }
        // A delete creates no index, unless it brings its own version.
        if matches!(action, Action::Delete) && !matches!(condition, Condition::External { .. }) {
            return Err(ApiError::index_not_found(name));
        }
        let (cluster, name) = (self.clone(), name.to_owned());
        blocking(move || cluster.write_target(&name, require_alias)).await
    }

    async fn chunk(
        self: &Arc<Self>,
        chunk: Vec<Work>,
        bytes: usize,
        results: &mut [Option<ItemResult>],
        visible: &mut HashMap<String, (Arc<Index>, u64)>,
    ) -> Result<()> {
        let units = (bytes.min(WRITE_BUDGET_BYTES) / BUDGET_UNIT).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let mut chunk = chunk;
        while !chunk.is_empty() {
            let permit = self.budget.clone().acquire_many_owned(units).await.map_err(ApiError::internal)?;
            let (cluster, permit) = (self.clone(), Arc::new(permit));
            let prepared = blocking(move || {
                Ok(chunk
                    .into_iter()
                    .map(|work| {
                        let prepared = cluster.prepare(&work, &permit);
                        (work, prepared)
                    })
                    .collect::<Vec<_>>())
            })
            .await?;
            let (mut writes, mut waiting) = (Vec::new(), Vec::new());
            for (work, prepared) in prepared {
                match prepared {
                    Ok(Prepared::Write { op, source }) => {
                        writes.push(op);
                        waiting.push((work, source));
                    }
                    Ok(Prepared::Noop { version, seq_no, source }) => {
                        let result = written(&work, Outcome::Noop, version, seq_no, source);
                        results[work.at] = Some(item(&work, Ok(result)));
                    }
                    Ok(Prepared::Dropped) => {
                        results[work.at] =
                            Some(item(&work, Ok(written(&work, Outcome::Dropped, 0, 0, None))));
                    }
                    Err(error) => results[work.at] = Some(item(&work, Err(error))),
                }
            }
            chunk = Vec::new();
            if writes.is_empty() {
                break;
            }
            let answers = self.writer.write(writes).await?;
            for ((mut work, source), answer) in waiting.into_iter().zip(answers) {
                let retries = match &work.action {
                    Action::Update(update) if work.condition == Condition::Any => update.retry_on_conflict,
                    _ => 0,
                };
                let answer = match answer {
                    Err(error) if error.status == StatusCode::CONFLICT && work.tries < retries => {
                        work.tries += 1;
                        chunk.push(work);
                        continue;
                    }
                    answer => answer.map(|written| {
                        let outcome = match (&work.action, written.existed) {
                            (Action::Delete, true) => Outcome::Deleted,
                            (Action::Delete, false) => Outcome::NotFound,
                            (_, true) => Outcome::Updated,
                            (_, false) => Outcome::Created,
                        };
                        (outcome, written)
                    }),
                };
                let result = answer.map(|(outcome, answer)| {
                    count(&work.index, outcome);
                    let seen = visible.entry(work.index.name().to_owned());
                    seen.or_insert_with(|| (work.index.clone(), 0)).1 = answer.seq_no;
                    written(&work, outcome, answer.version, answer.seq_no, source)
                });
                results[work.at] = Some(item(&work, result));
            }
        }
        Ok(())
    }

    async fn make_visible(
        &self,
        refresh: Refresh,
        written: HashMap<String, (Arc<Index>, u64)>,
        results: &mut [Option<ItemResult>],
    ) -> Result<()> {
        for (index, seq_no) in written.into_values() {
            match refresh {
                Refresh::No => {}
                Refresh::Now => index.refresh().await?,
                Refresh::WaitFor => index.wait_for_refresh(seq_no).await?,
            }
        }
        if refresh == Refresh::Now {
            for item in results.iter_mut().flatten() {
                if let Ok(result) = &mut item.result {
                    result.forced_refresh = result.outcome != Outcome::Dropped;
                }
            }
        }
        Ok(())
    }

    /// Reads one operation: its document is parsed and made ready for the index here, in parallel with other requests.
    fn prepare(&self, work: &Work, budget: &Arc<OwnedSemaphorePermit>) -> Result<Prepared> {
        if work.index.state().mapping.routing_required() && work.routing.is_none() {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "routing_missing_exception",
                format!("routing is required for [{}]/[{}]", work.index.name(), work.id),
            )
            .with("index_uuid", json!(&**work.index.uuid()))
            .with("index", json!(work.index.name())));
        }
        match &work.action {
            Action::Delete => Ok(Prepared::Write {
                op: WriteOp {
                    index: work.index.clone(),
                    id: work.id.clone(),
                    change: Change::Delete,
                    condition: work.condition,
                },
                source: None,
            }),
            Action::Index(source) => self.document(work, source.clone(), work.condition, false, budget),
            Action::Create(source) => {
                let condition = match work.condition {
                    Condition::Any => Condition::Absent,
                    given => given,
                };
                self.document(work, source.clone(), condition, false, budget)
            }
            Action::Update(update) => self.update(work, update, budget),
        }
    }

    fn update(
        &self,
        work: &Work,
        update: &UpdateBody,
        budget: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Prepared> {
        let Some(current) = work.index.rows().get(&work.id)? else {
            let Some(insert) = update.insert() else { return Err(missing(work)) };
            let condition = match work.condition {
                Condition::Any => Condition::Absent,
                given => given,
            };
            return self.document(work, to_bytes(&insert)?, condition, update.source.is_some(), budget);
        };
        if let Condition::At { seq_no, primary_term } = work.condition
            && (current.seq_no != seq_no || primary_term != 1)
        {
            return Err(crate::store::conflict(
                &work.index,
                &work.id,
                &format!(
                    "required seqNo [{seq_no}], primary term [{primary_term}]. current document has seqNo [{}] and \
                     primary term [1]",
                    current.seq_no
                ),
            ));
        }
        let mut source: Map<String, Value> =
            serde_json::from_slice(&current.source).map_err(ApiError::internal)?;
        let changed = update.doc.as_ref().is_some_and(|doc| merge(&mut source, doc));
        if !changed && update.detect_noop {
            let source = update.source.is_some().then_some(current.source);
            return Ok(Prepared::Noop { version: current.version, seq_no: current.seq_no, source });
        }
        let condition = Condition::At { seq_no: current.seq_no, primary_term: 1 };
        self.document(work, to_bytes(&Value::Object(source))?, condition, update.source.is_some(), budget)
    }

    fn document(
        &self,
        work: &Work,
        source: Bytes,
        condition: Condition,
        answer_source: bool,
        budget: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Prepared> {
        let mut target = Target {
            index: work.index.clone(),
            named: work.named.clone(),
            id: work.id.clone(),
            routing: work.routing.clone(),
            source,
        };
        // Elasticsearch runs pipelines over documents, not over the result of an update (but over its upserts).
        let update = matches!(work.action, Action::Update(_));
        if !update && !self.pipelines_of(work, &mut target)? {
            return Ok(Prepared::Dropped);
        }
        // A pipeline gave the document the id of another one, perhaps: who may only create must not replace that.
        let replaces = work.made_id && target.id != work.id;
        let condition =
            if replaces && !may_replace(&work.by, &target.named) { Condition::Absent } else { condition };
        let mut document = self.parse(&target.index, &target.id, &target.source)?;
        document.set_budget(budget.clone());
        let row = live_row(&target.id, target.routing.as_deref(), &target.source);
        Ok(Prepared::Write {
            op: WriteOp {
                index: target.index,
                id: target.id,
                change: Change::Put { row, document },
                condition,
            },
            source: answer_source.then_some(target.source),
        })
    }

    /// Runs the request's or the index's pipeline, then the final one. False: the document is dropped.
    fn pipelines_of(&self, work: &Work, target: &mut Target) -> Result<bool> {
        let meta = target.index.settings();
        let first = match &work.pipeline {
            Some(name) if name == "_none" => None,
            Some(name) => Some(name.clone()),
            None => meta.pipeline("default_pipeline"),
        };
        if let Some(name) = first
            && !self.run_pipeline(&name, target, work)?
        {
            return Ok(false);
        }
        match target.index.settings().pipeline("final_pipeline") {
            Some(name) => self.run_pipeline(&name, target, work),
            None => Ok(true),
        }
    }

    fn run_pipeline(&self, name: &str, target: &mut Target, work: &Work) -> Result<bool> {
        if !self.pipelines.contains(name) {
            return Err(ApiError::illegal_argument(format!("pipeline with id [{name}] does not exist")));
        }
        let source: Map<String, Value> = match crate::http::json::parse(&target.source)? {
            Value::Object(source) => source,
            _ => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "document_parsing_exception",
                    "Malformed content, must start with an object",
                ));
            }
        };
        let document = IngestDocument {
            index: target.index.name().to_owned(),
            id: Some(target.id.clone()),
            routing: target.routing.clone(),
            source,
        };
        match self.pipelines.run(name, document)? {
            ingest::Outcome::Drop => Ok(false),
            ingest::Outcome::Index(document) => {
                target.source = to_bytes(&Value::Object(document.source))?;
                target.routing = document.routing;
                if let Some(id) = document.id {
                    target.id = id;
                }
                if document.index != target.index.name() {
                    let creates = work.made_id || matches!(work.action, Action::Create(_));
                    let creates = creates && work.condition == Condition::Any;
                    check_redirect(self, &work.by, &document.index, creates)?;
                    target.index = self.write_target(&document.index, false)?;
                    target.named = document.index;
                }
                Ok(true)
            }
        }
    }

    fn parse(&self, index: &Arc<Index>, id: &str, source: &Bytes) -> Result<IndexDocument> {
        for _ in 0..MAPPING_ROUNDS {
            let state = index.state();
            match state.mapping.document(id, source, index.fields())? {
                Parsed::Document(document) => return Ok(document),
                Parsed::Extend(new) => self.change_index(index, |state| {
                    let extended = state.mapping.extended(&new, &state.analyzers, state.meta.limits());
                    let mapping = extended.map_err(|error| over_limit(&error, source))?;
                    // A document that is refused leaves the mapping as it was.
                    mapping.document(id, source, index.fields())?;
                    Ok(IndexState { mapping: Arc::new(mapping), ..state.clone() })
                })?,
            }
        }
        Err(ApiError::internal(format!("the mapping of [{}] does not settle", index.name())))
    }
}

/// Where a document goes; pipelines can change all of it.
struct Target {
    index: Arc<Index>,
    /// As the writer or a pipeline named it: that is what a role is about.
    named: String,
    id: String,
    routing: Option<String>,
    source: Bytes,
}

fn to_bytes(value: &Value) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(ApiError::internal)
}

fn missing(work: &Work) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "document_missing_exception",
        format!("[{}]: document missing", work.id),
    )
    .with("index_uuid", json!(&**work.index.uuid()))
    .with("shard", json!("0"))
    .with("index", json!(work.index.name()))
}

fn item(work: &Work, result: Result<WriteResult>) -> ItemResult {
    let meta = work.index.settings();
    let first = match &work.pipeline {
        Some(name) => name != "_none",
        None => meta.pipeline("default_pipeline").is_some(),
    };
    ItemResult {
        piped: matches!(work.action, Action::Index(_) | Action::Create(_))
            && (first || meta.pipeline("final_pipeline").is_some()),
        action: work.action.name(),
        index: work.index.name().to_owned(),
        id: work.id.clone(),
        result,
    }
}

fn written(work: &Work, outcome: Outcome, version: u64, seq_no: u64, source: Option<Bytes>) -> WriteResult {
    let copies = 1 + work.index.settings().replicas();
    WriteResult { outcome, version, seq_no, copies, forced_refresh: false, source }
}

fn count(index: &Index, outcome: Outcome) {
    match outcome {
        Outcome::Created | Outcome::Updated => index.counters.indexed.fetch_add(1, Ordering::Relaxed),
        Outcome::Deleted => index.counters.deleted.fetch_add(1, Ordering::Relaxed),
        Outcome::NotFound | Outcome::Noop | Outcome::Dropped => 0,
    };
}
