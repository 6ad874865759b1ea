//! The `format` of a date field: names and patterns, joined by `||`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::iso::{self, Strictness};
use super::pattern::{Moment, Pattern};
use super::unreadable;
use crate::error::{ApiError, Result};

/// One alternative.
#[derive(Debug, Clone, PartialEq)]
enum Alternative {
    /// ISO 8601, the time optional.
    Iso(Strictness),
    EpochMillis,
    EpochSecond,
    Pattern(Pattern),
}

/// A compiled `format`.
#[derive(Debug, PartialEq)]
pub struct DateFormat {
    text: String,
    alternatives: Vec<Alternative>,
}

/// Elasticsearch's named formats as Java patterns; `ƒ` is a fraction of 1–9 digits with its point. Each has a form
/// named `strict_...`, which reads the same here.
const NAMED: &[(&str, &str)] = &[
    ("basic_date", "yyyyMMdd"),
    ("basic_date_time", "yyyyMMdd'T'HHmmssƒX"),
    ("basic_date_time_no_millis", "yyyyMMdd'T'HHmmssX"),
    ("basic_ordinal_date", "yyyyDDD"),
    ("basic_ordinal_date_time", "yyyyDDD'T'HHmmssƒX"),
    ("basic_ordinal_date_time_no_millis", "yyyyDDD'T'HHmmssX"),
    ("basic_time", "HHmmssƒX"),
    ("basic_time_no_millis", "HHmmssX"),
    ("basic_t_time", "'T'HHmmssƒX"),
    ("basic_t_time_no_millis", "'T'HHmmssX"),
    ("basic_week_date", "YYYY'W'wwe"),
    ("basic_week_date_time", "YYYY'W'wwe'T'HHmmssƒX"),
    ("basic_week_date_time_no_millis", "YYYY'W'wwe'T'HHmmssX"),
    ("date", "yyyy-MM-dd"),
    ("date_hour", "yyyy-MM-dd'T'HH"),
    ("date_hour_minute", "yyyy-MM-dd'T'HH:mm"),
    ("date_hour_minute_second", "yyyy-MM-dd'T'HH:mm:ss"),
    ("date_hour_minute_second_fraction", "yyyy-MM-dd'T'HH:mm:ssƒ"),
    ("date_hour_minute_second_millis", "yyyy-MM-dd'T'HH:mm:ssƒ"),
    ("date_time", "yyyy-MM-dd'T'HH:mm:ssƒXXX"),
    ("date_time_no_millis", "yyyy-MM-dd'T'HH:mm:ssXXX"),
    ("hour", "HH"),
    ("hour_minute", "HH:mm"),
    ("hour_minute_second", "HH:mm:ss"),
    ("hour_minute_second_fraction", "HH:mm:ssƒ"),
    ("hour_minute_second_millis", "HH:mm:ssƒ"),
    ("ordinal_date", "yyyy-DDD"),
    ("ordinal_date_time", "yyyy-DDD'T'HH:mm:ssƒXXX"),
    ("ordinal_date_time_no_millis", "yyyy-DDD'T'HH:mm:ssXXX"),
    ("time", "HH:mm:ssƒXXX"),
    ("time_no_millis", "HH:mm:ssXXX"),
    ("t_time", "'T'HH:mm:ssƒXXX"),
    ("t_time_no_millis", "'T'HH:mm:ssXXX"),
    ("week_date", "YYYY-'W'ww-e"),
    ("week_date_time", "YYYY-'W'ww-e'T'HH:mm:ssƒXXX"),
    ("week_date_time_no_millis", "YYYY-'W'ww-e'T'HH:mm:ssXXX"),
    ("weekyear", "YYYY"),
    ("weekyear_week", "YYYY-'W'ww"),
    ("weekyear_week_day", "YYYY-'W'ww-e"),
    ("year", "yyyy"),
    ("year_month", "yyyy-MM"),
    ("year_month_day", "yyyy-MM-dd"),
];

/// What ISO dates are written as.
static ISO_OUTPUT: LazyLock<Pattern> =
    LazyLock::new(|| Pattern::compile("yyyy-MM-dd'T'HH:mm:ssƒXXX").unwrap_or_else(|_| unreachable!()));

/// Formats met before: mappings and requests use few, documents many times.
static COMPILED: LazyLock<Mutex<HashMap<String, Arc<DateFormat>>>> = LazyLock::new(Mutex::default);

