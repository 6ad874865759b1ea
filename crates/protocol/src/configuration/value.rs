//! Field types, and how a stored value becomes one of its field's type.

use serde_json::{Number, Value};

/// Type of a field's value. A type this version does not know converts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// `str`
    Text,
    /// `int`
    Integer,
    /// `float`
    Float,
    /// `bool`
    Flag,
    /// `list`
    List,
    /// Any other name: values stay as they are.
    Other(String),
}

impl FieldType {
    /// The type with this wire name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "str" => Self::Text,
            "int" => Self::Integer,
            "float" => Self::Float,
            "bool" => Self::Flag,
            "list" => Self::List,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The wire name.
    pub fn name(&self) -> &str {
        match self {
            Self::Text => "str",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Flag => "bool",
            Self::List => "list",
            Self::Other(name) => name,
        }
    }

    /// Converts a stored value. The error says what was expected and of which kind the value is, never the value.
    pub(super) fn convert(&self, value: &Value) -> Result<Value, String> {
        match self {
            Self::Other(_) => Ok(value.clone()),
            Self::List => Ok(list(value)),
            Self::Text => text(value),
            _ if is_unset(value) => Ok(Value::Null),
            Self::Integer => integer(value),
            Self::Float => float(value),
            Self::Flag => flag(value),
        }
    }
}

/// Null, or a text of nothing but white space: nothing was entered in the form.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value) -> Result<Value, String> {
    match value {
        Value::Null => Ok(Value::String(String::new())),
        Value::String(_) => Ok(value.clone()),
        Value::Number(number) => Ok(Value::String(number.to_string())),
        Value::Bool(flag) => Ok(Value::String(flag.to_string())),
        other => Err(format!("a text is expected, {} was given", kind(other))),
    }
}

fn integer(value: &Value) -> Result<Value, String> {
    let whole = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole_number)),
        Value::String(text) => text.trim().parse::<i64>().ok(),
        _ => None,
    };
    whole.map(Value::from).ok_or_else(|| {
        let given = match value {
            Value::Number(_) => "another number",
            Value::String(_) => "a text that is none",
            other => kind(other),
        };
        format!("a whole number is expected, {given} was given")
    })
}

/// `3.0` is the number 3 in another spelling; `3.5` is not a whole number, and cutting it off would hide a mistake.
fn whole_number(number: f64) -> Option<i64> {
    // 2^53: up to here every whole f64 is exactly that integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation)] // checked: whole and within the exact range
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn float(value: &Value) -> Result<Value, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    // from_f64 refuses NaN and infinities, which no field can mean.
    number.and_then(Number::from_f64).map(Value::Number).ok_or_else(|| match value {
        Value::String(_) => "a number is expected, a text that is none was given".to_owned(),
        other => format!("a number is expected, {} was given", kind(other)),
    })
}

fn flag(value: &Value) -> Result<Value, String> {
    let flag = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        Value::String(text) => flag_word(text),
        _ => None,
    };
    flag.map(Value::Bool).ok_or_else(|| format!("true or false is expected, {} was given", kind(value)))
}

/// The words people and forms write for a flag, in any case.
pub(crate) fn flag_word(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn list(value: &Value) -> Value {
    let items = match value {
        Value::Array(_) => return value.clone(),
        Value::Null => Vec::new(),
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect()
        }
        Value::Number(_) | Value::Bool(_) => vec![value.clone()],
        Value::Object(entries) => {
            entries.iter().map(|(key, item)| Value::Array(vec![key.as_str().into(), item.clone()])).collect()
        }
    };
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn convert(name: &str, value: &Value) -> Result<Value, String> {
        FieldType::from_name(name).convert(value)
    }

    #[test]
    fn names_go_both_ways() {
        for name in ["str", "int", "float", "bool", "list", "object"] {
            assert_eq!(FieldType::from_name(name).name(), name);
        }
        assert_eq!(convert("object", &json!({"a": 1})), Ok(json!({"a": 1})));
    }

    #[test]
    fn nothing_entered_is_the_types_nothing() {
        for nothing in [json!(null), json!("")] {
            assert_eq!(convert("str", &nothing), Ok(json!("")));
            assert_eq!(convert("list", &nothing), Ok(json!([])));
            for name in ["int", "float", "bool"] {
                assert_eq!(convert(name, &nothing), Ok(json!(null)), "{name}");
            }
        }
    }

    #[test]
    fn flags_are_read_from_words_not_from_truthiness() {
        for word in ["true", "True", "t", "YES", "y", "on", "1", " true "] {
            assert_eq!(convert("bool", &json!(word)), Ok(json!(true)), "{word}");
        }
        for word in ["false", "False", "f", "no", "N", "off", "0"] {
            assert_eq!(convert("bool", &json!(word)), Ok(json!(false)), "{word}");
        }
        assert_eq!(convert("bool", &json!(0)), Ok(json!(false)));
        assert_eq!(convert("bool", &json!(1)), Ok(json!(true)));
        for wrong in [json!("maybe"), json!(2), json!([true])] {
            assert!(convert("bool", &wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_numbers_are_never_cut_off() {
        assert_eq!(convert("int", &json!(" 42 ")), Ok(json!(42)));
        assert_eq!(convert("int", &json!(-7)), Ok(json!(-7)));
        assert_eq!(convert("int", &json!(3.0)), Ok(json!(3)));
        for wrong in [json!(3.5), json!("3.5"), json!("x"), json!(true), json!({}), json!(1e300)] {
            let error = convert("int", &wrong).unwrap_err();
            assert!(error.contains("whole number"), "{wrong}: {error}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(convert("float", &json!(3)), Ok(json!(3.0)));
        assert_eq!(convert("float", &json!("0.5")), Ok(json!(0.5)));
        for wrong in [json!("nan"), json!("inf"), json!("x"), json!(false)] {
            assert!(convert("float", &wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_come_from_commas_single_values_and_objects() {
        assert_eq!(convert("list", &json!("a, b,,c ")), Ok(json!(["a", "b", "c"])));
        assert_eq!(convert("list", &json!(5)), Ok(json!([5])));
        assert_eq!(convert("list", &json!({"a": 1})), Ok(json!([["a", 1]])));
        assert_eq!(convert("list", &json!(["x"])), Ok(json!(["x"])));
    }

    #[test]
    fn texts_take_plain_values_only() {
        assert_eq!(convert("str", &json!(5)), Ok(json!("5")));
        assert_eq!(convert("str", &json!(true)), Ok(json!("true")));
        assert_eq!(convert("str", &json!("  ")), Ok(json!("  ")));
        assert!(convert("str", &json!(["a"])).unwrap_err().contains("a list"));
        assert!(convert("str", &json!({})).unwrap_err().contains("an object"));
    }

    #[test]
    fn errors_never_repeat_the_value() {
        for name in ["int", "float", "bool"] {
            let error = convert(name, &json!("hunter2")).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
