//! `range`.

use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tantivy::Term;
use tantivy::query::{InvertedIndexRangeQuery, Query, RangeQuery};

use super::automaton::Dictionary;
use super::body::{Body, single_field};
use super::column_range::ColumnRange;
use super::exists::exists_query;
use super::field::{Named, string_value};
use super::marks::What;
use super::number;
use super::{Clause, Marks, QueryContext, scoring};
use crate::dates::{self, TimeZone};
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// Bounds as the request gives them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `gte` or `gt`.
    pub lower: Bound<Value>,
    /// `lte` or `lt`.
    pub upper: Bound<Value>,
    /// `format` of date bounds.
    pub format: Option<String>,
    /// `time_zone` of date bounds.
    pub zone: Option<TimeZone>,
}

#[derive(Debug)]
struct Range {
    field: String,
    limits: Limits,
    boost: f32,
}

/// `{"range": {"field": {"gte", "gt", "lte", "lt", "format", "time_zone", "relation", "boost"}}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("range", value)?;
    if !inner.is_object() {
        return Err(ApiError::parsing(format!("[range] query does not support [{field}]")));
    }
    let mut body = Body::of("range", inner)?;
    let bound = |value: Option<&Value>, include: bool| match value {
        None => Ok(Bound::Unbounded),
        Some(Value::Array(_) | Value::Object(_)) => {
            Err(ApiError::parsing("[range] query does not support arrays or objects as bounds"))
        }
        Some(value) if include => Ok(Bound::Included(value.clone())),
        Some(value) => Ok(Bound::Excluded(value.clone())),
    };
    let mut lower = Bound::Unbounded;
    let mut upper = Bound::Unbounded;
    for (key, include) in [("gte", true), ("gt", false)] {
        if let Some(value) = body.take(key) {
            lower = bound(Some(value), include)?;
        }
    }
    for (key, include) in [("lte", true), ("lt", false)] {
        if let Some(value) = body.take(key) {
            upper = bound(Some(value), include)?;
        }
    }
    let format = body.text("format")?;
    let zone = body.text("time_zone")?.map(|zone| dates::time_zone(&zone)).transpose()?;
    if let Some(relation) = body.text("relation")? {
        // Single values intersect, lie within and contain in the same way.
        if !matches!(relation.to_ascii_lowercase().as_str(), "intersects" | "within" | "contains") {
            return Err(ApiError::illegal_argument(format!("{relation} is not a valid relation")));
        }
    }
    let boost = body.boost()?;
    body.finish()?;
    Ok(Box::new(Range { field: field.to_owned(), limits: Limits { lower, upper, format, zone }, boost }))
}

impl Clause for Range {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(range_query(context, &self.field, &self.limits)?, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        range_marks(context, &self.field, &self.limits, marks);
        Ok(())
    }
}

/// String ranges mark the tokens within them; numbers and dates are not highlighted, as in Elasticsearch.
pub fn range_marks(context: &QueryContext<'_>, name: &str, limits: &Limits, marks: &mut Marks) {
    let strings = context
        .table
        .get(name)
        .is_some_and(|field| matches!(field.kind, FieldType::Text | FieldType::Keyword));
    if strings {
        let lower = limits.lower.as_ref().map(string_value);
        let upper = limits.upper.as_ref().map(string_value);
        let what = What::matching(move |token| {
            let above = match &lower {
                Bound::Included(bound) => token >= bound.as_str(),
                Bound::Excluded(bound) => token > bound.as_str(),
                Bound::Unbounded => true,
            };
            let below = match &upper {
                Bound::Included(bound) => token <= bound.as_str(),
                Bound::Excluded(bound) => token < bound.as_str(),
                Bound::Unbounded => true,
            };
            above && below
        });
        marks.add(context, name, what);
    }
}

