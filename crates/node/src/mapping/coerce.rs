//! One JSON value as a field's type, or why not, in Elasticsearch's words.

use std::borrow::Cow;
use std::net::IpAddr;

use super::json::Json;
use super::plan::Target;
use super::types::{FieldMapping, FieldType};
use crate::dates::DEFAULT_FORMAT;
use crate::index::FieldValue;

/// Lucene's longest term.
const MAX_TERM_BYTES: usize = 32_766;

/// Why a value does not fit.
#[derive(Debug, PartialEq)]
pub struct Refused {
    /// Type of the cause.
    pub kind: &'static str,
    /// Its text.
    pub reason: String,
    /// The cause's own cause.
    pub caused_by: Option<(&'static str, String)>,
}

fn refused(kind: &'static str, reason: impl Into<String>) -> Refused {
    Refused { kind, reason: reason.into(), caused_by: None }
}

fn illegal(reason: impl Into<String>) -> Refused {
    refused("illegal_argument_exception", reason)
}

fn wrong_token(reason: String) -> Refused {
    Refused {
        kind: "x_content_parse_exception",
        reason: reason.clone(),
        caused_by: Some(("json_parse_exception", reason)),
    }
}

/// Any scalar as text.
///
/// # Errors
/// For objects.
pub fn text<'a>(value: &Json<'a>) -> Result<Cow<'a, str>, Refused> {
    match value {
        Json::Text(text) => Ok(text.clone()),
        Json::Object(_) | Json::Array(_) => {
            Err(illegal(format!("Expected text but found {}", value.token())))
        }
        other => Ok(Cow::Owned(other.to_string())),
    }
}

/// A value of any type but text; `None` when the field ignores it.
///
/// # Errors
/// When it does not fit.
pub fn value(target: &Target, value: &Json<'_>, source: &[u8]) -> Result<Option<FieldValue>, Refused> {
    let mapping = &target.mapping;
    match &mapping.kind {
        FieldType::Text | FieldType::Alias { .. } => Ok(None),
        FieldType::Keyword => keyword(mapping, value, source),
        FieldType::Integer { min, max } => integer(mapping, *min, *max, value),
        FieldType::Float { .. } => float(mapping, value),
        FieldType::Boolean => boolean(value),
        FieldType::Date { .. } => date(target, value),
        FieldType::Ip => ip(value),
        FieldType::Binary => match value {
            Json::Text(_) | Json::Null => Ok(None),
            other => Err(wrong_token(format!(
                "Current token ({}) not VALUE_STRING or VALUE_EMBEDDED_OBJECT, can not access as binary",
                other.token()
            ))),
        },
    }
}

fn keyword(mapping: &FieldMapping, value: &Json<'_>, source: &[u8]) -> Result<Option<FieldValue>, Refused> {
    let text = text(value)?;
    // Java counts UTF-16 units.
    let too_long = |above: usize| text.len() > above && text.encode_utf16().count() > above;
    if mapping.ignore_above.is_some_and(too_long) {
        return Ok(None);
    }
    if mapping.indexed && text.len() > MAX_TERM_BYTES {
        let prefix: Vec<String> = text.bytes().take(30).map(|byte| byte.to_string()).collect();
        return Err(illegal(format!(
            "Document contains at least one immense term in field=\"{}\" (whose UTF8 encoding is longer than the max \
             length {MAX_TERM_BYTES}), all of which were skipped. Please correct the analyzer to not produce such terms. \
             The prefix of the first immense term is: '[{}]...'",
            mapping.path,
            prefix.join(", ")
        )));
    }
    Ok(Some(FieldValue::text(source, text)))
}

