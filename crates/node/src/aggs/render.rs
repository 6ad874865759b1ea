//! The answer: partials sorted, cut, filled up and written as Elasticsearch writes them.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::interval::Rounding;
use super::parse::{
    Aggregations, DateHistogram, Filters, Histogram, Kind, Metric, Named, Order, OrderBy, Terms,
};
use super::partial::{Bucket, Key, Partial, Partials, Span, Stats, compare_numbers};
use super::resolve::Style;
use super::{MAX_BUCKETS, too_many_buckets};
use crate::dates;
use crate::error::{ApiError, Result};
use crate::search::columns::unorder_f64;
use crate::search::keys::single;

/// How the answer is written.
#[derive(Debug, Clone, Copy)]
struct Render {
    /// `typed_keys`: names are preceded by the type (`sterms#name`).
    typed: bool,
    now_ms: i64,
}

impl Aggregations {
    /// The `aggregations` of the answer.
    pub fn render(&self, partials: Partials, typed: bool, now_ms: i64) -> Result<Map<String, Value>> {
        let mut left = MAX_BUCKETS;
        Render { typed, now_ms }.level(self, partials, &mut left)
    }
}

impl Render {
    fn level(
        self,
        aggregations: &Aggregations,
        partials: Partials,
        left: &mut usize,
    ) -> Result<Map<String, Value>> {
        let mut level = Map::new();
        for (named, partial) in aggregations.named.iter().zip(partials.0) {
            let name = if self.typed {
                format!("{}#{}", type_name(named, &partial), named.name)
            } else {
                named.name.clone()
            };
            let mut body = Map::new();
            if let Some(meta) = &named.meta {
                body.insert("meta".into(), meta.clone());
            }
            self.body(named, partial, &mut body, left)?;
            level.insert(name, Value::Object(body));
        }
        Ok(level)
    }

    fn body(
        self,
        named: &Named,
        partial: Partial,
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        match (&named.kind, partial) {
            (Kind::Terms(terms), Partial::Keyed { style, buckets, .. }) => {
                self.terms(named, terms, &style, buckets, body, left)
            }
            (Kind::Histogram(histogram), Partial::Keyed { buckets, blank, .. }) => {
                self.histogram(named, histogram, (buckets, blank), body, left)
            }
            (Kind::DateHistogram(histogram), Partial::Keyed { style, buckets, blank }) => {
                self.date_histogram(named, histogram, &style, (buckets, blank), body, left)
            }
            (Kind::Range(range), Partial::Ranges { style, ranges, buckets }) => {
                let style = match style {
                    Style::Unmapped if range.dates => Style::Date { format: range.source.format.clone() },
                    style => style,
                };
                let dates = range.dates || matches!(style, Style::Date { .. });
                let mut list = List::new(range.keyed);
                for (span, bucket) in ranges.into_iter().zip(buckets) {
                    let (key, mut head) =
                        range_head(span, dates.then_some(&style), range.time_zone.as_ref())?;
                    if !range.keyed {
                        head.shift_insert(0, "key".to_owned(), key.as_str().into());
                    }
                    self.bucket(named, bucket, &mut head, left)?;
                    list.push(key, head);
                }
                body.insert("buckets".into(), list.into_value());
                Ok(())
            }
            (Kind::Filters(filters), Partial::Slots(buckets)) => {
                self.filters(named, filters, buckets, body, left)
            }
            (Kind::Filter(_) | Kind::Missing(_) | Kind::Global, Partial::Slots(buckets)) => {
                for bucket in buckets {
                    self.bucket(named, bucket, body, left)?;
                }
                Ok(())
            }
            (Kind::Metric(metric, _), Partial::Stats { style, stats }) => {
                metric_body(*metric, &style, &stats, body)
            }
            (Kind::Cardinality(_), Partial::Distinct(distinct)) => {
                body.insert("value".into(), distinct.count().into());
                Ok(())
            }
            _ => Err(ApiError::internal("an aggregation was collected as another kind")),
        }
    }

    /// `doc_count` and the sub-aggregations of a bucket.
    fn bucket(
        self,
        named: &Named,
        bucket: Bucket,
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        *left = left.checked_sub(1).ok_or_else(too_many_buckets)?;
        body.insert("doc_count".into(), bucket.count.into());
        body.extend(self.level(&named.sub, bucket.sub, left)?);
        Ok(())
    }

