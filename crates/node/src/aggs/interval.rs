//! Intervals of date histograms: from a time to the start of its bucket, in a time zone, and to the next start.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp};
use serde_json::Value;

use crate::dates::TimeZone;
use crate::error::{ApiError, Result};

/// The width of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    /// A number of milliseconds.
    Fixed(i64),
    /// A unit of the calendar.
    Calendar(Unit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Interval {
    /// Reads `calendar_interval`.
    pub fn calendar(text: &str) -> Result<Self> {
        Ok(Self::Calendar(match text {
            "second" | "1s" => Unit::Second,
            "minute" | "1m" => Unit::Minute,
            "hour" | "1h" => Unit::Hour,
            "day" | "1d" => Unit::Day,
            "week" | "1w" => Unit::Week,
            "month" | "1M" => Unit::Month,
            "quarter" | "1q" => Unit::Quarter,
            "year" | "1y" => Unit::Year,
            other => {
                return Err(ApiError::illegal_argument(format!(
                    "The supplied interval [{other}] could not be parsed as a calendar interval."
                )));
            }
        }))
    }

    /// Reads `fixed_interval`.
    pub fn fixed(text: &str) -> Result<Self> {
        let refuse = || {
            ApiError::illegal_argument(format!(
                "failed to parse setting [date_histogram.fixedInterval] with value [{text}] as a time value: unit is \
                 missing or unrecognized"
            ))
        };
        let millis = millis(text).ok_or_else(refuse)?;
        if millis < 1 {
            return Err(ApiError::illegal_argument("Zero or negative time interval not supported"));
        }
        Ok(Self::Fixed(millis))
    }
}

/// `90m`, `1.5`? no: a whole number and one of `ms s m h d`.
fn millis(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// Reads `offset`: milliseconds, or a duration with a sign (`+6h`, `-1d`).
pub(super) fn offset(value: &Value) -> Result<i64> {
    let parsed = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let (sign, rest) = match text.strip_prefix('-') {
                Some(rest) => (-1, rest),
                None => (1, text.strip_prefix('+').unwrap_or(text)),
            };
            rest.parse().ok().or_else(|| millis(rest)).map(|millis| sign * millis)
        }
        _ => None,
    };
    parsed.ok_or_else(|| {
        ApiError::illegal_argument(format!(
            "failed to parse setting [DateHistogramAggregationBuilder.parseOffset] with value [{}] as a time value: unit \
             is missing or unrecognized",
            crate::search::bare(value)
        ))
    })
}

/// Rounds times down to the starts of buckets. Keeps the bucket of the last time, because neighbours share it.
#[derive(Debug, Clone)]
pub(super) struct Rounding {
    interval: Interval,
    zone: Option<TimeZone>,
    offset: i64,
    last: Option<(i64, i64)>,
}

impl Rounding {
    /// `offset` moves every start, in milliseconds. Without a zone buckets start in UTC.
    pub fn new(interval: Interval, zone: Option<TimeZone>, offset: i64) -> Self {
        let zone = zone.filter(|zone| *zone != TimeZone::UTC);
        Self { interval, zone, offset, last: None }
    }

    /// The start of the bucket `millis` is in.
    pub fn round(&mut self, millis: i64) -> i64 {
        if let Some((start, end)) = self.last
            && (start..end).contains(&millis)
        {
            return start;
        }
        let start = self.floor(millis.saturating_sub(self.offset)).saturating_add(self.offset);
        self.last = Some((start, self.next(start)));
        start
    }

    /// The start after `start`.
    pub fn next(&self, start: i64) -> i64 {
        let plain = start.saturating_sub(self.offset);
        let next = match self.interval {
            Interval::Fixed(width) => self.local(plain, |local| local.saturating_add(width)),
            Interval::Calendar(unit) => self.local_date(plain, |date| step(date, unit)),
        };
        // Where clocks go back a start can repeat; go on by elapsed time then.
        let next = if next > plain { next } else { plain.saturating_add(self.width()) };
        next.saturating_add(self.offset)
    }

    fn width(&self) -> i64 {
        match self.interval {
            Interval::Fixed(width) => width,
            Interval::Calendar(Unit::Second) => 1_000,
            Interval::Calendar(Unit::Minute) => 60_000,
            Interval::Calendar(_) => 3_600_000,
        }
    }

    fn floor(&self, millis: i64) -> i64 {
        match self.interval {
            Interval::Fixed(width) => {
                self.local(millis, |local| local.div_euclid(width).saturating_mul(width))
            }
            // Shorter than any change of the clocks.
            Interval::Calendar(Unit::Second) => millis.div_euclid(1_000) * 1_000,
            Interval::Calendar(Unit::Minute) => self.elapsed(millis, 60_000),
            Interval::Calendar(Unit::Hour) => self.elapsed(millis, 3_600_000),
            Interval::Calendar(unit) => self.local_date(millis, |date| start_of(date, unit)),
        }
    }

    /// Floors to a unit by the offset in force, so that the two hours of a clock set back stay apart.
    fn elapsed(&self, millis: i64, width: i64) -> i64 {
        let shift = self.shift(millis);
        (millis + shift).div_euclid(width) * width - shift
    }

