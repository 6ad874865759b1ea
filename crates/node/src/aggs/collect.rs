//! Collecting: one tree of collectors a segment, whose buckets are numbered; merged into partials by key afterwards.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use axum::http::StatusCode;
use serde_json::Value;
use tantivy::SegmentReader;
use tantivy::columnar::StrColumn;
use tantivy::query::{EnableScoring, Weight};

use super::buckets::{KeySource, TermKeys, terms_of};
use super::interval::Rounding;
use super::parse::{
    Aggregations, Bounds, DateHistogram, Histogram, Kind, Metric, Named, Range, Source, Terms,
};
use super::partial::{Bucket, Distinct, Partial, Partials, Span, Stats};
use super::resolve::{Accept, Field, Style, Substitute};
use super::{MAX_COLLECTED, too_many_buckets};
use crate::dates;
use crate::error::{ApiError, Result};
use crate::query::Clause;
use crate::search::collect::Observer;
use crate::search::columns::{Columns, Numbers, order_f64, order_i64};
use crate::search::execute::Target;
use crate::search::shard_failure;

/// Collects the aggregations of one index.
pub struct ShardCollector<'a> {
    aggregations: &'a Aggregations,
    plans: Vec<Plan<'a>>,
    merged: Partials,
    segment: Option<Vec<Box<dyn SegmentCollector + 'a>>>,
    budget: Budget,
    index: &'a str,
}

/// Buckets that may still be made.
#[derive(Debug, Clone)]
struct Budget(Rc<Cell<usize>>);

impl Budget {
    fn take(&self) -> Result<()> {
        let left = self.0.get().checked_sub(1).ok_or_else(too_many_buckets)?;
        self.0.set(left);
        Ok(())
    }
}

/// An aggregation resolved against one index.
struct Plan<'a> {
    named: &'a Named,
    kind: PlanKind,
    sub: Vec<Plan<'a>>,
    depth: usize,
}

enum PlanKind {
    Terms(Field),
    Histogram { field: Field, missing: Option<f64> },
    DateHistogram { field: Field, hard: (i64, i64), missing: Option<i64> },
    Ranges { field: Field, spans: Vec<Span>, missing: Option<f64> },
    Filters { weights: Vec<Box<dyn Weight>>, other: bool },
    Missing(Field),
    All,
    Stats { field: Field, missing: Option<f64> },
    Count(Field),
    Distinct(Field),
}

impl<'a> ShardCollector<'a> {
    /// Resolves `aggregations` against the index of `target`. `now_ms` is the time `now` stands for.
    pub fn new(aggregations: &'a Aggregations, target: &'a Target, now_ms: i64) -> Result<Self> {
        let plans = plans(aggregations, target, now_ms, 0)?;
        Ok(Self {
            aggregations,
            merged: blanks(&plans),
            plans,
            segment: None,
            budget: Budget(Rc::new(Cell::new(MAX_COLLECTED))),
            index: &target.view.name,
        })
    }

    /// What the index contributes.
    pub fn finish(mut self) -> Result<Partials> {
        self.end_segment()?;
        Ok(self.merged)
    }

    fn end_segment(&mut self) -> Result<()> {
        if let Some(collectors) = self.segment.take() {
            let partials = finish_all(collectors, 1)?.pop().unwrap_or(Partials(Vec::new()));
            self.merged.merge(partials)?;
        }
        Ok(())
    }
}

impl Observer for ShardCollector<'_> {
    fn segment(&mut self, reader: &SegmentReader) -> Result<()> {
        self.end_segment()?;
        let opened =
            open_all(&self.plans, reader, &self.budget).map_err(|error| shard_failure(self.index, error))?;
        self.segment = Some(opened);
        debug_assert_eq!(self.plans.len(), self.aggregations.named.len());
        Ok(())
    }

    fn collect(&mut self, doc: u32) -> Result<()> {
        self.segment.iter_mut().flatten().try_for_each(|collector| collector.collect(doc, 0))
    }
}

fn plans<'a>(
    aggregations: &'a Aggregations,
    target: &'a Target,
    now_ms: i64,
    depth: usize,
) -> Result<Vec<Plan<'a>>> {
    aggregations
        .named
        .iter()
        .map(|named| {
            let kind = plan(named, target, now_ms)?;
            Ok(Plan { named, kind, sub: plans(&named.sub, target, now_ms, depth + 1)?, depth })
        })
        .collect()
}

