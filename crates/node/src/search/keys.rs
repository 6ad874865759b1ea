//! Sort keys: each level of a sort as one `u64` per document that can be compared within a segment, and back.
//!
//! Numbers map onto `u64` in order. A string is the place of its ordinal in the segment's dictionary, doubled, so
//! that strings which are not in the dictionary (`missing`, `search_after`) fall between two ordinals. Descending
//! levels are complemented. Keys of different segments cannot be compared; the values they stand for can.

use std::cmp::Ordering;

use axum::http::StatusCode;
use serde_json::Value;
use tantivy::SegmentReader;
use tantivy::columnar::{Column, StrColumn, TermOrdHit};

use super::columns::{Columns, Numbers, order_f64, order_i64, unorder_f64, unorder_i64};
use super::shard_failure;
use super::sort::{FieldSort, Missing, Mode, SortKey, SortSpec};
use crate::dates;
use crate::error::{ApiError, Result};
use crate::index::IndexView;
use crate::mapping::{FieldMapping, FieldType};

/// `_shard_doc` is the ordinal of the index, shifted by this, plus the sequence number: exact in the doubles of
/// JavaScript for 8,192 indices of 10¹² writes.
const SHARD_SHIFT: u32 = 40;

/// The value a hit is sorted by at one level.
#[derive(Debug, Clone, PartialEq)]
pub enum SortValue {
    /// A keyword field without a value; Elasticsearch keeps these first or last whatever the direction.
    Null,
    /// Integers, dates (epoch milliseconds), booleans (0, 1) and positions.
    Integer(i64),
    /// Floats and the score.
    Float(f64),
    /// Keywords.
    Text(String),
}

/// One level of a sort, resolved against one index.
#[derive(Debug, Clone)]
pub struct Level {
    descending: bool,
    kind: LevelKind,
}

#[derive(Debug, Clone)]
enum LevelKind {
    Score,
    Doc { shard: i64 },
    SeqNo,
    Integer { path: Option<String>, mode: Mode, missing: i64, format: DateFormat, short: bool },
    Float { path: Option<String>, mode: Mode, missing: f64, single: bool },
    Text { path: Option<String>, mode: Mode, missing: TextMissing },
}

#[derive(Debug, Clone, PartialEq)]
enum TextMissing {
    First,
    Last,
    Literal(String),
}

/// How an integer level is read and printed.
#[derive(Debug, Clone, PartialEq)]
enum DateFormat {
    /// Not a date.
    Plain,
    /// A date: `parse` is the mapping's format, `print` what the sort asks for.
    Date { parse: Option<String>, print: Option<String> },
}

impl Level {
    /// Resolves `spec` against the mapping of `view`. `shard` is the ordinal of the index in the search.
    pub fn resolve(spec: &SortSpec, view: &IndexView, shard: usize) -> Result<Self> {
        let kind = match &spec.key {
            SortKey::Score => LevelKind::Score,
            SortKey::Doc => LevelKind::Doc { shard: 0 },
            SortKey::ShardDoc => LevelKind::Doc { shard: i64::try_from(shard).unwrap_or(0) << SHARD_SHIFT },
            SortKey::SeqNo => LevelKind::SeqNo,
            SortKey::Field(field) => {
                field_level(field, spec.descending, view).map_err(|error| shard_failure(&view.name, error))?
            }
        };
        Ok(Self { descending: spec.descending, kind })
    }

    /// Whether documents come in the order in which the index holds them.
    pub fn is_doc_order(&self) -> bool {
        !self.descending && matches!(self.kind, LevelKind::Doc { .. })
    }

    /// Whether documents with a greater score come first.
    pub fn is_best_first(&self) -> bool {
        self.descending && matches!(self.kind, LevelKind::Score)
    }

    /// Whether the score must be computed.
    pub fn needs_score(&self) -> bool {
        matches!(self.kind, LevelKind::Score)
    }

