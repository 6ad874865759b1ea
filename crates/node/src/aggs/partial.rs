//! What has been collected, in a form that can be merged over segments and indices.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use serde_json::json;

use super::resolve::Style;
use super::{MAX_COLLECTED, reduce_failure, too_many_buckets};
use crate::error::Result;
use crate::search::columns::order_f64;

/// State of the aggregations of one level, in their order.
#[derive(Debug, Clone)]
pub struct Partials(pub(super) Vec<Partial>);

#[derive(Debug, Clone)]
pub(super) enum Partial {
    /// Buckets by key, and what a bucket without documents has below it.
    Keyed { style: Style, buckets: HashMap<Key, Bucket>, blank: Partials },
    /// One bucket for each filter or range.
    Slots(Vec<Bucket>),
    /// As `Slots`, with the ranges they stand for.
    Ranges { style: Style, ranges: Vec<Span>, buckets: Vec<Bucket> },
    /// Numbers summed up.
    Stats { style: Style, stats: Stats },
    /// Distinct values.
    Distinct(Distinct),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Integer(i64),
    /// In the order of `order_f64`.
    Float(u64),
    Text(Box<str>),
}

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub count: u64,
    pub sub: Partials,
}

/// A range, from `from` up to but without `to`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub key: Option<String>,
    pub from: f64,
    pub to: f64,
}

/// Count, sum, extremes and squares of numbers. Sums are compensated, as Elasticsearch's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats {
    pub count: u64,
    pub min: f64,
    pub max: f64,
    sum: Sum,
    squares: Sum,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.value += value;
            return;
        }
        let corrected = value - self.lost;
        let sum = self.value + corrected;
        self.lost = (sum - self.value) - corrected;
        self.value = sum;
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: Sum::default(),
            squares: Sum::default(),
        }
    }
}

impl Stats {
    /// Only a count (`value_count`).
    pub fn counted(count: u64) -> Self {
        Self { count, ..Self::default() }
    }

    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum.add(value);
        self.squares.add(value * value);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum.add(other.sum.value);
        self.squares.add(other.squares.value);
    }

    pub fn sum(&self) -> f64 {
        self.sum.value
    }

    pub fn sum_of_squares(&self) -> f64 {
        self.squares.value
    }

    pub fn avg(&self) -> f64 {
        self.sum.value / self.count as f64
    }

    /// Population variance.
    pub fn variance(&self) -> f64 {
        let count = self.count as f64;
        let variance = (self.squares.value - self.sum.value * self.sum.value / count) / count;
        variance.max(0.0)
    }

    /// Sample variance.
    pub fn variance_sampling(&self) -> f64 {
        let count = self.count as f64;
        let variance = (self.squares.value - self.sum.value * self.sum.value / count) / (count - 1.0);
        if self.count < 2 { f64::NAN } else { variance.max(0.0) }
    }
}

/// Distinct values by their 64-bit hashes: exact up to `keep` of them, estimated from the `keep` smallest hashes past
/// it (standard error 1/√keep).
#[derive(Debug, Clone)]
pub(super) struct Distinct {
    keep: usize,
    hashes: HashSet<u64, BuildHasherDefault<Folded>>,
    /// Hashes from here on were let go.
    limit: u64,
}

/// Takes a hash for its own hash.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Folded(u64);

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Distinct {
    /// Exact this far at the top level.
    pub const WHOLE: usize = 65_536;
    /// Exact this far in each bucket of another aggregation.
    pub const IN_BUCKET: usize = 4_096;

    pub fn new(keep: usize) -> Self {
        Self { keep, hashes: HashSet::default(), limit: u64::MAX }
    }

    pub fn add(&mut self, hash: u64) {
        if hash < self.limit && self.hashes.insert(hash) && self.hashes.len() >= self.keep * 2 {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.hashes.len() <= self.keep {
            return;
        }
        let mut all: Vec<u64> = self.hashes.drain().collect();
        all.select_nth_unstable(self.keep);
        self.limit = all[self.keep];
        all.truncate(self.keep);
        self.hashes = all.into_iter().collect();
    }

    fn merge(&mut self, other: &Self) {
        if other.limit < self.limit {
            self.limit = other.limit;
            let limit = self.limit;
            self.hashes.retain(|hash| *hash < limit);
        }
        for hash in &other.hashes {
            self.add(*hash);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn count(&self) -> u64 {
        let mut exact = self.clone();
        if exact.limit == u64::MAX && exact.hashes.len() <= exact.keep {
            return exact.hashes.len() as u64;
        }
        exact.trim();
        let share = exact.limit as f64 / u64::MAX as f64;
        (exact.hashes.len() as f64 / share).round() as u64
    }
}

impl Partials {
    /// Adds what another segment or index collected for the same aggregations.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            mine.merge(theirs)?;
        }
        Ok(())
    }
}

impl Bucket {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.count += other.count;
        self.sub.merge(other.sub)
    }
}

