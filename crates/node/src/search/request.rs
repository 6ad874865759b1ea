//! The body of a search, read and checked: what is not known is refused in Elasticsearch's words.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Value;

use super::fields::FieldPattern;
use super::sort::{self, SortSpec};
use super::source::SourceFilter;
use crate::aggs::Aggregations;
use crate::error::{ApiError, Result, token};
use crate::highlight::Highlight;
use crate::query::{self, Clause};

/// Most hits a page may reach to, where `index.max_result_window` says nothing else.
pub const RESULT_WINDOW: usize = 10_000;

/// Keys of a search body that Elasticsearch knows and this node does not have.
const UNSUPPORTED: [&str; 12] = [
    "rescore",
    "suggest",
    "collapse",
    "knn",
    "rank",
    "retriever",
    "script_fields",
    "runtime_mappings",
    "indices_boost",
    "ext",
    "explain",
    "profile",
];

/// How far matches are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackTotal {
    /// All of them.
    Exact,
    /// Up to this many; past it the answer is a lower bound (`gte`).
    UpTo(u64),
    /// Not at all.
    Off,
}

/// `stored_fields`. The node stores no fields but the source, so that only its side effects remain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredFields {
    /// Not given.
    #[default]
    Unset,
    /// `_none_`: neither `_id` nor `_source`.
    Nothing,
    /// A list: no `_source` unless it is asked for.
    Listed,
}

/// The point in time a search runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PitReference {
    /// Its id.
    pub id: String,
    /// A new time to live, as written (`1m`).
    pub keep_alive: Option<String>,
}

/// One share of a search that several clients divide among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// This share, from 0.
    pub id: u64,
    /// Number of shares.
    pub max: u64,
}

/// A query as it was written and as it was read.
#[derive(Debug, Clone)]
pub struct ParsedQuery {
    /// As written.
    pub source: Value,
    /// As read, for any index.
    pub clause: Arc<dyn Clause>,
}

impl ParsedQuery {
    /// Reads a query.
    pub fn parse(source: &Value) -> Result<Self> {
        Ok(Self { source: source.clone(), clause: query::parse(source)?.into() })
    }

    /// Whether it matches everything with the score 1.
    pub fn matches_all(&self) -> bool {
        self.source.as_object().is_some_and(|query| {
            query.len() == 1
                && query.get("match_all").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
        })
    }
}

/// A search, read.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// `query`; `None` matches all.
    pub query: Option<ParsedQuery>,
    /// `post_filter`: narrows hits, not aggregations.
    pub post_filter: Option<ParsedQuery>,
    /// `from`.
    pub from: usize,
    /// `size`.
    pub size: usize,
    /// `sort`; empty is by descending score.
    pub sort: Vec<SortSpec>,
    /// `search_after`.
    pub search_after: Option<Vec<Value>>,
    /// `_source`; `None` when not given.
    pub source: Option<SourceFilter>,
    /// `stored_fields`.
    pub stored_fields: StoredFields,
    /// `fields`.
    pub fields: Vec<FieldPattern>,
    /// `docvalue_fields`.
    pub docvalue_fields: Vec<FieldPattern>,
    /// `highlight`.
    pub highlight: Option<Highlight>,
    /// `track_total_hits`; `None` when not given.
    pub track_total_hits: Option<TrackTotal>,
    /// `track_scores`.
    pub track_scores: bool,
    /// `min_score`.
    pub min_score: Option<f32>,
    /// `version`.
    pub version: bool,
    /// `seq_no_primary_term`.
    pub seq_no_primary_term: bool,
    /// `terminate_after`: documents looked at in one index; 0 is no limit.
    pub terminate_after: usize,
    /// `pit`.
    pub pit: Option<PitReference>,
    /// `slice`.
    pub slice: Option<Slice>,
    /// `aggs`.
    pub aggregations: Aggregations,
    /// `typed_keys` of the URL: names of aggregations are preceded by their types.
    pub typed_keys: bool,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            query: None,
            post_filter: None,
            from: 0,
            size: 10,
            sort: Vec::new(),
            search_after: None,
            source: None,
            stored_fields: StoredFields::Unset,
            fields: Vec::new(),
            docvalue_fields: Vec::new(),
            highlight: None,
            track_total_hits: None,
            track_scores: false,
            min_score: None,
            version: false,
            seq_no_primary_term: false,
            terminate_after: 0,
            pit: None,
            slice: None,
            aggregations: Aggregations::default(),
            typed_keys: false,
        }
    }
}

