//! A pipeline: its processors, in order, and what happens when one fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::condition::Condition;
use super::config::Config;
use super::document::{Fields, java_type, plain};
use super::processors::{self, Step};
use crate::error::{ApiError, Result};

/// A compiled pipeline and the definition it came from.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name.
    pub id: String,
    definition: Map<String, Value>,
    processors: Vec<Processor>,
    on_failure: Vec<Processor>,
}

/// One processor with the options all processors have.
#[derive(Debug)]
struct Processor {
    kind: String,
    tag: Option<String>,
    description: Option<String>,
    condition: Option<Condition>,
    ignore_failure: bool,
    on_failure: Vec<Processor>,
    step: Box<dyn Step>,
}

/// What a processor says of the document's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Go on.
    Continue,
    /// The document is not indexed.
    Drop,
}

/// A failure and who failed: `on_failure` processors can read it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: ApiError,
    kind: String,
    tag: Option<String>,
    pipeline: String,
}

/// All pipelines by name, as one run sees them.
pub type Table = BTreeMap<String, Arc<Pipeline>>;

/// One document's way through pipelines.
#[derive(Debug)]
pub struct Run<'a> {
    table: &'a Table,
    /// Names of the pipelines being run, outermost first.
    stack: Vec<String>,
    /// What each processor did, where a simulation asks for it.
    pub trace: Option<Vec<Value>>,
}

impl Pipeline {
    /// Compiles a pipeline definition.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it, for anything this node does not have too.
    pub fn parse(id: &str, definition: &Value) -> Result<Self> {
        // Elasticsearch reads anything else as an object without members.
        let definition = definition.as_object().cloned().unwrap_or_default();
        let mut rest = definition.clone();
        let list = |rest: &mut Map<String, Value>, name: &str| match rest.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(property_error(
                name,
                &format!("property isn't a list, but of type [{}]", java_type(&other)),
            )),
        };
        check_attributes(&mut rest)?;
        let Some(items) = list(&mut rest, "processors")? else {
            return Err(property_error("processors", "required property is missing"));
        };
        let on_failure = list(&mut rest, "on_failure")?;
        if on_failure.as_ref().is_some_and(Vec::is_empty) {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                format!("pipeline [{id}] cannot have an empty on_failure option defined"),
            ));
        }
        let processors = parse_processors(items, 0)?;
        let on_failure = parse_processors(on_failure.unwrap_or_default(), 0)?;
        if !rest.is_empty() {
            let mut names: Vec<&str> = rest.keys().map(String::as_str).collect();
            names.sort_unstable();
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                format!(
                    "pipeline [{id}] doesn't support one or more provided configuration parameters [{}]",
                    names.join(", ")
                ),
            ));
        }
        Ok(Self { id: id.to_owned(), definition, processors, on_failure })
    }

    /// The definition, as it was put.
    pub fn definition(&self) -> &Map<String, Value> {
        &self.definition
    }

    fn execute(&self, fields: &mut Fields, run: &mut Run<'_>) -> Result<Fate, Box<Failure>> {
        for processor in &self.processors {
            match processor.execute(fields, run) {
                Ok(Fate::Continue) => {}
                Ok(Fate::Drop) => return Ok(Fate::Drop),
                Err(failure) if self.on_failure.is_empty() => return Err(failure),
                Err(failure) => return recover(&self.on_failure, &failure, fields, run),
            }
        }
        Ok(Fate::Continue)
    }
}

/// Takes out what describes a pipeline but does nothing.
fn check_attributes(rest: &mut Map<String, Value>) -> Result<()> {
    let mut take = |name: &str| rest.shift_remove(name).filter(|value| !value.is_null());
    let wrong = |name: &str, wanted: &str, value: &Value| {
        Err(property_error(name, &format!("property isn't {wanted}, but of type [{}]", java_type(value))))
    };
    if let Some(value) = take("description").filter(|value| !value.is_string()) {
        return wrong("description", "a string", &value);
    }
    if let Some(value) = take("_meta").filter(|value| !value.is_object()) {
        return wrong("_meta", "a map", &value);
    }
    if let Some(value) = take("deprecated").filter(|value| !value.is_boolean()) {
        return wrong("deprecated", "a boolean", &value);
    }
    if let Some(value) = take("version")
        && !value.is_i64()
        && value.as_str().is_none_or(|text| text.parse::<i32>().is_err())
    {
        let reason = format!("property cannot be converted to an int [{}]", plain(&value));
        return Err(property_error("version", &reason));
    }
    for name in ["created_date_millis", "modified_date_millis"] {
        take(name);
    }
    Ok(())
}

