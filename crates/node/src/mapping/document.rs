//! From a document's JSON to what tantivy indexes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::Value;

use super::coerce::{self, Refused};
use super::dynamic;
use super::json::{self, Json};
use super::locate::{self, Step};
use super::plan::{Compiled, IGNORED_NAME, Leaf, ObjectPlan, Plan, Target};
use super::tree::{ObjectNode, Tree};
use super::types::{Dynamic, FieldType};
use crate::analysis::{Analyzers, VALUE_SEPARATOR};
use crate::error::{ApiError, Result};
use crate::index::schema::Fields;
use crate::index::{FieldValue, IndexDocument, Named, TOKENS_MARK, encode_tokens};

/// Names a document cannot use at its top.
const METADATA: [&str; 12] = [
    "_id",
    "_index",
    "_source",
    "_routing",
    "_seq_no",
    "_version",
    "_field_names",
    "_ignored",
    "_doc_count",
    "_nested_path",
    "_tier",
    "_feature",
];

/// What came of reading a document.
#[derive(Debug)]
pub enum Parsed {
    /// Ready for the index.
    Document(IndexDocument),
    /// The mapping needs these fields first.
    Extend(ObjectNode),
}

/// What to do about fields the mapping does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// What `dynamic` says.
    Dynamic,
    /// Leave them in `_source`: the document was accepted before.
    Ignore,
}

/// An error on its way up through the document.
struct Failure {
    error: Box<Problem>,
    /// Innermost first.
    steps: Vec<Step>,
}

enum Problem {
    /// A value that its field refuses.
    Value { field: String, type_name: String, preview: String, refused: Refused, is_object: bool },
    /// An error whose reason only lacks the place.
    Placed { kind: &'static str, reason: String, key: bool },
    /// An error of a key.
    Key(String),
    /// A name that is the node's own.
    Metadata { field: String, preview: String },
}

impl Failure {
    fn at(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

type Walked = std::result::Result<(), Failure>;

fn placed(kind: &'static str, reason: String) -> Failure {
    Failure { error: Box::new(Problem::Placed { kind, reason, key: false }), steps: Vec::new() }
}

fn bad_document(reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "document_parsing_exception", reason)
}

/// Reads a document by its mapping.
///
/// # Errors
/// 400 `document_parsing_exception` or `strict_dynamic_mapping_exception` as Elasticsearch words them.
pub fn parse(
    tree: &Tree,
    compiled: &Compiled,
    fields: &Arc<Fields>,
    id: &str,
    source: &Bytes,
    unknown: Unknown,
) -> Result<Parsed> {
    let document = json::read(source).map_err(|error| syntax_error(&error))?;
    let Json::Object(members) = document else {
        return Err(bad_document("Malformed content, must start with an object".to_owned()));
    };
    let mut walk = Walk::new(compiled, source, unknown);
    if let Err(failure) = walk.members(&compiled.root, &members) {
        return Err(explain(failure, id, source));
    }
    if walk.found_unknown {
        let found = dynamic::discover(tree, &members)?;
        if !found.children.is_empty() {
            return Ok(Parsed::Extend(found));
        }
    }
    Ok(Parsed::Document(walk.finish(fields, id)))
}

/// A limit of the mapping that a document's new fields would break.
pub fn over_limit(error: &ApiError, source: &[u8]) -> ApiError {
    let members = match json::read(source) {
        Ok(Json::Object(members)) => members.len(),
        _ => 0,
    };
    let steps = [Step::Member(members.saturating_sub(1))];
    let (line, column) = locate::find(source, &steps, locate::Of::Value).unwrap_or((1, 1));
    bad_document(format!("[{line}:{column}] failed to parse: {}", error.reason))
        .with("caused_by", error.cause())
}

fn syntax_error(error: &serde_json::Error) -> ApiError {
    let inner = crate::http::json::parse_error(error);
    bad_document(format!("[{}:{}] failed to parse: {}", error.line(), error.column(), inner.reason))
        .with("caused_by", inner.cause())
}

fn explain(mut failure: Failure, id: &str, source: &[u8]) -> ApiError {
    failure.steps.reverse();
    let place = |of: locate::Of| {
        let (line, column) = locate::find(source, &failure.steps, of).unwrap_or((1, 1));
        format!("[{line}:{column}]")
    };
    match *failure.error {
        Problem::Value { field, type_name, preview, refused, is_object } => {
            let at = place(if is_object { locate::Of::End } else { locate::Of::Value });
            let reason = format!(
                "{at} failed to parse field [{field}] of type [{type_name}] in document with id '{id}'. Preview of \
                 field's value: '{preview}'"
            );
            let mut cause = serde_json::json!({ "type": refused.kind, "reason": refused.reason });
            if let Some((kind, reason)) = refused.caused_by {
                cause["caused_by"] = serde_json::json!({ "type": kind, "reason": reason });
            }
            bad_document(reason).with("caused_by", cause)
        }
        Problem::Placed { kind, reason, key } => {
            let at = place(if key { locate::Of::Key } else { locate::Of::Value });
            ApiError::new(StatusCode::BAD_REQUEST, kind, format!("{at} {reason}"))
        }
        Problem::Metadata { field, preview } => {
            let at = place(locate::Of::Value);
            let cause = bad_document(format!(
                "{at} Field [{field}] is a metadata field and cannot be added inside a document. Use the index API request \
                 parameters."
            ));
            bad_document(format!(
                "{at} failed to parse field [{field}] of type [{field}] in document with id '{id}'. Preview of field's \
                 value: '{preview}'"
            ))
            .caused_by(&cause)
        }
        Problem::Key(reason) => {
            let at = place(locate::Of::Key);
            bad_document(format!("{at} failed to parse: {reason}"))
                .because("illegal_argument_exception", reason)
        }
    }
}

struct Walk<'a> {
    compiled: &'a Compiled,
    source: &'a Bytes,
    unknown: Unknown,
    found_unknown: bool,
    values: Vec<Named>,
    texts: Vec<(&'a Target, Vec<Cow<'a, str>>)>,
    present: Vec<u32>,
    /// Fields that left a value of the document out: too long (`ignore_above`) or malformed (`ignore_malformed`).
    ignored: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(compiled: &'a Compiled, source: &'a Bytes, unknown: Unknown) -> Self {
        Self {
            compiled,
            source,
            unknown,
            found_unknown: false,
            values: Vec::new(),
            texts: Vec::new(),
            present: Vec::new(),
            ignored: Vec::new(),
        }
    }

