//! A small index in memory, built from documents the way the node builds them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tantivy::collector::TopDocs;
use tantivy::query::Query;
use tantivy::schema::{OwnedValue, TantivyDocument};
use tantivy::{Index, IndexWriter, Searcher};

use crate::analysis::{Analyzers, VALUE_SEPARATOR};
use crate::dates;
use crate::error::Result;
use crate::index::encode_tokens;
use crate::index::schema::{Fields, register_tokenizers, schema};
use crate::mapping::{FieldMapping, FieldTable, FieldType};
use crate::query::{QueryContext, compile};

pub struct Fixture {
    searcher: Searcher,
    fields: Fields,
    table: FieldTable,
    analyzers: Analyzers,
    ids: Vec<String>,
}

pub fn field(path: &str, type_name: &str, slot: Option<usize>) -> FieldMapping {
    let kind = match type_name {
        "text" => FieldType::Text,
        "keyword" => FieldType::Keyword,
        "long" => FieldType::Integer { min: i64::MIN, max: i64::MAX },
        "byte" => FieldType::Integer { min: -128, max: 127 },
        "double" => FieldType::Float { scaling_factor: None },
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date { format: None },
        "ip" => FieldType::Ip,
        other => panic!("no such type in this fixture: {other}"),
    };
    FieldMapping {
        path: path.to_owned(),
        source_path: path.trim_end_matches(".keyword").to_owned(),
        type_name: type_name.to_owned(),
        kind,
        indexed: true,
        doc_values: true,
        ignore_above: None,
        analyzer: "standard".into(),
        search_analyzer: "standard".into(),
        null_value: None,
        coerce: true,
        ignore_malformed: false,
        copy_to: Vec::new(),
        slot,
    }
}

impl Fixture {
    /// Fields as (path, type); documents as (id, source). Text takes slots in order; a type `text overflow` none.
    pub fn new(mapping: &[(&str, &str)], documents: &[(&str, Value)]) -> Self {
        let (schema, fields) = schema();
        let mut table = FieldTable::default();
        let mut slots = 0..;
        for (path, type_name) in mapping {
            let (type_name, slot) = match *type_name {
                "text" => ("text", slots.next()),
                "text overflow" => ("text", None),
                other => (other, None),
            };
            table.fields.insert((*path).to_owned(), Arc::new(field(path, type_name, slot)));
            if let Some((parent, _)) = path.rsplit_once('.').filter(|_| !path.ends_with(".keyword")) {
                table.objects.insert(parent.to_owned());
            }
        }
        let index = Index::create_in_ram(schema);
        register_tokenizers(&index);
        let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
        for (seq_no, (id, source)) in documents.iter().enumerate() {
            writer.add_document(document(&fields, &table, seq_no, id, source)).unwrap();
        }
        writer.commit().unwrap();
        let searcher = index.reader().unwrap().searcher();
        let ids = documents.iter().map(|(id, _)| (*id).to_owned()).collect();
        Self { searcher, fields, table, analyzers: Analyzers::builtin(), ids }
    }

