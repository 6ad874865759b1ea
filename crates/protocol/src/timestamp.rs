//! Dates of protocol documents.
//!
//! Written as ISO 8601 in UTC with a `+00:00` offset and microseconds (none when they are zero), the form the other
//! writers of the protocol use. Read leniently: any ISO 8601 form, with or without offset (none means UTC), a date
//! alone, or milliseconds since the epoch (what Elasticsearch's default date format accepts as well).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

/// A text or value that is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a date: {0:?} (ISO 8601 or milliseconds since 1970 expected)")]
pub struct NotADate(pub String);

/// `2026-01-02T03:04:05.000006+00:00`, or without the fraction when the microseconds are zero.
pub fn format(instant: Timestamp) -> String {
    const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    const MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let utc = Offset::UTC.to_datetime(instant);
    let printer = if utc.subsec_nanosecond() < 1000 { SECONDS } else { MICROS };
    let mut text = printer.datetime_to_string(&utc);
    text.push_str("+00:00");
    text
}

/// Reads any of the forms named in the module's description.
pub fn parse(text: &str) -> Result<Timestamp, NotADate> {
    let trimmed = text.trim();
    if let Ok(instant) = trimmed.parse::<Timestamp>() {
        return Ok(instant);
    }
    let not_a_date = || NotADate(text.to_owned());
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        // Eight digits or less could be a basic date (20260102) as well, and no writer of the protocol uses either
        // for its dates: not guessed.
        let millis = if digits.len() > 8 { trimmed.parse().ok() } else { None };
        let instant = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        return instant.ok_or_else(not_a_date);
    }
    trimmed
        .parse::<DateTime>()
        .and_then(|naive| naive.to_zoned(TimeZone::UTC))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| not_a_date())
}

/// Reads a JSON string as [`parse`] does, or a JSON number as milliseconds since the epoch.
pub fn parse_value(value: &Value) -> Result<Timestamp, NotADate> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => number
            .as_i64()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .ok_or_else(|| NotADate(number.to_string())),
        other => Err(NotADate(other.to_string())),
    }
}

/// serde form of an optional date: null or absent is `None`.
pub(crate) mod option {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    #[allow(clippy::ref_option)] // the signature serde's `with` asks for
    pub fn serialize<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => serializer.serialize_str(&super::format(*instant)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        match Option::<Value>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(value) => super::parse_value(&value).map(Some).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_microseconds_only_when_there_are_some() {
        let second = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(format(second), "2023-11-14T22:13:20+00:00");
        let micros = Timestamp::from_microsecond(1_700_000_000_000_120).unwrap();
        assert_eq!(format(micros), "2023-11-14T22:13:20.000120+00:00");
        let before_epoch = Timestamp::from_microsecond(-1).unwrap();
        assert_eq!(format(before_epoch), "1969-12-31T23:59:59.999999+00:00");
    }

    #[test]
    fn reads_the_forms_other_writers_use() {
        let expected = Timestamp::from_second(1_700_000_000).unwrap();
        for text in [
            "2023-11-14T22:13:20+00:00",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000Z",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T23:13:20+0100",
            " 2023-11-14T22:13:20Z ",
            "1700000000000",
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        assert_eq!(format(parse("2023-11-14").unwrap()), "2023-11-14T00:00:00+00:00");
        assert_eq!(parse_value(&json!(1_700_000_000_000_i64)), Ok(expected));
        assert_eq!(format(parse("-1000000000").unwrap()), "1969-12-20T10:13:20+00:00");
    }

    #[test]
    fn what_it_writes_it_reads() {
        let instant = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
        assert_eq!(parse(&format(instant)), Ok(instant));
    }

    #[test]
    fn refuses_what_is_no_date_and_says_so() {
        for text in ["", "tomorrow", "20231114", "2023-13-01", "99999999999999999999"] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(parse_value(&json!(true)).is_err());
        assert!(parse_value(&json!(1.5)).is_err());
    }
}
