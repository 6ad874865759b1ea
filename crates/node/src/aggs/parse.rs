//! Reading the `aggs` of a request.

mod ranges;

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::interval::Interval;
use crate::dates;
use crate::error::{ApiError, Result, token};
use crate::query::{self, Clause};
use crate::search::request::{boolean, integer};

/// Aggregations of one level, in the order of the request.
#[derive(Debug, Clone, Default)]
pub struct Aggregations {
    pub(super) named: Vec<Named>,
}

/// One aggregation.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub name: String,
    pub kind: Kind,
    pub meta: Option<Value>,
    pub sub: Aggregations,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Terms(Terms),
    Range(Range),
    Histogram(Histogram),
    DateHistogram(Box<DateHistogram>),
    Metric(Metric, Source),
    Cardinality(Source),
    Filter(Arc<dyn Clause>),
    Filters(Filters),
    Missing(Source),
    Global,
}

/// Where values come from.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub field: String,
    pub missing: Option<Value>,
    pub format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Min,
    Max,
    Avg,
    Sum,
    ValueCount,
    Stats,
    ExtendedStats,
}

#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub source: Source,
    pub size: usize,
    pub min_doc_count: u64,
    pub order: Vec<Order>,
    pub show_error: bool,
    pub include: Option<Pick>,
    pub exclude: Option<Pick>,
}

