//! Highlighting: fragments of a hit's fields with the matches tagged, as Elasticsearch's `unified` highlighter.

mod breaks;
mod find;
mod passages;
mod request;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::analysis::Analyzer;
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};
use crate::query::{Clause, Marks, QueryContext, What};
use passages::{Cut, Found, Passage, passages};
pub use request::Highlight;
use request::{Encoder, Options};

/// `index.highlight.max_analyzed_offset`: longer texts are refused unless the request sets a limit.
const MOST_ANALYZED: usize = 1_000_000;

/// A `highlight` request made ready for one index.
#[derive(Debug)]
pub struct Highlighter {
    fields: Vec<FieldHighlighter>,
    index: String,
}

#[derive(Debug)]
struct FieldHighlighter {
    /// Key in the answer.
    name: String,
    field: Arc<FieldMapping>,
    analyzer: Option<Arc<Analyzer>>,
    whats: Vec<What>,
    options: Options,
}

impl Highlight {
    /// Finds the fields meant and what `query` looks for in them.
    ///
    /// # Errors
    /// 400 when the highlight query does not fit the mapping.
    pub fn prepare(&self, query: Option<&dyn Clause>, context: &QueryContext<'_>) -> Result<Highlighter> {
        let mut marks = Marks::default();
        if let Some(query) = query {
            query.marks(context, &mut marks)?;
        }
        let mut fields: Vec<FieldHighlighter> = Vec::new();
        for (pattern, options) in self.fields() {
            let own;
            let marks = match &options.highlight_query {
                None => &marks,
                Some(query) => {
                    let mut collected = Marks::default();
                    query.marks(context, &mut collected)?;
                    own = collected;
                    &own
                }
            };
            let mut matching = context.fields_like(pattern);
            matching.retain(|field| matches!(field.kind, FieldType::Text | FieldType::Keyword));
            for field in matching {
                let name = if pattern.contains('*') { field.path.clone() } else { pattern.clone() };
                if fields.iter().any(|other| other.name == name) {
                    continue;
                }
                let whats = marks
                    .list
                    .iter()
                    .filter(|mark| !options.require_field_match || mark.field == field.path)
                    .map(|mark| mark.what.clone())
                    .collect();
                let analyzer = match field.kind {
                    FieldType::Text => Some(context.analyzer_named("highlight", &field.analyzer)?),
                    _ => None,
                };
                fields.push(FieldHighlighter { name, field, analyzer, whats, options: options.clone() });
            }
        }
        Ok(Highlighter { fields, index: context.index.to_owned() })
    }
}

impl Highlighter {
    /// The `highlight` object of a hit; `None` when no field has anything to show.
    ///
    /// # Errors
    /// 400 when a text is longer than may be analysed.
    pub fn highlight(&self, id: &str, source: &Value) -> Result<Option<Map<String, Value>>> {
        let mut answer = Map::new();
        for field in &self.fields {
            let mut values = Vec::new();
            collect(source, &field.field.source_path, &mut values);
            if let Some(ignore_above) = field.field.ignore_above {
                values.retain(|value| value.chars().count() <= ignore_above);
            }
            let fragments = field.fragments(values, |length| self.too_long(id, &field.name, length))?;
            if !fragments.is_empty() {
                answer.insert(field.name.clone(), fragments.into());
            }
        }
        Ok((!answer.is_empty()).then_some(answer))
    }

    fn too_long(&self, id: &str, field: &str, length: usize) -> ApiError {
        ApiError::illegal_argument(format!(
            "The length [{length}] of field [{field}] in doc[{id}]/index[{}] exceeds the [index.highlight.max_analyzed_offset] limit [{MOST_ANALYZED}]. To avoid this error, set the query parameter [max_analyzed_offset] to a value less than index setting [{MOST_ANALYZED}] and this will tolerate long field values by truncating them.",
            self.index
        ))
        .with("index", json!(self.index))
    }
}