    fn members(&mut self, plan: &'a ObjectPlan, members: &[(Cow<'a, str>, Json<'a>)]) -> Walked {
        if !plan.enabled {
            return Ok(());
        }
        for (at, (key, value)) in members.iter().enumerate() {
            self.member(plan, key, value).map_err(|failure| failure.at(Step::Member(at)))?;
        }
        Ok(())
    }

    fn member(&mut self, plan: &'a ObjectPlan, key: &str, value: &Json<'a>) -> Walked {
        if let Some(child) = plan.children.get(key) {
            return self.child(child, key, value);
        }
        if plan.path.is_empty() && METADATA.contains(&key) {
            return Err(Failure {
                error: Box::new(Problem::Metadata { field: key.to_owned(), preview: value.to_string() }),
                steps: Vec::new(),
            });
        }
        check_key(key)?;
        let mut object = plan;
        let parts: Vec<&str> = key.split('.').filter(|part| !part.is_empty()).collect();
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            match object.children.get(*part) {
                Some(child) if last => return self.child(child, part, value),
                Some(Plan::Object(next)) if !next.enabled => return Ok(()),
                Some(Plan::Object(next)) => object = next,
                Some(Plan::Leaf(leaf)) => {
                    let target = &leaf.targets[0];
                    return Err(placed(
                        "document_parsing_exception",
                        format!(
                            "Could not dynamically add mapping for field [{key}]. Existing mapping for [{}] must be of \
                             type object but found [{}].",
                            target.path, target.mapping.type_name
                        ),
                    ));
                }
                Some(Plan::Alias) => return Err(alias(part)),
                None => return self.unknown_member(object, part, value),
            }
        }
        Ok(())
    }

