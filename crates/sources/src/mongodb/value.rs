//! BSON → JSON. The table of `README.md` is the rule; every type of the BSON specification has its line there.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connectors_sdk::{Document, FieldName, FieldsPage, FieldsText, SourceError};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use mongodb::bson::raw::RawElement;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Decimal128, RawArray, RawBinaryRef, RawBson, RawBsonRef, RawDocument, UuidRepresentation,
};
use serde_json::{Map, Number, Value, json};

use crate::shared::digits::{double, is_number, push_clock, push_date};
use crate::shared::field_name::field_name;

/// The server takes no document nested deeper than this; a broken one must not exhaust the stack.
const MAX_DEPTH: usize = 200;

/// What becomes of dates (`datetime_conversion`, by the names pymongo has for these ways).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    /// Text; one that has none is an error of its document.
    Text,
    /// Text; the first or last possible one for others.
    Clamp,
    /// Text, or milliseconds where there is none.
    Auto,
    /// Milliseconds since 1970.
    Milliseconds,
}

impl Dates {
    /// From the configuration; empty is the default.
    pub(super) fn parse(name: &str) -> Result<Self, SourceError> {
        match name {
            "" | "DATETIME" => Ok(Self::Text),
            "DATETIME_CLAMP" => Ok(Self::Clamp),
            "DATETIME_AUTO" => Ok(Self::Auto),
            "DATETIME_MS" => Ok(Self::Milliseconds),
            other => Err(SourceError::configuration(
                "datetime_conversion",
                format_args!("is {other:?}, which is not known"),
            )
            .with_hint("Use DATETIME, DATETIME_CLAMP, DATETIME_AUTO or DATETIME_MS.")),
        }
    }

    fn convert(self, milliseconds: i64) -> Result<Value, Problem> {
        // 0001-01-01 and the last millisecond of 9999-12-31.
        const FIRST: i64 = -62_135_596_800_000;
        const LAST: i64 = 253_402_300_799_999;
        let text = match self {
            Self::Milliseconds => None,
            Self::Clamp => date_text(milliseconds.clamp(FIRST, LAST)),
            Self::Text | Self::Auto => date_text(milliseconds),
        };
        match text {
            Some(text) => Ok(Value::String(text)),
            None if self == Self::Text => Err(Problem::new(format!(
                "the date {milliseconds} ms since 1970 is not in the years 1 to 9999: choose another `datetime_conversion`"
            ))),
            None => Ok(milliseconds.into()),
        }
    }
}

/// ISO 8601 without a zone, in UTC, as Python's `isoformat` prints it, so that a document written by Elastic's connector is the
/// same. None outside the years 1 to 9999.
pub(super) fn date_text(milliseconds: i64) -> Option<String> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let time = epoch.checked_add(SignedDuration::from_millis(milliseconds)).ok()?;
    if time.year() < 1 {
        return None;
    }
    // From the year 1 on nothing is negative.
    let number = |part: i32| u64::from(part.unsigned_abs());
    let mut text = String::with_capacity(26);
    push_date(&mut text, number(time.year().into()), number(time.month().into()), number(time.day().into()));
    text.push('T');
    push_clock(
        &mut text,
        number(time.hour().into()),
        number(time.minute().into()),
        number(time.second().into()),
        number(time.subsec_nanosecond() / 1000),
    );
    Some(text)
}

/// Why a document cannot be had as JSON, and where in it.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    path: String,
    reason: String,
}

impl Problem {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }

    fn at(mut self, name: &str) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        self.path.insert_str(0, separator);
        self.path.insert_str(0, name);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "field {}: {}", self.path, self.reason)
        }
    }
}

impl From<mongodb::bson::error::Error> for Problem {
    fn from(error: mongodb::bson::error::Error) -> Self {
        Self::new(format!("it is not valid BSON: {error}"))
    }
}

/// Field with the identity of a document.
pub(super) const ID: &str = "_id";