/// Documents with a value within the limits, score 1.
pub fn range_query(context: &QueryContext<'_>, name: &str, limits: &Limits) -> Result<Box<dyn Query>> {
    let field = match context.named(name) {
        Named::Unmapped => return Ok(scoring::none()),
        Named::Id => {
            return Err(context.failed(&ApiError::illegal_argument(
                "Field [_id] of type [_id] does not support range queries",
            )));
        }
        Named::Index => {
            return Err(context.failed(&ApiError::illegal_argument(
                "Field [_index] of type [_index] does not support range queries",
            )));
        }
        Named::SeqNo => return seq_no_range(context, limits),
        Named::Mapped(field) => field,
    };
    context.check_searchable(&field)?;
    if matches!((&limits.lower, &limits.upper), (Bound::Unbounded, Bound::Unbounded)) {
        return Ok(exists_query(context, name));
    }
    let query = match &field.kind {
        FieldType::Text => string_range(context, &field, limits),
        FieldType::Keyword => {
            let bound = |bound: &Bound<Value>| {
                bound.as_ref().map(|value| context.string_term(&field, &string_value(value)))
            };
            ordered(bound(&limits.lower), bound(&limits.upper))
        }
        FieldType::Ip => ip_range(context, &field, limits)?,
        FieldType::Boolean => boolean_range(context, &field, limits)?,
        FieldType::Integer { min, max } => {
            let (low, high) = whole_limits(context, limits)?;
            let (low, high) = (low.max(i128::from(*min)), high.min(i128::from(*max)));
            whole_range(context, &field.path, low, high)
        }
        FieldType::Float { scaling_factor } => {
            // Multiples of a factor are compared with the bound as it is; narrow types round it first.
            let scaled = |value: f64| scaling_factor.map_or_else(|| field.round(value), |_| value);
            let bound = |bound: &Bound<Value>| -> Result<Bound<Term>> {
                Ok(match bound {
                    Bound::Unbounded => Bound::Unbounded,
                    Bound::Included(value) => {
                        Bound::Included(decimal(context, &field.path, scaled(read(context, value)?)))
                    }
                    Bound::Excluded(value) => {
                        Bound::Excluded(decimal(context, &field.path, scaled(read(context, value)?)))
                    }
                })
            };
            ordered(bound(&limits.lower)?, bound(&limits.upper)?)
        }
        FieldType::Date { format } => {
            let (low, high) = date_limits(context, limits, limits.format.as_deref().or(format.as_deref()))?;
            whole_range(context, &field.path, low, high)
        }
        FieldType::Binary | FieldType::Alias { .. } => scoring::none(),
    };
    Ok(scoring::constant(query))
}

/// A range over the values column.
fn ordered(lower: Bound<Term>, upper: Bound<Term>) -> Box<dyn Query> {
    Box::new(ColumnRange(RangeQuery::new(lower, upper)))
}

fn read(context: &QueryContext<'_>, value: &Value) -> Result<f64> {
    number::decimal(value).map_err(|error| context.failed(&error))
}

fn decimal(context: &QueryContext<'_>, path: &str, value: f64) -> Term {
    let mut term = context.value_path(path);
    term.append_type_and_fast_value(value);
    term
}

/// Whole numbers from `low` to `high`, both included.
fn whole_range(context: &QueryContext<'_>, path: &str, low: i128, high: i128) -> Box<dyn Query> {
    let (Ok(low), Ok(high)) =
        (i64::try_from(low.max(i128::from(i64::MIN))), i64::try_from(high.min(i128::from(i64::MAX))))
    else {
        return scoring::none();
    };
    if low > high {
        return scoring::none();
    }
    let term = |value: i64| {
        let mut term = context.value_path(path);
        term.append_type_and_fast_value(value);
        Bound::Included(term)
    };
    ordered(term(low), term(high))
}

/// Bounds of a whole-number column: fractions go to the next whole number inside.
fn whole_limits(context: &QueryContext<'_>, limits: &Limits) -> Result<(i128, i128)> {
    let exact = |value: &Value| match value {
        Value::Number(number) => number.as_i64().map(i128::from),
        Value::String(text) => text.trim().parse::<i128>().ok(),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "casts from f64 saturate, which is what bounds need")]
    let low = match &limits.lower {
        Bound::Unbounded => i128::MIN,
        Bound::Included(value) => {
            exact(value).map_or_else(|| read(context, value).map(|v| v.ceil() as i128), Ok)?
        }
        Bound::Excluded(value) => exact(value)
            .map_or_else(|| read(context, value).map(|v| v.floor() as i128), Ok)?
            .saturating_add(1),
    };
    #[expect(clippy::cast_possible_truncation, reason = "casts from f64 saturate, which is what bounds need")]
    let high = match &limits.upper {
        Bound::Unbounded => i128::MAX,
        Bound::Included(value) => {
            exact(value).map_or_else(|| read(context, value).map(|v| v.floor() as i128), Ok)?
        }
        Bound::Excluded(value) => {
            exact(value).map_or_else(|| read(context, value).map(|v| v.ceil() as i128), Ok)?.saturating_sub(1)
        }
    };
    Ok((low, high))
}

/// Bounds of a date column, rounded as Elasticsearch rounds date math: `gt` and `lte` up, `gte` and `lt` down.
fn date_limits(context: &QueryContext<'_>, limits: &Limits, format: Option<&str>) -> Result<(i128, i128)> {
    let at = |value: &Value, round_up: bool| {
        dates::math(&string_value(value), context.now_ms, round_up, limits.zone.as_ref(), format)
            .map(i128::from)
    };
    let low = match &limits.lower {
        Bound::Unbounded => i128::MIN,
        Bound::Included(value) => at(value, false)?,
        Bound::Excluded(value) => at(value, true)? + 1,
    };
    let high = match &limits.upper {
        Bound::Unbounded => i128::MAX,
        Bound::Included(value) => at(value, true)?,
        Bound::Excluded(value) => at(value, false)? - 1,
    };
    Ok((low, high))
}

/// A date looked up by `term` or `match`: all instants the text may mean.
pub fn date_term(context: &QueryContext<'_>, field: &FieldMapping, text: &str) -> Result<Box<dyn Query>> {
    let FieldType::Date { format } = &field.kind else { return Ok(scoring::none()) };
    let value = Value::from(text);
    let limits = Limits {
        lower: Bound::Included(value.clone()),
        upper: Bound::Included(value),
        format: None,
        zone: None,
    };
    let (low, high) = date_limits(context, &limits, format.as_deref())?;
    Ok(scoring::constant(whole_range(context, &field.path, low, high)))
}

