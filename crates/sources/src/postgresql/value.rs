//! Values of columns: the binary form the server sends → JSON.
//!
//! What each type looks like on the wire is said by its `*_send` function in PostgreSQL's source (`src/backend/utils/adt`).
//! Types that are not known here are sent as text by the server: see [`Plan`].

mod array;
mod datetime;
mod geometry;
mod network;
mod numeric;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connectors_sdk::FieldValue;
use serde_json::{Number, Value};
use tokio_postgres::types::{Kind, Type};

use crate::shared::sql::types::FieldType;
use crate::shared::sql::{decimal, json};

/// Bytes that are not what the type's binary form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value is not in the binary form of its type")]
pub(super) struct Malformed;

/// How a value is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytes,
    Json,
    Jsonb,
    Uuid,
    Date,
    Time,
    TimeWithZone,
    Timestamp,
    TimestampWithZone,
    Interval,
    Network,
    HardwareAddress,
    Bits,
    Point,
    Segment,
    Box,
    Path,
    Polygon,
    Line,
    Circle,
    Array(Box<Codec>),
}

/// What the server is asked to do with a column before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    /// Nothing: its binary form is understood.
    None,
    /// Its text form.
    Text,
    /// An array of its elements' text forms.
    TextArray,
    /// JSON, which keeps the names of a composite type's fields.
    Json,
}

/// How the values of a column are fetched and understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub cast: Cast,
    pub codec: Codec,
}

impl Plan {
    /// The plan for a type.
    pub(super) fn of(of: &Type) -> Self {
        if let Some(codec) = simple(of) {
            return Self { cast: Cast::None, codec };
        }
        match of.kind() {
            Kind::Domain(base) => Self::of(base),
            Kind::Enum(_) => Self { cast: Cast::None, codec: Codec::Text },
            Kind::Composite(_) => Self { cast: Cast::Json, codec: Codec::Jsonb },
            Kind::Array(element) => match Self::of(element) {
                Self { cast: Cast::None, codec } => {
                    Self { cast: Cast::None, codec: Codec::Array(Box::new(codec)) }
                }
                Self { cast: Cast::Json, .. } => Self { cast: Cast::Json, codec: Codec::Jsonb },
                _ => Self { cast: Cast::TextArray, codec: Codec::Array(Box::new(Codec::Text)) },
            },
            _ => Self { cast: Cast::Text, codec: Codec::Text },
        }
    }

    /// The expression of a select list for this (quoted) column.
    pub(super) fn expression(&self, column: &str) -> String {
        match self.cast {
            Cast::None => column.to_owned(),
            Cast::Text => format!("{column}::pg_catalog.text"),
            Cast::TextArray => format!("{column}::pg_catalog.text[]"),
            Cast::Json => format!("pg_catalog.to_jsonb({column})"),
        }
    }
}

/// Types whose binary form is understood.
fn simple(of: &Type) -> Option<Codec> {
    Some(match *of {
        Type::BOOL => Codec::Bool,
        Type::INT2 => Codec::Int2,
        Type::INT4 => Codec::Int4,
        Type::INT8 => Codec::Int8,
        Type::OID => Codec::Oid,
        Type::FLOAT4 => Codec::Float4,
        Type::FLOAT8 => Codec::Float8,
        Type::NUMERIC => Codec::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR => Codec::Text,
        Type::BYTEA => Codec::Bytes,
        Type::JSON => Codec::Json,
        Type::JSONB => Codec::Jsonb,
        Type::UUID => Codec::Uuid,
        Type::DATE => Codec::Date,
        Type::TIME => Codec::Time,
        Type::TIMETZ => Codec::TimeWithZone,
        Type::TIMESTAMP => Codec::Timestamp,
        Type::TIMESTAMPTZ => Codec::TimestampWithZone,
        Type::INTERVAL => Codec::Interval,
        Type::INET | Type::CIDR => Codec::Network,
        Type::MACADDR | Type::MACADDR8 => Codec::HardwareAddress,
        Type::BIT | Type::VARBIT => Codec::Bits,
        Type::POINT => Codec::Point,
        Type::LSEG => Codec::Segment,
        Type::BOX => Codec::Box,
        Type::PATH => Codec::Path,
        Type::POLYGON => Codec::Polygon,
        Type::LINE => Codec::Line,
        Type::CIRCLE => Codec::Circle,
        _ => return None,
    })
}

impl Codec {
    /// What the values are in an index; none: they have no one type.
    pub(super) fn field_type(&self) -> Option<FieldType> {
        Some(match self {
            Self::Bool => FieldType::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => FieldType::Long,
            Self::Float4 | Self::Float8 | Self::Numeric => FieldType::Double,
            Self::Date | Self::Timestamp | Self::TimestampWithZone => FieldType::Date,
            Self::Json | Self::Jsonb => return None,
            Self::Array(element) => return element.field_type(),
            // All others are written as texts.
            _ => FieldType::Text,
        })
    }

