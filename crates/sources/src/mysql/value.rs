//! Values of columns → JSON, and → the text they have in an id.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connectors_sdk::FieldValue;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};
use serde_json::{Number, Value as Json};

use super::geometry;
use crate::shared::digits::{push_clock, push_date};
use crate::shared::sql::id::KeyPart;
use crate::shared::sql::{decimal, json as exact};

/// Number of the character set "binary": such a text is bytes.
const BINARY: u16 = 63;

/// What the values of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// TINYINT to BIGINT, YEAR.
    Integer,
    /// FLOAT, DOUBLE.
    Float,
    /// DECIMAL.
    Decimal,
    /// BIT.
    Bit,
    /// CHAR, VARCHAR, TEXT, ENUM; MariaDB's UUID, INET4, INET6.
    Text,
    /// SET.
    Set,
    /// BINARY, VARBINARY, BLOB.
    Bytes,
    /// JSON.
    Json,
    /// DATE.
    Date,
    /// DATETIME: a time of no zone.
    DateTime,
    /// TIMESTAMP: an instant, read in UTC.
    Timestamp,
    /// TIME: a time of day or a duration, from -838:59:59 to 838:59:59.
    Time,
    /// Spatial types.
    Geometry,
    /// VECTOR.
    Vector,
}

impl Kind {
    /// By what the server says of a column of a result.
    pub(super) fn of(column: &Column) -> Self {
        match column.column_type() {
            ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
            | ColumnType::MYSQL_TYPE_INT24
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_LONGLONG
            | ColumnType::MYSQL_TYPE_YEAR => Self::Integer,
            ColumnType::MYSQL_TYPE_FLOAT | ColumnType::MYSQL_TYPE_DOUBLE => Self::Float,
            ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => Self::Decimal,
            ColumnType::MYSQL_TYPE_BIT => Self::Bit,
            ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => Self::Date,
            ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_DATETIME2 => Self::DateTime,
            ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => Self::Timestamp,
            ColumnType::MYSQL_TYPE_TIME | ColumnType::MYSQL_TYPE_TIME2 => Self::Time,
            ColumnType::MYSQL_TYPE_JSON => Self::Json,
            ColumnType::MYSQL_TYPE_GEOMETRY => Self::Geometry,
            ColumnType::MYSQL_TYPE_VECTOR => Self::Vector,
            _ if column.flags().contains(ColumnFlags::SET_FLAG) => Self::Set,
            _ if column.character_set() == BINARY && !column.flags().contains(ColumnFlags::ENUM_FLAG) => {
                Self::Bytes
            }
            _ => Self::Text,
        }
    }
}

/// The value as a field of a document.
pub(super) fn json(kind: Kind, value: Value) -> Json {
    match value {
        Value::NULL => Json::Null,
        Value::Int(number) => number.into(),
        Value::UInt(number) => number.into(),
        Value::Float(number) => single(number),
        Value::Double(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            if !is_date(year, month, day) {
                return Json::Null;
            }
            let mut text = date(year, month, day);
            if kind != Kind::Date {
                time_of_day(&mut text, 'T', (hour, minute, second, micros));
                if kind == Kind::Timestamp {
                    text.push('Z');
                }
            }
            Json::String(text)
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            Json::String(duration(negative, days, hours, minutes, seconds, micros))
        }
        Value::Bytes(bytes) => of_bytes(kind, bytes),
    }
}

/// Writes the value as JSON: the same as [`json`]'s.
pub(super) fn write(kind: Kind, value: Value, field: FieldValue<'_>) {
    match value {
        Value::NULL => field.null(),
        Value::Int(number) => field.integer(number),
        Value::Bytes(bytes) if kind == Kind::Text => field.string(&text(bytes)),
        other => field.value(&json(kind, other)),
    }
}

