//! A whole configuration as users of the connector API write it, and new values for one that is stored.

use serde_json::{Map, Value};

use super::{Configuration, ConfigurationError, FieldType, RawConfiguration};

/// How a field can be shown, by Elasticsearch's connector API.
pub const DISPLAYS: [&str; 5] = ["textbox", "textarea", "numeric", "toggle", "dropdown"];
/// Names older writers of the protocol use for [`DISPLAYS`].
const OLD_DISPLAYS: [&str; 1] = ["text"];

impl RawConfiguration {
    /// Checks definitions before they are stored: each field is an object with a label, and every property it has is
    /// of its type. Values are not checked against the field's validations, which is what a service does.
    pub fn check_definitions(&self) -> Result<(), ConfigurationError> {
        for (key, field) in &self.0 {
            let wrong = |reason: String| ConfigurationError::Definition { key: key.clone(), reason };
            let Value::Object(properties) = field else {
                return Err(wrong("an object of field properties is expected".to_owned()));
            };
            let of = |name: &str| properties.get(name).filter(|value| !value.is_null());
            if !of("label").is_some_and(Value::is_string) {
                return Err(wrong("label is required and must be a text".to_owned()));
            }
            for name in ["category", "placeholder", "tooltip", "type", "display"] {
                if of(name).is_some_and(|value| !value.is_string()) {
                    return Err(wrong(format!("{name} must be a text")));
                }
            }
            let display = of("display").and_then(Value::as_str).map(str::to_lowercase);
            if let Some(display) = display
                && !DISPLAYS.contains(&display.as_str())
                && !OLD_DISPLAYS.contains(&display.as_str())
            {
                return Err(wrong(format!("there is no display {display:?}")));
            }
            if let Some(name) = of("type").and_then(Value::as_str)
                && matches!(FieldType::from_name(name), FieldType::Other(_))
            {
                return Err(wrong(format!("there is no type {name:?}")));
            }
            if of("order").is_some_and(|order| order.as_i64().is_none()) {
                return Err(wrong("order must be a whole number".to_owned()));
            }
            for name in ["options", "ui_restrictions"] {
                if of(name).is_some_and(|value| !value.is_array()) {
                    return Err(wrong(format!("{name} must be a list")));
                }
            }
            if of("default_value").is_some_and(Value::is_object) {
                return Err(wrong("default_value cannot be an object".to_owned()));
            }
            // The rest (flags, dependencies, validations) is what reading a field checks. Its values are left out: one
            // that cannot be converted yet, such as an empty number, may be stored.
            let mut definition = properties.clone();
            definition.remove("value");
            definition.remove("default_value");
            Configuration::parse(&Self(Map::from_iter([(key.clone(), Value::Object(definition))])))?;
        }
        Ok(())
    }

    /// Stores new values for fields that exist, keeping their other properties.
    ///
    /// # Errors
    /// The keys there is no field for; then nothing is stored.
    pub fn set_values(&mut self, values: &Map<String, Value>) -> Result<(), Vec<String>> {
        let unknown: Vec<String> = values.keys().filter(|key| !self.0.contains_key(*key)).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        for (key, value) in values {
            self.set_value(key, value.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(fields: Value) -> RawConfiguration {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn complete_definitions_are_accepted_with_any_value() {
        let full = configuration(json!({
            "host": {"label": "Host", "value": "x", "default_value": null, "depends_on": [{"field": "on", "value": true}],
                "display": "textbox", "options": [{"label": "a", "value": "b"}], "order": 1, "required": true,
                "sensitive": false, "tooltip": null, "type": "str", "ui_restrictions": [], "new_property": {"kept": 1},
                "validations": [{"type": "less_than", "constraint": 5}]},
            "port": {"label": "Port", "type": "int", "value": "", "default_value": 80},
            "old": {"label": "Old", "display": "text"},
        }));
        full.check_definitions().unwrap();
    }

    #[test]
    fn wrong_properties_are_refused_by_name() {
        for (field, word) in [
            (json!("plain"), "object"),
            (json!({}), "label"),
            (json!({"label": 1}), "label"),
            (json!({"label": "L", "display": "hologram"}), "hologram"),
            (json!({"label": "L", "type": "colour"}), "colour"),
            (json!({"label": "L", "order": "first"}), "order"),
            (json!({"label": "L", "required": "yes"}), "required"),
            (json!({"label": "L", "options": {}}), "options"),
            (json!({"label": "L", "depends_on": [{}]}), "depends_on"),
            (json!({"label": "L", "default_value": {}}), "default_value"),
            (json!({"label": "L", "validations": [{"type": "odd", "constraint": 0}]}), "odd"),
            (json!({"label": "L", "validations": [{"type": "less_than", "constraint": "x"}]}), "less_than"),
        ] {
            let error = configuration(json!({"f": field})).check_definitions().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains('f'), "{error}");
        }
    }

    #[test]
    fn values_go_into_fields_that_exist_or_nowhere() {
        let mut stored =
            configuration(json!({"a": {"label": "A", "value": 1, "mine": true}, "b": {"value": 2}}));
        let values = |value: Value| value.as_object().unwrap().clone();
        let before = stored.clone();
        assert_eq!(
            stored.set_values(&values(json!({"a": 5, "x": 1, "y": 2}))),
            Err(vec!["x".into(), "y".into()])
        );
        assert_eq!(stored, before);
        stored.set_values(&values(json!({"a": 5}))).unwrap();
        assert_eq!(
            stored,
            configuration(json!({"a": {"label": "A", "value": 5, "mine": true}, "b": {"value": 2}}))
        );
    }
}