fn seq_no_range(context: &QueryContext<'_>, limits: &Limits) -> Result<Box<dyn Query>> {
    let (low, high) = whole_limits(context, limits)?;
    let (low, high) = (u64::try_from(low.max(0)), u64::try_from(high.min(i128::from(u64::MAX))));
    let (Ok(low), Ok(high)) = (low, high) else { return Ok(scoring::none()) };
    if low > high {
        return Ok(scoring::none());
    }
    let term = |value| Bound::Included(Term::from_field_u64(context.fields.seq_no, value));
    Ok(scoring::constant(ordered(term(low), term(high))))
}

/// Tokens of a text field between two strings.
fn string_range(context: &QueryContext<'_>, field: &FieldMapping, limits: &Limits) -> Box<dyn Query> {
    let dictionary = Dictionary::of(context, field);
    let bound = |bound: &Bound<Value>| bound.as_ref().map(|value| dictionary.term(&string_value(value)));
    let lower = match bound(&limits.lower) {
        Bound::Unbounded => Bound::Included(dictionary.term("")),
        bound => bound,
    };
    let upper = match bound(&limits.upper) {
        Bound::Unbounded => dictionary.end_of_prefix("").map_or(Bound::Unbounded, Bound::Excluded),
        bound => bound,
    };
    Box::new(InvertedIndexRangeQuery::new(lower, upper))
}

fn boolean_range(
    context: &QueryContext<'_>,
    field: &FieldMapping,
    limits: &Limits,
) -> Result<Box<dyn Query>> {
    let read = |value: &Value| number::boolean(value).map_err(|error| context.failed(&error));
    let mut wanted = Vec::new();
    for candidate in [false, true] {
        let above = match &limits.lower {
            Bound::Unbounded => true,
            Bound::Included(value) => candidate >= read(value)?,
            Bound::Excluded(value) => candidate & !read(value)?,
        };
        let below = match &limits.upper {
            Bound::Unbounded => true,
            Bound::Included(value) => candidate <= read(value)?,
            Bound::Excluded(value) => !candidate & read(value)?,
        };
        if above && below {
            wanted.push(context.term_query(&field.path, &Value::Bool(candidate), false)?);
        }
    }
    Ok(scoring::any_of(wanted, 1))
}

/// An address as a number; IPv4 as mapped IPv6, which is Lucene's order.
fn address(text: &str) -> Option<u128> {
    let address: IpAddr = text.trim().parse().ok()?;
    Some(match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    })
}

fn no_address(context: &QueryContext<'_>, text: &str) -> ApiError {
    context.failed(&ApiError::illegal_argument(format!("'{text}' is not an IP string literal.")))
}

/// An address or a CIDR block looked up by `term`.
pub fn ip_term(context: &QueryContext<'_>, field: &FieldMapping, text: &str) -> Result<Box<dyn Query>> {
    let (low, high) = if let Some((base, bits)) = text.split_once('/') {
        let base_address = address(base).ok_or_else(|| no_address(context, text))?;
        let offset = if base.contains(':') { 0 } else { 96 };
        let bits: u32 = bits.parse().map_err(|_| no_address(context, text))?;
        if bits + offset > 128 {
            return Err(no_address(context, text));
        }
        let host = u128::MAX.checked_shr(bits + offset).unwrap_or(0);
        (base_address & !host, base_address | host)
    } else {
        let address = address(text).ok_or_else(|| no_address(context, text))?;
        (address, address)
    };
    Ok(scoring::constant(ip_between(context, field, low, high)))
}

fn ip_range(context: &QueryContext<'_>, field: &FieldMapping, limits: &Limits) -> Result<Box<dyn Query>> {
    let read = |value: &Value| {
        let text = string_value(value);
        address(&text).ok_or_else(|| no_address(context, &text))
    };
    let low = match &limits.lower {
        Bound::Unbounded => Some(0),
        Bound::Included(value) => Some(read(value)?),
        Bound::Excluded(value) => read(value)?.checked_add(1),
    };
    let high = match &limits.upper {
        Bound::Unbounded => Some(u128::MAX),
        Bound::Included(value) => Some(read(value)?),
        Bound::Excluded(value) => read(value)?.checked_sub(1),
    };
    match (low, high) {
        (Some(low), Some(high)) if low <= high => Ok(ip_between(context, field, low, high)),
        _ => Ok(scoring::none()),
    }
}

/// Addresses are kept as text, whose order is not theirs: every distinct address of the field is looked at.
fn ip_between(context: &QueryContext<'_>, field: &FieldMapping, low: u128, high: u128) -> Box<dyn Query> {
    let fits = move |text: &str| address(text).is_some_and(|address| (low..=high).contains(&address));
    Box::new(super::expansion::TermsWhere::new(Dictionary::of(context, field), Arc::new(fits)))
}
