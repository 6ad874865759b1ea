//! Validation of sync rules.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::{BasicRules, Operator, Policy};
use super::{DEFAULT_RULE, Filter};
use crate::Extra;
use crate::lenient::null_as_default;

/// The id under which errors of advanced rules are reported.
pub const ADVANCED_SNIPPET: &str = "advanced_snippet";

/// What a validation found, or that one is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationState {
    /// The rules can be used.
    #[default]
    Valid,
    /// They cannot.
    Invalid,
    /// Somebody changed them; a service has to validate them.
    Edited,
}

impl ValidationState {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Edited => "edited",
        }
    }
}

/// What is wrong with one rule (or several together).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterError {
    /// Ids of the rules; empty for a rule without id.
    #[serde(default, deserialize_with = "texts")]
    pub ids: Vec<String>,
    /// Messages for people.
    #[serde(default, deserialize_with = "texts")]
    pub messages: Vec<String>,
}

/// Other writers store null for the id of a rule without id, and a bare text for a list of one.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => Ok(items
            .into_iter()
            .filter_map(|item| match item {
                Value::String(text) => Some(text),
                Value::Null => None,
                other => Some(other.to_string()),
            })
            .collect()),
        _ => Err(serde::de::Error::custom("a list of texts is expected")),
    }
}

/// The `validation` object of a filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidationResult {
    /// What the validation found.
    #[serde(default, deserialize_with = "null_as_default")]
    pub state: ValidationState,
    /// One entry for each failing rule.
    #[serde(default, deserialize_with = "null_as_default")]
    pub errors: Vec<FilterError>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ValidationResult {
    /// Nothing is wrong.
    pub fn valid() -> Self {
        Self::default()
    }

    /// Adds an error, which makes the result invalid.
    pub fn add(&mut self, id: Option<&str>, message: impl Into<String>) {
        self.state = ValidationState::Invalid;
        self.errors.push(FilterError {
            ids: id.map(str::to_owned).into_iter().collect(),
            messages: vec![message.into()],
        });
    }
}

/// Validates a filter. Basic rules: each has the right shape, no pattern matches everything, patterns compile, and no
/// two rules test the same thing. `advanced` validates the source's advanced rules, if there are any, and returns a
/// message for each error.
///
/// A rule of the wrong shape is reported once, and left out of the checks that need the shape.
pub fn validate(filter: &Filter, advanced: impl FnOnce(&Value) -> Vec<String>) -> ValidationResult {
    let mut result = ValidationResult::valid();
    let mut well_formed = Vec::with_capacity(filter.rules.len());
    for rule in &filter.rules {
        match check_shape(rule) {
            Ok(fields) => well_formed.push((rule, fields)),
            Err(message) => result.add(rule.get("id").and_then(Value::as_str), message),
        }
    }
    for (rule, fields) in &well_formed {
        if let Some(message) = check_pattern(rule, fields) {
            result.add(Some(fields.id), message);
        }
    }
    if let Some((one, other)) = first_duplicate(&well_formed) {
        for (rule, same) in [(other, one), (one, other)] {
            let message = format!(
                "{} and {} test the same field with the same rule and value.",
                rule.shown(),
                same.shown()
            );
            result.add(Some(rule.id), message);
        }
    }
    if let Some(rules) = filter.advanced_rules() {
        for message in advanced(rules) {
            result.add(Some(ADVANCED_SNIPPET), message);
        }
    }
    result
}

/// The checked parts of a well-formed rule.
struct Fields<'a> {
    id: &'a str,
    order: f64,
    field: &'a str,
    rule: &'a str,
    value: &'a str,
}

impl Fields<'_> {
    /// How messages name the rule: its place as people count and a short form of its id.
    fn shown(&self) -> String {
        const SHOWN: usize = 12;
        let place = self.order + 1.0;
        match self.id.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("Rule {place} (id '{}...')", &self.id[..end]),
            None => format!("Rule {place} (id '{}')", self.id),
        }
    }
}

const REQUIRED: [&str; 6] = ["id", "policy", "field", "rule", "value", "order"];

