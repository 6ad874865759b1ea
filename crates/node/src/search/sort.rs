//! The `sort` of a search: what to order by.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::error::{ApiError, Result, token};
use crate::query::did_you_mean;

/// One level of the sort.
#[derive(Debug, Clone, PartialEq)]
pub struct SortSpec {
    /// What is compared.
    pub key: SortKey,
    /// `desc`.
    pub descending: bool,
}

/// What one level compares.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// `_score`.
    Score,
    /// `_doc`: the order in which documents were written.
    Doc,
    /// `_shard_doc`: index, then [`SortKey::Doc`]; unique within a point in time.
    ShardDoc,
    /// `_seq_no`.
    SeqNo,
    /// A field with doc values.
    Field(FieldSort),
}

/// A field and how its values become one.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSort {
    /// Path of the field.
    pub field: String,
    /// `missing`.
    pub missing: Missing,
    /// `mode`; `None` is `min` ascending and `max` descending.
    pub mode: Option<Mode>,
    /// `unmapped_type`: an index without the field sorts as if no document had it.
    pub unmapped_type: Option<String>,
    /// `format` of dates in the sort values.
    pub format: Option<String>,
}

/// Where documents without a value go.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// `_first`.
    First,
    /// `_last`.
    Last,
    /// As if they had this value.
    Literal(Value),
}

/// Which of several values counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// Their median.
    Median,
}

/// Reads the `sort` of a body: a name, an object, or a list of these.
pub fn parse(sort: &Value) -> Result<Vec<SortSpec>> {
    let mut specs = Vec::new();
    match sort {
        Value::Array(levels) => {
            for level in levels {
                parse_level(level, &mut specs)?;
            }
        }
        level => parse_level(level, &mut specs)?,
    }
    Ok(without_plain_score(specs))
}

/// Reads the `sort` of a URL: `field`, `field:asc`, separated by commas.
pub fn parse_url(sort: &str) -> Result<Vec<SortSpec>> {
    let mut specs = Vec::new();
    for level in sort.split(',').filter(|level| !level.is_empty()) {
        match level.rsplit_once(':') {
            Some((field, order)) => {
                specs.push(field_or_meta(field, Some(direction(order)?), FieldOptions::default())?);
            }
            None => specs.push(field_or_meta(level, None, FieldOptions::default())?),
        }
    }
    Ok(without_plain_score(specs))
}

/// Sorting by descending score alone is the default order, and is answered like it (no `sort` in the hits).
fn without_plain_score(specs: Vec<SortSpec>) -> Vec<SortSpec> {
    match specs.as_slice() {
        [SortSpec { key: SortKey::Score, descending: true }] => Vec::new(),
        _ => specs,
    }
}

fn parse_level(level: &Value, specs: &mut Vec<SortSpec>) -> Result<()> {
    match level {
        Value::String(name) => specs.push(field_or_meta(name, None, FieldOptions::default())?),
        Value::Object(fields) => {
            for (name, options) in fields {
                specs.push(match options {
                    Value::String(order) => {
                        field_or_meta(name, Some(direction(order)?), FieldOptions::default())?
                    }
                    Value::Object(options) => {
                        let (order, options) = FieldOptions::parse(name, options)?;
                        field_or_meta(name, order, options)?
                    }
                    _ => return Err(malformed()),
                });
            }
        }
        _ => return Err(malformed()),
    }
    Ok(())
}

fn malformed() -> ApiError {
    ApiError::illegal_argument(
        "malformed sort format, within the sort array, an object, or an actual string are allowed",
    )
}

fn direction(order: &str) -> Result<bool> {
    match order.to_ascii_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(ApiError::illegal_argument(format!(
            "No enum constant org.elasticsearch.search.sort.SortOrder.{}",
            order.to_uppercase()
        ))),
    }
}

/// Options of a field, for the nearest one in an error.
const OPTIONS: [&str; 8] =
    ["order", "missing", "mode", "unmapped_type", "format", "numeric_type", "nested", "nested_path"];

#[derive(Debug, Default)]
struct FieldOptions {
    missing: Option<Missing>,
    mode: Option<Mode>,
    unmapped_type: Option<String>,
    format: Option<String>,
}

