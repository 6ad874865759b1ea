//! Basic sync rules, ready to decide.

use std::fmt;

use serde_json::{Map, Value};

use super::DEFAULT_RULE;
use super::value::RuleValue;

/// What happens to a document a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is kept.
    Include,
    /// It is left out, and deleted from the index by a full sync.
    Exclude,
}

impl Policy {
    /// The policy with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "include" => Some(Self::Include),
            "exclude" => Some(Self::Exclude),
            _ => None,
        }
    }
}

/// How a rule compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equality in the document value's type.
    Equals,
    /// The text form contains the rule's value.
    Contains,
    /// The text form begins with it.
    StartsWith,
    /// The text form ends with it.
    EndsWith,
    /// The text form matches it from its beginning.
    Regex,
    /// The document's value is greater.
    Greater,
    /// The document's value is less.
    Less,
}

impl Operator {
    /// The operator with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "equals" => Self::Equals,
            "contains" => Self::Contains,
            "starts_with" => Self::StartsWith,
            "ends_with" => Self::EndsWith,
            "regex" => Self::Regex,
            ">" => Self::Greater,
            "<" => Self::Less,
            _ => return None,
        })
    }
}

/// A stored rule that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sync rule {id:?}: {reason}")]
pub struct InvalidRule {
    /// Id of the rule, or its place in the list if it has none.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Debug, Clone)]
struct BasicRule {
    id: String,
    order: f64,
    policy: Policy,
    field: String,
    operator: Operator,
    value: RuleValue,
}

impl BasicRule {
    fn parse(place: usize, rule: &Value) -> Result<Self, InvalidRule> {
        let id = rule.get("id").and_then(Value::as_str);
        let invalid = |reason: String| InvalidRule {
            id: id.map_or_else(|| format!("#{}", place + 1), str::to_owned),
            reason,
        };
        let text = |key: &str| {
            let found = rule.get(key).and_then(Value::as_str);
            found.ok_or_else(|| invalid(format!("{key} must be a text")))
        };
        let operator = text("rule")?;
        let policy = text("policy")?;
        let operator = Operator::from_name(operator)
            .ok_or_else(|| invalid(format!("there is no operator {operator:?}")))?;
        Ok(Self {
            id: text("id")?.to_owned(),
            order: rule
                .get("order")
                .and_then(Value::as_f64)
                .ok_or_else(|| invalid("order must be a number".to_owned()))?,
            policy: Policy::from_name(policy)
                .ok_or_else(|| invalid(format!("there is no policy {policy:?}")))?,
            field: text("field")?.to_owned(),
            operator,
            value: RuleValue::parse(operator, text("value")?)
                .map_err(|error| invalid(format!("the pattern cannot be used: {error}")))?,
        })
    }
}

/// What the rules say about one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the document is kept.
    pub include: bool,
    /// The rule that decided, for [`RuleMatches::record`]; `None` when no rule matched.
    rule: Option<usize>,
}

/// The basic rules of a job, in the order they apply. Patterns are compiled and values converted once.
#[derive(Debug, Clone, Default)]
pub struct BasicRules {
    rules: Vec<BasicRule>,
}

impl BasicRules {
    /// Reads stored rules. The rule with the id `DEFAULT` is left out (what it says is what happens anyway), the
    /// others apply by ascending `order`, and as stored where that is equal.
    pub fn parse(rules: &[Value]) -> Result<Self, InvalidRule> {
        let mut parsed = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.get("id").and_then(Value::as_str) != Some(DEFAULT_RULE))
            .map(|(place, rule)| BasicRule::parse(place, rule))
            .collect::<Result<Vec<_>, _>>()?;
        parsed.sort_by(|a, b| a.order.total_cmp(&b.order));
        Ok(Self { rules: parsed })
    }

    /// Whether there is no rule: every document is kept.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that matches decides; when none does, the document is kept. A rule looks at one top-level field;
    /// it does not match a document that lacks the field.
    pub fn decide(&self, document: &Map<String, Value>) -> Decision {
        self.decide_by(|field| document.get(field))
    }

    /// As [`decide`](Self::decide), for documents that are not a JSON map: `field` looks a top-level field up.
    pub fn decide_by<'a>(&self, field: impl Fn(&str) -> Option<&'a Value>) -> Decision {
        for (index, rule) in self.rules.iter().enumerate() {
            let matched = field(&rule.field).is_some_and(|value| rule.value.matches(rule.operator, value));
            if matched {
                return Decision { include: rule.policy == Policy::Include, rule: Some(index) };
            }
        }
        Decision { include: true, rule: None }
    }

    /// A counter of matches for these rules.
    pub fn matches(&self) -> RuleMatches {
        RuleMatches {
            ids: self.rules.iter().map(|rule| rule.id.clone()).collect(),
            counts: vec![0; self.rules.len()],
            default: 0,
        }
    }
}