fn integer(
    mapping: &FieldMapping,
    min: i64,
    max: i64,
    value: &Json<'_>,
) -> Result<Option<FieldValue>, Refused> {
    let name = mapping.type_name.as_str();
    let out_of_range = |shown: &str| match name {
        "byte" | "short" => illegal(format!("Value [{shown}] is out of range for a {name}")),
        "integer" => out_of_int(shown, "int", min, max),
        _ => out_of_int(shown, name, min, max),
    };
    let whole = |number: i64, shown: &str| {
        if (min..=max).contains(&number) {
            Ok(Some(FieldValue::Integer(number)))
        } else {
            Err(out_of_range(shown))
        }
    };
    let fraction = |number: f64, shown: &str| {
        if !mapping.coerce && number.fract() != 0.0 {
            return Err(illegal(format!("Value [{shown}] has a decimal part")));
        }
        match truncate(number) {
            Some(number) => whole(number, shown),
            None => Err(illegal(format!("Value [{shown}] is out of range for a {name}"))),
        }
    };
    match value {
        Json::Integer(number) => whole(*number, &number.to_string()),
        Json::Big(number) => Err(out_of_range(&number.to_string())),
        Json::Float(number) => fraction(*number, &value.to_string()),
        Json::Text(_) if !mapping.coerce => {
            let mut name = name.to_owned();
            name[..1].make_ascii_uppercase();
            Err(illegal(format!("{name} value passed as String")))
        }
        Json::Text(text) if text.is_empty() => Ok(None),
        Json::Text(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => whole(number, text),
            (_, Ok(number)) if number.is_finite() => fraction(number, text),
            _ => Err(illegal(format!("For input string: \"{text}\""))),
        },
        Json::Object(_) => Err(illegal("Cannot parse object as number")),
        other => Err(wrong_token(format!(
            "Current token ({}) not numeric, can not use numeric value accessors",
            other.token()
        ))),
    }
}

fn out_of_int(shown: &str, name: &str, min: i64, max: i64) -> Refused {
    let reason = format!("Numeric value ({shown}) out of range of {name} ({min} - {max})");
    Refused {
        kind: "x_content_parse_exception",
        reason: reason.clone(),
        caused_by: Some(("input_coercion_exception", reason)),
    }
}

/// The whole part, when i64 has it.
fn truncate(number: f64) -> Option<i64> {
    // 2^63 and above is no i64; the cast of everything else is exact after `trunc`.
    let whole = number.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    ((-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole)).then_some(whole as i64)
}

fn float(mapping: &FieldMapping, value: &Json<'_>) -> Result<Option<FieldValue>, Refused> {
    let number = match value {
        Json::Integer(number) => *number as f64,
        Json::Big(number) => *number as f64,
        Json::Float(number) => *number,
        Json::Text(_) if !mapping.coerce => return Err(illegal("Float value passed as String")),
        Json::Text(text) if text.is_empty() => return Ok(None),
        Json::Text(text) => text
            .trim()
            .parse::<f64>()
            .map_err(|_| refused("number_format_exception", format!("For input string: \"{text}\"")))?,
        Json::Object(_) => return Err(illegal("Cannot parse object as number")),
        other => {
            return Err(wrong_token(format!(
                "Current token ({}) not numeric, can not use numeric value accessors",
                other.token()
            )));
        }
    };
    let kept = mapping.round(number);
    if kept.is_finite() {
        Ok(Some(FieldValue::Float(kept)))
    } else {
        Err(illegal(format!("[{}] supports only finite values, but got [{number:?}]", mapping.type_name)))
    }
}

fn boolean(value: &Json<'_>) -> Result<Option<FieldValue>, Refused> {
    match value {
        Json::Bool(flag) => Ok(Some(FieldValue::Boolean(*flag))),
        Json::Text(text) => match &**text {
            "true" => Ok(Some(FieldValue::Boolean(true))),
            "false" | "" => Ok(Some(FieldValue::Boolean(false))),
            other => Err(illegal(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        },
        other => Err(wrong_token(format!("Current token ({}) not of boolean type", other.token()))),
    }
}

fn date(target: &Target, value: &Json<'_>) -> Result<Option<FieldValue>, Refused> {
    if matches!(value, Json::Object(_) | Json::Array(_)) {
        return Err(illegal("Cannot parse object or array as a date value"));
    }
    let text = text(value)?;
    let format = target.format.as_ref();
    match format.and_then(|format| format.try_parse(&text, false, None)) {
        Some(ms) => Ok(Some(FieldValue::Integer(ms))),
        None => {
            let name = format.map_or(DEFAULT_FORMAT, |format| format.text());
            let mut refused = illegal(format!("failed to parse date field [{text}] with format [{name}]"));
            refused.caused_by =
                Some(("date_time_parse_exception", "Failed to parse with all enclosed parsers".to_owned()));
            Err(refused)
        }
    }
}

fn ip(value: &Json<'_>) -> Result<Option<FieldValue>, Refused> {
    let text = text(value)?;
    match canonical_ip(&text) {
        Some(ip) => Ok(Some(FieldValue::Text(ip.into()))),
        None => Err(illegal(format!("'{text}' is not an IP string literal."))),
    }
}

/// An address in the form the index has it.
pub fn canonical_ip(text: &str) -> Option<String> {
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical().to_string())
}
