//! `fields` and `docvalue_fields` of a hit: values by field, in the form of the mapping instead of the document's.

use axum::http::StatusCode;
use serde_json::{Map, Value};
use tantivy::SegmentReader;

use super::columns::Columns;
use super::keys::{check_doc_values, single};
use super::shard_failure;
use super::source::wildcard_match;
use crate::dates;
use crate::error::{ApiError, Result, token};
use crate::index::IndexView;
use crate::mapping::{FieldMapping, FieldType};
use crate::query::did_you_mean;

/// One entry of `fields` or `docvalue_fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPattern {
    /// Field path, `*` for any run of characters.
    pub field: String,
    /// `format` of dates.
    pub format: Option<String>,
}

impl FieldPattern {
    /// Reads the list under `key`: names, or objects with `field` and `format`.
    pub fn parse_list(key: &str, value: &Value) -> Result<Vec<Self>> {
        let Value::Array(entries) = value else {
            return Err(ApiError::parsing(format!("Unknown key for a {} in [{key}].", token(value))));
        };
        entries.iter().map(|entry| Self::parse(key, entry)).collect()
    }

    fn parse(key: &str, entry: &Value) -> Result<Self> {
        let object = match entry {
            Value::String(field) => return Ok(Self { field: field.clone(), format: None }),
            Value::Object(object) => object,
            other => {
                return Err(ApiError::parsing(format!(
                    "Expected a name or an object in [{key}] but found [{}]",
                    token(other)
                )));
            }
        };
        let (mut field, mut format) = (None, None);
        for (name, value) in object {
            match (name.as_str(), value) {
                ("field", Value::String(text)) => field = Some(text.clone()),
                ("format", Value::String(text)) => {
                    format = (text != "use_field_mapping").then(|| text.clone());
                }
                ("format", Value::Null) | ("include_unmapped", Value::Bool(false)) => {}
                ("include_unmapped", _) => {
                    return Err(ApiError::illegal_argument(format!(
                        "[include_unmapped] of [{key}] is not supported by this node"
                    )));
                }
                (other, _) => {
                    return Err(ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!(
                            "[fetch_field_and_format] unknown field [{other}]{}",
                            did_you_mean(other, ["field", "format", "include_unmapped"].into_iter())
                        ),
                    ));
                }
            }
        }
        let field = field
            .ok_or_else(|| ApiError::illegal_argument(format!("Required [field] in an entry of [{key}]")))?;
        Ok(Self { field, format })
    }
}

/// `fields`: values out of the source, through the mapping.
pub fn from_source(
    patterns: &[FieldPattern],
    view: &IndexView,
    source: &Value,
) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for pattern in patterns {
        for (name, mapping) in matching(pattern, view) {
            let print = Printer::new(mapping, pattern, &view.name)?;
            let mut values = Vec::new();
            values_at(source, &mapping.source_path, &mut |value| {
                if let Some(value) = print.source_value(value)? {
                    values.push(value);
                }
                Ok(())
            })?;
            if !values.is_empty() {
                fields.insert(name.to_owned(), Value::Array(values));
            }
        }
    }
    Ok(fields)
}

/// `docvalue_fields`: values out of the columns of a segment, which are sorted and, for keywords, distinct.
pub fn from_columns(
    patterns: &[FieldPattern],
    view: &IndexView,
    reader: &SegmentReader,
    doc: u32,
) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for pattern in patterns {
        for (name, mapping) in matching(pattern, view) {
            check_doc_values(mapping, &view.name).map_err(|error| shard_failure(&view.name, error))?;
            let print = Printer::new(mapping, pattern, &view.name)?;
            let values = print.column_values(&Columns::open(reader, &mapping.path)?, doc)?;
            if !values.is_empty() {
                fields.insert(name.to_owned(), Value::Array(values));
            }
        }
    }
    Ok(fields)
}

fn matching<'a>(pattern: &'a FieldPattern, view: &'a IndexView) -> Vec<(&'a str, &'a FieldMapping)> {
    if pattern.field.contains('*') {
        view.table
            .fields
            .keys()
            .filter(|path| wildcard_match(&pattern.field, path))
            .filter_map(|path| Some((path.as_str(), view.table.get(path)?.as_ref())))
            .collect()
    } else {
        view.table
            .get(&pattern.field)
            .map(|mapping| (pattern.field.as_str(), mapping.as_ref()))
            .into_iter()
            .collect()
    }
}

/// Calls `each` with every value under `path` of a document, however arrays and dotted keys are nested.
pub fn values_at<'a>(
    value: &'a Value,
    path: &str,
    each: &mut dyn FnMut(&'a Value) -> Result<()>,
) -> Result<()> {
    match value {
        Value::Array(items) => {
            for item in items {
                values_at(item, path, each)?;
            }
        }
        Value::Object(object) if !path.is_empty() => {
            for (key, inner) in object {
                if key == path {
                    values_at(inner, "", each)?;
                } else if let Some(rest) =
                    path.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.'))
                {
                    values_at(inner, rest, each)?;
                }
            }
        }
        leaf if path.is_empty() => each(leaf)?,
        _ => {}
    }
    Ok(())
}

