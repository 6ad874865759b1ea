//! JSON as Elasticsearch reads it: one value, and no key twice.

use axum::http::StatusCode;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, Result};

/// Parses one JSON value.
///
/// # Errors
/// 400 `x_content_parse_exception` (`x_content_e_o_f_exception` when it ends too early) with line and column, also for
/// a key that stands twice in one object.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| parse_error(&error))?;
    deserializer.end().map_err(|error| parse_error(&error))?;
    Ok(value)
}

/// A syntax error in Elasticsearch's shape.
pub fn parse_error(error: &serde_json::Error) -> ApiError {
    let (outer, inner) = if error.is_eof() {
        ("x_content_e_o_f_exception", "json_e_o_f_exception")
    } else {
        ("x_content_parse_exception", "json_parse_exception")
    };
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(place.as_str()).unwrap_or(&text);
    let reason = if error.is_eof() {
        format!("[{}:{}] Unexpected end of file", error.line(), error.column() + 1)
    } else {
        format!("[{}:{}] {text}", error.line(), error.column())
    };
    ApiError::new(StatusCode::BAD_REQUEST, outer, reason).because(inner, text)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if object.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!("Duplicate field '{key}'")));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,true,null,"x\u00e9"],"b":{"c":{}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_twice_and_bad_syntax_are_refused_with_their_place() {
        let error = parse(br#"{"a":1,"b":2,"a":3}"#).unwrap_err();
        assert_eq!(error.kind, "x_content_parse_exception");
        assert!(error.reason.starts_with("[1:") && error.reason.contains("Duplicate field 'a'"), "{error}");
        let error = parse(br#"{"a""#).unwrap_err();
        assert_eq!(error.kind, "x_content_e_o_f_exception");
        assert_eq!(error.reason, "[1:5] Unexpected end of file");
        assert!(parse(b"{} {}").is_err());
    }
}