    /// Reads the value of `search_after` at `position`, which is for this level.
    pub fn parse_after(&self, position: usize, field: &str, value: &Value) -> Result<SortValue> {
        if value.is_null() && !self.is_text() {
            return Err(ApiError::illegal_argument(format!(
                "[search_after] value at position {position} cannot be null for sort field [{field}] of type [{}].",
                self.type_name()
            )));
        }
        let refuse =
            || ApiError::illegal_argument(format!("Failed to parse search_after value for field [{field}]."));
        match &self.kind {
            LevelKind::Doc { .. }
            | LevelKind::SeqNo
            | LevelKind::Integer { format: DateFormat::Plain, .. } => {
                integer_of(value).map(SortValue::Integer).ok_or_else(|| number_format(refuse(), value))
            }
            LevelKind::Integer { format: DateFormat::Date { parse, print }, .. } => match value {
                Value::String(text) => dates::parse(text, print.as_deref().or(parse.as_deref()))
                    .or_else(|error| text.parse().map_err(|_| error))
                    .map(SortValue::Integer)
                    .map_err(|error| refuse().with("caused_by", error.cause())),
                number => integer_of(number).map(SortValue::Integer).ok_or_else(refuse),
            },
            LevelKind::Score | LevelKind::Float { .. } => {
                float_of(value).map(SortValue::Float).ok_or_else(|| number_format(refuse(), value))
            }
            LevelKind::Text { .. } => match value {
                Value::Null => Ok(SortValue::Null),
                Value::String(text) => Ok(SortValue::Text(text.clone())),
                Value::Number(number) => Ok(SortValue::Text(number.to_string())),
                Value::Bool(flag) => Ok(SortValue::Text(flag.to_string())),
                _ => Err(refuse()),
            },
        }
    }

    /// Compares two values of this level in the order of the answer.
    pub fn compare(&self, left: &SortValue, right: &SortValue) -> Ordering {
        let null_order = match &self.kind {
            LevelKind::Text { missing: TextMissing::First, .. } => Ordering::Less,
            _ => Ordering::Greater,
        };
        let natural = match (left, right) {
            (SortValue::Null, SortValue::Null) => return Ordering::Equal,
            (SortValue::Null, _) => return null_order,
            (_, SortValue::Null) => return null_order.reverse(),
            (SortValue::Integer(left), SortValue::Integer(right)) => left.cmp(right),
            (SortValue::Float(left), SortValue::Float(right)) => left.total_cmp(right),
            (SortValue::Integer(left), SortValue::Float(right)) => (*left as f64).total_cmp(right),
            (SortValue::Float(left), SortValue::Integer(right)) => left.total_cmp(&(*right as f64)),
            (SortValue::Text(left), SortValue::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            (SortValue::Text(_), _) => Ordering::Greater,
            (_, SortValue::Text(_)) => Ordering::Less,
        };
        if self.descending { natural.reverse() } else { natural }
    }

    /// The value as the hit's `sort` shows it.
    pub fn show(&self, value: &SortValue) -> Result<Value> {
        Ok(match (&self.kind, value) {
            (
                LevelKind::Integer { format: DateFormat::Date { print: Some(format), .. }, missing, .. },
                SortValue::Integer(value),
            ) => {
                if value == missing && (*value == i64::MAX || *value == i64::MIN) {
                    Value::Null
                } else {
                    Value::String(dates::format(*value, Some(format), None)?)
                }
            }
            (_, SortValue::Null) => Value::Null,
            (_, SortValue::Integer(value)) => (*value).into(),
            (LevelKind::Score, SortValue::Float(value)) => single(*value),
            (LevelKind::Float { single: true, .. }, SortValue::Float(value)) if value.is_finite() => {
                single(*value)
            }
            (_, SortValue::Float(value)) if value.is_infinite() => {
                if *value > 0.0 {
                    "Infinity".into()
                } else {
                    "-Infinity".into()
                }
            }
            (_, SortValue::Float(value)) => (*value).into(),
            (_, SortValue::Text(text)) => text.as_str().into(),
        })
    }

    /// Whether strings are compared.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, LevelKind::Text { .. })
    }