/// Terms chosen by `include` or `exclude`.
#[derive(Debug, Clone)]
pub(super) enum Pick {
    Exact(Vec<Value>),
    Pattern(regex::Regex),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub by: OrderBy,
    pub descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum OrderBy {
    Count,
    Key,
    /// Names of sub-aggregations down to a metric, and the metric's property.
    Path(Vec<String>, Option<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Range {
    pub source: Source,
    pub dates: bool,
    pub keyed: bool,
    pub time_zone: Option<dates::TimeZone>,
    pub ranges: Vec<Bounds>,
}

#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub key: Option<String>,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

#[derive(Debug, Clone)]
pub(super) struct Histogram {
    pub source: Source,
    pub interval: f64,
    pub offset: f64,
    pub min_doc_count: u64,
    pub keyed: bool,
    pub extended: Option<(f64, f64)>,
    pub hard: Option<(f64, f64)>,
    pub order: Vec<Order>,
}

#[derive(Debug, Clone)]
pub(super) struct DateHistogram {
    pub source: Source,
    pub interval: Interval,
    pub time_zone: Option<dates::TimeZone>,
    /// Milliseconds.
    pub offset: i64,
    pub min_doc_count: u64,
    pub keyed: bool,
    pub extended: Option<(Option<Value>, Option<Value>)>,
    pub hard: Option<(Option<Value>, Option<Value>)>,
    pub order: Vec<Order>,
}

#[derive(Debug, Clone)]
pub(super) struct Filters {
    pub list: Vec<(String, Arc<dyn Clause>)>,
    /// Named filters are answered by name.
    pub keyed: bool,
    pub other: Option<String>,
}

impl Aggregations {
    /// Reads the object under `aggs` or `aggregations`.
    pub fn parse(value: &Value) -> Result<Self> {
        let object = value.as_object().ok_or_else(|| {
            ApiError::parsing(format!("Expected [START_OBJECT] under [aggs], but got a [{}]", token(value)))
        })?;
        let named = object.iter().map(|(name, body)| Named::parse(name, body)).collect::<Result<_>>()?;
        Ok(Self { named })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether one of them looks at all documents whatever the query.
    pub fn has_global(&self) -> bool {
        self.named.iter().any(|named| matches!(named.kind, Kind::Global))
    }

    /// The part that follows the query (`false`), or ignores it (`true`).
    #[must_use]
    pub fn part(&self, global: bool) -> Self {
        let of_part = |named: &&Named| matches!(named.kind, Kind::Global) == global;
        Self { named: self.named.iter().filter(of_part).cloned().collect() }
    }
}

impl Named {
    fn parse(name: &str, body: &Value) -> Result<Self> {
        if name.contains(['[', ']', '>']) {
            return Err(ApiError::parsing(format!(
                "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and \
                 '>'"
            )));
        }
        let object = body.as_object().ok_or_else(|| {
            ApiError::parsing(format!(
                "Aggregation definition for [{name} starts with a [{}], expected a [START_OBJECT].",
                token(body)
            ))
        })?;
        let (mut kind, mut meta, mut sub) = (None::<(&str, Kind)>, None, Aggregations::default());
        for (key, value) in object {
            let inner = value.as_object().ok_or_else(|| {
                ApiError::parsing(format!(
                    "Expected [START_OBJECT] under [{key}], but got a [{}] in [{name}]",
                    token(value)
                ))
            })?;
            match key.as_str() {
                "meta" => meta = Some(value.clone()),
                "aggs" | "aggregations" => sub = Aggregations::parse(value)?,
                type_name => {
                    if let Some((first, _)) = &kind {
                        return Err(ApiError::parsing(format!(
                            "Found two aggregation type definitions in [{name}]: [{first}] and [{type_name}]"
                        )));
                    }
                    kind = Some((type_name, Kind::parse(name, type_name, inner)?));
                }
            }
        }
        let Some((type_name, kind)) = kind else {
            return Err(ApiError::parsing(format!("Missing definition for aggregation [{name}]")));
        };
        if matches!(kind, Kind::Metric(..) | Kind::Cardinality(_)) && !sub.is_empty() {
            return Err(ApiError::illegal_argument(format!(
                "Aggregator [{name}] of type [{type_name}] cannot accept sub-aggregations"
            )));
        }
        kind.check_order(&sub)?;
        if sub.has_global() {
            return Err(ApiError::illegal_argument(format!(
                "Aggregation [{name}] cannot have a global sub-aggregation. Global aggregations can only be defined as \
                 top level aggregations"
            )));
        }
        Ok(Self { name: name.to_owned(), kind, meta, sub })
    }
}

impl Kind {
    fn parse(name: &str, type_name: &str, body: &Map<String, Value>) -> Result<Self> {
        let body = Body { type_name, name, members: body, source: Source::default() };
        let metric = match type_name {
            "terms" => return body.terms(),
            "range" => return body.range(false),
            "date_range" => return body.range(true),
            "histogram" => return body.histogram(),
            "date_histogram" => return body.date_histogram(),
            "cardinality" => return body.cardinality(),
            "filter" => return Ok(Self::Filter(query::parse(&Value::Object(body.members.clone()))?.into())),
            "filters" => return body.filters(),
            "missing" => return Ok(Self::Missing(body.plain()?)),
            "global" => {
                if let Some(key) = body.members.keys().next() {
                    return Err(body.unknown(key));
                }
                return Ok(Self::Global);
            }
            "min" => Metric::Min,
            "max" => Metric::Max,
            "avg" => Metric::Avg,
            "sum" => Metric::Sum,
            "value_count" => Metric::ValueCount,
            "stats" => Metric::Stats,
            "extended_stats" => Metric::ExtendedStats,
            other => {
                let hint = query::did_you_mean(other, TYPES.iter().copied());
                return Err(ApiError::parsing(format!("Unknown aggregation type [{other}]{hint}")));
            }
        };
        Ok(Self::Metric(metric, body.plain()?))
    }

    /// Refuses to order buckets by what is no number of theirs.
    fn check_order(&self, sub: &Aggregations) -> Result<()> {
        let order = match self {
            Self::Terms(terms) => &terms.order,
            Self::Histogram(histogram) => &histogram.order,
            Self::DateHistogram(histogram) => &histogram.order,
            _ => return Ok(()),
        };
        for level in order {
            if let OrderBy::Path(names, property) = &level.by {
                check_path(sub, names, property.as_deref()).map_err(|reason| {
                    let path = names.join(">");
                    let path =
                        property.as_ref().map_or_else(|| path.clone(), |last| format!("{path}.{last}"));
                    super::reduce_failure(json!({
                        "type": "illegal_argument_exception",
                        "reason": format!("Invalid aggregation order path [{path}]. {reason}"),
                        "caused_by": { "type": "illegal_argument_exception", "reason": reason },
                    }))
                })?;
            }
        }
        Ok(())
    }
}

/// Follows an order path down to a number.
fn check_path(sub: &Aggregations, names: &[String], property: Option<&str>) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    let found = sub
        .named
        .iter()
        .find(|named| named.name == *name)
        .ok_or_else(|| format!("Cannot find aggregation named [{name}]"))?;
    match &found.kind {
        Kind::Metric(Metric::Stats | Metric::ExtendedStats, _) => match property {
            None => {
                Err("Missing value key in [null] which refers to a multi-value metric aggregation".to_owned())
            }
            Some("count" | "min" | "max" | "avg" | "sum") => Ok(()),
            Some(
                "sum_of_squares"
                | "variance"
                | "variance_population"
                | "variance_sampling"
                | "std_deviation"
                | "std_deviation_population"
                | "std_deviation_sampling",
            ) if matches!(found.kind, Kind::Metric(Metric::ExtendedStats, _)) => Ok(()),
            Some(other) => Err(format!(
                "No enum constant org.elasticsearch.search.aggregations.metrics.InternalStats.Metrics.{other}"
            )),
        },
        Kind::Metric(..) | Kind::Cardinality(_) => match property {
            None | Some("value") => Ok(()),
            Some(other) => Err(format!(
                "Unknown value key [{other}] for single-value metric aggregation [{name}]. Either use [value] as key or \
                 drop the key all together"
            )),
        },
        Kind::Filter(_) | Kind::Missing(_) | Kind::Global if rest.is_empty() => Ok(()),
        Kind::Filter(_) | Kind::Missing(_) | Kind::Global => check_path(&found.sub, rest, property),
        _ => Err(format!("Can't sort a multi-bucket aggregation [{name}]")),
    }
}

/// Types of aggregations this node has.
const TYPES: [&str; 17] = [
    "avg",
    "cardinality",
    "date_histogram",
    "date_range",
    "extended_stats",
    "filter",
    "filters",
    "global",
    "histogram",
    "max",
    "min",
    "missing",
    "range",
    "stats",
    "sum",
    "terms",
    "value_count",
];

/// 400 about the form of a body.
fn content(reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "x_content_parse_exception", reason)
}

struct Body<'a> {
    type_name: &'a str,
    name: &'a str,
    members: &'a Map<String, Value>,
    source: Source,
}

impl<'a> Body<'a> {
    fn unknown(&self, key: &str) -> ApiError {
        let own: &[&str] = match self.type_name {
            "terms" => {
                &["size", "min_doc_count", "order", "include", "exclude", "shard_size", "execution_hint"]
            }
            "range" | "date_range" => &["keyed", "ranges"],
            "histogram" => {
                &["interval", "offset", "min_doc_count", "keyed", "order", "extended_bounds", "hard_bounds"]
            }
            "date_histogram" => &[
                "calendar_interval",
                "fixed_interval",
                "offset",
                "min_doc_count",
                "keyed",
                "order",
                "extended_bounds",
                "hard_bounds",
            ],
            "cardinality" => &["precision_threshold", "execution_hint"],
            _ => &[],
        };
        let known = ["field", "missing", "format", "time_zone"].iter().chain(own).copied();
        content(format!("[{}] unknown field [{key}]{}", self.type_name, query::did_you_mean(key, known)))
    }