    /// Milliseconds local time is ahead of UTC at `millis`.
    fn shift(&self, millis: i64) -> i64 {
        match (&self.zone, Timestamp::from_millisecond(millis)) {
            (Some(zone), Ok(at)) => i64::from(zone.to_offset(at).seconds()) * 1_000,
            _ => 0,
        }
    }

    /// Applies `map` to the milliseconds of local time.
    fn local(&self, millis: i64, map: impl FnOnce(i64) -> i64) -> i64 {
        if self.zone.is_none() {
            return map(millis);
        }
        let local = map(millis.saturating_add(self.shift(millis)));
        match Timestamp::from_millisecond(local) {
            Ok(at) => self.to_utc(TimeZone::UTC.to_datetime(at)).unwrap_or(local),
            Err(_) => local,
        }
    }

    /// Applies `map` to the local date and time.
    fn local_date(&self, millis: i64, map: impl FnOnce(DateTime) -> Option<DateTime>) -> i64 {
        let Ok(at) = Timestamp::from_millisecond(millis) else { return millis };
        let local = self.zone.as_ref().unwrap_or(&TimeZone::UTC).to_datetime(at);
        map(local).and_then(|date| self.to_utc(date)).unwrap_or(millis)
    }

    fn to_utc(&self, local: DateTime) -> Option<i64> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        zone.to_ambiguous_timestamp(local).compatible().ok().map(Timestamp::as_millisecond)
    }
}

fn start_of(date: DateTime, unit: Unit) -> Option<DateTime> {
    let day = date.date();
    let day = match unit {
        Unit::Second | Unit::Minute | Unit::Hour => return None,
        Unit::Day => day,
        Unit::Week => {
            let back = i64::from(day.weekday().to_monday_zero_offset());
            day.checked_sub(Span::new().days(back)).ok()?
        }
        Unit::Month => day.first_of_month(),
        Unit::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok()?,
        Unit::Year => day.first_of_year(),
    };
    Some(day.to_datetime(Time::midnight()))
}

fn step(date: DateTime, unit: Unit) -> Option<DateTime> {
    let span = match unit {
        Unit::Second => Span::new().seconds(1),
        Unit::Minute => Span::new().minutes(1),
        Unit::Hour => Span::new().hours(1),
        Unit::Day => Span::new().days(1),
        Unit::Week => Span::new().weeks(1),
        Unit::Month => Span::new().months(1),
        Unit::Quarter => Span::new().months(3),
        Unit::Year => Span::new().years(1),
    };
    date.checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a timestamp").as_millisecond()
    }

    fn rounds(interval: Interval, zone: Option<&str>, offset: i64, time: &str, start: &str, next: &str) {
        let zone = zone.map(|name| TimeZone::get(name).expect("a zone"));
        let mut rounding = Rounding::new(interval, zone, offset);
        assert_eq!(rounding.round(at(time)), at(start), "{time}");
        assert_eq!(rounding.next(at(start)), at(next), "after {start}");
    }

    #[test]
    fn units_start_where_the_calendar_says() {
        let calendar = |text: &str| Interval::calendar(text).expect("an interval");
        let time = "2024-05-16T13:45:30.5Z";
        rounds(calendar("1s"), None, 0, time, "2024-05-16T13:45:30Z", "2024-05-16T13:45:31Z");
        rounds(calendar("hour"), None, 0, time, "2024-05-16T13:00:00Z", "2024-05-16T14:00:00Z");
        rounds(calendar("1w"), None, 0, time, "2024-05-13T00:00:00Z", "2024-05-20T00:00:00Z");
        rounds(calendar("month"), None, 0, time, "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z");
        rounds(calendar("quarter"), None, 0, time, "2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z");
        rounds(
            calendar("year"),
            None,
            0,
            "1969-05-16T13:45:30Z",
            "1969-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        );
        rounds(
            calendar("month"),
            None,
            21_600_000,
            "2024-05-01T05:00:00Z",
            "2024-04-01T06:00:00Z",
            "2024-05-01T06:00:00Z",
        );
    }

    #[test]
    fn days_follow_the_clock_of_the_zone() {
        let zone = Some("Europe/Berlin");
        let day = Interval::calendar("day").expect("an interval");
        rounds(day, zone, 0, "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z");
        let fixed = Interval::fixed("15d").expect("an interval");
        rounds(fixed, zone, 0, "2024-01-02T03:04:05Z", "2023-12-18T23:00:00Z", "2024-01-02T23:00:00Z");
        let hour = Interval::calendar("hour").expect("an interval");
        rounds(hour, zone, 0, "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z");
    }

    #[test]
    fn intervals_and_offsets_are_checked() {
        assert_eq!(Interval::fixed("90m").expect("valid"), Interval::Fixed(5_400_000));
        assert!(
            Interval::fixed("1M").is_err() && Interval::fixed("0d").is_err() && Interval::fixed("d").is_err()
        );
        assert!(Interval::calendar("2d").expect_err("refused").reason.contains("[2d]"));
        assert_eq!(offset(&"+6h".into()).expect("valid"), 21_600_000);
        assert_eq!(offset(&"-1d".into()).expect("valid"), -86_400_000);
        assert!(offset(&"x".into()).is_err());
    }
}