impl SearchRequest {
    /// Reads a search body.
    pub fn parse(body: &Value) -> Result<Self> {
        let Value::Object(body) = body else {
            return Err(ApiError::parsing(format!("Expected [START_OBJECT] but found [{}]", token(body))));
        };
        let mut request = Self::default();
        for (key, value) in body {
            match key.as_str() {
                "query" => request.query = Some(query(key, value)?),
                "post_filter" => request.post_filter = Some(query(key, value)?),
                "from" => request.from = from(integer(value)?)?,
                "size" => request.size = size(integer(value)?)?,
                "sort" if value.is_null() => return Err(unknown(key, value)),
                "sort" => request.sort = sort::parse(value)?,
                "search_after" => request.search_after = Some(search_after(value)?),
                "_source" => request.source = Some(SourceFilter::parse(value)?),
                "stored_fields" => request.stored_fields = stored_fields(value, &mut request.source)?,
                "fields" => request.fields = FieldPattern::parse_list(key, value)?,
                "docvalue_fields" => request.docvalue_fields = FieldPattern::parse_list(key, value)?,
                "highlight" => request.highlight = Some(Highlight::parse(value)?),
                "track_total_hits" => request.track_total_hits = Some(track_total_hits(value)?),
                "track_scores" => request.track_scores = boolean(value)?,
                "min_score" => request.min_score = Some(float(value)?),
                "version" => request.version = boolean(value)?,
                "seq_no_primary_term" => request.seq_no_primary_term = boolean(value)?,
                "terminate_after" => request.terminate_after = terminate_after(integer(value)?)?,
                "pit" => request.pit = Some(pit(value)?),
                "aggs" | "aggregations" if !value.is_object() => return Err(unknown(key, value)),
                "aggs" | "aggregations" => request.aggregations = Aggregations::parse(value)?,
                "slice" => request.slice = Some(slice(value)?),
                // A search here is answered whole; there is nothing to cut short, and nothing is kept per group.
                "timeout" => timeout(value)?,
                "stats" => groups(value)?,
                "explain" | "profile" if !boolean(value)? => {}
                "indices_boost" if value.as_array().is_some_and(Vec::is_empty) => {}
                "runtime_mappings" | "script_fields" | "ext"
                    if value.as_object().is_some_and(serde_json::Map::is_empty) => {}
                known if UNSUPPORTED.contains(&known) => {
                    return Err(ApiError::illegal_argument(format!(
                        "[{known}] of a search is not supported by this node"
                    )));
                }
                other => return Err(unknown(other, value)),
            }
        }
        Ok(request)
    }

    /// Refuses a page that reaches past `window`, the limit of `index`.
    pub fn check_window(&self, index: &str, window: usize, scroll: bool) -> Result<()> {
        let reach = self.from.saturating_add(self.size);
        if reach <= window {
            return Ok(());
        }
        let reason = if scroll {
            format!(
                "Batch size is too large, size must be less than or equal to: [{window}] but was [{reach}]. Scroll batch \
                 sizes cost as much memory as result windows so they are controlled by the [index.max_result_window] \
                 index level setting."
            )
        } else {
            format!(
                "Result window is too large, from + size must be less than or equal to: [{window}] but was [{reach}]. \
                 See the scroll api for a more efficient way to request large data sets. This limit can be set by \
                 changing the [index.max_result_window] index level setting."
            )
        };
        Err(super::shard_failure(index, ApiError::illegal_argument(reason)))
    }

    /// Checks of keys against each other, as Elasticsearch makes them before it looks at any index.
    pub fn validate(&self, scroll: bool) -> Result<()> {
        let mut problems = Vec::new();
        if scroll {
            if self.track_total_hits.is_some_and(|track| track != TrackTotal::Exact) {
                problems.push("disabling [track_total_hits] is not allowed in a scroll context");
            }
            if self.from > 0 {
                problems.push("using [from] is not allowed in a scroll context");
            }
            if self.size == 0 {
                problems.push("[size] cannot be [0] in a scroll context");
            }
            if self.search_after.is_some() {
                problems.push("[search_after] cannot be used in a scroll context");
            }
            if self.pit.is_some() {
                problems.push("using [point in time] is not allowed in a scroll context");
            }
        } else if self.slice.is_some() && self.pit.is_none() {
            problems.push("[slice] can only be used with [scroll] or [point-in-time] requests");
        }
        if self.stored_fields == StoredFields::Nothing {
            if self.source.as_ref().is_some_and(|source| *source != SourceFilter::Nothing) {
                problems.push("[stored_fields] cannot be disabled if [_source] is requested");
            }
            if !self.fields.is_empty() {
                problems.push("[stored_fields] cannot be disabled when using the [fields] option");
            }
        }
        if self.search_after.is_some() && self.from > 0 {
            problems.push("[from] parameter must be set to 0 when [search_after] is used");
        }
        validation(&problems)
    }