    fn terms(
        self,
        named: &Named,
        terms: &Terms,
        style: &Style,
        buckets: HashMap<Key, Bucket>,
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        let mut buckets: Vec<(Key, Bucket)> =
            buckets.into_iter().filter(|(_, bucket)| bucket.count >= terms.min_doc_count).collect();
        sort(&mut buckets, &terms.order, &named.sub);
        let rest: u64 = buckets.iter().skip(terms.size).map(|(_, bucket)| bucket.count).sum();
        buckets.truncate(terms.size);
        body.insert("doc_count_error_upper_bound".into(), 0.into());
        body.insert("sum_other_doc_count".into(), rest.into());
        let mut list = Vec::with_capacity(buckets.len());
        for (key, bucket) in buckets {
            let mut head = Map::new();
            head.insert("key".into(), key_value(&key, style));
            if let Some(text) = key_as_string(&key, style, None)? {
                head.insert("key_as_string".into(), text.into());
            }
            *left = left.checked_sub(1).ok_or_else(too_many_buckets)?;
            head.insert("doc_count".into(), bucket.count.into());
            if terms.show_error {
                head.insert("doc_count_error_upper_bound".into(), 0.into());
            }
            head.extend(self.level(&named.sub, bucket.sub, left)?);
            list.push(Value::Object(head));
        }
        body.insert("buckets".into(), Value::Array(list));
        Ok(())
    }

    fn histogram(
        self,
        named: &Named,
        histogram: &Histogram,
        (buckets, blank): (HashMap<Key, Bucket>, Partials),
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        #[allow(clippy::cast_possible_truncation)]
        let slot_of = |value: f64| ((value - histogram.offset) / histogram.interval).floor() as i64;
        let mut buckets = by_key(buckets, histogram.min_doc_count);
        if histogram.min_doc_count == 0 {
            let (low, high) = histogram.extended.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
            let low = low.is_finite().then(|| slot_of(low));
            let high = high.is_finite().then(|| slot_of(high));
            fill(&mut buckets, &blank, low, high, |slot| Some(slot + 1))?;
        }
        order_buckets(&mut buckets, &histogram.order, named);
        let mut list = List::new(histogram.keyed);
        for (slot, bucket) in buckets {
            let key = slot as f64 * histogram.interval + histogram.offset;
            let mut head = Map::new();
            head.insert("key".into(), key.into());
            self.bucket(named, bucket, &mut head, left)?;
            list.push(java_double(key), head);
        }
        body.insert("buckets".into(), list.into_value());
        Ok(())
    }

    fn date_histogram(
        self,
        named: &Named,
        histogram: &DateHistogram,
        style: &Style,
        (buckets, blank): (HashMap<Key, Bucket>, Partials),
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        let zone = histogram.time_zone.as_ref();
        let format = match style {
            Style::Date { format } => format.clone(),
            _ => histogram.source.format.clone(),
        };
        let mut buckets = by_key(buckets, histogram.min_doc_count);
        if histogram.min_doc_count == 0 {
            let rounding = Rounding::new(histogram.interval, zone.cloned(), histogram.offset);
            let mut plain = Rounding::new(histogram.interval, zone.cloned(), 0);
            let mut bound = |value: Option<&Value>| -> Result<Option<i64>> {
                let Some(value) = value else { return Ok(None) };
                let millis = super::collect::date_bound(value, format.as_deref(), zone, self.now_ms)?;
                Ok(Some(plain.round(millis).saturating_add(histogram.offset)))
            };
            let (low, high) = match &histogram.extended {
                Some((min, max)) => (bound(min.as_ref())?, bound(max.as_ref())?),
                None => (None, None),
            };
            fill(&mut buckets, &blank, low, high, |start| {
                let next = rounding.next(start);
                (next > start).then_some(next)
            })?;
        }
        order_buckets(&mut buckets, &histogram.order, named);
        let printer = dates::DateFormat::compile(format.as_deref().unwrap_or(dates::DEFAULT_FORMAT))?;
        let mut list = List::new(histogram.keyed);
        for (start, bucket) in buckets {
            let text = printer.print(start, zone)?;
            let mut head = Map::new();
            head.insert("key_as_string".into(), text.as_str().into());
            head.insert("key".into(), start.into());
            self.bucket(named, bucket, &mut head, left)?;
            list.push(text, head);
        }
        body.insert("buckets".into(), list.into_value());
        Ok(())
    }

    fn filters(
        self,
        named: &Named,
        filters: &Filters,
        buckets: Vec<Bucket>,
        body: &mut Map<String, Value>,
        left: &mut usize,
    ) -> Result<()> {
        let titles = filters.list.iter().map(|(name, _)| name).chain(filters.other.as_ref());
        let mut list = List::new(filters.keyed);
        for (name, bucket) in titles.zip(buckets) {
            let mut head = Map::new();
            self.bucket(named, bucket, &mut head, left)?;
            list.push(name.clone(), head);
        }
        body.insert("buckets".into(), list.into_value());
        Ok(())
    }
}

