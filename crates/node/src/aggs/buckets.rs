//! From a document to the buckets it falls into, within one segment. Buckets are named by a `u64`: a term's ordinal,
//! a number in order-keeping form, or a position in a list.

use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::Value;
use tantivy::columnar::StrColumn;
use tantivy::query::Scorer;

use super::interval::Rounding;
use super::parse::Pick;
use super::partial::{Key, Span};
use super::resolve::{Field, Style, Substitute};
use crate::error::{ApiError, Result};
use crate::search::bare;
use crate::search::columns::{Columns, Numbers, order_f64, order_i64, unorder_i64};

/// Where the buckets of a document come from.
pub(super) enum KeySource {
    Terms(TermKeys),
    Histogram {
        numbers: Numbers,
        interval: f64,
        offset: f64,
        hard: (f64, f64),
        missing: Option<f64>,
    },
    DateHistogram {
        numbers: Numbers,
        rounding: Rounding,
        hard: (i64, i64),
        missing: Option<i64>,
    },
    Ranges {
        numbers: Numbers,
        spans: Vec<Span>,
        missing: Option<f64>,
    },
    Filters {
        scorers: Vec<Box<dyn Scorer>>,
        other: bool,
    },
    /// Documents without a value.
    Missing {
        columns: Columns,
        field: Field,
    },
    /// Every document.
    All,
}

impl KeySource {
    /// Collects the buckets of `doc`, each once.
    pub fn keys(&mut self, doc: u32, keys: &mut Vec<u64>) {
        keys.clear();
        match self {
            Self::Terms(terms) => terms.keys(doc, keys),
            Self::Histogram { numbers, interval, offset, hard, missing } => {
                let mut add = |value: f64| {
                    #[allow(clippy::cast_possible_truncation)]
                    let slot = ((value - *offset) / *interval).floor() as i64;
                    // Bounds are compared with the start of the bucket, its offset left out.
                    let start = slot as f64 * *interval;
                    if hard.0 <= start && start <= hard.1 {
                        keys.push(order_i64(slot));
                    }
                };
                let mut any = false;
                numbers.floats(doc, |value| {
                    any = true;
                    add(value);
                });
                if let (false, Some(missing)) = (any, missing) {
                    add(*missing);
                }
            }
            Self::DateHistogram { numbers, rounding, hard, missing } => {
                let mut any = false;
                let mut add = |value: i64| {
                    let start = rounding.round(value);
                    if hard.0 <= start && start < hard.1 {
                        keys.push(order_i64(start));
                    }
                };
                numbers.integers(doc, |value| {
                    any = true;
                    add(value);
                });
                if let (false, Some(missing)) = (any, missing) {
                    add(*missing);
                }
            }
            Self::Ranges { numbers, spans, missing } => {
                let mut any = false;
                let mut add = |value: f64| {
                    for (slot, span) in spans.iter().enumerate() {
                        if span.from <= value && value < span.to {
                            keys.push(slot as u64);
                        }
                    }
                };
                numbers.floats(doc, |value| {
                    any = true;
                    add(value);
                });
                if let (false, Some(missing)) = (any, missing) {
                    add(*missing);
                }
            }
            Self::Filters { scorers, other } => {
                for (slot, scorer) in scorers.iter_mut().enumerate() {
                    let at = scorer.doc();
                    if (if at < doc { scorer.seek(doc) } else { at }) == doc {
                        keys.push(slot as u64);
                    }
                }
                if *other && keys.is_empty() {
                    keys.push(scorers.len() as u64);
                }
                return;
            }
            Self::Missing { columns, field } => {
                if field.constant.is_none() && field.substitute.is_none() && !has_value(columns, doc) {
                    keys.push(0);
                }
                return;
            }
            Self::All => {
                keys.push(0);
                return;
            }
        }
        if keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
    }

    /// The keys of buckets of this segment; `keys` is sorted.
    pub fn decode(&self, keys: &[u64]) -> Result<Vec<Key>> {
        match self {
            Self::Terms(terms) => terms.decode(keys),
            _ => Ok(keys.iter().map(|key| Key::Integer(unorder_i64(*key))).collect()),
        }
    }
}

fn has_value(columns: &Columns, doc: u32) -> bool {
    let mut any = columns.strings.as_ref().is_some_and(|column| column.term_ords(doc).next().is_some());
    columns.numbers.floats(doc, |_| any = true);
    any
}

/// Buckets of a terms aggregation.
pub(super) struct TermKeys {
    values: TermValues,
    /// The bucket of documents without a value.
    missing: Option<(u64, Key)>,
    allowed: Option<HashSet<u64>>,
    refused: Option<HashSet<u64>>,
}

enum TermValues {
    Text(Option<StrColumn>),
    Integers(Numbers),
    Floats(Numbers),
    /// Every document is in one bucket.
    Constant(Box<str>),
}

impl TermKeys {
    /// `name` is the aggregation's, for messages.
    pub fn open(
        name: &str,
        field: &Field,
        columns: Columns,
        include: Option<&Pick>,
        exclude: Option<&Pick>,
    ) -> Result<Self> {
        let values = match (&field.constant, &field.style) {
            (Some(constant), _) => TermValues::Constant(constant.as_str().into()),
            (None, Style::Integer | Style::Boolean | Style::Date { .. }) => {
                TermValues::Integers(columns.numbers)
            }
            (None, Style::Float { .. }) => TermValues::Floats(columns.numbers),
            (None, Style::Text | Style::Unmapped) => TermValues::Text(columns.strings),
        };
        let missing = match &field.substitute {
            None => None,
            Some(Substitute::Integer(value)) => Some((order_i64(*value), Key::Integer(*value))),
            Some(Substitute::Float(value)) => Some((order_f64(*value), Key::Float(order_f64(*value)))),
            Some(Substitute::Text(text)) => {
                let known = match &values {
                    TermValues::Text(Some(column)) => {
                        column.dictionary().term_ord(text.as_bytes()).map_err(ApiError::internal)?
                    }
                    _ => None,
                };
                Some((known.unwrap_or(u64::MAX), Key::Text(text.as_str().into())))
            }
        };
        let mut terms = Self { values, missing, allowed: None, refused: None };
        terms.allowed = include.map(|pick| terms.picked(name, pick)).transpose()?;
        terms.refused = exclude.map(|pick| terms.picked(name, pick)).transpose()?;
        Ok(terms)
    }

