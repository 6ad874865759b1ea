//! `convert`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::strings::present;
use super::{Change, Step};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::{Fields, plain};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Integer,
    Long,
    Double,
    Float,
    Boolean,
    Ip,
    String,
    Auto,
}

#[derive(Debug)]
struct Convert {
    field: String,
    target: String,
    kind: Kind,
    ignore_missing: bool,
}

pub fn convert(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    let name = config.string("type")?;
    let kind = match name.to_ascii_lowercase().as_str() {
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "double" => Kind::Double,
        "float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "ip" => Kind::Ip,
        "string" => Kind::String,
        "auto" => Kind::Auto,
        _ => {
            return Err(config.error("type", format!("type [{name}] not supported, cannot convert field.")));
        }
    };
    let target = config.optional_string("target_field")?.unwrap_or_else(|| field.clone());
    let ignore_missing = config.boolean("ignore_missing", false)?;
    Ok(Box::new(Convert { field, target, kind, ignore_missing }))
}

impl Change for Convert {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let Some(value) = present(fields, &self.field, self.ignore_missing, "be converted to type")? else {
            return Ok(());
        };
        let converted = match value {
            Value::Array(items) => {
                items.iter().map(|item| self.kind.convert(item)).collect::<Result<Vec<_>>>()?.into()
            }
            other => self.kind.convert(other)?,
        };
        fields.set(&self.target, converted)
    }
}

impl Kind {
    fn convert(self, value: &Value) -> Result<Value> {
        let text = plain(value);
        let failed = |kind: &str| {
            ApiError::illegal_argument(format!("unable to convert [{text}] to {kind}")).with(
                "caused_by",
                json!({ "type": "number_format_exception", "reason": format!("For input string: \"{text}\"") }),
            )
        };
        match self {
            Self::Integer => integer(&text)
                .filter(|number| i32::try_from(*number).is_ok())
                .map(Value::from)
                .ok_or_else(|| failed("integer")),
            Self::Long => integer(&text).map(Value::from).ok_or_else(|| failed("long")),
            Self::Double => number(&text).ok_or_else(|| failed("double")),
            Self::Float => number(&text).ok_or_else(|| failed("float")),
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(ApiError::illegal_argument(format!(
                    "[{text}] is not a boolean value, cannot convert to boolean"
                ))),
            },
            Self::Ip => text
                .parse::<IpAddr>()
                .map(|_| Value::String(text.clone()))
                .map_err(|_| ApiError::illegal_argument(format!("'{text}' is not an IP string literal."))),
            Self::String => Ok(Value::String(text)),
            Self::Auto => {
                let Value::String(text) = value else { return Ok(value.clone()) };
                Ok(match text.to_ascii_lowercase().as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => integer(text)
                        .map(Value::from)
                        .or_else(|| number(text))
                        .unwrap_or_else(|| value.clone()),
                })
            }
        }
    }
}

/// Decimal or, with `0x`, hexadecimal, as Elasticsearch reads it.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16).ok(),
        None => format!("{sign}{digits}").parse().ok(),
    }
}

fn number(text: &str) -> Option<Value> {
    let number: f64 = text.trim().parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}