    /// The value as JSON.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Value, Malformed> {
        Ok(match self {
            Self::Bool => Value::Bool(byte(bytes)? != 0),
            Self::Int2 => i16::from_be_bytes(fixed(bytes)?).into(),
            Self::Int4 => i32::from_be_bytes(fixed(bytes)?).into(),
            Self::Int8 => i64::from_be_bytes(fixed(bytes)?).into(),
            Self::Oid => u32::from_be_bytes(fixed(bytes)?).into(),
            Self::Float4 => single(f32::from_be_bytes(fixed(bytes)?)),
            Self::Float8 => double(f64::from_be_bytes(fixed(bytes)?)),
            Self::Numeric => match numeric::text(bytes)? {
                Some(digits) => decimal::value(&digits),
                None => Value::Null,
            },
            Self::Json => json::value(text(bytes)),
            Self::Jsonb => json::value(text(versioned(bytes)?)),
            Self::Array(element) => array::value(element, bytes)?,
            other => Value::String(other.text(bytes)?),
        })
    }

    /// Writes the value as JSON: the same as [`decode`](Self::decode)'s.
    pub(super) fn write(&self, bytes: &[u8], field: FieldValue<'_>) -> Result<(), Malformed> {
        match self {
            Self::Int2 => field.integer(i16::from_be_bytes(fixed(bytes)?).into()),
            Self::Int4 => field.integer(i32::from_be_bytes(fixed(bytes)?).into()),
            Self::Int8 => field.integer(i64::from_be_bytes(fixed(bytes)?)),
            Self::Text => field.string(&text(bytes)),
            other => field.value(&other.decode(bytes)?),
        }
        Ok(())
    }

    /// The value as a part of a document's id.
    ///
    /// Elastic's connector writes keys as Python's `str` does: dates with times have a space in the middle and `+00:00` for UTC,
    /// `True` and `False` begin with a capital.
    pub(super) fn id_text(&self, bytes: &[u8]) -> Result<String, Malformed> {
        Ok(match self {
            Self::Bool => if byte(bytes)? == 0 { "False" } else { "True" }.to_owned(),
            Self::Numeric => numeric::text(bytes)?.unwrap_or_else(|| "NaN".to_owned()),
            Self::Timestamp => self.text(bytes)?.replacen('T', " ", 1),
            Self::TimestampWithZone => self.text(bytes)?.replacen('T', " ", 1).replace('Z', "+00:00"),
            Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Oid
            | Self::Float4
            | Self::Float8
            | Self::Json
            | Self::Jsonb
            | Self::Array(_) => match self.decode(bytes)? {
                Value::String(text) => text,
                other => other.to_string(),
            },
            other => other.text(bytes)?,
        })
    }

    /// Whether the text may hold what separates the parts of an id.
    pub(super) fn is_free_text(&self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Jsonb | Self::Array(_))
    }

    /// The text of a value that is no JSON type of its own.
    fn text(&self, bytes: &[u8]) -> Result<String, Malformed> {
        match self {
            Self::Bytes => Ok(STANDARD.encode(bytes)),
            Self::Uuid => Ok(uuid::Uuid::from_bytes(fixed(bytes)?).hyphenated().to_string()),
            Self::Date => Ok(datetime::date(i32::from_be_bytes(fixed(bytes)?))),
            Self::Time => Ok(datetime::time(i64::from_be_bytes(fixed(bytes)?))),
            Self::TimeWithZone => datetime::time_with_zone(bytes),
            Self::Timestamp => Ok(datetime::timestamp(i64::from_be_bytes(fixed(bytes)?), "")),
            Self::TimestampWithZone => Ok(datetime::timestamp(i64::from_be_bytes(fixed(bytes)?), "Z")),
            Self::Interval => datetime::interval(bytes),
            Self::Network => network::address(bytes),
            Self::HardwareAddress => Ok(network::hardware_address(bytes)),
            Self::Bits => bits(bytes),
            Self::Point => geometry::point(bytes),
            Self::Segment => geometry::segment(bytes),
            Self::Box => geometry::corners(bytes),
            Self::Path => geometry::path(bytes),
            Self::Polygon => geometry::polygon(bytes),
            Self::Line => geometry::line(bytes),
            Self::Circle => geometry::circle(bytes),
            _ => Ok(text(bytes).into_owned()),
        }
    }
}

/// Text. A database of the encoding `SQL_ASCII` may hold bytes that are no UTF-8: they become U+FFFD. A `"char"` of zero is the
/// empty text.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Checked first: this goes by words, where the other one looks at each byte.
    match str::from_utf8(bytes) {
        Ok("\0") => Cow::Borrowed(""),
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// JSON has no number for what is none, and an index whose field is mapped as a number takes no text: such a value is null.
fn double(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The shortest decimal that is the same single-precision number: 0.1 stays 0.1.
fn single(value: f32) -> Value {
    // A float's own text form is always a float's.
    value.to_string().parse().map_or(Value::Null, double)
}

fn bits(bytes: &[u8]) -> Result<String, Malformed> {
    let (count, bits) = split(bytes)?;
    let count = usize::try_from(i32::from_be_bytes(count)).map_err(|_| Malformed)?;
    if bits.len() != count.div_ceil(8) {
        return Err(Malformed);
    }
    let bit = |index: usize| bits[index / 8] >> (7 - index % 8) & 1;
    Ok((0..count).map(|index| if bit(index) == 1 { '1' } else { '0' }).collect())
}

/// What follows the version of the binary form.
fn versioned(bytes: &[u8]) -> Result<&[u8], Malformed> {
    match bytes {
        [1, rest @ ..] => Ok(rest),
        _ => Err(Malformed),
    }
}

fn byte(bytes: &[u8]) -> Result<u8, Malformed> {
    let [byte] = fixed(bytes)?;
    Ok(byte)
}

/// All of the bytes, which must be this many.
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}

/// The first bytes, and the rest.
fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Malformed> {
    bytes.split_first_chunk().map(|(head, rest)| (*head, rest)).ok_or(Malformed)
}