impl Partial {
    fn merge(&mut self, other: Self) -> Result<()> {
        match (self, other) {
            (
                Self::Keyed { style, buckets, blank },
                Self::Keyed { style: other_style, buckets: others, blank: other_blank },
            ) => {
                blank.merge(other_blank)?;
                let float = unite(style, &other_style)?;
                if float {
                    *buckets = buckets.drain().map(|(key, bucket)| (key.into_float(), bucket)).collect();
                }
                for (key, bucket) in others {
                    let key = if matches!(style, Style::Float { .. }) { key.into_float() } else { key };
                    match buckets.entry(key) {
                        std::collections::hash_map::Entry::Occupied(mut mine) => {
                            mine.get_mut().merge(bucket)?;
                        }
                        std::collections::hash_map::Entry::Vacant(free) => {
                            free.insert(bucket);
                        }
                    }
                }
                if buckets.len() > MAX_COLLECTED {
                    return Err(too_many_buckets());
                }
                Ok(())
            }
            (Self::Slots(mine), Self::Slots(theirs)) => merge_all(mine, theirs),
            (
                Self::Ranges { style, ranges, buckets },
                Self::Ranges { style: other_style, ranges: others, buckets: theirs },
            ) => {
                unite(style, &other_style)?;
                if buckets.is_empty() {
                    *ranges = others;
                    *buckets = theirs;
                    return Ok(());
                }
                merge_all(buckets, theirs)
            }
            (Self::Stats { style, stats }, Self::Stats { style: other_style, stats: other }) => {
                if *style == Style::Unmapped {
                    *style = other_style;
                }
                stats.merge(&other);
                Ok(())
            }
            (Self::Distinct(mine), Self::Distinct(theirs)) => {
                mine.keep = mine.keep.max(theirs.keep);
                mine.merge(&theirs);
                Ok(())
            }
            _ => Err(crate::error::ApiError::internal("parts of different aggregations were merged")),
        }
    }
}

fn merge_all(mine: &mut [Bucket], theirs: Vec<Bucket>) -> Result<()> {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.merge(theirs)?;
    }
    Ok(())
}

/// Makes one style of two; true when integers became floats.
fn unite(mine: &mut Style, other: &Style) -> Result<bool> {
    match (&*mine, other) {
        (Style::Unmapped, _) => {
            *mine = other.clone();
            Ok(false)
        }
        (_, Style::Unmapped)
        | (Style::Float { .. }, Style::Integer | Style::Float { .. })
        | (Style::Date { .. }, Style::Date { .. }) => Ok(false),
        (Style::Integer, Style::Float { .. }) => {
            *mine = other.clone();
            Ok(true)
        }
        (mine, other) if mine == other => Ok(false),
        _ => Err(reduce_failure(json!({
            "type": "aggregation_execution_exception",
            "reason": "Merging/Reducing the aggregations failed because the field you gave in the aggregation query \
                       existed as two different types in two different indices",
        }))),
    }
}

impl Key {
    fn into_float(self) -> Self {
        match self {
            Self::Integer(value) => Self::Float(order_f64(value as f64)),
            other => other,
        }
    }
}

/// Compares numbers of sub-aggregations: those without one come last in either direction.
pub(super) fn compare_numbers(left: f64, right: f64, descending: bool) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => right.total_cmp(&left),
        (false, false) => left.total_cmp(&right),
    }
}