/// How one field's values are written.
struct Printer<'a> {
    mapping: &'a FieldMapping,
    format: Option<&'a str>,
}

impl<'a> Printer<'a> {
    fn new(mapping: &'a FieldMapping, pattern: &'a FieldPattern, index: &str) -> Result<Self> {
        let is_date = matches!(mapping.kind, FieldType::Date { .. });
        if !is_date && pattern.format.is_some() {
            return Err(shard_failure(
                index,
                ApiError::illegal_argument(format!(
                    "error fetching [{}]: Field [{}] of type [{}] doesn't support formats.",
                    mapping.path, mapping.path, mapping.type_name
                )),
            ));
        }
        let own = match &mapping.kind {
            FieldType::Date { format } => format.as_deref(),
            _ => None,
        };
        Ok(Self { mapping, format: pattern.format.as_deref().or(own) })
    }

    /// `None` for values the mapping leaves out (null, malformed, past `ignore_above`).
    fn source_value(&self, value: &Value) -> Result<Option<Value>> {
        let value = match (value, &self.mapping.null_value) {
            (Value::Null, Some(null_value)) => null_value,
            (Value::Null, None) => return Ok(None),
            (value, _) => value,
        };
        Ok(match &self.mapping.kind {
            FieldType::Text | FieldType::Ip => Some(super::bare(value).into()),
            FieldType::Keyword => {
                let text = super::bare(value);
                let fits = self.mapping.ignore_above.is_none_or(|limit| text.chars().count() <= limit);
                fits.then(|| text.into())
            }
            FieldType::Integer { .. } => integer(value).map(Value::from),
            FieldType::Float { .. } => float(value).map(|float| self.float(float)),
            FieldType::Boolean => match value {
                Value::Bool(flag) => Some((*flag).into()),
                Value::String(text) => Some((text == "true").into()),
                _ => None,
            },
            FieldType::Date { format } => {
                let millis = match value {
                    Value::String(text) => dates::parse(text, format.as_deref()),
                    number => dates::parse(&number.to_string(), format.as_deref()),
                };
                match millis {
                    Ok(millis) => Some(dates::format(millis, self.format, None)?.into()),
                    Err(_) if self.mapping.ignore_malformed => None,
                    Err(error) => return Err(error),
                }
            }
            FieldType::Binary => Some(value.clone()),
            FieldType::Alias { .. } => None,
        })
    }

    fn column_values(&self, columns: &Columns, doc: u32) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        match &self.mapping.kind {
            FieldType::Integer { .. } => {
                let mut list = Vec::new();
                columns.numbers.integers(doc, |value| list.push(value));
                list.sort_unstable();
                values.extend(list.into_iter().map(Value::from));
            }
            FieldType::Boolean => {
                let mut list = Vec::new();
                columns.numbers.integers(doc, |value| list.push(value != 0));
                list.sort_unstable();
                values.extend(list.into_iter().map(Value::from));
            }
            FieldType::Float { .. } => {
                let mut list = Vec::new();
                columns.numbers.floats(doc, |value| list.push(value));
                list.sort_unstable_by(f64::total_cmp);
                values.extend(list.into_iter().map(|value| self.float(value)));
            }
            FieldType::Date { .. } => {
                let mut list = Vec::new();
                columns.numbers.integers(doc, |value| list.push(value));
                list.sort_unstable();
                for millis in list {
                    values.push(dates::format(millis, self.format, None)?.into());
                }
            }
            FieldType::Keyword | FieldType::Ip => {
                if let Some(column) = &columns.strings {
                    let mut ordinals: Vec<u64> = column.term_ords(doc).collect();
                    ordinals.sort_unstable();
                    ordinals.dedup();
                    for ordinal in ordinals {
                        let mut text = String::new();
                        column.ord_to_str(ordinal, &mut text).map_err(ApiError::internal)?;
                        values.push(text.into());
                    }
                }
            }
            FieldType::Text | FieldType::Binary | FieldType::Alias { .. } => {}
        }
        Ok(values)
    }

    fn float(&self, value: f64) -> Value {
        if matches!(self.mapping.type_name.as_str(), "float" | "half_float") {
            single(value)
        } else {
            value.into()
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => {
            text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().map(|float| float as i64))
        }
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_through_arrays_and_dotted_keys() {
        let document = json!({"a": [{"b": 1}, {"b": [2, 3]}], "a.b": 4, "c": {"d": null}});
        let mut found = Vec::new();
        values_at(&document, "a.b", &mut |value| {
            found.push(value.clone());
            Ok(())
        })
        .expect("no refusal");
        assert_eq!(found, [json!(1), json!(2), json!(3), json!(4)]);
    }

    #[test]
    fn entries_are_names_or_objects() {
        let list = FieldPattern::parse_list("fields", &json!(["a", {"field": "b", "format": "yyyy"}]))
            .expect("valid");
        assert_eq!(list[1], FieldPattern { field: "b".into(), format: Some("yyyy".into()) });
        assert!(FieldPattern::parse_list("fields", &json!("a")).is_err());
        assert!(FieldPattern::parse_list("fields", &json!([{"field": "b", "x": 1}])).is_err());
        assert!(FieldPattern::parse_list("fields", &json!([{"format": "yyyy"}])).is_err());
    }
}
