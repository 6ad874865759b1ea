//! A source's configuration: one struct from which the form, the documentation and the parser are made.
//!
//! ```
//! connectors_sdk::source_configuration! {
//!     /// Configuration of the `shelf` source.
//!     pub struct ShelfConfiguration {
//!         /// Address of the shelf.
//!         #[field(label = "Address")]
//!         pub address: String,
//!         /// Books per request.
//!         #[field(label = "Page size", default_value = 100, advanced = true)]
//!         pub page_size: i64,
//!     }
//! }
//! let fields = ShelfConfiguration::fields();
//! assert_eq!(fields[1].to_value()["default_value"], 100);
//! assert_eq!(fields[0].to_value()["tooltip"], "Address of the shelf.");
//! ```

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::{Configuration, SourceError};

/// One rich configurable field of the connector protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    key: String,
    properties: Map<String, Value>,
}

impl Field {
    /// A required field of the type `T`, at this place (from 1) in the form.
    pub fn new<T: ConfigValue>(key: impl Into<String>, order: usize) -> Self {
        let mut field = Self { key: key.into(), properties: Map::new() }
            .set("type", T::TYPE)
            .set("display", T::DISPLAY)
            .set("order", order)
            .set("value", T::empty());
        if T::SENSITIVE {
            field = field.set("sensitive", true);
        }
        field
    }

    fn set(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(property.to_owned(), value.into());
        self
    }

    /// Label in the form.
    #[must_use]
    pub fn label(self, label: &str) -> Self {
        self.set("label", label)
    }

    /// Explanation in the form; the doc comment of the struct's field.
    #[must_use]
    pub fn tooltip(self, text: &str) -> Self {
        self.set("tooltip", text.trim())
    }

    /// What the field holds when nobody has filled it in.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.set("value", value)
    }

    /// Makes the field optional; this value is used while it is empty.
    #[must_use]
    pub fn default_value(self, value: impl Into<Value>) -> Self {
        self.set("default_value", value).set("required", false)
    }

    /// Whether it must be filled in (it must, unless said otherwise).
    #[must_use]
    pub fn required(self, required: bool) -> Self {
        self.set("required", required)
    }

    /// How the form shows it: `text`, `textarea`, `numeric`, `toggle`, `dropdown`.
    #[must_use]
    pub fn display(self, display: &str) -> Self {
        self.set("display", display)
    }

    /// Values to choose from: (label, value).
    #[must_use]
    pub fn options(self, options: &[(&str, &str)]) -> Self {
        let options: Vec<Value> =
            options.iter().map(|(label, value)| json!({"label": label, "value": value})).collect();
        self.display("dropdown").set("options", options)
    }

    /// The field counts only while the field `other` has this value. Several: all must hold.
    #[must_use]
    pub fn depends_on(mut self, (other, value): (&str, impl Into<Value>)) -> Self {
        let dependency = json!({"field": other, "value": value.into()});
        self.push("depends_on", dependency);
        self
    }

    /// Adds a validation of the protocol: (`less_than` | `greater_than` | `list_type` | `included_in` | `regex`, constraint).
    #[must_use]
    pub fn validation(mut self, (kind, constraint): (&str, impl Into<Value>)) -> Self {
        let validation = json!({"type": kind, "constraint": constraint.into()});
        self.push("validations", validation);
        self
    }

    /// Shows the field only among the advanced ones.
    #[must_use]
    pub fn advanced(self, advanced: bool) -> Self {
        if advanced { self.set("ui_restrictions", vec!["advanced"]) } else { self }
    }

    fn push(&mut self, property: &str, item: Value) {
        let list = self.properties.entry(property).or_insert_with(|| json!([]));
        if let Value::Array(items) = list {
            items.push(item);
        }
    }

    /// Key of the field.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The properties as the protocol's JSON object; those with the protocol's default values are left out.
    pub fn to_value(&self) -> Value {
        Value::Object(self.properties.clone())
    }
}

/// A type a configuration field may have.
pub trait ConfigValue: Sized {
    /// The protocol's `type`.
    const TYPE: &'static str;
    /// The protocol's `display`, unless the field says another.
    const DISPLAY: &'static str = "text";
    /// Whether the form hides what is typed.
    const SENSITIVE: bool = false;

    /// The protocol's `value` of a field nobody has filled in.
    fn empty() -> Value {
        Value::String(String::new())
    }

    /// From the effective value of the field; none if the value is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl ConfigValue for String {
    const TYPE: &'static str = "str";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::new()),
            other => other.as_str().map(str::to_owned),
        }
    }
}

impl ConfigValue for SecretString {
    const TYPE: &'static str = "str";
    const SENSITIVE: bool = true;

    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).map(Self::from)
    }
}

impl ConfigValue for i64 {
    const TYPE: &'static str = "int";
    const DISPLAY: &'static str = "numeric";

