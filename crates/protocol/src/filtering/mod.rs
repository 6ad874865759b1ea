//! Sync rules: which documents a sync keeps.
//!
//! A connector has a [`Filtering`]: for each domain an *active* [`Filter`], which jobs use, and a *draft*, which people
//! edit. A draft that is `edited` is validated by the service ([`validate`]) and becomes active when it is valid. A job
//! carries the active filter of its connector. [`BasicRules`] decides document by document.

mod edit;
mod rules;
mod validation;
mod value;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

pub use edit::NotValidated;
pub use rules::{BasicRules, Decision, InvalidRule, Operator, Policy, RuleMatches};
pub use validation::{ADVANCED_SNIPPET, FilterError, ValidationResult, ValidationState, validate};

use crate::lenient::null_as_default;
use crate::{Extra, timestamp};

/// The domain of all connectors so far.
pub const DEFAULT_DOMAIN: &str = "DEFAULT";
/// Id of the rule that lets everything through; user interfaces always show it, last.
pub const DEFAULT_RULE: &str = "DEFAULT";

/// One set of rules, active or draft, or a job's copy of the active one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Basic rules as stored: a wrong one must survive to be shown with its error.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rules: Vec<Value>,
    /// Advanced rules: `value` (its shape is the source's), `created_at`, `updated_at`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub advanced_snippet: Map<String, Value>,
    /// What the last validation said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationResult>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Filter {
    /// State of the last validation; a filter that has none counts as valid.
    pub fn state(&self) -> ValidationState {
        self.validation.as_ref().map_or(ValidationState::Valid, |result| result.state)
    }

    /// Number of basic rules besides the default one.
    pub fn own_rules(&self) -> usize {
        self.rules.iter().filter(|rule| rule.get("id").and_then(Value::as_str) != Some(DEFAULT_RULE)).count()
    }

    /// The advanced rules, if there are any: null, `{}`, `[]` and "" are none.
    pub fn advanced_rules(&self) -> Option<&Value> {
        self.advanced_snippet.get("value").filter(|value| match value {
            Value::Null => false,
            Value::Object(entries) => !entries.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        })
    }

    /// The filter of a connector nobody has given rules to: the default rule alone.
    fn initial(now: Timestamp) -> Self {
        let now = timestamp::format(now);
        let snippet = json!({"created_at": now, "updated_at": now, "value": {}});
        Self {
            rules: vec![json!({
                "created_at": now, "field": "_", "id": DEFAULT_RULE, "order": 0, "policy": "include",
                "rule": "regex", "updated_at": now, "value": ".*",
            })],
            advanced_snippet: snippet.as_object().cloned().unwrap_or_default(),
            validation: Some(ValidationResult::valid()),
            extra: Extra::default(),
        }
    }
}

/// The rules of one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainFiltering {
    /// Which data the rules are for.
    #[serde(default = "default_domain", deserialize_with = "domain_or_default")]
    pub domain: String,
    /// The rules jobs use.
    #[serde(default, deserialize_with = "null_as_default")]
    pub active: Filter,
    /// The rules people edit.
    #[serde(default, deserialize_with = "null_as_default")]
    pub draft: Filter,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub extra: Extra,
}

fn default_domain() -> String {
    DEFAULT_DOMAIN.to_owned()
}

fn domain_or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_domain))
}

/// A connector's sync rules, one entry for each domain. Read from a list, or from the single object of older writers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Filtering(pub Vec<DomainFiltering>);

impl<'de> Deserialize<'de> for Filtering {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |value| serde_json::from_value(value).map_err(serde::de::Error::custom);
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::Object(entries) if entries.is_empty() => Ok(Self::default()),
            object @ Value::Object(_) => Ok(Self(vec![read(object)?])),
            Value::Array(items) => items.into_iter().map(read).collect::<Result<_, _>>().map(Self),
            _ => Err(serde::de::Error::custom("filtering is a list of domains")),
        }
    }
}

impl Filtering {
    /// The default domain with the default rule, active and draft.
    pub fn initial(now: Timestamp) -> Self {
        Self(vec![DomainFiltering {
            domain: default_domain(),
            active: Filter::initial(now),
            draft: Filter::initial(now),
            extra: Extra::default(),
        }])
    }

    fn default_domain(&self) -> Option<&DomainFiltering> {
        self.0.iter().find(|entry| entry.domain == DEFAULT_DOMAIN)
    }

    /// The rules jobs of the default domain use.
    pub fn active(&self) -> Option<&Filter> {
        self.default_domain().map(|entry| &entry.active)
    }

    /// The rules people edit, of the default domain.
    pub fn draft(&self) -> Option<&Filter> {
        self.default_domain().map(|entry| &entry.draft)
    }

    /// These rules with another draft in the default domain, which is made where it is missing.
    #[must_use]
    pub fn with_draft(mut self, draft: Filter) -> Self {
        match self.0.iter_mut().find(|entry| entry.domain == DEFAULT_DOMAIN) {
            Some(entry) => entry.draft = draft,
            None => self.0.push(DomainFiltering {
                domain: default_domain(),
                active: Filter::default(),
                draft,
                extra: Extra::default(),
            }),
        }
        self
    }

    /// The draft to validate: the default domain's, if somebody edited it since it was last validated.
    pub fn edited_draft(&self) -> Option<&Filter> {
        self.default_domain()
            .map(|entry| &entry.draft)
            .filter(|draft| draft.state() == ValidationState::Edited)
    }