/// Requests could otherwise fill the memory with formats.
const MOST_COMPILED: usize = 256;

impl DateFormat {
    /// Compiles `a||b||c`.
    ///
    /// # Errors
    /// 400 naming the alternative that is no known name and no pattern.
    pub fn compile(text: &str) -> Result<Arc<Self>> {
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(format) = compiled.get(text) {
            return Ok(format.clone());
        }
        let alternatives = text.split("||").map(alternative).collect::<Result<Vec<_>>>()?;
        let format = Arc::new(Self { text: text.to_owned(), alternatives });
        if compiled.len() >= MOST_COMPILED {
            compiled.clear();
        }
        compiled.insert(text.to_owned(), format.clone());
        Ok(format)
    }

    /// The format as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Milliseconds since the epoch. With `round_up`, missing parts of the time are the latest; `zone` counts where
    /// the text has none.
    ///
    /// # Errors
    /// 400 when no alternative fits.
    pub fn parse(&self, text: &str, round_up: bool, zone: Option<&TimeZone>) -> Result<i64> {
        self.try_parse(text, round_up, zone).ok_or_else(|| unreadable(text, &self.text))
    }

    /// As [`DateFormat::parse`], without the cost of an error: for date detection.
    pub fn try_parse(&self, text: &str, round_up: bool, zone: Option<&TimeZone>) -> Option<i64> {
        self.alternatives.iter().find_map(|alternative| match alternative {
            Alternative::Iso(strictness) => iso::parse(text, *strictness)?.resolve(round_up, zone),
            Alternative::EpochMillis => epoch(text, 1.0, round_up),
            Alternative::EpochSecond => epoch(text, 1000.0, round_up),
            Alternative::Pattern(pattern) => pattern.parse(text)?.resolve(round_up, zone),
        })
    }

    /// Writes by the first alternative.
    ///
    /// # Errors
    /// 400 when the year is beyond ±9999.
    pub fn print(&self, ms: i64, zone: Option<&TimeZone>) -> Result<String> {
        let pattern = match self.alternatives.first() {
            Some(Alternative::EpochMillis) => return Ok(ms.to_string()),
            Some(Alternative::EpochSecond) if ms % 1000 == 0 => return Ok((ms / 1000).to_string()),
            Some(Alternative::EpochSecond) => {
                return Ok(format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
                    .trim_end_matches('0')
                    .to_owned());
            }
            Some(Alternative::Pattern(pattern)) => pattern,
            Some(Alternative::Iso(_)) | None => &ISO_OUTPUT,
        };
        let moment = Moment::of(ms, zone.unwrap_or(&TimeZone::UTC)).ok_or_else(|| {
            ApiError::illegal_argument(format!("date [{ms}] is out of range for the format [{}]", self.text))
        })?;
        Ok(pattern.print(&moment))
    }
}

fn alternative(name: &str) -> Result<Alternative> {
    let base = name.strip_prefix("strict_").unwrap_or(name);
    match (name, base) {
        (_, "date_optional_time" | "date_optional_time_nanos" | "dateOptionalTime") | ("iso8601", _) => {
            let strict = name.starts_with("strict_") || name == "iso8601";
            Ok(Alternative::Iso(if strict { Strictness::Strict } else { Strictness::Lenient }))
        }
        ("epoch_millis", _) => Ok(Alternative::EpochMillis),
        ("epoch_second", _) => Ok(Alternative::EpochSecond),
        ("", _) => Err(ApiError::illegal_argument("No date pattern provided")),
        _ => {
            let pattern = NAMED.iter().find(|(known, _)| *known == base).map_or(name, |(_, pattern)| pattern);
            Pattern::compile(pattern)
                .map(Alternative::Pattern)
                .map_err(|error| if pattern == name { error } else { ApiError::internal(error) })
        }
    }
}

/// A whole or decimal number of milliseconds or seconds.
fn epoch(text: &str, scale: f64, round_up: bool) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        #[expect(clippy::cast_possible_truncation, reason = "the scales are 1 and 1000")]
        let scale = scale as i64;
        let whole = whole.checked_mul(scale)?;
        return Some(if round_up { whole.checked_add(scale - 1)? } else { whole });
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "fractions of a millisecond are cut")]
    let ms = (value * scale).floor() as i64;
    Some(ms)
}