/// Buckets as a list, or as an object by name.
enum List {
    Plain(Vec<Value>),
    Keyed(Map<String, Value>),
}

impl List {
    fn new(keyed: bool) -> Self {
        if keyed { Self::Keyed(Map::new()) } else { Self::Plain(Vec::new()) }
    }

    fn push(&mut self, key: String, bucket: Map<String, Value>) {
        match self {
            Self::Plain(list) => list.push(Value::Object(bucket)),
            Self::Keyed(map) => {
                map.insert(key, Value::Object(bucket));
            }
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Plain(list) => Value::Array(list),
            Self::Keyed(map) => Value::Object(map),
        }
    }
}

/// Buckets with whole numbers as keys, in ascending order.
fn by_key(buckets: HashMap<Key, Bucket>, min_doc_count: u64) -> Vec<(i64, Bucket)> {
    let mut list: Vec<(i64, Bucket)> = buckets
        .into_iter()
        .filter(|(_, bucket)| bucket.count >= min_doc_count)
        .filter_map(|(key, bucket)| match key {
            Key::Integer(key) => Some((key, bucket)),
            Key::Float(_) | Key::Text(_) => None,
        })
        .collect();
    list.sort_by_key(|(key, _)| *key);
    list
}

/// Adds the empty buckets between the first and the last, and out to the bounds.
fn fill(
    buckets: &mut Vec<(i64, Bucket)>,
    blank: &Partials,
    low: Option<i64>,
    high: Option<i64>,
    next: impl Fn(i64) -> Option<i64>,
) -> Result<()> {
    let first = buckets.first().map(|(key, _)| *key);
    let last = buckets.last().map(|(key, _)| *key);
    let start = match (first, low) {
        (Some(first), Some(low)) => first.min(low),
        (Some(first), None) => first,
        (None, Some(low)) if high.is_some() => low,
        (None, _) => return Ok(()),
    };
    let end = last.into_iter().chain(high).max().unwrap_or(start);
    let mut filled = Vec::with_capacity(buckets.len());
    let mut real = std::mem::take(buckets).into_iter().peekable();
    let mut key = start;
    while key <= end {
        if filled.len() > MAX_BUCKETS {
            return Err(too_many_buckets());
        }
        // A start the fill does not meet (clocks were moved) keeps its place.
        while let Some(bucket) = real.next_if(|(own, _)| *own < key) {
            filled.push(bucket);
        }
        match real.next_if(|(own, _)| *own == key) {
            Some(bucket) => filled.push(bucket),
            None => filled.push((key, Bucket { count: 0, sub: blank.clone() })),
        }
        let Some(after) = next(key) else { break };
        key = after;
    }
    filled.extend(real);
    *buckets = filled;
    Ok(())
}

fn order_buckets(buckets: &mut Vec<(i64, Bucket)>, order: &[Order], named: &Named) {
    if order.is_empty() {
        return;
    }
    let mut keyed: Vec<(Key, Bucket)> =
        std::mem::take(buckets).into_iter().map(|(key, bucket)| (Key::Integer(key), bucket)).collect();
    sort(&mut keyed, order, &named.sub);
    buckets.extend(keyed.into_iter().filter_map(|(key, bucket)| match key {
        Key::Integer(key) => Some((key, bucket)),
        Key::Float(_) | Key::Text(_) => None,
    }));
}