    fn unknown_member(&mut self, object: &ObjectPlan, name: &str, value: &Json<'_>) -> Walked {
        if self.unknown == Unknown::Ignore {
            return Ok(());
        }
        match object.dynamic {
            Dynamic::False | Dynamic::Runtime => Ok(()),
            Dynamic::True => {
                self.found_unknown |= !matches!(value, Json::Null);
                Ok(())
            }
            Dynamic::Strict => {
                let within = if object.path.is_empty() { "_doc" } else { &object.path };
                Err(placed(
                    "strict_dynamic_mapping_exception",
                    format!(
                        "mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed"
                    ),
                ))
            }
        }
    }

    fn child(&mut self, child: &'a Plan, name: &str, value: &Json<'a>) -> Walked {
        match child {
            Plan::Leaf(leaf) => self.leaf(leaf, value),
            Plan::Object(object) => self.object(object, Some(name), value),
            Plan::Alias => Err(alias(name)),
        }
    }

    fn object(&mut self, plan: &'a ObjectPlan, name: Option<&str>, value: &Json<'a>) -> Walked {
        match value {
            _ if !plan.enabled => Ok(()),
            Json::Null => Ok(()),
            Json::Object(members) => self.members(plan, members),
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.object(plan, None, item).map_err(|failure| failure.at(Step::Item(at)))?;
                }
                Ok(())
            }
            _ => Err(placed(
                "document_parsing_exception",
                format!(
                    "object mapping for [{}] tried to parse field [{}] as object, but found a concrete value",
                    plan.path,
                    name.unwrap_or("null")
                ),
            )),
        }
    }

    fn leaf(&mut self, leaf: &'a Leaf, value: &Json<'a>) -> Walked {
        match value {
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.leaf(leaf, item).map_err(|failure| failure.at(Step::Item(at)))?;
                }
                Ok(())
            }
            _ => self.scalar(leaf, value, true),
        }
    }

    fn scalar(&mut self, leaf: &'a Leaf, value: &Json<'a>, copy: bool) -> Walked {
        let mut stored = false;
        for target in &leaf.targets {
            stored |= self.target(target, value)?;
        }
        if stored {
            self.present.extend(leaf.parents.iter().copied());
        }
        if copy && !matches!(value, Json::Null) {
            for path in &leaf.targets[0].mapping.copy_to {
                match self.compiled.leaves.get(path.as_str()) {
                    Some(to) => self.scalar(to, value, false)?,
                    None => self.found_unknown |= self.unknown == Unknown::Dynamic,
                }
            }
        }
        Ok(())
    }

    /// Adds a value to one field; tells whether the field has it now.
    fn target(&mut self, target: &'a Target, value: &Json<'a>) -> std::result::Result<bool, Failure> {
        let mapping = &target.mapping;
        let value = match (value, &mapping.null_value) {
            (Json::Null, None) => return Ok(false),
            (Json::Null, Some(null)) => Cow::Owned(owned(null)),
            (value, _) => Cow::Borrowed(value),
        };
        if mapping.kind == FieldType::Text {
            let text = coerce::text(&value).map_err(|refused| refusal(target, &value, refused))?;
            if !mapping.indexed {
                return Ok(false);
            }
            match self.texts.iter_mut().rev().find(|(known, _)| known.name == target.name) {
                Some((_, texts)) => texts.push(text),
                None => {
                    self.texts.push((target, vec![text]));
                    self.present.push(target.name);
                }
            }
            return Ok(true);
        }
        match coerce::value(target, &value, self.source) {
            Ok(Some(value)) => {
                if mapping.indexed || mapping.doc_values {
                    self.values.push((target.name, value));
                    self.present.push(target.name);
                    return Ok(true);
                }
                Ok(false)
            }
            Ok(None) => {
                if mapping.kind == FieldType::Keyword {
                    self.ignored.push(target.name);
                }
                Ok(false)
            }
            Err(_) if mapping.ignore_malformed && !matches!(*value, Json::Object(_)) => {
                self.ignored.push(target.name);
                Ok(false)
            }
            Err(refused) => Err(refusal(target, &value, refused)),
        }
    }

    fn finish(mut self, fields: &Arc<Fields>, id: &str) -> IndexDocument {
        let mut document = IndexDocument::new(fields, &self.compiled.names, id, self.source.clone());
        for (target, texts) in self.texts {
            let values = texts.iter().map(|text| &**text);
            let marked = texts.iter().any(|text| text.starts_with(TOKENS_MARK));
            let value = match &target.analyzer {
                Some(analyzer) => FieldValue::Text(encode_tokens(&analyzer.pre_tokenized(values)).into()),
                None if marked => {
                    let standard = Analyzers::builtin().default_analyzer();
                    FieldValue::Text(encode_tokens(&standard.pre_tokenized(values)).into())
                }
                None => join(self.source, texts),
            };
            match target.mapping.slot {
                Some(slot) => document.add_text(slot, value),
                // Its text is encoded, see `plan`.
                None => document.add_overflow(target.name, value),
            }
        }
        self.ignored.sort_unstable();
        self.ignored.dedup();
        distinct(&mut self.values, self.source);
        let ignored = self.ignored.into_iter().map(|name| (IGNORED_NAME, FieldValue::Name(name)));
        self.values.extend(ignored);
        self.present.sort_unstable();
        self.present.dedup();
        document.set_values(self.values, self.present);
        document
    }
}

