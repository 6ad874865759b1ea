//! Rich configurable fields: a connector's configuration as the user interface shows it and as a source reads it.
//!
//! [`RawConfiguration`] is the stored form, a map of field key to an object of field properties; it is kept untouched.
//! [`Configuration`] is the same thing understood: values converted to the type of their field, defaults applied,
//! dependencies and validations checked. Neither shows a value in its `Debug` form: any of them may be a secret.

mod definitions;
mod field;
mod prepare;
mod validation;
mod value;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use definitions::DISPLAYS;
pub use field::{Dependency, Field};
pub use prepare::{FIELD_PROPERTIES, Preparation, prepare, simple_configuration};
pub use validation::Validation;
pub use value::FieldType;
pub(crate) use value::flag_word;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A value that is not of its field's type.
    #[error("configuration field {label:?} ({key}): {reason}")]
    Conversion {
        /// Key of the field.
        key: String,
        /// Label of the field as the user sees it.
        label: String,
        /// What was expected and what was found; never the value of a sensitive field.
        reason: String,
    },
    /// A field definition that does not make sense.
    #[error("configuration field {key}: {reason}")]
    Definition {
        /// Key of the field.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A dependency on a field that does not exist.
    #[error("'{label}' depends on the field '{missing}', which does not exist")]
    Dependency {
        /// Label of the dependent field.
        label: String,
        /// Key that is not in the configuration.
        missing: String,
    },
    /// Values that break the rules of their fields; one message for each.
    #[error("Field validation errors: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// A key neither stored nor known to the source.
    #[error("there is no configuration field {0}")]
    UnknownField(String),
}

/// A configuration as it is stored: field key → properties, in the order they were written.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawConfiguration(pub Map<String, Value>);

impl RawConfiguration {
    /// Whether no field is stored at all: nobody has written this connector's configuration yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys that `defaults` has and this configuration lacks.
    pub fn missing_fields(&self, defaults: &RawConfiguration) -> Vec<String> {
        let missing = defaults.0.keys().filter(|key| !self.0.contains_key(*key));
        missing.cloned().collect()
    }

    /// This configuration with the fields of `defaults` that it lacks, as they are there: what was stored before the source
    /// had them.
    #[must_use]
    pub fn completed(&self, defaults: &RawConfiguration) -> RawConfiguration {
        let mut completed = self.clone();
        for (key, field) in &defaults.0 {
            completed.0.entry(key.clone()).or_insert_with(|| field.clone());
        }
        completed
    }

    /// Stores `value` for the field `key`, keeping the field's other properties. Returns false, and stores nothing,
    /// when there is no such field.
    pub fn set_value(&mut self, key: &str, value: Value) -> bool {
        match self.0.get_mut(key) {
            Some(Value::Object(properties)) => {
                properties.insert("value".to_owned(), value);
                true
            }
            Some(plain) => {
                *plain = value;
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for RawConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl From<Map<String, Value>> for RawConfiguration {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

/// A configuration understood: every value has the type of its field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    fields: Vec<Field>,
    /// Fields only the source's defaults have; used for look-ups, not validated.
    fallbacks: Vec<Field>,
}

impl Configuration {
    /// Understands a stored configuration by itself: each field has the type stored with it.
    pub fn parse(stored: &RawConfiguration) -> Result<Self, ConfigurationError> {
        Self::parse_with_defaults(stored, &RawConfiguration::default())
    }

    /// Understands a stored configuration for a source whose default configuration is `defaults`: the source's types
    /// win over the stored ones, and a field that is not stored answers with the source's default value.
    pub fn parse_with_defaults(
        stored: &RawConfiguration,
        defaults: &RawConfiguration,
    ) -> Result<Self, ConfigurationError> {
        let mut fields = Vec::with_capacity(stored.0.len());
        for (key, raw) in &stored.0 {
            let field_type =
                defaults.0.get(key).and_then(|default| default.get("type")).or_else(|| raw.get("type"));
            fields.push(Field::parse(key, raw, field_type)?);
        }
        let mut fallbacks = Vec::new();
        for (key, raw) in &defaults.0 {
            if !stored.0.contains_key(key) {
                fallbacks.push(Field::parse(key, raw, raw.get("type"))?);
            }
        }
        Ok(Self { fields, fallbacks })
    }

    /// The stored fields, in stored order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field `key`, stored or from the source's defaults.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.stored_field(key).or_else(|| self.fallbacks.iter().find(|field| field.key == key))
    }

    fn stored_field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The effective value of `key`: the stored value, or its default when the field is optional and empty. `None`
    /// when neither the configuration nor the source's defaults have the key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.field(key).map(Field::effective)
    }

    fn required(&self, key: &str) -> Result<&Field, ConfigurationError> {
        self.field(key).ok_or_else(|| ConfigurationError::UnknownField(key.to_owned()))
    }

    /// The effective value as text; null reads as "".
    pub fn text(&self, key: &str) -> Result<&str, ConfigurationError> {
        let field = self.required(key)?;
        match field.effective() {
            Value::String(text) => Ok(text),
            Value::Null => Ok(""),
            _ => Err(field.not_a("text")),
        }
    }

    /// The effective value as a whole number; null is `None`.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, ConfigurationError> {
        let field = self.required(key)?;
        match field.effective() {
            Value::Null => Ok(None),
            value => value.as_i64().map(Some).ok_or_else(|| field.not_a("whole number")),
        }
    }

    /// The effective value as a number; null is `None`.
    pub fn float(&self, key: &str) -> Result<Option<f64>, ConfigurationError> {
        let field = self.required(key)?;
        match field.effective() {
            Value::Null => Ok(None),
            value => value.as_f64().map(Some).ok_or_else(|| field.not_a("number")),
        }
    }

    /// The effective value as a flag; null is `false`.
    pub fn flag(&self, key: &str) -> Result<bool, ConfigurationError> {
        let field = self.required(key)?;
        match field.effective() {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            _ => Err(field.not_a("true or false")),
        }
    }

    /// The effective value as a list of texts; null is an empty list, numbers and flags become text, nulls and empty
    /// items are left out.
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfigurationError> {
        let field = self.required(key)?;
        match field.effective() {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items
                .iter()
                .filter(|item| !matches!(item, Value::Null) && item.as_str() != Some(""))
                .map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(number) => Ok(number.to_string()),
                    Value::Bool(flag) => Ok(flag.to_string()),
                    _ => Err(field.not_a("list of plain values")),
                })
                .collect(),
            _ => Err(field.not_a("list")),
        }
    }
}

#[cfg(test)]
mod tests;