fn sort(buckets: &mut [(Key, Bucket)], order: &[Order], sub: &Aggregations) {
    buckets.sort_by(|(left_key, left), (right_key, right)| {
        order
            .iter()
            .map(|level| {
                let turn = |order: Ordering| if level.descending { order.reverse() } else { order };
                match &level.by {
                    OrderBy::Count => turn(left.count.cmp(&right.count)),
                    OrderBy::Key => turn(left_key.cmp(right_key)),
                    OrderBy::Path(path, property) => compare_numbers(
                        value_at(&left.sub, sub, path, property.as_deref()),
                        value_at(&right.sub, sub, path, property.as_deref()),
                        level.descending,
                    ),
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left_key.cmp(right_key))
    });
}

/// The number an order path leads to; NaN when there is none.
fn value_at(
    partials: &Partials,
    aggregations: &Aggregations,
    path: &[String],
    property: Option<&str>,
) -> f64 {
    let Some((name, rest)) = path.split_first() else { return f64::NAN };
    let found = aggregations.named.iter().zip(&partials.0).find(|(named, _)| named.name == *name);
    match found {
        Some((named, Partial::Stats { stats, .. })) => match &named.kind {
            Kind::Metric(metric, _) => metric.property(stats, property),
            _ => f64::NAN,
        },
        Some((_, Partial::Distinct(distinct))) => distinct.count() as f64,
        Some((named, Partial::Slots(buckets))) => match buckets.first() {
            Some(bucket) if rest.is_empty() => bucket.count as f64,
            Some(bucket) => value_at(&bucket.sub, &named.sub, rest, property),
            None => f64::NAN,
        },
        _ => f64::NAN,
    }
}

impl Metric {
    /// Its name in a request.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::ValueCount => "value_count",
            Self::Stats => "stats",
            Self::ExtendedStats => "extended_stats",
        }
    }

    fn property(self, stats: &Stats, property: Option<&str>) -> f64 {
        let none_if_empty = |value: f64| if stats.count == 0 { f64::NAN } else { value };
        match (self, property.unwrap_or("value")) {
            (Self::Min, "value") | (Self::Stats | Self::ExtendedStats, "min") => none_if_empty(stats.min),
            (Self::Max, "value") | (Self::Stats | Self::ExtendedStats, "max") => none_if_empty(stats.max),
            (Self::Avg, "value") | (Self::Stats | Self::ExtendedStats, "avg") => stats.avg(),
            (Self::Sum, "value") | (Self::Stats | Self::ExtendedStats, "sum") => stats.sum(),
            (Self::ValueCount, "value") | (Self::Stats | Self::ExtendedStats, "count") => stats.count as f64,
            (Self::ExtendedStats, "variance" | "variance_population") => none_if_empty(stats.variance()),
            (Self::ExtendedStats, "variance_sampling") => stats.variance_sampling(),
            (Self::ExtendedStats, "std_deviation" | "std_deviation_population") => {
                none_if_empty(stats.variance().sqrt())
            }
            (Self::ExtendedStats, "std_deviation_sampling") => stats.variance_sampling().sqrt(),
            (Self::ExtendedStats, "sum_of_squares") => stats.sum_of_squares(),
            _ => f64::NAN,
        }
    }
}

fn metric_body(metric: Metric, style: &Style, stats: &Stats, body: &mut Map<String, Value>) -> Result<()> {
    let number = |value: f64| if stats.count == 0 || !value.is_finite() { Value::Null } else { value.into() };
    let single_value = match metric {
        Metric::ValueCount => {
            body.insert("value".into(), stats.count.into());
            return Ok(());
        }
        Metric::Min => Some(number(stats.min)),
        Metric::Max => Some(number(stats.max)),
        Metric::Avg => Some(number(stats.avg())),
        Metric::Sum => Some(stats.sum().into()),
        Metric::Stats | Metric::ExtendedStats => None,
    };
    if let Some(value) = single_value {
        // A sum of nothing is 0, the others of nothing are null.
        let text = value.as_f64().map(|value| as_string(value, style)).transpose()?;
        body.insert("value".into(), value);
        if let Some(text) = text.flatten() {
            body.insert("value_as_string".into(), text.into());
        }
        return Ok(());
    }
    body.insert("count".into(), stats.count.into());
    body.insert("min".into(), number(stats.min));
    body.insert("max".into(), number(stats.max));
    body.insert("avg".into(), number(stats.avg()));
    body.insert("sum".into(), stats.sum().into());
    if metric == Metric::ExtendedStats {
        extended(stats, body);
    }
    if stats.count > 0 {
        for (name, value) in
            [("min", stats.min), ("max", stats.max), ("avg", stats.avg()), ("sum", stats.sum())]
        {
            if let Some(text) = as_string(value, style)? {
                // Here, unlike in `value_as_string`, Elasticsearch writes booleans bare.
                let text = if *style == Style::Boolean { (value != 0.0).into() } else { Value::String(text) };
                body.insert(format!("{name}_as_string"), text);
            }
        }
    }
    Ok(())
}

fn extended(stats: &Stats, body: &mut Map<String, Value>) {
    let number =
        |value: f64| if stats.count == 0 || !value.is_finite() { Value::Null } else { Value::from(value) };
    let odd = |value: f64| match value {
        _ if stats.count == 0 => Value::Null,
        value if value.is_nan() => "NaN".into(),
        value => value.into(),
    };
    let (population, sampling) = (stats.variance(), stats.variance_sampling());
    body.insert("sum_of_squares".into(), number(stats.sum_of_squares()));
    body.insert("variance".into(), number(population));
    body.insert("variance_population".into(), number(population));
    body.insert("variance_sampling".into(), odd(sampling));
    body.insert("std_deviation".into(), number(population.sqrt()));
    body.insert("std_deviation_population".into(), number(population.sqrt()));
    body.insert("std_deviation_sampling".into(), odd(sampling.sqrt()));
    let (average, wide, wide_sampling) = (stats.avg(), 2.0 * population.sqrt(), 2.0 * sampling.sqrt());
    body.insert(
        "std_deviation_bounds".into(),
        json!({
            "upper": number(average + wide),
            "lower": number(average - wide),
            "upper_population": number(average + wide),
            "lower_population": number(average - wide),
            "upper_sampling": odd(average + wide_sampling),
            "lower_sampling": odd(average - wide_sampling),
        }),
    );
}

