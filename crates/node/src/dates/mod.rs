//! Dates as Elasticsearch reads and writes them: formats, date math, time zones. A date is milliseconds since the epoch.

mod format;
mod iso;
mod math;
mod pattern;

pub use format::DateFormat;
pub use jiff::tz::TimeZone;
pub use math::{math, round_down};

use serde_json::json;

use crate::error::{ApiError, Result};

/// The format of date fields whose mapping gives none.
pub const DEFAULT_FORMAT: &str = "strict_date_optional_time||epoch_millis";

/// Reads a date; `None` means [`DEFAULT_FORMAT`].
///
/// # Errors
/// 400 `illegal_argument_exception` as Elasticsearch words it when no alternative of the format fits, or when the
/// format itself is not understood.
pub fn parse(text: &str, format: Option<&str>) -> Result<i64> {
    let format = DateFormat::compile(format.unwrap_or(DEFAULT_FORMAT))?;
    format.parse(text, false, None)
}

/// Writes a date; `None` means [`DEFAULT_FORMAT`], whose output is `2024-01-31T10:00:00.000Z`.
///
/// # Errors
/// 400 when the format is not understood, or the year is beyond ±9999.
pub fn format(ms: i64, format: Option<&str>, zone: Option<&TimeZone>) -> Result<String> {
    DateFormat::compile(format.unwrap_or(DEFAULT_FORMAT))?.print(ms, zone)
}

/// A `time_zone` parameter: `Z`, an offset such as `+01:00`, or a name such as `Europe/Berlin`.
///
/// # Errors
/// 400 when it is none of them.
pub fn time_zone(text: &str) -> Result<TimeZone> {
    if matches!(text, "Z" | "z" | "UTC" | "GMT" | "UT") {
        return Ok(TimeZone::UTC);
    }
    let offset = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    if let Some((seconds, "")) = iso::offset(offset) {
        let offset = jiff::tz::Offset::from_seconds(seconds).map_err(|_| unknown_zone(text))?;
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(text).map_err(|_| unknown_zone(text))
}

fn unknown_zone(text: &str) -> ApiError {
    ApiError::illegal_argument(format!("Unknown time-zone ID: {text}"))
}

/// The error of a text no alternative of `format` fits.
fn unreadable(text: &str, format: &str) -> ApiError {
    ApiError::illegal_argument(format!("failed to parse date field [{text}] with format [{format}]")).with(
        "caused_by",
        json!({ "type": "date_time_parse_exception", "reason": "Failed to parse with all enclosed parsers" }),
    )
}

#[cfg(test)]
mod tests;