/// The first thing wrong with a rule's shape, in the words of the `fastjsonschema` library, which user interfaces and
/// users know from the other implementation.
fn check_shape(rule: &Value) -> Result<Fields<'_>, String> {
    let Value::Object(rule) = rule else {
        return Err("data must be object".to_owned());
    };
    let mut missing: Vec<&str> = REQUIRED.into_iter().filter(|key| !rule.contains_key(*key)).collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        return Err(format!("data must contain ['{}'] properties", missing.join("', '")));
    }
    let id = text(rule, "id")?;
    named(rule, "policy", |name| Policy::from_name(name).is_some())?;
    let field = text(rule, "field")?;
    let operator = named(rule, "rule", |name| Operator::from_name(name).is_some())?;
    let value = text(rule, "value")?;
    let order = rule["order"].as_f64();
    Ok(Fields { id, order: order.ok_or("data.order must be number")?, field, rule: operator, value })
}

fn text<'a>(rule: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    match rule[key].as_str() {
        None => Err(format!("data.{key} must be string")),
        Some("") => Err(format!("data.{key} must be longer than or equal to 1 characters")),
        Some(text) => Ok(text),
    }
}

fn named<'a>(
    rule: &'a Map<String, Value>,
    key: &str,
    known: impl Fn(&str) -> bool,
) -> Result<&'a str, String> {
    let name = rule[key].as_str().filter(|name| known(name));
    name.ok_or_else(|| format!("data.{key} must be {key}"))
}

fn check_pattern(rule: &Value, fields: &Fields<'_>) -> Option<String> {
    if fields.id == DEFAULT_RULE {
        return None;
    }
    let is_regex = Operator::from_name(fields.rule) == Some(Operator::Regex);
    if is_regex && [".*", "(.*)"].contains(&fields.value) {
        return Some(format!(
            "{} has a pattern that matches everything ('.*' or '(.*)'), which is not allowed.",
            fields.shown()
        ));
    }
    BasicRules::parse(std::slice::from_ref(rule))
        .err()
        .map(|error| format!("{}: {}", fields.shown(), error.reason))
}