    /// How far to count: the default is 10,000.
    pub fn total(&self) -> TrackTotal {
        self.track_total_hits.unwrap_or(TrackTotal::UpTo(10_000))
    }

    /// The filter of the source, after `stored_fields` and `fields` had their say.
    pub fn source_filter(&self) -> SourceFilter {
        match (&self.source, self.stored_fields) {
            (_, StoredFields::Nothing) | (None, StoredFields::Listed) => SourceFilter::Nothing,
            (Some(filter), _) => filter.clone(),
            (None, StoredFields::Unset) => SourceFilter::All,
        }
    }
}

/// Adds line and column to an error about a member of `body`, where Elasticsearch says them.
pub fn locate(error: ApiError, body: &[u8]) -> ApiError {
    let bracketed = |start: &str| Some(error.reason.strip_prefix(start)?.split_once(']')?.0);
    let unknown_key =
        error.reason.strip_prefix("Unknown key for a ").and_then(|rest| rest.split_once(" in ["));
    let found = if let Some((_, key)) = unknown_key {
        position(body, key.trim_end_matches("]."), 1)
    } else {
        ["unknown query [", "Unknown aggregation type ["]
            .into_iter()
            .find_map(bracketed)
            .and_then(|name| position(body, name, usize::MAX))
    };
    match found {
        Some((line, column)) => error.with("line", line.into()).with("col", column.into()),
        None => error,
    }
}

/// Line and column, from 1, of the value of the first member of that name, at most `deepest` objects and lists deep.
fn position(body: &[u8], key: &str, deepest: usize) -> Option<(usize, usize)> {
    let (mut depth, mut at, mut found) = (0_usize, 0, false);
    while at < body.len() {
        match body[at] {
            b'{' | b'[' if !found => depth += 1,
            b'}' | b']' if !found => depth = depth.saturating_sub(1),
            b'"' if !found => {
                let start = at + 1;
                at = start;
                while at < body.len() && body[at] != b'"' {
                    at += if body[at] == b'\\' { 2 } else { 1 };
                }
                let named = body.get(start..at) == Some(key.as_bytes());
                let colon =
                    body.get(at + 1..)?.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                found = depth <= deepest && named && colon;
            }
            b':' => {}
            byte if found && !byte.is_ascii_whitespace() => {
                let before = &body[..at];
                let line = before.split(|byte| *byte == b'\n').count();
                let column =
                    at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
                return Some((line, column));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// 400 with all problems numbered, as Elasticsearch's request validation words them.
pub fn validation(problems: &[&str]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        problems.iter().enumerate().map(|(n, problem)| format!("{}: {problem};", n + 1)).collect();
    let reason = format!("Validation Failed: {}", list.join(" "));
    Err(ApiError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", reason))
}

fn unknown(key: &str, value: &Value) -> ApiError {
    ApiError::parsing(format!("Unknown key for a {} in [{key}].", token(value)))
}

fn query(key: &str, value: &Value) -> Result<ParsedQuery> {
    if value.is_object() { ParsedQuery::parse(value) } else { Err(unknown(key, value)) }
}

fn number_format(text: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "number_format_exception", format!("For input string: \"{text}\""))
}

/// A whole number, as a number or in a string; fractions are cut off.
#[allow(clippy::cast_possible_truncation)]
pub fn integer(value: &Value) -> Result<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64))
            .ok_or_else(|| number_format(number)),
        Value::String(text) => text.parse().map_err(|_| number_format(text)),
        other => Err(ApiError::parsing(format!("expected a number but found [{}]", token(other)))),
    }
}

#[allow(clippy::cast_possible_truncation)]
fn float(value: &Value) -> Result<f32> {
    match value {
        Value::Number(number) => {
            number.as_f64().map(|float| float as f32).ok_or_else(|| number_format(number))
        }
        Value::String(text) => text.parse().map_err(|_| number_format(text)),
        other => Err(ApiError::parsing(format!("expected a number but found [{}]", token(other)))),
    }
}

/// `true` or `false`, also in a string.
pub fn boolean(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
        Value::String(text) => Err(ApiError::illegal_argument(format!(
            "Failed to parse value [{text}] as only [true] or [false] are allowed."
        ))),
        other => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "x_content_parse_exception",
            format!("Current token ({}) not of boolean type", token(other)),
        )),
    }
}