    fn unsupported(&self, key: &str) -> ApiError {
        ApiError::illegal_argument(format!(
            "[{key}] of the [{}] aggregation is not supported by this node",
            self.type_name
        ))
    }

    /// A key that could be read, whose value could not. Of its causes, Elasticsearch's own exceptions are root causes.
    fn failed(&self, key: &str, cause: &ApiError) -> ApiError {
        let error = content(format!("[{}] failed to parse field [{key}]", self.type_name));
        if matches!(cause.kind, "parsing_exception" | "parse_exception" | "x_content_parse_exception") {
            error.caused_by(cause)
        } else {
            error.with("caused_by", cause.cause())
        }
    }

    fn text(&self, key: &str, value: &'a Value) -> Result<&'a str> {
        value.as_str().ok_or_else(|| {
            content(format!("[{}] {key} doesn't support values of type: {}", self.type_name, token(value)))
        })
    }

    fn number(&self, key: &str, value: &Value) -> Result<f64> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => {
                let parsed = text.parse::<f64>().map_err(|_| {
                    let cause = ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "number_format_exception",
                        format!("For input string: \"{text}\""),
                    );
                    self.failed(key, &cause)
                });
                Some(parsed?)
            }
            _ => None,
        };
        number.ok_or_else(|| {
            content(format!("[{}] {key} doesn't support values of type: {}", self.type_name, token(value)))
        })
    }

    fn zone(&self, key: &str, value: &'a Value) -> Result<dates::TimeZone> {
        dates::time_zone(self.text(key, value)?).map_err(|mut cause| {
            cause.kind = "zone_rules_exception";
            self.failed(key, &cause)
        })
    }

    fn count(&self, key: &str, value: &Value, least: i64) -> Result<u64> {
        let number = integer(value).map_err(|cause| self.failed(key, &cause))?;
        if number < least {
            let must = if least == 0 {
                "must be greater than or equal to 0".to_owned()
            } else {
                format!("must be greater than {}", least - 1)
            };
            let name = if key == "min_doc_count" { "minDocCount" } else { key };
            let cause =
                ApiError::illegal_argument(format!("[{name}] {must}. Found [{number}] in [{}]", self.name));
            return Err(self.failed(key, &cause));
        }
        Ok(number.unsigned_abs())
    }

    /// Reads a key every aggregation over values has; false if it is none.
    fn source_key(&mut self, key: &str, value: &'a Value) -> Result<bool> {
        match key {
            "field" => self.text(key, value)?.clone_into(&mut self.source.field),
            "missing" => self.source.missing = Some(value.clone()),
            "format" => self.source.format = Some(self.text(key, value)?.to_owned()),
            "script" | "value_type" => return Err(self.unsupported(key)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn source(self) -> Result<Source> {
        if self.source.field.is_empty() {
            return Err(ApiError::illegal_argument(
                "Required one of fields [field, script], but none were specified.",
            ));
        }
        Ok(self.source)
    }

    /// An aggregation with nothing but a source.
    fn plain(mut self) -> Result<Source> {
        for (key, value) in self.members {
            if self.type_name == "extended_stats" && key == "sigma" {
                return Err(self.unsupported(key));
            }
            if !self.source_key(key, value)? {
                return Err(self.unknown(key));
            }
        }
        self.source()
    }

    fn cardinality(mut self) -> Result<Kind> {
        for (key, value) in self.members {
            match key.as_str() {
                // The node's answer is exact far beyond what can be asked for, and never worse.
                "precision_threshold" => {
                    self.count(key, value, 0)?;
                }
                "execution_hint" => {
                    self.text(key, value)?;
                }
                "rehash" => return Err(self.unknown(key)),
                _ if self.source_key(key, value)? => {}
                _ => return Err(self.unknown(key)),
            }
        }
        Ok(Kind::Cardinality(self.source()?))
    }

    fn terms(mut self) -> Result<Kind> {
        let (mut size, mut min_doc_count, mut show_error) = (10, 1, false);
        let (mut order, mut include, mut exclude) = (Vec::new(), None, None);
        for (key, value) in self.members {
            match key.as_str() {
                "size" => size = usize::try_from(self.count(key, value, 1)?).unwrap_or(usize::MAX),
                "min_doc_count" => min_doc_count = self.count(key, value, 0)?,
                "order" => order = self.order(key, value)?,
                "show_term_doc_count_error" => show_error = boolean(value)?,
                "include" => include = Some(self.pick(key, value)?),
                "exclude" => exclude = Some(self.pick(key, value)?),
                // How to get to the answer, which is exact here in any case.
                "shard_size" => {
                    self.count(key, value, 1)?;
                }
                "shard_min_doc_count" if self.count(key, value, 0)? == 0 => {}
                "shard_min_doc_count" => return Err(self.unsupported(key)),
                "execution_hint" => {
                    self.text(key, value)?;
                }
                "collect_mode" => match self.text(key, value)? {
                    "depth_first" | "breadth_first" => {}
                    other => {
                        let mut cause =
                            ApiError::parsing(format!("no [collect_mode] found for value [{other}]"));
                        cause.kind = "parse_exception";
                        return Err(self.failed(key, &cause));
                    }
                },
                _ if self.source_key(key, value)? => {}
                _ => return Err(self.unknown(key)),
            }
        }
        if order.is_empty() {
            order.push(Order { by: OrderBy::Count, descending: true });
        }
        let source = self.source()?;
        Ok(Kind::Terms(Terms { source, size, min_doc_count, order, show_error, include, exclude }))
    }

    fn pick(&self, key: &str, value: &Value) -> Result<Pick> {
        match value {
            Value::Array(values) if values.iter().all(|value| !value.is_array() && !value.is_object()) => {
                Ok(Pick::Exact(values.clone()))
            }
            Value::String(pattern) => {
                // Operators of Lucene's expressions that mean nothing, or something else, here.
                if pattern.contains(['~', '&', '<', '#', '@', '"', '^', '$']) {
                    return Err(self.unsupported(&format!("{key} with [{pattern}]")));
                }
                let regex = regex::Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| {
                    self.failed(key, &ApiError::illegal_argument(format!("invalid expression [{pattern}]")))
                })?;
                Ok(Pick::Pattern(regex))
            }
            _ => Err(self.unsupported(key)),
        }
    }

    fn order(&self, key: &str, value: &Value) -> Result<Vec<Order>> {
        let levels: Vec<&Value> = match value {
            Value::Array(levels) => levels.iter().collect(),
            Value::Object(_) => vec![value],
            other => {
                return Err(content(format!(
                    "[{}] order doesn't support values of type: {}",
                    self.type_name,
                    token(other)
                )));
            }
        };
        let mut order = Vec::new();
        for level in levels {
            let entry =
                level.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
            let Some((name, direction)) = entry else {
                return Err(ApiError::parsing("Must specify at least one field for [order]"));
            };
            let descending = match self.text("order", direction)?.to_ascii_lowercase().as_str() {
                "asc" => false,
                "desc" => true,
                other => {
                    let cause = ApiError::parsing(format!("Unknown order direction [{other}]"));
                    return Err(self.failed(key, &cause));
                }
            };
            order.push(Order { by: OrderBy::parse(name), descending });
        }
        Ok(order)
    }
}

impl OrderBy {
    fn parse(name: &str) -> Self {
        match name {
            "_count" => Self::Count,
            "_key" => Self::Key,
            path => {
                let mut names: Vec<String> = path.split('>').map(str::to_owned).collect();
                let property = names.last_mut().and_then(|last| {
                    let (name, property) = last.split_once('.')?;
                    let (name, property) = (name.to_owned(), property.to_owned());
                    *last = name;
                    Some(property)
                });
                Self::Path(names, property)
            }
        }
    }
}