    /// What Elasticsearch calls the values of this level.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            LevelKind::Score => "SCORE",
            LevelKind::Doc { .. } => "DOC",
            LevelKind::Integer { short: true, .. } => "INT",
            LevelKind::SeqNo | LevelKind::Integer { short: false, .. } => "LONG",
            LevelKind::Float { single: true, .. } => "FLOAT",
            LevelKind::Float { single: false, .. } => "DOUBLE",
            LevelKind::Text { .. } => "STRING",
        }
    }
}

/// Adds the cause of a value that is no number.
fn number_format(error: ApiError, value: &Value) -> ApiError {
    match value {
        Value::String(text) => {
            error.because("number_format_exception", format!("For input string: \"{text}\""))
        }
        _ => error,
    }
}

/// The shortest decimal that names the same `f32`: what Elasticsearch prints for scores and `float` fields.
#[allow(clippy::cast_possible_truncation)]
pub fn single(value: f64) -> Value {
    (value as f32).to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn integer_of(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn field_level(sort: &FieldSort, descending: bool, view: &IndexView) -> Result<LevelKind> {
    let name = sort.field.as_str();
    let query_shard = |reason: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "query_shard_exception", reason)
            .with("index", view.name.as_ref().into())
    };
    if name == "_id" {
        return Err(fielddata_of_id());
    }
    let (path, kind, type_name) = if let Some(mapping) = view.table.get(name) {
        check_doc_values(mapping, &view.name)?;
        (Some(mapping.path.clone()), mapping.kind.clone(), mapping.type_name.clone())
    } else if let Some(unmapped) = &sort.unmapped_type {
        let kind = unmapped_kind(unmapped)
            .ok_or_else(|| ApiError::illegal_argument(format!("No mapper found for type [{unmapped}]")))?;
        (None, kind, unmapped.clone())
    } else {
        return Err(query_shard(format!("No mapping found for [{name}] in order to sort on")));
    };
    let first = sort.missing == Missing::First;
    let mode = sort.mode.unwrap_or(if descending { Mode::Max } else { Mode::Min });
    // The value that ends up first or last: the smallest first ascending, and last descending.
    let low = first != descending;
    let no_number = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "number_format_exception",
            format!("For input string: \"{text}\""),
        )
    };
    match kind {
        FieldType::Integer { .. } | FieldType::Boolean | FieldType::Date { .. } => {
            let (smallest, largest) = match type_name.as_str() {
                "integer" | "short" | "byte" => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            let format = match &kind {
                FieldType::Date { format } => {
                    DateFormat::Date { parse: format.clone(), print: sort.format.clone() }
                }
                _ => DateFormat::Plain,
            };
            let missing = match &sort.missing {
                Missing::Literal(value) => integer_of(value).ok_or_else(|| no_number(value))?,
                _ if low => smallest,
                _ => largest,
            };
            Ok(LevelKind::Integer { path, mode, missing, format, short: largest == i64::from(i32::MAX) })
        }
        FieldType::Float { .. } => {
            let missing = match &sort.missing {
                Missing::Literal(value) => float_of(value).ok_or_else(|| no_number(value))?,
                _ if low => f64::NEG_INFINITY,
                _ => f64::INFINITY,
            };
            let single = matches!(type_name.as_str(), "float" | "half_float");
            Ok(LevelKind::Float { path, mode, missing, single })
        }
        FieldType::Keyword => {
            if !matches!(mode, Mode::Min | Mode::Max) {
                return Err(query_shard(
                    "we only support AVG, MEDIAN and SUM on number based fields".to_owned(),
                ));
            }
            let missing = match &sort.missing {
                Missing::First => TextMissing::First,
                Missing::Last => TextMissing::Last,
                Missing::Literal(Value::String(text)) => TextMissing::Literal(text.clone()),
                Missing::Literal(other) => TextMissing::Literal(other.to_string()),
            };
            Ok(LevelKind::Text { path, mode, missing })
        }
        FieldType::Text => Err(fielddata_disabled(name, &view.name)),
        FieldType::Ip | FieldType::Binary | FieldType::Alias { .. } => Err(ApiError::illegal_argument(
            format!("sorting on field [{name}] of type [{type_name}] is not supported by this node"),
        )),
    }
}