fn of_bytes(kind: Kind, bytes: Vec<u8>) -> Json {
    match kind {
        Kind::Decimal => decimal::value(&String::from_utf8_lossy(&bytes)),
        Kind::Bit => bits(&bytes).into(),
        Kind::Json => exact::value(text(bytes).into()),
        Kind::Set => match text(bytes) {
            empty if empty.is_empty() => Json::Array(Vec::new()),
            members => members.split(',').collect(),
        },
        Kind::Bytes => text_or_base64(bytes).into(),
        Kind::Geometry => geometry::geo_json(&bytes).unwrap_or_else(|| STANDARD.encode(bytes).into()),
        Kind::Vector => bytes
            .chunks_exact(4)
            .map(|item| single(f32::from_le_bytes([item[0], item[1], item[2], item[3]])))
            .collect(),
        _ => text(bytes).into(),
    }
}

/// The shortest decimal that is this number: 1.1, not 1.10000002384185791015625.
fn single(number: f32) -> Json {
    let exact = number.to_string().parse::<f64>().ok();
    exact.and_then(Number::from_f64).map_or(Json::Null, Json::Number)
}

/// BIT(1) to BIT(64): the highest byte comes first.
fn bits(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn text(bytes: Vec<u8>) -> String {
    // The session's character set is UTF-8, so this is a copy only where a server breaks its word.
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Bytes that are text are shown as text, as Elastic's connector does; it drops what is not, which says nothing.
fn text_or_base64(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| STANDARD.encode(error.as_bytes()))
}

/// Whether there is such a day. 0000-00-00, 2026-00-00 and (with ALLOW_INVALID_DATES) 2026-02-30 are none.
fn is_date(year: u16, month: u8, day: u8) -> bool {
    let (Ok(year), Ok(month), Ok(day)) = (i16::try_from(year), i8::try_from(month), i8::try_from(day)) else {
        return false;
    };
    jiff::civil::Date::new(year, month, day).is_ok()
}

fn date(year: u16, month: u8, day: u8) -> String {
    let mut text = String::with_capacity(27);
    push_date(&mut text, year.into(), month.into(), day.into());
    text
}

fn time_of_day(text: &mut String, separator: char, (hour, minute, second, micros): (u8, u8, u8, u32)) {
    text.push(separator);
    push_clock(text, hour.into(), minute.into(), second.into(), micros.into());
}

fn duration(negative: bool, days: u32, hours: u8, minutes: u8, seconds: u8, micros: u32) -> String {
    let mut text = String::with_capacity(17);
    if negative {
        text.push('-');
    }
    let hours = u64::from(days) * 24 + u64::from(hours);
    push_clock(&mut text, hours, minutes.into(), seconds.into(), micros.into());
    text
}

/// The text of a value of a key in an id; whether it may hold the separator. None: null.
pub(super) struct IdText<'a> {
    text: Cow<'a, str>,
    free: bool,
}

impl IdText<'_> {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn part(&self) -> KeyPart<'_> {
        if self.free { KeyPart::Text(&self.text) } else { KeyPart::Plain(&self.text) }
    }
}

/// The value as a part of an id: numbers, texts and times as Elastic's connector writes them.
pub(super) fn id_text(kind: Kind, value: &Value) -> Option<IdText<'_>> {
    let plain = |text: String| IdText { text: text.into(), free: false };
    Some(match value {
        Value::NULL => return None,
        Value::Int(number) => plain(number.to_string()),
        Value::UInt(number) => plain(number.to_string()),
        Value::Float(number) => plain(number.to_string()),
        Value::Double(number) => plain(number.to_string()),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let mut text = date(*year, *month, *day);
            if kind != Kind::Date {
                time_of_day(&mut text, ' ', (*hour, *minute, *second, *micros));
            }
            plain(text)
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            plain(duration(*negative, *days, *hours, *minutes, *seconds, *micros))
        }
        Value::Bytes(bytes) if kind == Kind::Bit => plain(bits(bytes).to_string()),
        Value::Bytes(bytes) => {
            let text =
                std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(STANDARD.encode(bytes)), Cow::Borrowed);
            IdText { text, free: kind != Kind::Decimal }
        }
    })
}

