//! Decimal numbers of any length as JSON.

use serde_json::{Number, Value};

/// Digits that every binary double keeps.
const EXACT_DIGITS: usize = 15;

/// A decimal number in its usual text form: a JSON number where a double keeps all of its digits, else its text, digit for
/// digit. Elasticsearch takes such a text for a number, too, where the field is mapped as one. What is no finite number (`NaN`,
/// `Infinity`) stays text.
pub(crate) fn value(text: &str) -> Value {
    let digits = text.trim_start_matches('-').trim_start_matches(['0', '.']);
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if !plain || text.is_empty() {
        return Value::String(text.to_owned());
    }
    if !text.contains('.')
        && let Ok(integer) = text.parse::<i64>()
    {
        return Value::Number(integer.into());
    }
    if significant <= EXACT_DIGITS
        && let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64)
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_numbers_as_long_as_no_digit_is_lost() {
        for (text, expected) in [
            ("0", json!(0)),
            ("12.50", json!(12.5)),
            ("-0.1", json!(-0.1)),
            ("9223372036854775807", json!(i64::MAX)),
            ("9223372036854775808", json!("9223372036854775808")),
            ("123456789012345.6", json!("123456789012345.6")),
            ("0.000000000000000000123456789012345", json!(1.234_567_890_123_45e-19)),
            ("99999999999999.9", json!(99_999_999_999_999.9)),
            ("NaN", json!("NaN")),
            ("-Infinity", json!("-Infinity")),
            ("", json!("")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
