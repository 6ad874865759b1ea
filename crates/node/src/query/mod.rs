//! Elasticsearch's query DSL: parsed into clauses, then compiled for one index.
//!
//! Parsing knows only the request: what it refuses is a bad request whatever the index. Compiling knows the mapping:
//! it turns names into fields, text into tokens and dates into numbers. One file per kind of clause.

mod automaton;
mod body;
mod bool_query;
mod boosting;
mod column_range;
mod constant_score;
mod dis_max;
mod exists;
mod expansion;
mod field;
mod fuzzy;
mod ids;
mod lucene_regex;
mod marks;
mod match_all;
mod match_bool_prefix;
mod match_phrase;
mod match_query;
mod minimum_should_match;
mod multi_match;
mod number;
mod phrase;
mod prefix;
mod query_string;
mod range;
mod regexp;
mod scoring;
mod simple_query_string;
mod statistics;
mod term;
mod terms;
mod text;
mod wildcard;

use std::fmt;

use serde_json::{Value, json};
use tantivy::query::Query;

use crate::analysis::Analyzers;
use crate::error::{ApiError, Result};
use crate::index::schema::Fields;
use crate::mapping::FieldTable;

pub(crate) use body::did_you_mean;
pub use marks::{Mark, Marks, What};
pub use query_string::uri_query;

/// What a query is compiled for.
#[derive(Debug, Clone, Copy)]
pub struct QueryContext<'a> {
    /// Fields of the mapping.
    pub table: &'a FieldTable,
    /// Handles into the schema.
    pub fields: &'a Fields,
    /// Analyzers the mapping names.
    pub analyzers: &'a Analyzers,
    /// What `now` means in date math: the same for a whole request.
    pub now_ms: i64,
    /// Name of the index, for `_index` and error messages.
    pub index: &'a str,
}

impl QueryContext<'_> {
    /// An error that this index has with the query, in Elasticsearch's words.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> ApiError {
        let mut error = ApiError::parsing(reason).with("index", json!(self.index));
        error.kind = "query_shard_exception";
        error
    }

    /// An error that this index has with the query: `query_shard_exception` with what caused it.
    pub(crate) fn failed(&self, cause: &ApiError) -> ApiError {
        self.refused(format!("failed to create query: {}", cause.reason)).with("caused_by", cause.cause())
    }
}

/// A parsed clause.
pub trait Clause: fmt::Debug + Send + Sync {
    /// The tantivy query for one index.
    ///
    /// # Errors
    /// 400 `query_shard_exception` or `parse_exception` when the values do not fit the mapping.
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>>;

    /// Collects what highlighting looks for.
    ///
    /// # Errors
    /// As [`Clause::compile`].
    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()>;
}

type Parser = fn(&Value) -> Result<Box<dyn Clause>>;

/// The clauses this node has, by name.
const CLAUSES: &[(&str, Parser)] = &[
    ("bool", bool_query::parse),
    ("boosting", boosting::parse),
    ("constant_score", constant_score::parse),
    ("dis_max", dis_max::parse),
    ("exists", exists::parse),
    ("fuzzy", fuzzy::parse),
    ("ids", ids::parse),
    ("match", match_query::parse),
    ("match_all", match_all::parse),
    ("match_bool_prefix", match_bool_prefix::parse),
    ("match_none", match_all::parse_none),
    ("match_phrase", match_phrase::parse),
    ("match_phrase_prefix", match_phrase::parse_prefix),
    ("multi_match", multi_match::parse),
    ("prefix", prefix::parse),
    ("query_string", query_string::parse),
    ("range", range::parse),
    ("regexp", regexp::parse),
    ("simple_query_string", simple_query_string::parse),
    ("term", term::parse),
    ("terms", terms::parse),
    ("wildcard", wildcard::parse),
];

/// Clauses Elasticsearch has and this node has not: named in the error, so that nobody looks for a typing mistake.
const UNSUPPORTED: &[&str] = &[
    "combined_fields",
    "distance_feature",
    "function_score",
    "geo_bounding_box",
    "geo_distance",
    "geo_grid",
    "geo_polygon",
    "geo_shape",
    "has_child",
    "has_parent",
    "intervals",
    "knn",
    "more_like_this",
    "nested",
    "parent_id",
    "percolate",
    "pinned",
    "rank_feature",
    "rule",
    "script",
    "script_score",
    "semantic",
    "shape",
    "span_containing",
    "span_field_masking",
    "span_first",
    "span_multi",
    "span_near",
    "span_not",
    "span_or",
    "span_term",
    "span_within",
    "sparse_vector",
    "terms_set",
    "text_expansion",
    "weighted_tokens",
    "wrapper",
];

/// Parses a query: an object with one member, the clause.
///
/// # Errors
/// 400 as Elasticsearch words it for unknown clauses and members and wrong types.
pub fn parse(query: &Value) -> Result<Box<dyn Clause>> {
    let Some(object) = query.as_object() else {
        return Err(ApiError::parsing("[_na] query malformed, must start with start_object"));
    };
    let mut members = object.iter();
    let Some((name, body)) = members.next() else {
        return Err(ApiError::illegal_argument("query malformed, empty clause found"));
    };
    let Some((_, parser)) = CLAUSES.iter().find(|(known, _)| known == name) else {
        return Err(unknown(name));
    };
    let clause = parser(body)?;
    if members.next().is_some() {
        return Err(ApiError::parsing(format!(
            "[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]"
        )));
    }
    Ok(clause)
}

fn unknown(name: &str) -> ApiError {
    if UNSUPPORTED.contains(&name) {
        return ApiError::parsing(format!("query [{name}] is not supported by this node"));
    }
    let hint = did_you_mean(name, CLAUSES.iter().map(|(known, _)| *known));
    ApiError::parsing(format!("unknown query [{name}]{hint}")).with(
        "caused_by",
        json!({ "type": "named_object_not_found_exception", "reason": format!("unknown field [{name}]") }),
    )
}

/// Parses and compiles a query.
///
/// # Errors
/// As [`parse`] and [`Clause::compile`].
pub fn compile(query: &Value, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
    parse(query)?.compile(context)
}

#[cfg(test)]
pub(crate) mod tests;