/// The year 9999 ends here, in milliseconds since 1970.
const LAST_DATE_MS: f64 = 253_402_207_200_000.0;

/// A date past the year 9999 as Java writes it: with a sign before the year.
fn far_date(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let (day, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    // Days of the proleptic Gregorian calendar, in eras of 400 years that begin in March.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (seconds, ms) = (in_day / 1000, in_day % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:+}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// A number in words, for types that have them.
#[allow(clippy::cast_possible_truncation)]
fn as_string(value: f64, style: &Style) -> Result<Option<String>> {
    Ok(match style {
        // A sum of dates can lie past the last year the formats know.
        Style::Date { format: None } if value.abs() >= LAST_DATE_MS => Some(far_date(value as i64)),
        Style::Date { format: Some(_) } if value.abs() >= LAST_DATE_MS => None,
        Style::Date { format } => Some(dates::format(value as i64, format.as_deref(), None)?),
        Style::Boolean => Some((value != 0.0).to_string()),
        _ => None,
    })
}

fn key_value(key: &Key, style: &Style) -> Value {
    match key {
        Key::Integer(value) => (*value).into(),
        Key::Float(value) if *style == (Style::Float { single: true }) => single(unorder_f64(*value)),
        Key::Float(value) => unorder_f64(*value).into(),
        Key::Text(text) => text.as_ref().into(),
    }
}

fn key_as_string(key: &Key, style: &Style, zone: Option<&dates::TimeZone>) -> Result<Option<String>> {
    Ok(match (key, style) {
        (Key::Integer(value), Style::Date { format }) => {
            Some(dates::format(*value, format.as_deref(), zone)?)
        }
        (Key::Integer(value), Style::Boolean) => Some((*value != 0).to_string()),
        _ => None,
    })
}

/// Key and bounds of a range. `dates` is the style of a date range.
fn range_head(
    span: Span,
    dates: Option<&Style>,
    zone: Option<&dates::TimeZone>,
) -> Result<(String, Map<String, Value>)> {
    #[allow(clippy::cast_possible_truncation)]
    let show = |value: f64| -> Result<String> {
        match dates {
            Some(Style::Date { format }) => dates::format(value as i64, format.as_deref(), zone),
            _ => Ok(java_double(value)),
        }
    };
    let mut head = Map::new();
    let mut ends = ["*".to_owned(), "*".to_owned()];
    for (end, (name, value)) in ends.iter_mut().zip([("from", span.from), ("to", span.to)]) {
        if value.is_finite() {
            *end = show(value)?;
            head.insert(name.into(), value.into());
            if dates.is_some() {
                head.insert(format!("{name}_as_string"), end.as_str().into());
            }
        }
    }
    let key = span.key.unwrap_or_else(|| ends.join("-"));
    Ok((key, head))
}

/// A double as Java prints it, which is how Elasticsearch makes keys of numbers: `2.0`, `1.0E7`, `1.0E-4`.
pub(super) fn java_double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

/// The type Elasticsearch's clients pick a parser by.
fn type_name(named: &Named, partial: &Partial) -> &'static str {
    match (&named.kind, partial) {
        (Kind::Terms(_), Partial::Keyed { style, .. }) => match style {
            Style::Text | Style::Unmapped => "sterms",
            Style::Integer | Style::Boolean | Style::Date { .. } => "lterms",
            Style::Float { .. } => "dterms",
        },
        (Kind::Terms(_), _) => "sterms",
        (Kind::Range(range), _) => {
            if range.dates {
                "date_range"
            } else {
                "range"
            }
        }
        (Kind::Histogram(_), _) => "histogram",
        (Kind::DateHistogram(_), _) => "date_histogram",
        (Kind::Metric(metric, _), _) => metric.type_name(),
        (Kind::Cardinality(_), _) => "cardinality",
        (Kind::Filter(_), _) => "filter",
        (Kind::Filters(_), _) => "filters",
        (Kind::Missing(_), _) => "missing",
        (Kind::Global, _) => "global",
    }
}
