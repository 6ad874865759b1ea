//! `minimum_should_match`: `2`, `-1`, `75%`, `-25%`, `3<90%`, several of the last.

use serde_json::Value;

use crate::error::{ApiError, Result};

/// A parsed specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinimumShouldMatch(Vec<(Option<i64>, Amount)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Count(i64),
    Percent(i64),
}

impl MinimumShouldMatch {
    /// From the JSON value: a number or a string.
    pub fn parse(value: &Value) -> Result<Self> {
        let text = super::field::string_value(value);
        let invalid = || ApiError::illegal_argument(format!("For input string: \"{}\"", text.trim()));
        let mut steps = Vec::new();
        for part in text.split_whitespace() {
            let (above, amount) = match part.split_once('<') {
                Some((above, amount)) => (Some(above.parse().map_err(|_| invalid())?), amount),
                None => (None, part),
            };
            let amount = match amount.strip_suffix('%') {
                Some(percent) => Amount::Percent(percent.parse().map_err(|_| invalid())?),
                None => Amount::Count(amount.parse().map_err(|_| invalid())?),
            };
            steps.push((above, amount));
        }
        if steps.is_empty() {
            return Err(invalid());
        }
        Ok(Self(steps))
    }

    /// How many of `clauses` must match; more than there are means none can.
    pub fn of(&self, clauses: usize) -> usize {
        let clauses = i64::try_from(clauses).unwrap_or(i64::MAX);
        let mut result = clauses;
        for (above, amount) in &self.0 {
            if above.is_some_and(|above| clauses <= above) {
                break;
            }
            result = match amount {
                Amount::Count(count) if *count < 0 => clauses + count,
                Amount::Count(count) => *count,
                // Percentages are cut towards zero.
                Amount::Percent(percent) if *percent < 0 => clauses + clauses * percent / 100,
                Amount::Percent(percent) => clauses * percent / 100,
            };
        }
        usize::try_from(result).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_documented_forms() {
        let of = |spec: &str, clauses| MinimumShouldMatch::parse(&json!(spec)).unwrap().of(clauses);
        assert_eq!(of("2", 3), 2);
        assert_eq!(of("5", 3), 5);
        assert_eq!(of("-1", 3), 2);
        assert_eq!(of("-5", 3), 0);
        assert_eq!(of("75%", 3), 2);
        assert_eq!(of("-25%", 4), 3);
        assert_eq!(of("-25%", 3), 3);
        assert_eq!(of("2<75%", 2), 2);
        assert_eq!(of("2<75%", 4), 3);
        assert_eq!(of("2<-25% 9<-3", 8), 6);
        assert_eq!(of("2<-25% 9<-3", 12), 9);
        assert_eq!(MinimumShouldMatch::parse(&json!(1)).unwrap().of(9), 1);
        assert!(MinimumShouldMatch::parse(&json!("x%")).is_err());
        assert!(MinimumShouldMatch::parse(&json!("")).is_err());
    }
}