/// Checks `from`.
pub fn from(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| {
        ApiError::illegal_argument(format!("[from] parameter cannot be negative but was [{value}]"))
    })
}

/// Checks `size`.
pub fn size(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| {
        ApiError::illegal_argument(format!("[size] parameter cannot be negative, found [{value}]"))
    })
}

/// Checks `terminate_after`.
pub fn terminate_after(value: i64) -> Result<usize> {
    usize::try_from(value).map_err(|_| ApiError::illegal_argument("terminateAfter must be > 0"))
}

/// Reads `track_total_hits`: a boolean or a limit.
pub fn track_total_hits(value: &Value) -> Result<TrackTotal> {
    match value {
        Value::Bool(true) => Ok(TrackTotal::Exact),
        Value::Bool(false) => Ok(TrackTotal::Off),
        Value::String(text) if text == "true" => Ok(TrackTotal::Exact),
        Value::String(text) if text == "false" => Ok(TrackTotal::Off),
        other => match integer(other)? {
            -1 => Ok(TrackTotal::Off),
            limit => u64::try_from(limit).map(TrackTotal::UpTo).map_err(|_| {
                ApiError::illegal_argument(format!(
                    "[track_total_hits] parameter must be positive or equals to -1, got {limit}"
                ))
            }),
        },
    }
}

fn search_after(value: &Value) -> Result<Vec<Value>> {
    let Value::Array(values) = value else {
        return Err(ApiError::parsing(format!(
            "Expected [START_ARRAY] in [search_after] but found [{}] inside search_after",
            token(value)
        )));
    };
    if values.is_empty() {
        return Err(ApiError::illegal_argument("Values must contains at least one value."));
    }
    if let Some(odd) = values.iter().find(|value| value.is_array() || value.is_object()) {
        return Err(ApiError::parsing(format!(
            "Expected [VALUE_STRING] or [VALUE_NUMBER] or [VALUE_BOOLEAN] or [VALUE_NULL] but found [{}] inside \
             search_after.",
            token(odd)
        )));
    }
    Ok(values.clone())
}

fn stored_fields(value: &Value, source: &mut Option<SourceFilter>) -> Result<StoredFields> {
    let names: Vec<&str> = match value {
        Value::String(name) => vec![name],
        Value::Array(names) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).collect()
        }
        other => {
            return Err(ApiError::parsing(format!(
                "Expected [VALUE_STRING] or [START_ARRAY] in [stored_fields] but found [{}]",
                token(other)
            )));
        }
    };
    if names == ["_none_"] {
        return Ok(StoredFields::Nothing);
    }
    if names.contains(&"_none_") {
        return Err(ApiError::illegal_argument("cannot combine _none_ with other fields"));
    }
    if names.contains(&"_source") && source.is_none() {
        *source = Some(SourceFilter::All);
    }
    Ok(StoredFields::Listed)
}

fn pit(value: &Value) -> Result<PitReference> {
    let object = value.as_object().ok_or_else(|| ApiError::parsing("[pit] must be an object"))?;
    let (mut id, mut keep_alive) = (None, None);
    for (name, value) in object {
        let text = value.as_str().map(str::to_owned).ok_or_else(|| {
            ApiError::parsing(format!("[pit] {name} doesn't support values of type: {}", token(value)))
        })?;
        match name.as_str() {
            "id" => id = Some(text),
            "keep_alive" => keep_alive = Some(text),
            other => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "x_content_parse_exception",
                    format!("[pit] unknown field [{other}]"),
                ));
            }
        }
    }
    let id = id.ok_or_else(|| ApiError::illegal_argument("point int time id is not provided"))?;
    Ok(PitReference { id, keep_alive })
}

fn slice(value: &Value) -> Result<Slice> {
    let object = value.as_object().ok_or_else(|| ApiError::parsing("[slice] must be an object"))?;
    let (mut id, mut max) = (None, None);
    for (name, value) in object {
        match name.as_str() {
            "id" => id = Some(integer(value)?),
            "max" => max = Some(integer(value)?),
            "field" => {
                return Err(ApiError::illegal_argument("[field] of a slice is not supported by this node"));
            }
            other => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "x_content_parse_exception",
                    format!("[slice] unknown field [{other}]"),
                ));
            }
        }
    }
    let (Some(id), Some(max)) = (id, max) else {
        return Err(ApiError::illegal_argument("[slice] needs [id] and [max]"));
    };
    let max = u64::try_from(max)
        .ok()
        .filter(|max| *max > 1)
        .ok_or_else(|| ApiError::illegal_argument("max must be greater than 1"))?;
    match u64::try_from(id) {
        Err(_) => Err(ApiError::illegal_argument("id must be greater than or equal to 0")),
        Ok(id) if id >= max => Err(ApiError::illegal_argument("max must be greater than id")),
        Ok(id) => Ok(Slice { id, max }),
    }
}