    /// From a file of `tools/record-answers`.
    pub fn recorded(recorded: &Value) -> Self {
        let pairs: Vec<(String, String)> = serde_json::from_value(recorded["mapping"].clone()).unwrap();
        let mapping: Vec<(&str, &str)> =
            pairs.iter().map(|(path, kind)| (path.as_str(), kind.as_str())).collect();
        let documents: Vec<(&str, Value)> = recorded["documents"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, source)| (id.as_str(), source.clone()))
            .collect();
        Self::new(&mapping, &documents)
    }

    pub fn context(&self) -> QueryContext<'_> {
        QueryContext {
            table: &self.table,
            fields: &self.fields,
            analyzers: &self.analyzers,
            now_ms: dates::parse("2024-06-15T12:00:00Z", None).unwrap(),
            index: "recorded-answers",
        }
    }

    /// Ids and scores, best first.
    pub fn scored(&self, query: &Value) -> Vec<(String, f32)> {
        self.try_scored(query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    pub fn compile(&self, query: &Value) -> Result<Box<dyn Query>> {
        compile(query, &self.context())
    }

    /// As [`Fixture::scored`].
    pub fn try_scored(&self, query: &Value) -> Result<Vec<(String, f32)>> {
        let query = self.compile(query)?;
        let hits = self.searcher.search(query.as_ref(), &TopDocs::with_limit(1000).order_by_score()).unwrap();
        Ok(hits
            .into_iter()
            .map(|(score, address)| (self.ids[address.doc_id as usize].clone(), score))
            .collect())
    }

    /// Ids in order of the documents, separated by blanks.
    pub fn ids(&self, query: &Value) -> String {
        let mut hits: Vec<String> = self.scored(query).into_iter().map(|(id, _)| id).collect();
        hits.sort();
        hits.join(" ")
    }

    /// The error's reason.
    pub fn refused(&self, query: &Value) -> String {
        match compile(query, &self.context()) {
            Ok(_) => panic!("{query} was accepted"),
            Err(error) => {
                assert_eq!(error.status, 400);
                error.reason
            }
        }
    }
}

fn document(fields: &Fields, table: &FieldTable, seq_no: usize, id: &str, source: &Value) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_text(fields.id, id);
    document.add_u64(fields.seq_no, seq_no as u64);
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut values = serde_json::Map::new();
    let mut overflow = serde_json::Map::new();
    for field in table.fields.values() {
        let pointer = format!("/{}", field.source_path.replace('.', "/"));
        let found = match source.pointer(&pointer) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) if items.is_empty() => continue,
            Some(Value::Array(items)) => items.clone(),
            Some(value) => vec![value.clone()],
        };
        names.insert(field.path.clone());
        let mut parent = field.path.as_str();
        while let Some((above, _)) = parent.rsplit_once('.') {
            names.insert(above.to_owned());
            parent = above;
        }
        match field.kind {
            FieldType::Text => {
                let texts: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
                if let Some(slot) = field.slot {
                    document.add_text(fields.text[slot], texts.join(&VALUE_SEPARATOR.to_string()));
                } else {
                    let analyzer = Analyzers::builtin().get("standard").unwrap();
                    let tokens = encode_tokens(&analyzer.pre_tokenized(texts));
                    overflow.insert(field.path.clone(), json!(tokens));
                }
            }
            FieldType::Date { .. } => {
                let ms: Vec<i64> = found
                    .iter()
                    .map(|value| dates::parse(&crate::query::field::string_value(value), None).unwrap())
                    .collect();
                values.insert(field.path.clone(), json!(ms));
            }
            FieldType::Keyword => {
                // A set, as in Elasticsearch.
                let mut set: Vec<Value> = Vec::new();
                for value in found {
                    if !set.contains(&value) {
                        set.push(value);
                    }
                }
                values.insert(field.path.clone(), Value::Array(set));
            }
            _ => {
                values.insert(field.path.clone(), Value::Array(found));
            }
        }
    }
    let object = |map: serde_json::Map<String, Value>| -> std::collections::BTreeMap<String, OwnedValue> {
        map.into_iter().map(|(key, value)| (key, owned(&value))).collect()
    };
    document.add_object(fields.values, object(values));
    document.add_object(fields.text_overflow, object(overflow));
    for name in names {
        document.add_text(fields.field_names, name);
    }
    document
}

fn owned(value: &Value) -> OwnedValue {
    match value {
        Value::String(text) => OwnedValue::Str(text.clone()),
        Value::Bool(value) => OwnedValue::Bool(*value),
        Value::Array(items) => OwnedValue::Array(items.iter().map(owned).collect()),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| OwnedValue::F64(number.as_f64().unwrap()), OwnedValue::I64)
        }
        _ => OwnedValue::Null,
    }
}