/// 400: `_id` has no column.
pub fn fielddata_of_id() -> ApiError {
    ApiError::illegal_argument(
        "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: \
         indices.id_field_data.enabled",
    )
}

/// 400 when the values of a field are not kept by document.
pub fn check_doc_values(mapping: &FieldMapping, index: &str) -> Result<()> {
    match mapping.kind {
        FieldType::Text => Err(fielddata_disabled(&mapping.path, index)),
        _ if mapping.doc_values => Ok(()),
        _ => Err(ApiError::illegal_argument(format!(
            "Can't load fielddata on [{}] because fielddata is unsupported on fields of type [{}]. Use doc values \
             instead.",
            mapping.path, mapping.type_name
        ))),
    }
}

fn fielddata_disabled(field: &str, index: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "Fielddata is disabled on [{field}] in [{index}]. Text fields are not optimised for operations that require \
         per-document field data like aggregations and sorting, so these operations are disabled by default. Please \
         use a keyword field instead. Alternatively, set fielddata=true on [{field}] in order to load field data by \
         uninverting the inverted index. Note that this can use significant memory."
    ))
}

fn unmapped_kind(name: &str) -> Option<FieldType> {
    Some(match name {
        "long" | "integer" | "short" | "byte" => FieldType::Integer { min: i64::MIN, max: i64::MAX },
        "double" | "float" | "half_float" | "scaled_float" => FieldType::Float { scaling_factor: None },
        "keyword" => FieldType::Keyword,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date { format: None },
        _ => return None,
    })
}

/// The keys of one segment.
pub struct SegmentKeys {
    levels: Vec<SegmentLevel>,
    seq_no: Column<u64>,
}

struct SegmentLevel {
    descending: bool,
    kind: SegmentKind,
}

enum SegmentKind {
    Score,
    Doc { shard: i64 },
    SeqNo,
    Integer { numbers: Numbers, mode: Mode, missing: i64 },
    Float { numbers: Numbers, mode: Mode, missing: f64 },
    Text { column: Option<StrColumn>, mode: Mode, missing: TextMissing, missing_key: u64 },
}

impl SegmentKeys {
    /// Opens the columns of `levels` in one segment.
    pub fn open(levels: &[Level], reader: &SegmentReader) -> Result<Self> {
        let levels = levels
            .iter()
            .map(|level| {
                let numbers = |path: &Option<String>| -> Result<Numbers> {
                    path.as_ref().map_or(Ok(Numbers::Absent), |path| Ok(Columns::open(reader, path)?.numbers))
                };
                let kind = match &level.kind {
                    LevelKind::Score => SegmentKind::Score,
                    LevelKind::Doc { shard } => SegmentKind::Doc { shard: *shard },
                    LevelKind::SeqNo => SegmentKind::SeqNo,
                    LevelKind::Integer { path, mode, missing, .. } => {
                        SegmentKind::Integer { numbers: numbers(path)?, mode: *mode, missing: *missing }
                    }
                    LevelKind::Float { path, mode, missing, .. } => {
                        SegmentKind::Float { numbers: numbers(path)?, mode: *mode, missing: *missing }
                    }
                    LevelKind::Text { path, mode, missing } => {
                        let column = match path {
                            Some(path) => Columns::open(reader, path)?.strings,
                            None => None,
                        };
                        let missing_key = match missing {
                            TextMissing::First => {
                                if level.descending {
                                    u64::MAX
                                } else {
                                    0
                                }
                            }
                            TextMissing::Last => {
                                if level.descending {
                                    0
                                } else {
                                    u64::MAX
                                }
                            }
                            TextMissing::Literal(text) => text_key(column.as_ref(), text)?,
                        };
                        SegmentKind::Text { column, mode: *mode, missing: missing.clone(), missing_key }
                    }
                };
                Ok(SegmentLevel { descending: level.descending, kind })
            })
            .collect::<Result<_>>()?;
        Ok(Self { levels, seq_no: reader.fast_fields().u64("_seq_no")? })
    }