fn timeout(value: &Value) -> Result<()> {
    crate::http::duration("timeout", &super::bare(value)).map(|_| ())
}

fn groups(value: &Value) -> Result<()> {
    if value.as_array().is_some_and(|groups| groups.iter().all(Value::is_string)) {
        Ok(())
    } else {
        Err(ApiError::parsing("Expected [START_ARRAY] of strings in [stats]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reason(body: &Value) -> String {
        SearchRequest::parse(body).expect_err("must be refused").reason
    }

    #[test]
    fn unknown_keys_are_refused_in_elasticsearchs_words() {
        assert_eq!(reason(&json!({"foo": 1})), "Unknown key for a VALUE_NUMBER in [foo].");
        assert_eq!(reason(&json!({"foo": {}})), "Unknown key for a START_OBJECT in [foo].");
        assert_eq!(reason(&json!([])), "Expected [START_OBJECT] but found [START_ARRAY]");
        assert!(reason(&json!({"knn": {"field": "x"}})).contains("[knn]"));
        assert!(reason(&json!({"explain": true})).contains("[explain]"));
    }

    #[test]
    fn unknown_keys_are_located() {
        let located = |body: &str| {
            let value = serde_json::from_str(body).expect("JSON");
            let error = locate(SearchRequest::parse(&value).expect_err("must be refused"), body.as_bytes());
            (error.extra["line"].clone(), error.extra["col"].clone())
        };
        assert_eq!(located(r#"{"foo":1}"#), (json!(1), json!(8)));
        assert_eq!(located(r#"{"query":{"nope":{}}}"#), (json!(1), json!(18)));
        assert_eq!(located(r#"{"aggs":{"x":{"nope":{"field":"k"}}}}"#), (json!(1), json!(22)));
        assert_eq!(
            located("{\"size\": 1, \"_source\": {\"includes\": [\"foo\"]},\n  \"foo\" :  {}}"),
            (json!(2), json!(12))
        );
    }

    #[test]
    fn numbers_are_checked() {
        assert_eq!(reason(&json!({"size": -1})), "[size] parameter cannot be negative, found [-1]");
        assert_eq!(reason(&json!({"from": -1})), "[from] parameter cannot be negative but was [-1]");
        assert_eq!(reason(&json!({"size": "x"})), "For input string: \"x\"");
        assert_eq!(
            reason(&json!({"track_total_hits": -3})),
            "[track_total_hits] parameter must be positive or equals to -1, got -3"
        );
        let request =
            SearchRequest::parse(&json!({"size": "7", "from": 2, "track_total_hits": -1})).expect("valid");
        assert_eq!((request.size, request.from, request.total()), (7, 2, TrackTotal::Off));
    }

    #[test]
    fn the_result_window_ends_at_ten_thousand() {
        let request = SearchRequest::parse(&json!({"from": 9_990})).expect("valid");
        request.check_window("i", RESULT_WINDOW, false).expect("just fits");
        let error = SearchRequest::parse(&json!({"from": 9_991}))
            .expect("valid")
            .check_window("i", RESULT_WINDOW, false)
            .expect_err("too far");
        assert_eq!(error.kind, "search_phase_execution_exception");
        assert!(error.body().to_string().contains("[10000] but was [10001]"));
    }

    #[test]
    fn keys_that_exclude_each_other_are_named_together() {
        let request = SearchRequest::parse(&json!({"from": 1, "size": 0})).expect("valid");
        assert_eq!(
            request.validate(true).expect_err("refused").reason,
            "Validation Failed: 1: using [from] is not allowed in a scroll context; 2: [size] cannot be [0] in a \
             scroll context;"
        );
    }

    #[test]
    fn stored_fields_decide_over_the_source() {
        let filter = |body: Value| SearchRequest::parse(&body).expect("valid").source_filter();
        assert_eq!(filter(json!({})), SourceFilter::All);
        assert_eq!(filter(json!({"stored_fields": "_none_"})), SourceFilter::Nothing);
        assert_eq!(filter(json!({"stored_fields": []})), SourceFilter::Nothing);
        assert_eq!(filter(json!({"stored_fields": ["_source"]})), SourceFilter::All);
    }
}