/// How many documents each rule decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatches {
    ids: Vec<String>,
    counts: Vec<u64>,
    default: u64,
}

impl RuleMatches {
    /// Counts one decision of the rules this counter was made for.
    pub fn record(&mut self, decision: Decision) {
        match decision.rule.and_then(|index| self.counts.get_mut(index)) {
            Some(count) => *count += 1,
            None => self.default += 1,
        }
    }

    /// Rule id and matches, in rule order; last `DEFAULT`, the documents no rule matched.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let rules = self.ids.iter().map(String::as_str);
        rules.zip(self.counts.iter().copied()).chain([(DEFAULT_RULE, self.default)])
    }
}

impl fmt::Display for RuleMatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (id, count)) in self.counts().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{id}: {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(id: &str, order: i64, policy: &str, field: &str, operator: &str, value: &str) -> Value {
        json!({"id": id, "order": order, "policy": policy, "field": field, "rule": operator, "value": value})
    }

    fn document(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_first_matching_rule_by_order_decides() {
        let rules = BasicRules::parse(&[
            rule("DEFAULT", 0, "exclude", "_", "regex", ".*"),
            rule("second", 2, "EXCLUDE", "path", "Starts_With", "/a"),
            rule("first", 1, "include", "path", "equals", "/a/keep"),
        ])
        .unwrap();
        let mut matches = rules.matches();
        for (path, include) in [("/a/keep", true), ("/a/x", false), ("/a/y", false), ("/b", true)] {
            let decision = rules.decide(&document(json!({"path": path})));
            assert_eq!(decision.include, include, "{path}");
            matches.record(decision);
        }
        assert_eq!(matches.to_string(), "first: 1, second: 2, DEFAULT: 1");
        assert!(rules.decide(&document(json!({"other": "/a/x"}))).include, "absent field");
        assert!(rules.decide(&document(json!({"path": null}))).include, "null field");
    }

    #[test]
    fn every_operator_has_its_name() {
        for (operator, value, excluded) in [
            ("equals", "b", true),
            ("contains", "b", true),
            ("starts_with", "b", true),
            ("ends_with", "b", true),
            ("regex", "[a-c]", true),
            (">", "a", true),
            ("<", "c", true),
            ("<", "a", false),
        ] {
            let rules = BasicRules::parse(&[rule("1", 1, "exclude", "f", operator, value)]).unwrap();
            assert!(!rules.is_empty());
            assert_eq!(!rules.decide(&document(json!({"f": "b"}))).include, excluded, "{operator}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_applied_is_named() {
        let good = rule("7", 1, "exclude", "f", "equals", "x");
        for (key, wrong, part) in [
            ("order", json!("1"), "order"),
            ("policy", json!("maybe"), "\"maybe\""),
            ("rule", json!("like"), "\"like\""),
            ("rule", json!(null), "rule must be a text"),
            ("field", json!(1), "field must be a text"),
            ("value", json!(1), "value must be a text"),
        ] {
            let mut bad = good.clone();
            bad[key] = wrong;
            let error = BasicRules::parse(&[bad]).unwrap_err().to_string();
            assert!(error.contains("\"7\"") && error.contains(part), "{error}");
        }
        let pattern = BasicRules::parse(&[rule("8", 1, "include", "f", "regex", "(")]).unwrap_err();
        assert!(pattern.reason.contains("pattern"), "{pattern}");
        let nameless = BasicRules::parse(&[good, json!({"rule": "equals", "policy": "include", "order": 1})])
            .unwrap_err();
        assert_eq!(nameless.id, "#2");
    }

    #[test]
    fn no_rules_keep_everything() {
        let rules = BasicRules::parse(&[]).unwrap();
        assert!(rules.is_empty());
        assert!(rules.decide(&Map::new()).include);
        assert_eq!(rules.matches().counts().collect::<Vec<_>>(), [("DEFAULT", 0)]);
    }
}
