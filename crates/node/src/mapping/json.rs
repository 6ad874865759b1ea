//! A document's JSON, borrowed from its bytes: parsed once, strings without escapes are not copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Deepest nesting of a document that is read. serde_json itself stops at 128.
const DEPTH_LIMIT: usize = 120;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number within i64.
    Integer(i64),
    /// A whole number above i64.
    Big(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// `[..]`
    Array(Vec<Json<'a>>),
    /// `{..}` in the order written.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Reads one value and nothing behind it. A key that stands twice in an object is an error, as in Elasticsearch.
///
/// # Errors
/// serde_json's, with line and column.
pub fn read(bytes: &[u8]) -> serde_json::Result<Json<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Seed(0).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

impl Json<'_> {
    /// Elasticsearch's name of the token the value starts with.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Null => "VALUE_NULL",
            Self::Bool(true) => "VALUE_TRUE",
            Self::Bool(false) => "VALUE_FALSE",
            Self::Integer(_) | Self::Big(_) => "VALUE_NUMBER_INT",
            Self::Float(_) => "VALUE_NUMBER_FLOAT",
            Self::Text(_) => "VALUE_STRING",
            Self::Array(_) => "START_ARRAY",
            Self::Object(_) => "START_OBJECT",
        }
    }

    /// An owned tree.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Integer(number) => (*number).into(),
            Self::Big(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Text(text) => (&**text).into(),
            Self::Array(items) => items.iter().map(Self::to_value).collect::<Vec<_>>().into(),
            Self::Object(members) => members
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl fmt::Display for Json<'_> {
    /// As Java prints maps and lists, which is what Elasticsearch shows of a value in errors.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Big(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value:?}"),
            Self::Text(text) => formatter.write_str(text),
            Self::Array(items) => {
                formatter.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if at > 0 { ", " } else { "" })?;
                }
                formatter.write_str("]")
            }
            Self::Object(members) => {
                formatter.write_str("{")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    write!(formatter, "{}{key}={value}", if at > 0 { ", " } else { "" })?;
                }
                formatter.write_str("}")
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Seed(usize);

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Big(value), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            let value = access.next_value_seed(self.deeper()?)?;
            // Objects have few keys; large ones are sorted once below.
            if members.len() < 32 && members.iter().any(|(other, _)| *other == key) {
                return Err(de::Error::custom(format!("Duplicate field '{key}'")));
            }
            members.push((key, value));
        }
        if members.len() > 32 {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            if let Some(twice) = keys.iter().zip(&keys[1..]).find(|(a, b)| a == b) {
                return Err(de::Error::custom(format!("Duplicate field '{}'", twice.0)));
            }
        }
        Ok(Json::Object(members))
    }
}

impl Seed {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.0 >= DEPTH_LIMIT {
            Err(E::custom("Document nesting is too deep"))
        } else {
            Ok(Self(self.0 + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_what_has_no_escapes() {
        let value = read(br#"{"a":"plain","b":"esc\n","c":[1,18446744073709551615,1.5,true,null]}"#).unwrap();
        let Json::Object(members) = &value else { panic!("{value:?}") };
        assert!(matches!(&members[0].1, Json::Text(Cow::Borrowed("plain"))));
        assert!(matches!(&members[1].1, Json::Text(Cow::Owned(text)) if text == "esc\n"));
        assert_eq!(value.to_string(), "{a=plain, b=esc\n, c=[1, 18446744073709551615, 1.5, true, null]}");
    }

    #[test]
    fn refuses_keys_that_stand_twice_and_nesting_without_end() {
        assert!(read(br#"{"a":1,"a":2}"#).unwrap_err().to_string().contains("Duplicate field 'a'"));
        let mut many: Vec<String> = (0..50).map(|n| format!("\"k{n}\":1")).collect();
        assert!(read(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        many.push("\"k40\":2".to_owned());
        assert!(read(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
        let deep = format!("{}1{}", "[".repeat(121), "]".repeat(121));
        assert!(read(deep.as_bytes()).is_err());
        assert!(read(b"{} x").is_err());
    }
}