    /// Writes the keys of `doc`, one a level.
    pub fn encode(&self, doc: u32, score: f32, keys: &mut Vec<u64>) {
        keys.clear();
        for level in &self.levels {
            let key = match &level.kind {
                SegmentKind::Score => order_f64(f64::from(score)),
                SegmentKind::Doc { shard } => order_i64(shard + self.seq_no(doc).cast_signed()),
                SegmentKind::SeqNo => self.seq_no(doc),
                SegmentKind::Integer { numbers, mode, missing } => {
                    order_i64(pick_integer(numbers, *mode, doc).unwrap_or(*missing))
                }
                SegmentKind::Float { numbers, mode, missing } => {
                    order_f64(pick_float(numbers, *mode, doc).unwrap_or(*missing))
                }
                SegmentKind::Text { column, mode, missing_key, .. } => {
                    let ordinals = column.as_ref().and_then(|column| {
                        let ordinals = column.term_ords(doc);
                        if *mode == Mode::Max { ordinals.max() } else { ordinals.min() }
                    });
                    ordinals.map_or(*missing_key, |ordinal| ordinal * 2 + 2)
                }
            };
            keys.push(if level.descending { !key } else { key });
        }
    }

    /// The sequence number of `doc`: what ties are broken by.
    pub fn seq_no(&self, doc: u32) -> u64 {
        self.seq_no.first(doc).unwrap_or_default()
    }

    /// In document order: the smallest sequence number past the keys `after`; `None` when all are before it.
    pub fn seq_no_after(&self, after: &[u64]) -> Option<u64> {
        let (Some(SegmentLevel { kind: SegmentKind::Doc { shard }, .. }), Some(key)) =
            (self.levels.first(), after.first())
        else {
            return Some(0);
        };
        let next = unorder_i64(*key).saturating_sub(*shard).saturating_add(1);
        (next < 1 << SHARD_SHIFT).then(|| next.max(0).cast_unsigned())
    }

    /// See [`super::runs::first_at_least`].
    pub fn first_at_least(&self, start: u32, end: u32, least: u64) -> u32 {
        super::runs::first_at_least(&self.seq_no, start, end, least)
    }

    /// The keys a document with the given sort values would have in this segment.
    pub fn encode_values(&self, values: &[SortValue]) -> Result<Vec<u64>> {
        self.levels
            .iter()
            .zip(values)
            .map(|(level, value)| {
                let key = match (&level.kind, value) {
                    (SegmentKind::SeqNo, SortValue::Integer(value)) => value.cast_unsigned(),
                    (SegmentKind::Integer { .. } | SegmentKind::Doc { .. }, SortValue::Integer(value)) => {
                        order_i64(*value)
                    }
                    (SegmentKind::Integer { .. }, SortValue::Float(value)) => {
                        #[allow(clippy::cast_possible_truncation)]
                        let value = *value as i64;
                        order_i64(value)
                    }
                    (SegmentKind::Score | SegmentKind::Float { .. }, SortValue::Float(value)) => {
                        order_f64(*value)
                    }
                    (SegmentKind::Score | SegmentKind::Float { .. }, SortValue::Integer(value)) => {
                        order_f64(*value as f64)
                    }
                    (SegmentKind::Text { column, .. }, SortValue::Text(text)) => {
                        text_key(column.as_ref(), text)?
                    }
                    (SegmentKind::Text { missing_key, .. }, SortValue::Null) => *missing_key,
                    _ => {
                        return Err(ApiError::illegal_argument(
                            "sort values of different types cannot be compared",
                        ));
                    }
                };
                Ok(if level.descending { !key } else { key })
            })
            .collect()
    }

