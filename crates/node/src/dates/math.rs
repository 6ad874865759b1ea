//! Date math: `now-1d/d`, `2024-01-31||+1M/M`.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, Zoned};

use super::DEFAULT_FORMAT;
use super::format::DateFormat;
use super::pattern::local_to_utc;
use crate::error::{ApiError, Result};

/// Evaluates an expression. `round_up` asks for the last millisecond of what `/unit` or a date without time leaves
/// open (`gt` and `lte` bounds). `zone` counts for dates without one and for rounding.
///
/// # Errors
/// 400 `parse_exception` as Elasticsearch words it.
pub fn math(
    text: &str,
    now_ms: i64,
    round_up: bool,
    zone: Option<&TimeZone>,
    format: Option<&str>,
) -> Result<i64> {
    let (base, expression) = if let Some(rest) = text.strip_prefix("now") {
        (now_ms, rest)
    } else {
        let (date, expression) = text.split_once("||").unwrap_or((text, ""));
        let format = DateFormat::compile(format.unwrap_or(DEFAULT_FORMAT))?;
        // With an expression after it, the date itself is not rounded.
        let round_up = round_up && expression.is_empty();
        let base = format.parse(date, round_up, zone).map_err(|error| {
            let mut outer = ApiError::parsing(format!("{}: [{}]", error.reason, error.reason))
                .with("caused_by", error.cause());
            outer.kind = "parse_exception";
            outer
        })?;
        (base, expression)
    };
    evaluate(base, expression, round_up, zone.unwrap_or(&TimeZone::UTC))
}

fn failed(reason: String) -> ApiError {
    let mut error = ApiError::parsing(reason);
    error.kind = "parse_exception";
    error
}

fn evaluate(base: i64, expression: &str, round_up: bool, zone: &TimeZone) -> Result<i64> {
    let beyond = |_| failed(format!("date math [{expression}] leaves the range of dates"));
    if expression.is_empty() {
        return Ok(base);
    }
    let mut at = Timestamp::from_millisecond(base).map_err(beyond)?.to_zoned(zone.clone());
    let mut rest = expression;
    while let Some(operator) = rest.chars().next() {
        rest = &rest[operator.len_utf8()..];
        let sign = match operator {
            '+' => 1,
            '-' => -1,
            '/' => 0,
            _ => return Err(failed(format!("operator not supported for date math [{expression}]"))),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = if digits == 0 {
            1
        } else {
            rest[..digits]
                .parse()
                .map_err(|_| failed(format!("number too large in date math [{expression}]")))?
        };
        if sign == 0 && digits > 0 && count != 1 {
            return Err(failed(format!("rounding `/` can only be used on single unit types [{expression}]")));
        }
        rest = &rest[digits..];
        let Some(letter) = rest.chars().next() else {
            return Err(failed(format!("truncated date math [{expression}]")));
        };
        rest = &rest[letter.len_utf8()..];
        let unit = match letter {
            'y' => Unit::Year,
            'M' => Unit::Month,
            'w' => Unit::Week,
            'd' => Unit::Day,
            'h' | 'H' => Unit::Hour,
            'm' => Unit::Minute,
            's' => Unit::Second,
            _ => return Err(failed(format!("unit [{letter}] not supported for date math [{expression}]"))),
        };
        if sign == 0 {
            at = floor(&at, unit).map_err(beyond)?;
            if round_up {
                let next = step(&at, unit, 1).map_err(beyond)?;
                at = next.checked_sub(Span::new().milliseconds(1)).map_err(beyond)?;
            }
        } else {
            at = step(&at, unit, sign * count).map_err(beyond)?;
        }
    }
    Ok(at.timestamp().as_millisecond())
}

fn step(at: &Zoned, unit: Unit, count: i64) -> std::result::Result<Zoned, jiff::Error> {
    let span = Span::new();
    let span = match unit {
        Unit::Year => span.try_years(count),
        Unit::Month => span.try_months(count),
        Unit::Week => span.try_weeks(count),
        Unit::Day => span.try_days(count),
        Unit::Hour => span.try_hours(count),
        Unit::Minute => span.try_minutes(count),
        _ => span.try_seconds(count),
    }?;
    at.checked_add(span)
}

fn floor(at: &Zoned, unit: Unit) -> std::result::Result<Zoned, jiff::Error> {
    let local = at.datetime();
    let date = local.date();
    let date = match unit {
        Unit::Year => date.first_of_year(),
        Unit::Month => date.first_of_month(),
        Unit::Week => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(Span::new().try_days(back)?)?
        }
        _ => date,
    };
    let floored = match unit {
        Unit::Hour => date.at(local.hour(), 0, 0, 0),
        Unit::Minute => date.at(local.hour(), local.minute(), 0, 0),
        Unit::Second => date.at(local.hour(), local.minute(), local.second(), 0),
        _ => date.at(0, 0, 0, 0),
    };
    // Within an hour the offset stays as it is; from the day on, the zone decides.
    if matches!(unit, Unit::Hour | Unit::Minute | Unit::Second) {
        return at.offset().to_timestamp(floored).map(|timestamp| timestamp.to_zoned(at.time_zone().clone()));
    }
    at.time_zone().to_ambiguous_zoned(floored).compatible()
}

/// The start of the calendar unit (`year`, `quarter`, `month`, `week`, `day`, `hour`, `minute`, `second` by their
/// letters `y q M w d h m s`) that `ms` lies in, in `zone`. `None` beyond the years ±9999 and for other letters.
pub fn round_down(ms: i64, unit: char, zone: &TimeZone) -> Option<i64> {
    let at = Timestamp::from_millisecond(ms).ok()?.to_zoned(zone.clone());
    let unit = match unit {
        'q' => {
            let first = at.date().first_of_month();
            let back = i64::from((first.month() - 1) % 3);
            let start = first.checked_sub(Span::new().try_months(back).ok()?).ok()?;
            let midnight = start.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
            return local_to_utc(midnight, zone);
        }
        'y' => Unit::Year,
        'M' => Unit::Month,
        'w' => Unit::Week,
        'd' => Unit::Day,
        'h' => Unit::Hour,
        'm' => Unit::Minute,
        's' => Unit::Second,
        _ => return None,
    };
    Some(floor(&at, unit).ok()?.timestamp().as_millisecond())
}