impl FieldOptions {
    fn parse(field: &str, options: &Map<String, Value>) -> Result<(Option<bool>, Self)> {
        let mut order = None;
        let mut parsed = Self::default();
        for (name, value) in options {
            let text = || {
                value.as_str().ok_or_else(|| {
                    ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!("[field_sort] {name} doesn't support values of type: {}", token(value)),
                    )
                })
            };
            match name.as_str() {
                "order" => order = Some(direction(text()?)?),
                "missing" => {
                    parsed.missing = Some(match value.as_str() {
                        Some("_first") => Missing::First,
                        Some("_last") => Missing::Last,
                        _ => Missing::Literal(value.clone()),
                    });
                }
                "mode" => {
                    parsed.mode = Some(match text()?.to_ascii_lowercase().as_str() {
                        "min" => Mode::Min,
                        "max" => Mode::Max,
                        "sum" => Mode::Sum,
                        "avg" => Mode::Avg,
                        "median" => Mode::Median,
                        other => {
                            return Err(ApiError::new(
                                StatusCode::BAD_REQUEST,
                                "x_content_parse_exception",
                                "[field_sort] failed to parse field [mode]",
                            )
                            .because("illegal_argument_exception", format!("Unknown SortMode [{other}]")));
                        }
                    });
                }
                "unmapped_type" => parsed.unmapped_type = Some(text()?.to_owned()),
                "format" => parsed.format = Some(text()?.to_owned()),
                "nested" | "nested_path" | "nested_filter" | "numeric_type" => {
                    return Err(ApiError::illegal_argument(format!(
                        "[{name}] of the sort on [{field}] is not supported by this node"
                    )));
                }
                other => {
                    return Err(ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!(
                            "[field_sort] unknown field [{other}]{}",
                            did_you_mean(other, OPTIONS.into_iter())
                        ),
                    ));
                }
            }
        }
        Ok((order, parsed))
    }
}

fn field_or_meta(name: &str, descending: Option<bool>, options: FieldOptions) -> Result<SortSpec> {
    let key = match name {
        "_score" => SortKey::Score,
        "_doc" => SortKey::Doc,
        "_shard_doc" => SortKey::ShardDoc,
        "_seq_no" => SortKey::SeqNo,
        "_script" | "_geo_distance" | "_geoDistance" => {
            return Err(ApiError::illegal_argument(format!(
                "sorting by [{name}] is not supported by this node"
            )));
        }
        field => SortKey::Field(FieldSort {
            field: field.to_owned(),
            missing: options.missing.unwrap_or(Missing::Last),
            mode: options.mode,
            unmapped_type: options.unmapped_type,
            format: options.format,
        }),
    };
    let descending = descending.unwrap_or(key == SortKey::Score);
    Ok(SortSpec { key, descending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reason(sort: &Value) -> String {
        parse(sort).expect_err("must be refused").reason
    }

    #[test]
    fn every_way_of_writing_a_sort_is_read() {
        let specs = parse(&json!(["a", {"b": "desc"}, {"c": {"order": "DESC", "missing": "_first", "mode": "sum"}}, "_score"]))
            .expect("valid");
        assert_eq!(specs.iter().map(|spec| spec.descending).collect::<Vec<_>>(), [false, true, true, true]);
        assert_eq!(specs[3].key, SortKey::Score);
        let SortKey::Field(field) = &specs[2].key else { panic!("a field") };
        assert_eq!((&field.missing, field.mode), (&Missing::First, Some(Mode::Sum)));
        assert_eq!(parse_url("a:desc,_doc").expect("valid").len(), 2);
    }

    #[test]
    fn the_score_alone_is_the_default_order() {
        assert_eq!(parse(&json!("_score")).expect("valid"), []);
        assert_eq!(parse(&json!({"_score": "asc"})).expect("valid").len(), 1);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert!(reason(&json!([{"a": {"ordr": "asc"}}])).contains("unknown field [ordr]"));
        assert!(reason(&json!([{"a": "up"}])).contains("SortOrder.UP"));
        assert!(reason(&json!([{"_script": {}}])).contains("_script"));
        assert!(reason(&json!([1])).contains("malformed sort format"));
    }
}
