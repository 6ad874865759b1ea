//! What users of the connector API do with sync rules: edit the draft, store what its validation said, activate it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{DEFAULT_DOMAIN, DEFAULT_RULE, DomainFiltering, Filtering, ValidationResult, ValidationState};
use crate::timestamp;

/// A draft that is not `valid` cannot become active: its service has to validate it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the draft is {}, not valid", .0.name())]
pub struct NotValidated(pub ValidationState);

impl Filtering {
    /// The entry the connector API works on: the default domain's, or the first of a document that has none; made when
    /// there is no entry at all.
    fn entry(&mut self, now: Timestamp) -> Option<&mut DomainFiltering> {
        if self.0.is_empty() {
            *self = Self::initial(now);
        }
        let place = self.0.iter().position(|entry| entry.domain == DEFAULT_DOMAIN).unwrap_or(0);
        self.0.get_mut(place)
    }

    /// These rules with a new draft, which is `edited` until a service validates it. What is `None` stays as it is.
    /// Rules are put in order, the default rule last, and rules and snippet without dates get `now`.
    #[must_use]
    pub fn with_draft_edited(
        mut self,
        rules: Option<Vec<Value>>,
        advanced_snippet: Option<Map<String, Value>>,
        now: Timestamp,
    ) -> Self {
        if let Some(entry) = self.entry(now) {
            if let Some(rules) = rules {
                entry.draft.rules = ordered(rules, now);
            }
            if let Some(mut snippet) = advanced_snippet {
                date(&mut snippet, now);
                entry.draft.advanced_snippet = snippet;
            }
            entry.draft.validation =
                Some(ValidationResult { state: ValidationState::Edited, ..ValidationResult::default() });
        }
        self
    }

    /// These rules with what a validation of the draft said; the active rules stay.
    #[must_use]
    pub fn with_draft_validation(mut self, result: ValidationResult, now: Timestamp) -> Self {
        if let Some(entry) = self.entry(now) {
            entry.draft.validation = Some(result);
        }
        self
    }

    /// These rules with the draft active.
    pub fn activated(mut self, now: Timestamp) -> Result<Self, NotValidated> {
        if let Some(entry) = self.entry(now) {
            match entry.draft.state() {
                ValidationState::Valid => entry.active = entry.draft.clone(),
                state => return Err(NotValidated(state)),
            }
        }
        Ok(self)
    }
}

/// Sorted by `order`, the default rule last with the number after the last one; it is made when it is missing.
fn ordered(rules: Vec<Value>, now: Timestamp) -> Vec<Value> {
    let (defaults, mut rules): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| rule["id"] == DEFAULT_RULE);
    let order = |rule: &Value| rule["order"].as_f64().unwrap_or(0.0);
    rules.sort_by(|a, b| order(a).total_cmp(&order(b)));
    let last = rules.last().and_then(|rule| rule["order"].as_i64());
    let mut default = json!({
        "field": "_", "id": DEFAULT_RULE, "order": last.map_or(0, |last| last.saturating_add(1)),
        "policy": "include", "rule": "regex", "value": ".*",
    });
    if let Some(made) = defaults.first().and_then(|rule| rule.get("created_at")) {
        default["created_at"] = made.clone();
    }
    rules.push(default);
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        date(rule, now);
    }
    rules
}

/// Sets the dates an object lacks.
fn date(object: &mut Map<String, Value>, now: Timestamp) {
    for key in ["created_at", "updated_at"] {
        let entry = object.entry(key).or_insert(Value::Null);
        if entry.is_null() {
            *entry = timestamp::format(now).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn rule(id: &str, order: i64) -> Value {
        json!({"id": id, "order": order, "field": "title", "policy": "exclude", "rule": "equals", "value": id})
    }

    #[test]
    fn an_edited_draft_has_its_rules_in_order_and_the_default_last() {
        let edited = Filtering::initial(NOW).with_draft_edited(
            Some(vec![rule("b", 7), rule("DEFAULT", 0), rule("a", 2)]),
            None,
            NOW,
        );
        let draft = &edited.0[0].draft;
        let ids: Vec<&str> = draft.rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
        assert_eq!(ids, ["a", "b", "DEFAULT"]);
        assert_eq!(draft.rules[2]["order"], 8);
        assert_eq!(draft.rules[2]["policy"], "include", "what DEFAULT means is fixed");
        assert_eq!(draft.rules[0]["created_at"], "1970-01-01T00:00:00+00:00");
        assert_eq!(draft.state(), ValidationState::Edited);
        assert_eq!(edited.0[0].active.state(), ValidationState::Valid, "the active rules stay");
        assert_eq!(edited.0[0].active.rules.len(), 1);
    }

    #[test]
    fn what_is_not_edited_stays() {
        let snippet = json!({"value": {"q": 1}}).as_object().cloned();
        let edited = Filtering::initial(NOW).with_draft_edited(None, snippet, NOW);
        assert_eq!(edited.0[0].draft.rules, Filtering::initial(NOW).0[0].draft.rules);
        assert_eq!(edited.0[0].draft.advanced_snippet["value"], json!({"q": 1}));
        assert!(edited.0[0].draft.advanced_snippet.contains_key("updated_at"));
        let again = edited.with_draft_edited(Some(Vec::new()), None, NOW);
        assert_eq!(again.0[0].draft.advanced_snippet["value"], json!({"q": 1}));
        assert_eq!(again.0[0].draft.rules.len(), 1, "no rules are the default rule");
    }

    #[test]
    fn only_a_valid_draft_becomes_active() {
        let edited = Filtering::initial(NOW).with_draft_edited(Some(vec![rule("a", 0)]), None, NOW);
        assert_eq!(edited.clone().activated(NOW), Err(NotValidated(ValidationState::Edited)));
        let mut wrong = ValidationResult::valid();
        wrong.add(Some("a"), "no");
        let invalid = edited.clone().with_draft_validation(wrong, NOW);
        assert_eq!(invalid.activated(NOW), Err(NotValidated(ValidationState::Invalid)));
        let valid = edited.with_draft_validation(ValidationResult::valid(), NOW);
        assert_eq!(valid.0[0].active.rules.len(), 1, "validation alone activates nothing");
        let active = valid.activated(NOW).unwrap();
        assert_eq!(active.0[0].active, active.0[0].draft);
        assert_eq!(active.0[0].active.rules.len(), 2);
    }

    #[test]
    fn a_document_without_rules_gets_an_entry_and_other_domains_are_left_alone() {
        let made = Filtering::default().with_draft_edited(Some(vec![rule("a", 0)]), None, NOW);
        assert_eq!((made.0.len(), made.0[0].domain.as_str()), (1, DEFAULT_DOMAIN));
        let two: Filtering =
            serde_json::from_value(json!([{"domain": "OTHER"}, {"domain": "DEFAULT"}])).unwrap();
        let edited = two.clone().with_draft_edited(Some(vec![rule("a", 0)]), None, NOW);
        assert_eq!(edited.0[0], two.0[0]);
        assert_eq!(edited.0[1].draft.rules.len(), 2);
    }
}
