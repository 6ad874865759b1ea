//! How a rule's value, always stored as text, is compared with a document's values.

use std::cmp::Ordering;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Number, Value};

use super::rules::Operator;
use crate::configuration::flag_word;
use crate::timestamp;

/// A rule's value in every type a document's value may have; converted once, compared with every document.
#[derive(Debug, Clone)]
pub(super) struct RuleValue {
    text: String,
    number: Option<f64>,
    integer: Option<i64>,
    flag: Option<bool>,
    date: Option<Timestamp>,
    regex: Option<Regex>,
}

impl RuleValue {
    pub fn parse(operator: Operator, text: &str) -> Result<Self, regex::Error> {
        let regex = match operator {
            // Anchored at the start, as the other implementation matches; not at the end.
            Operator::Regex => Some(Regex::new(&format!(r"\A(?:{text})"))?),
            _ => None,
        };
        let trimmed = text.trim();
        Ok(Self {
            number: trimmed.parse::<f64>().ok().filter(|n| n.is_finite()),
            integer: trimmed.parse().ok(),
            // An empty text is the flag false: a form's empty check box.
            flag: if trimmed.is_empty() { Some(false) } else { flag_word(trimmed) },
            date: date(text),
            regex,
            text: text.to_owned(),
        })
    }

    /// Whether the document's value satisfies `operator` with this value. Null never does; a list does if one of its
    /// items does. Values that cannot be compared (a number with a word) do not match.
    pub fn matches(&self, operator: Operator, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => items.iter().any(|item| self.matches(operator, item)),
            _ => match operator {
                Operator::Equals => self.compare(value) == Some(Ordering::Equal),
                Operator::Less => self.compare(value) == Some(Ordering::Less),
                Operator::Greater => self.compare(value) == Some(Ordering::Greater),
                Operator::Contains => on_text(value, |text| text.contains(&self.text)),
                Operator::StartsWith => on_text(value, |text| text.starts_with(&self.text)),
                Operator::EndsWith => on_text(value, |text| text.ends_with(&self.text)),
                Operator::Regex => match &self.regex {
                    Some(regex) => on_text(value, |text| regex.is_match(text)),
                    None => false,
                },
            },
        }
    }

    /// How the document's value lies to this one, in the document value's type.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match value {
            Value::String(text) if *text == self.text => Some(Ordering::Equal),
            // Two dates are compared as instants, in whatever form each is written.
            Value::String(text) => match self.date.and_then(|own| Some((date(text)?, own))) {
                Some((theirs, own)) => Some(theirs.cmp(&own)),
                None => Some(text.as_str().cmp(&self.text)),
            },
            Value::Bool(flag) => Some(flag.cmp(&self.flag?)),
            Value::Number(number) => self.compare_number(number),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn compare_number(&self, number: &Number) -> Option<Ordering> {
        // Whole numbers beyond 2^53 differ as integers and not as floats.
        if let (Some(theirs), Some(own)) = (number.as_i64(), self.integer) {
            return Some(theirs.cmp(&own));
        }
        number.as_f64()?.partial_cmp(&self.number?)
    }
}

fn on_text(value: &Value, holds: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => holds(text),
        // Rules written for the other implementation spell flags with a capital.
        Value::Bool(true) => holds("true") || holds("True"),
        Value::Bool(false) => holds("false") || holds("False"),
        other => holds(&other.to_string()),
    }
}

/// Reads a text as a date only if it begins as one (`2026-01-02…`): "12" is no date, whatever a lenient parser says.
fn date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let looks_like_one = bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-';
    looks_like_one.then(|| timestamp::parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(document: &Value, operator: Operator, rule: &str) -> bool {
        RuleValue::parse(operator, rule).unwrap().matches(operator, document)
    }

    #[test]
    fn texts_compare_as_texts() {
        use Operator::{Contains, EndsWith, Equals, Greater, Less, Regex, StartsWith};
        let value = json!("report.pdf");
        assert!(matches(&value, Equals, "report.pdf"));
        assert!(!matches(&value, Equals, "report"));
        assert!(matches(&value, Contains, "port"));
        assert!(matches(&value, StartsWith, "rep"));
        assert!(matches(&value, EndsWith, ".pdf"));
        assert!(matches(&value, Less, "s"));
        assert!(matches(&value, Greater, "a"));
        assert!(!matches(&value, Greater, "report.pdf"));
        assert!(matches(&value, Regex, r"rep.*\.p"), "anchored at the start only");
        assert!(!matches(&value, Regex, "port"), "not searched for");
        assert!(matches(&value, Regex, "x|report"), "the anchor holds for every alternative");
    }

    #[test]
    fn numbers_compare_as_numbers() {
        use Operator::{Contains, Equals, Greater, Less};
        assert!(matches(&json!(10), Greater, "9"));
        assert!(matches(&json!(10), Less, "10.5"));
        assert!(matches(&json!(1.0), Equals, "1"));
        assert!(matches(&json!(1), Equals, "1.0"));
        assert!(!matches(&json!(9_007_199_254_740_993_i64), Equals, "9007199254740992"));
        assert!(matches(&json!(123), Contains, "2"));
        for operator in [Equals, Greater, Less] {
            assert!(!matches(&json!(5), operator, "five"), "no comparison, no match");
            assert!(!matches(&json!(5), operator, "nan"));
        }
    }

    #[test]
    fn flags_compare_as_flags() {
        use Operator::{Contains, Equals, Regex};
        for word in ["true", "True", "yes", "on"] {
            assert!(matches(&json!(true), Equals, word), "{word}");
            assert!(!matches(&json!(false), Equals, word), "{word}");
        }
        assert!(matches(&json!(false), Equals, ""));
        assert!(!matches(&json!(true), Equals, "maybe"));
        assert!(matches(&json!(true), Regex, "True$"));
        assert!(matches(&json!(true), Contains, "tru"));
    }

    #[test]
    fn dates_compare_as_instants() {
        use Operator::{Equals, Greater, Less};
        let value = json!("2026-01-02T03:04:05+01:00");
        assert!(matches(&value, Equals, "2026-01-02T02:04:05Z"));
        assert!(matches(&value, Greater, "2026-01-02"));
        assert!(matches(&value, Less, "2026-01-02T02:04:06Z"));
        assert!(matches(&json!("10"), Less, "2026-01-02"), "not a date: as texts");
    }

    #[test]
    fn lists_match_by_item_and_null_never() {
        use Operator::{Contains, Equals};
        assert!(matches(&json!(["a", "b"]), Equals, "b"));
        assert!(!matches(&json!(["ab"]), Equals, "b"));
        assert!(!matches(&json!([]), Equals, ""));
        assert!(!matches(&json!(null), Equals, ""));
        assert!(matches(&json!({"a": 1}), Contains, "\"a\":1"));
        assert!(!matches(&json!({"a": 1}), Equals, "{\"a\":1}"));
    }
}
