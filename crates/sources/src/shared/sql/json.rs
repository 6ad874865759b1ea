//! JSON columns.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::shared::digits::double;

/// The value itself. A number of more digits than a double keeps becomes text, digit for digit. A document that is nested too
/// deeply to be handled, or that is JSON to its server alone (half a surrogate pair), is kept as text.
pub(crate) fn value(text: Cow<'_, str>) -> Value {
    serde_json::from_str(&exact(&text)).unwrap_or_else(|_| Value::String(text.into_owned()))
}

/// The text with every number that a double does not keep in quotes.
fn exact(text: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let mut copied = 0;
    for number in numbers(text) {
        let digits = &text[number.clone()];
        if is_kept(digits) {
            continue;
        }
        changed.push_str(&text[copied..number.start]);
        changed.push('"');
        changed.push_str(digits);
        changed.push('"');
        copied = number.end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    changed.push_str(&text[copied..]);
    Cow::Owned(changed)
}

/// Whether the usual types of numbers hold it without loss.
fn is_kept(digits: &str) -> bool {
    // Short ones are the rule: at most 15 digits, and a double has them all.
    if digits.len() <= 15 && !digits.contains(['e', 'E']) {
        return true;
    }
    digits.parse::<i64>().is_ok() || double(digits).is_some()
}

/// Where numbers stand.
fn numbers(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            match bytes[at] {
                b'"' => {
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    while at < bytes.len()
                        && matches!(bytes[at], b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
                    {
                        at += 1;
                    }
                    return Some(start..at);
                }
                _ => at += 1,
            }
        }
        None
    })
}