/// The first two rules with the same field, operator and value, whatever their policies.
fn first_duplicate<'a, 'b>(rules: &'a [(&Value, Fields<'b>)]) -> Option<(&'a Fields<'b>, &'a Fields<'b>)> {
    let mut seen = std::collections::HashMap::new();
    for (_, fields) in rules {
        let key = (fields.field, fields.rule.to_lowercase(), fields.value);
        if let Some(earlier) = seen.insert(key, fields) {
            return Some((earlier, fields));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"id": "1", "order": 1, "policy": "include", "field": "path", "rule": "equals", "value": "x"})
    }

    fn filter(rules: &[Value]) -> Filter {
        serde_json::from_value(json!({"rules": rules})).unwrap()
    }

    fn basic(rules: &[Value]) -> ValidationResult {
        validate(&filter(rules), |_| panic!("there are no advanced rules"))
    }

    #[test]
    fn good_rules_are_valid() {
        let mut other = good();
        other["id"] = json!("2");
        other["value"] = json!("y");
        assert_eq!(basic(&[good(), other]), ValidationResult::valid());
        assert_eq!(basic(&[]), ValidationResult::valid());
    }

    #[test]
    fn shapes_are_refused_in_the_words_of_fastjsonschema() {
        let cases = [
            ("id", json!(1), "data.id must be string"),
            ("id", json!(""), "data.id must be longer than or equal to 1 characters"),
            ("policy", json!("keep"), "data.policy must be policy"),
            ("policy", json!(1), "data.policy must be policy"),
            ("field", json!(null), "data.field must be string"),
            ("rule", json!("like"), "data.rule must be rule"),
            ("value", json!(""), "data.value must be longer than or equal to 1 characters"),
            ("order", json!("1"), "data.order must be number"),
            ("order", json!(true), "data.order must be number"),
        ];
        for (key, wrong, message) in cases {
            let mut bad = good();
            bad[key] = wrong;
            let result = basic(&[bad]);
            assert_eq!(result.state, ValidationState::Invalid);
            assert_eq!(result.errors.len(), 1, "{result:?}");
            assert_eq!(result.errors[0].messages, [message]);
        }
        assert_eq!(basic(&[json!(5)]).errors[0].messages, ["data must be object"]);
    }

    #[test]
    fn missing_properties_are_listed_and_a_rule_without_id_has_no_ids() {
        let result = basic(&[json!({"policy": "include", "field": "a", "rule": "equals", "value": "b"})]);
        assert_eq!(
            serde_json::to_value(result).unwrap(),
            json!({"state": "invalid", "errors": [{"ids": [], "messages": ["data must contain ['id', 'order'] properties"]}]})
        );
    }

    #[test]
    fn patterns_that_match_everything_or_do_not_compile_are_refused() {
        for (pattern, part) in [(".*", "everything"), ("(.*)", "everything"), ("(", "pattern")] {
            let mut bad = good();
            bad["rule"] = json!("Regex");
            bad["value"] = json!(pattern);
            let result = basic(std::slice::from_ref(&bad));
            assert_eq!(result.errors[0].ids, ["1"]);
            assert!(result.errors[0].messages[0].contains(part), "{result:?}");
            bad["id"] = json!("DEFAULT");
            assert_eq!(basic(&[bad]), ValidationResult::valid());
        }
        let mut fine = good();
        fine["rule"] = json!("regex");
        fine["value"] = json!(".*x");
        assert_eq!(basic(&[fine]), ValidationResult::valid());
    }

    #[test]
    fn two_rules_that_test_the_same_are_both_named_whatever_their_policy() {
        let mut same = good();
        same["id"] = json!("an-id-longer-than-twelve");
        same["policy"] = json!("exclude");
        same["order"] = json!(2);
        same["rule"] = json!("EQUALS");
        let mut third = same.clone();
        third["id"] = json!("3");
        let result = basic(&[good(), same, third]);
        assert_eq!(result.errors.len(), 2, "the first pair only");
        assert_eq!(result.errors[0].ids, ["an-id-longer-than-twelve"]);
        assert_eq!(result.errors[1].ids, ["1"]);
        assert!(
            result.errors[1].messages[0].starts_with("Rule 2 (id '1') and Rule 3 (id 'an-id-longer...')"),
            "{result:?}"
        );
    }

    #[test]
    fn a_malformed_rule_is_reported_once_and_does_not_hide_the_others() {
        let mut same = good();
        same["id"] = json!("2");
        let result = basic(&[json!({"id": "bad"}), good(), same]);
        let ids: Vec<_> = result.errors.iter().map(|error| error.ids.join(",")).collect();
        assert_eq!(ids, ["bad", "2", "1"]);
    }

    #[test]
    fn advanced_rules_are_the_sources_to_judge() {
        let filter: Filter =
            serde_json::from_value(json!({"advanced_snippet": {"value": {"a": 1}}})).unwrap();
        assert_eq!(validate(&filter, |_| Vec::new()), ValidationResult::valid());
        let result = validate(&filter, |rules| vec![format!("no: {rules}")]);
        assert_eq!(result.errors[0].ids, ["advanced_snippet"]);
        assert_eq!(result.errors[0].messages, ["no: {\"a\":1}"]);
    }

    #[test]
    fn results_of_other_writers_are_read() {
        let read: ValidationResult = serde_json::from_value(
            json!({"state": "invalid", "errors": [{"ids": [null, "a", 7], "messages": "x"}, {"ids": null}], "newer": 1}),
        )
        .unwrap();
        assert_eq!(read.errors[0].ids, ["a", "7"]);
        assert_eq!(read.errors[0].messages, ["x"]);
        assert_eq!(read.errors[1], FilterError::default());
        assert_eq!(serde_json::to_value(&read).unwrap()["newer"], 1);
        let nulls: ValidationResult = serde_json::from_value(json!({"state": null, "errors": null})).unwrap();
        assert_eq!(nulls, ValidationResult::valid());
        assert!(serde_json::from_value::<FilterError>(json!({"ids": 3})).is_err());
        for state in [ValidationState::Valid, ValidationState::Invalid, ValidationState::Edited] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