    fn empty() -> Value {
        Value::Null
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl ConfigValue for f64 {
    const TYPE: &'static str = "float";
    const DISPLAY: &'static str = "numeric";

    fn empty() -> Value {
        Value::Null
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl ConfigValue for bool {
    const TYPE: &'static str = "bool";
    const DISPLAY: &'static str = "toggle";

    fn empty() -> Value {
        Value::Bool(false)
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl ConfigValue for Vec<String> {
    const TYPE: &'static str = "list";
    const DISPLAY: &'static str = "textarea";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    }
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const DISPLAY: &'static str = T::DISPLAY;
    const SENSITIVE: bool = T::SENSITIVE;

    fn empty() -> Value {
        T::empty()
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            Value::String(text) if text.is_empty() => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// The effective value of the field `key` as a `T`. Used by [`source_configuration!`](crate::source_configuration).
pub fn read<T: ConfigValue>(configuration: &Configuration, key: &str) -> Result<T, SourceError> {
    let value = configuration.get(key).ok_or_else(|| SourceError::configuration(key, "is missing"))?;
    T::from_value(value)
        .ok_or_else(|| SourceError::configuration(key, format_args!("is not of type {}", T::TYPE)))
}

/// Defines a configuration struct: doc comments become tooltips, the attribute `#[field(...)]` takes the properties of
/// [`Field`](crate::Field) by the names of its methods, the order is that of the struct. Generates `fields()` and `parse()`.
#[macro_export]
macro_rules! source_configuration {
    (
        $(#[doc = $doc:literal])+
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $tooltip:literal])+
                #[field($($property:ident = $value:expr),* $(,)?)]
                $field_visibility:vis $key:ident: $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        $visibility struct $name {
            $($(#[doc = $tooltip])+ $field_visibility $key: $type,)*
        }

        impl $name {
            /// The fields of the form.
            $visibility fn fields() -> ::std::vec::Vec<$crate::Field> {
                let keys = [$(::core::stringify!($key)),*];
                let order = |key: &str| keys.iter().position(|other| *other == key).map_or(0, |index| index + 1);
                ::std::vec![$(
                    $crate::Field::new::<$type>(::core::stringify!($key), order(::core::stringify!($key)))
                        .tooltip(::core::concat!($($tooltip),+))
                        $(.$property($value))*
                ),*]
            }

            /// Reads a connector's configuration.
            $visibility fn parse(
                configuration: &$crate::Configuration,
            ) -> ::core::result::Result<Self, $crate::SourceError> {
                ::core::result::Result::Ok(Self {
                    $($key: $crate::configuration::read(configuration, ::core::stringify!($key))?,)*
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use connectors_protocol::configuration::RawConfiguration;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{ErrorKind, SourceDescriptor};

    source_configuration! {
        /// Everything a field may be.
        struct Sample {
            /// Where it is,
            /// in two lines.
            #[field(label = "Host", validation = ("regex", "^h"))]
            host: String,
            /// Secret.
            #[field(label = "Password")]
            password: SecretString,
            /// Port.
            #[field(label = "Port", default_value = 80, advanced = true)]
            port: i64,
            /// Ratio.
            #[field(label = "Ratio", value = 0.5)]
            ratio: f64,
            /// Whether.
            #[field(label = "TLS", value = true, advanced = false)]
            tls: bool,
            /// Which.
            #[field(label = "Tables", value = "a, b")]
            tables: Vec<String>,
            /// How.
            #[field(label = "Mode", options = &[("Fast", "fast"), ("Slow", "slow")], value = "fast")]
            mode: String,
            /// Certificate.
            #[field(label = "CA", required = false, display = "textarea", depends_on = ("tls", true))]
            ca: Option<String>,
        }
    }

    fn parse(stored: &Value) -> Result<Sample, SourceError> {
        let Value::Object(stored) = stored.clone() else { unreachable!() };
        let source = SourceDescriptor::new("s", "S", Sample::fields(), |_, _| Err(SourceError::canceled()));
        Sample::parse(&source.configuration(&RawConfiguration(stored))?)
    }

    #[test]
    fn the_struct_is_the_form() {
        let fields = Sample::fields();
        let of = |key: &str| fields.iter().find(|field| field.key() == key).unwrap().to_value();
        assert_eq!(
            of("host"),
            json!({
                "type": "str", "display": "text", "order": 1, "value": "", "label": "Host",
                "tooltip": "Where it is, in two lines.",
                "validations": [{"type": "regex", "constraint": "^h"}],
            })
        );
        assert_eq!(of("password")["sensitive"], true);
        assert_eq!(
            of("port"),
            json!({
                "type": "int", "display": "numeric", "order": 3, "value": null, "label": "Port", "tooltip": "Port.",
                "default_value": 80, "required": false, "ui_restrictions": ["advanced"],
            })
        );
        assert_eq!(of("tls").get("ui_restrictions"), None);
        assert_eq!(of("mode")["display"], "dropdown");
        assert_eq!(of("mode")["options"][1], json!({"label": "Slow", "value": "slow"}));
        assert_eq!(of("ca")["depends_on"], json!([{"field": "tls", "value": true}]));
        assert_eq!(of("ca")["display"], "textarea");
    }

    #[test]
    fn the_struct_is_the_parser() {
        let sample = parse(&json!({
            "host": {"value": "h"}, "password": {"value": "p"}, "port": {"value": "", "required": false, "default_value": 80},
            "tables": {"value": "x,y"}, "ca": {"value": "", "required": false},
        }))
        .unwrap();
        assert_eq!((sample.host.as_str(), sample.password.expose_secret()), ("h", "p"));
        assert_eq!((sample.port, sample.ratio, sample.tls), (80, 0.5, true));
        assert_eq!(sample.tables, ["x", "y"]);
        assert_eq!((sample.mode.as_str(), sample.ca.as_deref()), ("fast", None));
        assert!(!format!("{sample:?}").contains("\"p\""), "a secret must not print");
    }

    #[test]
    fn what_cannot_be_read_is_a_configuration_error() {
        let error = parse(&json!({"port": {"value": "many"}})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let error = parse(&json!({"port": {"value": null}})).unwrap_err();
        assert!(error.to_string().contains("`port` is not of type int"), "{error}");
        let error = read::<String>(&Configuration::default(), "host").unwrap_err();
        assert!(error.to_string().contains("`host` is missing"), "{error}");
    }
}