/// What aggregations answer when no document comes to them.
fn blanks(plans: &[Plan<'_>]) -> Partials {
    Partials(plans.iter().map(Plan::blank).collect())
}

fn plan(named: &Named, target: &Target, now_ms: i64) -> Result<PlanKind> {
    let view = &target.view;
    let fail = |error| shard_failure(&view.name, error);
    let numbers = |source: &Source, name: &str| Field::resolve(source, view, name, Accept::Numbers);
    let any = |source: &Source, name: &str| Field::resolve(source, view, name, Accept::Any);
    Ok(match &named.kind {
        Kind::Terms(terms) => PlanKind::Terms(any(&terms.source, "terms")?),
        Kind::Histogram(histogram) => {
            let field = numbers(&histogram.source, "histogram")?;
            plain_numbers("histogram", &histogram.source, &field, &[Style::Boolean]).map_err(fail)?;
            PlanKind::Histogram { missing: float(&field), field }
        }
        Kind::DateHistogram(histogram) => {
            let field = numbers(&histogram.source, "date_histogram")?;
            let format = match &field.style {
                Style::Date { format } => format.clone(),
                Style::Unmapped => None,
                _ => {
                    return Err(fail(ApiError::illegal_argument(format!(
                        "[date_histogram] on field [{}], which is no date, is not supported by this node",
                        histogram.source.field
                    ))));
                }
            };
            // Bounds are moved to the start of their buckets.
            let zone = histogram.time_zone.as_ref();
            let bound = |value: Option<&Value>, open: i64| match value {
                Some(value) => date_bound(value, format.as_deref(), zone, now_ms)
                    .map(|millis| Rounding::new(histogram.interval, zone.cloned(), 0).round(millis)),
                None => Ok(open),
            };
            let hard = match &histogram.hard {
                Some((min, max)) => {
                    let bounds = bound(min.as_ref(), i64::MIN)
                        .and_then(|min| Ok((min, bound(max.as_ref(), i64::MAX)?)));
                    bounds.map_err(fail)?
                }
                None => (i64::MIN, i64::MAX),
            };
            let missing = match field.substitute {
                Some(Substitute::Integer(value)) => Some(value),
                _ => None,
            };
            PlanKind::DateHistogram { field, hard, missing }
        }
        Kind::Range(range) => {
            let field = numbers(&range.source, if range.dates { "date_range" } else { "range" })?;
            plain_numbers("range", &range.source, &field, &[Style::Boolean]).map_err(fail)?;
            let spans = spans(range, &field, now_ms).map_err(fail)?;
            PlanKind::Ranges { missing: float(&field), field, spans }
        }
        Kind::Filter(filter) => {
            PlanKind::Filters { weights: vec![weight(filter.as_ref(), target, now_ms)?], other: false }
        }
        Kind::Filters(filters) => PlanKind::Filters {
            weights: filters
                .list
                .iter()
                .map(|(_, filter)| weight(filter.as_ref(), target, now_ms))
                .collect::<Result<_>>()?,
            other: filters.other.is_some(),
        },
        Kind::Missing(source) => PlanKind::Missing(any(source, "missing")?),
        Kind::Global => PlanKind::All,
        Kind::Metric(Metric::ValueCount, source) => PlanKind::Count(any(source, "value_count")?),
        Kind::Metric(metric, source) => {
            let field = numbers(source, metric.type_name())?;
            if *metric == Metric::ExtendedStats {
                let date = Style::Date { format: None };
                plain_numbers("extended_stats", source, &field, &[Style::Boolean, date]).map_err(fail)?;
            }
            PlanKind::Stats { missing: float(&field), field }
        }
        Kind::Cardinality(source) => PlanKind::Distinct(any(source, "cardinality")?),
    })
}

/// Refuses types whose values Elasticsearch writes in ways this node does not.
fn plain_numbers(type_name: &str, source: &Source, field: &Field, refused: &[Style]) -> Result<()> {
    if refused.iter().any(|style| std::mem::discriminant(style) == std::mem::discriminant(&field.style)) {
        return Err(ApiError::illegal_argument(format!(
            "[{type_name}] on field [{}] of this type is not supported by this node",
            source.field
        )));
    }
    Ok(())
}

fn float(field: &Field) -> Option<f64> {
    match field.substitute {
        Some(Substitute::Integer(value)) => Some(value as f64),
        Some(Substitute::Float(value)) => Some(value),
        _ => None,
    }
}

fn weight(filter: &dyn Clause, target: &Target, now_ms: i64) -> Result<Box<dyn Weight>> {
    let view = &target.view;
    let query = filter.compile(&target.context(now_ms)).map_err(|error| shard_failure(&view.name, error))?;
    Ok(query.weight(EnableScoring::disabled_from_searcher(&view.searcher))?)
}

/// A bound of a date histogram or date range: milliseconds, or a date with date math.
pub(super) fn date_bound(
    value: &Value,
    format: Option<&str>,
    zone: Option<&dates::TimeZone>,
    now_ms: i64,
) -> Result<i64> {
    match value {
        Value::Number(number) => number.as_i64().ok_or_else(|| {
            ApiError::illegal_argument(format!("[{number}] is no whole number of milliseconds"))
        }),
        other => dates::math(&crate::search::bare(other), now_ms, false, zone, format),
    }
}

fn spans(range: &Range, field: &Field, now_ms: i64) -> Result<Vec<Span>> {
    let format = match &field.style {
        Style::Date { format } => format.as_deref(),
        _ => range.source.format.as_deref(),
    };
    let bound = |value: Option<&Value>, open: f64| -> Result<f64> {
        let Some(value) = value else { return Ok(open) };
        if range.dates {
            return date_bound(value, format, range.time_zone.as_ref(), now_ms).map(|millis| millis as f64);
        }
        let text = crate::search::bare(value);
        text.parse().map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "number_format_exception",
                format!("For input string: \"{text}\""),
            )
        })
    };
    let mut spans = range
        .ranges
        .iter()
        .map(|Bounds { key, from, to }| {
            Ok(Span {
                key: key.clone(),
                from: bound(from.as_ref(), f64::NEG_INFINITY)?,
                to: bound(to.as_ref(), f64::INFINITY)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    spans.sort_by(|left, right| left.from.total_cmp(&right.from).then(left.to.total_cmp(&right.to)));
    Ok(spans)
}

/// Collects one aggregation in one segment, for every bucket (`parent`) of the aggregation above it.
trait SegmentCollector {
    fn collect(&mut self, doc: u32, parent: usize) -> Result<()>;
    /// One partial for each of `parents` buckets.
    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>>;
}

fn open_all<'a>(
    plans: &[Plan<'a>],
    reader: &SegmentReader,
    budget: &Budget,
) -> Result<Vec<Box<dyn SegmentCollector + 'a>>> {
    plans.iter().map(|plan| plan.open(reader, budget)).collect()
}

/// The partials of each of `parents` buckets.
fn finish_all(collectors: Vec<Box<dyn SegmentCollector + '_>>, parents: usize) -> Result<Vec<Partials>> {
    let mut finished: Vec<Partials> = vec![Partials(Vec::new()); parents];
    for collector in collectors {
        for (partials, partial) in finished.iter_mut().zip(collector.finish(parents)?) {
            partials.0.push(partial);
        }
    }
    Ok(finished)
}

fn columns(field: &Field, reader: &SegmentReader) -> Result<Columns> {
    field.path.as_ref().map_or_else(|| Ok(Columns::default()), |path| Columns::open(reader, path))
}

impl<'a> Plan<'a> {
    fn blank(&self) -> Partial {
        let sub = blanks(&self.sub);
        let stats = |style: &Style| Partial::Stats { style: style.clone(), stats: Stats::default() };
        let keep = if self.depth == 0 { Distinct::WHOLE } else { Distinct::IN_BUCKET };
        match &self.kind {
            PlanKind::Stats { field, .. } => stats(&field.style),
            PlanKind::Count(_) => stats(&Style::Unmapped),
            PlanKind::Distinct(_) => Partial::Distinct(Distinct::new(keep)),
            PlanKind::Terms(field) | PlanKind::DateHistogram { field, .. } => {
                Shape::Keyed(field.style.clone()).empty(&sub)
            }
            PlanKind::Histogram { .. } => Shape::Keyed(Style::Integer).empty(&sub),
            PlanKind::Ranges { field, spans, .. } => {
                Shape::Ranges(field.style.clone(), spans.clone()).empty(&sub)
            }
            PlanKind::Filters { weights, other } => {
                Shape::Slots(weights.len() + usize::from(*other)).empty(&sub)
            }
            PlanKind::Missing(_) | PlanKind::All => Shape::Slots(1).empty(&sub),
        }
    }

    fn open(&self, reader: &SegmentReader, budget: &Budget) -> Result<Box<dyn SegmentCollector + 'a>> {
        let (source, shape) = match &self.kind {
            PlanKind::Stats { field, missing } => {
                return Ok(Box::new(StatsCollector {
                    numbers: columns(field, reader)?.numbers,
                    missing: *missing,
                    style: field.style.clone(),
                    stats: Vec::new(),
                }));
            }
            PlanKind::Count(field) => {
                return Ok(Box::new(CountCollector {
                    columns: columns(field, reader)?,
                    field: field.clone(),
                    counts: Vec::new(),
                }));
            }
            PlanKind::Distinct(field) => {
                let keep = if self.depth == 0 { Distinct::WHOLE } else { Distinct::IN_BUCKET };
                return Ok(Box::new(DistinctCollector {
                    columns: columns(field, reader)?,
                    field: field.clone(),
                    keep,
                    numbers: Vec::new(),
                    ordinals: Vec::new(),
                }));
            }
            PlanKind::Terms(field) => {
                let Kind::Terms(terms) = &self.named.kind else { return Err(mismatch()) };
                let Terms { include, exclude, .. } = terms;
                let columns = columns(field, reader)?;
                let keys =
                    TermKeys::open(&self.named.name, field, columns, include.as_ref(), exclude.as_ref())?;
                (KeySource::Terms(keys), Shape::Keyed(field.style.clone()))
            }
            PlanKind::Histogram { field, missing } => {
                let Kind::Histogram(Histogram { interval, offset, hard, .. }) = &self.named.kind else {
                    return Err(mismatch());
                };
                let source = KeySource::Histogram {
                    numbers: columns(field, reader)?.numbers,
                    interval: *interval,
                    offset: *offset,
                    hard: hard.unwrap_or((f64::NEG_INFINITY, f64::INFINITY)),
                    missing: *missing,
                };
                // Its keys are counted from the offset, whatever the type of the field.
                (source, Shape::Keyed(Style::Integer))
            }
            PlanKind::DateHistogram { field, hard, missing } => {
                let Kind::DateHistogram(histogram) = &self.named.kind else { return Err(mismatch()) };
                let DateHistogram { interval, time_zone, offset, .. } = histogram.as_ref();
                let source = KeySource::DateHistogram {
                    numbers: columns(field, reader)?.numbers,
                    rounding: Rounding::new(*interval, time_zone.clone(), *offset),
                    hard: *hard,
                    missing: *missing,
                };
                (source, Shape::Keyed(field.style.clone()))
            }
            PlanKind::Ranges { field, spans, missing } => {
                let numbers = columns(field, reader)?.numbers;
                let source = KeySource::Ranges { numbers, spans: spans.clone(), missing: *missing };
                (source, Shape::Ranges(field.style.clone(), spans.clone()))
            }
            PlanKind::Filters { weights, other } => {
                let scorers =
                    weights.iter().map(|weight| weight.scorer(reader, 1.0)).collect::<Result<Vec<_>, _>>()?;
                let slots = scorers.len() + usize::from(*other);
                (KeySource::Filters { scorers, other: *other }, Shape::Slots(slots))
            }
            PlanKind::Missing(field) => {
                let source = KeySource::Missing { columns: columns(field, reader)?, field: field.clone() };
                (source, Shape::Slots(1))
            }
            PlanKind::All => (KeySource::All, Shape::Slots(1)),
        };
        let every = match &self.named.kind {
            // Terms of documents that do not match are answered with a count of 0.
            Kind::Terms(Terms { min_doc_count: 0, .. }) => Some(reader.max_doc()),
            _ => None,
        };
        Ok(Box::new(BucketCollector {
            blank: blanks(&self.sub),
            source,
            shape,
            ids: HashMap::default(),
            owners: Vec::new(),
            counts: Vec::new(),
            sub: open_all(&self.sub, reader, budget)?,
            scratch: Vec::new(),
            every,
            budget: budget.clone(),
        }))
    }
}

fn mismatch() -> ApiError {
    ApiError::internal("an aggregation was planned as another kind")
}

/// How buckets are handed on.
enum Shape {
    Keyed(Style),
    Slots(usize),
    Ranges(Style, Vec<Span>),
}

struct BucketCollector<'a> {
    /// What a bucket without documents has below it.
    blank: Partials,
    source: KeySource,
    shape: Shape,
    /// Number of the bucket of a parent and key.
    ids: HashMap<(usize, u64), usize, BuildHasherDefault<Mix>>,
    owners: Vec<(usize, u64)>,
    counts: Vec<u64>,
    sub: Vec<Box<dyn SegmentCollector + 'a>>,
    scratch: Vec<u64>,
    /// Documents of the segment, when every key of it is wanted.
    every: Option<u32>,
    budget: Budget,
}

