//! One rich configurable field.

use std::fmt;

use serde_json::{Map, Value};

use super::validation::Validation;
use super::{ConfigurationError, FieldType};

/// A condition for a field to count: another field has a certain value.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// Key of the other field.
    pub field: String,
    /// Effective value it must have.
    pub value: Value,
}

/// One field: its definition, and its value in the field's type.
#[derive(Clone, PartialEq)]
pub struct Field {
    /// Key in the configuration.
    pub key: String,
    /// Name shown to people.
    pub label: String,
    /// Type of the value.
    pub field_type: FieldType,
    /// Whether a value must be given. An optional empty field has its `default_value`.
    pub required: bool,
    /// Whether the value is a secret.
    pub sensitive: bool,
    /// The field is validated only if all of these hold.
    pub depends_on: Vec<Dependency>,
    /// Rules for the effective value.
    pub validations: Vec<Validation>,
    default_value: Value,
    value: Value,
}

impl Field {
    /// Understands one stored entry. An entry that is no object is the value of an otherwise undefined text field.
    pub(super) fn parse(
        key: &str,
        raw: &Value,
        field_type: Option<&Value>,
    ) -> Result<Self, ConfigurationError> {
        let type_name = field_type.and_then(Value::as_str).unwrap_or("str");
        let field_type = FieldType::from_name(type_name);
        let Value::Object(properties) = raw else {
            let label = capitalized(key);
            return Ok(Self {
                value: convert(key, &label, &field_type, raw)?,
                default_value: convert(key, &label, &field_type, &Value::Null)?,
                key: key.to_owned(),
                label,
                field_type,
                required: true,
                sensitive: false,
                depends_on: Vec::new(),
                validations: Vec::new(),
            });
        };
        let label = match properties.get("label").and_then(Value::as_str) {
            Some(label) if !label.is_empty() => label.to_owned(),
            _ => key.to_owned(),
        };
        let of = |name: &str| properties.get(name).unwrap_or(&Value::Null);
        Ok(Self {
            value: convert(key, &label, &field_type, of("value"))?,
            default_value: convert(key, &label, &field_type, of("default_value"))?,
            required: flag(key, properties, "required", true)?,
            sensitive: flag(key, properties, "sensitive", false)?,
            depends_on: list(key, properties, "depends_on")?
                .iter()
                .map(|entry| dependency(key, entry))
                .collect::<Result<_, _>>()?,
            validations: list(key, properties, "validations")?
                .iter()
                .map(|entry| Validation::parse(key, entry))
                .collect::<Result<_, _>>()?,
            key: key.to_owned(),
            label,
            field_type,
        })
    }

    /// The value as the source sees it: the stored value, or `default_value` if the field is optional and empty.
    pub fn effective(&self) -> &Value {
        if !self.required && self.is_empty() { &self.default_value } else { &self.value }
    }

    /// Whether no value is stored: null, "", an empty list or a list of nothing but null and "".
    pub fn is_empty(&self) -> bool {
        is_empty(&self.value)
    }

    pub(super) fn not_a(&self, expected: &str) -> ConfigurationError {
        ConfigurationError::Conversion {
            key: self.key.clone(),
            label: self.label.clone(),
            reason: format!("it is of type {}, {expected} is expected", self.field_type.name()),
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("key", &self.key)
            .field("type", &self.field_type.name())
            .field("required", &self.required)
            .field("sensitive", &self.sensitive)
            .field("empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(|item| item.is_null() || item.as_str() == Some("")),
        _ => false,
    }
}

fn convert(
    key: &str,
    label: &str,
    field_type: &FieldType,
    value: &Value,
) -> Result<Value, ConfigurationError> {
    field_type.convert(value).map_err(|reason| ConfigurationError::Conversion {
        key: key.to_owned(),
        label: label.to_owned(),
        reason,
    })
}

fn definition(key: &str, reason: impl Into<String>) -> ConfigurationError {
    ConfigurationError::Definition { key: key.to_owned(), reason: reason.into() }
}

fn flag(
    key: &str,
    properties: &Map<String, Value>,
    name: &str,
    default: bool,
) -> Result<bool, ConfigurationError> {
    match properties.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(definition(key, format!("{name} must be true or false"))),
    }
}

fn list<'a>(
    key: &str,
    properties: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a [Value], ConfigurationError> {
    match properties.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(definition(key, format!("{name} must be a list"))),
    }
}

fn dependency(key: &str, entry: &Value) -> Result<Dependency, ConfigurationError> {
    let field = entry.get("field").and_then(Value::as_str);
    let field = field.ok_or_else(|| definition(key, "a depends_on entry must name a field"))?;
    Ok(Dependency { field: field.to_owned(), value: entry.get("value").cloned().unwrap_or(Value::Null) })
}

fn capitalized(key: &str) -> String {
    let mut letters = key.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