/// Strings of a field are a set, as Elasticsearch's keywords are; numbers keep their repetitions.
fn distinct(values: &mut Vec<Named>, source: &[u8]) {
    let mut names: Vec<u32> = values.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if names.windows(2).all(|pair| pair[0] != pair[1]) {
        return;
    }
    let mut seen: HashSet<(u32, Box<[u8]>)> = HashSet::new();
    values.retain(|(name, value)| match value.text_bytes(source) {
        Some(text) => seen.insert((*name, text.into())),
        None => true,
    });
}

/// Values of one field as one text.
fn join(source: &[u8], mut texts: Vec<Cow<'_, str>>) -> FieldValue {
    if texts.len() == 1
        && let Some(text) = texts.pop()
    {
        return FieldValue::text(source, text);
    }
    let mut joined = String::with_capacity(texts.iter().map(|text| text.len() + 3).sum());
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            joined.push(VALUE_SEPARATOR);
        }
        joined.push_str(text);
    }
    FieldValue::Text(joined.into())
}

fn owned(value: &Value) -> Json<'static> {
    match value {
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Json::Integer(value),
            (None, Some(value)) => Json::Big(value),
            (None, None) => Json::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Json::Text(Cow::Owned(text.clone())),
        _ => Json::Null,
    }
}

fn refusal(target: &Target, value: &Json<'_>, refused: Refused) -> Failure {
    Failure {
        error: Box::new(Problem::Value {
            field: target.path.to_string(),
            type_name: target.mapping.type_name.clone(),
            preview: value.to_string(),
            refused,
            is_object: matches!(value, Json::Object(_)),
        }),
        steps: Vec::new(),
    }
}

fn alias(name: &str) -> Failure {
    placed("document_parsing_exception", format!("Cannot write to a field alias [{name}]."))
}

/// Elasticsearch's rules for names, and control characters refused: tantivy separates paths with them.
fn check_key(key: &str) -> Walked {
    let problem = |reason: String| Err(Failure { error: Box::new(Problem::Key(reason)), steps: Vec::new() });
    if key.is_empty() {
        return problem("field name cannot be an empty string".to_owned());
    }
    if key.chars().any(char::is_control) {
        return problem(format!("field name [{}] has control characters", key.escape_debug()));
    }
    if key.trim().is_empty() {
        return Err(Failure {
            error: Box::new(Problem::Placed {
                kind: "document_parsing_exception",
                reason: format!("Field name cannot contain only whitespace: [{key}]"),
                key: true,
            }),
            steps: Vec::new(),
        });
    }
    // Java drops empty parts at the end.
    let inner = key.trim_end_matches('.');
    if inner.is_empty() || inner.split('.').any(|part| part.trim().is_empty()) {
        return problem(format!("field name cannot contain only whitespace: ['{key}']"));
    }
    Ok(())
}