impl BucketCollector<'_> {
    fn bucket(&mut self, parent: usize, key: u64) -> Result<usize> {
        if let Some(id) = self.ids.get(&(parent, key)) {
            return Ok(*id);
        }
        self.budget.take()?;
        let id = self.counts.len();
        self.ids.insert((parent, key), id);
        self.owners.push((parent, key));
        self.counts.push(0);
        Ok(id)
    }

    fn add_unmatched(&mut self, parents: usize) -> Result<()> {
        let Some(documents) = self.every else { return Ok(()) };
        let mut seen = HashSet::new();
        let mut keys = Vec::new();
        for doc in 0..documents {
            self.source.keys(doc, &mut keys);
            for key in keys.drain(..) {
                if seen.insert(key) {
                    for parent in 0..parents {
                        self.bucket(parent, key)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl SegmentCollector for BucketCollector<'_> {
    fn collect(&mut self, doc: u32, parent: usize) -> Result<()> {
        let mut keys = std::mem::take(&mut self.scratch);
        self.source.keys(doc, &mut keys);
        for key in &keys {
            let bucket = self.bucket(parent, *key)?;
            self.counts[bucket] += 1;
            for sub in &mut self.sub {
                sub.collect(doc, bucket)?;
            }
        }
        self.scratch = keys;
        Ok(())
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>> {
        self.add_unmatched(parents)?;
        let Self { blank, source, shape, owners, counts, sub, .. } = *self;
        let subs = finish_all(sub, counts.len())?;
        let mut keys: Vec<u64> = owners.iter().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        let decoded = match shape {
            Shape::Keyed(_) => source.decode(&keys)?,
            Shape::Slots(_) | Shape::Ranges(..) => Vec::new(),
        };
        let mut partials: Vec<Partial> = (0..parents).map(|_| shape.empty(&blank)).collect();
        for ((parent, key), (count, sub)) in owners.into_iter().zip(counts.into_iter().zip(subs)) {
            let bucket = Bucket { count, sub };
            match &mut partials[parent] {
                Partial::Keyed { buckets, .. } => {
                    let place = keys.binary_search(&key).map_err(|_| mismatch())?;
                    buckets.insert(decoded[place].clone(), bucket);
                }
                Partial::Slots(buckets) | Partial::Ranges { buckets, .. } => {
                    let slot = usize::try_from(key).map_err(ApiError::internal)?;
                    buckets[slot] = bucket;
                }
                _ => return Err(mismatch()),
            }
        }
        Ok(partials)
    }
}

impl Shape {
    fn empty(&self, blank: &Partials) -> Partial {
        let buckets = |count: usize| vec![Bucket { count: 0, sub: blank.clone() }; count];
        match self {
            Self::Keyed(style) => {
                Partial::Keyed { style: style.clone(), buckets: HashMap::new(), blank: blank.clone() }
            }
            Self::Slots(slots) => Partial::Slots(buckets(*slots)),
            Self::Ranges(style, spans) => {
                Partial::Ranges { style: style.clone(), ranges: spans.clone(), buckets: buckets(spans.len()) }
            }
        }
    }
}

/// Grows `list` so that `at` is in it.
fn slot<T: Clone>(list: &mut Vec<T>, at: usize, empty: impl FnOnce() -> T) -> &mut T {
    if at >= list.len() {
        list.resize(at + 1, empty());
    }
    &mut list[at]
}

struct StatsCollector {
    numbers: Numbers,
    missing: Option<f64>,
    style: Style,
    stats: Vec<Stats>,
}

impl SegmentCollector for StatsCollector {
    fn collect(&mut self, doc: u32, parent: usize) -> Result<()> {
        let stats = slot(&mut self.stats, parent, Stats::default);
        let before = stats.count;
        self.numbers.floats(doc, |value| stats.add(value));
        if let (true, Some(missing)) = (stats.count == before, self.missing) {
            stats.add(missing);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>> {
        self.stats.resize(parents, Stats::default());
        let style = self.style;
        Ok(self.stats.into_iter().map(|stats| Partial::Stats { style: style.clone(), stats }).collect())
    }
}

struct CountCollector {
    columns: Columns,
    field: Field,
    counts: Vec<u64>,
}

impl SegmentCollector for CountCollector {
    fn collect(&mut self, doc: u32, parent: usize) -> Result<()> {
        let mut count = u64::from(self.field.constant.is_some());
        self.columns.numbers.floats(doc, |_| count += 1);
        if let Some(column) = &self.columns.strings {
            count += distinct_ordinals(column, doc).len() as u64;
        }
        if count == 0 && self.field.substitute.is_some() {
            count = 1;
        }
        *slot(&mut self.counts, parent, || 0) += count;
        Ok(())
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>> {
        self.counts.resize(parents, 0);
        let style = Style::Unmapped;
        Ok(self
            .counts
            .into_iter()
            .map(|count| Partial::Stats { style: style.clone(), stats: Stats::counted(count) })
            .collect())
    }
}

fn distinct_ordinals(column: &StrColumn, doc: u32) -> Vec<u64> {
    let mut ordinals: Vec<u64> = column.term_ords(doc).collect();
    ordinals.sort_unstable();
    ordinals.dedup();
    ordinals
}

struct DistinctCollector {
    columns: Columns,
    field: Field,
    keep: usize,
    numbers: Vec<Option<Distinct>>,
    ordinals: Vec<HashSet<u64, BuildHasherDefault<Mix>>>,
}

impl SegmentCollector for DistinctCollector {
    fn collect(&mut self, doc: u32, parent: usize) -> Result<()> {
        let keep = self.keep;
        let distinct = slot(&mut self.numbers, parent, || None).get_or_insert_with(|| Distinct::new(keep));
        let mut any = false;
        match self.field.style {
            Style::Float { .. } => self.columns.numbers.floats(doc, |value| {
                any = true;
                distinct.add(hash(&order_f64(value)));
            }),
            _ => self.columns.numbers.integers(doc, |value| {
                any = true;
                distinct.add(hash(&order_i64(value)));
            }),
        }
        if let Some(column) = &self.columns.strings {
            let ordinals = slot(&mut self.ordinals, parent, HashSet::default);
            for ordinal in column.term_ords(doc) {
                any = true;
                ordinals.insert(ordinal);
            }
        }
        if let Some(constant) = &self.field.constant {
            distinct.add(hash(constant.as_str()));
        } else if !any && let Some(substitute) = &self.field.substitute {
            distinct.add(match substitute {
                Substitute::Text(text) => hash(text.as_str()),
                Substitute::Integer(value) => hash(&order_i64(*value)),
                Substitute::Float(value) => hash(&order_f64(*value)),
            });
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>> {
        self.numbers.resize(parents, None);
        self.ordinals.resize(parents, HashSet::default());
        let keep = self.keep;
        let mut partials = Vec::with_capacity(parents);
        for (distinct, ordinals) in self.numbers.into_iter().zip(self.ordinals) {
            let mut distinct = distinct.unwrap_or_else(|| Distinct::new(keep));
            if let Some(column) = &self.columns.strings {
                let mut ordinals: Vec<u64> = ordinals.into_iter().collect();
                ordinals.sort_unstable();
                terms_of(column, &ordinals, |text| distinct.add(hash(text)))?;
            }
            partials.push(Partial::Distinct(distinct));
        }
        Ok(partials)
    }
}

/// Hashes numbers that are looked up for every document: a multiplication instead of rounds.
#[derive(Debug, Clone, Copy, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// The same in every segment and index of a process.
fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