#[cfg(test)]
mod tests {
    use connectors_sdk::{FieldName, FieldsPage};
    use serde_json::json;

    use super::*;

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn each_kind_has_its_json() {
        let name = FieldName::distinct(["v"]).unwrap();
        let mut page = FieldsPage::default();
        for (kind, value, expected) in [
            (Kind::Integer, Value::Int(-5), json!(-5)),
            (Kind::Integer, Value::UInt(u64::MAX), json!(u64::MAX)),
            (Kind::Float, Value::Float(1.1), json!(1.1)),
            (Kind::Float, Value::Double(0.1), json!(0.1)),
            (Kind::Decimal, bytes("12.50"), json!(12.5)),
            (Kind::Decimal, bytes("12345678901234567890.12"), json!("12345678901234567890.12")),
            (Kind::Bit, Value::Bytes(vec![1]), json!(1)),
            (Kind::Bit, Value::Bytes(vec![0xff; 8]), json!(u64::MAX)),
            (Kind::Text, bytes("ö"), json!("ö")),
            (Kind::Text, Value::Bytes(vec![b'a', 0xff]), json!("a\u{fffd}")),
            (Kind::Set, bytes("a,b"), json!(["a", "b"])),
            (Kind::Set, bytes(""), json!([])),
            (Kind::Bytes, bytes("text"), json!("text")),
            (Kind::Bytes, Value::Bytes(vec![0xff, 0]), json!("/wA=")),
            (Kind::Json, bytes(r#"{"a": [1, null]}"#), json!({"a": [1, null]})),
            (Kind::Json, bytes("{"), json!("{")),
            (
                Kind::Json,
                bytes("[0.30000000000000004, 12345678901234567.89, 12345678901234567890123, -1.5e300]"),
                json!([0.1 + 0.2, "12345678901234567.89", "12345678901234567890123", -1.5e300]),
            ),
            (Kind::Date, Value::Date(2026, 2, 28, 0, 0, 0, 0), json!("2026-02-28")),
            (Kind::Date, Value::Date(2026, 2, 30, 0, 0, 0, 0), json!(null)),
            (Kind::Date, Value::Date(0, 0, 0, 0, 0, 0, 0), json!(null)),
            (Kind::DateTime, Value::Date(2026, 0, 0, 0, 0, 0, 0), json!(null)),
            (Kind::DateTime, Value::Date(2026, 1, 2, 0, 0, 0, 0), json!("2026-01-02T00:00:00")),
            (Kind::DateTime, Value::Date(2026, 1, 2, 3, 4, 5, 6), json!("2026-01-02T03:04:05.000006")),
            (Kind::Timestamp, Value::Date(2026, 1, 2, 3, 4, 5, 0), json!("2026-01-02T03:04:05Z")),
            (Kind::Time, Value::Time(true, 34, 22, 59, 59, 0), json!("-838:59:59")),
            (Kind::Time, Value::Time(false, 0, 1, 2, 3, 500_000), json!("01:02:03.500000")),
            (
                Kind::Vector,
                Value::Bytes([0.5_f32, -1.25].map(f32::to_le_bytes).concat()),
                json!([0.5, -1.25]),
            ),
            (Kind::Geometry, Value::Bytes(vec![1, 2]), json!("AQI=")),
            (Kind::Text, Value::NULL, json!(null)),
        ] {
            assert_eq!(json(kind, value.clone()), expected, "{kind:?} {value:?}");
            let mut fields = page.begin();
            write(kind, value.clone(), fields.field(&name[0]));
            assert_eq!(String::from_utf8_lossy(fields.finish().as_bytes()), format!("\"v\":{expected}"));
        }
    }

    #[test]
    fn ids_are_made_of_texts() {
        for (kind, value, expected) in [
            (Kind::Integer, Value::Int(-5), Some(KeyPart::Plain("-5"))),
            (Kind::Integer, Value::UInt(u64::MAX), Some(KeyPart::Plain("18446744073709551615"))),
            (Kind::Float, Value::Double(1.5), Some(KeyPart::Plain("1.5"))),
            (Kind::Float, Value::Float(1.5), Some(KeyPart::Plain("1.5"))),
            (Kind::Text, bytes("a_b"), Some(KeyPart::Text("a_b"))),
            (Kind::Bytes, Value::Bytes(vec![0xff, 0]), Some(KeyPart::Text("/wA="))),
            (Kind::Decimal, bytes("1.50"), Some(KeyPart::Plain("1.50"))),
            (Kind::Bit, Value::Bytes(vec![1, 0]), Some(KeyPart::Plain("256"))),
            (Kind::Date, Value::Date(2026, 1, 2, 0, 0, 0, 0), Some(KeyPart::Plain("2026-01-02"))),
            (
                Kind::DateTime,
                Value::Date(2026, 1, 2, 3, 4, 5, 0),
                Some(KeyPart::Plain("2026-01-02 03:04:05")),
            ),
            (Kind::Time, Value::Time(false, 0, 1, 2, 3, 0), Some(KeyPart::Plain("01:02:03"))),
            (Kind::Text, Value::NULL, None),
        ] {
            let text = id_text(kind, &value);
            assert_eq!(text.as_ref().map(IdText::part), expected, "{kind:?} {value:?}");
        }
    }

    #[test]
    fn columns_of_results_have_a_kind() {
        let of = |kind: ColumnType, character_set: u16, flags: ColumnFlags| {
            Kind::of(&Column::new(kind).with_character_set(character_set).with_flags(flags))
        };
        let none = ColumnFlags::empty();
        for (column, character_set, flags, expected) in [
            (ColumnType::MYSQL_TYPE_LONGLONG, 63, ColumnFlags::UNSIGNED_FLAG, Kind::Integer),
            (ColumnType::MYSQL_TYPE_YEAR, 63, none, Kind::Integer),
            (ColumnType::MYSQL_TYPE_NEWDECIMAL, 63, none, Kind::Decimal),
            (ColumnType::MYSQL_TYPE_DOUBLE, 63, none, Kind::Float),
            (ColumnType::MYSQL_TYPE_BIT, 63, none, Kind::Bit),
            (ColumnType::MYSQL_TYPE_DATE, 63, none, Kind::Date),
            (ColumnType::MYSQL_TYPE_DATETIME, 63, none, Kind::DateTime),
            (ColumnType::MYSQL_TYPE_TIMESTAMP, 63, none, Kind::Timestamp),
            (ColumnType::MYSQL_TYPE_TIME, 63, none, Kind::Time),
            (ColumnType::MYSQL_TYPE_JSON, 63, none, Kind::Json),
            (ColumnType::MYSQL_TYPE_GEOMETRY, 63, none, Kind::Geometry),
            (ColumnType::MYSQL_TYPE_VECTOR, 63, none, Kind::Vector),
            (ColumnType::MYSQL_TYPE_STRING, 45, ColumnFlags::SET_FLAG, Kind::Set),
            (ColumnType::MYSQL_TYPE_STRING, 63, ColumnFlags::ENUM_FLAG, Kind::Text),
            (ColumnType::MYSQL_TYPE_VAR_STRING, 45, none, Kind::Text),
            (ColumnType::MYSQL_TYPE_BLOB, 45, none, Kind::Text),
            (ColumnType::MYSQL_TYPE_BLOB, 63, none, Kind::Bytes),
            (ColumnType::MYSQL_TYPE_STRING, 63, none, Kind::Bytes),
        ] {
            assert_eq!(of(column, character_set, flags), expected, "{column:?} {character_set}");
        }
    }
}
