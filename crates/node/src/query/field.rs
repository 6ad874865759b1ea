//! From a field's name to the terms of the index.

use std::sync::Arc;

use serde_json::Value;
use tantivy::Term;
use tantivy::query::{Query, TermQuery};
use tantivy::schema::IndexRecordOption;

use super::number::{self, Wanted};
use super::statistics::{FieldScored, Source};
use super::{QueryContext, range, scoring};
use crate::analysis::Analyzer;
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// What a name in a query means.
#[derive(Debug, Clone)]
pub enum Named {
    /// A field of the mapping.
    Mapped(Arc<FieldMapping>),
    /// `_id`.
    Id,
    /// `_index`.
    Index,
    /// `_seq_no`.
    SeqNo,
    /// Nothing: no hits, as in Elasticsearch.
    Unmapped,
}

impl QueryContext<'_> {
    /// The meaning of `name`.
    pub(crate) fn named(&self, name: &str) -> Named {
        match name {
            "_id" => Named::Id,
            "_index" => Named::Index,
            "_seq_no" => Named::SeqNo,
            _ => self.table.get(name).map_or(Named::Unmapped, |field| Named::Mapped(field.clone())),
        }
    }

    /// Searchable fields of the mapping whose names fit a pattern with `*`; only those when the name has none.
    pub(crate) fn fields_like(&self, pattern: &str) -> Vec<Arc<FieldMapping>> {
        if !pattern.contains('*') {
            return self.table.get(pattern).cloned().into_iter().collect();
        }
        self.table
            .fields
            .iter()
            .filter(|(path, field)| {
                wildcard_fits(pattern, path)
                    && !matches!(field.kind, FieldType::Alias { .. } | FieldType::Binary)
            })
            .map(|(_, field)| field.clone())
            .collect()
    }

    /// The analyzer `name` of a clause.
    pub(crate) fn analyzer_named(&self, query: &str, name: &str) -> Result<Arc<Analyzer>> {
        self.analyzers.get(name).ok_or_else(|| self.refused(format!("[{query}] analyzer [{name}] not found")))
    }

    /// The analyzer for query text in `field`; anything but text is one token.
    pub(crate) fn search_analyzer(&self, field: &FieldMapping) -> Result<Arc<Analyzer>> {
        let name = if field.kind == FieldType::Text { field.search_analyzer.as_str() } else { "keyword" };
        self.analyzer_named("match", name)
    }

    /// Term of a token of a text field, or of a string of a keyword or IP field.
    pub(crate) fn string_term(&self, field: &FieldMapping, text: &str) -> Term {
        match (&field.kind, field.slot) {
            (FieldType::Text, Some(slot)) => Term::from_field_text(self.fields.text[slot], text),
            (FieldType::Text, None) => {
                let mut term = json_path(self.fields.text_overflow, &field.path);
                term.append_type_and_str(text);
                term
            }
            _ => {
                let mut term = self.value_path(&field.path);
                term.append_type_and_str(text);
                term
            }
        }
    }

    /// A term of the values field without its value.
    pub(crate) fn value_path(&self, path: &str) -> Term {
        json_path(self.fields.values, path)
    }

    /// The term that says `path` is present.
    pub(crate) fn presence(&self, path: &str) -> Term {
        Term::from_field_text(self.fields.field_names, path)
    }

    /// What BM25 is computed over in `field`.
    pub(crate) fn scoring_source(&self, field: &FieldMapping) -> Source {
        match (&field.kind, field.slot) {
            (FieldType::Text, Some(_)) => Source::Text { present: self.presence(&field.path) },
            (FieldType::Text, None) => Source::Overflow { present: self.presence(&field.path) },
            _ => Source::Column { path: field.path.clone() },
        }
    }

    /// A scored query for one term of `field`.
    pub(crate) fn scored_term(&self, field: &FieldMapping, term: Term) -> Box<dyn Query> {
        let query = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
        Box::new(FieldScored::new(query, self.scoring_source(field)))
    }

    /// Refuses fields that the mapping keeps out of the index.
    pub(crate) fn check_searchable(&self, field: &FieldMapping) -> Result<()> {
        let text = field.kind == FieldType::Text;
        if field.kind == FieldType::Binary {
            let reason = "Binary fields do not support searching".to_owned();
            return Err(self.failed(&ApiError::illegal_argument(reason)));
        }
        if field.indexed || (!text && field.doc_values) {
            return Ok(());
        }
        let more = if text { "" } else { " nor has doc values" };
        let reason = format!("Cannot search on field [{}] since it is not indexed{more}.", field.path);
        Err(self.failed(&ApiError::illegal_argument(reason)))
    }

    /// A `term` lookup of `value` in whatever `name` is. `case_insensitive` counts for strings only, as in
    /// Elasticsearch.
    pub(crate) fn term_query(
        &self,
        name: &str,
        value: &Value,
        case_insensitive: bool,
    ) -> Result<Box<dyn Query>> {
        match self.named(name) {
            Named::Unmapped => Ok(scoring::none()),
            Named::Id => Ok(self.ids(&[string_value(value)])),
            Named::Index => {
                let wanted = string_value(value);
                let fits = if case_insensitive {
                    wildcard_fits(&wanted.to_lowercase(), self.index)
                } else {
                    wildcard_fits(&wanted, self.index)
                };
                Ok(if fits { scoring::all() } else { scoring::none() })
            }
            Named::SeqNo => {
                let wanted = number::whole(value, i64::MIN, i64::MAX).map_err(|error| self.failed(&error))?;
                Ok(match wanted {
                    Wanted::Value(value) if value >= 0 => {
                        let term = Term::from_field_u64(self.fields.seq_no, value.unsigned_abs());
                        scoring::constant(Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
                    }
                    _ => scoring::none(),
                })
            }
            Named::Mapped(field) => self.term_of_field(&field, value, case_insensitive),
        }
    }

    fn term_of_field(
        &self,
        field: &FieldMapping,
        value: &Value,
        case_insensitive: bool,
    ) -> Result<Box<dyn Query>> {
        self.check_searchable(field)?;
        let fail = |error: ApiError| self.failed(&error);
        match &field.kind {
            FieldType::Text | FieldType::Keyword => {
                let text = string_value(value);
                if case_insensitive {
                    return super::automaton::exact_ignoring_case(self, field, &text);
                }
                Ok(self.scored_term(field, self.string_term(field, &text)))
            }
            FieldType::Ip => range::ip_term(self, field, &string_value(value)),
            FieldType::Boolean => {
                let mut term = self.value_path(&field.path);
                term.append_type_and_fast_value(number::boolean(value).map_err(fail)?);
                Ok(self.scored_term(field, term))
            }
            FieldType::Integer { min, max } => Ok(match number::whole(value, *min, *max).map_err(fail)? {
                Wanted::Value(value) => self.number_term(&field.path, value),
                Wanted::Nothing => scoring::none(),
            }),
            FieldType::Float { .. } => {
                let value = number::decimal(value).map_err(fail)?;
                Ok(self.decimal_term(&field.path, field.round(value)))
            }
            FieldType::Date { .. } => range::date_term(self, field, &string_value(value)),
            FieldType::Binary | FieldType::Alias { .. } => Ok(scoring::none()),
        }
    }

    /// Documents with exactly this whole number, score 1.
    pub(crate) fn number_term(&self, path: &str, value: i64) -> Box<dyn Query> {
        let mut term = self.value_path(path);
        term.append_type_and_fast_value(value);
        scoring::constant(Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
    }

    /// Documents with exactly this number, score 1. The index holds integral floats as whole numbers.
    pub(crate) fn decimal_term(&self, path: &str, value: f64) -> Box<dyn Query> {
        #[expect(clippy::cast_possible_truncation, reason = "checked by the bounds")]
        if value.fract() == 0.0 && value.abs() < 9.0e18 {
            return self.number_term(path, value as i64);
        }
        let mut term = self.value_path(path);
        term.append_type_and_fast_value(value);
        scoring::constant(Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
    }

    /// Documents with one of these `_id`s, score 1.
    pub(crate) fn ids(&self, ids: &[String]) -> Box<dyn Query> {
        if ids.is_empty() {
            return scoring::none();
        }
        let terms = ids.iter().map(|id| Term::from_field_text(self.fields.id, id));
        scoring::constant(Box::new(tantivy::query::TermSetQuery::new(terms)))
    }
}

fn json_path(field: tantivy::schema::Field, path: &str) -> Term {
    // A backslash in a name would be read as an escape.
    Term::from_field_json_path(field, &path.replace('\\', r"\\"), true)
}

/// What a value is when looked up as a string.
pub fn string_value(value: &Value) -> String {
    super::body::text(value).unwrap_or_default()
}

/// `*` fits any run of characters, everything else itself.
pub fn wildcard_fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