/// Processors inside `on_failure` inside `on_failure`... deeper than this are refused.
const MAX_DEPTH: usize = 20;

fn parse_processors(items: Vec<Value>, depth: usize) -> Result<Vec<Processor>> {
    if depth > MAX_DEPTH {
        return Err(ApiError::illegal_argument("[on_failure] processors are nested too deep"));
    }
    let mut processors = Vec::new();
    for item in items {
        let Value::Object(members) = item else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                format!("processor isn't a map, but of type [{}]", java_type(&item)),
            ));
        };
        for (kind, config) in members {
            processors.push(Processor::parse(&kind, config, depth)?);
        }
    }
    Ok(processors)
}

impl Processor {
    fn parse(kind: &str, config: Value, depth: usize) -> Result<Self> {
        let compile = processors::compiler(kind).ok_or_else(|| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                format!("No processor type exists with name [{kind}]"),
            )
            .with("processor_type", json!(kind))
        })?;
        let members = match config {
            Value::Object(members) => members,
            other => {
                let reason = if other.is_null() {
                    "processor config cannot be [null]".to_owned()
                } else {
                    format!("property isn't a map, but of type [{}]", java_type(&other))
                };
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason)
                    .with("processor_type", json!(kind)));
            }
        };
        let mut config = Config::new(kind, members);
        let tag = config.optional_string("tag")?;
        let description = config.optional_string("description")?;
        let ignore_failure = config.boolean("ignore_failure", false)?;
        let on_failure = config.take("on_failure");
        let condition = config.take("if");
        let on_failure = match on_failure {
            None => Vec::new(),
            Some(Value::Array(items)) if !items.is_empty() => items,
            Some(Value::Array(_)) => {
                config.name_processor(tag);
                return Err(config.error("on_failure", "processors list cannot be empty"));
            }
            Some(other) => return Err(config.wrong_type("on_failure", "a list", &other)),
        };
        config.name_processor(tag.clone());
        let condition = match condition {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(Value::Object(script)) => Some(source_of(&config, script)?),
            Some(other) => {
                let reason = format!("property isn't a map or string, but of type [{}]", java_type(&other));
                return Err(property_error("script", &reason).with("processor_type", json!("conditional")));
            }
        };
        let condition = condition
            .map(|text| Condition::compile(&text).map_err(|error| config.named(error)))
            .transpose()?;
        let on_failure = parse_processors(on_failure, depth + 1)?;
        let step = compile(&mut config)?;
        config.finish()?;
        Ok(Self { kind: kind.to_owned(), tag, description, condition, ignore_failure, on_failure, step })
    }

    fn execute(&self, fields: &mut Fields, run: &mut Run<'_>) -> Result<Fate, Box<Failure>> {
        let before = run.trace.as_ref().map_or(0, Vec::len);
        let result = match self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(fields)) {
            Ok(false) => {
                self.trace(run, "skipped", None, None);
                return Ok(Fate::Continue);
            }
            Ok(true) => self.step.run(fields, run),
            Err(error) => Err(error.into()),
        };
        // A pipeline that ran another one stands before what that one did, whatever came of it.
        let nested = run.trace.as_ref().is_some_and(|trace| trace.len() > before);
        if nested {
            self.trace(run, "success", None, None);
            if let Some(trace) = &mut run.trace {
                trace[before..].rotate_right(1);
            }
        }
        let failure = match result {
            Ok(fate) if nested => return Ok(fate),
            Ok(fate) => {
                let status = if fate == Fate::Drop { "dropped" } else { "success" };
                self.trace(run, status, (fate == Fate::Continue).then_some(&*fields), None);
                return Ok(fate);
            }
            // A pipeline inside a pipeline names its own processor.
            Err(processors::Failed::Inside(failure)) => failure,
            Err(processors::Failed::Here(error)) => Box::new(Failure {
                error,
                kind: self.kind.clone(),
                tag: self.tag.clone(),
                pipeline: run.stack.last().cloned().unwrap_or_default(),
            }),
        };
        if self.ignore_failure {
            if !nested {
                self.trace(run, "error_ignored", Some(fields), Some(&failure.error));
            }
            return Ok(Fate::Continue);
        }
        if !nested {
            self.trace(run, "error", None, Some(&failure.error));
        }
        if self.on_failure.is_empty() {
            return Err(failure);
        }
        recover(&self.on_failure, &failure, fields, run)
    }

    fn trace(&self, run: &mut Run<'_>, status: &str, fields: Option<&Fields>, error: Option<&ApiError>) {
        let pipeline = run.stack.last().cloned();
        let Some(trace) = &mut run.trace else { return };
        let mut entry = Map::new();
        entry.insert("processor_type".into(), self.kind.clone().into());
        entry.insert("status".into(), status.into());
        if let Some(description) = &self.description {
            entry.insert("description".into(), description.clone().into());
        }
        if let Some(tag) = &self.tag {
            entry.insert("tag".into(), tag.clone().into());
        }
        if let Some(condition) = &self.condition {
            entry
                .insert("if".into(), json!({ "condition": condition.text(), "result": status != "skipped" }));
        }
        if let Some(error) = error {
            let name = if status == "error_ignored" { "ignored_error" } else { "error" };
            let body = error.body()["error"].clone();
            entry
                .insert(name.into(), if status == "error_ignored" { json!({ "error": body }) } else { body });
        }
        if let Some(fields) = fields {
            let mut fields = fields.clone();
            if let Some(pipeline) = pipeline {
                fields.set_ingest("pipeline", pipeline.into());
            }
            entry.insert("doc".into(), rendered(&fields));
        }
        trace.push(Value::Object(entry));
    }
}

