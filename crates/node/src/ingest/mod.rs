//! Ingest pipelines: changing documents on their way into an index.

mod builtin;
mod condition;
mod config;
mod document;
mod pipeline;
mod processors;
mod template;

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use builtin::builtin_pipelines;
pub use document::{IngestDocument, java_type};
pub use pipeline::Pipeline;
pub use processors::names as processor_names;

use crate::error::{ApiError, Result};
use crate::mapping::simple_match;
use document::Fields;
use pipeline::{Fate, Run, Table};

/// What a pipeline decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Index this document; index, id and routing may have changed.
    Index(IngestDocument),
    /// Do not index it.
    Drop,
}

/// The pipelines of a node. Persisting their definitions is the caller's affair: [`Pipelines::prepare`], write the
/// definition down, [`Pipelines::insert`].
#[derive(Debug, Default)]
pub struct Pipelines {
    table: RwLock<Arc<Table>>,
}

impl Pipelines {
    /// Compiles definitions that were written down.
    ///
    /// # Errors
    /// 400 for a definition this version does not read.
    pub fn load(definitions: impl IntoIterator<Item = (String, Value)>) -> Result<Self> {
        let mut table = Table::new();
        for (id, definition) in definitions {
            let pipeline = Pipeline::parse(&id, &definition)?;
            table.insert(id, Arc::new(pipeline));
        }
        Ok(Self { table: RwLock::new(Arc::new(table)) })
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut table));
    }

    /// Checks a definition and gives it the dates it is kept with.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn prepare(&self, id: &str, definition: &Value) -> Result<Pipeline> {
        // Checked as sent first, so that errors show nothing of the dates.
        Pipeline::parse(id, definition)?;
        let mut definition = definition.clone();
        let now = Timestamp::now().as_millisecond();
        let created = self
            .table()
            .get(id)
            .and_then(|old| old.definition().get("created_date_millis").cloned())
            .unwrap_or_else(|| json!(now));
        definition["created_date_millis"] = created;
        definition["modified_date_millis"] = json!(now);
        Pipeline::parse(id, &definition)
    }

    /// Makes a prepared pipeline the one of its name.
    pub fn insert(&self, pipeline: Pipeline) {
        self.change(|table| {
            table.insert(pipeline.id.clone(), Arc::new(pipeline));
        });
    }

    /// Forgets a pipeline.
    pub fn remove(&self, id: &str) {
        self.change(|table| {
            table.remove(id);
        });
    }

    /// Whether there is one of that name.
    pub fn contains(&self, id: &str) -> bool {
        self.table().contains_key(id)
    }

    /// Pipelines matching names and `*` patterns, in order of name.
    pub fn matching(&self, patterns: &[&str]) -> Vec<Arc<Pipeline>> {
        self.table()
            .values()
            .filter(|pipeline| patterns.iter().any(|pattern| simple_match(pattern, &pipeline.id)))
            .cloned()
            .collect()
    }

    /// Runs one pipeline over a document.
    ///
    /// # Errors
    /// 400 when there is no such pipeline; the failure of a processor nobody handled.
    pub fn run(&self, id: &str, document: IngestDocument) -> Result<Outcome> {
        let table = self.table();
        let pipeline = table
            .get(id)
            .ok_or_else(|| ApiError::illegal_argument(format!("pipeline with id [{id}] does not exist")))?;
        let mut fields = Fields::new(document, &timestamp());
        match Run::new(&table, false).pipeline(pipeline, &mut fields) {
            Ok(Fate::Continue) => Ok(Outcome::Index(fields.into_document())),
            Ok(Fate::Drop) => Ok(Outcome::Drop),
            Err(failure) => Err(failure.error),
        }
    }

    /// What `_simulate` shows for one document; `verbose` shows each processor.
    pub fn simulate(&self, pipeline: &Pipeline, document: IngestDocument, verbose: bool) -> Value {
        let table = self.table();
        let mut run = Run::new(&table, verbose);
        let mut fields = Fields::new(document, &timestamp());
        let result = run.pipeline(pipeline, &mut fields);
        if let Some(trace) = run.trace {
            return json!({ "processor_results": trace });
        }
        match result {
            Ok(Fate::Continue) => json!({ "doc": pipeline::rendered(&fields) }),
            Ok(Fate::Drop) => Value::Null,
            Err(failure) => json!({ "error": failure.error.body()["error"] }),
        }
    }

    /// The pipeline of that name.
    pub fn get(&self, id: &str) -> Option<Arc<Pipeline>> {
        self.table().get(id).cloned()
    }
}

fn timestamp() -> String {
    Timestamp::now().to_string()
}

#[cfg(test)]
mod tests;