/// Turns BSON into JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder {
    pub dates: Dates,
    /// In which order drivers of old wrote the bytes of UUIDs (`uuidRepresentation` in the connection string).
    pub legacy_uuids: Option<UuidRepresentation>,
}

impl Decoder {
    /// The fields of a whole document, without `_id`.
    pub(super) fn fields(self, document: &RawDocument) -> Result<Map<String, Value>, Problem> {
        self.object(document, 0)
    }

    /// The same as JSON, under these names.
    pub(super) fn text(
        self,
        document: &RawDocument,
        names: &[FieldName],
        page: &mut FieldsPage,
    ) -> Result<FieldsText, Problem> {
        let mut text = page.begin();
        let mut names = names.iter();
        for element in document.iter_elements() {
            let element = element?;
            let key = element.key().as_str();
            if key == ID {
                continue;
            }
            let name = names.next().ok_or_else(|| Problem::new("it has more fields than names"))?;
            match element.value() {
                Ok(RawBsonRef::String(value)) => text.field(name).string(value),
                Ok(RawBsonRef::Int32(number)) => text.field(name).integer(number.into()),
                Ok(RawBsonRef::Int64(number)) => text.field(name).integer(number),
                _ => text.field(name).value(&self.element(element, 0).map_err(|problem| problem.at(key))?),
            }
        }
        Ok(text.finish())
    }