/// A document as simulations show it.
pub(super) fn rendered(fields: &Fields) -> Value {
    let mut doc = fields.metadata().as_object().cloned().unwrap_or_default();
    doc.insert("_version".into(), "-3".into());
    doc.insert("_source".into(), fields.source().clone());
    doc.insert("_ingest".into(), fields.ingest().clone());
    Value::Object(doc)
}

/// `{"source": "..", "lang": "painless"}`.
fn source_of(config: &Config, mut script: Map<String, Value>) -> Result<String> {
    let source = script.shift_remove("source");
    let lang = script.shift_remove("lang");
    match (source, lang) {
        (Some(Value::String(source)), None) if script.is_empty() => Ok(source),
        (Some(Value::String(source)), Some(lang)) if script.is_empty() && lang == "painless" => Ok(source),
        _ => Err(config.error("if", "is not supported: only a painless [source] without [params] is read")),
    }
}

/// Runs `on_failure` processors, which find the failure in `_ingest`.
fn recover(
    processors: &[Processor],
    failure: &Failure,
    fields: &mut Fields,
    run: &mut Run<'_>,
) -> Result<Fate, Box<Failure>> {
    let told = [
        ("on_failure_message", Value::from(failure.error.reason.clone())),
        ("on_failure_processor_type", failure.kind.clone().into()),
        ("on_failure_processor_tag", failure.tag.clone().map_or(Value::Null, Value::from)),
        ("on_failure_pipeline", failure.pipeline.clone().into()),
    ];
    for (name, value) in &told {
        fields.set_ingest(name, value.clone());
    }
    let mut fate = Fate::Continue;
    for processor in processors {
        fate = processor.execute(fields, run)?;
        if fate == Fate::Drop {
            break;
        }
    }
    for (name, _) in &told {
        fields.remove_ingest(name);
    }
    Ok(fate)
}

impl<'a> Run<'a> {
    /// A run over these pipelines.
    pub fn new(table: &'a Table, trace: bool) -> Self {
        Self { table, stack: Vec::new(), trace: trace.then(Vec::new) }
    }

    /// The pipeline of that name.
    pub fn find(&self, id: &str) -> Option<Arc<Pipeline>> {
        self.table.get(id).cloned()
    }

    /// Runs a pipeline; inside another one, too.
    pub fn pipeline(&mut self, pipeline: &Pipeline, fields: &mut Fields) -> Result<Fate, Box<Failure>> {
        if self.stack.contains(&pipeline.id) {
            return Err(Box::new(Failure {
                error: ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "graph_structure_exception",
                    format!("Cycle detected for pipeline: {}", pipeline.id),
                ),
                kind: "pipeline".to_owned(),
                tag: None,
                pipeline: pipeline.id.clone(),
            }));
        }
        self.stack.push(pipeline.id.clone());
        let result = pipeline.execute(fields, self);
        self.stack.pop();
        result
    }
}

fn property_error(name: &str, reason: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", format!("[{name}] {reason}"))
        .with("property_name", json!(name))
}
