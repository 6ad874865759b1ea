//! Values of queries as numbers and booleans, coerced as Elasticsearch coerces them.

use serde_json::Value;

use crate::error::{ApiError, Result};

/// What a whole-number column can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This value.
    Value(i64),
    /// A fraction, or beyond the type's bounds: no document has it.
    Nothing,
}

fn not_a_number(text: &str) -> ApiError {
    let mut error = ApiError::illegal_argument(format!("For input string: \"{text}\""));
    error.kind = "number_format_exception";
    error
}

/// A number for a floating-point field; strings are read.
pub fn decimal(value: &Value) -> Result<f64> {
    let text = match value {
        Value::Number(number) => return Ok(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.as_str(),
        other => return Err(not_a_number(&other.to_string())),
    };
    if text.trim().is_empty() {
        let mut error = not_a_number(text);
        error.reason = "empty String".into();
        return Err(error);
    }
    let number: f64 = text.trim().parse().map_err(|_| not_a_number(text))?;
    if number.is_finite() { Ok(number) } else { Err(not_a_number(text)) }
}

/// A number for a whole-number field with these bounds.
pub fn whole(value: &Value, min: i64, max: i64) -> Result<Wanted> {
    let exact = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    if let Some(exact) = exact {
        return Ok(if (min..=max).contains(&exact) { Wanted::Value(exact) } else { Wanted::Nothing });
    }
    let number = decimal(value)?;
    #[expect(clippy::cast_possible_truncation, reason = "checked by the bounds")]
    if number.fract() == 0.0 && number.abs() < 9.0e18 {
        let exact = number as i64;
        if (min..=max).contains(&exact) {
            return Ok(Wanted::Value(exact));
        }
    }
    Ok(Wanted::Nothing)
}

/// A boolean; the strings `true` and `false` count.
pub fn boolean(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => {
            let text = super::field::string_value(other);
            Err(ApiError::illegal_argument(format!(
                "Can't parse boolean value [{text}], expected [true] or [false]"
            )))
        }
    }
}
