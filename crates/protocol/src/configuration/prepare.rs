//! Upkeep of a stored configuration: what a source's default configuration adds to it.

use serde_json::{Map, Value, json};

use super::RawConfiguration;

/// The properties every rich configurable field has.
pub const FIELD_PROPERTIES: [&str; 13] = [
    "default_value",
    "depends_on",
    "display",
    "label",
    "options",
    "order",
    "required",
    "sensitive",
    "tooltip",
    "type",
    "ui_restrictions",
    "validations",
    "value",
];

fn property_default(name: &str) -> Value {
    match name {
        "depends_on" | "options" | "ui_restrictions" | "validations" => json!([]),
        "display" => json!("text"),
        "label" | "value" => json!(""),
        "order" => json!(1),
        "required" => json!(true),
        "sensitive" => json!(false),
        "type" => json!("str"),
        // default_value, tooltip
        _ => Value::Null,
    }
}

/// The full form of a source's default configuration: each field gets the properties the source left out. An empty
/// label becomes the key in upper case.
pub fn simple_configuration(defaults: &Map<String, Value>) -> RawConfiguration {
    let fields = defaults.iter().map(|(key, given)| {
        let mut properties = Map::new();
        for name in FIELD_PROPERTIES {
            let value = given.get(name).cloned();
            properties.insert(name.to_owned(), value.unwrap_or_else(|| property_default(name)));
        }
        // Properties of a newer interface pass through.
        for (name, value) in given.as_object().into_iter().flatten() {
            properties.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if properties["label"].as_str().is_none_or(str::is_empty) {
            properties["label"] = Value::String(key.to_uppercase());
        }
        (key.clone(), Value::Object(properties))
    });
    RawConfiguration(fields.collect())
}

/// What has to be written so that a stored configuration suits its source.
#[derive(Debug, Clone, PartialEq)]
pub enum Preparation {
    /// Nothing: every field and every property is there.
    Complete,
    /// Nothing was stored yet: this whole configuration, and the connector now needs to be configured by someone.
    Initial(RawConfiguration),
    /// These fields and properties, to be merged into what is stored. Stored values are not among them.
    Additions(RawConfiguration),
}

/// Compares a stored configuration with the source's full default configuration (see [`simple_configuration`]).
///
/// Missing fields are added; when some were missing, the definition of the others is brought up to date as well (a
/// new version of the source came with it). Fields that lack properties get them. A stored `value` is never changed.
/// Fields the source does not know are left alone.
pub fn prepare(stored: &RawConfiguration, defaults: &RawConfiguration) -> Preparation {
    if stored.is_empty() && !defaults.is_empty() {
        return Preparation::Initial(defaults.clone());
    }
    let source_changed = !stored.missing_fields(defaults).is_empty();
    let mut additions = Map::new();
    for (key, default) in &defaults.0 {
        let addition = match stored.0.get(key) {
            None => default.clone(),
            Some(Value::Object(properties)) => {
                let mut changed = Map::new();
                for (name, wanted) in default.as_object().into_iter().flatten() {
                    let outdated = match properties.get(name) {
                        None => true,
                        Some(found) => source_changed && name != "value" && found != wanted,
                    };
                    if outdated {
                        changed.insert(name.clone(), wanted.clone());
                    }
                }
                if changed.is_empty() {
                    continue;
                }
                Value::Object(changed)
            }
            // A bare value from before fields had properties: give it its properties and keep it.
            Some(bare) => {
                let mut field = default.clone();
                field["value"] = bare.clone();
                field
            }
        };
        additions.insert(key.clone(), addition);
    }
    if additions.is_empty() {
        Preparation::Complete
    } else {
        Preparation::Additions(RawConfiguration(additions))
    }
}