/// The values under a dotted path, through arrays and objects, as text.
fn collect(value: &Value, path: &str, values: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, values)),
        Value::Object(_) if path.is_empty() => {}
        Value::Object(members) => {
            // A name may itself have dots: every split that leads somewhere counts.
            for (key, inner) in members {
                if key == path {
                    collect(inner, "", values);
                } else if let Some(rest) =
                    path.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.'))
                {
                    collect(inner, rest, values);
                }
            }
        }
        Value::Null => {}
        _ if !path.is_empty() => {}
        Value::String(text) => values.push(text.clone()),
        other => values.push(other.to_string()),
    }
}

impl FieldHighlighter {
    fn fragments(
        &self,
        mut values: Vec<String>,
        too_long: impl Fn(usize) -> ApiError,
    ) -> Result<Vec<String>> {
        let length = values.iter().map(|value| value.len() + 1).sum::<usize>().saturating_sub(1);
        let limit = self.options.max_analyzed_offset.map(|limit| limit.min(MOST_ANALYZED));
        // Only text is analysed; keywords are one token each.
        if limit.is_none() && length > MOST_ANALYZED && self.analyzer.is_some() {
            let characters =
                values.iter().map(|value| value.chars().count() + 1).sum::<usize>().saturating_sub(1);
            if characters > MOST_ANALYZED {
                return Err(too_long(characters));
            }
        }
        let mut analyzed = values.clone();
        if let Some(mut left) = limit {
            for value in &mut analyzed {
                let end = value.char_indices().nth(left).map_or(value.len(), |(offset, _)| offset);
                value.truncate(end);
                left -= value.chars().count().min(left);
            }
        }
        let found: Vec<Vec<Found>> =
            analyzed.iter().map(|value| find::find(value, self.analyzer.as_ref(), &self.whats)).collect();
        drop(analyzed);
        if found.iter().all(Vec::is_empty) {
            return Ok(self.without_match(&mut values));
        }
        let texts: Vec<Vec<char>> = values.iter().map(|value| value.chars().collect()).collect();
        let cut = match (self.options.number_of_fragments, self.options.by_word) {
            (0, _) => Cut::Whole,
            (_, true) => Cut::Words,
            (_, false) => Cut::Sentences(self.options.fragment_size),
        };
        let limit = match self.options.number_of_fragments {
            0 => usize::MAX,
            limit => limit,
        };
        let mut passages = passages(&texts, &found, cut, limit);
        if self.options.order_by_score {
            passages.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(passages.iter().map(|passage| self.tagged(&texts[passage.value], passage)).collect())
    }

    fn without_match(&self, values: &mut Vec<String>) -> Vec<String> {
        if self.options.no_match_size == 0 || values.is_empty() {
            return Vec::new();
        }
        values.retain(|value| !value.is_empty());
        let Some(first) = values.first() else { return Vec::new() };
        let end = breaks::following(&breaks::words(first), self.options.no_match_size);
        let text: String = match end {
            Some(end) if first.chars().count() > self.options.no_match_size => {
                first.chars().take(end).collect()
            }
            _ => first.clone(),
        };
        let mut out = String::new();
        self.encode(text.trim(), &mut out);
        vec![out]
    }

    fn encode(&self, text: &str, out: &mut String) {
        match self.options.encoder {
            Encoder::Plain => out.push_str(text),
            Encoder::Html => {
                for c in text.chars() {
                    match c {
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '&' => out.push_str("&amp;"),
                        '"' => out.push_str("&quot;"),
                        '\'' => out.push_str("&#x27;"),
                        '/' => out.push_str("&#x2F;"),
                        c => out.push(c),
                    }
                }
            }
        }
    }

    fn tagged(&self, text: &[char], passage: &Passage) -> String {
        let mut out = String::new();
        let mut at = passage.start;
        let part = |from: usize, to: usize| text[from..to.min(text.len())].iter().collect::<String>();
        for found in &passage.found {
            if found.start > at {
                self.encode(&part(at, found.start), &mut out);
            }
            if found.end > at {
                out.push_str(&self.options.pre_tag);
                self.encode(&part(at.max(found.start), found.end), &mut out);
                out.push_str(&self.options.post_tag);
                at = found.end;
            }
        }
        if at < passage.end {
            self.encode(&part(at, passage.end), &mut out);
        }
        if self.options.number_of_fragments == 0 { out } else { out.trim().to_owned() }
    }
}

#[cfg(test)]
mod tests;