    /// The values behind keys of this segment.
    pub fn decode(&self, keys: &[u64]) -> Result<Vec<SortValue>> {
        self.levels
            .iter()
            .zip(keys)
            .map(|(level, key)| {
                let key = if level.descending { !key } else { *key };
                Ok(match &level.kind {
                    SegmentKind::Score | SegmentKind::Float { .. } => SortValue::Float(unorder_f64(key)),
                    SegmentKind::SeqNo => SortValue::Integer(key.cast_signed()),
                    SegmentKind::Doc { .. } | SegmentKind::Integer { .. } => {
                        SortValue::Integer(unorder_i64(key))
                    }
                    SegmentKind::Text { column, missing, missing_key, .. } => {
                        if key == *missing_key {
                            match missing {
                                TextMissing::Literal(text) => SortValue::Text(text.clone()),
                                _ => SortValue::Null,
                            }
                        } else {
                            let mut text = String::new();
                            if let Some(column) = column {
                                column.ord_to_str((key - 2) / 2, &mut text).map_err(ApiError::internal)?;
                            }
                            SortValue::Text(text)
                        }
                    }
                })
            })
            .collect()
    }
}

/// Where `text` stands among the doubled ordinals of a dictionary.
fn text_key(column: Option<&StrColumn>, text: &str) -> Result<u64> {
    let Some(column) = column else { return Ok(1) };
    let hit = column.dictionary().term_ord_or_next(text.as_bytes()).map_err(ApiError::internal)?;
    Ok(match hit {
        TermOrdHit::Exact(ordinal) => ordinal * 2 + 2,
        TermOrdHit::Next(u64::MAX) => column.num_terms() as u64 * 2 + 1,
        TermOrdHit::Next(ordinal) => ordinal * 2 + 1,
    })
}

fn pick_integer(numbers: &Numbers, mode: Mode, doc: u32) -> Option<i64> {
    let (mut count, mut smallest, mut largest, mut sum) = (0_i64, i64::MAX, i64::MIN, 0_i64);
    let mut all = Vec::new();
    numbers.integers(doc, |value| {
        count += 1;
        smallest = smallest.min(value);
        largest = largest.max(value);
        sum = sum.wrapping_add(value);
        if mode == Mode::Median {
            all.push(value);
        }
    });
    if count == 0 {
        return None;
    }
    Some(match mode {
        Mode::Min => smallest,
        Mode::Max => largest,
        Mode::Sum => sum,
        Mode::Avg => rounded(sum as f64 / count as f64),
        Mode::Median => {
            all.sort_unstable();
            let middle = all.len() / 2;
            if all.len() % 2 == 1 {
                all[middle]
            } else {
                rounded(f64::midpoint(all[middle - 1] as f64, all[middle] as f64))
            }
        }
    })
}

/// Halves go up, as Java's `Math.round` does.
#[allow(clippy::cast_possible_truncation)]
fn rounded(value: f64) -> i64 {
    (value + 0.5).floor() as i64
}

fn pick_float(numbers: &Numbers, mode: Mode, doc: u32) -> Option<f64> {
    let (mut count, mut smallest, mut largest, mut sum) = (0_u32, f64::INFINITY, f64::NEG_INFINITY, 0.0);
    let mut all = Vec::new();
    numbers.floats(doc, |value| {
        count += 1;
        smallest = smallest.min(value);
        largest = largest.max(value);
        sum += value;
        if mode == Mode::Median {
            all.push(value);
        }
    });
    if count == 0 {
        return None;
    }
    Some(match mode {
        Mode::Min => smallest,
        Mode::Max => largest,
        Mode::Sum => sum,
        Mode::Avg => sum / f64::from(count),
        Mode::Median => {
            all.sort_unstable_by(f64::total_cmp);
            let middle = all.len() / 2;
            if all.len() % 2 == 1 { all[middle] } else { f64::midpoint(all[middle - 1], all[middle]) }
        }
    })
}