    fn picked(&self, name: &str, pick: &Pick) -> Result<HashSet<u64>> {
        let mut picked = HashSet::new();
        let missing = self.missing.as_ref();
        match pick {
            Pick::Exact(values) => {
                for value in values {
                    let text = bare(value);
                    if let Some((key, Key::Text(own))) = missing
                        && own.as_ref() == text
                    {
                        picked.insert(*key);
                    }
                    picked.extend(self.exact(&text, value)?);
                }
            }
            Pick::Pattern(regex) => {
                if let Some((key, Key::Text(own))) = missing
                    && regex.is_match(own)
                {
                    picked.insert(*key);
                }
                match &self.values {
                    TermValues::Text(None) => {}
                    TermValues::Text(Some(column)) => {
                        let mut terms = column.dictionary().stream().map_err(ApiError::internal)?;
                        while terms.advance() {
                            if std::str::from_utf8(terms.key()).is_ok_and(|text| regex.is_match(text)) {
                                picked.insert(terms.term_ord());
                            }
                        }
                    }
                    TermValues::Constant(text) => {
                        if regex.is_match(text) {
                            picked.insert(0);
                        }
                    }
                    TermValues::Integers(_) | TermValues::Floats(_) => {
                        return Err(ApiError::illegal_argument(format!(
                            "Aggregation [{name}] cannot support regular expression style include/exclude settings as \
                             they can only be applied to string fields. Use an array of numeric values for \
                             include/exclude clauses used to filter numeric fields"
                        )));
                    }
                }
            }
        }
        Ok(picked)
    }

    fn exact(&self, text: &str, value: &Value) -> Result<Option<u64>> {
        let number_format = || {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "number_format_exception",
                format!("For input string: \"{text}\""),
            )
        };
        Ok(match &self.values {
            TermValues::Text(None) => None,
            TermValues::Text(Some(column)) => {
                column.dictionary().term_ord(text.as_bytes()).map_err(ApiError::internal)?
            }
            TermValues::Constant(constant) => (constant.as_ref() == text).then_some(0),
            TermValues::Integers(_) => Some(order_i64(match value {
                Value::Bool(flag) => i64::from(*flag),
                _ => text.parse().map_err(|_| number_format())?,
            })),
            TermValues::Floats(_) => Some(order_f64(text.parse().map_err(|_| number_format())?)),
        })
    }

    fn keys(&self, doc: u32, keys: &mut Vec<u64>) {
        match &self.values {
            TermValues::Text(None) => {}
            TermValues::Text(Some(column)) => keys.extend(column.term_ords(doc)),
            TermValues::Integers(numbers) => numbers.integers(doc, |value| keys.push(order_i64(value))),
            TermValues::Floats(numbers) => numbers.floats(doc, |value| keys.push(order_f64(value))),
            TermValues::Constant(_) => keys.push(0),
        }
        if let (true, Some((key, _))) = (keys.is_empty(), &self.missing) {
            keys.push(*key);
        }
        if let Some(allowed) = &self.allowed {
            keys.retain(|key| allowed.contains(key));
        }
        if let Some(refused) = &self.refused {
            keys.retain(|key| !refused.contains(key));
        }
    }

    fn decode(&self, keys: &[u64]) -> Result<Vec<Key>> {
        let missing =
            |key: u64| self.missing.as_ref().filter(|(own, _)| *own == key).map(|(_, decoded)| decoded);
        let mut decoded = Vec::with_capacity(keys.len());
        match &self.values {
            TermValues::Text(Some(column)) => {
                // The substitute is in the dictionary, or sorts behind it.
                let known = keys.partition_point(|key| *key != u64::MAX);
                terms_of(column, &keys[..known], |text| decoded.push(Key::Text(text.into())))?;
                decoded.extend(keys[known..].iter().filter_map(|key| missing(*key).cloned()));
            }
            TermValues::Text(None) => decoded.extend(keys.iter().filter_map(|key| missing(*key).cloned())),
            TermValues::Integers(_) => decoded.extend(keys.iter().map(|key| Key::Integer(unorder_i64(*key)))),
            TermValues::Floats(_) => decoded.extend(keys.iter().map(|key| Key::Float(*key))),
            TermValues::Constant(text) => decoded.extend(keys.iter().map(|_| Key::Text(text.clone()))),
        }
        if decoded.len() == keys.len() {
            Ok(decoded)
        } else {
            Err(ApiError::internal("a bucket without key"))
        }
    }
}

/// Calls `each` with the terms of sorted ordinals: one pass over the dictionary instead of a search for each.
pub(super) fn terms_of(column: &StrColumn, ordinals: &[u64], mut each: impl FnMut(&str)) -> Result<()> {
    let mut valid = true;
    let found = column
        .dictionary()
        .sorted_ords_to_term_cb(ordinals, |term| match std::str::from_utf8(term) {
            Ok(text) => each(text),
            Err(_) => valid = false,
        })
        .map_err(ApiError::internal)?;
    if found && valid { Ok(()) } else { Err(ApiError::internal("a column of strings is damaged")) }
}
