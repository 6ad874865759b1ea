//! Searches over indices in memory, one segment a batch.

mod paging;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::indexer::NoMergePolicy;
use tantivy::schema::OwnedValue;
use tantivy::{Index, IndexWriter, TantivyDocument};

use super::execute::Target;
use super::{SearchRequest, SearchResponse, execute};
use crate::analysis::Analyzers;
use crate::error::{ApiError, Result};
use crate::index::{DocumentReader, IndexView, StoredDocument, schema};
use crate::mapping::{FieldMapping, FieldTable, FieldType};

#[derive(Debug)]
struct Documents(Vec<StoredDocument>);

impl DocumentReader for Documents {
    fn read(&self, seq_no: u64) -> Result<StoredDocument> {
        let place = usize::try_from(seq_no).map_err(ApiError::internal)?;
        self.0.get(place).cloned().ok_or_else(|| ApiError::internal("no such document"))
    }
}

/// A mapping from `(path, type)`.
pub(crate) fn table(fields: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (path, type_name) in fields {
        let kind = match *type_name {
            "keyword" => FieldType::Keyword,
            "text" => FieldType::Text,
            "date" => FieldType::Date { format: None },
            "boolean" => FieldType::Boolean,
            "double" | "float" => FieldType::Float { scaling_factor: None },
            _ => FieldType::Integer { min: i64::MIN, max: i64::MAX },
        };
        let mapping = FieldMapping {
            path: (*path).to_owned(),
            source_path: (*path).to_owned(),
            type_name: (*type_name).to_owned(),
            doc_values: kind != FieldType::Text,
            kind,
            indexed: true,
            ignore_above: None,
            analyzer: "standard".to_owned(),
            search_analyzer: "standard".to_owned(),
            null_value: None,
            coerce: true,
            ignore_malformed: false,
            copy_to: Vec::new(),
            slot: None,
        };
        table.fields.insert((*path).to_owned(), Arc::new(mapping));
    }
    table
}

/// An index whose batches are one segment each. Documents are named by their sequence number.
pub(crate) fn index(name: &str, fields: &[(&str, &str)], batches: &[Vec<Value>]) -> Target {
    let table = table(fields);
    let (schema, handles) = schema::schema();
    let index = Index::create_in_ram(schema);
    schema::register_tokenizers(&index);
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 15_000_000).expect("a writer");
    writer.set_merge_policy(Box::new(NoMergePolicy));
    let mut documents = Vec::new();
    for batch in batches {
        for source in batch {
            let seq_no = documents.len() as u64;
            let id = seq_no.to_string();
            let mut document = TantivyDocument::new();
            document.add_text(handles.id, &id);
            document.add_u64(handles.seq_no, seq_no);
            document.add_object(handles.values, values(source, &table));
            writer.add_document(document).expect("added");
            let source = source.to_string().into_bytes().into();
            documents.push(StoredDocument { id, seq_no, version: 1, routing: None, source });
        }
        writer.commit().expect("committed");
    }
    let view = IndexView {
        name: name.into(),
        searcher: index.reader().expect("a reader").searcher(),
        fields: Arc::new(handles),
        table: Arc::new(table),
        analyzers: Arc::new(Analyzers::builtin()),
        documents: Arc::new(Documents(documents)),
    };
    Target::new(view, None)
}

fn values(source: &Value, table: &FieldTable) -> BTreeMap<String, OwnedValue> {
    let empty = Map::new();
    source
        .as_object()
        .unwrap_or(&empty)
        .iter()
        .filter_map(|(name, value)| {
            let kind = &table.get(name)?.kind;
            let list: Vec<OwnedValue> = match value {
                Value::Array(items) => items.iter().filter_map(|item| owned(item, kind)).collect(),
                single => owned(single, kind).into_iter().collect(),
            };
            Some((name.clone(), OwnedValue::Array(list)))
        })
        .collect()
}

fn owned(value: &Value, kind: &FieldType) -> Option<OwnedValue> {
    match (value, kind) {
        (Value::Bool(flag), _) => Some(OwnedValue::Bool(*flag)),
        (Value::Number(number), FieldType::Float { .. }) => number.as_f64().map(OwnedValue::F64),
        (Value::Number(number), _) => number.as_i64().map(OwnedValue::I64),
        (Value::String(text), _) => Some(OwnedValue::Str(text.clone())),
        _ => None,
    }
}

/// Runs a search body.
pub(crate) fn search(targets: &[Target], body: &Value) -> Result<SearchResponse> {
    execute(targets, &SearchRequest::parse(body)?)
}

/// Ids of the hits.
pub(crate) fn ids(response: &SearchResponse) -> Vec<&str> {
    response.hits.iter().filter_map(|hit| hit.id.as_deref()).collect()
}
