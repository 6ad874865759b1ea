//! Dates and times, as ISO 8601. What ISO 8601 does not know (`infinity`, years before Christ) is PostgreSQL's text.

use std::fmt::Write;

use super::{Malformed, fixed, split};
use crate::shared::digits::{push_clock, push_date};

/// Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH: i64 = 10_957;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

/// `date`: days since 2000-01-01.
pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let (date, era) = civil(i64::from(days));
            date + era
        }
    }
}

/// `timestamp` and `timestamptz`: microseconds since 2000-01-01, in UTC if there is a zone at all.
pub(super) fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let (mut text, era) = civil(micros.div_euclid(DAY));
    text.push(if era.is_empty() { 'T' } else { ' ' });
    push_time(&mut text, micros.rem_euclid(DAY));
    text + match (era, zone) {
        ("", zone) => zone,
        (era, "") => era,
        _ => "+00 BC",
    }
}

/// `time`: microseconds since midnight.
pub(super) fn time(micros: i64) -> String {
    let mut text = String::with_capacity(15);
    push_time(&mut text, micros);
    text
}

/// `timetz`: the time, and the seconds of its zone to the west.
pub(super) fn time_with_zone(bytes: &[u8]) -> Result<String, Malformed> {
    let (micros, zone) = split::<8>(bytes)?;
    let west = i32::from_be_bytes(fixed(zone)?);
    let mut text = time(i64::from_be_bytes(micros));
    if west == 0 {
        text.push('Z');
        return Ok(text);
    }
    let (sign, seconds) = (if west > 0 { '-' } else { '+' }, west.unsigned_abs());
    // Writing to a String cannot fail.
    let _ = write!(text, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if !seconds.is_multiple_of(60) {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    Ok(text)
}

/// `interval`: a duration in the form the server has for `IntervalStyle = iso_8601`, where each part has its own sign.
pub(super) fn interval(bytes: &[u8]) -> Result<String, Malformed> {
    let (micros, rest) = split(bytes)?;
    let (days, months) = split(rest)?;
    let (micros, days) = (i64::from_be_bytes(micros), i32::from_be_bytes(days));
    let months = i32::from_be_bytes(fixed(months)?);
    // Since PostgreSQL 17.
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return Ok("infinity".to_owned()),
        (i64::MIN, i32::MIN, i32::MIN) => return Ok("-infinity".to_owned()),
        (0, 0, 0) => return Ok("PT0S".to_owned()),
        _ => {}
    }
    let mut text = "P".to_owned();
    let mut part = |amount: i64, unit: char| {
        if amount != 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{amount}{unit}");
        }
    };
    part(i64::from(months / 12), 'Y');
    part(i64::from(months % 12), 'M');
    part(i64::from(days), 'D');
    if micros != 0 {
        text.push('T');
        let mut part = |amount: i64, unit: char| {
            if amount != 0 {
                let _ = write!(text, "{amount}{unit}");
            }
        };
        part(micros / SECOND / 3600, 'H');
        part(micros / SECOND / 60 % 60, 'M');
        let rest = micros % (60 * SECOND);
        if rest != 0 {
            let sign = if rest < 0 { "-" } else { "" };
            let rest = rest.unsigned_abs();
            let seconds = format!("{sign}{}.{:06}", rest / 1_000_000, rest % 1_000_000);
            text.push_str(seconds.trim_end_matches('0').trim_end_matches('.'));
            text.push('S');
        }
    }
    Ok(text)
}

fn push_time(text: &mut String, micros: i64) {
    // No time of day is before midnight.
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / SECOND.unsigned_abs(), micros % SECOND.unsigned_abs());
    push_clock(text, seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
}

/// The date of the proleptic Gregorian calendar, and ` BC` for a year before the first. (Howard Hinnant, `civil_from_days`.)
fn civil(days_since_2000: i64) -> (String, &'static str) {
    let shifted = days_since_2000 + EPOCH + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    let (year, era) = if year < 1 { (1 - year, " BC") } else { (year, "") };
    let mut text = String::with_capacity(32);
    // ISO 8601 wants a sign where a year has more than four digits.
    if year > 9999 && era.is_empty() {
        text.push('+');
    }
    push_date(&mut text, year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs());
    (text, era)
}