    fn object(self, document: &RawDocument, depth: usize) -> Result<Map<String, Value>, Problem> {
        if depth > MAX_DEPTH {
            return Err(Problem::new(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        let top = depth == 0;
        let mut fields = if top { Document::room_for(document.iter_elements().count()) } else { Map::new() };
        let mut renamed = Vec::new();
        for element in document.iter_elements() {
            let element = element?;
            let name = element.key().as_str();
            if top && name == ID {
                continue;
            }
            let value = self.element(element, depth).map_err(|problem| problem.at(name))?;
            match field_name(name, top) {
                Cow::Borrowed(name) => {
                    fields.insert(name.to_owned(), value);
                }
                Cow::Owned(name) => renamed.push((name, value)),
            }
        }
        for (mut name, value) in renamed {
            while fields.contains_key(&name) {
                name.push('_');
            }
            fields.insert(name, value);
        }
        Ok(fields)
    }

    fn array(self, array: &RawArray, depth: usize) -> Result<Value, Problem> {
        if depth > MAX_DEPTH {
            return Err(Problem::new(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        let mut items = Vec::new();
        // An array is a document whose names do not matter.
        for (index, element) in RawDocument::from_bytes(array.as_bytes())?.iter_elements().enumerate() {
            let item = self.element(element?, depth);
            items.push(item.map_err(|problem| problem.at(&index.to_string()))?);
        }
        Ok(Value::Array(items))
    }

    /// The value of an element. Bytes that are no UTF-8, which drivers of old let into texts, become replacement characters.
    fn element(self, element: RawElement<'_>, depth: usize) -> Result<Value, Problem> {
        match element.value() {
            Ok(value) => self.value(value, depth),
            Err(_) => {
                let value: RawBson = element.value_utf8_lossy()?;
                self.value(value.as_raw_bson_ref(), depth)
            }
        }
    }

    fn value(self, value: RawBsonRef<'_>, depth: usize) -> Result<Value, Problem> {
        Ok(match value {
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
                Value::String(text.to_owned())
            }
            RawBsonRef::Int32(number) => number.into(),
            RawBsonRef::Int64(number) => number.into(),
            // JSON has no NaN and no infinity.
            RawBsonRef::Double(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            RawBsonRef::Boolean(truth) => Value::Bool(truth),
            RawBsonRef::Null | RawBsonRef::Undefined => Value::Null,
            RawBsonRef::ObjectId(id) => Value::String(id.to_hex()),
            RawBsonRef::DateTime(date) => self.dates.convert(date.timestamp_millis())?,
            RawBsonRef::Document(document) => Value::Object(self.object(document, depth + 1)?),
            RawBsonRef::Array(array) => self.array(array, depth + 1)?,
            RawBsonRef::Decimal128(decimal) => decimal_value(decimal),
            RawBsonRef::Binary(binary) => Value::String(self.binary(binary)),
            RawBsonRef::Timestamp(timestamp) => json!({"t": timestamp.time, "i": timestamp.increment}),
            RawBsonRef::RegularExpression(regex) => {
                Value::String(format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()))
            }
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                json!({"code": code.code, "scope": self.object(code.scope, depth + 1)?})
            }
            RawBsonRef::DbPointer(_) => db_pointer(value)?,
            RawBsonRef::MinKey => Value::String("MinKey".to_owned()),
            RawBsonRef::MaxKey => Value::String("MaxKey".to_owned()),
        })
    }

    /// Text for binary data: UUIDs as such, base64 for all others.
    pub(super) fn binary(self, binary: RawBinaryRef<'_>) -> String {
        let uuid = <[u8; 16]>::try_from(binary.bytes).ok().and_then(|bytes| match binary.subtype {
            BinarySubtype::Uuid => Some(uuid::Uuid::from_bytes(bytes)),
            BinarySubtype::UuidOld => {
                let representation = self.legacy_uuids.unwrap_or(UuidRepresentation::PythonLegacy);
                let owned = Binary { subtype: binary.subtype, bytes: bytes.to_vec() };
                // `standard` says that there are no legacy UUIDs; if there are, their bytes are in no other order.
                Some(owned.to_uuid_with_representation(representation).map_or_else(
                    |_| uuid::Uuid::from_bytes(bytes),
                    |uuid| uuid::Uuid::from_bytes(uuid.bytes()),
                ))
            }
            _ => None,
        });
        uuid.map_or_else(|| STANDARD.encode(binary.bytes), |uuid| uuid.to_string())
    }
}

/// MongoDB's extended JSON, from which the value can be had back with its type, but for the width of integers.
pub(super) fn extended(value: RawBsonRef<'_>) -> Result<Value, Problem> {
    match value {
        RawBsonRef::Document(document) => extended_object(document).map(Value::Object),
        RawBsonRef::Array(array) => array.into_iter().map(|item| extended(item?)).collect(),
        // The driver makes an array of plain bytes, and null of NaN.
        RawBsonRef::Binary(binary) => {
            let subtype = format!("{:02x}", u8::from(binary.subtype));
            Ok(json!({"$binary": {"base64": STANDARD.encode(binary.bytes), "subType": subtype}}))
        }
        RawBsonRef::Double(number) if !number.is_finite() => {
            let text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            Ok(json!({ "$numberDouble": text }))
        }
        _ => serde_json::to_value(value)
            .map_err(|error| Problem::new(format!("it has no extended JSON: {error}"))),
    }
}

/// A document in extended JSON.
pub(super) fn extended_object(document: &RawDocument) -> Result<Map<String, Value>, Problem> {
    document
        .iter()
        .map(|field| {
            let (name, value) = field?;
            Ok((name.as_str().to_owned(), extended(value)?))
        })
        .collect()
}

/// A reference of the kind BSON had before DBRef, in the form of a DBRef.
fn db_pointer(value: RawBsonRef<'_>) -> Result<Value, Problem> {
    // The driver shows its parts only in extended JSON: {"$dbPointer": {"$ref": …, "$id": {"$oid": …}}}.
    let extended = extended(value)?;
    let pointer = &extended["$dbPointer"];
    Ok(json!({"$ref": pointer["$ref"], "$id": pointer["$id"]["$oid"]}))
}

/// A number where it has the very digits of the decimal, otherwise the decimal's text. NaN and infinity become null, as for
/// doubles.
fn decimal_value(decimal: Decimal128) -> Value {
    let text = decimal.to_string();
    match double(&text) {
        Some(number) => json!(number),
        None if is_number(&text) => Value::String(text),
        None => Value::Null,
    }
}
