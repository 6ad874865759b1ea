//! Quartz cron expressions: `second minute hour day-of-month month day-of-week [year]`, in UTC.
//!
//! | Field | Values | Also |
//! |---|---|---|
//! | second, minute | 0–59 | |
//! | hour | 0–23 | |
//! | day of month | 1–31 | `?`, `L` (last), `L-n` (n days before the last), `LW` (last weekday), `nW` (weekday nearest to n, in the same month) |
//! | month | 1–12, `JAN`–`DEC` | |
//! | day of week | 1–7 from Sunday, `SUN`–`SAT` | `?`, `L` (Saturday), `nL` (last such day of the month), `n#k` (its k-th) |
//! | year | 1970–2099, optional | |
//!
//! Each field takes `*`, values, ranges `a-b` (running over the end where the field is a circle: `FRI-MON`, `22-2`),
//! steps `*/n`, `a/n`, `a-b/n`, and lists of these with commas. Names are read in any case.
//!
//! Seconds: the other implementation of the service ignores them, so that no job runs more than once a minute. Here
//! seconds that are *named* (`30`, `0/15`, `0,30`) count, as the protocol's own documentation has it
//! (`0/5 * * * * ?`, every five seconds). A bare `*` or `?` means second 0 and not "every second": nobody means to sync
//! sixty times a minute, and expressions like `* 0 0 * * ?` are written for "once at midnight". With second 0 both
//! implementations agree.
//!
//! Day of month and day of week: where both are given, a day must satisfy both.

mod days;
mod field;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use days::{DaysOfMonth, DaysOfWeek};
use field::{Range, Values};

/// An expression that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not six or seven fields.
    #[error(
        "cron expression {expression:?} has {found} fields; it takes 6 (second minute hour day-of-month month day-of-week) or 7 (… year)"
    )]
    Fields {
        /// The expression.
        expression: String,
        /// Number of fields found.
        found: usize,
    },
    /// A field that makes no sense.
    #[error("cron expression {expression:?}: {field} {text:?} {reason}")]
    Field {
        /// The expression.
        expression: String,
        /// Name of the field.
        field: &'static str,
        /// Its text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A cron expression, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    seconds: Values,
    minutes: Values,
    hours: Values,
    days_of_month: DaysOfMonth,
    months: Values,
    days_of_week: DaysOfWeek,
    years: Values,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

impl Schedule {
    /// Reads an expression of six or seven fields.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        if !(6..=7).contains(&fields.len()) {
            return Err(CronError::Fields { expression: expression.to_owned(), found: fields.len() });
        }
        let named = |field: &'static str, text: &str, reason: String| CronError::Field {
            expression: expression.to_owned(),
            field,
            text: text.to_owned(),
            reason,
        };
        let values = |field: &'static str, place: usize, range: Range| {
            let text = fields.get(place).copied().unwrap_or("*");
            Values::parse(text, &range).map_err(|reason| named(field, text, reason))
        };
        let seconds = if matches!(fields[0], "*" | "?") { "0" } else { fields[0] };
        let schedule = Self {
            seconds: Values::parse(seconds, &Range::circle(0, 59))
                .map_err(|reason| named("second", seconds, reason))?,
            minutes: values("minute", 1, Range::circle(0, 59))?,
            hours: values("hour", 2, Range::circle(0, 23))?,
            days_of_month: DaysOfMonth::parse(fields[3])
                .map_err(|reason| named("day of month", fields[3], reason))?,
            months: values("month", 4, Range::circle(1, 12).named(&MONTHS))?,
            days_of_week: DaysOfWeek::parse(fields[5])
                .map_err(|reason| named("day of week", fields[5], reason))?,
            years: values("year", 6, Range::line(1970, 2099))?,
        };
        Ok(schedule)
    }

    /// The first time strictly after `instant`; `None` when there is none before the year 2100.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        // A time with a fraction of a second lies after its second has begun, so the next candidate is the next second
        // in any case.
        let start = Timestamp::from_second(instant.as_second().checked_add(1)?).ok()?;
        // Before 1970 nothing is scheduled.
        let start = start.max(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).datetime();
        let mut year = i32::from(start.year());
        loop {
            year = self.years.at_or_after(year)?;
            if let Some(found) = self.in_year(year, start) {
                return found.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
            }
            year += 1;
        }
    }

    fn in_year(&self, year: i32, start: DateTime) -> Option<DateTime> {
        let year = i16::try_from(year).ok()?;
        for month in self.months.iter() {
            let first = Date::new(year, i8::try_from(month).ok()?, 1).ok()?;
            if first.last_of_month() < start.date() {
                continue;
            }
            for day in 1..=first.days_in_month() {
                let date = Date::new(year, first.month(), day).ok()?;
                if date < start.date()
                    || !self.days_of_month.contains(date)
                    || !self.days_of_week.contains(date)
                {
                    continue;
                }
                let earliest = if date == start.date() { start.time() } else { Time::midnight() };
                if let Some(time) = self.time_from(earliest) {
                    return Some(date.to_datetime(time));
                }
            }
        }
        None
    }

    /// The first time of a day that is not before `earliest`.
    fn time_from(&self, earliest: Time) -> Option<Time> {
        for hour in self.hours.iter() {
            for minute in self.minutes.iter() {
                for second in self.seconds.iter() {
                    let part = |value: i32| i8::try_from(value).ok();
                    let time = Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()?;
                    if time >= earliest {
                        return Some(time);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
