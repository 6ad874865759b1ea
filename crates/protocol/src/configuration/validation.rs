//! Checks of the effective values of a configuration.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

use super::field::is_empty;
use super::{Configuration, ConfigurationError, Field};

/// A rule for a field's effective value.
#[derive(Debug, Clone, PartialEq)]
pub enum Validation {
    /// The value is below the number.
    LessThan(f64),
    /// The value is above the number.
    GreaterThan(f64),
    /// The value is a list, and each item a text (`str`).
    ListOfTexts,
    /// The value is a list, and each item a whole number (`int`).
    ListOfIntegers,
    /// The value, or each item of it, is one of these.
    IncludedIn(Vec<Value>),
    /// The whole value matches the pattern.
    Regex(String),
}

impl Validation {
    pub(super) fn parse(key: &str, entry: &Value) -> Result<Self, ConfigurationError> {
        let error = |reason: String| ConfigurationError::Definition { key: key.to_owned(), reason };
        let name = entry.get("type").and_then(Value::as_str).unwrap_or_default();
        let constraint = entry.get("constraint").unwrap_or(&Value::Null);
        let parsed = match (name, constraint) {
            ("less_than", Value::Number(limit)) => limit.as_f64().map(Self::LessThan),
            ("greater_than", Value::Number(limit)) => limit.as_f64().map(Self::GreaterThan),
            ("list_type", Value::String(item)) if item == "str" => Some(Self::ListOfTexts),
            ("list_type", Value::String(item)) if item == "int" => Some(Self::ListOfIntegers),
            ("included_in", Value::Array(allowed)) => Some(Self::IncludedIn(allowed.clone())),
            ("regex", Value::String(pattern)) => Some(Self::Regex(pattern.clone())),
            ("less_than" | "greater_than" | "list_type" | "included_in" | "regex", _) => None,
            _ => return Err(error(format!("there is no validation of type {name:?}"))),
        };
        parsed.ok_or_else(|| error(format!("validation {name} cannot have this constraint")))
    }

    /// Adds a message for each way in which the field's effective value breaks this rule.
    fn check(&self, field: &Field, errors: &mut Vec<String>) {
        let value = field.effective();
        let label = &field.label;
        let shown = |value: &Value| shown(field, value);
        match self {
            Self::LessThan(limit) => match value.as_f64() {
                Some(number) if number < *limit => {}
                _ => errors.push(format!("'{label}' is {}, it should be less than {limit}", shown(value))),
            },
            Self::GreaterThan(limit) => match value.as_f64() {
                Some(number) if number > *limit => {}
                _ => errors.push(format!("'{label}' is {}, it should be greater than {limit}", shown(value))),
            },
            Self::ListOfTexts | Self::ListOfIntegers => {
                let texts = *self == Self::ListOfTexts;
                let expected = if texts { "str" } else { "int" };
                let Value::Array(items) = value else {
                    errors.push(format!("'{label}' is {}, it should be a list", shown(value)));
                    return;
                };
                for item in items {
                    let fits = if texts { item.is_string() } else { item.is_i64() || item.is_u64() };
                    if !fits {
                        errors.push(format!(
                            "'{label}' has the item {}, which should be of type {expected}",
                            shown(item)
                        ));
                    }
                }
            }
            Self::IncludedIn(allowed) => {
                let one = std::slice::from_ref(value);
                let items = value.as_array().map_or(one, Vec::as_slice);
                for item in items {
                    if !allowed.iter().any(|candidate| equal(candidate, item)) {
                        let allowed: Vec<String> = allowed.iter().map(plain).collect();
                        errors.push(format!(
                            "'{label}' has the value {}, which should be one of {}",
                            shown(item),
                            allowed.join(", ")
                        ));
                    }
                }
            }
            Self::Regex(pattern) => {
                let Value::String(text) = value else {
                    errors.push(format!(
                        "'{label}' is {}, it should be a text to match {pattern}",
                        shown(value)
                    ));
                    return;
                };
                match Regex::new(&format!(r"\A(?:{pattern})\z")) {
                    Ok(regex) if regex.is_match(text) => {}
                    Ok(_) => errors.push(format!("'{label}' is {}, it should match {pattern}", shown(value))),
                    Err(_) => errors.push(format!(
                        "'{label}' cannot be checked: {pattern} is not a pattern this version understands"
                    )),
                }
            }
        }
    }
}

impl Configuration {
    /// Checks every stored field whose dependencies hold: a required one has a value, and the effective value passes
    /// the field's validations. An optional field that is empty and has no default has nothing to validate.
    pub fn check_valid(&self) -> Result<(), ConfigurationError> {
        let mut errors = Vec::new();
        for field in self.fields() {
            errors.extend(self.field_errors(field)?);
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigurationError::Invalid(errors)) }
    }

    /// What [`check_valid`](Self::check_valid) has to say about one field: nothing while its dependencies do not hold.
    pub fn field_errors(&self, field: &Field) -> Result<Vec<String>, ConfigurationError> {
        let mut errors = Vec::new();
        if !self.dependencies_hold(field)? {
            return Ok(errors);
        }
        if field.required && field.is_empty() {
            errors.push(format!("'{}' cannot be empty.", field.label));
        } else if !is_empty(field.effective()) {
            for validation in &field.validations {
                validation.check(field, &mut errors);
            }
        }
        Ok(errors)
    }

    /// Whether every `depends_on` entry of the field is met. A form may write the expected value as text ("true"), so
    /// it is compared after conversion to the other field's type.
    pub fn dependencies_hold(&self, field: &Field) -> Result<bool, ConfigurationError> {
        for dependency in &field.depends_on {
            let Some(other) = self.stored_field(&dependency.field) else {
                return Err(ConfigurationError::Dependency {
                    label: field.label.clone(),
                    missing: dependency.field.clone(),
                });
            };
            let converted = other.field_type.convert(&dependency.value);
            let expected = converted.as_ref().unwrap_or(&dependency.value);
            if !equal(expected, other.effective()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Equality of values where 1 and 1.0 are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b) == Some(Ordering::Equal),
        _ => one == other,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value for an error message; that of a sensitive field is not shown.
fn shown(field: &Field, value: &Value) -> String {
    if field.sensitive { "(hidden)".to_owned() } else { format!("'{}'", plain(value)) }
}