    /// These rules with the result of validating the default domain's draft: written into the draft, which becomes the
    /// active filter too when it is valid.
    #[must_use]
    pub fn with_draft_validated(mut self, result: &ValidationResult) -> Self {
        for entry in &mut self.0 {
            if entry.domain == DEFAULT_DOMAIN {
                entry.draft.validation = Some(result.clone());
                if result.state == ValidationState::Valid {
                    entry.active = entry.draft.clone();
                }
            }
        }
        self
    }
}

/// Reads a job's filter: an object, or the list of older writers (the first entry, or its active filter, counts).
pub(crate) fn deserialize_snapshot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    if let Value::Array(items) = value {
        value = items.into_iter().next().unwrap_or(Value::Null);
    }
    if let Some(active) = value.get_mut("active").filter(|active| active.is_object()) {
        value = active.take();
    }
    if value.is_null() {
        return Ok(Filter::default());
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtering(value: Value) -> Filtering {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn lists_objects_and_nulls_are_read() {
        assert_eq!(filtering(json!(null)), Filtering::default());
        assert_eq!(filtering(json!([])), Filtering::default());
        assert_eq!(filtering(json!({})), Filtering::default());
        let object = filtering(json!({"active": {"rules": [1]}, "draft": null, "domain": null}));
        assert_eq!(object.active().unwrap().rules, [json!(1)]);
        assert_eq!(
            object,
            filtering(json!([{"domain": "DEFAULT", "active": {"rules": [1], "advanced_snippet": null}}]))
        );
        assert!(serde_json::from_value::<Filtering>(json!("x")).is_err());
        assert!(serde_json::from_value::<Filtering>(json!([{"active": 3}])).is_err());
        assert_eq!(filtering(json!([{"domain": "OTHER"}])).active(), None);
    }

    #[test]
    fn empty_advanced_rules_are_none() {
        for none in [json!(null), json!({}), json!([]), json!("")] {
            let filter: Filter =
                serde_json::from_value(json!({"advanced_snippet": {"value": none}})).unwrap();
            assert_eq!(filter.advanced_rules(), None);
        }
        assert_eq!(Filter::default().advanced_rules(), None);
        for some in [json!({"a": 1}), json!([1]), json!("x"), json!(false)] {
            let filter: Filter =
                serde_json::from_value(json!({"advanced_snippet": {"value": some.clone()}})).unwrap();
            assert_eq!(filter.advanced_rules(), Some(&some));
        }
    }

    #[test]
    fn only_an_edited_draft_is_to_be_validated() {
        let with = |state: Value| {
            filtering(json!([{"domain": "DEFAULT", "draft": {"validation": {"state": state, "errors": []}}}]))
        };
        assert!(with(json!("edited")).edited_draft().is_some());
        assert!(with(json!("valid")).edited_draft().is_none());
        assert!(with(json!("invalid")).edited_draft().is_none());
        assert!(filtering(json!([{"domain": "DEFAULT"}])).edited_draft().is_none());
        assert!(filtering(json!([])).edited_draft().is_none());
    }

    #[test]
    fn a_valid_draft_becomes_active_and_an_invalid_one_does_not() {
        let stored = filtering(json!([
            {"domain": "OTHER", "draft": {"rules": [5]}, "active": {"rules": []}},
            {"domain": "DEFAULT", "draft": {"rules": [1], "validation": {"state": "edited", "errors": []}}, "active": {"rules": [2]}},
        ]));
        let valid = stored.clone().with_draft_validated(&ValidationResult::valid());
        assert_eq!(valid.active().unwrap().rules, [json!(1)]);
        assert_eq!(valid.active().unwrap().state(), ValidationState::Valid);
        assert_eq!(valid.0[0], stored.0[0]);
        assert!(valid.edited_draft().is_none());

        let mut result = ValidationResult::valid();
        result.add(Some("1"), "wrong");
        let invalid = stored.with_draft_validated(&result);
        assert_eq!(invalid.active().unwrap().rules, [json!(2)]);
        assert_eq!(invalid.0[1].draft.state(), ValidationState::Invalid);
    }

    #[test]
    fn a_draft_is_replaced_or_made_and_the_active_rules_stay() {
        let draft: Filter = serde_json::from_value(json!({"rules": [7]})).unwrap();
        let stored = filtering(json!([{"domain": "OTHER"}, {"domain": "DEFAULT", "active": {"rules": [2]}}]));
        let changed = stored.with_draft(draft.clone());
        assert_eq!(changed.draft(), Some(&draft));
        assert_eq!(changed.active().unwrap().rules, [json!(2)]);
        assert_eq!(changed.0.len(), 2);
        let made = Filtering::default().with_draft(draft.clone());
        assert_eq!(made.draft(), Some(&draft));
        assert!(made.active().unwrap().rules.is_empty());
    }

    #[test]
    fn the_initial_rules_are_valid_and_let_everything_through() {
        let initial = Filtering::initial(Timestamp::UNIX_EPOCH);
        let active = initial.active().unwrap();
        assert_eq!(validate(active, |_| Vec::new()), ValidationResult::valid());
        let rules = BasicRules::parse(&active.rules).unwrap();
        assert!(rules.decide(&Map::new()).include);
        assert_eq!((active.rules.len(), active.own_rules()), (1, 0));
    }
}
